// SPDX-License-Identifier: Apache-2.0
// Launches and waits: in bursts, alone, from several threads, and what they cost in CPU time.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "bench/micro.h"
#include "tests/mock/mock_stamp.h"

enum {
    BURST = 300,
    BURSTS = 10,
    SYNCS = 50,
    LONE_LAUNCHES = 20,
    LONE_PAUSE_US = 300,
    THREADS_MAX = 16,
    THREAD_LAUNCHES = 4800
};
static const double turn_us = 100000, lone_patience_us = 10000000; // a turn over a slow network ends early

static CUresult launch(struct gn_micro *m, uint64_t kernel, CUstream stream)
{
    return cuLaunchKernel(m->kernels[kernel], 1, 1, 1, 32, 1, 1, 0, stream, m->parameters, NULL);
}

// The call's own time: what comes after the burst is not counted.
static void run_burst(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    double begin = gn_micro_now_us();
    for (int i = 0; i < BURSTS && gn_micro_goes_on(i, begin, turn_us); i++) {
        double from = gn_micro_now_us();
        for (int k = 0; k < BURST; k++)
            TRY(launch(m, row->number, m->stream));
        gn_micro_value(result, (gn_micro_now_us() - from) / BURST);
        TRY(cuStreamSynchronize(m->stream));
        result->calls += BURST;
    }
}

static void run_launch_sync(struct gn_micro *m, const struct gn_micro_row *row,
                            struct gn_micro_result *result)
{
    double begin = gn_micro_now_us();
    for (int i = 0; i < SYNCS && gn_micro_goes_on(i, begin, turn_us); i++) {
        double from = gn_micro_now_us();
        TRY(launch(m, row->number, m->stream));
        TRY(cuStreamSynchronize(m->stream));
        gn_micro_value(result, gn_micro_now_us() - from);
        result->calls++;
    }
}

static void run_sync(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    (void)row;
    double begin = gn_micro_now_us();
    for (int i = 0; i < SYNCS && gn_micro_goes_on(i, begin, turn_us); i++) {
        double from = gn_micro_now_us();
        TRY(cuStreamSynchronize(m->stream));
        gn_micro_value(result, gn_micro_now_us() - from);
        result->calls++;
    }
}

static void run_step(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    uint32_t word;
    double begin = gn_micro_now_us();
    for (int i = 0; i < BURSTS && gn_micro_goes_on(i, begin, turn_us); i++) {
        double from = gn_micro_now_us();
        for (int k = 0; k < BURST; k++)
            TRY(launch(m, row->number, m->stream));
        TRY(cuMemcpyDtoHAsync(&word, m->memory, sizeof word, m->stream)); // pageable: waits
        gn_micro_value(result, gn_micro_now_us() - from);
        result->calls++;
    }
}

// --- a lone launch: from the call to the driver's stamp, with no call after it

static void run_lone(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    const struct timespec pause = {.tv_nsec = LONE_PAUSE_US * 1000}, look = {.tv_nsec = 50000};
    for (int i = 0; i < LONE_LAUNCHES; i++) {
        TRY(cuStreamSynchronize(m->stream));
        nanosleep(&pause, NULL); // so that both ends are at rest
        // Acquire: pairs with the release of the driver's stamp, as below.
        uint64_t n = atomic_load_explicit(&m->stamps->launches, memory_order_acquire);
        const _Atomic uint64_t *slot = &m->stamps->launch_ns[n % MOCK_STAMPS];
        uint64_t before = atomic_load_explicit(slot, memory_order_acquire), stamp;
        double from = gn_micro_now_us();
        TRY(launch(m, row->number, m->stream));
        while ((stamp = atomic_load_explicit(slot, memory_order_acquire)) == before) {
            nanosleep(&look, NULL); // off the core: the launch has to get there by itself
            if (gn_micro_now_us() - from > lone_patience_us) {
                snprintf(result->failed, sizeof result->failed,
                         "a lone launch did not start within ten seconds");
                return;
            }
        }
        gn_micro_value(result, (double)stamp / 1e3 - from);
        result->calls++;
    }
}

