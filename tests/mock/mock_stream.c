// SPDX-License-Identifier: Apache-2.0
// Streams as the program sees them: creating, asking, waiting; which stream a handle means.
#include "tests/mock/mock_stream.h"

#include <sched.h>
#include <stdlib.h>

#include "api_mock.h"
#include "tests/mock/mock_print.h"

// --- objects

struct mock_stream *mock_stream_open(struct mock_context *c, unsigned flags, int priority, bool is_legacy)
{
    struct mock_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->refs = 1;
    s->context = c;
    s->flags = flags;
    s->priority = priority;
    s->is_legacy = is_legacy;
    s->is_blocking = !is_legacy && !(flags & CU_STREAM_NON_BLOCKING);
    s->is_open = true;
    s->serial = ++mock.next_serial;
    s->sync_policy = CU_SYNC_POLICY_AUTO;
    if (mock.options.is_virtual && !(s->ends = calloc(MOCK_STREAM_WINDOW, sizeof *s->ends))) {
        free(s);
        return NULL;
    }
    // The default streams are not the program's to destroy, so they have no handle of their own.
    if (!is_legacy && mock_handle_new(GN_KIND_STREAM, c->id, s, &s->id) != CUDA_SUCCESS) {
        free(s->ends);
        free(s);
        return NULL;
    }
    s->next = c->streams;
    s->link = &c->streams;
    if (c->streams)
        c->streams->link = &s->next;
    c->streams = s;
    mock_context_hold(c);
    return s;
}

void mock_stream_hold(struct mock_stream *s) { s->refs++; }

void mock_stream_drop(struct mock_stream *s)
{
    if (--s->refs)
        return;
    mock_context_drop(s->context);
    free(s->ends);
    free(s);
}

void mock_stream_end(uint64_t id)
{
    struct mock_stream *s = mock_handle_get((void *)(uintptr_t)id, GN_KIND_STREAM);
    if (!s)
        return;
    mock_handle_close(id);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    s->is_open = false;
    mock_stream_drop(s);
}

// --- which stream

static CUresult thread_stream(struct mock_context *c, struct mock_stream **stream)
{
    struct mock_thread *t = mock_thread();
    struct mock_thread_stream *at = t->streams;
    while (at && at->context != c->id)
        at = at->next;
    *stream = at ? mock_handle_get((void *)(uintptr_t)at->stream_id, GN_KIND_STREAM) : NULL;
    if (*stream)
        return CUDA_SUCCESS;
    if (!at) {
        if (!(at = calloc(1, sizeof *at)))
            return CUDA_ERROR_OUT_OF_MEMORY;
        at->context = c->id;
        at->next = t->streams;
        t->streams = at;
    }
    *stream = mock_stream_open(c, CU_STREAM_DEFAULT, 0, false);
    if (!*stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    at->stream_id = (*stream)->id;
    (*stream)->is_thread_default = true;
    return CUDA_SUCCESS;
}

CUresult mock_stream_resolve(CUstream handle, struct mock_stream **stream)
{
    struct mock_context *c = mock_context_here();
    if (!handle)
        handle = mock_thread()->default_stream;
    if (handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
        if (!c || !mock_context_is_usable(c))
            return CUDA_ERROR_INVALID_CONTEXT;
        if (handle == CU_STREAM_PER_THREAD)
            return thread_stream(c, stream);
        *stream = c->legacy;
        return CUDA_SUCCESS;
    }
    *stream = mock_handle_get(handle, GN_KIND_STREAM);
    return *stream ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult mock_stream_resolve_here(CUstream handle, struct mock_stream **stream)
{
    CUresult r = mock_stream_resolve(handle, stream);
    return r == CUDA_SUCCESS && (*stream)->context != mock_context_here() ? CUDA_ERROR_INVALID_HANDLE : r;
}

// --- creating and destroying

CUresult mock_cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)
{
    if (!phStream || flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    priority = priority > 0 ? 0 : priority < MOCK_PRIORITY_GREATEST ? MOCK_PRIORITY_GREATEST : priority;
    struct mock_stream *s = mock_stream_open(mock_context_here(), flags, priority, false);
    if (!s)
        return CUDA_ERROR_OUT_OF_MEMORY;
    mock_handle_give(phStream, s->id);
    return CUDA_SUCCESS;
}

CUresult mock_cuStreamCreate(CUstream *phStream, unsigned int Flags)
{
    return mock_cuStreamCreateWithPriority(phStream, Flags, 0);
}

CUresult mock_cuStreamDestroy_v2(CUstream hStream)
{
    struct mock_stream *s = mock_handle_get(hStream, GN_KIND_STREAM);
    if (!s || s->is_thread_default)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = s->context->error; // it goes all the same
    mock_stream_end(s->id);
    return r;
}

// --- asking

CUresult mock_cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
    struct mock_stream *s;
    CUresult r = pctx ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        mock_handle_give(pctx, s->context->id);
    return r;
}

CUresult mock_cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
    CUresult r = mock_cuStreamGetCtx(hStream, pCtx);
    if (r == CUDA_SUCCESS && pGreenCtx)
        *pGreenCtx = NULL;
    return r;
}

CUresult mock_cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
    struct mock_stream *s;
    CUresult r = device ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *device = (CUdevice)s->context->device;
    return r;
}

