// SPDX-License-Identifier: Apache-2.0
// Host functions. Three threads meet here: the program's posts one and gives it a token, the session's
// receiver queues it when the server says that the stream has come to it, and the runner calls it and tells
// the server that the stream may go on. In the embedded profile there is no runner: a thread of the program's
// calls it while it waits for the server.
#include "interpose/stream/hostfn.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/log.h"
#include "interpose/options.h"
#include "interpose/stream/stream.h"

enum {
    WAITING_MAX = 1 << 20
}; // functions posted and not yet run: a program that has more of them has lost its way

struct function {
    CUhostFn fn;
    CUstreamCallback
        callback; // the older kind: gets the stream and its status; exactly one of the two is set
    CUstream stream;
    void *data;
    int status;          // of the stream, once due
    uint32_t generation; // of the slot: upper half of the token
    uint32_t next;       // index + 1: of the free list or of the queue
    bool posted, queued;
};

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; // guards all of this; nothing else is locked or called under it
static pthread_cond_t due = PTHREAD_COND_INITIALIZER;
static struct function *functions;
static uint32_t count, room, first_free, queue_first, queue_last;
static bool has_runner, is_running; // a thread of the shim's; in the embedded profile, one of the program's
static _Atomic uint32_t pending;

bool gn_host_functions_inline(void) { return gn_options.embedded && !gn_options_on(GN_OPT_THREADS); }

bool gn_host_functions_pending(void) { return atomic_load_explicit(&pending, memory_order_relaxed); }

// --- the program's side, with the lock

static bool grow(void)
{
    uint32_t more = room ? 2 * room : 64;
    struct function *bigger = room >= WAITING_MAX ? NULL : realloc(functions, more * sizeof *bigger);
    if (!bigger)
        return false;
    functions = bigger;
    room = more;
    return true;
}

static bool file(const struct function *f, uint64_t *token)
{
    uint32_t index = first_free;
    if (index) {
        index--;
        first_free = functions[index].next;
    } else {
        if (count == room && !grow())
            return false;
        index = count++;
        functions[index].generation = 0;
    }
    uint32_t generation = functions[index].generation + 1;
    functions[index] = *f;
    functions[index].generation = generation;
    functions[index].posted = true;
    *token = index | (uint64_t)generation << 32;
    return true;
}

static struct function *find(uint64_t token)
{
    uint32_t index = (uint32_t)token;
    bool known = index < count && functions[index].posted && functions[index].generation == token >> 32;
    return known ? &functions[index] : NULL;
}

static void release(uint64_t token)
{
    struct function *f = find(token);
    if (!f)
        return;
    f->posted = false;
    f->next = first_free;
    first_free = (uint32_t)token + 1;
}

// --- the runner

static void call(const struct function *f)
{
    struct gn_thread *t = gn_thread_self();
    if (t)
        t->in_host_function = true;
    if (f->callback)
        f->callback(f->stream, (CUresult)f->status, f->data);
    else if (!f->status) // after an error in the stream such a function is not called
        f->fn(f->data);
    if (t)
        t->in_host_function = false;
}

// With the lock, which it lets go meanwhile: the first one of the queue.
static void run_first(void)
{
    uint32_t index = queue_first - 1;
    struct function f = functions[index];
    uint64_t token = index | (uint64_t)f.generation << 32;
    queue_first = f.next;
    if (!queue_first)
        queue_last = 0;
    release(token);
    pthread_mutex_unlock(&lock);
    call(&f);
    atomic_fetch_sub_explicit(&pending, 1, memory_order_relaxed);
    gn_session_host_done(gn_shim.session, token);
    pthread_mutex_lock(&lock);
}

static void *run(void *unused)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!queue_first)
            pthread_cond_wait(&due, &lock);
        run_first();
    }
    return unused;
}

// One after the other, as the runner does: whoever comes second leaves them to the first.
void gn_host_functions_run(void)
{
    pthread_mutex_lock(&lock);
    if (!is_running) {
        is_running = true;
        while (queue_first)
            run_first();
        is_running = false;
    }
    pthread_mutex_unlock(&lock);
}

// Never ended: the process ends it. With every signal blocked, as signals are the program's.
static int start_runner(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (!error)
        pthread_setname_np(thread, "genie-host-fn");
    return error;
}

static bool prepare(const struct function *f, uint64_t *token)
{
    pthread_mutex_lock(&lock);
    bool ready = gn_host_functions_inline() || has_runner || (has_runner = !start_runner());
    ready = ready && file(f, token);
    pthread_mutex_unlock(&lock);
    return ready;
}

static CUresult post(struct gn_call *c, CUstream stream, struct function *f)
{
    struct gn_args_host_function args;
    CUresult r = gn_id_stream(c, stream, &args.stream);
    if (r)
        return r;
    if (!prepare(f, &args.token))
        return CUDA_ERROR_OUT_OF_MEMORY;
    // Both counts before the command: it may be due before this thread goes on.
    atomic_fetch_add_explicit(&pending, 1, memory_order_relaxed);
    gn_session_host_expected(gn_shim.session);
    r = gn_post(c, GN_OP_host_function, &args);
    if (r == CUDA_ERROR_DEVICE_UNAVAILABLE) { // it never went out
        atomic_fetch_sub_explicit(&pending, 1, memory_order_relaxed);
        pthread_mutex_lock(&lock);
        release(args.token);
        pthread_mutex_unlock(&lock);
    }
    return r;
}

CUresult gn_cuLaunchHostFunc(struct gn_call *c, CUstream hStream, CUhostFn fn, void *userData)
{
    return fn ? post(c, hStream, &(struct function){.fn = fn, .data = userData}) : CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_cuStreamAddCallback(struct gn_call *c, CUstream hStream, CUstreamCallback callback,
                                void *userData, unsigned int flags)
{
    if (!callback || flags)
        return CUDA_ERROR_INVALID_VALUE;
    return post(c, hStream, &(struct function){.callback = callback, .stream = hStream, .data = userData});
}

// --- the receiver's side

void gn_host_function_due(uint64_t token, int status)
{
    pthread_mutex_lock(&lock);
    struct function *f = find(token);
    if (f && f->queued) // told twice
        f = NULL;
    if (f) {
        f->queued = true;
        f->status = status;
        f->next = 0;
        if (queue_last)
            functions[queue_last - 1].next = (uint32_t)token + 1;
        else
            queue_first = (uint32_t)token + 1;
        queue_last = (uint32_t)token + 1;
        pthread_cond_signal(&due);
    }
    pthread_mutex_unlock(&lock);
    if (!f)
        gn_log_once(GN_LOG_WARN, "the server asks for a host function that was not posted");
}

void gn_host_functions_forked(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&due, NULL);
    has_runner = is_running = false;
}
