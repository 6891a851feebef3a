// SPDX-License-Identifier: Apache-2.0
// Devices: their number, names, identities and attributes.
#include <stdio.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_state.h"

enum { PCI_BUS_FIRST = 0x41, PCI_DEVICE_ID = 0x1fff, PCI_VENDOR = 0x10de };

static const struct mock_sm_shape shapes[] = { // the published limits of each compute capability
    {75, 1024, 16, 64 << 10, 64 << 10, 0, 1},
    {80, 2048, 32, 164 << 10, 163 << 10, 1 << 10, 1},
    {86, 1536, 16, 100 << 10, 99 << 10, 1 << 10, 1},
    {87, 1536, 16, 164 << 10, 163 << 10, 1 << 10, 1},
    {89, 1536, 24, 100 << 10, 99 << 10, 1 << 10, 1},
    {90, 2048, 32, 228 << 10, 227 << 10, 1 << 10, 8},
};

const struct mock_sm_shape *mock_shape(void)
{
    const struct mock_sm_shape *s = shapes;
    while (s->sm != mock.options.sm)
        s++;
    return s;
}

CUresult mock_devices_open(void)
{
    for (unsigned i = 0; i < mock.options.devices; i++) {
        struct mock_device *d = &mock.devices[i];
        snprintf(d->name, sizeof d->name, "Genie Mock Device");
        snprintf(d->bus_id, sizeof d->bus_id, "0000:%02X:00.0", PCI_BUS_FIRST + i);
        memcpy(d->uuid.bytes, "\x67\x65\x6e\x69\x65\x2d\x4d\x6f\x80\x6b\x2d\x64\x65\x76\x00", 15);
        d->uuid.bytes[15] = (char)i;
        if (mock_arena_open(i, mock.options.mem_bytes))
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return CUDA_SUCCESS;
}

// Attributes whose value is the same for every mock device. What is absent is 0: features that the mock does not have.
static const struct {
    CUdevice_attribute attribute;
    int value;
} fixed[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, MOCK_BLOCK_THREADS_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, MOCK_BLOCK_X_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, MOCK_BLOCK_Y_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, MOCK_BLOCK_Z_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, MOCK_GRID_X_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, MOCK_GRID_YZ_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, MOCK_GRID_YZ_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, MOCK_SHARED_DEFAULT_MAX},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 64 << 10},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, MOCK_WARP_THREADS},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, MOCK_PITCH_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, MOCK_BLOCK_REGISTERS_MAX},
    {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1500000},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT},
    {CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 0},
    {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1600000},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 256},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 8 << 20},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, 0},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, MOCK_BLOCK_REGISTERS_MAX},
    {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_MEM_OPS_V1, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS_V1, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR_V1, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 1},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_NUMA_ID, -1},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, -1},
    {CU_DEVICE_ATTRIBUTE_GPU_PCI_DEVICE_ID, PCI_DEVICE_ID << 16 | PCI_VENDOR},
    {CU_DEVICE_ATTRIBUTE_GPU_PCI_SUBSYSTEM_ID, PCI_VENDOR},
    {CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT, 1},
};

CUresult mock_cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
    const struct mock_sm_shape *shape = mock_shape();
    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    if (!mock_device_exists(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (attrib < 1 || attrib > CU_DEVICE_ATTRIBUTE_ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED)
        return CUDA_ERROR_INVALID_VALUE;
    switch (attrib) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *pi = (int)mock.options.sms; break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *pi = PCI_BUS_FIRST + dev; break;
    case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID: *pi = dev; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *pi = (int)(shape->sm / 10); break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *pi = (int)(shape->sm % 10); break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: *pi = shape->sm_threads; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: *pi = shape->sm_blocks; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: *pi = shape->sm_shared_bytes; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *pi = shape->block_shared_bytes; break;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: *pi = shape->reserved_shared_bytes; break;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED: *pi = !mock.options.novmm; break;
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH: *pi = shape->cluster_blocks > 1; break;
    default:
        *pi = 0;
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
            if (fixed[i].attribute == attrib)
                *pi = fixed[i].value;
    }
    return CUDA_SUCCESS;
}

CUresult mock_cuDeviceGetCount(int *count)
{
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = (int)mock.options.devices;
    return CUDA_SUCCESS;
}

