// SPDX-License-Identifier: Apache-2.0
// What the whole-path programs share: checked calls, expectations, kernels, patterns, threads.
//
// Each program is an ordinary CUDA driver-API program that knows nothing of Genie. It prints only what is the
// same at every run and on every way to a device, so that its output is compared byte for byte, and it judges
// by itself too: exit status 0 only when everything was as CUDA says.
#ifndef GN_TESTS_E2E_H
#define GN_TESTS_E2E_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A call without which the rest means nothing: a failure names it and ends the program.
#define CU(call) e2e_must((call), __FILE__, __LINE__, #call)
// A call whose code is the question: prints it, and notes when it is another than expected.
#define WANT(code, call) e2e_want((code), (call), __LINE__, #call)
// The same without printing it: for loops.
#define EXPECT_CODE(code, call) e2e_expect_code((code), (call), __LINE__, #call)
#define EXPECT(condition)       e2e_expect((condition), __LINE__, #condition)

void e2e_must(CUresult result, const char *file, int line, const char *call);
void e2e_want(CUresult wanted, CUresult result, int line, const char *call);
void e2e_expect_code(CUresult wanted, CUresult result, int line, const char *call);
void e2e_expect(bool holds, int line, const char *condition);
const char *e2e_name(CUresult result);
int e2e_finish(void); // prints the verdict; the program's exit status

// The thread sanitizer makes every access of memory slow: it gets less of it.
#ifdef __SANITIZE_THREAD__
#define E2E_SIZE(usual, less) (less)
#else
#define E2E_SIZE(usual, less) (usual)
#endif

// Times a loop is tried: `usual`, or what E2E_TRIES says when that is fewer (the sanitizers are slow).
unsigned e2e_tries(unsigned usual);

// E2E_ONE_THREAD is set: host functions run inside calls that wait (Genie's embedded profile), so none may wait for what the
// thread that waits does next.
bool e2e_waits_inside(void);

CUcontext e2e_open(int ordinal);         // cuInit, and a context of the device, current
CUfunction e2e_kernel(const char *name); // of kernels.cu, in the current context
CUmodule e2e_module(void);               // kernels.cu, loaded in the current context
CUdeviceptr e2e_alloc(size_t size_bytes);
void e2e_launch(CUfunction kernel, CUstream stream, unsigned threads, void **parameters); // in blocks of 128

// The kernels that nearly everything uses; `count` 32-bit words. A kernel belongs to the context it was
// looked up in.
void e2e_fill(CUfunction fill, CUstream stream, CUdeviceptr words, unsigned count,
              unsigned value); // words[i] = value + i
void e2e_add(CUfunction add, CUstream stream, CUdeviceptr words, unsigned count,
             unsigned by); // words[i] += by
bool e2e_is_filled(const uint32_t *words, unsigned count, unsigned value);

// Bytes that differ from place to place and from seed to seed.
void e2e_pattern(uint8_t *bytes, size_t size_bytes, uint32_t seed);
bool e2e_is_pattern(const uint8_t *bytes, size_t size_bytes, uint32_t seed);

// Runs `count` threads of `run`, each with its number, and waits for them.
void e2e_threads(unsigned count, void (*run)(unsigned number));

#endif
