// SPDX-License-Identifier: Apache-2.0
// Contexts: primary ones and the program's own, and which one is current on a thread of the worker.
//
// A primary context is retained once at the driver for as long as its object lives here; how often the client
// has retained it is counted here. A reset ends it like the last release; the client may retain it again
// under the same name.
#include <stdatomic.h>
#include <stdlib.h>

#include "remoting/errors.h"
#include "server/kept/kept.h"
#include "server/run/run.h"
#include "server/run/run_state.h"
#include "server/worker/due.h"
#include "server/worker/gate.h"
#include "server/worker/marks.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"

enum {
    // What a client may ask of a context. Core dumps would be written by the server's machine, as files of
    // the server.
    CONTEXT_FLAGS = CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_SYNC_MEMOPS,
    CONTEXT_FLAGS_DUMP = CU_CTX_COREDUMP_ENABLE | CU_CTX_USER_COREDUMP_ENABLE,
};

// A destroyed context's address may be another one's next: what a thread remembers counts only within its
// epoch.
static _Atomic uint64_t context_epoch = 1;
static _Thread_local CUcontext current;
static _Thread_local uint64_t current_epoch;

CUresult gn_use_context(struct gn_worker *w, CUcontext context)
{
    uint64_t epoch = atomic_load_explicit(&context_epoch, memory_order_acquire);
    if (current_epoch == epoch && current == context)
        return CUDA_SUCCESS;
    CUresult r = GN_DRIVER(w, cuCtxSetCurrent, context);
    if (r == CUDA_SUCCESS) {
        current = context;
        current_epoch = epoch;
    }
    return r;
}

CUcontext gn_context_in_use(void) { return current; }

bool gn_context_is_lost(struct gn_worker *w)
{
    uint32_t index = 0;
    bool lost = false;
    for (struct gn_handle_slot *slot; !lost && (slot = gn_handle_next(&w->handles, &index));) {
        const struct gn_server_context *x = slot->object;
        if (gn_handle_kind(atomic_load(&slot->id)) == GN_KIND_CONTEXT && x && gn_use_context(w, x->context) == CUDA_SUCCESS)
            lost = gn_error_is_sticky(GN_DRIVER(w, cuStreamQuery, CU_STREAM_LEGACY));
    }
    if (w->scope)
        gn_use_context(w, w->scope->context);
    return lost;
}

CUresult gn_context_reason(struct gn_worker *w, CUresult r)
{
    if (r != CUDA_ERROR_INVALID_HANDLE || !w->scope)
        return r;
    CUresult lost = GN_DRIVER(w, cuStreamQuery, CU_STREAM_LEGACY);
    return gn_error_is_sticky(lost) ? lost : r;
}

static void contexts_changed(void)
{
    atomic_fetch_add_explicit(&context_epoch, 1, memory_order_release);
}

// Another thread may be asking for events of the staging's: not for those of a context that is about to die.
static void context_dies(struct gn_worker *w, CUcontext context)
{
    gn_marks_context_leaves(w, context);
    gn_kepts_context_leaves(w, context);
    if (w->staging)
        gn_staging_context_leaves(w->staging, context);
}

