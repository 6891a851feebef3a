// SPDX-License-Identifier: Apache-2.0
// A whole small application: bitonic sort of keys with values in many launches, and a radix sort with
// per-block histograms, scatter and double buffering, both against std::stable_sort.
#include "compat.cuh"
#include <algorithm>

__global__ void bitonic_step(uint64_t *v, unsigned n, unsigned size, unsigned stride)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, partner = i ^ stride;
    if (i >= n || partner <= i)
        return;
    bool ascending = (i & size) == 0;
    if ((v[i] > v[partner]) == ascending) {
        uint64_t t = v[i];
        v[i] = v[partner];
        v[partner] = t;
    }
}

constexpr int block = 128, buckets = 16;

__global__ void count(const uint32_t *keys, unsigned *counts, int n, int shift)
{
    __shared__ unsigned histogram[buckets];
    if (threadIdx.x < buckets)
        histogram[threadIdx.x] = 0;
    __syncthreads();
    int i = blockIdx.x * block + threadIdx.x;
    if (i < n)
        atomicAdd(&histogram[keys[i] >> shift & (buckets - 1)], 1u);
    __syncthreads();
    if (threadIdx.x < buckets)
        counts[threadIdx.x * gridDim.x + blockIdx.x] = histogram[threadIdx.x];
}

__global__ void offsets(unsigned *counts, int n) // exclusive sums, by one thread
{
    unsigned sum = 0;
    for (int i = 0; i < n; i++) {
        unsigned c = counts[i];
        counts[i] = sum;
        sum += c;
    }
}

__global__ void scatter(const uint32_t *keys, uint32_t *out, const unsigned *counts, int n, int shift)
{
    __shared__ unsigned char bucket[block];
    int i = blockIdx.x * block + threadIdx.x;
    uint32_t key = i < n ? keys[i] : 0;
    unsigned mine = key >> shift & (buckets - 1), rank = 0;
    bucket[threadIdx.x] = i < n ? (unsigned char)mine : 255;
    __syncthreads();
    for (int t = 0; t < (int)threadIdx.x; t++)
        rank += bucket[t] == mine;
    if (i < n)
        out[counts[mine * gridDim.x + blockIdx.x] + rank] = key;
}

int main()
{
    const unsigned n = 4096;
    std::vector<uint64_t> pairs(n), want;
    Random random(77);
    for (unsigned i = 0; i < n; i++)
        pairs[i] = (uint64_t)random.below(1000) << 32 | i;
    want = pairs;
    std::sort(want.begin(), want.end());
    uint64_t *v = to_device(pairs);
    for (unsigned size = 2; size <= n; size *= 2)
        for (unsigned stride = size / 2; stride > 0; stride /= 2)
            bitonic_step<<<n / 256, 256>>>(v, n, size, stride);
    CHECK(cudaGetLastError());
    expect_equal("bitonic", to_host(v, n), want);

    const int m = 5003, blocks = (m + block - 1) / block;
    std::vector<uint32_t> keys(m), sorted;
    for (uint32_t &k : keys)
        k = (uint32_t)random.next() >> random.below(24);
    sorted = keys;
    std::stable_sort(sorted.begin(), sorted.end());
    uint32_t *a = to_device(keys), *b = device_alloc<uint32_t>(m);
    unsigned *counts = device_alloc<unsigned>(blocks * buckets);
    for (int shift = 0; shift < 32; shift += 4) {
        count<<<blocks, block>>>(a, counts, m, shift);
        offsets<<<1, 1>>>(counts, blocks * buckets);
        scatter<<<blocks, block>>>(a, b, counts, m, shift);
        std::swap(a, b);
    }
    CHECK(cudaGetLastError());
    expect_equal("radix", to_host(a, m), sorted);
    printf("pairs %016llx, keys %016llx\n", (unsigned long long)digest(want),
           (unsigned long long)digest(sorted));
    return finish("app_sort");
}
