// SPDX-License-Identifier: Apache-2.0
// Checks a driver call: a failure prints the place, the call, the code's name and its text, and ends the
// program with exit code 1.
#ifndef BENCH_APPS_LLM_CUDA_H
#define BENCH_APPS_LLM_CUDA_H

#include <cuda.h>

#define CU(call) llm_cuda_check((call), __FILE__, __LINE__, #call)

void llm_cuda_check(CUresult result, const char *file, int line, const char *call);

#endif
