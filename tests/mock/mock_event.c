// SPDX-License-Identifier: Apache-2.0
// Events: a mark in a stream that anybody can wait for, and its time.
#include <sched.h>
#include <stdlib.h>

#include "api_mock.h"
#include "tests/mock/mock_print.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_state.h"
#include "tests/mock/mock_stream.h"
#include "tests/mock/mock_turn.h"

struct event {
    uint64_t id;
    unsigned flags;
    struct mock_context *context; // held
    struct mock_mark *mark;       // of the last record, or NULL
};

static struct event *find(CUevent handle) { return mock_handle_get(handle, GN_KIND_EVENT); }

static void end(struct event *e)
{
    mock_handle_close(e->id);
    mock_mark_drop(e->mark);
    mock_context_drop(e->context);
    free(e);
}

void mock_events_context_gone(struct mock_context *c)
{
    uint32_t index = 0;
    for (struct gn_handle_slot *s; (s = gn_handle_next(&mock.handles, &index)) != NULL;)
        if (gn_handle_kind(s->id) == GN_KIND_EVENT && s->context == c->id)
            end(s->object);
}

// A fresh mark for the event: what was recorded before no longer counts. One reference is the caller's. NULL: out of memory.
static struct mock_mark *renew(struct event *e)
{
    struct mock_mark *mark = mock_mark_new();
    if (!mark)
        return NULL;
    mock_mark_drop(e->mark);
    e->mark = mark;
    mock_mark_hold(mark);
    return mark;
}

CUresult mock_cuEventCreate(CUevent *phEvent, unsigned int Flags)
{
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    if (!phEvent || Flags & ~known || (Flags & CU_EVENT_INTERPROCESS && !(Flags & CU_EVENT_DISABLE_TIMING)))
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & CU_EVENT_INTERPROCESS)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct event *e = malloc(sizeof *e);
    if (!e)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *e = (struct event){.flags = Flags, .context = mock_context_here()};
    if (mock_handle_new(GN_KIND_EVENT, e->context->id, e, &e->id) != CUDA_SUCCESS) {
        free(e);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    mock_context_hold(e->context);
    mock_handle_give(phEvent, e->id);
    return CUDA_SUCCESS;
}

CUresult mock_cuEventDestroy_v2(CUevent hEvent)
{
    struct event *e = find(hEvent);
    if (!e)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = e->context->error; // it goes all the same
    end(e);
    return r;
}

CUresult mock_cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags)
{
    struct mock_stream *s;
    struct event *e = find(hEvent);
    if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & CU_EVENT_RECORD_EXTERNAL) // only while capturing
        return CUDA_ERROR_ILLEGAL_STATE;
    CUresult r = e ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_HANDLE;
    if (r == CUDA_SUCCESS && s->context != e->context)
        r = CUDA_ERROR_INVALID_HANDLE;
    if (r != CUDA_SUCCESS)
        return r;
    struct mock_turn turn;
    if (mock_turn_take(s, NULL, &turn)) {
        if (mock_turn_mark(&e->mark))
            return CUDA_ERROR_OUT_OF_MEMORY;
        mock_turn_end(&turn, 0);
        mock_turn_mark_end(e->mark, &turn);
        return CUDA_SUCCESS;
    }
    if (s->context->error != CUDA_SUCCESS)
        return s->context->error;
    struct mock_op *op = mock_op_marker();
    struct mock_mark *mark = op ? renew(e) : NULL;
    if (!mark) {
        free(op);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    op->done = mark;
    mock_mark_hold(mark);
    r = mock_submit(s, op, NULL);
    e = find(hEvent); // submitting may have waited without the lock
    if (r != CUDA_SUCCESS && e && e->mark == mark) {
        mock_mark_drop(mark); // nothing will ever end it, so nobody must wait for it
        e->mark = NULL;
    }
    mock_mark_drop(mark);
    return r;
}

CUresult mock_cuEventRecord(CUevent hEvent, CUstream hStream)
{
    return mock_cuEventRecordWithFlags(hEvent, hStream, CU_EVENT_RECORD_DEFAULT);
}

CUresult mock_cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
    struct mock_stream *s;
    struct event *e = find(hEvent);
    if (Flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & CU_EVENT_WAIT_EXTERNAL)
        return CUDA_ERROR_ILLEGAL_STATE;
    CUresult r = mock_stream_resolve(hStream, &s);
    if (r == CUDA_SUCCESS && (r = s->context->error) == CUDA_SUCCESS && !e)
        r = CUDA_ERROR_INVALID_HANDLE;
    if (r != CUDA_SUCCESS || !e->mark)
        return r; // an event that was never recorded holds nobody up
    if (mock_mark_is_visible(e->mark))
        return CUDA_SUCCESS;
    struct mock_turn turn;
    if (mock_turn_take(s, e->mark, &turn)) {
        mock_turn_end(&turn, 0);
        return CUDA_SUCCESS;
    }
    struct mock_op *op = mock_op_marker();
    if (!op)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct mock_mark *mark = e->mark;
    mock_mark_hold(mark);
    r = mock_submit(s, op, mark);
    mock_mark_drop(mark);
    return r;
}

CUresult mock_cuEventQuery(CUevent hEvent)
{
    struct event *e = find(hEvent);
    if (!e)
        return CUDA_ERROR_INVALID_HANDLE;
    if (e->context->error != CUDA_SUCCESS)
        return e->context->error;
    if (!e->mark || mock_mark_is_visible(e->mark))
        return CUDA_SUCCESS;
    mock_unlock(); // see mock_cuStreamQuery
    sched_yield();
    mock_lock();
    return CUDA_ERROR_NOT_READY;
}

CUresult mock_cuEventSynchronize(CUevent hEvent)
{
    struct event *e = find(hEvent);
    if (!e)
        return CUDA_ERROR_INVALID_HANDLE;
    struct mock_context *c = e->context;
    struct mock_mark *mark = e->mark;
    mock_context_hold(c);
    if (mark) {
        mock_mark_hold(mark);
        mock_mark_wait(mark, NULL);
        mock_mark_drop(mark);
    }
    mock_print_flush(c);
    CUresult r = c->error;
    mock_context_drop(c);
    return r;
}

CUresult mock_cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    struct event *from = find(hStart), *to = find(hEnd);
    if (!pMilliseconds)
        return CUDA_ERROR_INVALID_VALUE;
    if (!from || !to || from->context != to->context || (from->flags | to->flags) & CU_EVENT_DISABLE_TIMING ||
        !from->mark || !to->mark)
        return CUDA_ERROR_INVALID_HANDLE;
    if (from->context->error != CUDA_SUCCESS)
        return from->context->error;
    if (!mock_mark_is_visible(from->mark) || !mock_mark_is_visible(to->mark))
        return CUDA_ERROR_NOT_READY;
    *pMilliseconds = (float)((double)(int64_t)(to->mark->end_ns - from->mark->end_ns) / 1e6);
    return CUDA_SUCCESS;
}

CUresult mock_cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    return mock_cuEventElapsedTime_v2(pMilliseconds, hStart, hEnd);
}
