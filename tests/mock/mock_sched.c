// SPDX-License-Identifier: Apache-2.0
// The order of operations: queues, marks, and what may run next. The threads that run them are in mock_workers.c.
#include "tests/mock/mock_sched.h"

#include <stdlib.h>

#include "tests/mock/mock_state.h"
#include "tests/mock/mock_workers.h"

// Streams to look at again. Marks complete inside marks' completion; a list instead of recursion keeps the stack flat however long the
// chain is.
static struct mock_stream *kicked;

enum { WINDOW_STEP = 32, WINDOW_STEP_NS = 500000 }; // operations that leave a full window while a call waits, and for how long at most

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

// --- marks

struct mock_mark *mock_mark_new(void)
{
    struct mock_mark *mark = malloc(sizeof *mark);
    if (mark)
        *mark = (struct mock_mark){.refs = 1, .pending = 1};
    return mark;
}

void mock_mark_hold(struct mock_mark *mark) { mark->refs++; }

void mock_mark_drop(struct mock_mark *mark)
{
    if (mark && !--mark->refs)
        free(mark);
}

bool mock_mark_is_visible(const struct mock_mark *mark)
{
    return mark->is_done && (!mock.options.is_virtual || mock_now_ns() >= mark->end_ns);
}

static void kick(struct mock_stream *s)
{
    if (s->is_kicked)
        return;
    s->is_kicked = true;
    mock_stream_hold(s);
    s->kick_next = kicked;
    kicked = s;
}

static void wait_end(struct mock_wait *wait, uint64_t end_ns)
{
    struct mock_op *op = wait->op;
    *wait->link = wait->next;
    if (wait->next)
        wait->next->link = wait->link;
    struct mock_mark *mark = wait->mark;
    wait->mark = NULL;
    op->start_ns = later(op->start_ns, end_ns);
    if (!--op->blocked && op->stream->head == op)
        kick(op->stream);
    mock_mark_drop(mark);
}

static void wait_begin(struct mock_op *op, struct mock_wait *wait, struct mock_mark *mark)
{
    if (mark->is_done) {
        op->start_ns = later(op->start_ns, mark->end_ns);
        return;
    }
    mock_mark_hold(mark);
    *wait = (struct mock_wait){.mark = mark, .op = op, .next = mark->waits, .link = &mark->waits};
    if (wait->next)
        wait->next->link = &wait->next;
    mark->waits = wait;
    op->blocked++;
}

// One of the mark's operations has finished; takes over that operation's reference.
static void mark_finish_one(struct mock_mark *mark, uint64_t end_ns)
{
    mark->pending--;
    mark->end_ns = later(mark->end_ns, end_ns);
    if (!mark->pending && !mark->is_open) {
        mark->is_done = true;
        while (mark->waits)
            wait_end(mark->waits, mark->end_ns);
        mock_sleepers_wake(&mark->sleepers);
    }
    mock_mark_drop(mark);
}

// --- running

// Does the operation take no effect, because its context is lost or being stopped?
static bool is_void(const struct mock_op *op)
{
    const struct mock_context *c = op->stream->context;
    return (c->error != CUDA_SUCCESS || c->stop) && !op->runs_on_error;
}

void mock_op_begin(struct mock_op *op)
{
    struct mock_stream *s = op->stream;
    op->start_ns = later(op->start_ns, s->clock_ns);
    if (s->is_legacy)
        op->start_ns = later(op->start_ns, s->context->blocking_end_ns);
    else if (s->is_blocking)
        op->start_ns = later(op->start_ns, s->context->legacy_end_ns);
}

