// SPDX-License-Identifier: Apache-2.0
// separate.cuh: what separate_other.cu offers to separate_main.cu.
#pragma once

extern __device__ float other_table[4];
extern __constant__ float other_constant;
typedef float (*Function)(float);
extern __device__ Function other_pointer;

__device__ float other_function(float v);
void run_other_kernel(float *data, int n);
