// SPDX-License-Identifier: Apache-2.0
// Streams: making, destroying, waiting, and what the program may ask about them.
#include "interpose/stream/marks.h"
#include "interpose/stream/stream.h"

#include <stdlib.h>

#include "api_calls.h"
#include "api_wire.h"

// What a slot keeps: the flags, and above them the priority.
static uint64_t keep_of(unsigned flags, int priority) { return flags | (uint64_t)(uint32_t)priority << 32; }
static unsigned flags_of(const struct gn_handle_slot *slot) { return (unsigned)slot->keep; }
static int priority_of(const struct gn_handle_slot *slot) { return (int)(uint32_t)(slot->keep >> 32); }

CUresult gn_stream_find(struct gn_call *c, CUstream handle, struct gn_stream *stream)
{
    if (!handle)
        handle = c->default_stream;
    if (handle == CU_STREAM_LEGACY) {
        if (!c->context)
            return CUDA_ERROR_INVALID_CONTEXT;
        *stream = (struct gn_stream){.id = GN_STREAM_LEGACY_ID, .context = gn_context_id(c)};
        return CUDA_SUCCESS;
    }
    uint64_t id = (uintptr_t)handle;
    if (handle == CU_STREAM_PER_THREAD) {
        CUresult r = gn_stream_of_thread(c, &id);
        if (r)
            return r;
    }
    struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)id, GN_KIND_STREAM);
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    *stream = (struct gn_stream){id, slot->context, flags_of(slot), priority_of(slot), slot};
    return CUDA_SUCCESS;
}

CUresult gn_elsewhere_ruined(struct gn_call *c, uint64_t context)
{
    if (__builtin_expect(context == gn_context_id(c), 1))
        return CUDA_SUCCESS;
    const struct gn_context *x = gn_context_find((CUcontext)(uintptr_t)context);
    return x ? (CUresult)atomic_load_explicit(&x->sticky, memory_order_relaxed) : CUDA_SUCCESS;
}

// A copy, a fill or a wait in a stream of another context is legal; a launch is not, and looks for itself.
CUresult gn_id_stream(struct gn_call *c, CUstream handle, uint64_t *id)
{
    struct gn_stream stream;
    CUresult r = gn_stream_find(c, handle, &stream);
    if (!r) {
        *id = stream.id;
        gn_touches(c, &stream);
    }
    return r ? r : gn_elsewhere_ruined(c, stream.context);
}

CUresult gn_stream_create(struct gn_call *c, unsigned flags, int priority, uint64_t *id)
{
    CUresult r = gn_handle_new_here(c, GN_KIND_STREAM, keep_of(flags, priority), id);
    if (r)
        return r;
    r = gn_post(c, GN_OP_stream_create,
                &(struct gn_args_stream_create){.stream = *id, .flags = flags, .priority = priority});
    if (r)
        gn_handle_drop(*id);
    return r;
}

CUresult gn_cuStreamCreateWithPriority(struct gn_call *c, CUstream *phStream, unsigned int flags,
                                       int priority)
{
    if (!phStream || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING))
        return CUDA_ERROR_INVALID_VALUE;
    int least = c->context->least_priority,
        greatest = c->context->greatest_priority; // greatest is the smaller number
    if (priority > least)
        priority = least;
    if (priority < greatest)
        priority = greatest;
    uint64_t id;
    CUresult r = gn_stream_create(c, flags, priority, &id);
    if (!r)
        gn_handle_give(phStream, id);
    return r;
}

CUresult gn_cuStreamCreate(struct gn_call *c, CUstream *phStream, unsigned int Flags)
{
    return gn_cuStreamCreateWithPriority(c, phStream, Flags, 0);
}

