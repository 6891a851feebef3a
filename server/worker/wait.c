// SPDX-License-Identifier: Apache-2.0
// The waiting threads, and the events they wait on.
#include "server/worker/wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/worker/commands.h"

enum { PAIRS_KEPT = 64 };

struct job {
    struct job *next;
    void (*run)(struct gn_worker *w, void *job);
    _Alignas(16) uint8_t data[GN_JOB_BYTES];
};

struct gn_waiters {
    struct gn_worker *worker;
    pthread_mutex_t lock;
    pthread_cond_t work, gone;
    struct job *first, **end;
    int jobs, threads, idle; // jobs: that no thread has taken
    bool closing;
    struct gn_wait_pair pairs[PAIRS_KEPT];
    int pair_count;
    uint64_t epoch; // of the contexts: how many have died

    // Of the thread that reads commands.
    struct near {
        CUevent event;
        CUcontext context;
        struct job job;
    } near[GN_NEAR_MAX];
    struct gn_spin spin;
};

int gn_waiters_open(struct gn_waiters **waiters, struct gn_worker *w)
{
    struct gn_waiters *v = calloc(1, sizeof *v);
    if (!v)
        return -ENOMEM;
    v->worker = w;
    v->end = &v->first;
    gn_spin_init(&v->spin, w->limits.spin_us * 1000);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->work, NULL);
    pthread_cond_init(&v->gone, NULL);
    *waiters = v;
    return 0;
}

void gn_waiters_close(struct gn_waiters *v)
{
    pthread_mutex_lock(&v->lock);
    v->closing = true;
    pthread_cond_broadcast(&v->work);
    while (v->threads)
        pthread_cond_wait(&v->gone, &v->lock);
    pthread_mutex_unlock(&v->lock);
    pthread_mutex_destroy(&v->lock);
    pthread_cond_destroy(&v->work);
    pthread_cond_destroy(&v->gone);
    free(v);
}

// With the lock: the oldest job, or NULL when there will be none.
static struct job *next_job(struct gn_waiters *v)
{
    v->idle++;
    while (!v->first && !v->closing)
        pthread_cond_wait(&v->work, &v->lock);
    v->idle--;
    struct job *job = v->first;
    if (job) {
        v->first = job->next;
        v->jobs--;
        if (!v->first)
            v->end = &v->first;
    }
    return job;
}

