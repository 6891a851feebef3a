// SPDX-License-Identifier: Apache-2.0
// The threads: workers for kernels and copies, one for the program's callbacks, one that polls memory values. Each starts when it is first
// needed, blocks all signals (they are the program's), and lives as long as the process.
#include "tests/mock/mock_workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>

#include "tests/mock/mock_state.h"

enum {
    POLL_INTERVAL_NS = 30000,
    TURN_OPS = 32,                // operations of one stream before a worker looks for another stream
    WORKER_STACK_BYTES = 1 << 20, // the engine keeps lanes and frames on its own heap
    SLEEP_NS_MIN = 10000,         // less is not worth going to sleep for
    LATE_NS_FIRST = 20000,        // what a sleep is expected to wake too late, before it was seen
    LATE_NS_MAX = 60000,          // beyond that the processor was given to somebody else
};

struct mock_sleeper {
    pthread_cond_t condition;
    bool is_awake;
    struct mock_sleeper *next;
};

struct list {
    struct mock_stream *first, **end;
};

static struct list ready[MOCK_PRIORITIES]; // by priority, the greatest first
static struct list hosted, polled, hung;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, host_work = PTHREAD_COND_INITIALIZER,
                      poll_work = PTHREAD_COND_INITIALIZER;
static unsigned workers, idle_workers, ready_streams;
static bool has_host_thread, has_poll_thread;
static struct mock_sleeper *end_sleepers; // contexts that wait for their last operations

// --- lists of streams, by lane_next and lane_link

static void list_add(struct list *list, struct mock_stream *s)
{
    if (!list->first)
        list->end = &list->first;
    s->lane_next = NULL;
    s->lane_link = list->end;
    *list->end = s;
    list->end = &s->lane_next;
    mock_stream_hold(s);
}

static void list_remove(struct list *list, struct mock_stream *s)
{
    *s->lane_link = s->lane_next;
    if (s->lane_next)
        s->lane_next->lane_link = s->lane_link;
    else
        list->end = s->lane_link;
    mock_stream_drop(s);
}

static struct list *ready_list(const struct mock_stream *s)
{
    return &ready[s->priority - MOCK_PRIORITY_GREATEST];
}

// --- sleeping

void mock_sleepers_wait(struct mock_sleeper **list, uint64_t until_ns)
{
    struct mock_sleeper me = {.condition = PTHREAD_COND_INITIALIZER, .next = *list};
    struct timespec until = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)};
    *list = &me;
    while (!me.is_awake) {
        if (until_ns == UINT64_MAX) {
            mock_condition_wait(&me.condition);
        } else if (mock_condition_wait_until(&me.condition, &until) && !me.is_awake) {
            struct mock_sleeper **at = list;
            while (*at != &me)
                at = &(*at)->next;
            *at = me.next;
            break;
        }
    }
    pthread_cond_destroy(&me.condition);
}

void mock_sleepers_wake(struct mock_sleeper **list)
{
    while (*list) {
        struct mock_sleeper *one = *list;
        *list = one->next;
        one->is_awake = true;
        pthread_cond_signal(&one->condition); // it cannot go on, nor its stack away, before the lock is given up
    }
}

void mock_workers_note_end(void) { mock_sleepers_wake(&end_sleepers); }
void mock_workers_wait_end(uint64_t until_ns) { mock_sleepers_wait(&end_sleepers, until_ns); }

// The system lets a sleep last 50 us longer unless told otherwise. The calling thread is the program's, so it gets its own slack back.
static void sleep_precisely(uint64_t wake_ns)
{
    struct timespec t = {(time_t)(wake_ns / 1000000000u), (long)(wake_ns % 1000000000u)};
    int slack_ns = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
        ;
    if (slack_ns > 0)
        prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0);
}

// Sleeps to shortly before, by what sleeps have lately been late, and spins the rest.
void mock_sleep_until(uint64_t when_ns)
{
    static _Atomic unsigned expected_late_ns = LATE_NS_FIRST; // a running mean; whichever thread writes it last is right enough
    uint64_t now = mock_now_ns();
    unsigned late = atomic_load_explicit(&expected_late_ns, memory_order_relaxed), margin = late + late / 2;
    if (when_ns > now + margin + SLEEP_NS_MIN) {
        uint64_t wake = when_ns - margin;
        sleep_precisely(wake);
        now = mock_now_ns();
        unsigned seen = now < wake ? 0 : now - wake > LATE_NS_MAX ? LATE_NS_MAX : (unsigned)(now - wake);
        atomic_store_explicit(&expected_late_ns, late - late / 8 + seen / 8, memory_order_relaxed);
    }
    while (mock_now_ns() < when_ns)
        __builtin_ia32_pause();
}

// --- threads

