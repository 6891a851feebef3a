// SPDX-License-Identifier: Apache-2.0
// Does a cooperative launch synchronise the whole grid: a stencil that iterates inside one kernel, a
// grid-wide reduction, and a refusal where the grid cannot be resident at once?
#include "compat.cuh"
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void relax(int *a, int *b, int n, int rounds)
{
    cg::grid_group grid = cg::this_grid();
    for (int r = 0; r < rounds; r++) {
        for (int i = (int)grid.thread_rank(); i < n; i += (int)grid.size())
            b[i] = a[(i + n - 1) % n] + 2 * a[i] + a[(i + 1) % n] - (r & 3);
        grid.sync();
        int *t = a;
        a = b;
        b = t;
    }
}

__global__ void total(const int *in, int n, unsigned long long *partial, unsigned long long *out)
{
    cg::grid_group grid = cg::this_grid();
    unsigned long long sum = 0;
    for (int i = (int)grid.thread_rank(); i < n; i += (int)grid.size())
        sum += (unsigned)in[i];
    for (int step = 16; step > 0; step /= 2)
        sum += __shfl_down_sync(0xffffffffu, sum, step);
    if (threadIdx.x % 32 == 0)
        partial[grid.thread_rank() / 32] = sum;
    grid.sync();
    if (grid.thread_rank() == 0) {
        *out = 0;
        for (unsigned w = 0; w < grid.size() / 32; w++)
            *out += partial[w];
    }
}

int main()
{
    int supported = 0, processors = 0, per_processor = 0;
    CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrCooperativeLaunch, 0));
    CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_processor, relax, 128, 0));
    EXPECT(supported && processors > 0 && per_processor > 0);

    int n = 3001, rounds = 9, blocks = std::min(8, processors * per_processor);
    std::vector<int> want(n), next(n);
    for (int i = 0; i < n; i++)
        want[i] = i % 17 - 8;
    int *a = to_device(want), *b = device_alloc<int>(n);
    void *arguments[] = {&a, &b, &n, &rounds};
    CHECK(cudaLaunchCooperativeKernel(relax, dim3(blocks), dim3(128), arguments, 0, nullptr));
    CHECK(cudaDeviceSynchronize());
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < n; i++)
            next[i] = want[(i + n - 1) % n] + 2 * want[i] + want[(i + 1) % n] - (r & 3);
        want.swap(next);
    }
    std::vector<int> got = to_host(rounds % 2 ? b : a, n);
    expect_equal("stencil", got, want);
    printf("stencil %016llx\n", (unsigned long long)digest(got));

    unsigned long long *partial = device_alloc<unsigned long long>(blocks * 4),
                       *out = device_alloc<unsigned long long>(1), sum = 0;
    int *result = rounds % 2 ? b : a;
    for (int v : want)
        sum += (unsigned)v;
    void *more[] = {&result, &n, &partial, &out};
    CHECK(cudaLaunchCooperativeKernel((void *)total, blocks, 128, more, 0, nullptr));
    EXPECT(to_host(out, 1)[0] == sum);

    int too_many = processors * per_processor + 1;
    EXPECT_ERROR(cudaLaunchCooperativeKernel(relax, dim3(too_many), dim3(128), arguments, 0, nullptr),
                 cudaErrorCooperativeLaunchTooLarge);
    EXPECT_ERROR(cudaGetLastError(), cudaErrorCooperativeLaunchTooLarge);
    return finish("coop_grid");
}
