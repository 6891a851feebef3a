// SPDX-License-Identifier: Apache-2.0
// Operations that take effect in the calling thread.
#include "tests/mock/mock_turn.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/mock/mock_state.h"

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

size_t mock_turn_bytes_max(void)
{
    return !mock.options.moves ? SIZE_MAX : mock.options.exec ? MOCK_TURN_BYTES_MAX : MOCK_TURN_BYTES_MAX_IDLE;
}

bool mock_turn_is_due(const struct mock_stream *s, const struct mock_mark *after)
{
    const struct mock_context *c = s->context;
    if (s->head || (after && !after->is_done) || c->error != CUDA_SUCCESS || c->stop || !mock_context_is_usable(c))
        return false;
    // As in mock_submit: the legacy stream waits for the blocking ones, and they for it.
    if (s->is_legacy)
        return !c->epoch || !c->epoch->pending;
    return !s->is_blocking || !c->legacy_last || c->legacy_last->is_done;
}

static bool take_virtual(const struct mock_stream *s, const struct mock_mark *after, struct mock_turn *t)
{
    uint64_t now = mock_now_ns();
    if (s->ends[s->submitted % MOCK_STREAM_WINDOW] > now)
        return false; // the queue is full in virtual time
    t->from_ns = now;
    t->start_ns = later(now, s->clock_ns);
    if (after)
        t->start_ns = later(t->start_ns, after->end_ns);
    if (s->is_legacy)
        t->start_ns = later(t->start_ns, s->context->blocking_end_ns);
    else if (s->is_blocking)
        t->start_ns = later(t->start_ns, s->context->legacy_end_ns);
    return true;
}

bool mock_turn_take(struct mock_stream *s, const struct mock_mark *after, struct mock_turn *t)
{
    if (!mock_turn_is_due(s, after))
        return false;
    *t = (struct mock_turn){.stream = s};
    return !mock.options.is_virtual || take_virtual(s, after, t);
}

static void end_virtual(struct mock_turn *t, int64_t duration_ns)
{
    struct mock_stream *s = t->stream;
    struct mock_context *c = s->context;
    uint64_t end = t->start_ns + (duration_ns >= 0 ? (uint64_t)duration_ns : mock_now_ns() - t->from_ns);
    t->end_ns = s->clock_ns = end;
    s->ends[s->submitted++ % MOCK_STREAM_WINDOW] = end;
    c->end_ns = later(c->end_ns, end);
    if (s->is_legacy)
        c->legacy_end_ns = end;
    else if (s->is_blocking)
        c->blocking_end_ns = later(c->blocking_end_ns, end);
}

void mock_turn_end(struct mock_turn *t, int64_t duration_ns)
{
    if (mock.options.is_virtual)
        end_virtual(t, duration_ns);
}

int mock_turn_mark(struct mock_mark **mark)
{
    struct mock_mark *m = *mark;
    if (m && m->refs == 1) // whoever waits or is to finish it holds it
        return 0;
    if (!(m = malloc(sizeof *m)))
        return -ENOMEM;
    mock_mark_drop(*mark);
    *mark = m;
    *m = (struct mock_mark){.refs = 1};
    return 0;
}

void mock_turn_mark_end(struct mock_mark *m, const struct mock_turn *t)
{
    m->is_done = true;
    m->end_ns = mock.options.is_virtual ? t->end_ns : mock_now_ns();
}

CUresult mock_turn_wait(const struct mock_turn *t)
{
    struct mock_context *c = t->stream->context;
    if (t->end_ns && t->end_ns > mock_now_ns()) {
        mock_context_hold(c);
        mock_unlock();
        mock_sleep_until(t->end_ns);
        mock_lock();
        CUresult r = c->error;
        mock_context_drop(c);
        return r;
    }
    return c->error;
}
