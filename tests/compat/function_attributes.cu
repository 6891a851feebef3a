// SPDX-License-Identifier: Apache-2.0
// Does cudaFuncGetAttributes tell what the code says (static shared, constant and local sizes, launch bounds,
// parameters), and do the settable attributes stick?
#include "compat.cuh"

__constant__ int weights[256];

__global__ void __launch_bounds__(192) bounded(int *out)
{
    __shared__ int s[300];
    s[threadIdx.x] = weights[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = s[191 - threadIdx.x];
}

__global__ void stacked(int *out, int at)
{
    int v[100];
    for (int i = 0; i < 100; i++)
        v[i] = i * at;
    v[at % 100] = 7;
    int sum = 0;
    for (int i = 0; i < 100; i++)
        sum += v[(i * at) % 100];
    *out = sum;
}

int main()
{
    cudaFuncAttributes a = {};
    CHECK(cudaFuncGetAttributes(&a, bounded));
    EXPECT(a.sharedSizeBytes == 300 * sizeof(int));
    EXPECT(a.maxThreadsPerBlock == 192);
    EXPECT(a.numRegs > 0 && a.numRegs <= 255);
    EXPECT(a.localSizeBytes == 0);
    EXPECT(a.ptxVersion == 75);
    EXPECT(a.binaryVersion >= 75);
    EXPECT(a.maxDynamicSharedSizeBytes >= 46 * 1024);
    printf("shared %zu, threads %d, PTX %d\n", a.sharedSizeBytes, a.maxThreadsPerBlock, a.ptxVersion);
    CHECK(cudaFuncGetAttributes(&a, stacked));
    EXPECT(a.sharedSizeBytes == 0 && a.maxThreadsPerBlock == 1024 && a.localSizeBytes >= 400);

    CHECK(cudaFuncSetAttribute(bounded, cudaFuncAttributeMaxDynamicSharedMemorySize, 20000));
    CHECK(cudaFuncSetAttribute(bounded, cudaFuncAttributePreferredSharedMemoryCarveout, 50));
    CHECK(cudaFuncGetAttributes(&a, bounded));
    EXPECT(a.maxDynamicSharedSizeBytes == 20000);
    EXPECT(a.preferredShmemCarveout == 50);
    EXPECT_ERROR(cudaFuncSetAttribute(bounded, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 30),
                 cudaErrorInvalidValue);
    (void)cudaGetLastError();
    CHECK(cudaFuncSetCacheConfig(bounded, cudaFuncCachePreferShared));

    // Within the bounds it runs, beyond them it does not.
    std::vector<int> w(256);
    for (int i = 0; i < 256; i++)
        w[i] = i * 3;
    CHECK(cudaMemcpyToSymbol(weights, w.data(), sizeof(int) * 256));
    int *out = device_alloc<int>(256);
    bounded<<<1, 192, 20000>>>(out);
    CHECK(cudaGetLastError());
    std::vector<int> got = to_host(out, 192);
    for (int i = 0; i < 192; i++)
        EXPECT(got[i] == (191 - i) * 3);
    bounded<<<1, 224>>>(out);
    cudaError_t refused = cudaGetLastError(); // which of the two codes, drivers have not always agreed
    EXPECT(refused == cudaErrorInvalidValue || refused == cudaErrorLaunchOutOfResources);
    stacked<<<1, 1>>>(out, 3);
    int want = 0, v[100];
    for (int i = 0; i < 100; i++)
        v[i] = i * 3;
    v[3] = 7;
    for (int i = 0; i < 100; i++)
        want += v[i * 3 % 100];
    EXPECT(to_host(out, 1)[0] == want);

    const char *name = nullptr;
    CHECK(cudaFuncGetName(&name, (const void *)stacked));
    EXPECT(strstr(name, "stacked") != nullptr);
    // Which of the two codes depends on what the driver says of an address that is no handle.
    cudaError_t none = cudaFuncGetAttributes(&a, (const void *)main);
    EXPECT(none == cudaErrorInvalidDeviceFunction || none == cudaErrorInvalidResourceHandle);
    return finish("function_attributes");
}
