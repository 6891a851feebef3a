// SPDX-License-Identifier: Apache-2.0
// Queries of events and streams: they say "not yet" as long as that is so, end soon when it is not, and never deny what the program has already
// been shown, whichever way: by a wait, another query, a copy that has arrived, a host function that has run, another thread.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"

enum { WORDS = 1024, ROUNDS = 1 << 9 };

static CUcontext context;
static CUfunction grind, fill;
static CUdeviceptr words;

static void put_work(CUstream stream, unsigned rounds)
{
    CU(cuLaunchKernel(grind, 1, 1, 1, 1, 1, 1, 0, stream, (void *[]){&words, &rounds}, NULL));
}

// A stream that stops until the program lets it go on: so that "not yet" is certain.
struct stop {
    _Atomic int reached, open;
};
static void hold(void *stop)
{
    struct stop *s = stop;
    atomic_store(&s->reached, 1);
    while (!atomic_load(&s->open))
        usleep(100);
}
static void set_flag(void *flag) { atomic_store((_Atomic int *)flag, 1); }

// Without threads of its own Genie only moves inside calls: then the program has to make one now and then.
static void breathe(CUstream stream)
{
    if (getenv("MARKS_BREATHE"))
        cuStreamQuery(stream);
}

static CUresult until_through(CUresult (*query)(void *), void *what)
{
    CUresult r;
    time_t began = time(NULL);
    while ((r = query(what)) == CUDA_ERROR_NOT_READY)
        if (time(NULL) - began > 20)
            break;
    return r;
}
static CUresult of_event(void *event) { return cuEventQuery(event); }
static CUresult of_stream(void *stream) { return cuStreamQuery(stream); }

// --- the tests

static void what_was_never_used(void)
{
    CUstream s;
    CUevent e;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuEventCreate(&e, 0));
    WANT(CUDA_SUCCESS, cuStreamQuery(s));
    WANT(CUDA_SUCCESS, cuEventQuery(e));
    CU(cuEventDestroy(e));
    CU(cuStreamDestroy(s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(e));
}

static void loops_end(void)
{
    CUstream s;
    CUevent e;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    for (unsigned i = 0, n = e2e_tries(200); i < n; i++) {
        put_work(s, i % 3 ? ROUNDS : 1);
        CU(cuEventRecord(e, s));
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e));
        EXPECT_CODE(CUDA_SUCCESS, cuEventQuery(e));
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_stream, s));
        put_work(s, 1);
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_stream, s));
        put_work(NULL, 1);
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_stream, NULL));
        EXPECT_CODE(CUDA_SUCCESS, cuStreamQuery(NULL));
    }
    CU(cuEventDestroy(e));
    CU(cuStreamDestroy(s));
    printf("loops end\n");
}

static void not_before(void)
{
    CUstream s, t;
    CUevent e, of_other;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    CU(cuEventCreate(&e, 0));
    CU(cuEventCreate(&of_other, 0));
    for (unsigned i = 0, n = e2e_tries(40); i < n; i++) {
        struct stop stop = {0};
        // Known to be through, and then something else: the old answer must be forgotten.
        CU(cuEventRecord(e, s));
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e));
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_stream, s));
        CU(cuLaunchHostFunc(s, hold, &stop));
        if (i % 2)
            EXPECT_CODE(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
        CU(cuEventRecord(e, s));
        for (int k = 0; k < 3; k++) {
            EXPECT_CODE(CUDA_ERROR_NOT_READY, cuEventQuery(e));
            EXPECT_CODE(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
        }
        // Others go on meanwhile.
        put_work(t, 10);
        CU(cuEventRecord(of_other, t));
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, of_other));
        while (!atomic_load(&stop.reached)) {
            usleep(100);
            breathe(s);
        }
        EXPECT_CODE(CUDA_ERROR_NOT_READY, cuEventQuery(e));
        EXPECT_CODE(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
        if (i % 3 == 0) { // the same event somewhere else: what it stood for does not matter any more
            CU(cuEventRecord(e, t));
            EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e));
        }
        atomic_store(&stop.open, 1);
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e));
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_stream, s));
    }
    CU(cuEventDestroy(e));
    CU(cuEventDestroy(of_other));
    CU(cuStreamDestroy(s));
    CU(cuStreamDestroy(t));
    printf("not before\n");
}

enum { CHAIN = 6 };

