// SPDX-License-Identifier: Apache-2.0
// Primary contexts: one a device, shared by the libraries of the process. The server hears of the first
// retain and the last release only.
#include <pthread.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/shim.h"

// Held while a primary context comes or goes, the server's answer included, so that a second retain finds it
// ready. Recursive: destructors of the context's local storage run under it and may come back here. Never
// taken by calls that only use the context.
static pthread_mutex_t primary_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static CUresult find(CUdevice device, struct gn_context **x)
{
    if (!gn_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *x = gn_context_primary(device);
    return *x ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult retain(struct gn_call *c, struct gn_context *x)
{
    struct gn_args_primary_retain a = {.device = (uint32_t)x->device, .context = atomic_load(&x->id)};
    struct gn_out_primary_retain o = {0};
    CUresult r = gn_ask(c, GN_OP_primary_retain, &a, &o);
    if (!r)
        gn_context_begin(x, &(struct gn_context_facts){.id = o.id,
                                                       .flags = o.flags,
                                                       .api_version = o.api_version,
                                                       .least_priority = o.least_priority,
                                                       .greatest_priority = o.greatest_priority});
    return r;
}

CUresult gn_cuDevicePrimaryCtxRetain(struct gn_call *c, CUcontext *ctx, CUdevice device)
{
    struct gn_context *x;
    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &x);
    if (r)
        return r;
    pthread_mutex_lock(&primary_lock);
    if (!atomic_load(&x->active))
        r = retain(c, x);
    if (!r) {
        x->retain_count++;
        gn_handle_give(ctx, atomic_load(&x->id));
    }
    pthread_mutex_unlock(&primary_lock);
    return r;
}

// With the lock: the context ceases, by its last release or a reset.
static CUresult end(struct gn_call *c, struct gn_context *x, bool reset)
{
    uint64_t id = atomic_load(&x->id);
    atomic_store(&x->ending, true);
    gn_context_farewell(x);
    CUresult r;
    if (reset) {
        struct gn_args_primary_reset a = {.device = (uint32_t)x->device, .context = id};
        struct gn_out_primary_reset o;
        r = gn_ask(c, GN_OP_primary_reset, &a, &o);
    } else {
        struct gn_args_primary_release a = {.context = id};
        struct gn_out_primary_release o;
        r = gn_ask(c, GN_OP_primary_release, &a, &o);
    }
    gn_context_forget(x, id);
    x->retain_count = 0;
    atomic_store(&x->ending, false);
    return r;
}

CUresult gn_cuDevicePrimaryCtxRelease_v2(struct gn_call *c, CUdevice device)
{
    struct gn_context *x;
    CUresult r = find(device, &x);
    if (r)
        return r;
    pthread_mutex_lock(&primary_lock);
    if (!x->retain_count || atomic_load(&x->ending))
        r = CUDA_ERROR_INVALID_CONTEXT;
    else if (x->retain_count > 1)
        x->retain_count--;
    else
        r = end(c, x, false);
    pthread_mutex_unlock(&primary_lock);
    return r;
}

CUresult gn_cuDevicePrimaryCtxReset_v2(struct gn_call *c, CUdevice device)
{
    struct gn_context *x;
    CUresult r = find(device, &x);
    if (r)
        return r;
    pthread_mutex_lock(&primary_lock);
    if (atomic_load(&x->active) && !atomic_load(&x->ending))
        r = end(c, x, true);
    pthread_mutex_unlock(&primary_lock);
    return r;
}

CUresult gn_cuDevicePrimaryCtxSetFlags_v2(struct gn_call *c, CUdevice device, unsigned int flags)
{
    struct gn_context *x;
    CUresult r = find(device, &x);
    if (r)
        return r;
    unsigned scheduling = flags & CU_CTX_SCHED_MASK;
    if (flags & ~(unsigned)CU_CTX_FLAGS_MASK || scheduling > CU_CTX_SCHED_BLOCKING_SYNC ||
        scheduling == (CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD))
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_args_primary_set_flags a = {.device = (uint32_t)device, .flags = flags};
    struct gn_out_primary_set_flags o;
    pthread_mutex_lock(&primary_lock);
    if (x->flags != flags && !(r = gn_ask(c, GN_OP_primary_set_flags, &a, &o)))
        x->flags = flags;
    pthread_mutex_unlock(&primary_lock);
    return r;
}

CUresult gn_cuDevicePrimaryCtxGetState(struct gn_call *c, CUdevice device, unsigned int *flags, int *active)
{
    (void)c;
    struct gn_context *x;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = find(device, &x);
    if (r)
        return r;
    *flags = x->flags;
    *active = atomic_load(&x->active);
    return CUDA_SUCCESS;
}
