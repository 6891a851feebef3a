// SPDX-License-Identifier: Apache-2.0
// Contexts of the program's own, each thread's stack of contexts, and what can be asked of a context.
#include "interpose/context/context.h"

#include <pthread.h>
#include <stdlib.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/memory/memory.h"
#include "interpose/shadow/shadow.h"
#include "interpose/shim.h"
#include "interpose/tables.h"
#include "remoting/errors.h"

static struct gn_context *primaries[GN_DEVICES_MAX];
static struct gn_context *free_contexts;
static pthread_mutex_t contexts_lock =
    PTHREAD_MUTEX_INITIALIZER; // the two above; the handle table's lock may be taken under it

void gn_contexts_forked(void) { pthread_mutex_init(&contexts_lock, NULL); }

// --- objects

// With the lock. An object under a new id, or NULL when memory is out.
static struct gn_context *take(struct gn_call *c, CUdevice device, bool primary)
{
    struct gn_context *x = free_contexts;
    uint64_t id;
    if (!x && !(x = calloc(1, sizeof *x)))
        return NULL;
    if (gn_handle_new(c, GN_KIND_CONTEXT, 0, 0, x, &id)) {
        if (x != free_contexts)
            free(x);
        return NULL;
    }
    if (x == free_contexts)
        free_contexts = x->next_free;
    x->device = device;
    x->primary = primary;
    x->flags = x->retain_count = 0;
    atomic_store_explicit(&x->ending, false, memory_order_relaxed);
    atomic_store_explicit(&x->active, false, memory_order_relaxed);
    atomic_store_explicit(&x->sticky, CUDA_ERROR_CONTEXT_IS_DESTROYED, memory_order_relaxed);
    // Release: pairs with the acquire in gn_context_current, so that who sees the id sees the rest.
    atomic_store_explicit(&x->id, id, memory_order_release);
    return x;
}

static struct gn_context *take_own(struct gn_call *c, CUdevice device)
{
    pthread_mutex_lock(&contexts_lock);
    struct gn_context *x = take(c, device, false);
    pthread_mutex_unlock(&contexts_lock);
    return x;
}

static void give_back(struct gn_context *x)
{
    uint64_t id = atomic_exchange_explicit(&x->id, 0, memory_order_release);
    gn_handle_drop(id);
    pthread_mutex_lock(&contexts_lock);
    x->next_free = free_contexts;
    free_contexts = x;
    pthread_mutex_unlock(&contexts_lock);
}

struct gn_context *gn_context_primary(CUdevice device)
{
    if (!gn_device(device))
        return NULL;
    pthread_mutex_lock(&contexts_lock);
    struct gn_context *x = primaries[device];
    if (!x)
        x = primaries[device] = take(NULL, device, true);
    pthread_mutex_unlock(&contexts_lock);
    return x;
}

struct gn_context *gn_context_find(CUcontext handle)
{
    struct gn_handle_slot *slot = gn_handle_slot(handle, GN_KIND_CONTEXT);
    return slot ? slot->object : NULL;
}

CUresult gn_context_error(uint64_t id)
{
    const struct gn_context *x = gn_context_find((CUcontext)(uintptr_t)id);
    CUresult r = x ? (CUresult)atomic_load_explicit(&x->sticky, memory_order_relaxed) : CUDA_SUCCESS;
    return gn_error_is_sticky(r) ? r : CUDA_SUCCESS;
}

void gn_context_begin(struct gn_context *x, const struct gn_context_facts *facts)
{
    gn_memory_info_forget();
    x->unique_id = facts->id;
    x->flags = facts->flags;
    x->api_version = facts->api_version;
    x->least_priority = facts->least_priority;
    x->greatest_priority = facts->greatest_priority;
    x->cache_config = CU_FUNC_CACHE_PREFER_NONE;
    x->shared_config = CU_SHARED_MEM_CONFIG_DEFAULT_BANK_SIZE;
    atomic_store_explicit(&x->limits_known, 0, memory_order_relaxed);
    atomic_store_explicit(&x->ending, false, memory_order_relaxed);
    atomic_store_explicit(&x->active, true, memory_order_relaxed);
    atomic_store_explicit(&x->sticky, 0, memory_order_release);
}

void gn_context_ruin(struct gn_context *x, CUresult code)
{
    int none = 0;
    if (gn_error_is_sticky(code))
        atomic_compare_exchange_strong_explicit(&x->sticky, &none, (int)code, memory_order_relaxed,
                                                memory_order_relaxed);
}

static CUcontext handle_of(const struct gn_context *x)
{
    return (CUcontext)(uintptr_t)atomic_load_explicit(&x->id, memory_order_relaxed);
}

void gn_context_farewell(struct gn_context *x)
{
    gn_tables_context_gone(handle_of(x));
    gn_shadow_context_ends(atomic_load_explicit(&x->id, memory_order_relaxed));
}

void gn_context_forget(struct gn_context *x, uint64_t id)
{
    atomic_store_explicit(&x->active, false, memory_order_relaxed);
    atomic_store_explicit(&x->sticky, CUDA_ERROR_CONTEXT_IS_DESTROYED, memory_order_relaxed);
    gn_handles_drop_context(id, gn_context_gone_handle);
    gn_context_gone_memory(id);
    gn_memory_info_forget();
}

// --- the thread's stack

static struct gn_context nowhere; // has no id, so whoever stands on it is told that his context is destroyed

static void set_top(struct gn_thread *t)
{
    uint64_t id = t->depth ? t->stack[t->depth - 1] : 0;
    t->top = id ? gn_context_find((CUcontext)(uintptr_t)id) : NULL;
    if (id && !t->top) // destroyed while it lay below
        t->top = &nowhere;
}