// Each event implies those before it: through stream waits, or because they lie in the same stream.
static void what_is_implied(void)
{
    CUstream s[CHAIN];
    CUevent e[CHAIN], same[CHAIN];
    for (int i = 0; i < CHAIN; i++) {
        CU(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
        CU(cuEventCreate(&e[i], CU_EVENT_DISABLE_TIMING));
        CU(cuEventCreate(&same[i], CU_EVENT_DISABLE_TIMING));
    }
    for (unsigned n = 0, most = e2e_tries(200); n < most; n++) {
        for (int i = 0; i < CHAIN; i++) {
            if (i)
                CU(cuStreamWaitEvent(s[i], e[i - 1], 0));
            put_work(s[i], n % 4 ? 20 : ROUNDS);
            CU(cuEventRecord(same[i], s[i]));
            CU(cuEventRecord(e[i], s[i]));
            if (n % 3 == 0) // watched because it was asked for, not because it was recorded
                cuEventQuery(e[i]);
        }
        if (n % 5 == 0)
            cuEventQuery(same[n % CHAIN]);
        int last = n % 2 ? CHAIN - 1 : (int)(n % CHAIN);
        switch (n % 4) {
        case 0: CU(cuEventSynchronize(e[last])); break;
        case 1: CU(cuStreamSynchronize(s[last])); break;
        default: EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e[last])); break;
        }
        for (int i = last; i >= 0; i--) {
            EXPECT_CODE(CUDA_SUCCESS, cuEventQuery(e[i]));
            EXPECT_CODE(CUDA_SUCCESS, cuEventQuery(same[i]));
            if (i < last || n % 4 == 1)
                EXPECT_CODE(CUDA_SUCCESS, cuStreamQuery(s[i]));
        }
        CU(cuCtxSynchronize());
        for (int i = 0; i < CHAIN; i++)
            EXPECT_CODE(CUDA_SUCCESS, cuEventQuery(e[i]));
    }
    for (int i = 0; i < CHAIN; i++) {
        CU(cuStreamDestroy(s[i]));
        CU(cuEventDestroy(e[i]));
        CU(cuEventDestroy(same[i]));
    }
    printf("what is implied\n");
}

// Bytes that arrive by themselves, and host functions, show that a stream has come so far.
static void what_the_program_sees(void)
{
    CUstream s;
    CUevent e;
    uint32_t *pinned;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    CU(cuMemAllocHost((void **)&pinned, WORDS * 4));
    for (unsigned n = 1, most = e2e_tries(150); n <= most; n++) {
        _Atomic int ran = 0;
        __atomic_store_n(&pinned[0], 0, __ATOMIC_RELEASE);
        e2e_fill(fill, s, words, WORDS, n);
        put_work(s, n % 3 ? 10 : ROUNDS);
        CU(cuEventRecord(e, s));
        // To look at bytes that are just being copied is a race by design, which the thread sanitizer rightly sees.
        if (E2E_SIZE(n % 2, 0)) {
            cuEventQuery(e);
            e2e_fill(fill, s, words, WORDS, n); // grinding has changed the first word
            CU(cuMemcpyDtoHAsync(pinned, words, WORDS * 4, s));
            while (__atomic_load_n(&pinned[0], __ATOMIC_ACQUIRE) != n)
                breathe(s);
        } else {
            CU(cuLaunchHostFunc(s, set_flag, &ran));
            if (n % 4)
                cuEventQuery(e);
            while (!atomic_load(&ran))
                breathe(s);
        }
        EXPECT_CODE(CUDA_SUCCESS, cuEventQuery(e));
        CU(cuStreamSynchronize(s));
        EXPECT_CODE(CUDA_SUCCESS, cuStreamQuery(s));
    }
    CU(cuMemFreeHost(pinned));
    CU(cuEventDestroy(e));
    CU(cuStreamDestroy(s));
    printf("what the program sees\n");
}

// --- threads: what one has seen passed, the others see passed

enum { POLLERS = 4 };
static CUevent shared_first, shared_second;
static _Atomic unsigned turn, seen;

