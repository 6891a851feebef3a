// SPDX-License-Identifier: Apache-2.0
// Does work in one stream run in its order, whatever else runs, and does synchronising one stream see all of
// its work? Eight streams each run a chain of dependent copies, memsets and kernels, interleaved at issue.
// also perthread: --default-stream per-thread
#include "compat.cuh"

__global__ void step(int *data, int n, unsigned multiply, unsigned add)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = (int)((unsigned)data[i] * multiply + add);
}

int main()
{
    const int streams = 8, steps = 12, n = 4096;
    const size_t size = n * sizeof(int);
    std::vector<cudaStream_t> stream(streams);
    std::vector<int *> device(streams), copy(streams), in(streams), out(streams);
    for (int s = 0; s < streams; s++) {
        CHECK(cudaStreamCreate(&stream[s]));
        CHECK(cudaMalloc(&device[s], size));
        CHECK(cudaMalloc(&copy[s], size));
        CHECK(cudaMallocHost(&in[s], size));
        CHECK(cudaMallocHost(&out[s], size));
        for (int i = 0; i < n; i++)
            in[s][i] = s * 1000 + i;
        CHECK(cudaMemcpyAsync(device[s], in[s], size, cudaMemcpyHostToDevice, stream[s]));
    }
    for (int k = 0; k < steps; k++)
        for (int s = 0; s < streams; s++) {
            step<<<n / 256, 256, 0, stream[s]>>>(device[s], n, 3, k + s);
            if (k % 4 == 1) {
                CHECK(cudaMemcpyAsync(copy[s], device[s], size, cudaMemcpyDeviceToDevice, stream[s]));
                CHECK(cudaMemsetAsync(device[s], 0, size / 2, stream[s]));
                CHECK(cudaMemcpyAsync(device[s] + n / 4, copy[s], size / 2, cudaMemcpyDeviceToDevice,
                                      stream[s]));
            }
        }
    for (int s = 0; s < streams; s++)
        CHECK(cudaMemcpyAsync(out[s], device[s], size, cudaMemcpyDeviceToHost, stream[s]));

    for (int s = streams - 1; s >= 0; s--) {
        CHECK(cudaStreamSynchronize(stream[s]));
        EXPECT(cudaStreamQuery(stream[s]) == cudaSuccess);
        std::vector<int> want(in[s], in[s] + n);
        for (int k = 0; k < steps; k++) {
            for (int &v : want)
                v = (int)((unsigned)v * 3u + (unsigned)(k + s));
            if (k % 4 == 1) {
                std::vector<int> copied = want;
                std::fill(want.begin(), want.begin() + n / 2, 0);
                std::copy(copied.begin(), copied.begin() + n / 2, want.begin() + n / 4);
            }
        }
        std::vector<int> got(out[s], out[s] + n);
        expect_equal(("stream " + std::to_string(s)).c_str(), got, want);
        printf("stream %d %016llx\n", s, (unsigned long long)digest(got));
    }
    for (int s = 0; s < streams; s++) {
        CHECK(cudaStreamDestroy(stream[s]));
        CHECK(cudaFree(device[s]));
        CHECK(cudaFree(copy[s]));
        CHECK(cudaFreeHost(in[s]));
        CHECK(cudaFreeHost(out[s]));
    }
    return finish("stream_order");
}
