// SPDX-License-Identifier: Apache-2.0
// Does --default-stream per-thread give every thread a stream of its own behind <<<grid, block>>>, which
// orders its own work, and does cudaStreamLegacy still reach the common one?
// nvcc: --default-stream per-thread
#include "compat.cuh"
#include <atomic>
#include <thread>

__global__ void step(int *data, int n, int add)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = (int)((unsigned)data[i] * 5u + (unsigned)add);
}

static std::atomic<int> wrong{0};

static void worker(int id, uint64_t *result)
{
    const int n = 2000;
    std::vector<int> in(n), want(n);
    int *data = nullptr;
    for (int i = 0; i < n; i++)
        in[i] = want[i] = id * 100 + i;
    CHECK(cudaMalloc(&data, n * sizeof(int)));
    CHECK(cudaMemcpyAsync(data, in.data(), n * sizeof(int), cudaMemcpyHostToDevice));
    for (int k = 0; k < 20; k++) {
        step<<<(n + 127) / 128, 128>>>(data, n, k + id);
        for (int &v : want)
            v = (int)((unsigned)v * 5u + (unsigned)(k + id));
    }
    std::vector<int> got(n);
    CHECK(cudaMemcpyAsync(got.data(), data, n * sizeof(int), cudaMemcpyDeviceToHost, cudaStreamPerThread));
    CHECK(cudaStreamSynchronize(0)); // this thread's stream
    EXPECT(cudaStreamQuery(cudaStreamPerThread) == cudaSuccess);
    wrong += got != want;
    *result = digest(got);
    CHECK(cudaFree(data));
}

int main()
{
    const int threads = 6;
    std::vector<std::thread> pool;
    std::vector<uint64_t> results(threads);
    for (int t = 0; t < threads; t++)
        pool.emplace_back(worker, t, &results[t]);
    for (std::thread &t : pool)
        t.join();
    for (int t = 0; t < threads; t++)
        printf("thread %d %016llx\n", t, (unsigned long long)results[t]);
    EXPECT(wrong == 0);

    // The legacy stream waits for per-thread streams: no synchronisation between the two launches.
    int *data = device_alloc<int>(64);
    CHECK(cudaMemset(data, 0, 64 * sizeof(int)));
    step<<<1, 64>>>(data, 64, 7);
    step<<<1, 64, 0, cudaStreamLegacy>>>(data, 64, 1);
    CHECK(cudaStreamSynchronize(cudaStreamLegacy));
    expect_equal("legacy after per-thread", to_host(data, 64), std::vector<int>(64, 36));
    return finish("stream_per_thread");
}