static void poller(unsigned number)
{
    CU(cuCtxSetCurrent(context));
    unsigned most = e2e_tries(100);
    CUstream a = NULL, b = NULL;
    if (!number) {
        CU(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
        CU(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    }
    for (unsigned n = 1; n <= most; n++) {
        if (!number) {
            put_work(a, ROUNDS);
            CU(cuEventRecord(shared_first, a));
            CU(cuStreamWaitEvent(b, shared_first, 0));
            CU(cuEventRecord(shared_second, b));
            atomic_store(&turn, n);
        }
        while (atomic_load(&turn) < n)
            sched_yield();
        if (number % 2)
            cuEventQuery(shared_first);
        EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, shared_second));
        EXPECT_CODE(CUDA_SUCCESS, cuEventQuery(shared_first));
        atomic_fetch_add(&seen, 1);
        while (!number && atomic_load(&seen) < n * POLLERS) // nobody asks any more when they are recorded anew
            sched_yield();
        while (number && atomic_load(&seen) < n * POLLERS)
            sched_yield();
    }
    if (!number) {
        CU(cuStreamDestroy(a));
        CU(cuStreamDestroy(b));
    }
}

static void many_threads(void)
{
    CU(cuEventCreate(&shared_first, CU_EVENT_DISABLE_TIMING));
    CU(cuEventCreate(&shared_second, CU_EVENT_DISABLE_TIMING));
    e2e_threads(POLLERS, poller);
    CU(cuEventDestroy(shared_first));
    CU(cuEventDestroy(shared_second));
    printf("many threads\n");
}

// More events than marks that may be out, in several streams because the queue of one holds about a thousand operations.
static void many_events(void)
{
    enum { STREAMS = 3, EVENTS = 1500 };
    static CUevent e[EVENTS];
    struct stop stop = {0};
    CUstream s[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        CU(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
        CU(cuLaunchHostFunc(s[i], hold, &stop));
    }
    for (int i = 0; i < EVENTS; i++) {
        CU(cuEventCreate(&e[i], CU_EVENT_DISABLE_TIMING));
        CU(cuEventRecord(e[i], s[i % STREAMS]));
        EXPECT_CODE(CUDA_ERROR_NOT_READY, cuEventQuery(e[i]));
    }
    for (int i = 0; i < EVENTS; i += 5)
        CU(cuEventDestroy(e[i]));
    atomic_store(&stop.open, 1);
    for (int i = 0; i < EVENTS; i++)
        if (i % 5) {
            EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e[i]));
            CU(cuEventDestroy(e[i]));
        }
    for (int i = 0; i < STREAMS; i++)
        CU(cuStreamDestroy(s[i]));
    printf("many events\n");
}

static void a_context_that_goes(void)
{
    CUcontext other;
    CUstream s;
    CUevent e;
    for (int i = 0; i < 5; i++) {
        CU(cuCtxCreate(&other, NULL, 0, 0));
        CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
        CU(cuEventCreate(&e, 0));
        CUfunction here = e2e_kernel("grind");
        CUdeviceptr at = e2e_alloc(64);
        unsigned rounds = ROUNDS;
        CU(cuLaunchKernel(here, 1, 1, 1, 1, 1, 1, 0, s, (void *[]){&at, &rounds}, NULL));
        CU(cuEventRecord(e, s));
        cuEventQuery(e);
        cuStreamQuery(s);
        CU(cuCtxDestroy(other));
        EXPECT_CODE(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(e));
    }
    CU(cuCtxSetCurrent(context));
    printf("a context that goes\n");
}

// A kernel that fails is told to who only asks.
static void a_fault(void)
{
    CUcontext other;
    CUstream s;
    CUevent e;
    CU(cuCtxCreate(&other, NULL, 0, 0));
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuEventCreate(&e, 0));
    CUfunction poke = e2e_kernel("poke");
    CUdeviceptr nowhere = 0x10;
    unsigned value = 1;
    CU(cuEventRecord(e, s));
    EXPECT_CODE(CUDA_SUCCESS, until_through(of_event, e));
    CU(cuLaunchKernel(poke, 1, 1, 1, 1, 1, 1, 0, s, (void *[]){&nowhere, &value}, NULL));
    cuEventRecord(e, s);
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, until_through(of_event, e));
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamQuery(s));
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuEventQuery(e));
    cuCtxDestroy(other);
    CU(cuCtxSetCurrent(context));
}

int main(void)
{
    context = e2e_open(0);
    grind = e2e_kernel("grind");
    fill = e2e_kernel("fill");
    words = e2e_alloc(WORDS * 4);
    what_was_never_used();
    loops_end();
    not_before();
    what_is_implied();
    what_the_program_sees();
    many_threads();
    many_events();
    a_context_that_goes();
    a_fault();
    return e2e_finish();
}
