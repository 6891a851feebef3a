// SPDX-License-Identifier: Apache-2.0
// Synchronising and asking. A synchronise waits for what was dispatched before it and for nothing later: on an event recorded now.
#include "remoting/errors.h"
#include "server/run/run.h"
#include "server/worker/box.h"
#include "server/worker/marks.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"

CUresult gn_run_scope(struct gn_worker *w, struct gn_request *q, const struct gn_args_scope *a, struct gn_out_scope *o)
{
    (void)o;
    void *object;
    w->scope = NULL;
    if (!gn_find_object(w, q, GN_KIND_CONTEXT, a->context, &object))
        return CUDA_ERROR_INVALID_CONTEXT;
    w->scope = object;
    CUresult r = gn_use_context(w, w->scope->context);
    if (!r)
        gn_staging_context(w->staging, w->scope->context);
    return r;
}

// Whether to ask the driver to wait although nothing is left to wait for: it writes out what kernels printed then. In a context that is lost
// too, where a failed assertion's words are all that tells what went wrong.
static bool is_for_words(CUresult query) { return query == CUDA_SUCCESS || gn_error_is_sticky(query); }

// After `stream` is through, in a stream of the server's own: what is recorded there waits for what was in `stream` until now.
static CUresult follow(struct gn_worker *w, const struct gn_wait_pair *pair, CUstream stream)
{
    CUresult r = GN_DRIVER(w, cuEventRecord, pair->event, stream);
    return r ? r : GN_DRIVER(w, cuStreamWaitEvent, pair->stream, pair->event, 0);
}

// A stream is about to be destroyed: what it has still to do goes on, and synchronising its context waits for it.
static void leave_behind(struct gn_worker *w, struct gn_server_context *x, CUstream stream)
{
    struct gn_wait_pair pair;
    if (GN_DRIVER(w, cuStreamQuery, stream) != CUDA_ERROR_NOT_READY)
        return;
    if (!x->left) {
        if (gn_wait_pair_take(w, &pair))
            return;
        x->left = pair.stream;
        x->left_event = pair.event;
    }
    follow(w, &(struct gn_wait_pair){.stream = x->left, .event = x->left_event}, stream);
}

void gn_sync_leave_behind(struct gn_worker *w, uint64_t context, CUstream stream)
{
    struct gn_handle_slot *slot = gn_handle_find(&w->handles, context, GN_KIND_CONTEXT);
    struct gn_server_context *x = slot ? slot->object : NULL, *scope = w->scope;
    if (!x || gn_use_context(w, x->context))
        return;
    leave_behind(w, x, stream);
    if (scope && scope != x)
        gn_use_context(w, scope->context);
}

CUresult gn_run_stream_synchronize(struct gn_worker *w, struct gn_request *q, const struct gn_args_stream_synchronize *a,
                                   struct gn_out_stream_synchronize *o)
{
    (void)o;
    CUstream stream;
    struct gn_wait_pair pair;
    if (!gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuStreamQuery, stream);
    if (r != CUDA_ERROR_NOT_READY)
        return is_for_words(r) ? GN_DRIVER(w, cuStreamSynchronize, stream) : r;
    r = gn_wait_pair_take(w, &pair);
    if (r)
        return r;
    r = GN_DRIVER(w, cuEventRecord, pair.event, stream);
    if (!r)
        return gn_wait_reply(w, q, &pair);
    gn_wait_pair_give(w, &pair);
    return r;
}

// A default stream's name means another stream in each context; others mean themselves.
static uint64_t stream_context(const struct gn_worker *w, uint64_t stream)
{
    return gn_handle_kind(stream) == GN_KIND_STREAM || !w->scope ? 0 : w->scope->id;
}

CUresult gn_run_stream_query(struct gn_worker *w, struct gn_request *q, const struct gn_args_stream_query *a, struct gn_out_stream_query *o)
{
    (void)o;
    CUstream stream;
    if (!gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuStreamQuery, stream);
    if (r == CUDA_ERROR_NOT_READY)
        gn_marks_add(w, q, a->mark, a->stream, stream_context(w, a->stream), stream, 0, true);
    return r;
}

