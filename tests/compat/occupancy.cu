// SPDX-License-Identifier: Apache-2.0
// Are the occupancy calls consistent with the device's limits, with each other and with what really launches?
#include "compat.cuh"

__global__ void light(int *out)
{
    out[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

__global__ void heavy(int *out)
{
    __shared__ int s[4096]; // 16 KiB
    for (int i = threadIdx.x; i < 4096; i += blockDim.x)
        s[i] = i;
    __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = s[4095 - threadIdx.x];
}

struct BytesPerThread {
    __host__ __device__ size_t operator()(int threads) const { return (size_t)threads * 16; }
};

int main()
{
    int threads = 0, shared = 0, max_block = 0, blocks_limit = 0;
    CHECK(cudaDeviceGetAttribute(&threads, cudaDevAttrMaxThreadsPerMultiProcessor, 0));
    CHECK(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerMultiprocessor, 0));
    CHECK(cudaDeviceGetAttribute(&max_block, cudaDevAttrMaxThreadsPerBlock, 0));
    CHECK(cudaDeviceGetAttribute(&blocks_limit, cudaDevAttrMaxBlocksPerMultiprocessor, 0));
    EXPECT(max_block == 1024 && threads >= 1024 && shared >= 48 * 1024 && blocks_limit >= 8);

    int previous = INT32_MAX;
    for (int block : {32, 64, 128, 256, 512, 1024}) {
        int n = -1, h = -1, with_dynamic = -1, with_flags = -1;
        CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, light, block, 0));
        CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&h, heavy, block, 0));
        CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&with_dynamic, light, block, 20 * 1024));
        CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&with_flags, light, block, 0,
                                                                     cudaOccupancyDisableCachingOverride));
        EXPECT(n >= 1 && n * block <= threads && n <= blocks_limit && n <= previous);
        EXPECT(h >= 1 && h <= n && h * 16 * 1024 <= shared);
        EXPECT(with_dynamic >= 1 && with_dynamic <= n && with_dynamic * 20 * 1024 <= shared);
        EXPECT(with_flags == n);
        previous = n;
    }

    int grid = 0, block = 0;
    CHECK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, light, 0, 0));
    EXPECT(grid >= 1 && block >= 32 && block <= max_block && block % 32 == 0);
    int limited = 0, limited_grid = 0;
    CHECK(cudaOccupancyMaxPotentialBlockSize(&limited_grid, &limited, light, 0, 128));
    EXPECT(limited >= 32 && limited <= 128);
    int variable = 0, variable_grid = 0;
    CHECK(cudaOccupancyMaxPotentialBlockSizeVariableSMem(&variable_grid, &variable, light, BytesPerThread(),
                                                         0));
    EXPECT(variable >= 32 && variable <= max_block);

    // What was suggested must run.
    int *out = device_alloc<int>((size_t)grid * block);
    light<<<grid, block>>>(out);
    CHECK(cudaGetLastError());
    long long sum = 0;
    for (int v : to_host(out, (size_t)grid * block))
        sum += v;
    EXPECT(sum == (long long)grid * block);

    size_t available = 0;
    CHECK(cudaOccupancyAvailableDynamicSMemPerBlock(&available, light, 1, 128));
    EXPECT(available >= 16 * 1024 && available <= (size_t)shared);
    int none = -1;
    EXPECT_ERROR(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&none, light, 0, 0), cudaErrorInvalidValue);
    (void)cudaGetLastError();
    return finish("occupancy");
}
