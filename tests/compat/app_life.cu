// SPDX-License-Identifier: Apache-2.0
// A whole small application: Conway's Life on a torus, shared-memory tiles with halos, two buffers, a counter
// of live cells after every generation copied back asynchronously.
#include "compat.cuh"

constexpr int width = 128, height = 96, tile = 16;

__global__ void generation(const unsigned char *in, unsigned char *out, unsigned *live)
{
    __shared__ unsigned char s[tile + 2][tile + 2];
    int left = blockIdx.x * tile - 1, top = blockIdx.y * tile - 1;
    for (int i = threadIdx.y * tile + threadIdx.x; i < (tile + 2) * (tile + 2); i += tile * tile) {
        int x = (left + i % (tile + 2) + width) % width, y = (top + i / (tile + 2) + height) % height;
        s[i / (tile + 2)][i % (tile + 2)] = in[y * width + x];
    }
    __syncthreads();
    int n = 0;
    for (int dy = 0; dy < 3; dy++)
        for (int dx = 0; dx < 3; dx++)
            n += (dx != 1 || dy != 1) && s[threadIdx.y + dy][threadIdx.x + dx];
    bool alive = n == 3 || (n == 2 && s[threadIdx.y + 1][threadIdx.x + 1]);
    out[(top + 1 + threadIdx.y) * width + left + 1 + threadIdx.x] = alive;
    int total = __syncthreads_count(alive);
    if (threadIdx.x == 0 && threadIdx.y == 0)
        atomicAdd(live, (unsigned)total);
}

int main()
{
    const int generations = 20, cells = width * height;
    std::vector<unsigned char> world(cells), next(cells);
    std::vector<unsigned> want(generations, 0);
    Random random(3);
    for (unsigned char &c : world)
        c = random.below(3) == 0;
    unsigned char *a = to_device(world), *b = device_alloc<unsigned char>(cells);
    unsigned *live = device_alloc<unsigned>(generations), *history = nullptr;
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMallocHost(&history, generations * sizeof(unsigned)));
    CHECK(cudaMemsetAsync(live, 0, generations * sizeof(unsigned), stream));
    for (int g = 0; g < generations; g++) {
        generation<<<dim3(width / tile, height / tile), dim3(tile, tile), 0, stream>>>(a, b, &live[g]);
        CHECK(cudaMemcpyAsync(&history[g], &live[g], sizeof(unsigned), cudaMemcpyDeviceToHost, stream));
        std::swap(a, b);
        for (int i = 0; i < cells; i++) {
            int n = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    n += (dx || dy) &&
                         world[(i / width + dy + height) % height * width + (i % width + dx + width) % width];
            next[i] = n == 3 || (n == 2 && world[i]);
            want[g] += next[i];
        }
        world.swap(next);
    }
    CHECK(cudaStreamSynchronize(stream));
    expect_equal("history", std::vector<unsigned>(history, history + generations), want);
    expect_equal("world", to_host(a, cells), world);
    printf("live after %d generations: %u\n", generations, want.back());
    CHECK(cudaFreeHost(history));
    return finish("app_life");
}
