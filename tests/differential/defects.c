// SPDX-License-Identifier: Apache-2.0
// Drivers with a known defect each, made from a good one: what the tester has to find, or it is no tester.
#include <stdlib.h>
#include <string.h>

#include <cuda.h>

#include "tests/differential/program.h"

static struct driver good;
#define GOOD(name) ((__typeof__(name) *)good.entries[K_##name])

// The source of a pinned copy is read at the call, not when the stream gets there.
static CUresult stale_pinned(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    unsigned char *copy = bytes && bytes < 1 << 26 && from ? malloc(bytes) : NULL;
    if (!copy)
        return GOOD(cuMemcpyHtoDAsync_v2)(to, from, bytes, stream);
    memcpy(copy, from, bytes);
    CUresult r = GOOD(cuMemcpyHtoDAsync_v2)(to, copy, bytes, stream);
    free(copy);
    return r;
}

// The last byte of a copy to the host is lost.
static CUresult short_copy(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return GOOD(cuMemcpyDtoHAsync_v2)(to, from, bytes > 1 ? bytes - 1 : bytes, stream);
}

// An error code is lost.
static CUresult lost_code(CUdeviceptr at)
{
    GOOD(cuMemFree_v2)(at);
    return CUDA_SUCCESS;
}

// A memset of one thread is held back until another thread's next one: two posted calls change places.
static __thread int here;
static struct {
    int *thread;
    CUcontext context;
    CUdeviceptr at;
    unsigned char value;
    size_t bytes;
    CUstream stream;
} held;

static void let_go(void)
{
    if (!held.thread)
        return;
    CUcontext c;
    GOOD(cuCtxPushCurrent_v2)(held.context);
    GOOD(cuMemsetD8Async)(held.at, held.value, held.bytes, held.stream);
    GOOD(cuCtxPopCurrent_v2)(&c);
    held.thread = NULL;
}

static CUresult overtaken(CUdeviceptr at, unsigned char value, size_t bytes, CUstream stream)
{
    CUresult r = GOOD(cuMemsetD8Async)(at, value, bytes, stream);
    let_go();
    if (r == CUDA_SUCCESS && stream > CU_STREAM_PER_THREAD && GOOD(cuCtxGetCurrent)(&held.context) == CUDA_SUCCESS) {
        held.thread = &here;
        held.at = at, held.value = value, held.bytes = bytes, held.stream = stream;
    }
    return r;
}

static CUresult overtaking(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUresult r = GOOD(cuMemcpyDtoDAsync_v2)(to, from, bytes, stream);
    if (held.thread && held.thread != &here)
        let_go();
    return r;
}

// A stream does not wait for the event.
static CUresult no_wait(CUstream stream, CUevent event, unsigned flags)
{
    (void)stream;
    return event ? flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

// A query that is certain to be answered with "done" is not.
static CUresult never_ready(CUevent event)
{
    CUresult r = GOOD(cuEventQuery)(event);
    return r == CUDA_SUCCESS ? CUDA_ERROR_NOT_READY : r;
}

// The n-th host function is forgotten.
static CUresult forgotten(CUstream stream, CUhostFn f, void *data)
{
    static unsigned count;
    return ++count % 7 ? GOOD(cuLaunchHostFunc)(stream, f, data) : CUDA_SUCCESS;
}

// A misuse that ends the process.
static CUresult crash(CUstream stream)
{
    CUresult r = GOOD(cuStreamDestroy_v2)(stream);
    if (r != CUDA_SUCCESS)
        abort();
    return r;
}

bool driver_break(struct driver *d, const char *how)
{
    static const struct {
        const char *name;
        unsigned kind;
        void *entry;
        unsigned second_kind;
        void *second;
    } defects[] = {
        {"stale_pinned", K_cuMemcpyHtoDAsync_v2, (void *)stale_pinned, 0, NULL},
        {"short_copy", K_cuMemcpyDtoHAsync_v2, (void *)short_copy, 0, NULL},
        {"lost_code", K_cuMemFree_v2, (void *)lost_code, 0, NULL},
        {"overtaking", K_cuMemsetD8Async, (void *)overtaken, K_cuMemcpyDtoDAsync_v2, (void *)overtaking},
        {"no_wait", K_cuStreamWaitEvent, (void *)no_wait, 0, NULL},
        {"never_ready", K_cuEventQuery, (void *)never_ready, 0, NULL},
        {"forgotten", K_cuLaunchHostFunc, (void *)forgotten, 0, NULL},
        {"crash", K_cuStreamDestroy_v2, (void *)crash, 0, NULL},
    };
    good = *d;
    for (unsigned i = 0; i < sizeof defects / sizeof *defects; i++)
        if (!strcmp(defects[i].name, how)) {
            d->entries[defects[i].kind] = defects[i].entry;
            if (defects[i].second)
                d->entries[defects[i].second_kind] = defects[i].second;
            return true;
        }
    fprintf(stderr, "there is no defect '%s'\n", how);
    return false;
}
