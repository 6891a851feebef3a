// SPDX-License-Identifier: Apache-2.0
// The per-thread default streams: for each thread and context an ordinary blocking stream, made when it is
// first used, gone with the thread or the context, whichever ends first.
#include <pthread.h>
#include <stdlib.h>

#include "api_wire.h"
#include "interpose/stream/stream.h"

struct of_context {
    struct of_context *next;
    uint64_t context, stream;
};

static __thread struct of_context *mine; // this thread's streams
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// The thread ends. What it put into its streams still runs.
static void thread_ends(void *streams)
{
    bool remote = atomic_load_explicit(&gn_shim.mode, memory_order_acquire) == GN_MODE_REMOTE;
    for (struct of_context *s = streams, *next; s; s = next) {
        next = s->next;
        if (remote && gn_handle_slot((void *)(uintptr_t)s->stream, GN_KIND_STREAM)) {
            int32_t code; // nobody is left to be told
            gn_session_post(gn_shim.session, s->context, GN_OP_stream_destroy,
                            &(struct gn_args_stream_destroy){.stream = s->stream}, &code);
            gn_handle_drop(s->stream);
        }
        free(s);
    }
}

static void make_key(void) { pthread_key_create(&at_exit, thread_ends); }

static CUresult make(struct gn_call *c, uint64_t context, struct of_context *s, uint64_t *id)
{
    pthread_once(&once, make_key);
    struct of_context *fresh = s ? s : calloc(1, sizeof *fresh);
    if (!fresh)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = gn_stream_create(c, CU_STREAM_DEFAULT, 0, id);
    if (r) {
        if (!s)
            free(fresh);
        return r;
    }
    fresh->context = context;
    fresh->stream = *id;
    if (!s) {
        fresh->next = mine;
        mine = fresh;
        pthread_setspecific(at_exit, mine);
    }
    return CUDA_SUCCESS;
}

CUresult gn_stream_of_thread(struct gn_call *c, uint64_t *id)
{
    uint64_t context = gn_context_id(c);
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    struct gn_thread *t = c->thread;
    // A primary context keeps its id when it is reset, so the stream has to be looked at, too.
    if (t->default_stream_context != context ||
        !gn_handle_slot((void *)(uintptr_t)t->default_stream, GN_KIND_STREAM)) {
        struct of_context *dead = NULL, *s = mine;
        for (; s && s->context != context; s = s->next)
            if (!gn_handle_slot((void *)(uintptr_t)s->stream, GN_KIND_STREAM))
                dead = s;
        if (s && !gn_handle_slot((void *)(uintptr_t)s->stream, GN_KIND_STREAM)) {
            dead = s;
            s = NULL;
        }
        uint64_t stream = s ? s->stream : 0;
        CUresult r = s ? CUDA_SUCCESS : make(c, context, dead, &stream);
        if (r)
            return r;
        t->default_stream = stream;
        t->default_stream_context = context;
    }
    *id = t->default_stream;
    return CUDA_SUCCESS;
}
