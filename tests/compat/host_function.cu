// SPDX-License-Identifier: Apache-2.0
// Do host functions run in stream order, see what the work before them wrote, hold back what comes after
// them, and run once each, across several streams?
#include "compat.cuh"
#include <mutex>

__global__ void add_one(int *data, int n)
{
    int i = threadIdx.x;
    if (i < n)
        data[i]++;
}

struct Stage {
    int *pinned;
    int stream, stage;
};

static std::mutex lock;
static std::vector<int> calls[3];
static int wrong_values;

static void CUDART_CB on_stage(void *arg)
{
    Stage *s = static_cast<Stage *>(arg);
    std::lock_guard<std::mutex> guard(lock);
    calls[s->stream].push_back(s->stage);
    // Each stage adds one on the device and ten here.
    for (int i = 0; i < 32; i++) {
        wrong_values += s->pinned[i] != s->stage * 11 + 1 + i;
        s->pinned[i] += 10;
    }
}

int main()
{
    const int streams = 3, stages = 10, n = 32;
    cudaStream_t stream[streams];
    int *device[streams], *pinned[streams];
    std::vector<Stage> stage;
    stage.reserve(streams * stages);
    for (int s = 0; s < streams; s++) {
        CHECK(cudaStreamCreate(&stream[s]));
        CHECK(cudaMallocHost(&pinned[s], n * sizeof(int)));
        device[s] = device_alloc<int>(n);
        for (int i = 0; i < n; i++)
            pinned[s][i] = i;
    }
    for (int k = 0; k < stages; k++)
        for (int s = 0; s < streams; s++) {
            stage.push_back({pinned[s], s, k});
            CHECK(cudaMemcpyAsync(device[s], pinned[s], n * sizeof(int), cudaMemcpyHostToDevice, stream[s]));
            add_one<<<1, 32, 0, stream[s]>>>(device[s], n);
            CHECK(cudaMemcpyAsync(pinned[s], device[s], n * sizeof(int), cudaMemcpyDeviceToHost, stream[s]));
            CHECK(cudaLaunchHostFunc(stream[s], on_stage, &stage.back()));
        }
    CHECK(cudaDeviceSynchronize());

    EXPECT(wrong_values == 0);
    for (int s = 0; s < streams; s++) {
        EXPECT((int)calls[s].size() == stages);
        for (int k = 0; k < (int)calls[s].size(); k++)
            EXPECT(calls[s][k] == k);
        for (int i = 0; i < n; i++)
            EXPECT(pinned[s][i] == stages * 11 + i);
        printf("stream %d: %zu calls, first value %d\n", s, calls[s].size(), pinned[s][0]);
    }
    EXPECT_ERROR(cudaLaunchHostFunc(stream[0], nullptr, nullptr), cudaErrorInvalidValue);
    for (int s = 0; s < streams; s++) {
        CHECK(cudaStreamDestroy(stream[s]));
        CHECK(cudaFreeHost(pinned[s]));
    }
    return finish("host_function");
}