void mock_op_finish(struct mock_op *op)
{
    struct mock_stream *s = op->stream;
    struct mock_context *c = s->context;
    uint64_t end = mock_now_ns();
    if (mock.options.is_virtual)
        end = op->start_ns + (op->duration_ns >= 0 ? (uint64_t)op->duration_ns : op->run_ns);
    s->head = op->next;
    s->count--;
    s->clock_ns = end;
    c->end_ns = later(c->end_ns, end);
    if (s->ends)
        s->ends[(s->submitted - s->count - 1) % MOCK_STREAM_WINDOW] = end;
    if (s->is_legacy)
        c->legacy_end_ns = end;
    else if (s->is_blocking)
        c->blocking_end_ns = later(c->blocking_end_ns, end);
    if (op->epoch)
        mark_finish_one(op->epoch, end);
    if (op->done)
        mark_finish_one(op->done, end);
    op->release(op);
    mock_sleepers_wake(&s->window_sleepers);
    if (s->head)
        return;
    s->tail = NULL;
    *s->active_link = s->active_next;
    if (s->active_next)
        s->active_next->active_link = s->active_link;
    mock_workers_note_end();
    mock_stream_drop(s);
}

// Moves an idle stream on: what needs no running is done here, what does goes to the threads.
static void advance(struct mock_stream *s)
{
    for (struct mock_op *op; (op = s->head) != NULL && s->where == MOCK_IDLE && !op->blocked;) {
        if (op->lane == MOCK_LANE_NOW || is_void(op)) {
            mock_op_begin(op);
            mock_op_finish(op);
        } else {
            mock_workers_take(s);
        }
    }
}

void mock_sched_settle(void)
{
    while (kicked) {
        struct mock_stream *s = kicked;
        kicked = s->kick_next;
        s->is_kicked = false;
        advance(s);
        mock_stream_drop(s);
    }
}

void mock_stream_run(struct mock_stream *s, unsigned ops_max, bool only_light, const struct mock_mark *until)
{
    mock_stream_hold(s);
    for (struct mock_op *op; ops_max && (op = s->head) != NULL && !op->blocked && !(until && until->is_done); ops_max--) {
        if (op->lane == MOCK_LANE_NOW || is_void(op)) {
            mock_op_begin(op);
        } else if (op->lane == MOCK_LANE_WORK && (op->is_light || !only_light)) {
            mock_op_begin(op);
            mock_op_run(op);
        } else {
            break;
        }
        mock_op_finish(op);
        mock_sched_settle();
    }
    s->where = MOCK_IDLE;
    kick(s);
    mock_sched_settle();
    mock_stream_drop(s);
}

CUresult mock_op_run(struct mock_op *op)
{
    struct mock_context *c = op->stream->context;
    c->running++;
    mock_context_hold(c);
    mock_unlock();
    uint64_t from = mock_now_ns();
    CUresult r = op->run(op);
    op->run_ns = mock_now_ns() - from;
    mock_lock();
    if (r != CUDA_SUCCESS && r != CUDA_ERROR_NOT_READY)
        mock_context_fail(c, r);
    c->running--;
    mock_workers_note_end();
    mock_context_drop(c);
    return r;
}

// --- submitting

// Gives the lock up until `when_ns` can be seen.
static void sleep_until(uint64_t when_ns)
{
    if (!mock.options.is_virtual || mock_now_ns() >= when_ns)
        return;
    mock_unlock();
    mock_sleep_until(when_ns);
    mock_lock();
}

// Until the mark is done and, with is_seen, its end can be seen. `s` as in mock_mark_wait.
static void mark_wait(struct mock_mark *mark, struct mock_stream *s, bool is_seen)
{
    mock_mark_hold(mark);
    while (!mark->is_done) {
        if (s && s->where == MOCK_READY && s->head->is_light) {
            mock_workers_untake(s);
            mock_stream_run(s, MOCK_STREAM_WINDOW, true, mark);
        } else {
            mock_sleepers_wait(&mark->sleepers, UINT64_MAX);
        }
    }
    uint64_t end = mark->end_ns;
    mock_mark_drop(mark);
    if (is_seen)
        sleep_until(end);
}

static void window_wait(struct mock_stream *s)
{
    while (s->count >= MOCK_STREAM_WINDOW)
        mock_sleepers_wait(&s->window_sleepers, UINT64_MAX);
    if (!s->ends)
        return;
    uint64_t oldest = s->ends[s->submitted % MOCK_STREAM_WINDOW]; // of the operation that must leave the window
    if (oldest > mock_now_ns()) { // it is full: one sleep for many, as waking costs more than a short kernel
        uint64_t until = s->ends[(s->submitted + WINDOW_STEP - 1) % MOCK_STREAM_WINDOW], most = oldest + WINDOW_STEP_NS;
        until = later(oldest, until < most ? until : most);
        mock_unlock();
        mock_sleep_until(until);
        mock_lock();
    }
}

