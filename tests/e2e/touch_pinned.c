// SPDX-License-Identifier: Apache-2.0
// Pinned and registered host memory: copies that run later, in the order of streams, events, gates and host functions.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES };

static CUstream new_stream(void)
{
    CUstream s;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    return s;
}

static void settle(int way, CUstream s)
{
    CUevent e;
    switch (way % 4) {
    case 0: CU(cuStreamSynchronize(s)); break;
    case 1:
        CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
        CU(cuEventRecord(e, s));
        CU(cuEventSynchronize(e));
        CU(cuEventDestroy(e));
        break;
    case 2:
        while (cuStreamQuery(s) == CUDA_ERROR_NOT_READY)
            ;
        break;
    default: CU(cuCtxSynchronize());
    }
}

static void down_async(uint8_t *host, CUstream s, unsigned seed)
{
    e2e_fill(touch_fill, s, touch_source, BYTES / 4, seed);
    CU(cuMemcpyDtoHAsync(host, touch_source, BYTES, s));
}

// The ordinary use, synchronous and not, for memory that may be anywhere.
static void use(const char *what, uint8_t *host)
{
    CUstream s = new_stream();
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(host[PAGE] == touch_model[PAGE]);
        touch_up(what, host, BYTES);
        down_async(host, s, 10 + round);
        touch_truth(touch_model, 0, BYTES, 10 + round);
        settle((int)round, s);
        EXPECT(host[2 * PAGE] == touch_model[2 * PAGE]);
        host[3 * PAGE] = touch_model[3 * PAGE] = 1;
        touch_up(what, host, BYTES);
        down_async(host, s, 20 + round);
        touch_truth(touch_model, 0, BYTES, 20 + round);
        CU(cuMemcpyHtoDAsync(touch_sink, host, BYTES, s));
        CU(cuMemsetD8Async(touch_source, 9, BYTES, s));
        settle((int)round, s);
        EXPECT(touch_device_is(touch_sink, touch_model, BYTES));
        touch_up(what, host, BYTES);
        EXPECT(!memcmp(host, touch_model, BYTES));
    }
    down_async(host, s, 99);
    CU(cuStreamDestroy(s)); // and the copy is done nevertheless, before the memory goes
}

static void pinned(void)
{
    static const unsigned flags[] = {0, CU_MEMHOSTALLOC_PORTABLE, CU_MEMHOSTALLOC_WRITECOMBINED};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        void *host;
        CU(cuMemHostAlloc(&host, BYTES, flags[i]));
        use("pinned", host);
        CU(cuMemFreeHost(host));
        CU(cuMemHostAlloc(&host, BYTES, flags[i])); // mostly where it was
        memset(host, 3, BYTES), memset(touch_model, 3, BYTES);
        touch_up("pinned again", host, BYTES);
        touch_down(host, BYTES, 7);
        CU(cuMemFreeHost(host)); // with everything away
    }
}

static void registered(void)
{
    for (unsigned round = 0; round < 2; round++) {
        uint8_t *all = malloc(BYTES + 3 * PAGE), *host = all + (round ? 100 : PAGE - (uintptr_t)all % PAGE);
        touch_down(host, BYTES, round); // away before it is registered
        CU(cuMemHostRegister(host, BYTES, 0));
        touch_up("registered after a copy", host, BYTES);
        use("registered", host);
        CU(cuCtxSynchronize());
        touch_down(host, BYTES, 10 + round);
        CU(cuMemHostUnregister(host));
        EXPECT(host[4 * PAGE] == touch_model[4 * PAGE]);
        touch_up("no longer registered", host, BYTES);
        free(all);
    }
}

