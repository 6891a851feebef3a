// SPDX-License-Identifier: Apache-2.0
// Many threads on the same and on different host buffers, while others copy; threads that are cancelled in the middle of it.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES, THREADS = 8, TURNS = E2E_SIZE(6, 2) };

static uint8_t *host;
static _Atomic unsigned wrong;

static void read_all(unsigned number)
{
    for (size_t i = 0; i < BYTES / PAGE; i++) { // each begins elsewhere: they meet at the same pages
        size_t at = (i * 7 + number * 3) % (BYTES / PAGE) * PAGE;
        wrong += memcmp(host + at, touch_model + at, PAGE) != 0;
    }
}

static void write_own(unsigned number) // a byte of each page
{
    for (size_t i = 0; i < BYTES / PAGE; i++) {
        size_t at = (i * 5 + number) % (BYTES / PAGE) * PAGE + 100 + number;
        wrong += host[at] != touch_model[at];
        host[at] = (uint8_t)(number + 1);
    }
}

static void together(void)
{
    host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        e2e_threads(THREADS, read_all);
        touch_up("read by many", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        e2e_threads(THREADS, write_own);
        for (size_t at = 0; at < BYTES; at += PAGE)
            for (unsigned n = 0; n < THREADS; n++)
                touch_model[at + 100 + n] = (uint8_t)(n + 1);
        touch_up("written by many", host, BYTES);
    }
    EXPECT(!wrong);
    touch_unmap(host, BYTES);
}

// Each thread has a buffer, a stream and device memory of its own, and reads a common one that is away.
static void each_its_own(unsigned number)
{
    CU(cuCtxSetCurrent(touch_context));
    CUstream s;
    CUdeviceptr a = e2e_alloc(BYTES), b = e2e_alloc(BYTES);
    uint8_t *own = touch_map(BYTES), *wanted = malloc(BYTES), *back = touch_map(BYTES);
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    for (unsigned turn = 0; turn < TURNS; turn++) {
        e2e_fill(touch_fill, s, a, BYTES / 4, number * 1000 + turn);
        CU(cuMemcpyDtoHAsync(own, a, BYTES, s));
        CU(cuStreamSynchronize(s));
        touch_truth(wanted, 0, BYTES, number * 1000 + turn);
        size_t at = (number + turn) * PAGE % BYTES;
        wrong += host[at + 3] != touch_model[at + 3];
        wrong += own[at] != wanted[at];
        own[at + 1] = wanted[at + 1] = (uint8_t)turn;
        CU(cuMemcpyHtoDAsync(b, own, BYTES, s));
        CU(cuMemcpyDtoHAsync(back, b, BYTES, s));
        CU(cuStreamSynchronize(s));
        wrong += memcmp(back, wanted, BYTES) != 0;
    }
    CU(cuStreamDestroy(s));
    CU(cuMemFree(a));
    CU(cuMemFree(b));
    touch_unmap(own, BYTES);
    touch_unmap(back, BYTES);
    free(wanted);
}

static void apart(void)
{
    host = touch_map(BYTES);
    for (unsigned round = 0; round < 2; round++) {
        touch_down(host, BYTES, round);
        e2e_threads(THREADS, each_its_own);
        touch_up("the common one", host, BYTES);
    }
    EXPECT(!wrong);
    touch_unmap(host, BYTES);
}

// Two threads upload the same buffer, to different places, while others read it.
static CUdeviceptr places[THREADS];
static void send_same(unsigned number)
{
    CU(cuCtxSetCurrent(touch_context));
    for (unsigned turn = 0; turn < TURNS; turn++) {
        size_t from = turn % 2 * PAGE * number;
        CU(cuMemcpyHtoD(places[number] + from, host + from, BYTES - from));
        wrong += host[number * PAGE] != touch_model[number * PAGE];
    }
}

static void same_source(void)
{
    host = touch_map(BYTES);
    for (unsigned i = 0; i < THREADS; i++)
        places[i] = e2e_alloc(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        e2e_threads(THREADS, send_same);
        for (unsigned i = 0; i < THREADS; i++)
            EXPECT(touch_device_is(places[i], touch_model, BYTES));
        host[2 * PAGE] = touch_model[2 * PAGE] = 7;
        e2e_threads(THREADS, send_same);
        for (unsigned i = 0; i < THREADS; i++)
            EXPECT(touch_device_is(places[i], touch_model, BYTES));
    }
    EXPECT(!wrong);
    printf("sent by all\n");
    touch_unmap(host, BYTES);
}

// --- cancellation

static void *reads_for_ever(void *at)
{
    int type, n = *(int *)at;
    pthread_setcanceltype(n % 2 ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, &type);
    for (volatile unsigned sum = 0;;)
        for (size_t i = 0; i < BYTES; i += PAGE) {
            sum += host[(i + (size_t)n * 3 * PAGE) % BYTES];
            if (n % 2 == 0)
                pthread_testcancel();
        }
    return NULL;
}

static void cancelled(void)
{
    host = touch_map(BYTES);
    for (unsigned round = 0; round < 4 * TOUCH_ROUNDS; round++) {
        pthread_t readers[4];
        int numbers[4] = {0, 1, 2, 3};
        touch_down(host, BYTES, round);
        for (int i = 0; i < 4; i++)
            EXPECT(!pthread_create(&readers[i], NULL, reads_for_ever, &numbers[i]));
        usleep(round * 100);
        for (int i = 0; i < 4; i++)
            pthread_cancel(readers[i]);
        for (int i = 0; i < 4; i++)
            pthread_join(readers[i], NULL);
        EXPECT(!memcmp(host, touch_model, BYTES));
        EXPECT(touch_arrives(host, 0, BYTES));
    }
    printf("cancelled\n");
    touch_unmap(host, BYTES);
}

const struct touch_case touch_crowd[] = {
    {"together", together}, {"apart", apart}, {"same_source", same_source}, {"cancelled", cancelled}, {NULL, NULL},
};
