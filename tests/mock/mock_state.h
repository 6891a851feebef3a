// SPDX-License-Identifier: Apache-2.0
// The driver's state: devices, contexts, threads, the handle table, and the one lock that guards them all.
//
// One lock is enough: calls hold it for microseconds, and whatever takes long (kernels, copies, parsing, waiting, the program's callbacks)
// runs without it. Every exported call holds it from mock_enter to mock_leave.
#ifndef GN_TESTS_MOCK_MOCK_STATE_H
#define GN_TESTS_MOCK_MOCK_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/handle.h"
#include "remoting/cuda_types.h"
#include "tests/mock/mock_options.h"

struct mock_stream;
struct mock_mark;
struct mock_print;

enum { MOCK_DRIVER_VERSION = 13000, MOCK_LIMITS = 10, MOCK_CONTEXT_STACK_MAX = 4096 };

struct mock_context {
    uint64_t id;                  // its handle; a primary context keeps it from cuInit to the end
    unsigned long long serial;    // cuCtxGetId
    unsigned device;              // ordinal
    unsigned refs;                // one while it exists, one for each call, wait and running operation in it
    unsigned retained;            // primary: by cuDevicePrimaryCtxRetain
    unsigned attached;            // own: 1 + cuCtxAttach
    bool is_primary, is_alive;    // a primary context is alive while it is retained
    bool is_dying;                // being destroyed: nothing new begins
    bool stop;                    // kernels that run in it must end; read by the engine's threads with relaxed atomics
    CUresult error;               // sticky; CUDA_SUCCESS while the context is well
    unsigned flags, api_version;
    size_t limits[MOCK_LIMITS];
    CUfunc_cache cache_config;
    CUsharedconfig shared_config;
    // --- the scheduler's (mock_sched.c)
    struct mock_stream *streams;  // all of them
    struct mock_stream *active;   // those with operations queued
    struct mock_stream *legacy;
    unsigned running;             // operations being run right now
    struct mock_mark *epoch;      // counts the blocking streams' operations since the last legacy one
    struct mock_mark *legacy_last;
    uint64_t blocking_end_ns, legacy_end_ns, end_ns; // virtual end of what has been run
    struct mock_print *print;
};

struct mock_device {
    char name[64], bus_id[16];
    CUuuid uuid;
    struct mock_context *primary;
    unsigned primary_flags;
};

struct mock_thread_stream {       // a thread's default stream in one context
    struct mock_thread_stream *next;
    uint64_t context;
    struct mock_stream *stream;   // its handle is checked before use: a reset may have ended it
    uint64_t stream_id;
};

struct mock_thread {
    uint64_t *stack;              // handles of contexts; the current one is the last
    unsigned depth, capacity;
    CUstream default_stream;      // of the call in progress
    struct mock_context *context; // of the call in progress, held; NULL when there is none
    bool inside;                  // between mock_enter and mock_leave, with the lock
    CUstreamCaptureMode capture_mode;
    struct mock_thread_stream *streams;
};

struct mock_driver {
    struct mock_options options;
    bool initialised, fallen;
    struct gn_handle_table handles;
    struct mock_device devices[MOCK_DEVICES_MAX];
    unsigned long long next_serial;
    uint64_t calls, launches, skipped_launches;
};
extern struct mock_driver mock;

void mock_lock(void);
void mock_unlock(void);
void mock_condition_wait(pthread_cond_t *condition); // with the driver's lock
int mock_condition_wait_until(pthread_cond_t *condition, const struct timespec *until); // monotonic; ETIMEDOUT
uint64_t mock_now_ns(void);

// Every call looks at this several times, so it must not take a call of the dynamic linker's: it lies in the memory that each thread has from the
// beginning, of which a library that is loaded later gets a little. So the library has no other variables of threads.
extern __thread struct mock_thread *mock_thread_here __attribute__((tls_model("initial-exec")));
struct mock_thread *mock_thread_new(void);
static inline struct mock_thread *mock_thread(void) // the caller's; NULL: out of memory
{
    return mock_thread_here ? mock_thread_here : mock_thread_new();
}
bool mock_is_child(void);                    // in a child of fork, where the driver does not work
CUresult mock_options_load(void);            // once a process; the error goes to stderr

// Around a callback of the program's inside a call: it may call the driver itself.
struct mock_call_out {
    bool was_inside;
    CUstream default_stream;
    struct mock_context *context;
};
void mock_call_out_begin(struct mock_call_out *saved);
void mock_call_out_end(const struct mock_call_out *saved);

// --- handles
CUresult mock_handle_new(enum gn_kind kind, uint64_t context, void *object, uint64_t *id);
void *mock_handle_get(const void *handle, enum gn_kind kind); // the object, or NULL
void mock_handle_close(uint64_t id);
#define mock_handle_give(where, id) (*(where) = (void *)(uintptr_t)(id))

// --- contexts
CUresult mock_devices_open(void);                             // memory and identity of each device
CUresult mock_contexts_open(void);                            // the primary contexts
struct mock_context *mock_context_get(CUcontext handle);     // one that exists (a primary one also while inactive), or NULL
static inline struct mock_context *mock_context_here(void) { return mock_thread()->context; } // of the call in progress
struct mock_context *mock_context_current(void);             // of the thread: on top of its stack, alive or NULL
static inline bool mock_context_is_usable(const struct mock_context *context) { return context->is_alive && !context->is_dying; }
static inline void mock_context_hold(struct mock_context *context) { context->refs++; }
void mock_context_end(struct mock_context *context); // nobody holds it
static inline void mock_context_drop(struct mock_context *context)
{
    if (!--context->refs)
        mock_context_end(context);
}
void mock_context_fail(struct mock_context *context, CUresult error); // sticky; the first wins
void mock_fall_off(void);                                    // the devices are gone
CUresult mock_primary_handle(CUcontext *context, CUdevice device); // without retaining

// --- what other parts do when a context ends (each without the lock where it may wait or call the program)
void mock_modules_context_gone(struct mock_context *context);
void mock_events_context_gone(struct mock_context *context);

void mock_say(const char *format, ...) __attribute__((format(printf, 1, 2))); // a line on stderr with verbose=1

static inline bool mock_device_exists(CUdevice device)
{
    return device >= 0 && (unsigned)device < mock.options.devices;
}

#endif