CUresult gn_run_event_synchronize(struct gn_worker *w, struct gn_request *q, const struct gn_args_event_synchronize *a,
                                  struct gn_out_event_synchronize *o)
{
    (void)o;
    CUevent event;
    struct gn_wait_pair pair;
    if (!gn_find_event(w, q, a->event, &event))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuEventQuery, event);
    if (r != CUDA_ERROR_NOT_READY)
        return is_for_words(r) ? GN_DRIVER(w, cuEventSynchronize, event) : r;
    r = gn_wait_pair_take(w, &pair);
    if (r)
        return r;
    // The program's event may be recorded again or destroyed meanwhile: wait for what it stands for now.
    r = GN_DRIVER(w, cuStreamWaitEvent, pair.stream, event, 0);
    if (!r)
        r = GN_DRIVER(w, cuEventRecord, pair.event, pair.stream);
    if (!r)
        return gn_wait_reply(w, q, &pair);
    gn_wait_pair_give(w, &pair);
    return r;
}

CUresult gn_run_event_query(struct gn_worker *w, struct gn_request *q, const struct gn_args_event_query *a, struct gn_out_event_query *o)
{
    (void)o;
    CUevent event;
    if (!gn_find_event(w, q, a->event, &event))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuEventQuery, event);
    if (r == CUDA_ERROR_NOT_READY)
        gn_marks_add(w, q, a->mark, a->event, 0, event, 0, true);
    return r;
}

CUresult gn_run_context_synchronize(struct gn_worker *w, struct gn_request *q, const struct gn_args_context_synchronize *a,
                                    struct gn_out_context_synchronize *o)
{
    (void)o;
    void *object;
    struct gn_wait_pair pair;
    if (!gn_find_object(w, q, GN_KIND_CONTEXT, a->context, &object))
        return CUDA_ERROR_INVALID_CONTEXT;
    struct gn_server_context *before = w->scope;
    w->scope = object;
    CUresult r = gn_use_context(w, w->scope->context);
    bool busy = false;
    if (!r)
        r = gn_wait_pair_take(w, &pair);
    if (r) {
        if (gn_error_is_sticky(r))
            GN_DRIVER(w, cuCtxSynchronize); // see is_for_words
        w->scope = before;
        return r;
    }
    CUresult query = GN_DRIVER(w, cuStreamQuery, CU_STREAM_LEGACY);
    if (query == CUDA_ERROR_NOT_READY) {
        busy = true;
        r = follow(w, &pair, CU_STREAM_LEGACY);
    } else {
        r = query;
    }
    if (!r && w->scope->left && GN_DRIVER(w, cuStreamQuery, w->scope->left) == CUDA_ERROR_NOT_READY) {
        busy = true;
        r = follow(w, &pair, w->scope->left);
    }
    uint32_t index = 0;
    for (struct gn_handle_slot *slot; !r && (slot = gn_handle_next(&w->handles, &index));) {
        if (gn_handle_kind(atomic_load(&slot->id)) != GN_KIND_STREAM || slot->context != a->context || !slot->object)
            continue;
        query = GN_DRIVER(w, cuStreamQuery, slot->object);
        busy = busy || query == CUDA_ERROR_NOT_READY;
        r = query == CUDA_ERROR_NOT_READY ? follow(w, &pair, slot->object) : query;
    }
    if (!r && busy)
        r = GN_DRIVER(w, cuEventRecord, pair.event, pair.stream);
    if (!r && busy) {
        r = gn_wait_reply(w, q, &pair);
    } else {
        if (!r) { // idle: this only makes the driver write out what kernels printed
            GN_DRIVER(w, cuEventRecord, pair.event, pair.stream);
            r = GN_DRIVER(w, cuEventSynchronize, pair.event);
        } else if (gn_error_is_sticky(r)) {
            GN_DRIVER(w, cuCtxSynchronize);
        }
        gn_wait_pair_give(w, &pair);
    }
    w->scope = before;
    if (before && r == GN_DEFERRED)
        gn_use_context(w, before->context);
    return r;
}
