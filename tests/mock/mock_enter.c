// SPDX-License-Identifier: Apache-2.0
// The frame of every call: the driver's lock, the thread's state, what fork leaves, injected faults, the log.
#include "tests/mock/mock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_print.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_stamp.h"
#include "tests/mock/mock_state.h"

struct mock_driver mock;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; // only for the destructor
__thread struct mock_thread *mock_thread_here;
// Nothing to look for before a call: initialised, no faults to inject, no log to write, not in a child of fork. Set once, with release.
static _Atomic bool is_plain;
static CUresult load_result;
static int log_fd = -1;
static bool in_child; // written by the atfork handler, in the child's only thread

void mock_lock(void) { pthread_mutex_lock(&lock); }
void mock_unlock(void) { pthread_mutex_unlock(&lock); }
void mock_condition_wait(pthread_cond_t *condition) { pthread_cond_wait(condition, &lock); }
bool mock_is_child(void) { return in_child; }

int mock_condition_wait_until(pthread_cond_t *condition, const struct timespec *until)
{
    return pthread_cond_clockwait(condition, &lock, CLOCK_MONOTONIC, until);
}

uint64_t mock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void mock_say(const char *format, ...)
{
    char line[512];
    va_list args;
    if (!mock.options.verbose)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "genie-mock: %s\n", line);
}

// --- once a process

static void forked(void)
{
    // Only a driver that was already initialised is lost to the child; before cuInit there is nothing that fork could break. The lock may
    // be held by a thread that the child does not have, but no call of the child gets as far as the lock.
    in_child = mock.initialised;
    if (in_child)
        atomic_store_explicit(&is_plain, false, memory_order_relaxed);
}