// The legacy stream waits for the blocking streams of its context and they for it. Each legacy operation waits for the blocking ones since
// the legacy one before (those before that it has waited for itself), counted by a mark.
static CUresult order_with_legacy(struct mock_stream *s, struct mock_op *op)
{
    struct mock_context *c = s->context;
    if (s->is_legacy) {
        if (!op->done && !(op->done = mock_mark_new()))
            return CUDA_ERROR_OUT_OF_MEMORY;
        mock_mark_drop(c->legacy_last);
        mock_mark_hold(op->done);
        c->legacy_last = op->done;
        if (c->epoch && c->epoch->pending) {
            c->epoch->is_open = false;
            wait_begin(op, &op->waits[1], c->epoch);
            mock_mark_drop(c->epoch);
            c->epoch = NULL;
        }
    } else if (s->is_blocking) {
        if (!c->epoch) {
            if (!(c->epoch = mock_mark_new()))
                return CUDA_ERROR_OUT_OF_MEMORY;
            c->epoch->pending = 0;
            c->epoch->is_open = true;
        }
        if (c->legacy_last && !c->legacy_last->is_done)
            wait_begin(op, &op->waits[1], c->legacy_last);
        c->epoch->pending++;
        mock_mark_hold(c->epoch);
        op->epoch = c->epoch;
    }
    return CUDA_SUCCESS;
}

// The caller runs the operation itself, if nothing is before it.
static bool takes_itself(struct mock_stream *s, const struct mock_op *op)
{
    if (s->head != op || op->blocked || op->lane != MOCK_LANE_WORK || s->where != MOCK_IDLE)
        return false;
    s->where = MOCK_RUNNING;
    mock_stream_run(s, 1, false, NULL);
    return true;
}

static CUresult submit(struct mock_stream *s, struct mock_op *op, struct mock_mark *after, bool runs_here)
{
    struct mock_context *c = s->context;
    mock_stream_hold(s);
    window_wait(s);
    CUresult r = mock_context_is_usable(c) ? c->error : CUDA_ERROR_CONTEXT_IS_DESTROYED;
    op->stream = s;
    op->start_ns = mock.options.is_virtual ? mock_now_ns() : 0;
    if (r == CUDA_SUCCESS)
        r = order_with_legacy(s, op);
    if (r != CUDA_SUCCESS) {
        mock_mark_drop(op->done);
        op->release(op);
        mock_stream_drop(s);
        return r;
    }
    if (after)
        wait_begin(op, &op->waits[0], after);
    s->submitted++;
    s->count++;
    if (s->tail) {
        s->tail->next = op;
    } else {
        s->head = op;
        mock_stream_hold(s);
        s->active_next = c->active;
        s->active_link = &c->active;
        if (c->active)
            c->active->active_link = &s->active_next;
        c->active = s;
    }
    s->tail = op;
    if (s->head == op && !(runs_here && takes_itself(s, op)))
        kick(s);
    mock_sched_settle();
    mock_stream_drop(s);
    return CUDA_SUCCESS;
}

CUresult mock_submit(struct mock_stream *s, struct mock_op *op, struct mock_mark *after)
{
    return submit(s, op, after, false);
}

