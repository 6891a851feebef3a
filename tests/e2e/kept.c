// SPDX-License-Identifier: Apache-2.0
// Do the server's kept copies hold what was put into them, in the order of streams, when fetched and when spilled? A program linked with
// libgenie.a, which uses them as the shim does.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"
#include "tests/e2e/kept_bridge.h"

enum { BYTES = 3 << 20, PAGE = 4096 };
static uint8_t *pattern, *got;
static CUfunction fill, add;

static struct bridge_kept *opened(uint64_t size_bytes)
{
    int code;
    struct bridge_kept *k = bridge_open(size_bytes, &code);
    EXPECT(k && !code);
    if (!k)
        exit(e2e_finish());
    return k;
}

static void filled_and_fetched(void)
{
    CUdeviceptr a = e2e_alloc(BYTES), b = e2e_alloc(BYTES);
    struct bridge_kept *k = opened(BYTES);
    e2e_pattern(pattern, BYTES, 1);
    CU(cuMemcpyHtoD(a, pattern, BYTES));
    EXPECT(!bridge_fill(k, NULL, 0, a, BYTES));
    errno = 77;
    EXPECT(!bridge_fetch(k, 0, got, BYTES)); // three requests, pipelined
    EXPECT(errno == 77);
    EXPECT(!memcmp(got, pattern, BYTES));
    memset(got, 0, BYTES);
    EXPECT(!bridge_fetch(k, 5 * PAGE + 3, got, PAGE + 9));
    EXPECT(!memcmp(got, pattern + 5 * PAGE + 3, PAGE + 9));
    EXPECT(!bridge_fetch(k, BYTES - 1, got, 1) && got[0] == pattern[BYTES - 1]);
    CU(cuMemsetD8(a, 0, BYTES));
    EXPECT(!bridge_spill(k, NULL, 0, b, BYTES));
    CU(cuMemcpyDtoH(got, b, BYTES));
    EXPECT(!memcmp(got, pattern, BYTES));
    // A part, both ways.
    CU(cuMemsetD8(a, 9, PAGE));
    EXPECT(!bridge_fill(k, NULL, 2 * PAGE, a, PAGE));
    memset(pattern + 2 * PAGE, 9, PAGE);
    EXPECT(!bridge_spill(k, NULL, PAGE, b + PAGE, 3 * PAGE));
    CU(cuMemcpyDtoH(got, b, BYTES));
    EXPECT(!memcmp(got, pattern, BYTES));
    EXPECT(!bridge_fetch(k, 0, got, BYTES));
    EXPECT(!memcmp(got, pattern, BYTES));
    bridge_close(k);
    CU(cuMemFree(a));
    CU(cuMemFree(b));
}

static void many_fills(void) // each fetch is of the last fill that was posted before it, also while that is still on its way
{
    CUdeviceptr a = e2e_alloc(PAGE);
    struct bridge_kept *k = opened(PAGE);
    CUstream s;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    bool right = true;
    for (unsigned i = 0; i < e2e_tries(300); i++) {
        CU(cuMemsetD32Async(a, i, PAGE / 4, s));
        EXPECT(!bridge_fill(k, s, 0, a, PAGE));
        EXPECT(!bridge_fetch(k, 0, got, PAGE));
        uint32_t first, last;
        memcpy(&first, got, 4);
        memcpy(&last, got + PAGE - 4, 4);
        right = right && first == i && last == i;
    }
    EXPECT(right);
    CU(cuStreamSynchronize(s));
    CU(cuStreamDestroy(s));
    bridge_close(k);
    CU(cuMemFree(a));
}

static void wait_until(void *flag)
{
    while (!atomic_load((_Atomic int *)flag))
        usleep(100);
}

