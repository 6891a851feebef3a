// SPDX-License-Identifier: Apache-2.0
// Can streams be made with a priority, is it reported (clamped to the device's range), and does their work
// come out right?
#include "compat.cuh"

__global__ void fill(int *data, int n, int value)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        data[i] = value + i;
}

int main()
{
    int least = 99, greatest = 99;
    CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    EXPECT(least == 0 && greatest <= least); // a smaller number is a higher priority

    const int n = 3000;
    for (int priority : {least, greatest, greatest - 10, least + 10}) {
        cudaStream_t s;
        int reported = 99, *data = device_alloc<int>(n);
        CHECK(cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, priority));
        CHECK(cudaStreamGetPriority(s, &reported));
        EXPECT(reported == std::min(std::max(priority, greatest), least));
        fill<<<6, 128, 0, s>>>(data, n, priority - greatest);
        std::vector<int> got(n);
        CHECK(cudaMemcpyAsync(got.data(), data, n * sizeof(int), cudaMemcpyDeviceToHost, s));
        CHECK(cudaStreamSynchronize(s));
        for (int i = 0; i < n; i++)
            EXPECT(got[i] == priority - greatest + i);
        CHECK(cudaStreamDestroy(s));
        CHECK(cudaFree(data));
    }

    // Ids are unique while a stream lives.
    cudaStream_t a, b;
    unsigned long long id_a = 0, id_b = 0;
    CHECK(cudaStreamCreate(&a));
    CHECK(cudaStreamCreate(&b));
    CHECK(cudaStreamGetId(a, &id_a));
    CHECK(cudaStreamGetId(b, &id_b));
    EXPECT(id_a != id_b);
    CHECK(cudaStreamDestroy(a));
    CHECK(cudaStreamDestroy(b));
    return finish("stream_priority");
}
