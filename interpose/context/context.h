// SPDX-License-Identifier: Apache-2.0
// Contexts as the program sees them, and each thread's stack of them.
#ifndef GN_INTERPOSE_CONTEXT_H
#define GN_INTERPOSE_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "interpose/call.h"

enum {
    GN_STACK_MAX = 128, // contexts on a thread's stack: deeper nesting than any library's
    GN_LIMITS_MAX = 16, // CUlimit values, remembered once asked
};

struct gn_context {      // never freed: another thread may hold a destroyed one; used again under a new id
    _Atomic uint64_t id; // handle and wire id; 0 while nobody has it
    CUdevice device;
    bool primary;
    _Atomic bool active; // primary: retained; own: always
    // What every call that needs the context returns: 0; the error that ruined it;
    // CUDA_ERROR_CONTEXT_IS_DESTROYED for a primary context that is not retained, so that a call looks at one
    // word only.
    _Atomic int sticky;
    _Atomic bool ending; // one thread is destroying it
    unsigned flags, api_version,
        retain_count;             // retain_count: of a primary context, or attachments of an own one
    unsigned long long unique_id; // cuCtxGetId
    int least_priority, greatest_priority;
    CUfunc_cache cache_config;
    CUsharedconfig shared_config;
    _Atomic uint32_t limits_known; // a bit each
    _Atomic uint64_t limits[GN_LIMITS_MAX];
    _Atomic uint64_t legacy[3]; // of its legacy default stream, as a slot's words (interpose/stream/marks.h)
    struct gn_context *next_free;
};

// Of one thread, written by it alone and read by who writes statistics.
struct gn_counts {
    _Atomic uint64_t calls[GN_SYMBOLS], errors[GN_SYMBOLS];
    _Atomic uint64_t classes[GN_UNSUPPORTED + 1];
    _Atomic uint64_t kernels, time_ns;
    _Atomic uint64_t known, asked; // queries of events and streams, answered here or by the server (interpose/stream/marks.c)
    _Atomic uint64_t launches_known, launches_unknown, writes_unlisted; // what may have been written (interpose/writes/writes.h)
    _Atomic uint64_t kept; // answers that were known from before (interpose/keep.h)
};

struct gn_trace_line; // interpose/trace.c

struct gn_thread { // of one thread; never freed: when it ends, a later thread takes it over with its counts
    uint64_t stack[GN_STACK_MAX]; // ids, bottom first; 0 is "no context"
    unsigned depth;
    struct gn_context *top; // the object behind the top of the stack when it was put there, or NULL
    CUstreamCaptureMode capture_mode;
    unsigned nesting;      // of calls: a call made inside a call is neither counted nor traced
    uint64_t touches;      // how often it has put work into a stream
    bool in_host_function; // it runs one of the program's: calls that may need the server are not permitted
    uint64_t default_stream,
        default_stream_context; // the per-thread default stream last used, and its context
    int number;                 // the system's thread id
    struct gn_trace_line *line; // what the trace is saying about the call under way
    struct gn_recent *recent;   // pointers whose allocations it knows (interpose/writes/writes.c)
    uint64_t counted;           // commands of its that may have written (interpose/writes/writes.c)
    struct gn_counts counts;
    _Atomic bool used;      // by a live thread
    struct gn_thread *next; // of all; set before the thread is found there
};

extern __thread struct gn_thread *gn_thread_here;
struct gn_thread *gn_thread_begin(void);
// NULL only when memory is out.
static inline struct gn_thread *gn_thread_self(void)
{
    return __builtin_expect(gn_thread_here != NULL, 1) ? gn_thread_here : gn_thread_begin();
}
extern struct gn_thread *_Atomic gn_threads;

static inline void gn_count(_Atomic uint64_t *counter, uint64_t more)
{
    // One writer, so no read-modify-write is needed.
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

// The current context of the thread: the object, or NULL when there is none or it has been destroyed. *result
// is what a call that needs it returns: CUDA_SUCCESS, CUDA_ERROR_INVALID_CONTEXT,
// CUDA_ERROR_CONTEXT_IS_DESTROYED, or the error that ruined it.
static inline struct gn_context *gn_context_current(struct gn_thread *thread, CUresult *result)
{
    uint64_t id = thread->depth ? thread->stack[thread->depth - 1] : 0;
    if (!id) {
        *result = CUDA_ERROR_INVALID_CONTEXT;
        return NULL;
    }
    struct gn_context *x = thread->top;
    if (atomic_load_explicit(&x->id, memory_order_acquire) != id) {
        *result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
        return NULL;
    }
    *result = (CUresult)atomic_load_explicit(&x->sticky, memory_order_relaxed);
    return x;
}

// The live context behind a handle, or NULL. A primary context is there from first sight on, retained or not.
struct gn_context *gn_context_find(CUcontext handle);
// The primary context of a device, which may be inactive. NULL: no such device, or no memory.
struct gn_context *gn_context_primary(CUdevice device);

// What the context was ruined by, or CUDA_SUCCESS: what a call that destroys something of it returns.
CUresult gn_context_error(uint64_t id);

// An error of the device that ruins the context, if `code` is one (gn_error_is_sticky).
void gn_context_ruin(struct gn_context *context, CUresult code);

// --- between context.c and primary.c
struct gn_context_facts { // what the server says of a context
    uint64_t id;
    unsigned flags, api_version;
    int least_priority, greatest_priority;
};
void gn_context_begin(struct gn_context *context, const struct gn_context_facts *facts);
// Runs the destructors of its local storage, before the server is told.
void gn_context_farewell(struct gn_context *context);
// Forgets its handles and allocations, after the server was told.
void gn_context_forget(struct gn_context *context, uint64_t id);
void gn_contexts_forked(void);

#endif