// A spill that a host function holds up still finds what was there when it was posted, and nobody else waits for it.
static void a_spill_that_waits(void)
{
    CUdeviceptr a = e2e_alloc(BYTES), b = e2e_alloc(BYTES);
    struct bridge_kept *k = opened(BYTES);
    CUstream held, other;
    _Atomic int go = 0;
    CU(cuStreamCreate(&held, CU_STREAM_NON_BLOCKING));
    CU(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    CU(cuMemsetD32Async(a, 1, BYTES / 4, other));
    EXPECT(!bridge_fill(k, other, 0, a, BYTES));
    CU(cuStreamSynchronize(other));
    CU(cuLaunchHostFunc(held, wait_until, &go));
    EXPECT(!bridge_spill(k, held, 0, b, BYTES));
    CU(cuMemsetD32Async(a, 2, BYTES / 4, other));
    EXPECT(!bridge_fill(k, other, 0, a, BYTES));            // the whole
    CU(cuMemsetD32Async(a, 3, PAGE / 4, other));
    EXPECT(!bridge_fill(k, other, PAGE, a, PAGE));          // and a part of the new
    EXPECT(!bridge_fetch(k, 0, got, BYTES));                // which does not wait for the spill
    uint32_t *words = (uint32_t *)got;
    EXPECT(words[0] == 2 && words[PAGE / 4] == 3 && words[2 * PAGE / 4] == 2 && words[BYTES / 4 - 1] == 2);
    CU(cuStreamSynchronize(other));
    atomic_store(&go, 1);
    CU(cuStreamSynchronize(held));
    CU(cuMemcpyDtoH(got, b, BYTES));
    EXPECT(words[0] == 1 && words[PAGE / 4] == 1 && words[BYTES / 4 - 1] == 1);
    // A part while a spill of the whole waits: the rest is taken over.
    atomic_store(&go, 0);
    CU(cuLaunchHostFunc(held, wait_until, &go));
    EXPECT(!bridge_spill(k, held, 0, b, BYTES));
    CU(cuMemsetD32Async(a, 4, PAGE / 4, other));
    EXPECT(!bridge_fill(k, other, 3 * PAGE, a, PAGE));
    EXPECT(!bridge_fetch(k, 0, got, BYTES));
    EXPECT(words[0] == 2 && words[PAGE / 4] == 3 && words[3 * PAGE / 4] == 4 && words[4 * PAGE / 4] == 2 && words[BYTES / 4 - 1] == 2);
    atomic_store(&go, 1);
    CU(cuStreamSynchronize(held));
    CU(cuMemcpyDtoH(got, b, BYTES));
    EXPECT(words[0] == 2 && words[PAGE / 4] == 3 && words[3 * PAGE / 4] == 2 && words[BYTES / 4 - 1] == 2);
    CU(cuStreamDestroy(held));
    CU(cuStreamDestroy(other));
    bridge_close(k);
    CU(cuMemFree(a));
    CU(cuMemFree(b));
}

// A fill in one stream, a spill in another: the second waits for the first.
static void between_streams(void)
{
    CUdeviceptr a = e2e_alloc(BYTES), b = e2e_alloc(BYTES);
    struct bridge_kept *k = opened(BYTES);
    CUstream s[8];
    for (int i = 0; i < 8; i++)
        CU(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
    bool right = true;
    for (unsigned i = 0; i < e2e_tries(40); i++) {
        e2e_fill(fill, s[i % 8], a, BYTES / 4, i);
        EXPECT(!bridge_fill(k, s[i % 8], 0, a, BYTES));
        EXPECT(!bridge_spill(k, s[(i + 1) % 8], 0, b, BYTES));
        e2e_add(add, s[(i + 1) % 8], b, BYTES / 4, 1000);
        CU(cuStreamSynchronize(s[(i + 1) % 8]));
        CU(cuMemcpyDtoH(got, b, BYTES));
        right = right && e2e_is_filled((uint32_t *)got, BYTES / 4, i + 1000);
    }
    EXPECT(right);
    for (unsigned i = 0; i < 64; i++) // more streams read than are told apart
        EXPECT(!bridge_spill(k, s[i % 8], 0, b, PAGE));
    EXPECT(!bridge_fill(k, s[3], 0, b, BYTES));
    EXPECT(!bridge_fetch(k, 0, got, PAGE));
    CU(cuCtxSynchronize());
    for (int i = 0; i < 8; i++)
        CU(cuStreamDestroy(s[i]));
    bridge_close(k);
    CU(cuMemFree(a));
    CU(cuMemFree(b));
}

static void what_is_refused(void)
{
    CUdeviceptr a = e2e_alloc(BYTES);
    struct bridge_kept *k = opened(PAGE), *empty = opened(PAGE);
    CUstream s;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuMemsetD8Async(a, 5, BYTES, s));
    EXPECT(!bridge_fill(k, s, 0, a, PAGE));
    EXPECT(bridge_fetch_raw(bridge_id(k) + (1ull << 32), 0, 0, got, 1) == CUDA_ERROR_INVALID_HANDLE);
    EXPECT(bridge_fetch_raw(12345, 0, 0, got, 1) == CUDA_ERROR_INVALID_HANDLE);
    EXPECT(bridge_fetch_raw(bridge_id(k), 0, PAGE, got, 1) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(bridge_fetch_raw(bridge_id(k), 0, PAGE - 1, got, 2) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(bridge_fetch_raw(bridge_id(k), 0, UINT64_MAX, got, 2) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(bridge_fetch_raw(bridge_id(k), 0, UINT64_MAX - 1, got, PAGE) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(bridge_fetch(empty, 0, got, 1) == CUDA_ERROR_INVALID_VALUE);
    // A fill from where there is no memory fails: nobody is given what was there before.
    EXPECT(!bridge_fill(k, s, 8, 16, 8));
    EXPECT(bridge_fetch(k, 0, got, PAGE) > 0);
    EXPECT(!bridge_spill(k, s, 0, a, 8));
    EXPECT(cuStreamSynchronize(s) != CUDA_SUCCESS); // told as other posted failures are
    EXPECT(!bridge_fill(k, s, 0, a, PAGE)); // all of it is right again
    EXPECT(!bridge_fetch(k, 0, got, PAGE) && got[9] == 5);
    CU(cuStreamSynchronize(s));
    uint64_t id = bridge_id(k);
    bridge_close(k);
    CU(cuStreamSynchronize(s));
    EXPECT(bridge_fetch_raw(id, 0, 0, got, 1) == CUDA_ERROR_INVALID_HANDLE);
    bridge_close(empty);
    CU(cuStreamDestroy(s));
    CU(cuMemFree(a));
}

// The channel breaks: it is opened again once, and the session goes on.
static void a_channel_that_breaks(void)
{
    CUdeviceptr a = e2e_alloc(BYTES);
    struct bridge_kept *k = opened(BYTES);
    e2e_pattern(pattern, BYTES, 4);
    CU(cuMemcpyHtoD(a, pattern, BYTES));
    EXPECT(!bridge_fill(k, NULL, 0, a, BYTES));
    int fd = bridge_channel_fd();
    for (int i = 0; i < 6; i++) {
        shutdown(fd, SHUT_RDWR);
        EXPECT(!bridge_fetch(k, 0, got, BYTES));
        EXPECT(!memcmp(got, pattern, BYTES));
        EXPECT(bridge_channel_fd() == fd);
    }
    EXPECT(!bridge_ask(k, 0, PAGE) && !bridge_ask(k, PAGE, PAGE) && bridge_ask(k, PAGE, PAGE) == -EINVAL);
    EXPECT(bridge_fetch(k, 0, got, PAGE) == -EINVAL);
    EXPECT(!bridge_take(got) && !bridge_take(got + PAGE) && bridge_take(got) == -EINVAL);
    EXPECT(!memcmp(got, pattern, 2 * PAGE));
    shutdown(fd, SHUT_RDWR);
    EXPECT(bridge_ask(k, 0, PAGE) < 0 || bridge_take(got) < 0);
    bridge_close(k);
    CU(cuMemFree(a));
}

// Contexts take their copies along, also one whose fill waits.
static void contexts_end(void)
{
    CUcontext mine, popped;
    CUstream s;
    _Atomic int go = 1;
    for (unsigned i = 0; i < 4; i++) {
        CU(cuCtxCreate(&mine, NULL, 0, 0));
        CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
        CUdeviceptr a = e2e_alloc(BYTES);
        struct bridge_kept *k = opened(BYTES), *second = opened(PAGE);
        CU(cuLaunchHostFunc(s, wait_until, &go));
        EXPECT(!bridge_fill(k, s, 0, a, BYTES));
        if (i % 2)
            EXPECT(!bridge_fetch(k, 0, got, PAGE));
        uint64_t id = bridge_id(k);
        CU(cuCtxDestroy(mine));
        EXPECT(cuCtxPopCurrent(&popped) == CUDA_SUCCESS || true);
        EXPECT(bridge_fetch_raw(id, 0, 0, got, 1) == CUDA_ERROR_INVALID_HANDLE);
        bridge_close(k);
        bridge_close(second);
    }
}

// Blocks until there is no memory left; frees them again.
static unsigned take_all(void)
{
    enum { BLOCK = 1 << 20, BLOCKS = 256 };
    static CUdeviceptr blocks[BLOCKS];
    unsigned n = 0;
    CUresult r = CUDA_SUCCESS;
    while (n < BLOCKS && !(r = cuMemAlloc(&blocks[n], BLOCK)))
        n++;
    EXPECT(r == CUDA_ERROR_OUT_OF_MEMORY);
    for (unsigned i = 0; i < n; i++) {
        CU(cuMemsetD8(blocks[i], 0xff, BLOCK));
        CU(cuMemFree(blocks[i]));
    }
    return n;
}

// A device that is all the program's: what is kept there makes room, and is right afterwards.
static void a_full_device(void)
{
    enum { COPIES = 4 };
    struct bridge_kept *k[COPIES];
    size_t before, after, total;
    CUdeviceptr a = e2e_alloc(BYTES);
    unsigned blocks = take_all();
    EXPECT(blocks > 30);
    EXPECT(take_all() == blocks);
    CU(cuMemGetInfo(&before, &total));
    for (unsigned i = 0; i < COPIES; i++) {
        k[i] = opened(BYTES);
        EXPECT(bridge_on_device(k[i]));
        e2e_pattern(pattern, BYTES, i);
        CU(cuMemcpyHtoD(a, pattern, BYTES));
        EXPECT(!bridge_fill(k[i], NULL, 0, a, BYTES));
    }
    CU(cuMemGetInfo(&after, &total));
    EXPECT(before == after);
    EXPECT(take_all() == blocks);
    for (unsigned i = 0; i < COPIES; i++) {
        EXPECT(!bridge_fetch(k[i], 0, got, BYTES));
        EXPECT(e2e_is_pattern(got, BYTES, i));
        EXPECT(!bridge_spill(k[i], NULL, 0, a, BYTES));
        CU(cuMemcpyDtoH(got, a, BYTES));
        EXPECT(e2e_is_pattern(got, BYTES, i));
    }
    CU(cuMemGetInfo(&after, &total));
    EXPECT(before == after);
    for (unsigned i = 0; i < COPIES; i++)
        bridge_close(k[i]);
    CU(cuMemFree(a));
}

int main(int argc, char **argv)
{
    e2e_open(0);
    fill = e2e_kernel("fill");
    add = e2e_kernel("add");
    pattern = malloc(BYTES);
    got = malloc(BYTES);
    if (argc > 1 && !strcmp(argv[1], "full")) {
        EXPECT(!bridge_channel());
        a_full_device();
        return e2e_finish();
    }
    bool on_device = argc < 2 || strcmp(argv[1], "host");
    EXPECT(bridge_possible());
    EXPECT(!bridge_channel());
    struct bridge_kept *k = opened(BYTES);
    EXPECT(bridge_on_device(k) == on_device);
    bridge_close(k);
    filled_and_fetched();
    many_fills();
    between_streams();
    a_spill_that_waits();
    what_is_refused();
    a_channel_that_breaks();
    CUcontext here;
    CU(cuCtxGetCurrent(&here));
    contexts_end();
    CU(cuCtxSetCurrent(here));
    bridge_shut();
    EXPECT(bridge_fetch_raw(1, 0, 0, got, 1) < 0);
    bridge_channel_close();
    return e2e_finish();
}