CUresult mock_cuStreamGetFlags(CUstream hStream, unsigned int *flags)
{
    struct mock_stream *s;
    CUresult r = flags ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *flags = s->flags;
    return r;
}

CUresult mock_cuStreamGetId(CUstream hStream, unsigned long long *streamId)
{
    struct mock_stream *s;
    CUresult r = streamId ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *streamId = s->serial;
    return r;
}

CUresult mock_cuStreamGetPriority(CUstream hStream, int *priority)
{
    struct mock_stream *s;
    CUresult r = priority ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *priority = s->priority;
    return r;
}

CUresult mock_cuStreamGetAttribute(CUstream hStream, CUstreamAttrID attr, CUstreamAttrValue *value)
{
    struct mock_stream *s;
    CUresult r = value ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    switch (attr) {
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY: value->syncPolicy = s->sync_policy; break;
    case CU_LAUNCH_ATTRIBUTE_PRIORITY: value->priority = s->priority; break;
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW: value->accessPolicyWindow = (CUaccessPolicyWindow){0}; break;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN: value->memSyncDomain = CU_LAUNCH_MEM_SYNC_DOMAIN_DEFAULT; break;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
        value->memSyncDomainMap = (CUlaunchMemSyncDomainMap){.default_ = 0, .remote = 0};
        break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult mock_cuStreamSetAttribute(CUstream hStream, CUstreamAttrID attr, const CUstreamAttrValue *param)
{
    struct mock_stream *s;
    CUresult r = param ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    switch (attr) {
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        if (param->syncPolicy < CU_SYNC_POLICY_AUTO || param->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
            return CUDA_ERROR_INVALID_VALUE;
        s->sync_policy = param->syncPolicy;
        break;
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        if (param->priority > 0 || param->priority < MOCK_PRIORITY_GREATEST)
            return CUDA_ERROR_INVALID_VALUE;
        if (s->where != MOCK_READY) // its place is in the list of its priority
            s->priority = param->priority;
        break;
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW: // a hint about a cache that the mock does not have
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP: break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult mock_cuStreamCopyAttributes(CUstream dstStream, CUstream srcStream)
{
    struct mock_stream *dst, *src;
    CUresult r = mock_stream_resolve(dstStream, &dst);
    if (r == CUDA_SUCCESS)
        r = mock_stream_resolve(srcStream, &src);
    if (r == CUDA_SUCCESS)
        dst->sync_policy = src->sync_policy;
    return r;
}

// --- capture: there is none, and questions about it get that answer

CUresult mock_cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    struct mock_stream *s;
    CUresult r = captureStatus ? mock_stream_resolve(hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
    return r;
}

CUresult mock_cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out)
{
    CUresult r = mock_cuStreamIsCapturing(hStream, captureStatus_out);
    if (r == CUDA_SUCCESS && id_out)
        *id_out = 0;
    return r;
}

CUresult mock_cuStreamGetCaptureInfo_v2(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                        cuuint64_t *id_out, CUgraph *graph_out,
                                        const CUgraphNode **dependencies_out, size_t *numDependencies_out)
{
    CUresult r = mock_cuStreamGetCaptureInfo(hStream, captureStatus_out, id_out);
    if (r == CUDA_SUCCESS && graph_out)
        *graph_out = NULL;
    if (r == CUDA_SUCCESS && dependencies_out)
        *dependencies_out = NULL;
    if (r == CUDA_SUCCESS && numDependencies_out)
        *numDependencies_out = 0;
    return r;
}

CUresult mock_cuStreamGetCaptureInfo_v3(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                        cuuint64_t *id_out, CUgraph *graph_out,
                                        const CUgraphNode **dependencies_out, const CUgraphEdgeData **edgeData_out,
                                        size_t *numDependencies_out)
{
    CUresult r = mock_cuStreamGetCaptureInfo_v2(hStream, captureStatus_out, id_out, graph_out, dependencies_out,
                                                numDependencies_out);
    if (r == CUDA_SUCCESS && edgeData_out)
        *edgeData_out = NULL;
    return r;
}

CUresult mock_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    struct mock_thread *t = mock_thread();
    if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    CUstreamCaptureMode before = t->capture_mode;
    t->capture_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}

// --- waiting

CUresult mock_cuStreamSynchronize(CUstream hStream)
{
    struct mock_stream *s;
    CUresult r = mock_stream_resolve(hStream, &s);
    if (r != CUDA_SUCCESS)
        return r;
    struct mock_context *c = s->context;
    mock_context_hold(c);
    r = mock_stream_wait(s);
    mock_print_flush(c);
    mock_context_drop(c);
    return r;
}

CUresult mock_cuStreamQuery(CUstream hStream)
{
    struct mock_stream *s;
    CUresult r = mock_stream_resolve(hStream, &s);
    if (r != CUDA_SUCCESS)
        return r;
    if (s->context->error != CUDA_SUCCESS)
        return s->context->error;
    if (mock_stream_is_idle(s))
        return CUDA_SUCCESS;
    mock_unlock(); // a program that asks in a loop must not keep the lock from those whose work it waits for
    sched_yield();
    mock_lock();
    return CUDA_ERROR_NOT_READY;
}
