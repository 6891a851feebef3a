// SPDX-License-Identifier: Apache-2.0
// What the whole-path programs share (e2e.h).
#include "tests/e2e/e2e.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256, BLOCK = 128, SAID_MAX = 20 };

extern const char e2e_kernels_ptx[]; // kernels_ptx.S

static _Atomic int failures;

const char *e2e_name(CUresult result)
{
    const char *name = NULL;
    return cuGetErrorName(result, &name) == CUDA_SUCCESS && name ? name : "an unknown code";
}

void e2e_must(CUresult result, const char *file, int line, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    printf("%s:%d: %s: %s\n", file, line, call, e2e_name(result));
    fflush(stdout);
    exit(1);
}

static bool note(void) { return atomic_fetch_add(&failures, 1) < SAID_MAX; }

void e2e_want(CUresult wanted, CUresult result, int line, const char *call)
{
    printf("%s: %s\n", call, e2e_name(result));
    if (wanted != result && note())
        printf("  line %d: expected %s\n", line, e2e_name(wanted));
}

void e2e_expect_code(CUresult wanted, CUresult result, int line, const char *call)
{
    if (wanted != result && note())
        printf("line %d: %s: %s, expected %s\n", line, call, e2e_name(result), e2e_name(wanted));
}

void e2e_expect(bool holds, int line, const char *condition)
{
    if (!holds && note())
        printf("line %d: expected %s\n", line, condition);
}

int e2e_finish(void)
{
    int bad = atomic_load(&failures);
    if (bad)
        printf("%d things were not as expected\n", bad);
    else
        printf("all as expected\n");
    fflush(stdout);
    return bad != 0;
}

unsigned e2e_tries(unsigned usual)
{
    const char *text = getenv("E2E_TRIES");
    unsigned fewer = text ? (unsigned)atoi(text) : usual;
    return fewer && fewer < usual ? fewer : usual;
}

bool e2e_waits_inside(void) { return getenv("E2E_ONE_THREAD") != NULL; }

CUcontext e2e_open(int ordinal)
{
    CUdevice device;
    CUcontext context;
    CU(cuInit(0));
    CU(cuDeviceGet(&device, ordinal));
    CU(cuCtxCreate(&context, NULL, 0, device));
    return context;
}

CUmodule e2e_module(void)
{
    CUmodule module;
    CU(cuModuleLoadData(&module, e2e_kernels_ptx));
    return module;
}

CUfunction e2e_kernel(const char *name)
{
    CUfunction function;
    CU(cuModuleGetFunction(&function, e2e_module(), name));
    return function;
}

CUdeviceptr e2e_alloc(size_t size_bytes)
{
    CUdeviceptr at;
    CU(cuMemAlloc(&at, size_bytes));
    return at;
}

void e2e_launch(CUfunction kernel, CUstream stream, unsigned threads, void **parameters)
{
    CU(cuLaunchKernel(kernel, (threads + BLOCK - 1) / BLOCK, 1, 1, BLOCK, 1, 1, 0, stream, parameters, NULL));
}

void e2e_fill(CUfunction fill, CUstream stream, CUdeviceptr words, unsigned count, unsigned value)
{
    void *parameters[] = {&words, &count, &value};
    e2e_launch(fill, stream, count, parameters);
}

void e2e_add(CUfunction add, CUstream stream, CUdeviceptr words, unsigned count, unsigned by)
{
    e2e_fill(add, stream, words, count, by); // the same parameters
}

// Under the thread sanitizer every access is a call: what goes through many words does without, and says what it touches in one.
#ifdef __SANITIZE_THREAD__
void __tsan_read_range(void *at, long size_bytes); // as the compiler has them
void __tsan_write_range(void *at, long size_bytes);
#define IN_BULK __attribute__((no_sanitize("thread")))
static void will_read(const void *at, size_t size_bytes) { __tsan_read_range((void *)(uintptr_t)at, (long)size_bytes); }
static void will_write(void *at, size_t size_bytes) { __tsan_write_range(at, (long)size_bytes); }
#else
#define IN_BULK
static void will_read(const void *at, size_t size_bytes) { (void)at, (void)size_bytes; }
static void will_write(void *at, size_t size_bytes) { (void)at, (void)size_bytes; }
#endif

IN_BULK bool e2e_is_filled(const uint32_t *words, unsigned count, unsigned value)
{
    will_read(words, count * sizeof *words);
    for (unsigned i = 0; i < count; i++)
        if (words[i] != value + i)
            return false;
    return true;
}

static inline IN_BULK uint32_t pattern_word(size_t index, uint32_t seed)
{
    uint32_t x = (uint32_t)index * 2654435761u + seed * 40503u + 12345u;
    x ^= x >> 15;
    return x * 2246822519u;
}

IN_BULK void e2e_pattern(uint8_t *bytes, size_t size_bytes, uint32_t seed)
{
    size_t whole = size_bytes / 4;
    uint32_t word;
    will_write(bytes, size_bytes);
    for (size_t i = 0; i < whole; i++) {
        word = pattern_word(i, seed);
        memcpy(bytes + 4 * i, &word, sizeof word);
    }
    word = pattern_word(whole, seed);
    memcpy(bytes + 4 * whole, &word, size_bytes % 4);
}

IN_BULK bool e2e_is_pattern(const uint8_t *bytes, size_t size_bytes, uint32_t seed)
{
    size_t whole = size_bytes / 4;
    uint32_t word;
    will_read(bytes, size_bytes);
    for (size_t i = 0; i < whole; i++) {
        memcpy(&word, bytes + 4 * i, sizeof word);
        if (word != pattern_word(i, seed))
            return false;
    }
    word = pattern_word(whole, seed);
    return !memcmp(bytes + 4 * whole, &word, size_bytes % 4);
}

struct start {
    void (*run)(unsigned number);
    unsigned number;
};

static void *begin(void *at)
{
    const struct start *start = at;
    start->run(start->number);
    return NULL;
}

void e2e_threads(unsigned count, void (*run)(unsigned number))
{
    static struct start starts[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    for (unsigned i = 0; i < count && i < THREADS_MAX; i++) {
        starts[i] = (struct start){run, i};
        if (pthread_create(&threads[i], NULL, begin, &starts[i])) {
            printf("thread %u cannot be started\n", i);
            exit(1);
        }
    }
    for (unsigned i = 0; i < count && i < THREADS_MAX; i++)
        pthread_join(threads[i], NULL);
}
