// SPDX-License-Identifier: Apache-2.0
// Can several threads use the device at once, each with streams, events and memory of its own, some uploading
// while others download, and can one thread's memory and streams be used by another?
// also perthread: --default-stream per-thread
#include "compat.cuh"
#include <atomic>
#include <thread>

__global__ void mix(unsigned *data, int n, unsigned by)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = (data[i] ^ by) * 2654435761u;
}

static std::atomic<int> wrong{0};
static std::atomic<uint64_t> digests{0};

static void worker(int id)
{
    const int n = 20000 + id * 111;
    cudaStream_t up, down;
    cudaEvent_t ready;
    unsigned *pinned = nullptr, *device = nullptr;
    std::vector<unsigned> want(n);

    CHECK(cudaStreamCreateWithFlags(&up, cudaStreamNonBlocking));
    CHECK(cudaStreamCreateWithFlags(&down, cudaStreamNonBlocking));
    CHECK(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming));
    CHECK(cudaMallocHost(&pinned, n * sizeof(unsigned)));
    CHECK(cudaMalloc(&device, n * sizeof(unsigned)));
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < n; i++) {
            pinned[i] = (unsigned)(i + id * 7 + round);
            want[i] = (((pinned[i] ^ (unsigned)id) * 2654435761u) ^ (unsigned)round) * 2654435761u;
        }
        CHECK(cudaMemcpyAsync(device, pinned, n * sizeof(unsigned), cudaMemcpyHostToDevice, up));
        mix<<<(n + 255) / 256, 256, 0, up>>>(device, n, (unsigned)id);
        CHECK(cudaEventRecord(ready, up));
        CHECK(cudaStreamWaitEvent(down, ready, 0));
        mix<<<(n + 255) / 256, 256, 0, down>>>(device, n, (unsigned)round);
        CHECK(cudaMemcpyAsync(pinned, device, n * sizeof(unsigned), cudaMemcpyDeviceToHost, down));
        CHECK(cudaStreamSynchronize(down));
        wrong += memcmp(pinned, want.data(), n * sizeof(unsigned)) != 0;
    }
    digests += digest(want);
    CHECK(cudaFree(device));
    CHECK(cudaFreeHost(pinned));
    CHECK(cudaEventDestroy(ready));
    CHECK(cudaStreamDestroy(up));
    CHECK(cudaStreamDestroy(down));
}

int main()
{
    std::vector<std::thread> pool;
    for (int id = 0; id < 8; id++)
        pool.emplace_back(worker, id);
    for (std::thread &t : pool)
        t.join();
    EXPECT(wrong == 0);

    // Made here, used there, freed elsewhere.
    cudaStream_t stream;
    unsigned *device = device_alloc<unsigned>(100);
    CHECK(cudaMemset(device, 0, 400));
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaStreamCreate(&stream));
    std::thread([&] {
        mix<<<1, 100, 0, stream>>>(device, 100, 5u);
        CHECK(cudaGetLastError());
    }).join();
    std::thread([&] {
        CHECK(cudaStreamSynchronize(stream));
        CHECK(cudaStreamDestroy(stream));
    }).join();
    EXPECT(to_host(device, 100)[99] == 5u * 2654435761u);
    std::thread([&] { CHECK(cudaFree(device)); }).join();
    printf("sum of digests %016llx\n", (unsigned long long)digests.load());
    return finish("host_threads");
}
