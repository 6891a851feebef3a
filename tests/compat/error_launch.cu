// SPDX-License-Identifier: Apache-2.0
// Are launch configurations that no device takes refused at the launch, with the right code, which
// cudaGetLastError gives once, per thread, and does the program go on working?
#include "compat.cuh"
#include <thread>

__global__ void mark(int *out)
{
    out[threadIdx.x] = (int)threadIdx.x + 1;
}

static void refused(const char *what, dim3 grid, dim3 block, size_t shared, cudaError_t want, int *out)
{
    mark<<<grid, block, shared>>>(out);
    cudaError_t peeked = cudaPeekAtLastError(), got = cudaGetLastError();
    printf("%s: %s\n", what, cudaGetErrorName(got));
    EXPECT(got == want && peeked == got);
    EXPECT(cudaGetLastError() == cudaSuccess);
}

int main()
{
    int *out = device_alloc<int>(64);
    refused("no blocks", dim3(0), dim3(32), 0, cudaErrorInvalidConfiguration, out);
    refused("no threads", dim3(1), dim3(0), 0, cudaErrorInvalidConfiguration, out);
    refused("1025 threads", dim3(1), dim3(1025), 0, cudaErrorInvalidConfiguration, out);
    refused("64 x 32 threads", dim3(1), dim3(64, 32), 0, cudaErrorInvalidConfiguration, out);
    refused("65 threads deep", dim3(1), dim3(1, 1, 65), 0, cudaErrorInvalidConfiguration, out);
    refused("65536 blocks high", dim3(1, 65536), dim3(1), 0, cudaErrorInvalidConfiguration, out);
    refused("65536 blocks deep", dim3(1, 1, 65536), dim3(1), 0, cudaErrorInvalidConfiguration, out);
    refused("too much shared memory", dim3(1), dim3(32), 100u << 20, cudaErrorInvalidValue, out);

    void *arguments[] = {&out};
    // Which of the two codes depends on what the driver says of an address that is no handle.
    cudaError_t none = cudaLaunchKernel((const void *)&failures, dim3(1), dim3(1), arguments, 0, nullptr);
    EXPECT(none == cudaErrorInvalidDeviceFunction || none == cudaErrorInvalidResourceHandle);
    EXPECT_ERROR(cudaGetLastError(), none);

    // The last error belongs to the thread that made it.
    mark<<<1, 4096>>>(out);
    cudaError_t elsewhere = cudaErrorUnknown;
    std::thread([&] { elsewhere = cudaGetLastError(); }).join();
    EXPECT_ERROR(elsewhere, cudaSuccess);
    EXPECT_ERROR(cudaGetLastError(), cudaErrorInvalidConfiguration);

    mark<<<1, 64>>>(out);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    std::vector<int> got = to_host(out, 64);
    for (int i = 0; i < 64; i++)
        EXPECT(got[i] == i + 1);
    EXPECT(strcmp(cudaGetErrorName(cudaErrorInvalidConfiguration), "cudaErrorInvalidConfiguration") == 0);
    EXPECT(strlen(cudaGetErrorString(cudaErrorIllegalAddress)) > 10);
    return finish("error_launch");
}