// --- several threads, each with a stream of its own

struct crew {
    struct gn_micro *m;
    pthread_barrier_t start;
    unsigned launches_each;
    _Atomic int failed;
};

static void *launch_many(void *arg)
{
    struct crew *crew = arg;
    CUstream stream = NULL;
    bool good = cuCtxSetCurrent(crew->m->context) == CUDA_SUCCESS &&
                cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS;
    pthread_barrier_wait(&crew->start);
    for (unsigned i = 0; good && i < crew->launches_each; i++)
        good = launch(crew->m, 1, stream) == CUDA_SUCCESS;
    pthread_barrier_wait(&crew->start); // the launching has ended
    good = good && cuStreamSynchronize(stream) == CUDA_SUCCESS && cuStreamDestroy(stream) == CUDA_SUCCESS;
    if (!good)
        atomic_store(&crew->failed, 1);
    return NULL;
}

static void run_threads(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    unsigned count = (unsigned)row->number, started = 0;
    struct crew crew = {.m = m, .launches_each = THREAD_LAUNCHES / count};
    pthread_t threads[THREADS_MAX];
    pthread_barrier_init(&crew.start, NULL, count + 1);
    for (; started < count; started++)
        if (pthread_create(&threads[started], NULL, launch_many, &crew)) {
            snprintf(result->failed, sizeof result->failed, "no thread");
            return; // the others wait for ever; this process is of no more use
        }
    pthread_barrier_wait(&crew.start);
    double from = gn_micro_now_us();
    pthread_barrier_wait(&crew.start);
    gn_micro_value(result, (gn_micro_now_us() - from) / THREAD_LAUNCHES);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crew.start);
    result->calls += THREAD_LAUNCHES;
    if (atomic_load(&crew.failed))
        snprintf(result->failed, sizeof result->failed, "a call failed on one of %u threads", count);
}

// --- what the CPU does for it: whoever asks takes the CPU time of this process and of the server

static void run_cpu_steps(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    double begin = gn_micro_now_us();
    for (int i = 0; i < BURSTS && gn_micro_goes_on(i, begin, turn_us); i++) {
        for (int k = 0; k < BURST; k++)
            TRY(launch(m, row->number, m->stream));
        TRY(cuStreamSynchronize(m->stream));
        result->calls += BURST;
    }
}

static void run_cpu_syncs(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    (void)row;
    double begin = gn_micro_now_us();
    for (int i = 0; i < 4 * SYNCS && gn_micro_goes_on(i, begin, turn_us); i++) {
        TRY(cuStreamSynchronize(m->stream));
        result->calls++;
    }
}

const struct gn_micro_row gn_micro_launch_rows[] = {
    {"launch_0", "us", "launch without parameters, in bursts of 300: the call", run_burst, .number = 0},
    {"launch_8", "us", "launch with 8 parameters, in bursts of 300: the call", run_burst, .number = 1},
    {"launch_32", "us", "launch with 32 parameters, in bursts of 300: the call", run_burst, .number = 2},
    {"launch_sync", "us", "launch and synchronise", run_launch_sync, .number = 1},
    {"sync_idle", "us", "synchronise with nothing to do", run_sync, .number = 0},
    {"step_300", "us", "300 launches and a 4-byte copy back", run_step, .number = 1},
    {"lone_launch", "us", "a launch with nothing after it: from the call to its start", run_lone, .number = 1,
     .stamped = true},
    {"threads_1", "us", "launches by 1 thread: time a launch", run_threads, .number = 1},
    {"threads_4", "us", "launches by 4 threads: time a launch", run_threads, .number = 4},
    {"threads_16", "us", "launches by 16 threads: time a launch", run_threads, .number = 16},
    {"cpu_launch", "calls", "CPU time a launch, bursts of 300", run_cpu_steps, .number = 1},
    {"cpu_sync", "calls", "CPU time a synchronise", run_cpu_syncs, .number = 0},
    {.name = ""},
};