static CUresult push(struct gn_thread *t, struct gn_context *x)
{
    if (t->depth == GN_STACK_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    t->stack[t->depth++] = atomic_load_explicit(&x->id, memory_order_relaxed);
    t->top = x;
    return CUDA_SUCCESS;
}

static void pop(struct gn_thread *t)
{
    t->depth--;
    set_top(t);
}

CUresult gn_cuCtxPushCurrent_v2(struct gn_call *c, CUcontext ctx)
{
    struct gn_context *x = gn_context_find(ctx);
    return x ? push(c->thread, x) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult gn_cuCtxPopCurrent_v2(struct gn_call *c, CUcontext *ctx)
{
    struct gn_thread *t = c->thread;
    if (!t->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (ctx)
        gn_handle_give(ctx, t->stack[t->depth - 1]);
    pop(t);
    return CUDA_SUCCESS;
}

CUresult gn_cuCtxSetCurrent(struct gn_call *c, CUcontext ctx)
{
    struct gn_thread *t = c->thread;
    if (!ctx) {
        if (t->depth)
            pop(t);
        return CUDA_SUCCESS;
    }
    struct gn_context *x = gn_context_find(ctx);
    if (!x)
        return CUDA_ERROR_INVALID_CONTEXT;
    t->depth -= t->depth > 0;
    return push(t, x);
}

CUresult gn_cuCtxGetCurrent(struct gn_call *c, CUcontext *ctx)
{
    const struct gn_thread *t = c->thread;
    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    gn_handle_give(ctx, t->depth ? t->stack[t->depth - 1] : 0);
    return CUDA_SUCCESS;
}

// --- creating and destroying

static CUresult create(struct gn_call *c, CUcontext *ctx, unsigned flags, CUdevice device)
{
    if (!ctx || flags & ~(unsigned)CU_CTX_FLAGS_MASK ||
        (flags & CU_CTX_SCHED_MASK) > CU_CTX_SCHED_BLOCKING_SYNC ||
        (flags & CU_CTX_SCHED_MASK) == (CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD))
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (c->thread->depth == GN_STACK_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct gn_context *x = take_own(c, device);
    if (!x)
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t id = atomic_load_explicit(&x->id, memory_order_relaxed);
    struct gn_args_context_create a = {.context = id, .device = (uint32_t)device, .flags = flags};
    struct gn_out_context_create o = {0};
    CUresult r = gn_ask(c, GN_OP_context_create, &a, &o);
    if (r) {
        give_back(x);
        return r;
    }
    gn_context_begin(x, &(struct gn_context_facts){.id = o.id,
                                                   .flags = o.flags,
                                                   .api_version = o.api_version,
                                                   .least_priority = o.least_priority,
                                                   .greatest_priority = o.greatest_priority});
    x->retain_count = 1;
    gn_handle_give(ctx, id);
    return push(c->thread, x);
}

CUresult gn_cuCtxCreate_v2(struct gn_call *c, CUcontext *ctx, unsigned int flags, CUdevice device)
{
    return create(c, ctx, flags, device);
}

// A share of the multiprocessors, or a context for graphics, cannot be had from afar.
CUresult gn_cuCtxCreate_v3(struct gn_call *c, CUcontext *ctx, CUexecAffinityParam *params, int count,
                           unsigned int flags, CUdevice device)
{
    if (count < 0 || (count > 0 && !params))
        return CUDA_ERROR_INVALID_VALUE;
    return count ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY : create(c, ctx, flags, device);
}

CUresult gn_cuCtxCreate_v4(struct gn_call *c, CUcontext *ctx, CUctxCreateParams *params, unsigned int flags,
                           CUdevice device)
{
    if (params && params->cigParams)
        return CUDA_ERROR_NOT_SUPPORTED;
    return gn_cuCtxCreate_v3(c, ctx, params ? params->execAffinityParams : NULL,
                             params ? params->numExecAffinityParams : 0, flags, device);
}

static CUresult destroy(struct gn_call *c, struct gn_context *x)
{
    bool ending = false;
    if (!atomic_compare_exchange_strong(&x->ending, &ending, true))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    gn_context_farewell(x);
    uint64_t id = atomic_load_explicit(&x->id, memory_order_relaxed);
    struct gn_args_context_destroy a = {.context = id};
    struct gn_out_context_destroy o;
    CUresult r = gn_ask(c, GN_OP_context_destroy, &a, &o);
    gn_context_forget(x, id); // whatever the server says of it: the program has given it up
    struct gn_thread *t = c->thread;
    bool current = t->depth && t->stack[t->depth - 1] == id;
    give_back(x);
    if (current)
        pop(t);
    c->context = NULL;
    return r;
}

CUresult gn_cuCtxDestroy_v2(struct gn_call *c, CUcontext ctx)
{
    struct gn_context *x = gn_context_find(ctx);
    return x && !x->primary ? destroy(c, x) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult gn_cuCtxAttach(struct gn_call *c, CUcontext *ctx, unsigned int flags)
{
    if (!ctx || flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!c->context || c->context->primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    c->context->retain_count++;
    *ctx = handle_of(c->context);
    return CUDA_SUCCESS;
}

CUresult gn_cuCtxDetach(struct gn_call *c, CUcontext ctx)
{
    struct gn_context *x = gn_context_find(ctx);
    if (!x || x != c->context || x->primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    return --x->retain_count ? CUDA_SUCCESS : destroy(c, x);
}
