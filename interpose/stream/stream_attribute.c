// SPDX-License-Identifier: Apache-2.0
// Attributes of streams, and the capture queries. What only tunes (cache windows, waiting policy, priority)
// is kept here, so that it reads back as it was set; it does not change results.
#include <pthread.h>
#include <stdlib.h>

#include "api_calls.h"
#include "interpose/stream/stream.h"

struct attributes { // the object of a stream's slot, from the first attribute set
    CUaccessPolicyWindow window;
    CUsynchronizationPolicy policy;
    int priority;
    CUlaunchMemSyncDomain domain;
    CUlaunchMemSyncDomainMap map;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the attributes of all streams
static struct attributes of_legacy;                      // of the legacy default streams; zeroed until set
static bool legacy_set;

static struct attributes defaults(const struct gn_stream *s)
{
    return (struct attributes){
        .policy = CU_SYNC_POLICY_AUTO, .priority = s->priority, .map = {.default_ = 0, .remote = 1}};
}

static struct attributes read_all(const struct gn_stream *s)
{
    const struct attributes *set = s->slot ? s->slot->object : legacy_set ? &of_legacy : NULL;
    return set ? *set : defaults(s);
}

static CUresult write_all(struct gn_stream *s, const struct attributes *a)
{
    if (!s->slot) {
        of_legacy = *a;
        legacy_set = true;
        return CUDA_SUCCESS;
    }
    if (!s->slot->object && !(s->slot->object = malloc(sizeof *a)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    *(struct attributes *)s->slot->object = *a;
    return CUDA_SUCCESS;
}

static CUresult get(const struct attributes *a, CUstreamAttrID attr, CUstreamAttrValue *value)
{
    switch ((int)attr) {
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW: value->accessPolicyWindow = a->window; return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY: value->syncPolicy = a->policy; return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PRIORITY: value->priority = a->priority; return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN: value->memSyncDomain = a->domain; return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP: value->memSyncDomainMap = a->map; return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult set(struct attributes *a, CUstreamAttrID attr, const CUstreamAttrValue *value)
{
    switch ((int)attr) {
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        if (!(value->accessPolicyWindow.hitRatio >= 0 && value->accessPolicyWindow.hitRatio <= 1) ||
            (unsigned)value->accessPolicyWindow.hitProp > CU_ACCESS_PROPERTY_PERSISTING ||
            (unsigned)value->accessPolicyWindow.missProp > CU_ACCESS_PROPERTY_STREAMING)
            return CUDA_ERROR_INVALID_VALUE;
        a->window = value->accessPolicyWindow;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        if (value->syncPolicy < CU_SYNC_POLICY_AUTO || value->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
            return CUDA_ERROR_INVALID_VALUE;
        a->policy = value->syncPolicy;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PRIORITY: a->priority = value->priority; return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
        if ((unsigned)value->memSyncDomain > CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE)
            return CUDA_ERROR_INVALID_VALUE;
        a->domain = value->memSyncDomain;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP: a->map = value->memSyncDomainMap; return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_cuStreamGetAttribute(struct gn_call *c, CUstream hStream, CUstreamAttrID attr,
                                 CUstreamAttrValue *value)
{
    struct gn_stream s;
    CUresult r = value ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    struct attributes a = read_all(&s);
    pthread_mutex_unlock(&lock);
    return get(&a, attr, value);
}

CUresult gn_cuStreamSetAttribute(struct gn_call *c, CUstream hStream, CUstreamAttrID attr,
                                 const CUstreamAttrValue *param)
{
    struct gn_stream s;
    CUresult r = param ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    struct attributes a = read_all(&s);
    r = set(&a, attr, param);
    if (!r)
        r = write_all(&s, &a);
    pthread_mutex_unlock(&lock);
    return r;
}

CUresult gn_cuStreamCopyAttributes(struct gn_call *c, CUstream dstStream, CUstream srcStream)
{
    struct gn_stream to, from;
    CUresult r = gn_stream_find(c, dstStream, &to);
    if (!r)
        r = gn_stream_find(c, srcStream, &from);
    if (r)
        return r;
    if (to.context != from.context)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    struct attributes a = read_all(&from);
    r = write_all(&to, &a);
    pthread_mutex_unlock(&lock);
    return r;
}

// --- capture: no stream ever captures, as graphs are not supported; libraries ask all the same

static CUresult not_capturing(struct gn_call *c, CUstream hStream, CUstreamCaptureStatus *status,
                              cuuint64_t *id)
{
    struct gn_stream s;
    CUresult r = status ? gn_stream_find(c, hStream, &s) : CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (id)
        *id = 0;
    return CUDA_SUCCESS;
}

CUresult gn_cuStreamIsCapturing(struct gn_call *c, CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    return not_capturing(c, hStream, captureStatus, NULL);
}

CUresult gn_cuStreamGetCaptureInfo(struct gn_call *c, CUstream hStream,
                                   CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out)
{
    return not_capturing(c, hStream, captureStatus_out, id_out);
}

CUresult gn_cuStreamGetCaptureInfo_v2(struct gn_call *c, CUstream hStream,
                                      CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out,
                                      CUgraph *graph_out, const CUgraphNode **dependencies_out,
                                      size_t *numDependencies_out)
{
    CUresult r = not_capturing(c, hStream, captureStatus_out, id_out);
    if (!r && graph_out)
        *graph_out = NULL;
    if (!r && dependencies_out)
        *dependencies_out = NULL;
    if (!r && numDependencies_out)
        *numDependencies_out = 0;
    return r;
}

CUresult gn_cuStreamGetCaptureInfo_v3(struct gn_call *c, CUstream hStream,
                                      CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out,
                                      CUgraph *graph_out, const CUgraphNode **dependencies_out,
                                      const CUgraphEdgeData **edgeData_out, size_t *numDependencies_out)
{
    CUresult r = gn_cuStreamGetCaptureInfo_v2(c, hStream, captureStatus_out, id_out, graph_out,
                                              dependencies_out, numDependencies_out);
    if (!r && edgeData_out)
        *edgeData_out = NULL;
    return r;
}

CUresult gn_cuThreadExchangeStreamCaptureMode(struct gn_call *c, CUstreamCaptureMode *mode)
{
    if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    CUstreamCaptureMode old = c->thread->capture_mode;
    c->thread->capture_mode = *mode;
    *mode = old;
    return CUDA_SUCCESS;
}
