// SPDX-License-Identifier: Apache-2.0
// Events. Creating and recording are generated; here is what a driver refuses at the call, and what needs no
// round trip because an event that was never recorded counts as complete.
#include "api_calls.h"
#include "api_wire.h"
#include "interpose/stream.h"

// What a slot keeps: the flags of the event, and whether it was ever recorded.
#define RECORDED ((uint64_t)1 << 32)

static uint64_t keep_of(const struct gn_handle_slot *slot)
{
    return __atomic_load_n(&slot->keep, __ATOMIC_RELAXED);
}
static bool is_recorded(const struct gn_handle_slot *slot) { return keep_of(slot) & RECORDED; }

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

static CUresult check_record(struct gn_call *c, CUevent event, CUstream stream)
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
    if (!is_recorded(slot))
        __atomic_fetch_or(&slot->keep, RECORDED, __ATOMIC_RELAXED);
    return CUDA_SUCCESS;
}

CUresult gn_check_cuEventRecord(struct gn_call *c, CUevent hEvent, CUstream hStream)
{
    return check_record(c, hEvent, hStream);
}

CUresult gn_check_cuEventRecordWithFlags(struct gn_call *c, CUevent hEvent, CUstream hStream,
                                         unsigned int flags)
{
    return flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL ? CUDA_ERROR_INVALID_VALUE
                                                       : check_record(c, hEvent, hStream);
}

static CUresult check_elapsed(const float *milliseconds, CUevent start, CUevent end)
{
    const struct gn_handle_slot *a = gn_handle_slot(start, GN_KIND_EVENT),
                                *b = gn_handle_slot(end, GN_KIND_EVENT);
    if (!milliseconds)
        return CUDA_ERROR_INVALID_VALUE;
    if (!a || !b || a->context != b->context || !is_recorded(a) || !is_recorded(b) ||
        ((keep_of(a) | keep_of(b)) & CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_HANDLE;
    return CUDA_SUCCESS;
}

CUresult gn_check_cuEventElapsedTime(struct gn_call *c, float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    (void)c;
    return check_elapsed(pMilliseconds, hStart, hEnd);
}

CUresult gn_check_cuEventElapsedTime_v2(struct gn_call *c, float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    (void)c;
    return check_elapsed(pMilliseconds, hStart, hEnd);
}

// The call needs no context, so nobody has looked at whether the event's is lost.
static CUresult event_ruined(struct gn_call *c, const struct gn_handle_slot *slot)
{
    if (c->context && slot->context == gn_context_id(c))
        return (CUresult)atomic_load_explicit(&c->context->sticky, memory_order_relaxed);
    return gn_elsewhere_ruined(c, slot->context);
}

CUresult gn_cuEventQuery(struct gn_call *c, CUevent hEvent)
{
    const struct gn_handle_slot *slot = gn_handle_slot(hEvent, GN_KIND_EVENT);
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!is_recorded(slot))
        return event_ruined(c, slot);
    return gn_ask(c, GN_OP_event_query, &(struct gn_args_event_query){.event = (uintptr_t)hEvent},
                  &(struct gn_out_event_query){0});
}

CUresult gn_cuEventSynchronize(struct gn_call *c, CUevent hEvent)
{
    const struct gn_handle_slot *slot = gn_handle_slot(hEvent, GN_KIND_EVENT);
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!is_recorded(slot))
        return event_ruined(c, slot);
    return gn_ask(c, GN_OP_event_synchronize, &(struct gn_args_event_synchronize){.event = (uintptr_t)hEvent},
                  &(struct gn_out_event_synchronize){0});
}
