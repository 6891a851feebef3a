// SPDX-License-Identifier: Apache-2.0
// Every call's beginning and end, and how its commands reach the server. The beginning is on the path of
// every launch: no lock, no clock unless statistics ask for it, no read-modify-write on shared memory.
#include <errno.h>

#include "api_wire.h"
#include "interpose/init.h"
#include "interpose/local.h"
#include "interpose/log.h"
#include "interpose/options.h"
#include "interpose/shim.h"
#include "interpose/stats.h"
#include "interpose/stream/marks.h"
#include "interpose/trace.h"
#include "interpose/writes/writes.h"
#include "remoting/errors.h"

struct gn_shim gn_shim;

// A posted command's error that no call has told the program yet, because the one that brought it here may
// not tell of earlier ones.
static _Atomic int untold;

static inline __attribute__((always_inline)) CUresult enter_remote(struct gn_call *c, unsigned flags)
{
    CUresult r;
    c->context = gn_context_current(c->thread, &r);
    if (r == CUDA_ERROR_CONTEXT_IS_DESTROYED)
        c->context = NULL; // nor may the server be sent there: it knows no such context, or not yet
    if (__builtin_expect(c->thread->in_host_function, 0) && gn_api[c->op].class != GN_LOCAL)
        return CUDA_ERROR_NOT_PERMITTED;
    if (__builtin_expect(r && flags & GN_API_BOOKS && gn_error_is_sticky(r), 0))
        return CUDA_SUCCESS; // what the client knows of a ruined context is still true
    return flags & GN_API_CTX ? r : CUDA_SUCCESS;
}

// Everything but a live session.
static CUresult enter_otherwise(struct gn_call *c, enum gn_mode mode)
{
    const struct gn_api *api = &gn_api[c->op];
    switch (mode) {
    case GN_MODE_LOCAL: return gn_local_enter(c);
    case GN_MODE_COLD:
        if (!(api->flags & GN_API_NOINIT))
            return CUDA_ERROR_NOT_INITIALIZED;
        return gn_local_wanted() ? gn_local_enter_cold(c) : CUDA_SUCCESS;
    case GN_MODE_FORKED:
        return api->flags & GN_API_NOINIT && api->class == GN_LOCAL ? CUDA_SUCCESS
                                                                    : CUDA_ERROR_NOT_INITIALIZED;
    default: // GN_MODE_OVER: what was learned stays true, but nothing can be done any more
        if (api->class == GN_POSTED || api->class == GN_SYNC)
            return CUDA_ERROR_DEVICE_UNAVAILABLE;
        return enter_remote(c, api->flags);
    }
}

CUresult gn_enter(struct gn_call *c, unsigned op, unsigned symbol, CUstream default_stream)
{
    struct gn_thread *t;
    c->saved_errno = errno;
    c->thread = t = gn_thread_self();
    c->op = (uint16_t)op;
    c->symbol = (uint16_t)symbol;
    c->traced = false;
    c->local = NULL;
    c->default_stream = default_stream;
    c->context = NULL;
    c->touched = NULL;
    c->started_ns = 0;
    if (__builtin_expect(!t, 0))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (t->nesting++ == 0) {
        gn_count(&t->counts.calls[symbol], 1);
        gn_count(&t->counts.classes[gn_api[op].class], 1);
        if (__builtin_expect(atomic_load_explicit(&gn_watching, memory_order_relaxed), 0))
            gn_watch_begin(c);
    }
    // Acquire: pairs with the release in gn_cuInit that makes the session visible.
    int mode = atomic_load_explicit(&gn_shim.mode, memory_order_acquire);
    return __builtin_expect(mode == GN_MODE_REMOTE, 1) ? enter_remote(c, gn_api[op].flags)
                                                       : enter_otherwise(c, (enum gn_mode)mode);
}

CUresult gn_leave(struct gn_call *c, CUresult result)
{
    struct gn_thread *t = c->thread;
    if (c->touched)
        gn_touch(t, c->touched);
    if (t && --t->nesting == 0) {
        if (result != CUDA_SUCCESS && result != CUDA_ERROR_NOT_READY)
            gn_count(&t->counts.errors[c->symbol], 1);
        if (c->started_ns)
            gn_watch_end(c);
    }
    errno = c->saved_errno;
    return result;
}

