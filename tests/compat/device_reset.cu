// SPDX-License-Identifier: Apache-2.0
// Does cudaDeviceReset give everything back (memory, globals to their initialisers, settings) and leave the
// program able to start over, several times?
#include "compat.cuh"

__device__ int counter = 7;
__constant__ int step = 2;

__global__ void count(int *out)
{
    *out = atomicAdd(&counter, step * (int)blockDim.x);
}

int main()
{
    size_t first_free = 0, total = 0;
    for (int round = 0; round < 4; round++) {
        size_t free_bytes = 0;
        CHECK(cudaFree(nullptr));
        CHECK(cudaMemGetInfo(&free_bytes, &total));
        if (round == 0)
            first_free = free_bytes;
        EXPECT(free_bytes + (32u << 20) >= first_free); // what the round before leaked is free again

        int *out = device_alloc<int>(1), by = 10;
        cudaStream_t stream;
        CHECK(cudaStreamCreate(&stream));
        count<<<1, 1, 0, stream>>>(out);
        CHECK(cudaStreamSynchronize(stream));
        EXPECT(to_host(out, 1)[0] == 7);
        CHECK(cudaMemcpyToSymbol(step, &by, sizeof(by)));
        count<<<1, 1>>>(out);
        EXPECT(to_host(out, 1)[0] == 9);
        int value = 0;
        CHECK(cudaMemcpyFromSymbol(&value, counter, sizeof(value)));
        EXPECT(value == 19);
        printf("round %d: %d\n", round, value);
        (void)device_alloc<char>(24 << 20); // left behind, like the stream
        CHECK(cudaDeviceReset());
    }
    EXPECT_ERROR(cudaGetLastError(), cudaSuccess);
    return finish("device_reset");
}
