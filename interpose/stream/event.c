// SPDX-License-Identifier: Apache-2.0
// Events. Creating and recording are generated; here is what a driver refuses at the call, and what needs no
// round trip because an event that was never recorded counts as complete.
#include "api_calls.h"
#include "api_wire.h"
#include "interpose/stream/marks.h"
#include "interpose/stream/stream.h"

static unsigned flags_of(const struct gn_handle_slot *slot) { return (unsigned)gn_event_keep(slot); }

CUresult gn_id_event(struct gn_call *c, CUevent handle, uint64_t *id)
{
    (void)c;
    *id = (uintptr_t)handle;
    return gn_handle_slot(handle, GN_KIND_EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult gn_check_cuEventCreate(struct gn_call *c, CUevent *phEvent, unsigned int Flags)
{
    (void)c;
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    bool untimed = Flags & CU_EVENT_DISABLE_TIMING, shared = Flags & CU_EVENT_INTERPROCESS;
    if (!phEvent || (Flags & ~known) || (shared && !untimed))
        return CUDA_ERROR_INVALID_VALUE;
    return shared ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS; // its handle would be for processes of the server's machine
}

CUresult gn_cuEventDestroy_v2(struct gn_call *c, CUevent hEvent)
{
    uint64_t id;
    CUresult r = gn_id_event(c, hEvent, &id);
    if (r)
        return r;
    // Posted before the name is free, so that the next event of this name is made after this one is gone.
    CUresult lost = gn_context_error(gn_handle_slot(hEvent, GN_KIND_EVENT)->context);
    r = gn_post(c, GN_OP_event_destroy, &(struct gn_args_event_destroy){.event = id});
    gn_handle_drop(id);
    return r ? r : lost;
}

static CUresult record(struct gn_call *c, CUevent event, CUstream stream, unsigned flags)
{
    struct gn_handle_slot *slot = gn_handle_slot(event, GN_KIND_EVENT);
    struct gn_stream s;
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = gn_stream_find(c, stream, &s);
    if (r)
        return r;
    if (s.context != slot->context)
        return CUDA_ERROR_INVALID_HANDLE;
    if ((r = gn_elsewhere_ruined(c, s.context)))
        return r;
    gn_touches(c, &s);
    return gn_event_record(c, slot, (uintptr_t)event, s.id, flags);
}

CUresult gn_cuEventRecord(struct gn_call *c, CUevent hEvent, CUstream hStream)
{
    return record(c, hEvent, hStream, CU_EVENT_RECORD_DEFAULT);
}

CUresult gn_cuEventRecordWithFlags(struct gn_call *c, CUevent hEvent, CUstream hStream, unsigned int flags)
{
    return flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL ? CUDA_ERROR_INVALID_VALUE
                                                       : record(c, hEvent, hStream, flags);
}

static CUresult check_elapsed(const float *milliseconds, CUevent start, CUevent end)
{
    const struct gn_handle_slot *a = gn_handle_slot(start, GN_KIND_EVENT),
                                *b = gn_handle_slot(end, GN_KIND_EVENT);
    if (!milliseconds)
        return CUDA_ERROR_INVALID_VALUE;
    if (!a || !b || a->context != b->context || !gn_event_is_recorded(a) || !gn_event_is_recorded(b) ||
        ((flags_of(a) | flags_of(b)) & CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_HANDLE;
    return CUDA_SUCCESS;
}

// The call needs no context. Whether the event's is lost counts, and what the call learns is about that one.
static CUresult go_to_event(struct gn_call *c, const struct gn_handle_slot *slot)
{
    struct gn_context *x = gn_context_find((CUcontext)(uintptr_t)slot->context);
    if (!x)
        return CUDA_SUCCESS;
    c->context = x;
    return (CUresult)atomic_load_explicit(&x->sticky, memory_order_relaxed);
}

CUresult gn_check_cuEventElapsedTime(struct gn_call *c, float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    CUresult r = check_elapsed(pMilliseconds, hStart, hEnd);
    return r ? r : go_to_event(c, gn_handle_slot(hStart, GN_KIND_EVENT));
}

CUresult gn_check_cuEventElapsedTime_v2(struct gn_call *c, float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    CUresult r = check_elapsed(pMilliseconds, hStart, hEnd);
    return r ? r : go_to_event(c, gn_handle_slot(hStart, GN_KIND_EVENT));
}

CUresult gn_cuEventQuery(struct gn_call *c, CUevent hEvent)
{
    struct gn_handle_slot *slot = gn_handle_slot(hEvent, GN_KIND_EVENT);
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = go_to_event(c, slot);
    return r ? r : gn_event_query(c, slot, (uintptr_t)hEvent);
}

CUresult gn_cuEventSynchronize(struct gn_call *c, CUevent hEvent)
{
    struct gn_handle_slot *slot = gn_handle_slot(hEvent, GN_KIND_EVENT);
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    uint64_t before = gn_event_keep(slot);
    CUresult r = go_to_event(c, slot);
    if (r || !gn_event_is_recorded(slot))
        return r;
    r = gn_ask(c, GN_OP_event_synchronize, &(struct gn_args_event_synchronize){.event = (uintptr_t)hEvent},
               &(struct gn_out_event_synchronize){0});
    if (!r)
        gn_event_passed(slot, before);
    return r;
}
