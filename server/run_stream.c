// SPDX-License-Identifier: Apache-2.0
// Creating and destroying streams, destroying events. (Events are created by a generated command; waiting is
// in wait.c.)
#include "remoting/errors.h"
#include "server/run.h"

// What the object's context died of is told by the calls that wait in it. Told here, it would become the error of whatever context is
// current at the client.
static CUresult of_destroying(CUresult r) { return gn_error_is_sticky(r) ? CUDA_SUCCESS : r; }

CUresult gn_run_stream_create(struct gn_worker *w, struct gn_request *q,
                              const struct gn_args_stream_create *a, struct gn_out_stream_create *o)
{
    (void)o;
    CUstream stream = NULL;
    CUresult r = CUDA_ERROR_INVALID_CONTEXT;
    if (w->scope)
        r = GN_DRIVER(w, cuStreamCreateWithPriority, &stream, a->flags, a->priority);
    return gn_keep(w, q, GN_KIND_STREAM, a->stream, r ? NULL : stream, r);
}

CUresult gn_run_stream_destroy(struct gn_worker *w, struct gn_request *q,
                               const struct gn_args_stream_destroy *a, struct gn_out_stream_destroy *o)
{
    (void)o;
    void *stream;
    if (!gn_find_object(w, q, GN_KIND_STREAM, a->stream,
                        &stream)) { // default streams are not destroyed: they are ids that cannot be
        gn_forget(w, a->stream);    // its creation failed: the name is free again
        return CUDA_ERROR_INVALID_HANDLE;
    }
    const struct gn_handle_slot *slot = gn_handle_find(&w->handles, a->stream, GN_KIND_STREAM);
    gn_sync_leave_behind(w, slot->context, stream);
    CUresult r = GN_DRIVER(w, cuStreamDestroy_v2, stream);
    gn_forget(w, a->stream);
    return of_destroying(r);
}

CUresult gn_run_event_destroy(struct gn_worker *w, struct gn_request *q,
                              const struct gn_args_event_destroy *a, struct gn_out_event_destroy *o)
{
    (void)o;
    void *event;
    if (!gn_find_object(w, q, GN_KIND_EVENT, a->event, &event)) {
        gn_forget(w, a->event);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    CUresult r = GN_DRIVER(w, cuEventDestroy_v2, event);
    gn_forget(w, a->event);
    return of_destroying(r);
}
