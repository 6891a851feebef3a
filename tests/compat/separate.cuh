// SPDX-License-Identifier: Apache-2.0
// separate.cuh: what separate_other.cu offers to separate_main.cu.
#pragma once

extern __device__ float other_table[4];
extern __constant__ float other_constant;
typedef float (*Function)(float);
extern __device__ Function other_pointer;

__device__ float other_function(float v);
void run_other_kernel(float *data, int n);

// Both files have the next two: one definition of each is left.
template <typename T> __device__ __noinline__ T merged(T v)
{
    return v * 3;
}
template <typename T> __global__ void merged_kernel(T *data, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = merged(data[i]);
}
