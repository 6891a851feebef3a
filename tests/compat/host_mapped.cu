// SPDX-License-Identifier: Apache-2.0
// Can kernels read and write mapped host memory through its device pointer, with results there after a
// synchronisation?
#include "compat.cuh"

__global__ void transform(const int *in, int *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = in[i] * 2 + 1;
}

int main()
{
    const int n = 3000;
    int supported = 0, *host_in = nullptr, *host_out = nullptr, *in = nullptr, *out = nullptr;
    CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrCanMapHostMemory, 0));
    if (!supported) {
        fprintf(stderr, "host_mapped: this device cannot map host memory\n");
        return finish("host_mapped");
    }
    CHECK(cudaHostAlloc(&host_in, n * sizeof(int), cudaHostAllocMapped));
    CHECK(cudaHostAlloc(&host_out, n * sizeof(int), cudaHostAllocMapped));
    CHECK(cudaHostGetDevicePointer(&in, host_in, 0));
    CHECK(cudaHostGetDevicePointer(&out, host_out, 0));
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < n; i++) {
            host_in[i] = i * (round + 1);
            host_out[i] = -1;
        }
        transform<<<(n + 255) / 256, 256>>>(in, out, n);
        CHECK(cudaDeviceSynchronize());
        for (int i = 0; i < n; i++)
            EXPECT(host_out[i] == i * (round + 1) * 2 + 1);
    }
    // A copy between mapped and device memory, by either pointer.
    int *device = device_alloc<int>(n);
    CHECK(cudaMemcpy(device, host_out, n * sizeof(int), cudaMemcpyDefault));
    std::vector<int> got = to_host(device, n);
    for (int i = 0; i < n; i++)
        EXPECT(got[i] == i * 5 * 2 + 1);
    CHECK(cudaFreeHost(host_in));
    CHECK(cudaFreeHost(host_out));
    return finish("host_mapped");
}
