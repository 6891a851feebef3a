// SPDX-License-Identifier: Apache-2.0
// Devices: everything is answered from the snapshot that came with the server's welcome.
#include <stdio.h>
#include <string.h>

#include "api_calls.h"
#include "interpose/shim.h"

static CUresult find(CUdevice device, const struct gn_device_snapshot **d)
{
    *d = gn_device(device);
    return *d ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

// 0 when the device has no such attribute.
static int attribute(const struct gn_device_snapshot *d, CUdevice_attribute attribute_number)
{
    return d->attribute_known[attribute_number] ? d->attributes[attribute_number] : 0;
}

CUresult gn_cuDeviceGetCount(struct gn_call *c, int *count)
{
    (void)c;
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = (int)gn_shim.welcome.device_count;
    return CUDA_SUCCESS;
}

CUresult gn_cuDeviceGet(struct gn_call *c, CUdevice *device, int ordinal)
{
    (void)c;
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_device(ordinal))
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult gn_cuDeviceGetAttribute(struct gn_call *c, int *value, CUdevice_attribute number, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &d);
    if (r)
        return r;
    if ((unsigned)number >= GN_DEVICE_ATTRIBUTES_MAX || !d->attribute_known[number])
        return CUDA_ERROR_INVALID_VALUE;
    *value = d->attributes[number];
    return CUDA_SUCCESS;
}

CUresult gn_cuDeviceComputeCapability(struct gn_call *c, int *major, int *minor, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    if (!major || !minor)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &d);
    if (r)
        return r;
    *major = attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    *minor = attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    return CUDA_SUCCESS;
}

// A text cut to what the program has room for, as the driver does it.
static CUresult give_text(char *to, int room_bytes, const char *text)
{
    if (!to || room_bytes <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(to, (size_t)room_bytes, "%s", text);
    return CUDA_SUCCESS;
}

CUresult gn_cuDeviceGetName(struct gn_call *c, char *name, int len, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    CUresult r = find(device, &d);
    return r ? r : give_text(name, len, d->name);
}

CUresult gn_cuDeviceGetPCIBusId(struct gn_call *c, char *id, int len, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    CUresult r = find(device, &d);
    return r ? r : give_text(id, len, d->pci_bus_id);
}

// domain:bus:device.function, domain:bus:device or bus:device.function, in hexadecimal.
static bool parse_bus_id(const char *text, unsigned *domain, unsigned *bus, unsigned *device)
{
    unsigned function;
    int end = 0;
    if (text[strspn(text, "0123456789abcdefABCDEF:.")]) // scanf would take signs, spaces and "0x"
        return false;
    if (sscanf(text, "%x:%x:%x.%x%n", domain, bus, device, &function, &end) == 4 && !text[end])
        return true;
    if (sscanf(text, "%x:%x:%x%n", domain, bus, device, &end) == 3 && !text[end])
        return true;
    *domain = 0;
    return sscanf(text, "%x:%x.%x%n", bus, device, &function, &end) == 3 && !text[end];
}

CUresult gn_cuDeviceGetByPCIBusId(struct gn_call *c, CUdevice *device, const char *id)
{
    (void)c;
    unsigned domain, bus, place;
    if (!device || !id || !parse_bus_id(id, &domain, &bus, &place))
        return CUDA_ERROR_INVALID_VALUE;
    for (CUdevice i = 0; gn_device(i); i++) {
        const struct gn_device_snapshot *d = gn_device(i);
        if ((unsigned)attribute(d, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID) == domain &&
            (unsigned)attribute(d, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID) == bus &&
            (unsigned)attribute(d, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID) == place) {
            *device = i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

static CUresult give_uuid(CUuuid *uuid, CUdevice device)
{
    const struct gn_device_snapshot *d;
    if (!uuid)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &d);
    if (!r)
        *uuid = d->uuid;
    return r;
}

CUresult gn_cuDeviceGetUuid(struct gn_call *c, CUuuid *uuid, CUdevice device)
{
    (void)c;
    return give_uuid(uuid, device);
}

CUresult gn_cuDeviceGetUuid_v2(struct gn_call *c, CUuuid *uuid, CUdevice device)
{
    (void)c;
    return give_uuid(uuid, device);
}

CUresult gn_cuDeviceGetLuid(struct gn_call *c, char *luid, unsigned int *mask, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    if (!luid || !mask)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &d);
    if (r)
        return r;
    if (!d->has_luid) // outside Windows a device has none
        return CUDA_ERROR_NOT_SUPPORTED;
    memcpy(luid, d->luid, sizeof d->luid);
    *mask = d->luid_mask;
    return CUDA_SUCCESS;
}

CUresult gn_cuDeviceTotalMem_v2(struct gn_call *c, size_t *bytes, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &d);
    if (!r)
        *bytes = d->memory_bytes;
    return r;
}

CUresult gn_cuDeviceGetProperties(struct gn_call *c, CUdevprop *p, CUdevice device)
{
    (void)c;
    const struct gn_device_snapshot *d;
    if (!p)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &d);
    if (r)
        return r;
    *p = (CUdevprop){
        .maxThreadsPerBlock = attribute(d, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
        .maxThreadsDim = {attribute(d, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X),
                          attribute(d, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y),
                          attribute(d, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z)},
        .maxGridSize = {attribute(d, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X),
                        attribute(d, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
                        attribute(d, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)},
        .sharedMemPerBlock = attribute(d, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
        .totalConstantMemory = attribute(d, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
        .SIMDWidth = attribute(d, CU_DEVICE_ATTRIBUTE_WARP_SIZE),
        .memPitch = attribute(d, CU_DEVICE_ATTRIBUTE_MAX_PITCH),
        .regsPerBlock = attribute(d, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
        .clockRate = attribute(d, CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
        .textureAlign = attribute(d, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT),
    };
    return CUDA_SUCCESS;
}

CUresult gn_cuDeviceGetExecAffinitySupport(struct gn_call *c, int *supported, CUexecAffinityType type,
                                           CUdevice device)
{
    (void)c;
    if (!supported || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *supported = 0;
    return CUDA_SUCCESS;
}

// --- peer access is not carried: copies between devices go through the server's memory

static CUresult check_peers(CUdevice a, CUdevice b)
{
    return gn_device(a) && gn_device(b) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult gn_cuDeviceCanAccessPeer(struct gn_call *c, int *can, CUdevice device, CUdevice peer)
{
    (void)c;
    if (!can)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = check_peers(device, peer);
    if (!r)
        *can = 0;
    return r;
}

CUresult gn_cuDeviceGetP2PAttribute(struct gn_call *c, int *value, CUdevice_P2PAttribute number,
                                    CUdevice from, CUdevice to)
{
    (void)c;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = from == to ? CUDA_ERROR_INVALID_DEVICE : check_peers(from, to);
    if (!r && (number < CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ||
               number > CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *value = 0;
    return r;
}