static void *serve(void *waiters)
{
    struct gn_waiters *v = waiters;
    pthread_mutex_lock(&v->lock);
    for (struct job *job; (job = next_job(v));) {
        pthread_mutex_unlock(&v->lock);
        job->run(v->worker, job->data);
        free(job);
        pthread_mutex_lock(&v->lock);
    }
    v->threads--;
    pthread_cond_signal(&v->gone);
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

CUresult gn_wait_run(struct gn_worker *w, void (*run)(struct gn_worker *w, void *job), const void *data, size_t data_bytes)
{
    struct gn_waiters *v = w->waiters;
    struct job *job = data_bytes <= GN_JOB_BYTES ? calloc(1, sizeof *job) : NULL;
    if (!job)
        return CUDA_ERROR_OUT_OF_MEMORY;
    job->run = run;
    memcpy(job->data, data, data_bytes);
    pthread_mutex_lock(&v->lock);
    if (v->jobs >= GN_JOBS_MAX) {
        pthread_mutex_unlock(&v->lock);
        free(job);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *v->end = job;
    v->end = &job->next;
    v->jobs++;
    bool start = v->jobs > v->idle && v->threads < GN_WAITERS_MAX;
    v->threads += start;
    pthread_cond_signal(&v->work);
    pthread_mutex_unlock(&v->lock);
    if (!start)
        return CUDA_SUCCESS;
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, v) == 0) {
        pthread_detach(thread);
        return CUDA_SUCCESS;
    }
    // No thread to be had: with another one at work the job is done later, alone it would never be.
    pthread_mutex_lock(&v->lock);
    v->threads--;
    bool alone = v->threads == 0;
    if (alone && v->first == job) {
        v->first = NULL;
        v->end = &v->first;
        v->jobs--;
        free(job);
    }
    pthread_mutex_unlock(&v->lock);
    return alone ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

CUresult gn_wait_run_after(struct gn_worker *w, CUevent event, void (*run)(struct gn_worker *w, void *job), const void *data,
                           size_t data_bytes)
{
    struct gn_waiters *v = w->waiters;
    bool looks = gn_spin_pays(&v->spin);
    if (!looks)
        gn_spin_slept(&v->spin, UINT64_MAX);
    if (!looks || w->near_waits == GN_NEAR_MAX || data_bytes > GN_JOB_BYTES || !gn_commands_reading(w))
        return gn_wait_run(w, run, data, data_bytes);
    struct near *near = &v->near[w->near_waits++];
    *near = (struct near){.event = event, .context = gn_context_in_use(), .job = {.run = run}};
    memcpy(near->job.data, data, data_bytes);
    return CUDA_SUCCESS;
}

// An error of the context ends the wait as well; the job finds it again.
static bool has_passed(struct gn_worker *w, const struct near *near)
{
    return gn_use_context(w, near->context) || w->driver.calls.cuEventQuery(near->event) != CUDA_ERROR_NOT_READY;
}

int gn_waits_look(struct gn_worker *w)
{
    struct gn_waiters *v = w->waiters;
    for (int i = 0; i < w->near_waits;) {
        if (!has_passed(w, &v->near[i])) {
            i++;
            continue;
        }
        struct job job = v->near[i].job;
        memmove(&v->near[i], &v->near[i + 1], (size_t)(--w->near_waits - i) * sizeof *v->near);
        gn_spin_judge(&v->spin, GN_LOOK_HIT);
        atomic_store_explicit(&w->status->near_waits, atomic_load_explicit(&v->spin.hits, memory_order_relaxed), memory_order_relaxed);
        job.run(w, job.data);
    }
    return w->near_waits;
}

void gn_waits_leave(struct gn_worker *w, enum gn_look look)
{
    struct gn_waiters *v = w->waiters;
    for (int i = 0; i < w->near_waits; i++) {
        struct job *job = &v->near[i].job;
        if (gn_wait_run(w, job->run, job->data, GN_JOB_BYTES)) // no thread to be had: better late than never
            job->run(w, job->data);
    }
    if (w->near_waits ? look != GN_LOOK_HIT : look == GN_LOOK_LOST)
        gn_spin_judge(&v->spin, look);
    w->near_waits = 0;
}

CUresult gn_wait_pair_take(struct gn_worker *w, struct gn_wait_pair *pair)
{
    struct gn_waiters *v = w->waiters;
    CUcontext context = gn_context_in_use();
    bool found = false;
    pthread_mutex_lock(&v->lock);
    for (int i = v->pair_count - 1; i >= 0 && !found; i--)
        if (v->pairs[i].context == context) {
            *pair = v->pairs[i];
            v->pairs[i] = v->pairs[--v->pair_count];
            found = true;
        }
    pair->epoch = v->epoch;
    pthread_mutex_unlock(&v->lock);
    if (found)
        return CUDA_SUCCESS;
    pair->context = context;
    CUresult r = w->driver.calls.cuEventCreate(&pair->event, CU_EVENT_DISABLE_TIMING);
    if (r)
        return r;
    // Not blocking: waiting for one of the client's streams must not order it with others.
    r = w->driver.calls.cuStreamCreate(&pair->stream, CU_STREAM_NON_BLOCKING);
    if (r)
        w->driver.calls.cuEventDestroy_v2(pair->event);
    return r;
}

void gn_wait_pair_give(struct gn_worker *w, const struct gn_wait_pair *pair)
{
    struct gn_waiters *v = w->waiters;
    pthread_mutex_lock(&v->lock);
    // A context has died meanwhile. If it was this one the pair has died with it, and the next context may lie at the same address; if it was
    // another, the driver keeps the two until the session ends.
    bool doubtful = pair->epoch != v->epoch;
    bool kept = !doubtful && v->pair_count < PAIRS_KEPT;
    if (kept)
        v->pairs[v->pair_count++] = *pair;
    pthread_mutex_unlock(&v->lock);
    if (kept || doubtful)
        return;
    w->driver.calls.cuEventDestroy_v2(pair->event);
    w->driver.calls.cuStreamDestroy_v2(pair->stream);
}

void gn_wait_context_gone(struct gn_worker *w, CUcontext context)
{
    struct gn_waiters *v = w->waiters;
    pthread_mutex_lock(&v->lock);
    v->epoch++;
    for (int i = 0; i < v->pair_count;) {
        if (v->pairs[i].context == context)
            v->pairs[i] = v->pairs[--v->pair_count];
        else
            i++;
    }
    pthread_mutex_unlock(&v->lock);
}

struct reply_job {
    uint64_t sequence;
    uint16_t op;
    struct gn_wait_pair pair;
};

static void reply_when_passed(struct gn_worker *w, void *data)
{
    const struct reply_job *job = data;
    CUresult r = gn_use_context(w, job->pair.context);
    if (!r)
        r = w->driver.calls.cuEventSynchronize(job->pair.event);
    gn_wait_pair_give(w, &job->pair);
    gn_reply_now(w, job->sequence, job->op, r, NULL);
}

CUresult gn_wait_reply(struct gn_worker *w, const struct gn_request *q, const struct gn_wait_pair *pair)
{
    struct reply_job job = {.sequence = q->sequence, .op = q->op, .pair = *pair};
    CUresult r = gn_wait_run_after(w, pair->event, reply_when_passed, &job, sizeof job);
    if (!r)
        return GN_DEFERRED;
    gn_wait_pair_give(w, pair);
    return r;
}
