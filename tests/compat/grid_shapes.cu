// SPDX-License-Identifier: Apache-2.0
// Do blockIdx, threadIdx, blockDim and gridDim count right in one, two and three dimensions, for odd shapes
// and for very many small blocks?
#include "compat.cuh"

__global__ void identify(uint4 *out)
{
    unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    unsigned i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
    out[i] = make_uint4(
        blockIdx.x | blockIdx.y << 10 | blockIdx.z << 20, threadIdx.x | threadIdx.y << 10 | threadIdx.z << 20,
        gridDim.x | gridDim.y << 10 | gridDim.z << 20, blockDim.x | blockDim.y << 10 | blockDim.z << 20);
}

__global__ void many(unsigned long long *sum, unsigned *last)
{
    if (threadIdx.x == 0)
        atomicAdd(sum, (unsigned long long)blockIdx.x + gridDim.x * (unsigned long long)blockIdx.y);
    if (blockIdx.x == gridDim.x - 1 && blockIdx.y == gridDim.y - 1 && threadIdx.x == blockDim.x - 1)
        *last = blockIdx.x;
}

static unsigned packed(dim3 d)
{
    return d.x | d.y << 10 | d.z << 20;
}

static void check(dim3 grid, dim3 block)
{
    unsigned threads = block.x * block.y * block.z, blocks = grid.x * grid.y * grid.z, wrong = 0;
    uint4 *out = device_alloc<uint4>((size_t)threads * blocks);
    CHECK(cudaMemset(out, 0xff, (size_t)threads * blocks * sizeof(uint4)));
    identify<<<grid, block>>>(out);
    CHECK(cudaGetLastError());
    std::vector<uint4> got = to_host(out, (size_t)threads * blocks);
    for (unsigned b = 0; b < blocks; b++)
        for (unsigned t = 0; t < threads; t++) {
            uint4 v = got[(size_t)b * threads + t];
            wrong += v.x != packed(dim3(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y)) ||
                     v.y != packed(dim3(t % block.x, t / block.x % block.y, t / block.x / block.y)) ||
                     v.z != packed(grid) || v.w != packed(block);
        }
    printf("grid %u,%u,%u block %u,%u,%u: %u wrong\n", grid.x, grid.y, grid.z, block.x, block.y, block.z,
           wrong);
    EXPECT(wrong == 0);
    CHECK(cudaFree(out));
}

int main()
{
    check(dim3(1), dim3(1));
    check(dim3(7), dim3(33));
    check(dim3(3, 5), dim3(17, 3));
    check(dim3(2, 3, 4), dim3(5, 6, 7));
    check(dim3(1, 1, 30), dim3(1, 1, 64));
    check(dim3(1, 20), dim3(1, 1000));
    check(dim3(2), dim3(1024));

    unsigned long long *sum = device_alloc<unsigned long long>(1);
    unsigned *last = device_alloc<unsigned>(1);
    for (dim3 grid : {dim3(100000), dim3(300, 300)}) {
        unsigned long long blocks = (unsigned long long)grid.x * grid.y;
        CHECK(cudaMemset(sum, 0, sizeof(*sum)));
        many<<<grid, 2>>>(sum, last);
        EXPECT(to_host(sum, 1)[0] == blocks * (blocks - 1) / 2);
        EXPECT(to_host(last, 1)[0] == grid.x - 1);
    }
    return finish("grid_shapes");
}
