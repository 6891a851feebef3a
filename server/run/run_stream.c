// SPDX-License-Identifier: Apache-2.0
// Creating and destroying streams, recording and destroying events. (Events are created by a generated command; waiting is
// in wait.c.)
#include "remoting/errors.h"
#include "server/run/run.h"
#include "server/worker/marks.h"

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
    gn_marks_forget(w, a->stream, 0);
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
    gn_marks_forget(w, a->event, 0);
    CUresult r = GN_DRIVER(w, cuEventDestroy_v2, event);
    gn_forget(w, a->event);
    return of_destroying(r);
}

CUresult gn_run_event_record(struct gn_worker *w, struct gn_request *q, const struct gn_args_event_record *a,
                             struct gn_out_event_record *o)
{
    (void)o;
    CUevent event;
    CUstream stream;
    if (!gn_find_event(w, q, a->event, &event) || !gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    gn_marks_forget(w, a->event, 0);
    return GN_DRIVER(w, cuEventRecord, event, stream);
}

CUresult gn_run_event_record_marked(struct gn_worker *w, struct gn_request *q,
                                    const struct gn_args_event_record_marked *a,
                                    struct gn_out_event_record_marked *o)
{
    (void)o;
    CUevent event;
    CUstream stream;
    if (!gn_find_event(w, q, a->event, &event) || !gn_find_stream(w, q, a->stream, &stream)) {
        gn_marks_refuse(w, a->mark);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    gn_marks_forget(w, a->event, 0);
    CUresult r = a->flags ? GN_DRIVER(w, cuEventRecordWithFlags, event, stream, a->flags)
                          : GN_DRIVER(w, cuEventRecord, event, stream);
    if (r)
        gn_marks_refuse(w, a->mark);
    else
        gn_marks_add(w, q, a->mark, a->event, 0, event, a->stream, false);
    return r;
}
