// SPDX-License-Identifier: Apache-2.0
// Do block reductions in shared memory give the sum, minimum, maximum and argmax; and the one-pass kind,
// where the last block to arrive (threadfence and a counter) adds up the others' results?
#include "compat.cuh"

__device__ unsigned int arrived;

__global__ void sum_one_pass(const int *in, long long *partial, long long *total, int n)
{
    __shared__ long long s[256];
    __shared__ bool last;
    long long sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    s[threadIdx.x] = sum;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            s[threadIdx.x] += s[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = s[0];
        __threadfence();
        last = atomicInc(&arrived, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        long long all = 0;
        for (unsigned b = 0; b < gridDim.x; b++)
            all += ((volatile long long *)partial)[b];
        *total = all;
    }
}

struct Best {
    int value, index;
};

__global__ void extremes(const int *in, Best *most, int *least, int n)
{
    __shared__ Best best[128];
    __shared__ int low[128];
    int t = threadIdx.x;
    best[t] = {INT32_MIN, -1};
    low[t] = INT32_MAX;
    for (int i = blockIdx.x * blockDim.x + t; i < n; i += gridDim.x * blockDim.x) {
        if (in[i] > best[t].value)
            best[t] = {in[i], i};
        low[t] = min(low[t], in[i]);
    }
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            Best other = best[t + half];
            if (other.value > best[t].value || (other.value == best[t].value && other.index < best[t].index))
                best[t] = other;
            low[t] = min(low[t], low[t + half]);
        }
    }
    if (t == 0) {
        most[blockIdx.x] = best[0];
        least[blockIdx.x] = low[0];
    }
}

int main()
{
    const int n = 50003, blocks = 24;
    std::vector<int> in(n);
    long long want = 0;
    int where = 0, low = INT32_MAX;
    Random random(3);
    for (int i = 0; i < n; i++) {
        in[i] = (int)(uint32_t)random.next();
        want += in[i];
        if (in[i] > in[where])
            where = i;
        low = std::min(low, in[i]);
    }
    int *din = to_device(in), *dleast = device_alloc<int>(blocks);
    long long *partial = device_alloc<long long>(blocks), *total = device_alloc<long long>(1);
    Best *dmost = device_alloc<Best>(blocks);
    for (int repeat = 0; repeat < 3; repeat++) { // atomicInc wraps to 0, so that the counter serves again
        CHECK(cudaMemset(total, 0xff, sizeof(long long)));
        sum_one_pass<<<blocks, 256>>>(din, partial, total, n);
        EXPECT(to_host(total, 1)[0] == want);
    }

    extremes<<<blocks, 128>>>(din, dmost, dleast, n);
    std::vector<Best> most = to_host(dmost, blocks);
    std::vector<int> least = to_host(dleast, blocks);
    Best best = most[0];
    int lowest = least[0];
    for (int b = 1; b < blocks; b++) {
        if (most[b].value > best.value)
            best = most[b];
        lowest = std::min(lowest, least[b]);
    }
    EXPECT(best.value == in[where] && best.index == where);
    EXPECT(lowest == low);
    printf("sum %lld, maximum %d at %d, minimum %d\n", want, best.value, best.index, lowest);
    return finish("reduce_block");
}
