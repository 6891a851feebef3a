// SPDX-License-Identifier: Apache-2.0
// Memory of every kind that a sidecar can tell apart (hints.sh has the rules and what each must find): by its first copy, by kernels and their
// arguments, by size and order; at addresses that are used again; in contexts that go; from several threads.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/e2e.h"

enum { KIB = 1 << 10, MIB = 1 << 20, AGAIN = 50, THREADS = 4, THREAD_TRIES = 20, CONTEXTS = 2 };

static CUcontext context;
static uint8_t host[3 * MIB];

static uint32_t word_of(CUdeviceptr at)
{
    uint32_t word;
    CU(cuMemcpyDtoH(&word, at, sizeof word));
    return word;
}

static void first_writers(CUfunction fill)
{
    CUdeviceptr uploaded = e2e_alloc(MIB), copied = e2e_alloc(64 * KIB), filled = e2e_alloc(2 * MIB), both = e2e_alloc(2 * MIB);
    e2e_pattern(host, MIB, 1);
    CU(cuMemcpyHtoD(uploaded + 512 * KIB, host, 512 * KIB));
    CU(cuMemcpyHtoD(uploaded, host, MIB));
    CU(cuMemcpyDtoD(copied, uploaded, 64 * KIB));
    e2e_fill(fill, NULL, filled, 2 * MIB / 4, 7);
    e2e_fill(fill, NULL, both, 2 * MIB / 4, 8);
    CU(cuMemcpyHtoD(both + MIB, host, 4 * KIB)); // its first copy: a rule in front of that for kernels may want it
    memset(host, 0, sizeof host);
    CU(cuMemcpyDtoH(host, uploaded, MIB));
    EXPECT(e2e_is_pattern(host, MIB, 1));
    memset(host, 0, sizeof host);
    CU(cuMemcpyDtoH(host, copied, 64 * KIB));
    EXPECT(e2e_is_pattern(host, 64 * KIB, 1));
    EXPECT(word_of(filled + 400) == 107 && word_of(both + 400) == 108);

    CUdeviceptr late = e2e_alloc(3 * MIB);
    e2e_pattern(host, 3 * MIB, 2);
    CU(cuMemcpyHtoD(late, host, 3 * MIB));
    memset(host, 0, sizeof host);
    CU(cuMemcpyDtoH(host, late, 3 * MIB));
    EXPECT(e2e_is_pattern(host, 3 * MIB, 2));
}

// The same address again and again, each time another allocation.
static void addresses_again(CUfunction fill)
{
    for (unsigned i = 0; i < AGAIN; i++) {
        CUdeviceptr at = e2e_alloc(128 * KIB);
        e2e_fill(fill, NULL, at, 128 * KIB / 4, i);
        EXPECT(word_of(at + 40) == i + 10);
        CU(cuMemFree(at));
    }
}

static void contexts_that_go(void)
{
    for (unsigned i = 0; i < CONTEXTS; i++) {
        CUcontext other;
        CU(cuCtxCreate(&other, NULL, 0, 0));
        CUdeviceptr at = e2e_alloc(96 * KIB);
        e2e_fill(e2e_kernel("fill"), NULL, at, 96 * KIB / 4, i);
        EXPECT(word_of(at + 4) == i + 1);
        CU(cuCtxDestroy(other));
    }
    CU(cuCtxSetCurrent(context));
}

static CUfunction add;

static void in_thread(unsigned number)
{
    CUstream stream;
    CU(cuCtxSetCurrent(context));
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < THREAD_TRIES; i++) {
        uint32_t word = 0;
        CUdeviceptr at = e2e_alloc(32 * KIB);
        CU(cuMemsetD32Async(at, number, 32 * KIB / 4, stream));
        e2e_add(add, stream, at, 32 * KIB / 4, i);
        CU(cuMemcpyDtoHAsync(&word, at + 16, sizeof word, stream));
        CU(cuStreamSynchronize(stream));
        EXPECT(word == number + i);
        CU(cuMemFree(at));
    }
    CU(cuStreamDestroy(stream));
}

int main(void)
{
    context = e2e_open(0);
    CUfunction fill = e2e_kernel("fill");
    add = e2e_kernel("add");
    first_writers(fill);
    addresses_again(fill);
    contexts_that_go();
    e2e_threads(THREADS, in_thread);
    return e2e_finish();
}
