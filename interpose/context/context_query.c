// SPDX-License-Identifier: Apache-2.0
// What can be asked of a context, or set in it, once it is there.
#include "api_calls.h"
#include "api_wire.h"
#include "interpose/keep.h"
#include "interpose/shim.h"

// NULL stands for the current context, as in every call that takes one.
static CUresult resolve(struct gn_call *c, CUcontext ctx, struct gn_context **context)
{
    CUresult r = CUDA_ERROR_INVALID_CONTEXT;
    *context = ctx ? gn_context_find(ctx) : gn_context_current(c->thread, &r);
    return *context ? CUDA_SUCCESS : r;
}

CUresult gn_cuCtxGetDevice(struct gn_call *c, CUdevice *device)
{
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    *device = c->context->device;
    return CUDA_SUCCESS;
}

CUresult gn_cuCtxGetDevice_v2(struct gn_call *c, CUdevice *device, CUcontext ctx)
{
    struct gn_context *x;
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = resolve(c, ctx, &x);
    if (!r)
        *device = x->device;
    return r;
}

CUresult gn_cuCtxGetApiVersion(struct gn_call *c, CUcontext ctx, unsigned int *version)
{
    struct gn_context *x;
    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = resolve(c, ctx, &x);
    if (!r && !atomic_load(&x->active))
        r = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!r)
        *version = x->api_version;
    return r;
}

CUresult gn_cuCtxGetId(struct gn_call *c, CUcontext ctx, unsigned long long *id)
{
    struct gn_context *x;
    if (!id)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = resolve(c, ctx, &x);
    if (!r && !atomic_load(&x->active))
        r = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!r)
        *id = x->unique_id;
    return r;
}

CUresult gn_cuCtxGetFlags(struct gn_call *c, unsigned int *flags)
{
    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = c->context->flags;
    return CUDA_SUCCESS;
}

// How a thread waits is the session's business, so the scheduling flags are only kept; core dumps and
// synchronous copies on demand are not carried.
CUresult gn_cuCtxSetFlags(struct gn_call *c, unsigned int flags)
{
    if (flags & ~(unsigned)CU_CTX_FLAGS_MASK)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned not_carried = CU_CTX_COREDUMP_ENABLE | CU_CTX_USER_COREDUMP_ENABLE | CU_CTX_SYNC_MEMOPS;
    if ((flags ^ c->context->flags) & not_carried)
        return CUDA_ERROR_NOT_SUPPORTED;
    c->context->flags = flags;
    return CUDA_SUCCESS;
}

CUresult gn_cuCtxGetCacheConfig(struct gn_call *c, CUfunc_cache *config)
{
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    *config = c->context->cache_config;
    return CUDA_SUCCESS;
}

CUresult gn_check_cuCtxSetCacheConfig(struct gn_call *c, CUfunc_cache config)
{
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    c->context->cache_config = config;
    gn_keep_void();
    return CUDA_SUCCESS;
}

CUresult gn_cuCtxGetSharedMemConfig(struct gn_call *c, CUsharedconfig *config)
{
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    *config = c->context->shared_config;
    return CUDA_SUCCESS;
}

// Devices since Volta have one bank size: the setting is accepted and changes nothing, not even what is read
// back.
CUresult gn_check_cuCtxSetSharedMemConfig(struct gn_call *c, CUsharedconfig config)
{
    (void)c;
    return (unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE
                                                                        : CUDA_SUCCESS;
}

CUresult gn_cuCtxGetExecAffinity(struct gn_call *c, CUexecAffinityParam *affinity, CUexecAffinityType type)
{
    (void)c;
    if (!affinity || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

CUresult gn_cuCtxGetStreamPriorityRange(struct gn_call *c, int *least, int *greatest)
{
    if (least)
        *least = c->context->least_priority;
    if (greatest)
        *greatest = c->context->greatest_priority;
    return CUDA_SUCCESS;
}

CUresult gn_cuCtxGetLimit(struct gn_call *c, size_t *value, CUlimit limit)
{
    struct gn_context *x = c->context;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    if ((unsigned)limit >= GN_LIMITS_MAX)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    // Acquire: pairs with the release below, so that a known limit's value is seen.
    if (!(atomic_load_explicit(&x->limits_known, memory_order_acquire) & 1u << limit)) {
        struct gn_args_context_get_limit a = {.limit = (uint32_t)limit};
        struct gn_out_context_get_limit o = {0};
        CUresult r = gn_ask(c, GN_OP_context_get_limit, &a, &o);
        if (r)
            return r;
        atomic_store_explicit(&x->limits[limit], o.value, memory_order_relaxed);
        atomic_fetch_or_explicit(&x->limits_known, 1u << limit, memory_order_release);
    }
    *value = atomic_load_explicit(&x->limits[limit], memory_order_relaxed);
    return CUDA_SUCCESS;
}

static CUresult synchronize(struct gn_call *c, struct gn_context *x)
{
    struct gn_args_context_synchronize a = {.context = atomic_load_explicit(&x->id, memory_order_relaxed)};
    struct gn_out_context_synchronize o;
    return gn_ask(c, GN_OP_context_synchronize, &a, &o);
}

CUresult gn_cuCtxSynchronize(struct gn_call *c) { return synchronize(c, c->context); }

CUresult gn_cuCtxSynchronize_v2(struct gn_call *c, CUcontext ctx)
{
    struct gn_context *x;
    CUresult r = resolve(c, ctx, &x);
    if (r)
        return r;
    c->context = x; // whose errors this call tells
    r = (CUresult)atomic_load_explicit(&x->sticky, memory_order_relaxed);
    return r ? r : synchronize(c, x);
}