// The driver has destroyed or emptied a context: events and registrations of the worker's own that were in it
// are gone too.
static void context_died(struct gn_worker *w, CUcontext context)
{
    contexts_changed();
    gn_kepts_context_gone(w, context);
    if (w->pulls)
        gn_dues_lose(w, context, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    if (w->waiters)
        gn_wait_context_gone(w, context);
    if (w->gates)
        gn_gates_context_gone(w, context);
    if (w->staging)
        gn_staging_context_gone(w->staging, context);
}

struct context_facts {
    uint64_t id;
    uint32_t flags, api_version;
    int32_t least_priority, greatest_priority;
};

// What the program may ask about a context later. What the driver does not know is left 0, which is what the
// calls give there.
static void learn(struct gn_worker *w, const struct gn_server_context *context, struct context_facts *facts)
{
    unsigned long long id = 0;
    CUcontext popped;
    if (GN_DRIVER(w, cuCtxGetId, context->context, &id) == CUDA_SUCCESS)
        facts->id = id;
    else
        facts->id =
            (uint64_t)(uintptr_t)context
                ->context; // unique while it lives, which is all that an older driver's program can tell
    GN_DRIVER(w, cuCtxGetApiVersion, context->context, &facts->api_version);
    if (GN_DRIVER(w, cuCtxPushCurrent_v2, context->context) != CUDA_SUCCESS)
        return;
    GN_DRIVER(w, cuCtxGetFlags, &facts->flags);
    GN_DRIVER(w, cuCtxGetStreamPriorityRange, &facts->least_priority, &facts->greatest_priority);
    GN_DRIVER(w, cuCtxPopCurrent_v2, &popped);
}

static CUresult keep_context(struct gn_worker *w, struct gn_request *q, const struct gn_server_context *made)
{
    struct gn_server_context *object = malloc(sizeof *object);
    if (!object)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *object = *made;
    CUresult r = gn_keep(w, q, GN_KIND_CONTEXT, made->id, object, CUDA_SUCCESS);
    if (r != CUDA_SUCCESS)
        free(object);
    return r;
}

// The live context of that id without a verdict on ids that are not there: a primary one is named before it
// is first retained.
static struct gn_server_context *live(struct gn_worker *w, uint64_t id)
{
    struct gn_handle_slot *slot = gn_handle_find(&w->handles, id, GN_KIND_CONTEXT);
    return slot ? slot->object : NULL;
}

static CUresult find_context(struct gn_worker *w, struct gn_request *q, uint64_t id,
                             struct gn_server_context **context)
{
    void *object;
    bool found = gn_find_object(w, q, GN_KIND_CONTEXT, id, &object);
    *context = object;
    return found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult gn_run_primary_retain(struct gn_worker *w, struct gn_request *q,
                               const struct gn_args_primary_retain *a, struct gn_out_primary_retain *o)
{
    struct gn_server_context *there = live(w, a->context),
                             made = {.id = a->context, .device = (CUdevice)a->device, .primary = true};
    if (there && (!there->primary || there->device != made.device)) {
        q->error = "a primary context under the name of another context";
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (!there) {
        CUresult r;
        GN_WITH_ROOM(w, made.device, r, GN_DRIVER(w, cuDevicePrimaryCtxRetain, &made.context, made.device));
        if (r != CUDA_SUCCESS)
            return r;
        r = keep_context(w, q, &made);
        if (r != CUDA_SUCCESS) {
            GN_DRIVER(w, cuDevicePrimaryCtxRelease_v2, made.device);
            contexts_changed();
            return r;
        }
        there = live(w, a->context);
        // The client goes on in the scope that it named last, and a primary context comes back under its old
        // name.
        if (!w->scope && w->run && w->run->lost_scope == a->context &&
            gn_use_context(w, there->context) == CUDA_SUCCESS) {
            w->scope = there;
            if (w->staging)
                gn_staging_context(w->staging, there->context);
        }
    }
    there->retained++;
    struct context_facts facts = {0};
    learn(w, there, &facts);
    o->id = facts.id;
    o->flags = facts.flags;
    o->api_version = facts.api_version;
    o->least_priority = facts.least_priority;
    o->greatest_priority = facts.greatest_priority;
    return CUDA_SUCCESS;
}

CUresult gn_run_primary_release(struct gn_worker *w, struct gn_request *q,
                                const struct gn_args_primary_release *a, struct gn_out_primary_release *o)
{
    (void)o;
    struct gn_server_context *context;
    CUresult r = find_context(w, q, a->context, &context);
    if (r != CUDA_SUCCESS || !context->primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (context->retained > 1) {
        context->retained--;
        return CUDA_SUCCESS;
    }
    context_dies(w, context->context);
    r = GN_DRIVER(w, cuDevicePrimaryCtxRelease_v2, context->device);
    context_died(w, context->context);
    gn_forget_context(w, a->context);
    return r;
}

CUresult gn_run_primary_reset(struct gn_worker *w, struct gn_request *q,
                              const struct gn_args_primary_reset *a, struct gn_out_primary_reset *o)
{
    (void)q, (void)o;
    struct gn_server_context *context = live(w, a->context);
    if (!context || !context->primary ||
        context->device != (CUdevice)a->device) // never retained: the driver knows what to say
        return GN_DRIVER(w, cuDevicePrimaryCtxReset_v2, (CUdevice)a->device);
    context_dies(w, context->context);
    CUresult r = GN_DRIVER(w, cuDevicePrimaryCtxReset_v2, context->device);
    context_died(w, context->context);
    // Some drivers keep the retain over a reset: then it is given back now. To the client the context has
    // ended, as by its last release.
    GN_DRIVER(w, cuDevicePrimaryCtxRelease_v2, context->device);
    contexts_changed();
    gn_forget_context(w, a->context);
    return r;
}

CUresult gn_run_primary_set_flags(struct gn_worker *w, struct gn_request *q,
                                  const struct gn_args_primary_set_flags *a,
                                  struct gn_out_primary_set_flags *o)
{
    (void)q, (void)o;
    if (a->flags & CONTEXT_FLAGS_DUMP)
        return CUDA_ERROR_NOT_SUPPORTED;
    return GN_DRIVER(w, cuDevicePrimaryCtxSetFlags_v2, (CUdevice)a->device, a->flags);
}

CUresult gn_run_context_create(struct gn_worker *w, struct gn_request *q,
                               const struct gn_args_context_create *a, struct gn_out_context_create *o)
{
    struct gn_server_context made = {.id = a->context, .device = (CUdevice)a->device};
    CUcontext popped;
    if (a->flags & CONTEXT_FLAGS_DUMP)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (a->flags & ~(uint32_t)CONTEXT_FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r;
    GN_WITH_ROOM(w, made.device, r, GN_DRIVER(w, cuCtxCreate_v2, &made.context, a->flags, made.device));
    if (r != CUDA_SUCCESS)
        return r;
    GN_DRIVER(w, cuCtxPopCurrent_v2, &popped); // creating pushed it onto this thread's stack
    r = keep_context(w, q, &made);
    if (r != CUDA_SUCCESS) {
        GN_DRIVER(w, cuCtxDestroy_v2, made.context);
        contexts_changed();
        return r;
    }
    struct context_facts facts = {0};
    learn(w, &made, &facts);
    o->id = facts.id;
    o->flags = facts.flags;
    o->api_version = facts.api_version;
    o->least_priority = facts.least_priority;
    o->greatest_priority = facts.greatest_priority;
    return CUDA_SUCCESS;
}

CUresult gn_run_context_destroy(struct gn_worker *w, struct gn_request *q,
                                const struct gn_args_context_destroy *a, struct gn_out_context_destroy *o)
{
    (void)o;
    struct gn_server_context *context;
    CUresult r = find_context(w, q, a->context, &context);
    if (r != CUDA_SUCCESS || context->primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    context_dies(w, context->context);
    r = GN_DRIVER(w, cuCtxDestroy_v2, context->context);
    context_died(w, context->context);
    gn_forget_context(
        w, a->context); // also when it failed: a context that an error has spoilt is no use under its name
    return r;
}

CUresult gn_run_context_get_limit(struct gn_worker *w, struct gn_request *q,
                                  const struct gn_args_context_get_limit *a,
                                  struct gn_out_context_get_limit *o)
{
    (void)q;
    size_t value = 0;
    CUresult r = GN_DRIVER(w, cuCtxGetLimit, &value, (CUlimit)a->limit);
    o->value = value;
    return r;
}
