// SPDX-License-Identifier: Apache-2.0
// Are device properties, attributes, versions, flags and limits consistent with each other and within reason?
// (Their values differ between devices and are not printed.)
#include "compat.cuh"

static int attribute(cudaDeviceAttr which)
{
    int value = -1;
    CHECK(cudaDeviceGetAttribute(&value, which, 0));
    return value;
}

__global__ void warp_size(int *out)
{
    *out = warpSize;
}

int main()
{
    int runtime = 0, driver = 0;
    CHECK(cudaRuntimeGetVersion(&runtime));
    CHECK(cudaDriverGetVersion(&driver));
    EXPECT(runtime == CUDART_VERSION && driver / 1000 >= runtime / 1000);

    cudaDeviceProp p;
    memset(&p, 0x5a, sizeof(p));
    CHECK(cudaGetDeviceProperties(&p, 0));
    EXPECT(strlen(p.name) > 0 && strlen(p.name) < sizeof(p.name));
    EXPECT(p.warpSize == 32 && p.warpSize == attribute(cudaDevAttrWarpSize));
    EXPECT(p.major * 10 + p.minor >= 75);
    EXPECT(p.major == attribute(cudaDevAttrComputeCapabilityMajor) &&
           p.minor == attribute(cudaDevAttrComputeCapabilityMinor));
    EXPECT(p.multiProcessorCount > 0 && p.multiProcessorCount == attribute(cudaDevAttrMultiProcessorCount));
    EXPECT(p.maxThreadsPerBlock == 1024 && p.maxThreadsPerBlock == attribute(cudaDevAttrMaxThreadsPerBlock));
    EXPECT(p.maxThreadsDim[0] == 1024 && p.maxThreadsDim[1] == 1024 && p.maxThreadsDim[2] == 64);
    EXPECT(p.maxGridSize[0] == 2147483647 && p.maxGridSize[1] == 65535 && p.maxGridSize[2] == 65535);
    EXPECT(p.sharedMemPerBlock == 48 * 1024 &&
           (int)p.sharedMemPerBlock == attribute(cudaDevAttrMaxSharedMemoryPerBlock));
    EXPECT(p.sharedMemPerBlockOptin >= 64 * 1024 && p.sharedMemPerMultiprocessor >= p.sharedMemPerBlockOptin);
    EXPECT(p.regsPerBlock >= 32768 && p.totalConstMem == 65536 && p.totalGlobalMem > 0);
    EXPECT(p.unifiedAddressing == 1 && p.canMapHostMemory == attribute(cudaDevAttrCanMapHostMemory));
    EXPECT(p.asyncEngineCount >= 1 && p.concurrentKernels == 1);
    EXPECT(p.pciBusID == attribute(cudaDevAttrPciBusId) &&
           p.pciDeviceID == attribute(cudaDevAttrPciDeviceId));

    size_t free_bytes = 0, total = 0;
    CHECK(cudaMemGetInfo(&free_bytes, &total));
    EXPECT(total <= p.totalGlobalMem + (64u << 20) && total + (2048ull << 20) >= p.totalGlobalMem);

    // The bus id leads back to the device.
    char bus[32] = "";
    int device = -1;
    CHECK(cudaDeviceGetPCIBusId(bus, sizeof(bus), 0));
    CHECK(cudaDeviceGetByPCIBusId(&device, bus));
    EXPECT(device == 0 && strlen(bus) >= 12);
    cudaDeviceProp wanted = {};
    wanted.major = p.major;
    wanted.minor = p.minor;
    CHECK(cudaChooseDevice(&device, &wanted));
    EXPECT(device >= 0);

    unsigned flags = 99;
    CHECK(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync | cudaDeviceMapHost));
    CHECK(cudaGetDeviceFlags(&flags));
    EXPECT((flags & cudaDeviceScheduleMask) == cudaDeviceScheduleBlockingSync);
    for (cudaLimit limit : {cudaLimitStackSize, cudaLimitPrintfFifoSize, cudaLimitMallocHeapSize}) {
        size_t value = 0, again = 0;
        CHECK(cudaDeviceGetLimit(&value, limit));
        EXPECT(value > 0);
        CHECK(cudaDeviceSetLimit(limit, value + 4096));
        CHECK(cudaDeviceGetLimit(&again, limit));
        EXPECT(again >= value + 4096);
    }
    int *out = device_alloc<int>(1);
    warp_size<<<1, 1>>>(out);
    EXPECT(to_host(out, 1)[0] == 32);
    return finish("device_query");
}
