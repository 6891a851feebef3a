// SPDX-License-Identifier: Apache-2.0
// Contexts: primary and own ones, each thread's stack of them, their limits and flags, and their end.
#include <stdlib.h>
#include <string.h>

#include "api_mock.h"
#include "interpose/tables.h"
#include "remoting/errors.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_print.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_state.h"

// What queued work gets to finish when its context ends; a kernel that never ends must not hold the process for ever.
#define GRACE_NS UINT64_C(2000000000)

#define SCHED_FLAGS_MAX 4

static const size_t default_limits[MOCK_LIMITS] = {
    [CU_LIMIT_STACK_SIZE] = 1024,
    [CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20,
    [CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20,
    [CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64,
};

static CUcontext handle_of(const struct mock_context *c) { return (CUcontext)(uintptr_t)c->id; }

struct mock_context *mock_context_get(CUcontext handle) { return mock_handle_get(handle, GN_KIND_CONTEXT); }

struct mock_context *mock_context_current(void)
{
    struct mock_thread *t = mock_thread();
    return t && t->depth ? mock_handle_get((void *)(uintptr_t)t->stack[t->depth - 1], GN_KIND_CONTEXT) : NULL;
}

void mock_context_end(struct mock_context *c)
{
    mock_print_free(c->print);
    free(c);
}

void mock_context_fail(struct mock_context *c, CUresult error)
{
    if (c->error == CUDA_SUCCESS) {
        c->error = error;
        __atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
        mock_sched_context_stopped(c);
    }
}

void mock_fall_off(void)
{
    mock.fallen = true;
    uint32_t index = 0;
    for (struct gn_handle_slot *s; (s = gn_handle_next(&mock.handles, &index)) != NULL;)
        if (gn_handle_kind(s->id) == GN_KIND_CONTEXT && ((struct mock_context *)s->object)->is_alive)
            mock_context_fail(s->object, CUDA_ERROR_DEVICE_UNAVAILABLE);
}

// --- beginning and end

static CUresult begin(struct mock_context *c, unsigned flags)
{
    memcpy(c->limits, default_limits, sizeof c->limits);
    c->flags = flags;
    c->api_version = 3020;
    c->cache_config = CU_FUNC_CACHE_PREFER_NONE;
    c->shared_config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    c->error = CUDA_SUCCESS;
    c->stop = false;
    c->serial = ++mock.next_serial;
    CUresult r = mock_sched_context_open(c);
    c->is_alive = r == CUDA_SUCCESS;
    return r;
}

static struct mock_context *make(unsigned device)
{
    struct mock_context *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->refs = 1;
    c->device = device;
    c->print = mock_print_new();
    if (!c->print || mock_handle_new(GN_KIND_CONTEXT, 0, c, &c->id) != CUDA_SUCCESS) {
        mock_print_free(c->print);
        free(c);
        return NULL;
    }
    return c;
}

// Ends the context's work and frees what is its. Gives the lock up meanwhile.
static void end(struct mock_context *c)
{
    struct mock_call_out saved;
    c->is_dying = true;
    mock_context_hold(c);
    mock_call_out_begin(&saved);
    gn_tables_context_gone(handle_of(c));
    mock_call_out_end(&saved);
    mock_sched_context_close(c, GRACE_NS);
    mock_print_flush(c);
    mock_modules_context_gone(c);
    mock_events_context_gone(c);
    mock_arena_free_owner(c->id);
    c->is_alive = c->is_dying = false;
    mock_context_drop(c);
}

static CUresult destroy(struct mock_context *c)
{
    if (c->is_primary || c->is_dying)
        return CUDA_ERROR_INVALID_CONTEXT;
    struct mock_thread *t = mock_thread();
    if (t->depth && t->stack[t->depth - 1] == c->id)
        t->depth--;
    end(c);
    mock_handle_close(c->id);
    mock_context_drop(c);
    return CUDA_SUCCESS;
}

CUresult mock_contexts_open(void)
{
    for (unsigned i = 0; i < mock.options.devices; i++) {
        struct mock_context *c = make(i);
        if (!c)
            return CUDA_ERROR_OUT_OF_MEMORY;
        c->is_primary = true;
        mock.devices[i].primary = c;
    }
    return CUDA_SUCCESS;
}

// --- the thread's stack

static CUresult push(uint64_t id)
{
    struct mock_thread *t = mock_thread();
    if (t->depth == t->capacity) {
        unsigned capacity = t->capacity ? 2 * t->capacity : 8;
        uint64_t *stack = capacity > MOCK_CONTEXT_STACK_MAX ? NULL : realloc(t->stack, capacity * sizeof *stack);
        if (!stack)
            return CUDA_ERROR_OUT_OF_MEMORY;
        t->stack = stack;
        t->capacity = capacity;
    }
    t->stack[t->depth++] = id;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxPushCurrent_v2(CUcontext ctx)
{
    struct mock_context *c = mock_context_get(ctx);
    return c ? push(c->id) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult mock_cuCtxPopCurrent_v2(CUcontext *pctx)
{
    struct mock_thread *t = mock_thread();
    if (!t->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    t->depth--;
    if (pctx)
        mock_handle_give(pctx, t->stack[t->depth]);
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxSetCurrent(CUcontext ctx)
{
    struct mock_thread *t = mock_thread();
    struct mock_context *c = mock_context_get(ctx);
    if (ctx && !c)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!ctx) {
        t->depth -= t->depth > 0;
        return CUDA_SUCCESS;
    }
    if (!t->depth)
        return push(c->id);
    t->stack[t->depth - 1] = c->id;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxGetCurrent(CUcontext *pctx)
{
    struct mock_thread *t = mock_thread();
    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    mock_handle_give(pctx, t->depth ? t->stack[t->depth - 1] : 0);
    return CUDA_SUCCESS;
}

// --- primary contexts

CUresult mock_primary_handle(CUcontext *context, CUdevice device)
{
    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    if (!mock_device_exists(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *context = handle_of(mock.devices[device].primary);
    return CUDA_SUCCESS;
}

CUresult mock_cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
    CUresult r = mock_primary_handle(pctx, dev);
    if (r != CUDA_SUCCESS)
        return r;
    struct mock_context *c = mock.devices[dev].primary;
    if (c->is_dying)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!c->is_alive)
        r = begin(c, mock.devices[dev].primary_flags);
    if (r == CUDA_SUCCESS)
        r = c->error; // a lost primary context stays lost until it is reset
    c->retained += r == CUDA_SUCCESS;
    return r;
}

CUresult mock_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
    if (!mock_device_exists(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    struct mock_context *c = mock.devices[dev].primary;
    if (!c->retained || c->is_dying)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!--c->retained && c->is_alive) // after a reset it may be retained and not alive
        end(c);
    return CUDA_SUCCESS;
}

CUresult mock_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
    if (!mock_device_exists(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    struct mock_context *c = mock.devices[dev].primary;
    if (c->is_alive && !c->is_dying)
        end(c);
    mock.devices[dev].primary_flags = 0;
    return CUDA_SUCCESS;
}

CUresult mock_cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
    if (!mock_device_exists(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = mock.devices[dev].primary_flags;
    *active = mock.devices[dev].primary->is_alive;
    return CUDA_SUCCESS;
}

static bool flags_are_valid(unsigned flags)
{
    unsigned sched = flags & CU_CTX_SCHED_MASK;
    return !(flags & ~(unsigned)CU_CTX_FLAGS_MASK) && (sched <= CU_CTX_SCHED_YIELD || sched == SCHED_FLAGS_MAX);
}

CUresult mock_cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
    if (!mock_device_exists(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    mock.devices[dev].primary_flags = flags;
    mock.devices[dev].primary->flags = flags;
    return CUDA_SUCCESS;
}

// --- own contexts

CUresult mock_cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
    if (!pctx || !flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    if (!mock_device_exists(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    struct mock_context *c = make((unsigned)dev);
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    c->attached = 1;
    CUresult r = begin(c, flags);
    if (r == CUDA_SUCCESS)
        r = push(c->id);
    if (r != CUDA_SUCCESS) {
        destroy(c);
        return r;
    }
    *pctx = handle_of(c);
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams, unsigned int flags,
                             CUdevice dev)
{
    if (numParams < 0 || (numParams > 0 && !paramsArray))
        return CUDA_ERROR_INVALID_VALUE;
    if (numParams > 0)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return mock_cuCtxCreate_v2(pctx, flags, dev);
}

CUresult mock_cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams, unsigned int flags, CUdevice dev)
{
    const CUctxCreateParams *p = ctxCreateParams;
    if (p && p->cigParams)
        return CUDA_ERROR_NOT_SUPPORTED;
    return mock_cuCtxCreate_v3(pctx, p ? p->execAffinityParams : NULL, p ? p->numExecAffinityParams : 0, flags, dev);
}

CUresult mock_cuCtxDestroy_v2(CUcontext ctx)
{
    struct mock_context *c = mock_context_get(ctx);
    return c ? destroy(c) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult mock_cuCtxAttach(CUcontext *pctx, unsigned int flags)
{
    struct mock_context *c = mock_context_current();
    if (!pctx || flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!c)
        return CUDA_ERROR_INVALID_CONTEXT;
    c->attached++;
    *pctx = handle_of(c);
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxDetach(CUcontext ctx)
{
    struct mock_context *c = mock_context_get(ctx);
    if (!c || c != mock_context_current() || !c->attached)
        return CUDA_ERROR_INVALID_CONTEXT;
    return --c->attached || c->is_primary ? CUDA_SUCCESS : destroy(c);
}

// --- what a context is and allows

// The context that a call names: NULL means the current one.
static CUresult named(CUcontext ctx, struct mock_context **c)
{
    *c = ctx ? mock_context_get(ctx) : mock_context_current();
    return *c ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult mock_cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
    struct mock_context *c;
    CUresult r = named(ctx, &c);
    if (r == CUDA_SUCCESS && !device)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *device = (CUdevice)c->device;
    return r;
}

CUresult mock_cuCtxGetDevice(CUdevice *device) { return mock_cuCtxGetDevice_v2(device, NULL); }

CUresult mock_cuCtxGetId(CUcontext ctx, unsigned long long *ctxId)
{
    struct mock_context *c;
    CUresult r = named(ctx, &c);
    if (r == CUDA_SUCCESS && !ctxId)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *ctxId = c->serial;
    return r;
}

CUresult mock_cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
    struct mock_context *c;
    CUresult r = named(ctx, &c);
    if (r == CUDA_SUCCESS && !version)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *version = c->api_version;
    return r;
}

CUresult mock_cuCtxGetFlags(unsigned int *flags)
{
    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = mock_context_here()->flags;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxSetFlags(unsigned int flags)
{
    if (!flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    mock_context_here()->flags = flags;
    return CUDA_SUCCESS;
}

static bool limit_is_supported(CUlimit limit)
{
    return limit == CU_LIMIT_STACK_SIZE || limit == CU_LIMIT_PRINTF_FIFO_SIZE || limit == CU_LIMIT_MALLOC_HEAP_SIZE ||
           limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY || limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE;
}

CUresult mock_cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
    if (!pvalue)
        return CUDA_ERROR_INVALID_VALUE;
    if (!limit_is_supported(limit) && limit != CU_LIMIT_CIG_ENABLED) // a question only: no context here shares with graphics
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    *pvalue = mock_context_here()->limits[limit];
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxSetLimit(CUlimit limit, size_t value)
{
    static const size_t most[MOCK_LIMITS] = {
        [CU_LIMIT_STACK_SIZE] = 512 << 10, // local memory a thread, as a device has it
        [CU_LIMIT_PRINTF_FIFO_SIZE] = (size_t)1 << 30,
        [CU_LIMIT_MALLOC_HEAP_SIZE] = (size_t)1 << 40,
        [CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 128,
        [CU_LIMIT_PERSISTING_L2_CACHE_SIZE] = SIZE_MAX, // a device takes less without a word
    };
    if (!limit_is_supported(limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    if (value > most[limit])
        return CUDA_ERROR_INVALID_VALUE;
    if (limit == CU_LIMIT_STACK_SIZE)
        value = (value + 15) / 16 * 16;
    if (limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE)
        value = 0;
    mock_context_here()->limits[limit] = value;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxGetCacheConfig(CUfunc_cache *pconfig)
{
    if (!pconfig)
        return CUDA_ERROR_INVALID_VALUE;
    *pconfig = mock_context_here()->cache_config;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxSetCacheConfig(CUfunc_cache config)
{
    if (config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    mock_context_here()->cache_config = config;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxGetSharedMemConfig(CUsharedconfig *pConfig)
{
    if (!pConfig)
        return CUDA_ERROR_INVALID_VALUE;
    *pConfig = mock_context_here()->shared_config;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxSetSharedMemConfig(CUsharedconfig config)
{
    return config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult mock_cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
    if (leastPriority)
        *leastPriority = 0;
    if (greatestPriority)
        *greatestPriority = MOCK_PRIORITY_GREATEST;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxGetExecAffinity(CUexecAffinityParam *pExecAffinity, CUexecAffinityType type)
{
    if (!pExecAffinity)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    pExecAffinity->type = type;
    pExecAffinity->param.smCount.val = mock.options.sms;
    return CUDA_SUCCESS;
}

CUresult mock_cuCtxResetPersistingL2Cache(void) { return CUDA_SUCCESS; }

// --- waiting

static CUresult synchronize(struct mock_context *c)
{
    mock_context_hold(c);
    mock_context_wait(c);
    mock_print_flush(c);
    CUresult r = c->error;
    mock_context_drop(c);
    return r;
}

CUresult mock_cuCtxSynchronize(void) { return synchronize(mock_context_here()); }

CUresult mock_cuCtxSynchronize_v2(CUcontext ctx)
{
    struct mock_context *c;
    CUresult r = named(ctx, &c);
    if (r != CUDA_SUCCESS)
        return r;
    return mock_context_is_usable(c) ? synchronize(c) : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}
