// SPDX-License-Identifier: Apache-2.0
// Does the legacy default stream wait for blocking streams and they for it, and leave non-blocking streams
// alone? Kernels take a while (a counted loop), so that an order which is not kept shows.
#include "compat.cuh"

__global__ void slow_set(int *cell, int value, int loops, unsigned *scratch)
{
    unsigned v = threadIdx.x;
    for (int i = 0; i < loops; i++)
        v = v * 1664525u + 1013904223u;
    scratch[threadIdx.x] = v;
    if (threadIdx.x == 0)
        *cell = value;
}

__global__ void copy_add(int *to, const int *from, int add)
{
    *to = *from + add;
}

int main()
{
    cudaStream_t blocking, other, apart;
    int *cells = device_alloc<int>(8);
    unsigned *scratch = device_alloc<unsigned>(4 * 32);
    const int loops = 20000;

    CHECK(cudaStreamCreate(&blocking));
    CHECK(cudaStreamCreateWithFlags(&other, cudaStreamDefault));
    CHECK(cudaStreamCreateWithFlags(&apart, cudaStreamNonBlocking));
    unsigned flags = 99;
    CHECK(cudaStreamGetFlags(apart, &flags));
    EXPECT(flags == cudaStreamNonBlocking);
    CHECK(cudaStreamGetFlags(blocking, &flags));
    EXPECT(flags == cudaStreamDefault);

    for (int round = 0; round < 5; round++) {
        CHECK(cudaMemset(cells, 0, 8 * sizeof(int)));
        // blocking -> default -> other: each reads what the one before wrote, with no event and no
        // synchronisation.
        slow_set<<<1, 32, 0, blocking>>>(&cells[0], 10 + round, loops, scratch);
        copy_add<<<1, 1>>>(&cells[1], &cells[0], 1);
        slow_set<<<1, 32>>>(&cells[2], 20 + round, loops, scratch + 32);
        copy_add<<<1, 1, 0, other>>>(&cells[3], &cells[2], 1);
        copy_add<<<1, 1, 0, cudaStreamLegacy>>>(&cells[4], &cells[3], 1);
        std::vector<int> got = to_host(cells, 8); // a copy in the default stream: after all of them
        EXPECT(got[0] == 10 + round && got[1] == 11 + round);
        EXPECT(got[2] == 20 + round && got[3] == 21 + round && got[4] == 22 + round);
    }

    // A non-blocking stream does not wait for the default one: its own work completes by itself and in its
    // order.
    slow_set<<<1, 32>>>(&cells[5], 50, 5 * loops, scratch + 64);
    slow_set<<<1, 32, 0, apart>>>(&cells[6], 60, 10, scratch + 96);
    copy_add<<<1, 1, 0, apart>>>(&cells[7], &cells[6], 1);
    CHECK(cudaStreamSynchronize(apart));
    int host = 0;
    CHECK(cudaMemcpyAsync(&host, &cells[7], sizeof(int), cudaMemcpyDeviceToHost, apart));
    CHECK(cudaStreamSynchronize(apart));
    EXPECT(host == 61);
    CHECK(cudaDeviceSynchronize());
    EXPECT(to_host(cells, 8)[5] == 50);
    printf("chain %d\n", host);
    CHECK(cudaStreamDestroy(blocking));
    CHECK(cudaStreamDestroy(other));
    CHECK(cudaStreamDestroy(apart));
    return finish("stream_legacy");
}
