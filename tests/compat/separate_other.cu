// SPDX-License-Identifier: Apache-2.0
// The second file of separate_main.cu: device functions, variables and a kernel that the first one uses.
#include "separate.cuh"

__device__ float other_table[4] = {10, 20, 30, 40};
__constant__ float other_constant = 0.5f;

__device__ float other_function(float v)
{
    return v * 2 + 1;
}
__device__ static float square(float v)
{
    return v * v;
}
__device__ Function other_pointer = square;

// The other file has a function and a variable of these names as well.
static __device__ float step = 1;
static __device__ __noinline__ float advance(float v)
{
    return v + step;
}

__global__ static void other_kernel(float *data, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = advance(data[i]);
}

void run_other_kernel(float *data, int n)
{
    other_kernel<<<(n + 31) / 32, 32>>>(data, n);
    merged_kernel<<<(n + 31) / 32, 32>>>(data, n);
}