// More than a huge page of it, and parts that are no multiple of one.
static void pinned_large(void)
{
    void *memory;
    CUstream s = new_stream();
    CU(cuMemHostAlloc(&memory, TOUCH_MOST, 0));
    uint8_t *host = memory;
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, TOUCH_MOST, round);
        for (size_t at = 5; at < TOUCH_MOST; at += 1000003)
            host[at] = touch_model[at] = (uint8_t)round;
        touch_up("large and pinned", host, TOUCH_MOST);
        touch_seed(touch_source, TOUCH_MOST, 10 + round);
        CU(cuCtxSynchronize());
        CU(cuMemcpyDtoHAsync(host + 100 * PAGE, touch_source, BYTES, s));
        settle((int)round, s);
        touch_truth(touch_model + 100 * PAGE, 0, BYTES, 10 + round);
        EXPECT(host[100 * PAGE - 1] == touch_model[100 * PAGE - 1] && host[101 * PAGE] == touch_model[101 * PAGE]);
        touch_up("a part of it", host, TOUCH_MOST);
        host[700 * PAGE] = touch_model[700 * PAGE] = 1;
        CU(cuMemcpyHtoDAsync(touch_sink, host, TOUCH_MOST, s));
        CU(cuStreamSynchronize(s));
        EXPECT(touch_device_is(touch_sink, touch_model, TOUCH_MOST));
        touch_up("and again", host, TOUCH_MOST);
        EXPECT(!memcmp(host, touch_model, TOUCH_MOST));
    }
    CU(cuMemFreeHost(memory));
    CU(cuStreamDestroy(s));
}

// --- what a host function sees and does

struct seen {
    uint8_t *host;
    unsigned seed;
    bool writes;
    _Atomic unsigned right;
};

static void look(void *at)
{
    struct seen *seen = at;
    uint8_t *wanted = malloc(BYTES);
    touch_truth(wanted, 0, BYTES, seen->seed);
    seen->right += !memcmp(seen->host, wanted, BYTES);
    if (seen->writes)
        memset(seen->host + PAGE, (int)seen->seed, 2 * PAGE);
    free(wanted);
}

static void host_functions(void)
{
    void *host;
    CUstream s = new_stream();
    CU(cuMemHostAlloc(&host, BYTES, 0));
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        struct seen first = {host, 10 + round, true, 0}, second = {host, 20 + round, false, 0};
        down_async(host, s, 10 + round);
        CU(cuLaunchHostFunc(s, look, &first)); // writes two pages, which go up
        CU(cuMemcpyHtoDAsync(touch_sink, host, BYTES, s));
        down_async(host, s, 20 + round);
        CU(cuLaunchHostFunc(s, look, &second));
        settle((int)round, s);
        EXPECT(first.right == 1 && second.right == 1);
        touch_truth(touch_model, 0, BYTES, 10 + round);
        memset(touch_model + PAGE, 10 + (int)round, 2 * PAGE);
        EXPECT(touch_device_is(touch_sink, touch_model, BYTES));
        touch_truth(touch_model, 0, BYTES, 20 + round);
        touch_up("host functions", host, BYTES);
    }
    CU(cuMemFreeHost(host));
    CU(cuStreamDestroy(s));
}

// Pageable memory behind a host function.
static void host_functions_pageable(void)
{
    uint8_t *host = touch_map(BYTES);
    CUstream s = new_stream();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        struct seen seen = {host, 10 + round, true, 0};
        down_async(host, s, 10 + round);
        CU(cuStreamSynchronize(s));
        CU(cuLaunchHostFunc(s, look, &seen));
        CU(cuStreamSynchronize(s));
        touch_truth(touch_model, 0, BYTES, 10 + round);
        memset(touch_model + PAGE, 10 + (int)round, 2 * PAGE);
        EXPECT(seen.right == 1);
        touch_up("written by a host function", host, BYTES);
    }
    touch_unmap(host, BYTES);
    CU(cuStreamDestroy(s));
}

// --- gates: until the stream comes to the copy the buffer is what it was

