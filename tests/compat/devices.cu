// SPDX-License-Identifier: Apache-2.0
// Where there are several devices: is the current device each thread's own, are memory, streams, globals and
// constants separate on each, do peer copies move data, and are handles of one device refused on another?
// (One device: the same on it.)
#include "compat.cuh"
#include <thread>

__device__ int global_cell = 5;
__constant__ int factor = 3;

__global__ void compute(const int *in, int *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = in[i] * factor + global_cell;
}

int main()
{
    int count = 0, current = -1;
    const int n = 1000;
    CHECK(cudaGetDeviceCount(&count));
    EXPECT(count >= 1);
    CHECK(cudaGetDevice(&current));
    EXPECT(current == 0);

    std::vector<int> in(n);
    for (int i = 0; i < n; i++)
        in[i] = i - 500;
    std::vector<int *> din(count), dout(count);
    std::vector<cudaStream_t> stream(count);
    for (int d = 0; d < count; d++) {
        int value = 100 + d;
        CHECK(cudaSetDevice(d));
        din[d] = to_device(in);
        dout[d] = device_alloc<int>(n);
        CHECK(cudaStreamCreate(&stream[d]));
        CHECK(cudaMemcpyToSymbol(global_cell, &value, sizeof(value)));
        value = d + 2;
        CHECK(cudaMemcpyToSymbol(factor, &value, sizeof(value)));
        cudaPointerAttributes a = {};
        CHECK(cudaPointerGetAttributes(&a, din[d]));
        EXPECT(a.device == d && a.type == cudaMemoryTypeDevice);
    }
    for (int d = count - 1; d >= 0; d--) {
        CHECK(cudaSetDevice(d));
        compute<<<(n + 127) / 128, 128, 0, stream[d]>>>(din[d], dout[d], n);
        CHECK(cudaGetLastError());
    }
    for (int d = 0; d < count; d++) {
        CHECK(cudaStreamSynchronize(stream[d])); // whichever device is current
        std::vector<int> got = to_host(dout[d], n);
        for (int i = 0; i < n; i++)
            EXPECT(got[i] == in[i] * (d + 2) + 100 + d);
    }

    // A new thread starts on device 0; what it sets stays its own.
    CHECK(cudaSetDevice(count - 1));
    std::thread([&] {
        int mine = -1;
        CHECK(cudaGetDevice(&mine));
        EXPECT(mine == 0);
        CHECK(cudaSetDevice(count / 2));
    }).join();
    CHECK(cudaGetDevice(&current));
    EXPECT(current == count - 1);

    // Between devices: named, and by unified addresses.
    int from = 0, to = count - 1;
    CHECK(cudaMemcpyPeer(dout[to], to, din[from], from, n * sizeof(int)));
    expect_equal("peer", to_host(dout[to], n), in);
    CHECK(cudaMemcpy(din[to], dout[from], n * sizeof(int), cudaMemcpyDefault));
    expect_equal("default", to_host(din[to], n), to_host(dout[from], n));
    CHECK(cudaMemcpyPeerAsync(dout[from], from, dout[to], to, n * sizeof(int), stream[from]));
    CHECK(cudaStreamSynchronize(stream[from]));
    expect_equal("peer asynchronous", to_host(dout[from], n), in);
    if (count > 1) {
        int can = -1;
        CHECK(cudaDeviceCanAccessPeer(&can, 0, 1));
        EXPECT(can == 0 || can == 1);
        CHECK(cudaSetDevice(1));
        compute<<<1, 32, 0, stream[0]>>>(din[1], dout[1], 32);
        EXPECT_ERROR(cudaGetLastError(), cudaErrorInvalidResourceHandle);
    }
    for (int d = 0; d < count; d++) {
        CHECK(cudaSetDevice(d));
        CHECK(cudaStreamDestroy(stream[d]));
        CHECK(cudaFree(din[d]));
        CHECK(cudaFree(dout[d]));
    }
    return finish("devices");
}