static void load(void)
{
    char error[512];
    int r = mock_options_parse(&mock.options, getenv("GENIE_MOCK"), error, sizeof error);
    if (r) {
        fprintf(stderr, "%s\n", error);
        load_result = CUDA_ERROR_INVALID_VALUE;
        return;
    }
    if (mock.options.log_path[0]) {
        log_fd = open(mock.options.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (log_fd < 0) {
            fprintf(stderr, "GENIE_MOCK: log: %s: %s\n", mock.options.log_path, strerror(errno));
            load_result = CUDA_ERROR_INVALID_VALUE;
        }
    }
    r = mock.options.stamp_path[0] ? mock_stamps_open(mock.options.stamp_path) : 0;
    if (r) {
        fprintf(stderr, "GENIE_MOCK: stamp: %s: %s\n", mock.options.stamp_path,
                r == -EPROTO ? "the file is not one of stamps" : strerror(-r));
        load_result = CUDA_ERROR_INVALID_VALUE;
    }
    pthread_atfork(NULL, NULL, forked);
}

CUresult mock_options_load(void)
{
    pthread_once(&load_once, load);
    return load_result;
}

// --- threads

static void thread_gone(void *at)
{
    struct mock_thread *t = at;
    mock_thread_here = NULL;
    if (!in_child) {
        mock_lock();
        for (struct mock_thread_stream *s = t->streams; s; s = s->next)
            mock_stream_end(s->stream_id);
        mock_unlock();
    }
    while (t->streams) {
        struct mock_thread_stream *next = t->streams->next;
        free(t->streams);
        t->streams = next;
    }
    free(t->stack);
    free(t);
}

static void make_key(void) { pthread_key_create(&thread_key, thread_gone); }

struct mock_thread *mock_thread_new(void)
{
    pthread_once(&key_once, make_key);
    struct mock_thread *t = calloc(1, sizeof *t);
    if (t && pthread_setspecific(thread_key, t)) {
        free(t);
        t = NULL;
    }
    mock_thread_here = t;
    return t;
}

void mock_call_out_begin(struct mock_call_out *saved)
{
    struct mock_thread *t = mock_thread();
    saved->was_inside = t->inside;
    if (!t->inside) // in a child of fork, where calls go without the lock
        return;
    saved->default_stream = t->default_stream;
    saved->context = t->context;
    t->context = NULL;
    t->inside = false;
    mock_unlock();
}

void mock_call_out_end(const struct mock_call_out *saved)
{
    struct mock_thread *t = mock_thread();
    if (!saved->was_inside)
        return;
    mock_lock();
    t->default_stream = saved->default_stream;
    t->context = saved->context;
    t->inside = true;
}

// --- faults to inject

static CUresult injected(unsigned op, unsigned flags)
{
    struct mock_options *o = &mock.options;
    if (!(flags & GN_API_NOINIT) && mock.initialised && !mock.fallen && o->fall_off_call &&
        ++mock.calls >= o->fall_off_call)
        mock_fall_off();
    for (unsigned i = 0; i < o->fault_count; i++)
        if (o->faults[i].op == op && ++o->faults[i].seen == o->faults[i].call_index)
            return (CUresult)o->faults[i].code;
    return mock.fallen && !(flags & GN_API_NOINIT) ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS;
}

// The context that the call is for.
static CUresult admit_to_context(unsigned op, struct mock_thread *t)
{
    unsigned flags = gn_api[op].flags;
    t->context = mock_context_current();
    if (t->context)
        mock_context_hold(t->context);
    if (!(flags & GN_API_CTX))
        return CUDA_SUCCESS;
    if (!t->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!t->context || !mock_context_is_usable(t->context))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    // What only reads the driver's own books still answers in a context that is lost.
    if (flags & GN_API_BOOKS || t->context->error == CUDA_SUCCESS)
        return CUDA_SUCCESS;
    mock_print_flush(t->context); // a failed assertion's words, where nobody was waiting when it failed
    return t->context->error;
}

static CUresult admit(unsigned op, struct mock_thread *t)
{
    const struct mock_options *o = &mock.options;
    unsigned flags = gn_api[op].flags;
    CUresult r = injected(op, flags);
    if (r != CUDA_SUCCESS || flags & GN_API_NOINIT)
        return r;
    if (!mock.initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!o->fall_off_call && !o->fault_count && log_fd < 0)
        atomic_store_explicit(&is_plain, true, memory_order_release);
    return admit_to_context(op, t);
}

static CUresult enter_slowly(unsigned op, CUstream default_stream)
{
    if (in_child) // what needs no lock still works: an exit handler may ask for an error's text
        return gn_api[op].flags & GN_API_NOINIT && op != GN_OP_cuInit ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
    struct mock_thread *t = mock_thread();
    if (!t)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = mock_options_load();
    if (r != CUDA_SUCCESS && op != GN_OP_cuInit)
        return gn_api[op].flags & GN_API_NOINIT ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
    mock_lock();
    t->inside = true;
    t->default_stream = default_stream;
    t->context = NULL;
    return r != CUDA_SUCCESS ? r : admit(op, t);
}

CUresult mock_enter(unsigned op, CUstream default_stream)
{
    struct mock_thread *t = mock_thread_here;
    // Acquire: pairs with the release in admit, so that the options are seen as they were read.
    if (__builtin_expect(!t || !atomic_load_explicit(&is_plain, memory_order_acquire), 0))
        return enter_slowly(op, default_stream);
    mock_lock();
    t->inside = true;
    t->default_stream = default_stream;
    t->context = NULL;
    return gn_api[op].flags & GN_API_NOINIT ? CUDA_SUCCESS : admit_to_context(op, t);
}

static void note(unsigned op, CUresult result)
{
    char line[96];
    int n = snprintf(line, sizeof line, "%s %d\n", gn_api[op].name, (int)result);
    if (n > 0 && write(log_fd, line, (size_t)n) < 0)
        log_fd = -1; // the disk is full or the file gone: nothing to do about it in somebody's process
}

CUresult mock_leave(unsigned op, CUresult result)
{
    struct mock_thread *t = in_child ? NULL : mock_thread_here;
    if (!t || !t->inside)
        return result;
    if (log_fd >= 0)
        note(op, result);
    if (t->context)
        mock_context_drop(t->context);
    t->context = NULL;
    t->inside = false;
    mock_unlock();
    return result;
}

// --- handles

CUresult mock_handle_new(enum gn_kind kind, uint64_t context, void *object, uint64_t *id)
{
    *id = gn_handle_open(&mock.handles, kind, context, 0, object);
    if (!*id) {
        struct gn_handle_slot *chunk = calloc(GN_HANDLE_CHUNK_SLOTS, sizeof *chunk);
        if (!chunk || gn_handle_grow(&mock.handles, chunk)) {
            free(chunk);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        *id = gn_handle_open(&mock.handles, kind, context, 0, object);
    }
    return CUDA_SUCCESS;
}

void *mock_handle_get(const void *handle, enum gn_kind kind)
{
    struct gn_handle_slot *slot = gn_handle_find(&mock.handles, (uint64_t)(uintptr_t)handle, kind);
    return slot ? slot->object : NULL;
}

void mock_handle_close(uint64_t id)
{
    struct gn_handle_slot *slot = gn_handle_find(&mock.handles, id, GN_KIND_NONE);
    if (slot)
        gn_handle_close(&mock.handles, slot);
}

// --- the process ends

static void report_leaks(void)
{
    uint32_t index = 0, counts[GN_KINDS] = {0};
    uint64_t bytes, allocations = mock_arena_live(&bytes);
    for (struct gn_handle_slot *s; (s = gn_handle_next(&mock.handles, &index)) != NULL;)
        if (s->object) // a slot without one is the driver's own
            counts[gn_handle_kind(s->id)]++;
    for (unsigned i = 0; i < mock.options.devices; i++)
        counts[GN_KIND_CONTEXT] -= !mock.devices[i].primary->is_alive;
    fprintf(stderr,
            "genie-mock: at exit: %llu allocations (%llu bytes), %u contexts, %u modules, %u libraries, %u streams, "
            "%u events\n",
            (unsigned long long)allocations, (unsigned long long)bytes, counts[GN_KIND_CONTEXT],
            counts[GN_KIND_MODULE], counts[GN_KIND_LIBRARY], counts[GN_KIND_STREAM], counts[GN_KIND_EVENT]);
}

// Nothing is torn down: exit handlers of the program may still call, threads may still run, and the system takes everything anyway. (The
// library is linked so that dlclose does not unmap it, for the same reason.)
__attribute__((destructor)) static void at_exit(void)
{
    if (in_child || !mock.initialised)
        return;
    mock_lock();
    if (mock.skipped_launches)
        fprintf(stderr, "genie-mock: at exit: %llu of %llu launches had no PTX and computed nothing\n",
                (unsigned long long)mock.skipped_launches, (unsigned long long)mock.launches);
    if (mock.options.leaks)
        report_leaks();
    mock_unlock();
}
