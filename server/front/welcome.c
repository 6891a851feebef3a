// SPDX-License-Identifier: Apache-2.0
// The snapshot of the devices: what the driver says, less what Genie cannot carry.
//
// A program that reads an attribute acts on it. What would need the program and the device to share memory,
// an address space or a machine is reported as absent, whatever the server's device can do; so is what no
// command of the wire carries yet.
#include "server/front/welcome.h"

#include <stdio.h>
#include <string.h>

#include "remoting/errors.h"
#include "server/log.h"

enum { DRIVER_VERSION_MOST = 13000 }; // the API that remoting/cuda.api describes

struct filter {
    uint8_t shown; // the value that is shown
    bool set;
    const char *reason; // why the device's own value would be a lie
};

#define ABSENT(name, why) [CU_DEVICE_ATTRIBUTE_##name] = {0, true, why}

static const struct filter filters[GN_DEVICE_ATTRIBUTES_MAX] = {
    // The program's memory is on another machine than the device.
    ABSENT(CAN_MAP_HOST_MEMORY, "kernels cannot reach the program's memory"),
    ABSENT(PAGEABLE_MEMORY_ACCESS, "kernels cannot reach the program's memory"),
    ABSENT(PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES, "the page tables are another machine's"),
    ABSENT(CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, "a pointer of the program means nothing to the device"),
    ABSENT(HOST_NATIVE_ATOMIC_SUPPORTED, "no atomics over a network"),
    ABSENT(ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED, "no atomics over a network"),
    ABSENT(READ_ONLY_HOST_REGISTER_SUPPORTED, "registered memory is not mapped for the device"),
    ABSENT(UNIFIED_FUNCTION_POINTERS, "the function would be code of the server's process"),
    ABSENT(INTEGRATED, "the device shares no memory with the program's machine"),
    // Managed memory.
    ABSENT(MANAGED_MEMORY, "managed memory is not carried"),
    ABSENT(CONCURRENT_MANAGED_ACCESS, "managed memory is not carried"),
    ABSENT(DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, "managed memory is not carried"),
    // Other processes, other devices, other machines.
    ABSENT(IPC_EVENT_SUPPORTED, "handles for other processes are not carried"),
    ABSENT(HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, "a descriptor does not cross machines"),
    ABSENT(HANDLE_TYPE_WIN32_HANDLE_SUPPORTED, "a handle does not cross machines"),
    ABSENT(HANDLE_TYPE_WIN32_KMT_HANDLE_SUPPORTED, "a handle does not cross machines"),
    ABSENT(HANDLE_TYPE_FABRIC_SUPPORTED, "a fabric handle is the server's"),
    ABSENT(MULTICAST_SUPPORTED, "multicast objects are not carried"),
    ABSENT(COOPERATIVE_MULTI_DEVICE_LAUNCH, "launches over several devices are not carried"),
    ABSENT(GPU_DIRECT_RDMA_SUPPORTED, "network cards of the program's machine cannot reach the device"),
    ABSENT(GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
           "network cards of the program's machine cannot reach the device"),
    ABSENT(GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS,
           "network cards of the program's machine cannot reach the device"),
    ABSENT(GPU_DIRECT_RDMA_WRITES_ORDERING, "network cards of the program's machine cannot reach the device"),
    ABSENT(CAN_FLUSH_REMOTE_WRITES, "network cards of the program's machine cannot reach the device"),
    ABSENT(DMA_BUF_SUPPORTED, "a descriptor does not cross machines"),
    ABSENT(HOST_ALLOC_DMA_BUF_SUPPORTED, "a descriptor does not cross machines"),
    ABSENT(TIMELINE_SEMAPHORE_INTEROP_SUPPORTED, "external semaphores are not carried"),
    ABSENT(D3D12_CIG_SUPPORTED, "graphics are not carried"),
    ABSENT(VULKAN_CIG_SUPPORTED, "graphics are not carried"),
    ABSENT(MPS_ENABLED, "how the server shares its device is not the program's business"),
    // Where the server's processors and memory are.
    ABSENT(NUMA_CONFIG, "NUMA nodes of the server are not the program's"),
    [CU_DEVICE_ATTRIBUTE_NUMA_ID] = {0xff, true, "NUMA nodes of the server are not the program's"},
    [CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID] = {0xff, true, "NUMA nodes of the server are not the program's"},
    ABSENT(HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, "NUMA nodes of the server are not the program's"),
    ABSENT(HOST_NUMA_MEMORY_POOLS_SUPPORTED, "NUMA nodes of the server are not the program's"),
    ABSENT(HOST_NUMA_MULTINODE_IPC_SUPPORTED, "NUMA nodes of the server are not the program's"),
    // Calls that have no command yet.
    ABSENT(MEMORY_POOLS_SUPPORTED, "memory pools are not carried"),
    ABSENT(HOST_MEMORY_POOLS_SUPPORTED, "memory pools are not carried"),
    ABSENT(MEMPOOL_SUPPORTED_HANDLE_TYPES, "memory pools are not carried"),
    ABSENT(HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, "the host's memory is the program's machine's"),
    ABSENT(TENSOR_MAP_ACCESS_SUPPORTED, "tensor maps are not carried"),
    ABSENT(SPARSE_CUDA_ARRAY_SUPPORTED, "CUDA arrays are not carried"),
    ABSENT(DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED, "CUDA arrays are not carried"),
    ABSENT(CAN_TEX2D_GATHER, "textures are not carried"),
    ABSENT(MEM_DECOMPRESS_ALGORITHM_MASK, "decompression by the device is not carried"),
    ABSENT(MEM_DECOMPRESS_MAXIMUM_LENGTH, "decompression by the device is not carried"),
};

