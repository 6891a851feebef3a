// SPDX-License-Identifier: Apache-2.0
// Do local arrays with dynamic indexes, spilled registers (few allowed) and addresses of locals passed to
// functions work, each thread on its own memory?
// nvcc: -maxrregcount=24
#include "compat.cuh"

__host__ __device__ static void sift(int *heap, int count, int at)
{
    for (;;) {
        int child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[at] >= heap[child])
            return;
        int t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
        at = child;
    }
}

__host__ __device__ static void heap_sort(int *v, int count)
{
    for (int i = count / 2 - 1; i >= 0; i--)
        sift(v, count, i);
    for (int end = count - 1; end > 0; end--) {
        int t = v[0];
        v[0] = v[end];
        v[end] = t;
        sift(v, end, 0);
    }
}

__host__ __device__ static unsigned pressure(unsigned seed)
{
    unsigned v[40];
    for (int k = 0; k < 40; k++)
        v[k] = seed = seed * 1664525u + 1013904223u;
    for (int round = 0; round < 3; round++) {
        for (int k = 0; k < 40; k++)
            v[k] = (v[k] ^ v[(k + 7) % 40]) * 2246822519u + (v[(k + 23) % 40] >> 13);
    }
    unsigned all = 0;
    for (int k = 0; k < 40; k++)
        all = all * 31u + v[k];
    return all;
}

__device__ __noinline__ static void swap_halves(double *pair, short *bytes)
{
    double t = pair[0];
    pair[0] = pair[1] + bytes[2];
    pair[1] = t;
    bytes[1] = 5;
}

__global__ void run(const int *in, int *sorted, unsigned *mixed, double *pairs, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int v[48];
    for (int k = 0; k < 48; k++)
        v[k] = in[i * 48 + k];
    heap_sort(v, 48);
    for (int k = 0; k < 48; k++)
        sorted[i * 48 + k] = v[k];
    mixed[i] = pressure((unsigned)i);
    double pair[2] = {i * 1.5, i * 2.5};
    short bytes[3] = {1, 2, (short)i};
    swap_halves(pair, bytes);
    pairs[i] = pair[0] * 1000 + pair[1] + bytes[1];
}

int main()
{
    const int n = 200;
    std::vector<int> in(n * 48), want(n * 48);
    std::vector<unsigned> mixes(n);
    std::vector<double> pairs(n);
    Random random(48);
    for (int &v : in)
        v = (int)random.below(1000);
    want = in;
    for (int i = 0; i < n; i++) {
        heap_sort(&want[i * 48], 48);
        mixes[i] = pressure((unsigned)i);
        pairs[i] = (i * 2.5 + i) * 1000 + i * 1.5 + 5; // exact
    }
    int *sorted = device_alloc<int>(in.size());
    unsigned *mixed = device_alloc<unsigned>(n);
    double *dpairs = device_alloc<double>(n);
    run<<<(n + 63) / 64, 64>>>(to_device(in), sorted, mixed, dpairs, n);
    CHECK(cudaGetLastError());
    expect_equal("sorted", to_host(sorted, in.size()), want);
    expect_equal("mixed", to_host(mixed, n), mixes);
    expect_equal("pairs", to_host(dpairs, n), pairs);
    printf("mixed %016llx\n", (unsigned long long)digest(mixes));
    return finish("local_memory");
}