CUresult gn_cuStreamDestroy_v2(struct gn_call *c, CUstream hStream)
{
    struct gn_handle_slot *slot = gn_handle_slot(hStream, GN_KIND_STREAM);
    if (!slot)
        return CUDA_ERROR_INVALID_HANDLE;
    uint64_t id = (uintptr_t)hStream;
    void *attributes = slot->object;
    CUresult lost = gn_context_error(slot->context);
    // Posted before the name is free, so that the next stream of this name is made after this one is gone.
    CUresult r = gn_post(c, GN_OP_stream_destroy, &(struct gn_args_stream_destroy){.stream = id});
    gn_handle_drop(id);
    free(attributes);
    return r ? r : lost;
}

CUresult gn_stream_wait(struct gn_call *c, uint64_t stream)
{
    return gn_ask(c, GN_OP_stream_synchronize, &(struct gn_args_stream_synchronize){.stream = stream},
                  &(struct gn_out_stream_synchronize){0});
}

// What the call learns is about the stream's context, which need not be the current one.
static CUresult go_to_stream(struct gn_call *c, CUstream handle, struct gn_stream *stream)
{
    CUresult r = gn_stream_find(c, handle, stream);
    if (!r && !(r = gn_elsewhere_ruined(c, stream->context)) && stream->context != gn_context_id(c)) {
        struct gn_context *x = gn_context_find((CUcontext)(uintptr_t)stream->context);
        c->context = x ? x : c->context;
    }
    return r;
}

CUresult gn_cuStreamSynchronize(struct gn_call *c, CUstream hStream)
{
    struct gn_stream s;
    CUresult r = go_to_stream(c, hStream, &s);
    if (r)
        return r;
    uint64_t before = gn_stream_touched(&s);
    r = gn_stream_wait(c, s.id);
    if (!r)
        gn_stream_passed(&s, before);
    return r;
}

CUresult gn_cuStreamQuery(struct gn_call *c, CUstream hStream)
{
    struct gn_stream s;
    CUresult r = go_to_stream(c, hStream, &s);
    return r ? r : gn_stream_query(c, &s);
}

CUresult gn_check_cuStreamWaitEvent(struct gn_call *c, CUstream hStream, CUevent hEvent, unsigned int Flags)
{
    (void)c;
    (void)hStream;
    (void)hEvent;
    if (Flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    return Flags ? CUDA_ERROR_ILLEGAL_STATE : CUDA_SUCCESS; // external nodes are for streams that are being captured
}

// --- what the program may ask

CUresult gn_cuStreamGetFlags(struct gn_call *c, CUstream hStream, unsigned int *flags)
{
    struct gn_stream s;
    CUresult r = flags ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *flags = s.flags;
    return r;
}

CUresult gn_cuStreamGetPriority(struct gn_call *c, CUstream hStream, int *priority)
{
    struct gn_stream s;
    CUresult r = priority ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *priority = s.priority;
    return r;
}

CUresult gn_cuStreamGetId(struct gn_call *c, CUstream hStream, unsigned long long *streamId)
{
    struct gn_stream s;
    CUresult r = streamId ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *streamId =
            s.slot ? s.id : s.context; // of a legacy stream: one a context, and no stream has a context's id
    return r;
}

CUresult gn_cuStreamGetCtx(struct gn_call *c, CUstream hStream, CUcontext *pctx)
{
    struct gn_stream s;
    CUresult r = pctx ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        gn_handle_give(pctx, s.context);
    return r;
}

CUresult gn_cuStreamGetCtx_v2(struct gn_call *c, CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
    if (!pGreenCtx)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = gn_cuStreamGetCtx(c, hStream, pCtx);
    if (!r)
        *pGreenCtx = NULL;
    return r;
}

CUresult gn_cuStreamGetDevice(struct gn_call *c, CUstream hStream, CUdevice *device)
{
    struct gn_stream s;
    CUresult r = device ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    struct gn_context *context = r ? NULL : gn_context_find((CUcontext)(uintptr_t)s.context);
    if (!r && !context)
        r = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!r)
        *device = context->device;
    return r;
}
