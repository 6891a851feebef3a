// SPDX-License-Identifier: Apache-2.0
// The kernels of the whole-path programs. kernels.ptx is made from this by bench/apps/make_ptx.sh.
#include <cstdio>

extern "C" {

__device__ unsigned counter;
__constant__ unsigned scale = 3;

__global__ void fill(unsigned *words, unsigned count, unsigned value)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        words[i] = value + i;
}

__global__ void add(unsigned *words, unsigned count, unsigned by)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        words[i] += by;
}

__global__ void copy(unsigned *to, const unsigned *from, unsigned count)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        to[i] = from[i];
}

// One thread: for addresses that are not there.
__global__ void poke(unsigned *at, unsigned value)
{
    *at = value;
}

// One thread, `rounds` dependent steps: a kernel that takes its time.
__global__ void grind(unsigned *at, unsigned rounds)
{
    unsigned x = *at;
    for (unsigned i = 0; i < rounds; i++)
        x = x * 1664525u + 1013904223u;
    *at = x;
}

__global__ void count_up(unsigned *copy)
{
    *copy = atomicAdd(&counter, 1) * scale;
}

__global__ void dynamic(unsigned *out, unsigned words)
{
    extern __shared__ unsigned shared[];
    shared[threadIdx.x] = threadIdx.x;
    __syncthreads();
    if (threadIdx.x == 0)
        *out = shared[words - 1];
}

__global__ void __launch_bounds__(64) small_blocks(unsigned *out)
{
    out[threadIdx.x] = threadIdx.x;
}

__global__ void nothing()
{
}

__global__ void say(int round, const unsigned *value)
{
    printf("kernel, round %d: %u\n", round, *value);
}

__global__ void say_much(int lines)
{
    for (int i = 0; i < lines; i++)
        printf("line %d of %d, and some more words so that it is not too short\n", i, lines);
}
}
