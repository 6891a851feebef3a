// SPDX-License-Identifier: Apache-2.0
// The list of what is watched, the sweep over it, and the thread that sweeps when nobody else does.
//
// Two locks: `sweep` is held by the one thread that asks the driver about watched objects, so that none is destroyed or given a new meaning
// under its hands; `lock`, inside it, guards the list and is never held over a call of the driver.
#include "server/worker/marks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "server/run/run.h"
#include "server/worker/commands.h"
#include "server/worker/gate.h"
#include "server/worker/output.h"

enum {
    PAUSE_NS_MIN = 20000,   // of the thread: as long as it takes to sleep at all
    PAUSE_NS_MAX = 1000000, // so a mark is late by a millisecond at most, and by an eighth of the time waited for
    PAUSE_SHARE = 8,
    LANES_MAX = 16,         // streams that a pass knows to be busy; beyond, their later events are asked about too
    ROUNDS_MAX = 16,        // repetitions because questions came in between: each costs the client a round trip
};

struct watch {
    uint64_t mark, handle, context; // context: the client's id of it
    CUcontext of;
    void *object;
    uint64_t stream; // where an event was recorded, 0: not known
};

struct gn_marks {
    struct gn_worker *worker;
    pthread_mutex_t sweep, lock;
    pthread_cond_t work;
    _Atomic uint32_t count;
    struct watch list[GN_MARKS_MAX]; // in the order they came
    uint64_t asked;                  // watches that came with a question
    uint64_t changed_ns;             // when the list last grew or shrank
    bool sleeps, started, stopping;
    pthread_t thread;
    struct watch seen[GN_MARKS_MAX]; // of the sweep
    CUresult found[GN_MARKS_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void push(struct gn_worker *w, const uint64_t *marks, uint32_t count, CUresult code)
{
    struct gn_message m = {.kind = GN_MESSAGE_MARK, .size_bytes = count * 8, .code = (int32_t)code};
    if (count)
        gn_output_push(w->output, &m, marks);
}

void gn_marks_refuse(struct gn_worker *w, uint64_t mark)
{
    if (mark)
        push(w, &mark, 1, CUDA_ERROR_UNKNOWN);
}

// With the lock.
static int find(const struct gn_marks *m, uint64_t handle, uint64_t context)
{
    uint32_t count = atomic_load_explicit(&m->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        if (m->list[i].handle == handle && m->list[i].context == context)
            return (int)i;
    return -1;
}

// With the lock, and the sweep's.
static void take_off(struct gn_marks *m, uint32_t at)
{
    uint32_t count = atomic_load_explicit(&m->count, memory_order_relaxed);
    memmove(&m->list[at], &m->list[at + 1], (count - at - 1) * sizeof m->list[0]);
    // Release: pairs with the acquire in gn_marks_sweep; what the client is to know of it has been pushed.
    atomic_store_explicit(&m->count, count - 1, memory_order_release);
    m->changed_ns = now_ns();
}

void gn_marks_forget(struct gn_worker *w, uint64_t handle, uint64_t context)
{
    struct gn_marks *m = w->marks;
    if (!m || !atomic_load_explicit(&m->count, memory_order_relaxed)) // only this thread makes it more
        return;
    pthread_mutex_lock(&m->lock);
    bool there = find(m, handle, context) >= 0;
    pthread_mutex_unlock(&m->lock);
    if (!there)
        return;
    pthread_mutex_lock(&m->sweep);
    pthread_mutex_lock(&m->lock);
    int at = find(m, handle, context);
    if (at >= 0) {
        gn_marks_refuse(w, m->list[at].mark);
        take_off(m, (uint32_t)at);
    }
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_unlock(&m->sweep);
}

void gn_marks_context_leaves(struct gn_worker *w, CUcontext context)
{
    struct gn_marks *m = w->marks;
    if (!m)
        return;
    pthread_mutex_lock(&m->sweep);
    pthread_mutex_lock(&m->lock);
    for (uint32_t i = 0; i < atomic_load_explicit(&m->count, memory_order_relaxed);)
        if (m->list[i].of == context) {
            gn_marks_refuse(w, m->list[i].mark);
            take_off(m, i);
        } else {
            i++;
        }
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_unlock(&m->sweep);
}

// --- the sweep

static CUresult ask(struct gn_worker *w, const struct watch *x)
{
    CUresult r = gn_use_context(w, x->of);
    if (r)
        return r;
    return gn_handle_kind(x->handle) == GN_KIND_EVENT ? GN_DRIVER(w, cuEventQuery, x->object)
                                                      : GN_DRIVER(w, cuStreamQuery, x->object);
}

// Once over all that has not passed. In a stream nothing overtakes: behind an event that has not passed, no later one has.
static bool pass(struct gn_marks *m, uint32_t count)
{
    uint64_t busy[LANES_MAX];
    int busy_count = 0;
    bool news = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct watch *x = &m->seen[i];
        bool behind = m->found[i] != CUDA_ERROR_NOT_READY;
        for (int k = 0; k < busy_count && !behind && x->stream; k++)
            behind = busy[k] == x->stream;
        if (behind)
            continue;
        m->found[i] = ask(m->worker, x);
        if (m->found[i] != CUDA_ERROR_NOT_READY)
            news = true;
        else if (x->stream && busy_count < LANES_MAX)
            busy[busy_count++] = x->stream;
    }
    return news;
}

// What has passed may imply that something asked about earlier in the same pass has passed too: passes go on until one finds nothing.
static uint32_t look(struct gn_marks *m, uint64_t *asked)
{
    pthread_mutex_lock(&m->lock);
    uint32_t count = atomic_load_explicit(&m->count, memory_order_relaxed);
    memcpy(m->seen, m->list, count * sizeof m->list[0]);
    *asked = m->asked;
    pthread_mutex_unlock(&m->lock);
    for (uint32_t i = 0; i < count; i++)
        m->found[i] = CUDA_ERROR_NOT_READY;
    while (pass(m, count)) {
    }
    return count;
}

// With both locks: tells the client of what was found, of all that has passed in one message, and takes it off the list. In this order: who sees an
// empty list without the locks sends a reply that says "there is nothing to tell", and that must not overtake the word.
static bool tell(struct gn_marks *m, uint32_t count)
{
    uint64_t passed[GN_MARKS_MAX], doubtful[GN_MARKS_MAX];
    uint32_t passed_count = 0, doubtful_count = 0, at = 0;
    for (uint32_t i = 0; i < count; i++)
        if (m->found[i] == CUDA_SUCCESS)
            passed[passed_count++] = m->seen[i].mark;
        else if (m->found[i] != CUDA_ERROR_NOT_READY)
            doubtful[doubtful_count++] = m->seen[i].mark;
    // A program that only asks must learn of a command that failed: the next question brings it.
    push(m->worker, passed, passed_count, gn_commands_latched(m->worker) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS);
    push(m->worker, doubtful, doubtful_count, CUDA_ERROR_UNKNOWN);
    for (uint32_t i = 0; i < count; i++) {
        if (m->found[i] == CUDA_ERROR_NOT_READY)
            continue;
        while (m->list[at].mark != m->seen[i].mark) // nothing but this has taken any off since
            at++;
        take_off(m, at);
    }
    return passed_count + doubtful_count;
}

static bool sweep(struct gn_marks *m)
{
    bool told = false, again = true;
    pthread_mutex_lock(&m->sweep);
    for (int round = 0; again; round++) {
        uint64_t asked;
        uint32_t count = look(m, &asked), done = 0;
        for (uint32_t i = 0; i < count; i++)
            done += m->found[i] != CUDA_ERROR_NOT_READY;
        pthread_mutex_lock(&m->lock);
        // A question that was answered with "not yet" meanwhile is about something that what was found may imply.
        again = done && asked != m->asked && round < ROUNDS_MAX;
        if (!again && done)
            told = tell(m, count);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&m->sweep);
    return told;
}

bool gn_marks_sweep(struct gn_worker *w)
{
    struct gn_marks *m = w->marks;
    if (!m || !atomic_load_explicit(&m->count, memory_order_acquire))
        return true;
    if (gn_gates_busy(w))
        return false;
    CUcontext before = gn_context_in_use();
    sweep(m);
    gn_use_context(w, before);
    return true;
}

// --- the thread

static void *run(void *marks)
{
    struct gn_marks *m = marks;
    prctl(PR_SET_TIMERSLACK, 1000L, 0, 0, 0);
    pthread_mutex_lock(&m->lock);
    while (!m->stopping) {
        if (!atomic_load_explicit(&m->count, memory_order_relaxed)) {
            m->sleeps = true;
            pthread_cond_wait(&m->work, &m->lock);
            m->sleeps = false;
            continue;
        }
        uint64_t waited = (now_ns() - m->changed_ns) / PAUSE_SHARE;
        pthread_mutex_unlock(&m->lock);
        struct timespec pause = {.tv_nsec = waited < PAUSE_NS_MIN   ? PAUSE_NS_MIN
                                            : waited > PAUSE_NS_MAX ? PAUSE_NS_MAX
                                                                    : (long)waited};
        nanosleep(&pause, NULL);
        if (sweep(m))
            gn_output_flush(m->worker->output);
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

// With the lock.
static void see_to_thread(struct gn_marks *m)
{
    if (m->sleeps)
        pthread_cond_signal(&m->work);
    else if (!m->started)
        m->started = pthread_create(&m->thread, NULL, run, m) == 0;
}

bool gn_marks_add(struct gn_worker *w, struct gn_request *q, uint64_t mark, uint64_t handle, uint64_t context, void *object, uint64_t stream,
                  bool asked)
{
    struct gn_marks *m = w->marks;
    struct watch fresh = {mark, handle, context, gn_context_in_use(), object, stream};
    if (!mark || !m)
        return true;
    gn_marks_forget(w, handle, context);
    pthread_mutex_lock(&m->lock);
    uint32_t count = atomic_load_explicit(&m->count, memory_order_relaxed);
    bool room = count < GN_MARKS_MAX;
    if (room) {
        m->list[count] = fresh;
        m->asked += asked;
        m->changed_ns = now_ns();
        atomic_store_explicit(&m->count, count + 1, memory_order_release);
        see_to_thread(m);
    }
    pthread_mutex_unlock(&m->lock);
    if (!room)
        q->error = "more marks than there may be";
    return room;
}

int gn_marks_open(struct gn_marks **marks, struct gn_worker *w)
{
    struct gn_marks *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->worker = w;
    pthread_mutex_init(&m->sweep, NULL);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->work, NULL);
    *marks = m;
    return 0;
}

void gn_marks_close(struct gn_marks *m)
{
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_signal(&m->work);
    pthread_mutex_unlock(&m->lock);
    if (m->started)
        pthread_join(m->thread, NULL);
    pthread_mutex_destroy(&m->sweep);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->work);
    free(m);
}