int gn_attribute_shown(int attribute, int value)
{
    if (attribute < 0 || attribute >= GN_DEVICE_ATTRIBUTES_MAX || !filters[attribute].set)
        return value;
    int shown = (int8_t)filters[attribute].shown;
    if (value && value != shown)
        gn_log(GN_LOG_DEBUG, "device attribute %d is shown as %d, not %d: %s", attribute, shown, value,
               filters[attribute].reason);
    return shown;
}

static void take_attributes(const struct gn_driver *driver, CUdevice device, struct gn_device_snapshot *d)
{
    for (int i = 1; driver->calls.cuDeviceGetAttribute && i < GN_DEVICE_ATTRIBUTES_MAX; i++) {
        int value = 0;
        if (driver->calls.cuDeviceGetAttribute(&value, (CUdevice_attribute)i, device) != CUDA_SUCCESS)
            continue;
        d->attributes[i] = gn_attribute_shown(i, value);
        d->attribute_known[i] = 1;
    }
}

// Returns the call that failed, or NULL. UUID and LUID are not everywhere: zeros then.
static const char *take_device(const struct gn_driver *driver, int ordinal, struct gn_device_snapshot *d,
                               CUresult *r)
{
    const struct gn_driver_calls *c = &driver->calls;
    CUdevice device = 0;
    size_t memory = 0;
    unsigned mask = 0;
    *r = c->cuDeviceGet ? c->cuDeviceGet(&device, ordinal) : CUDA_ERROR_NOT_SUPPORTED;
    if (*r)
        return "cuDeviceGet";
    *r = c->cuDeviceGetName ? c->cuDeviceGetName(d->name, sizeof d->name, device) : CUDA_ERROR_NOT_SUPPORTED;
    if (*r)
        return "cuDeviceGetName";
    d->name[sizeof d->name - 1] = 0;
    *r = c->cuDeviceTotalMem_v2 ? c->cuDeviceTotalMem_v2(&memory, device) : CUDA_ERROR_NOT_SUPPORTED;
    if (*r)
        return "cuDeviceTotalMem";
    d->memory_bytes = memory;
    if (!c->cuDeviceGetUuid_v2 || c->cuDeviceGetUuid_v2(&d->uuid, device))
        if (c->cuDeviceGetUuid)
            c->cuDeviceGetUuid(&d->uuid, device);
    if (c->cuDeviceGetLuid && !c->cuDeviceGetLuid(d->luid, &mask, device)) {
        d->has_luid = 1;
        d->luid_mask = mask;
    }
    if (c->cuDeviceGetPCIBusId)
        c->cuDeviceGetPCIBusId(d->pci_bus_id, sizeof d->pci_bus_id, device);
    d->pci_bus_id[sizeof d->pci_bus_id - 1] = 0;
    take_attributes(driver, device, d);
    return NULL;
}

static void refuse(struct gn_welcome *welcome, const char *call, CUresult r)
{
    const char *name = gn_error_name(r);
    welcome->status = r;
    welcome->device_count = 0;
    snprintf(welcome->text, sizeof welcome->text, "the server's driver refuses %s: %s (%d)", call,
             name ? name : "an unknown error", (int)r);
    gn_log(GN_LOG_ERROR, "%s", welcome->text);
}

void gn_welcome_fill(const struct gn_driver *driver, const struct gn_limits *limits,
                     struct gn_welcome *welcome)
{
    int count = 0;
    welcome->status = 0;
    welcome->text[0] = 0;
    welcome->window_bytes = limits->window_bytes;
    welcome->chunk_bytes = limits->chunk_bytes;
    welcome->device_count = 0;
    CUresult r = driver->calls.cuInit(0);
    if (r) {
        refuse(welcome, "cuInit", r);
        return;
    }
    // The version may be asked before cuInit, but some drivers answer it only afterwards.
    int version = driver->version;
    if (!version)
        driver->calls.cuDriverGetVersion(&version);
    welcome->driver_version = (uint32_t)(version < DRIVER_VERSION_MOST ? version : DRIVER_VERSION_MOST);
    r = driver->calls.cuDeviceGetCount(&count);
    if (r) {
        refuse(welcome, "cuDeviceGetCount", r);
        return;
    }
    if (count > GN_DEVICES_MAX) {
        gn_log(GN_LOG_WARN, "the driver has %d devices; clients see the first %d", count, GN_DEVICES_MAX);
        count = GN_DEVICES_MAX;
    }
    for (int i = 0; i < count; i++) {
        memset(&welcome->devices[i], 0, sizeof welcome->devices[i]);
        const char *failed = take_device(driver, i, &welcome->devices[i], &r);
        if (failed) {
            refuse(welcome, failed, r);
            return;
        }
        welcome->device_count++;
    }
}
