// SPDX-License-Identifier: Apache-2.0
// Do votes (any, all, ballot), matches (any, all), block votes (__syncthreads_count/and/or) and stream
// compaction by ballot work, also for part of a warp?
#include "compat.cuh"

constexpr unsigned full = 0xffffffffu;
constexpr int results = 9;

__global__ void votes(const int *in, unsigned *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x, v = in[i], same = 0;
    unsigned r[results];

    r[0] = __ballot_sync(full, v > 3);
    r[1] = __any_sync(full, v == 7);
    r[2] = __all_sync(full, v >= 0);
    r[3] = __match_any_sync(full, v);
    r[4] = __match_all_sync(full, v / 100, &same);
    r[5] = (unsigned)same;
    r[6] = (unsigned)__syncthreads_count(v & 1);
    r[7] = (unsigned)(__syncthreads_and(v < 8) != 0) | (unsigned)(__syncthreads_or(v == 6) != 0) << 1;
    r[8] = 0;
    if (threadIdx.x % 3 == 0) {
        unsigned third = 0;
        for (int lane = 0; lane < 32; lane++)
            if ((threadIdx.x / 32 * 32 + lane) % 3 == 0)
                third |= 1u << lane;
        r[8] = __ballot_sync(third, v < 4);
    }
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

__global__ void compact(const int *in, int *out, int *count, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
    bool keep = i < n && in[i] % 3 == 0;
    unsigned mask = __ballot_sync(full, keep);
    int base = 0;
    if (lane == 0)
        base = atomicAdd(count, __popc(mask));
    base = __shfl_sync(full, base, 0);
    if (keep)
        out[base + __popc(mask & ((1u << lane) - 1))] = in[i];
}

int main()
{
    const int n = 384, block = 96;
    std::vector<int> in(n);
    std::vector<unsigned> want(results * n);
    Random random(6);
    for (int i = 0; i < n; i++)
        in[i] = (int)random.below(i < block ? 4 : 9);
    for (int i = 0; i < n; i++) {
        int warp = i & ~31, first = i / block * block, odd = 0, below8 = 1, six = 0;
        unsigned ballot = 0, any = 0, all = 1, match = 0, third = 0;
        for (int l = 0; l < 32; l++) {
            int v = in[warp + l];
            ballot |= (unsigned)(v > 3) << l;
            any |= v == 7;
            all &= v >= 0;
            match |= (unsigned)(v == in[i]) << l;
            third |= (unsigned)((warp + l - first) % 3 == 0 && v < 4) << l;
        }
        for (int j = first; j < first + block; j++) {
            odd += in[j] & 1;
            below8 &= in[j] < 8;
            six |= in[j] == 6;
        }
        const unsigned r[results] = {ballot,
                                     any,
                                     all,
                                     match,
                                     full,
                                     1,
                                     (unsigned)odd,
                                     (unsigned)(below8 | six << 1),
                                     (i - first) % 3 == 0 ? third : 0};
        for (int k = 0; k < results; k++)
            want[k * n + i] = r[k];
    }
    unsigned *out = device_alloc<unsigned>(want.size());
    votes<<<n / block, block>>>(to_device(in), out);
    CHECK(cudaGetLastError());
    std::vector<unsigned> got = to_host(out, want.size());
    for (int i = 0; i < n; i++) { // any and all promise non-zero, not 1
        got[n + i] = got[n + i] != 0;
        got[2 * n + i] = got[2 * n + i] != 0;
        got[5 * n + i] = got[5 * n + i] != 0;
    }
    for (int k = 0; k < results; k++)
        expect_equal(("vote " + std::to_string(k)).c_str(),
                     std::vector<unsigned>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<unsigned>(want.begin() + k * n, want.begin() + (k + 1) * n));

    const int many = 5000;
    std::vector<int> numbers(many);
    long long sum = 0;
    int kept = 0;
    for (int &v : numbers) {
        v = (int)random.below(100000);
        kept += v % 3 == 0;
        sum += v % 3 == 0 ? v : 0;
    }
    int *count = device_alloc<int>(1), *packed = device_alloc<int>(many);
    CHECK(cudaMemset(count, 0, sizeof(int)));
    compact<<<(many + 127) / 128, 128>>>(to_device(numbers), packed, count, many);
    EXPECT(to_host(count, 1)[0] == kept);
    long long got_sum = 0;
    for (int v : to_host(packed, kept))
        got_sum += v % 3 == 0 ? v : -1;
    EXPECT(got_sum == sum);
    printf("kept %d, sum %lld\n", kept, sum);
    return finish("warp_vote");
}
