// SPDX-License-Identifier: Apache-2.0
// cuInit, before which the shim has opened nothing and changed nothing; and what is left to do in a forked
// child and at exit.
#include "interpose/init.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api_calls.h"
#include "interpose/connect.h"
#include "interpose/handles.h"
#include "interpose/hints/hints.h"
#include "interpose/local.h"
#include "interpose/log.h"
#include "interpose/memory/memory_range.h"
#include "interpose/options.h"
#include "interpose/shadow/content.h"
#include "interpose/shadow/shadow.h"
#include "interpose/shim.h"
#include "interpose/stats.h"
#include "interpose/stream/hostfn.h"
#include "interpose/tables.h"
#include "interpose/trace.h"
#include "interpose/writes/writes.h"
#include "remoting/fork.h"

enum {
    RETRY_S = 2
}; // a program that asks again and again for a server that does not answer is not kept waiting each time

// Of cuInit, until it has succeeded. A fork waits for it, so it may be taken only when the fork handlers are there. Recursive: a local driver may
// fork within its own cuInit, to have its kernel module loaded.
static pthread_mutex_t init_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_error; // of pthread_atfork
static _Atomic int told_version;

// --- versions

int gn_version(void)
{
    int mode = atomic_load_explicit(&gn_shim.mode, memory_order_acquire), told = 0;
    int now = mode == GN_MODE_REMOTE || mode == GN_MODE_OVER ? (int)gn_shim.welcome.driver_version
                                                             : GN_DRIVER_VERSION;
    return atomic_compare_exchange_strong(&told_version, &told, now) ? now : told;
}

static void compare_versions(void)
{
    int told = atomic_load(&told_version), now = (int)gn_shim.welcome.driver_version;
    if (told > now)
        gn_log(GN_LOG_WARN,
               "the driver at the server is for CUDA %d.%d, the program was told %d.%d before it could be "
               "asked: what is newer will fail",
               now / 1000, now % 1000 / 10, told / 1000, told % 1000 / 10);
}

// --- what the session tells, on its threads

void gn_session_is_over(const char *why)
{
    int mode = GN_MODE_REMOTE;
    if (atomic_compare_exchange_strong(&gn_shim.mode, &mode, GN_MODE_OVER))
        gn_log(GN_LOG_WARN, "the session with the server at %s is over: %s; CUDA calls fail from now on",
               gn_options.server, why);
}

static void on_credit(void *ctx, uint64_t device, uint64_t bytes)
{
    (void)ctx;
    gn_range_granted(device, bytes);
}

static void on_over(void *ctx, const char *why)
{
    (void)ctx;
    gn_session_is_over(why);
}

static void on_host(void *ctx, uint64_t token, int status)
{
    (void)ctx;
    gn_host_function_due(token, status);
}

static void on_work(void *ctx)
{
    (void)ctx;
    gn_host_functions_run();
}

static void on_print(void *ctx, const char *text, size_t size_bytes)
{
    (void)ctx;
    fwrite(text, 1, size_bytes, stdout);
}

// --- forked children

static bool is_child;

// Around the fork no descriptor of the session's threads comes or goes.
static void forking(void)
{
    pthread_mutex_lock(&init_lock);
    gn_shadow_prepare_fork(); // which may have to open its connection again
    gn_fork_hold();
}

static void forked_parent(void)
{
    gn_fork_let();
    gn_shadow_forked(false);
    pthread_mutex_unlock(&init_lock);
}

static void forked(void)
{
    gn_fork_let();
    int mode = atomic_load(&gn_shim.mode);
    is_child = true;
    init_lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; // its owner is a thread of the parent
    gn_shadow_forked(true); // in every mode: its lock is held
    gn_trace_forked(mode == GN_MODE_LOCAL);
    if (mode != GN_MODE_REMOTE && mode != GN_MODE_OVER)
        return; // the local driver has its own view of forks
    atomic_store(&gn_shim.mode, GN_MODE_FORKED);
    gn_session_forked(gn_shim.session);
    gn_handles_forked();
    gn_contexts_forked();
    gn_tables_forked();
    gn_memory_forked();
    gn_content_forked();
    gn_host_functions_forked();
    gn_hints_forked();
}

static void register_fork(void) { fork_error = pthread_atfork(forking, forked_parent, forked); }

// --- cuInit

static void start_reports(void)
{
    char path[PATH_MAX];
    int error = *gn_options.log_path ? gn_options_path(gn_options.log_path, path, sizeof path) : 0;
    if (!error)
        error = gn_log_start(gn_options.log_level, *gn_options.log_path ? path : NULL);
    if (error)
        gn_log(GN_LOG_WARN, "the log goes to stderr: %s: %s", gn_options.log_path, strerror(-error));
    if (*gn_options.trace) {
        error = gn_options_path(gn_options.trace, path, sizeof path);
        if (!error)
            error = gn_trace_start(path);
        if (error)
            gn_log(GN_LOG_WARN, "there will be no trace: %s: %s", gn_options.trace, strerror(-error));
    }
    if (*gn_options.stats)
        atomic_fetch_or(&gn_watching, GN_WATCH_TIME);
}

