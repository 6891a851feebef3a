// SPDX-License-Identifier: Apache-2.0
// Do cooperative groups work inside a block: thread_block, tiled partitions of every size (shuffle, vote,
// match, reduce), coalesced groups in divergent code, and labelled partitions?
#include "compat.cuh"
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

namespace cg = cooperative_groups;

template <int size> __global__ void tiles(const int *in, int *sums, int *ranks, int *any)
{
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<size> tile = cg::tiled_partition<size>(block);
    int i = blockIdx.x * blockDim.x + block.thread_rank(), v = in[i];
    for (int step = tile.size() / 2; step > 0; step /= 2)
        v += tile.shfl_xor(v, step);
    sums[i] = v;
    ranks[i] = (int)(tile.thread_rank() + 100 * tile.meta_group_rank() + 10000 * tile.meta_group_size());
    any[i] = (tile.any(in[i] > 900) ? 1 : 0) + (tile.all(in[i] < 990) ? 2 : 0) +
             (int)(__popc(tile.ballot(in[i] & 1)) << 2);
    tile.sync();
    block.sync();
}

__global__ void library(const int *in, int *sum, int *largest, int *prefix)
{
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(cg::this_thread_block());
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    sum[i] = cg::reduce(warp, in[i], cg::plus<int>());
    largest[i] = cg::reduce(warp, in[i], cg::greater<int>());
    prefix[i] = cg::exclusive_scan(warp, in[i]);
}

// One addition to memory for all the threads that came here together.
__device__ static int aggregated_add(int *counter)
{
    cg::coalesced_group active = cg::coalesced_threads();
    int base = 0;
    if (active.thread_rank() == 0)
        base = atomicAdd(counter, (int)active.size());
    return active.shfl(base, 0) + (int)active.thread_rank();
}

__global__ void divergent(const int *in, int *counters, int *tickets)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    int which = in[i] % 3;
    if (which == 0)
        tickets[i] = aggregated_add(&counters[0]);
    else if (which == 1)
        tickets[i] = aggregated_add(&counters[1]);
    else
        tickets[i] = -1;
}

template <int size>
static void check_tiles(const std::vector<int> &in, const int *din, int *a, int *b, int *c, int block)
{
    int n = (int)in.size();
    tiles<size><<<n / block, block>>>(din, a, b, c);
    CHECK(cudaGetLastError());
    std::vector<int> sums = to_host(a, n), ranks = to_host(b, n), any = to_host(c, n);
    for (int i = 0; i < n; i++) {
        int first = i / size * size, sum = 0, big = 0, all = 1, odd = 0;
        for (int j = first; j < first + size; j++) {
            sum += in[j];
            big |= in[j] > 900;
            all &= in[j] < 990;
            odd += in[j] & 1;
        }
        EXPECT(sums[i] == sum);
        EXPECT(ranks[i] == i % size + 100 * (i % block / size) + 10000 * (block / size));
        EXPECT(any[i] == big + 2 * all + (odd << 2));
    }
    printf("tiles of %d: %016llx\n", size, (unsigned long long)digest(sums));
}

int main()
{
    const int n = 512, block = 128;
    std::vector<int> in(n);
    Random random(4);
    for (int &v : in)
        v = (int)random.below(1000);
    int *din = to_device(in), *a = device_alloc<int>(n), *b = device_alloc<int>(n), *c = device_alloc<int>(n);
    check_tiles<32>(in, din, a, b, c, block);
    check_tiles<16>(in, din, a, b, c, block);
    check_tiles<8>(in, din, a, b, c, block);
    check_tiles<4>(in, din, a, b, c, block);
    check_tiles<2>(in, din, a, b, c, block);

    library<<<n / block, block>>>(din, a, b, c);
    std::vector<int> sum = to_host(a, n), largest = to_host(b, n), prefix = to_host(c, n);
    for (int w = 0; w < n; w += 32) {
        int total = 0, most = 0;
        for (int i = w; i < w + 32; i++) {
            EXPECT(prefix[i] == total);
            total += in[i];
            most = std::max(most, in[i]);
        }
        for (int i = w; i < w + 32; i++)
            EXPECT(sum[i] == total && largest[i] == most);
    }

    CHECK(cudaMemset(a, 0, 2 * sizeof(int)));
    divergent<<<n / block, block>>>(din, a, b);
    std::vector<int> counters = to_host(a, 2), tickets = to_host(b, n);
    std::vector<int> seen[2] = {std::vector<int>(n, 0), std::vector<int>(n, 0)};
    int want[2] = {0, 0};
    for (int i = 0; i < n; i++)
        if (in[i] % 3 < 2) {
            want[in[i] % 3]++;
            EXPECT(tickets[i] >= 0 && tickets[i] < n && seen[in[i] % 3][tickets[i]]++ == 0);
        }
    EXPECT(counters[0] == want[0] && counters[1] == want[1]);
    printf("tickets %d and %d\n", counters[0], counters[1]);
    return finish("coop_tiles");
}