CUresult mock_cuDeviceGet(CUdevice *device, int ordinal)
{
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (!mock_device_exists(ordinal))
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

// What most questions about a device refuse: a missing place for the answer, a device that does not exist.
static CUresult asked(const void *where, CUdevice dev)
{
    return !where ? CUDA_ERROR_INVALID_VALUE : mock_device_exists(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult mock_cuDeviceGetName(char *name, int len, CUdevice dev)
{
    CUresult r = len > 0 ? asked(name, dev) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        snprintf(name, (size_t)len, "%s", mock.devices[dev].name);
    return r;
}

CUresult mock_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
    CUresult r = asked(uuid, dev);
    if (r == CUDA_SUCCESS)
        *uuid = mock.devices[dev].uuid;
    return r;
}

CUresult mock_cuDeviceGetUuid(CUuuid *uuid, CUdevice dev) { return mock_cuDeviceGetUuid_v2(uuid, dev); }

CUresult mock_cuDeviceGetLuid(char *luid, unsigned int *deviceNodeMask, CUdevice dev)
{
    (void)luid;
    (void)deviceNodeMask;
    return mock_device_exists(dev) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_DEVICE; // LUIDs are Windows'
}

CUresult mock_cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
    CUresult r = asked(bytes, dev);
    if (r == CUDA_SUCCESS)
        *bytes = mock.options.mem_bytes;
    return r;
}

CUresult mock_cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
    CUresult r = major && minor ? asked(major, dev) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS) {
        *major = (int)(mock.options.sm / 10);
        *minor = (int)(mock.options.sm % 10);
    }
    return r;
}

CUresult mock_cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
    CUresult r = asked(prop, dev);
    if (r == CUDA_SUCCESS)
        *prop = (CUdevprop){
            .maxThreadsPerBlock = MOCK_BLOCK_THREADS_MAX,
            .maxThreadsDim = {MOCK_BLOCK_X_MAX, MOCK_BLOCK_Y_MAX, MOCK_BLOCK_Z_MAX},
            .maxGridSize = {MOCK_GRID_X_MAX, MOCK_GRID_YZ_MAX, MOCK_GRID_YZ_MAX},
            .sharedMemPerBlock = MOCK_SHARED_DEFAULT_MAX,
            .totalConstantMemory = 64 << 10,
            .SIMDWidth = MOCK_WARP_THREADS,
            .memPitch = MOCK_PITCH_MAX,
            .regsPerBlock = MOCK_BLOCK_REGISTERS_MAX,
            .clockRate = 1500000,
            .textureAlign = 512,
        };
    return r;
}

CUresult mock_cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
    CUresult r = len > 0 ? asked(pciBusId, dev) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        snprintf(pciBusId, (size_t)len, "%s", mock.devices[dev].bus_id);
    return r;
}

CUresult mock_cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
    // As the driver takes them: [domain]:[bus]:[device].[function], the first and the last may be missing.
    unsigned domain = 0, bus, device, function = 0;
    if (!dev || !pciBusId)
        return CUDA_ERROR_INVALID_VALUE;
    if (sscanf(pciBusId, "%x:%x:%x.%x", &domain, &bus, &device, &function) < 3) {
        domain = function = 0;
        if (sscanf(pciBusId, "%x:%x.%x", &bus, &device, &function) < 2)
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (domain || device || function || bus < PCI_BUS_FIRST || !mock_device_exists((int)(bus - PCI_BUS_FIRST)))
        return CUDA_ERROR_INVALID_DEVICE;
    *dev = (CUdevice)(bus - PCI_BUS_FIRST);
    return CUDA_SUCCESS;
}

CUresult mock_cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
    CUresult r = asked(pi, dev);
    if (r == CUDA_SUCCESS && type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *pi = 0;
    return r;
}

CUresult mock_cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
    CUresult r = asked(canAccessPeer, dev);
    if (r == CUDA_SUCCESS)
        r = asked(canAccessPeer, peerDev);
    if (r == CUDA_SUCCESS)
        *canAccessPeer = 0; // copies between devices work; kernels reach their own device only
    return r;
}

CUresult mock_cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                      CUdevice dstDevice)
{
    CUresult r = asked(value, srcDevice);
    if (r == CUDA_SUCCESS)
        r = asked(value, dstDevice);
    if (r == CUDA_SUCCESS && srcDevice == dstDevice)
        r = CUDA_ERROR_INVALID_DEVICE;
    if (r == CUDA_SUCCESS &&
        (attrib < CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ||
         attrib > CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *value = 0;
    return r;
}
