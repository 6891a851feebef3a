// SPDX-License-Identifier: Apache-2.0
// Does everybody get through when many wait: more readers than a server has slots, a host function that waits for what another thread copies,
// copies and functions behind an error or in a context that is destroyed?
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"

enum {
    READERS = 24,
    READ_BYTES = E2E_SIZE(3 << 20, 5 << 18), // several pieces
    PIECE_BYTES = 4096,
    BEHIND = 16,            // asynchronous copies to the host behind a host function
    UPLOAD_BYTES = 1 << 20,
    UPLOADS = E2E_SIZE(100, 24), // more than a window of the server that it is run against
};

static CUcontext context;

static CUstream new_stream(void)
{
    CUstream s;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    return s;
}

static CUdeviceptr source;

static void read_much(unsigned number)
{
    uint8_t *to = malloc(READ_BYTES);
    CU(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < 3; i++) {
        memset(to, 0, READ_BYTES);
        CU(cuMemcpyDtoH(to, source, READ_BYTES));
        EXPECT(e2e_is_pattern(to, READ_BYTES, 5));
    }
    (void)number;
    free(to);
}

static void many_readers(void)
{
    uint8_t *bytes = malloc(READ_BYTES);
    printf("-- %d threads read at once\n", READERS);
    source = e2e_alloc(READ_BYTES);
    e2e_pattern(bytes, READ_BYTES, 5);
    CU(cuMemcpyHtoD(source, bytes, READ_BYTES));
    e2e_threads(READERS, read_much);
    CU(cuMemFree(source));
    free(bytes);
}

// --- a host function that waits for the main thread

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool may_go_on;

static void let_go(bool go)
{
    pthread_mutex_lock(&lock);
    may_go_on = go;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for_main(void *data)
{
    (void)data;
    pthread_mutex_lock(&lock);
    while (!may_go_on)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void behind_a_host_function(void)
{
    CUstream held = new_stream(), free_stream = new_stream();
    CUdeviceptr a = e2e_alloc(PIECE_BYTES), b = e2e_alloc(UPLOAD_BYTES);
    uint8_t *pinned, *bytes = malloc(UPLOAD_BYTES);
    printf("-- a host function waits for copies of the main thread\n");
    CU(cuMemAllocHost((void **)&pinned, BEHIND * PIECE_BYTES));
    e2e_pattern(bytes, UPLOAD_BYTES, 9);
    CU(cuMemcpyHtoD(a, bytes, PIECE_BYTES));
    let_go(false);
    CU(cuLaunchHostFunc(held, wait_for_main, NULL));
    for (int i = 0; i < BEHIND; i++)
        CU(cuMemcpyDtoHAsync(pinned + i * PIECE_BYTES, a, PIECE_BYTES, held));
    for (int i = 0; i < BEHIND; i++)
        CU(cuMemcpyHtoDAsync(a, bytes, PIECE_BYTES, held));
    for (int i = 0; i < UPLOADS; i++)
        CU(cuMemcpyHtoDAsync(b, bytes, UPLOAD_BYTES, free_stream));
    CU(cuStreamSynchronize(free_stream));
    memset(bytes, 0, UPLOAD_BYTES);
    CU(cuMemcpyDtoHAsync(bytes, b, UPLOAD_BYTES, free_stream)); // not pinned: waits
    CU(cuStreamSynchronize(free_stream));
    EXPECT(e2e_is_pattern(bytes, UPLOAD_BYTES, 9));
    EXPECT_CODE(CUDA_ERROR_NOT_READY, cuStreamQuery(held));
    let_go(true);
    CU(cuStreamSynchronize(held));
    for (int i = 0; i < BEHIND; i++)
        EXPECT(e2e_is_pattern(pinned + i * PIECE_BYTES, PIECE_BYTES, 9));
    CU(cuMemFreeHost(pinned));
    CU(cuMemFree(a));
    CU(cuMemFree(b));
    CU(cuStreamDestroy(held));
    CU(cuStreamDestroy(free_stream));
    free(bytes);
}

// --- what is behind an error

static int calls, status;

static void note(CUstream s, CUresult r, void *data)
{
    (void)s, (void)data;
    pthread_mutex_lock(&lock);
    calls++;
    status = (int)r;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void never(void *data)
{
    (void)data;
    EXPECT(!"a host function behind an error is not called");
}

static void behind_an_error(void)
{
    CUcontext lost;
    CUstream s;
    CUdeviceptr bad = 16, a;
    uint8_t *pinned;
    unsigned count = 4, value = 1;
    void *parameters[] = {&bad, &count, &value};
    printf("-- behind an error\n");
    for (unsigned round = 0; round < 3; round++) { // what one round does not give back the next one lacks
        CU(cuCtxCreate(&lost, NULL, 0, 0));
        s = new_stream();
        a = e2e_alloc(PIECE_BYTES);
        CU(cuMemAllocHost((void **)&pinned, PIECE_BYTES));
        calls = status = 0;
        e2e_launch(e2e_kernel("fill"), s, 4, parameters);
        for (int i = 0; i < BEHIND + 8; i++)
            (void)cuMemcpyDtoHAsync(pinned, a, PIECE_BYTES, s);
        (void)cuLaunchHostFunc(s, never, NULL);
        CUresult r = cuStreamSynchronize(s);
        EXPECT(r == CUDA_ERROR_ILLEGAL_ADDRESS);
        WANT(CUDA_SUCCESS, cuCtxDestroy(lost));
        CU(cuCtxSetCurrent(context));
    }
    // The other context is as it was, and nothing is taken to be under way any more.
    s = new_stream();
    a = e2e_alloc(PIECE_BYTES);
    CU(cuMemAllocHost((void **)&pinned, PIECE_BYTES));
    for (uint32_t i = 0; i < 2 * BEHIND; i++) {
        e2e_pattern(pinned, PIECE_BYTES, i);
        CU(cuMemcpyHtoDAsync(a, pinned, PIECE_BYTES, s));
        CU(cuStreamSynchronize(s));
        memset(pinned, 0, PIECE_BYTES);
        CU(cuMemcpyDtoHAsync(pinned, a, PIECE_BYTES, s));
        CU(cuStreamSynchronize(s));
        EXPECT(e2e_is_pattern(pinned, PIECE_BYTES, i));
    }
    CU(cuStreamAddCallback(s, note, NULL, 0));
    CU(cuStreamSynchronize(s));
    EXPECT(calls == 1 && status == 0);
    CU(cuStreamDestroy(s));
}

int main(void)
{
    alarm(200);
    context = e2e_open(0);
    many_readers();
    if (!e2e_waits_inside())
        behind_a_host_function();
    behind_an_error();
    return e2e_finish();
}