// With the lock, and once: options, reports.
static CUresult prepare(void)
{
    static bool prepared;
    char why[GN_WHY_BYTES];
    if (prepared)
        return CUDA_SUCCESS;
    if (gn_options_load(why)) {
        gn_log_once(GN_LOG_WARN, "no CUDA device, because of a setting: %s", why);
        return CUDA_ERROR_NO_DEVICE;
    }
    start_reports();
    prepared = true;
    return CUDA_SUCCESS;
}

static CUresult start_local(void)
{
    CUresult r = gn_local_open();
    if (r)
        return r;
    CUresult (*init)(unsigned) = gn_local_function(GN_SYMBOL_cuInit);
    r = init(0);
    if (!r)
        atomic_store_explicit(&gn_shim.mode, GN_MODE_LOCAL, memory_order_release);
    return r;
}

static time_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

// A failure is CUDA_ERROR_NO_DEVICE: the one code for which programs go on without a GPU, as on a machine
// that has none.
static CUresult start_remote(void)
{
    const struct gn_session_events events = {.host = on_host, .work = gn_host_functions_inline() ? on_work : NULL,
                                             .print = on_print, .credit = on_credit, .over = on_over};
    static time_t failed_s;
    char why[GN_WHY_BYTES];
    if (failed_s && now_s() - failed_s < RETRY_S)
        return CUDA_ERROR_NO_DEVICE;
    if (gn_connect(&gn_shim.session, &gn_shim.welcome, &events, why, sizeof why)) {
        failed_s = now_s();
        gn_log(GN_LOG_WARN, "no CUDA device: %s", why);
        return CUDA_ERROR_NO_DEVICE;
    }
    gn_log(GN_LOG_INFO, "session %u with the server at %s: %u devices, CUDA %u.%u", gn_shim.welcome.worker_id,
           gn_options.server, gn_shim.welcome.device_count, gn_shim.welcome.driver_version / 1000,
           gn_shim.welcome.driver_version % 1000 / 10);
    compare_versions();
    gn_hints_load();
    gn_writes_load();
    // Release: pairs with the acquire in gn_enter; session and welcome are seen by who sees the mode.
    atomic_store_explicit(&gn_shim.mode, GN_MODE_REMOTE, memory_order_release);
    if (gn_session_over(gn_shim.session)) // before the mode said that there is one
        gn_session_is_over(gn_session_over(gn_shim.session));
    return CUDA_SUCCESS;
}

static CUresult start(void)
{
    CUresult r = prepare();
    if (r)
        return r;
    return gn_options.local ? start_local() : start_remote();
}

CUresult gn_cuInit(struct gn_call *c, unsigned int flags)
{
    (void)c;
    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = CUDA_SUCCESS;
    int mode = atomic_load_explicit(&gn_shim.mode, memory_order_acquire);
    if (mode == GN_MODE_COLD) {
        pthread_once(&fork_once, register_fork);
        if (fork_error)
            return CUDA_ERROR_OUT_OF_MEMORY;
        pthread_mutex_lock(&init_lock);
        if (atomic_load_explicit(&gn_shim.mode, memory_order_relaxed) == GN_MODE_COLD)
            r = start();
        mode = atomic_load_explicit(&gn_shim.mode, memory_order_relaxed);
        pthread_mutex_unlock(&init_lock);
    }
    if (!r && mode == GN_MODE_LOCAL) { // a forked child of a process that has a driver has none: it is the driver that says so
        CUresult (*init)(unsigned) = gn_local_function(GN_SYMBOL_cuInit);
        return init(0);
    }
    return !r && mode == GN_MODE_REMOTE && !gn_shim.welcome.device_count ? CUDA_ERROR_NO_DEVICE : r;
}

// --- exit. The runtime's own exit handlers have run by now or come later; either way the session stays
// usable, and its end is the end of the process.
static void write_report(const char *what, const char *path, int (*write)(const char *path))
{
    if (!*path || (is_child && !strstr(path, "%p"))) // a child does not write over its parent's
        return;
    int error = write(path);
    if (error)
        gn_log(GN_LOG_WARN, "no %s: %s: %s", what, path, strerror(-error));
}

__attribute__((destructor)) static void report(void)
{
    if (atomic_load(&gn_watching) & GN_WATCH_TRACE)
        gn_trace_flush();
    write_report("statistics", gn_options.stats, gn_stats_write);
    if (!is_child) // it can have no session, and its parent tells of this one
        write_report("report of hints", gn_options.explain, gn_hints_explain);
}