CUresult mock_submit_and_wait(struct mock_stream *s, struct mock_op *op, bool is_seen)
{
    struct mock_mark *done = op->done = mock_mark_new();
    if (!done) {
        op->release(op);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    struct mock_context *c = s->context;
    mock_mark_hold(done);
    mock_context_hold(c);
    mock_stream_hold(s);
    CUresult r = submit(s, op, NULL, true);
    if (r == CUDA_SUCCESS) {
        mark_wait(done, s, is_seen);
        r = c->error;
    }
    mock_stream_drop(s);
    mock_context_drop(c);
    mock_mark_drop(done);
    return r;
}

void mock_op_free(struct mock_op *op) { free(op); }

struct mock_op *mock_op_marker(void)
{
    struct mock_op *op = malloc(sizeof *op);
    if (op)
        *op = (struct mock_op){.lane = MOCK_LANE_NOW, .release = mock_op_free};
    return op;
}

// --- waiting

void mock_mark_wait(struct mock_mark *mark, struct mock_stream *s) { mark_wait(mark, s, true); }

struct mock_mark *mock_stream_mark(struct mock_stream *s)
{
    if (!s->tail || (!s->tail->done && !(s->tail->done = mock_mark_new())))
        return NULL;
    mock_mark_hold(s->tail->done);
    return s->tail->done;
}

CUresult mock_stream_wait(struct mock_stream *s)
{
    struct mock_context *c = s->context;
    if (s->is_legacy && c->epoch && c->epoch->pending) {
        struct mock_op *op = mock_op_marker();
        return op ? mock_submit_and_wait(s, op, true) : CUDA_ERROR_OUT_OF_MEMORY;
    }
    uint64_t end = s->is_legacy ? later(s->clock_ns, c->blocking_end_ns) : s->clock_ns;
    struct mock_mark *mark = mock_stream_mark(s);
    mock_context_hold(c);
    mock_stream_hold(s);
    if (mark) {
        mock_mark_wait(mark, s);
        mock_mark_drop(mark);
    } else {
        sleep_until(end);
    }
    CUresult r = c->error;
    mock_stream_drop(s);
    mock_context_drop(c);
    return r;
}

bool mock_stream_is_idle(struct mock_stream *s)
{
    struct mock_context *c = s->context;
    if (s->head || (s->is_legacy && c->epoch && c->epoch->pending))
        return false;
    uint64_t end = s->is_legacy ? later(s->clock_ns, c->blocking_end_ns) : s->clock_ns;
    return !mock.options.is_virtual || mock_now_ns() >= end;
}

void mock_context_wait(struct mock_context *c)
{
    uint64_t end = c->end_ns;
    // One stream after the other: streams that are still busy when their turn comes are waited for at the place they had on entry.
    unsigned count = 0;
    for (struct mock_stream *s = c->active; s; s = s->active_next)
        count++;
    struct mock_mark **marks = count ? malloc(count * sizeof(struct mock_mark *)) : NULL;
    unsigned used = 0;
    for (struct mock_stream *s = c->active; s && marks; s = s->active_next)
        if ((marks[used] = mock_stream_mark(s)) != NULL)
            used++;
    mock_context_hold(c);
    for (unsigned i = 0; i < used; i++) {
        mock_mark_wait(marks[i], NULL);
        mock_mark_drop(marks[i]);
    }
    free(marks);
    sleep_until(end);
    mock_context_drop(c);
}

// --- contexts

CUresult mock_sched_context_open(struct mock_context *c)
{
    c->legacy = mock_stream_open(c, 0, 0, true);
    return c->legacy ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

void mock_sched_context_stopped(struct mock_context *c)
{
    mock_workers_release(c);
    for (struct mock_stream *s = c->active; s; s = s->active_next) {
        for (struct mock_op *op = s->head; op; op = op->next)
            for (unsigned i = 0; i < 2; i++)
                if (op->waits[i].mark)
                    wait_end(&op->waits[i], 0);
        kick(s);
    }
    mock_sched_settle();
}

void mock_sched_context_close(struct mock_context *c, uint64_t grace_ns)
{
    uint64_t until = mock_now_ns() + grace_ns;
    while (c->active && !mock_workers_hangs(c) && mock_now_ns() < until)
        mock_workers_wait_end(until);
    __atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
    mock_sched_context_stopped(c);
    while (c->active || c->running)
        mock_workers_wait_end(UINT64_MAX);
    while (c->streams) {
        struct mock_stream *s = c->streams;
        *s->link = s->next;
        if (s->next)
            s->next->link = s->link;
        s->is_open = false;
        mock_handle_close(s->id);
        mock_stream_drop(s);
    }
    mock_mark_drop(c->epoch);
    mock_mark_drop(c->legacy_last);
    c->epoch = c->legacy_last = NULL;
    c->legacy = NULL;
    c->blocking_end_ns = c->legacy_end_ns = 0;
}