static bool start(void *(*body)(void *))
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = !pthread_create(&thread, &attr, body, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

static struct mock_stream *next_ready(void)
{
    for (unsigned i = 0; i < MOCK_PRIORITIES; i++)
        if (ready[i].first)
            return ready[i].first;
    return NULL;
}

static void *worker(void *unused)
{
    mock_lock();
    for (struct mock_stream *s;;) {
        while (!(s = next_ready())) {
            idle_workers++;
            mock_condition_wait(&work);
            idle_workers--;
        }
        mock_workers_untake(s);
        mock_stream_run(s, TURN_OPS, false, NULL);
    }
    return unused;
}

// The hosted stream whose callback is due first.
static struct mock_stream *next_hosted(void)
{
    struct mock_stream *best = hosted.first;
    for (struct mock_stream *s = hosted.first; s; s = s->lane_next)
        if (s->head->start_ns < best->head->start_ns)
            best = s;
    return best;
}

static void *host_thread(void *unused)
{
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    mock_lock();
    for (struct mock_stream *s;;) {
        while (!(s = next_hosted()))
            mock_condition_wait(&host_work);
        uint64_t due = s->head->start_ns;
        if (mock.options.is_virtual && due > mock_now_ns()) {
            struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
            mock_condition_wait_until(&host_work, &until);
            continue;
        }
        struct mock_op *op = s->head;
        mock_stream_hold(s);
        list_remove(&hosted, s);
        s->where = MOCK_RUNNING;
        mock_op_run(op);
        mock_op_finish(op);
        mock_stream_run(s, 0, false, NULL); // lets it go
        mock_stream_drop(s);
    }
    return unused;
}

static void poll_one(struct mock_stream *s)
{
    struct mock_op *op = s->head;
    mock_stream_hold(s);
    list_remove(&polled, s);
    s->where = MOCK_RUNNING;
    uint64_t now = mock_now_ns();
    if (mock_op_run(op) == CUDA_ERROR_NOT_READY && !s->context->stop && s->context->error == CUDA_SUCCESS) {
        s->where = MOCK_POLLED;
        list_add(&polled, s);
    } else {
        op->run_ns = now > op->start_ns ? now - op->start_ns : 0;
        mock_op_finish(op);
        mock_stream_run(s, 0, false, NULL);
    }
    mock_stream_drop(s);
}

static void *poll_thread(void *unused)
{
    const struct timespec interval = {0, POLL_INTERVAL_NS};
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    mock_lock();
    for (;;) {
        while (!polled.first)
            mock_condition_wait(&poll_work);
        unsigned count = 0; // one round: those that stay go to the end of the list
        for (struct mock_stream *s = polled.first; s; s = s->lane_next)
            count++;
        while (count-- && polled.first)
            poll_one(polled.first);
        mock_unlock();
        nanosleep(&interval, NULL);
        mock_lock();
    }
    return unused;
}

// --- handing over

void mock_workers_take(struct mock_stream *s)
{
    switch (s->head->lane) {
    case MOCK_LANE_WORK:
        s->where = MOCK_READY;
        list_add(ready_list(s), s);
        ready_streams++;
        // An idle worker that has been woken but does not run yet still counts as idle, so compare with what it will find: otherwise a
        // stream could be left to a worker that is about to spend a long time in another one.
        if (idle_workers >= ready_streams)
            pthread_cond_signal(&work);
        else if (workers < MOCK_WORKERS_MAX && start(worker))
            workers++;
        break;
    case MOCK_LANE_HOST:
        mock_op_begin(s->head);
        if (!mock.options.is_virtual) // first come, first served
            s->head->start_ns = mock_now_ns();
        s->where = MOCK_WITH_HOST;
        list_add(&hosted, s);
        if (!has_host_thread)
            has_host_thread = start(host_thread);
        pthread_cond_signal(&host_work);
        break;
    case MOCK_LANE_POLL:
        mock_op_begin(s->head);
        s->where = MOCK_POLLED;
        list_add(&polled, s);
        if (!has_poll_thread)
            has_poll_thread = start(poll_thread);
        pthread_cond_signal(&poll_work);
        break;
    default:
        s->where = MOCK_HUNG;
        list_add(&hung, s);
        break;
    }
}

void mock_workers_untake(struct mock_stream *s)
{
    mock_stream_hold(s);
    list_remove(ready_list(s), s);
    ready_streams--;
    s->where = MOCK_RUNNING;
    mock_stream_drop(s); // its operations keep it
}

static void release_from(struct list *list, const struct mock_context *c)
{
    for (struct mock_stream *s = list->first, *next; s; s = next) {
        next = s->lane_next;
        if (s->context == c) {
            s->where = MOCK_IDLE;
            list_remove(list, s);
        }
    }
}

void mock_workers_release(const struct mock_context *c)
{
    release_from(&hung, c);
    release_from(&polled, c);
}

bool mock_workers_hangs(const struct mock_context *c)
{
    for (struct mock_stream *s = hung.first; s; s = s->lane_next)
        if (s->context == c)
            return true;
    return false;
}