static void gated(void)
{
    void *memory;
    CUdeviceptr word = e2e_alloc(4);
    CUstream held = new_stream(), free_stream = new_stream();
    CU(cuMemHostAlloc(&memory, BYTES, 0));
    uint8_t *host = memory;
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        CU(cuMemsetD32(word, 0, 1));
        CU(cuCtxSynchronize());
        down_async(host, free_stream, round);
        CU(cuStreamSynchronize(free_stream));
        touch_truth(touch_model, 0, BYTES, round);
        e2e_fill(touch_fill, held, touch_source, BYTES / 4, 10 + round);
        CU(cuStreamWaitValue32(held, word, 1, CU_STREAM_WAIT_VALUE_EQ));
        CU(cuMemcpyDtoHAsync(host, touch_source, BYTES, held));
        EXPECT(host[PAGE] == touch_model[PAGE] && host[5 * PAGE] == touch_model[5 * PAGE]); // still the old bytes
        CU(cuMemcpyHtoDAsync(touch_sink, host, BYTES, free_stream));
        CU(cuStreamSynchronize(free_stream));
        EXPECT_CODE(CUDA_ERROR_NOT_READY, cuStreamQuery(held));
        uint8_t *through = touch_map(BYTES);
        CU(cuMemcpyDtoHAsync(through, touch_sink, BYTES, free_stream));
        CU(cuStreamSynchronize(free_stream));
        EXPECT(!memcmp(through, touch_model, BYTES));
        touch_unmap(through, BYTES);
        CU(cuStreamWriteValue32(free_stream, word, 1, 0));
        settle((int)round, held);
        touch_truth(touch_model, 0, BYTES, 10 + round);
        EXPECT(host[PAGE] == touch_model[PAGE]);
        touch_up("gated", host, BYTES);
        // A gated upload: the source stays untouched until it has run.
        CU(cuMemsetD32(word, 0, 1));
        CU(cuCtxSynchronize());
        CU(cuStreamWaitValue32(held, word, 1, CU_STREAM_WAIT_VALUE_EQ));
        CU(cuMemcpyHtoDAsync(touch_sink + BYTES, host, BYTES, held));
        CU(cuStreamWriteValue32(free_stream, word, 1, 0));
        settle((int)round, held);
        host[PAGE]++;
        EXPECT(touch_device_is(touch_sink + BYTES, touch_model, BYTES));
    }
    CU(cuMemFreeHost(memory));
    CU(cuStreamDestroy(held));
    CU(cuStreamDestroy(free_stream));
}

// One stream brings the bytes, another takes them away when an event says so; nobody waits here.
static void between_streams(void)
{
    enum { TURNS = 6 };
    void *host;
    CUstream a = new_stream(), b = new_stream();
    CUevent there, taken;
    CU(cuMemHostAlloc(&host, BYTES, 0));
    CU(cuEventCreate(&there, CU_EVENT_DISABLE_TIMING));
    CU(cuEventCreate(&taken, CU_EVENT_DISABLE_TIMING));
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        for (unsigned i = 0; i < TURNS; i++) {
            if (i)
                CU(cuStreamWaitEvent(a, taken, 0));
            down_async(host, a, 100 * round + i);
            CU(cuEventRecord(there, a));
            CU(cuStreamWaitEvent(b, there, 0));
            CU(cuMemcpyHtoDAsync(touch_sink + i * BYTES, host, BYTES, b));
            CU(cuEventRecord(taken, b));
        }
        CU(cuStreamSynchronize(b));
        CU(cuStreamSynchronize(a));
        for (unsigned i = 0; i < TURNS; i++) {
            touch_truth(touch_model, 0, BYTES, 100 * round + i);
            EXPECT(touch_device_is(touch_sink + i * BYTES, touch_model, BYTES));
        }
        touch_up("between streams", host, BYTES);
    }
    CU(cuMemFreeHost(host));
    CU(cuEventDestroy(there));
    CU(cuEventDestroy(taken));
    CU(cuStreamDestroy(a));
    CU(cuStreamDestroy(b));
}

// The memory goes while copies into it are on their way, and other memory comes to its place.
static void freed_early(void)
{
    CUstream s = new_stream();
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        void *host;
        CU(cuMemHostAlloc(&host, BYTES, 0));
        for (unsigned i = 0; i < 3; i++)
            down_async(host, s, round + i);
        CU(cuMemFreeHost(host));
        uint8_t *other = touch_map(BYTES);
        for (size_t at = 0; at < BYTES; at += PAGE)
            EXPECT(other[at] == 0);
        memset(touch_model, 0, BYTES);
        touch_up("freed early", other, BYTES);
        touch_unmap(other, BYTES);
    }
    CU(cuStreamDestroy(s));
}

const struct touch_case touch_pinned[] = {
    {"pinned", pinned}, {"pinned_large", pinned_large}, {"registered", registered},           {"host_functions", host_functions}, {"host_functions_pageable", host_functions_pageable},
    {"gated", gated},   {"between_streams", between_streams}, {"freed_early", freed_early},       {NULL, NULL},
};