CUresult gn_unsupported(struct gn_call *c)
{
    static _Atomic uint8_t said[GN_SYMBOLS];
    if (!atomic_exchange_explicit(&said[c->symbol], 1, memory_order_relaxed))
        gn_log(GN_LOG_WARN, "%s is not supported: %s", gn_symbol_names[c->symbol],
               gn_api[c->op].why ? gn_api[c->op].why : "no reason given");
    return CUDA_ERROR_NOT_SUPPORTED;
}

void gn_count_kernel(struct gn_call *c) { gn_count(&c->thread->counts.kernels, 1); }

// --- what became of a command

static CUresult not_sent(int status)
{
    if (gn_session_over(gn_shim.session)) {
        gn_session_is_over(gn_session_over(gn_shim.session));
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    return gn_error_from_errno(status);
}

// The first command that failed at the server since it was last asked: said once a call, and if the error is
// of the ruinous kind, the context keeps it.
static void take_note(struct gn_call *c, const struct gn_latched *latched)
{
    static _Atomic uint8_t said[GN_OPS];
    const char *call = latched->op < GN_OPS ? gn_api[latched->op].name : NULL;
    const char *name = gn_error_name((CUresult)latched->code);
    bool first =
        latched->op >= GN_OPS || !atomic_exchange_explicit(&said[latched->op], 1, memory_order_relaxed);
    gn_log(first ? GN_LOG_WARN : GN_LOG_DEBUG, "%s failed at the server: %s (%d)", call ? call : "a command",
           name ? name : "an unknown code", latched->code);
    if (c->context)
        gn_context_ruin(c->context, (CUresult)latched->code);
}

// For the next call that may tell; what the context keeps needs no keeping here.
static void tell_later(struct gn_call *c, int32_t code)
{
    int none = 0;
    if (code && !(c->context && gn_error_is_sticky((CUresult)code)))
        atomic_compare_exchange_strong_explicit(&untold, &none, code, memory_order_relaxed,
                                                memory_order_relaxed);
}

CUresult gn_answered(struct gn_call *c, unsigned op, int status, int32_t code,
                     const struct gn_latched *latched)
{
    (void)op;
    if (status)
        return not_sent(status);
    if (latched->code)
        take_note(c, latched);
    bool may_tell = gn_api[c->op].flags & GN_API_ASYNC;
    if (code && gn_error_is_sticky((CUresult)latched->code))
        code = latched->code; // the command found its object missing because the context was lost before
    if (code || !may_tell)
        tell_later(c, latched->code);
    if (code) {
        if (c->context)
            gn_context_ruin(c->context, (CUresult)code);
        return (CUresult)code;
    }
    if (!may_tell)
        return CUDA_SUCCESS;
    int earlier = atomic_load_explicit(&untold, memory_order_relaxed);
    if (earlier)
        earlier = atomic_exchange_explicit(&untold, 0, memory_order_relaxed);
    if (earlier)
        tell_later(c, latched->code);
    return (CUresult)(earlier ? earlier : latched->code);
}

// `code` is the command's own where the session waits for it (GENIE_OPT=-post), otherwise 0.
CUresult gn_posted(struct gn_call *c, unsigned op, int status, int32_t code)
{
    (void)op;
    if (status)
        return not_sent(status);
    if (code && c->context)
        gn_context_ruin(c->context, (CUresult)code);
    return (CUresult)code;
}

CUresult gn_post(struct gn_call *c, unsigned op, const void *args)
{
    int32_t code;
    int status = gn_session_post(gn_shim.session, gn_context_id(c), op, args, &code);
    gn_writes_sent(c, op, args);
    return gn_posted(c, op, status, code);
}

CUresult gn_ask(struct gn_call *c, unsigned op, const void *args, void *out)
{
    struct gn_latched latched = {0};
    int32_t code = 0;
    uint64_t began = __builtin_expect(gn_writes_on, 0) ? gn_writes_wait_begins() : 0;
    int status = gn_session_ask(gn_shim.session, gn_context_id(c), op, args, out, &code, &latched);
    gn_writes_sent(c, op, args);
    if (began && op == GN_OP_context_synchronize && !status && !code)
        gn_writes_wait_ended(((const struct gn_args_context_synchronize *)args)->context, began);
    if (op == GN_OP_cuCtxSetLimit && c->context) // a generated call: the one thing it changes here
        atomic_store_explicit(&c->context->limits_known, 0, memory_order_relaxed);
    return gn_answered(c, op, status, code, &latched);
}
