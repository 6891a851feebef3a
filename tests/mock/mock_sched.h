// SPDX-License-Identifier: Apache-2.0
// The scheduler: streams as queues of operations, marks to wait for, the threads that run what is ready, virtual time.
//
// Operations run as early as their order allows; when their completion may be *seen* is another matter. With GENIE_MOCK=kernel_us or
// copy_gbps each stream keeps a virtual clock, every operation gets a virtual end, and whoever looks (a wait, a query, a host function)
// sees it complete only when real time has reached that end. So a sleep's inaccuracy never adds up, and a slow interpreter still gives the
// timing of the device it stands for as long as it keeps up.
//
// All functions here need the driver's lock.
#ifndef GN_TESTS_MOCK_MOCK_SCHED_H
#define GN_TESTS_MOCK_MOCK_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "remoting/cuda_types.h"

enum {
    MOCK_STREAM_WINDOW = 1024,   // operations queued in a stream before a call that adds one waits, as in a driver
    MOCK_WORKERS_MAX = 8,        // streams that run at the same time
    MOCK_PRIORITY_GREATEST = -5, // to 0, the least
    MOCK_PRIORITIES = 6,
};

struct mock_context;
struct mock_op;
struct mock_sleeper;

struct mock_mark { // done once; counted references
    unsigned refs, pending;    // operations that still have to finish
    bool is_open;              // more operations may join
    bool is_done;
    uint64_t end_ns;           // the latest virtual end of those
    struct mock_wait *waits;   // operations that wait
    struct mock_sleeper *sleepers; // threads that wait
};

struct mock_wait {
    struct mock_mark *mark;    // held; NULL when not waiting
    struct mock_op *op;
    struct mock_wait *next, **link;
};

enum mock_lane {
    MOCK_LANE_NOW,   // nothing to run: takes effect as soon as its turn has come
    MOCK_LANE_WORK,  // run on a worker
    MOCK_LANE_HOST,  // run on the callback thread, once its start can be seen
    MOCK_LANE_POLL,  // complete when run() says CUDA_SUCCESS, asked again while it says CUDA_ERROR_NOT_READY
    MOCK_LANE_NEVER, // hangs until its context is stopped
};

struct mock_op {
    enum mock_lane lane;
    bool is_light;             // a thread that waits for it may run it itself
    bool runs_on_error;        // also in a context that is lost
    // Runs without the lock. An error becomes the context's sticky one.
    CUresult (*run)(struct mock_op *op);
    void (*release)(struct mock_op *op); // frees it, with the lock
    int64_t duration_ns;       // virtual; -1: as long as it takes
    // --- the scheduler's
    struct mock_op *next;
    struct mock_stream *stream;
    uint64_t start_ns, run_ns;
    struct mock_mark *done, *epoch;
    struct mock_wait waits[2];
    unsigned blocked;
};

enum mock_where { MOCK_IDLE, MOCK_READY, MOCK_RUNNING, MOCK_WITH_HOST, MOCK_POLLED, MOCK_HUNG };

struct mock_stream {
    uint64_t id, serial;
    unsigned refs;             // one while its handle lives, one while it has operations, one for each wait
    struct mock_context *context;
    unsigned flags;
    int priority;
    bool is_legacy, is_blocking, is_open, is_thread_default;
    int sync_policy;
    struct mock_op *head, *tail;
    unsigned count;
    enum mock_where where;
    uint64_t clock_ns;         // virtual end of what has been run
    uint64_t submitted;
    uint64_t *ends;            // virtual mode: ends of the last MOCK_STREAM_WINDOW operations
    struct mock_sleeper *window_sleepers;
    struct mock_stream *next, **link;               // in its context
    struct mock_stream *active_next, **active_link; // in its context, while it has operations
    struct mock_stream *lane_next, **lane_link;     // in the list of where it is
    struct mock_stream *kick_next;
    bool is_kicked;
};

// --- marks
struct mock_mark *mock_mark_new(void); // open for one operation, one reference
void mock_mark_hold(struct mock_mark *mark);
void mock_mark_drop(struct mock_mark *mark); // NULL is fine
bool mock_mark_is_visible(const struct mock_mark *mark);
// Gives the lock up until the mark is done and its end can be seen. `stream` (or NULL): runs its light operations meanwhile.
void mock_mark_wait(struct mock_mark *mark, struct mock_stream *stream);

// --- streams
struct mock_stream *mock_stream_open(struct mock_context *context, unsigned flags, int priority, bool is_legacy);
void mock_stream_end(uint64_t id); // its operations still run
void mock_stream_hold(struct mock_stream *stream);
void mock_stream_drop(struct mock_stream *stream);
bool mock_stream_is_idle(struct mock_stream *stream);  // everything is done and can be seen
struct mock_mark *mock_stream_mark(struct mock_stream *stream); // of its last operation, with a reference; NULL when it has none
// Waits for everything submitted so far.
CUresult mock_stream_wait(struct mock_stream *stream);
void mock_context_wait(struct mock_context *context);

// Queues `op`, behind `after` (NULL: nothing but its stream's order); waits while the window is full. Takes the operation over, also
// when it fails (the context is gone or lost).
CUresult mock_submit(struct mock_stream *stream, struct mock_op *op, struct mock_mark *after);
// Submits and waits until it has run (by the caller itself, if nothing is before it) and, with is_seen, can be seen; then the context's
// error, if it has one.
CUresult mock_submit_and_wait(struct mock_stream *stream, struct mock_op *op, bool is_seen);
// An operation that only marks a place in a stream, heap-allocated; NULL when out of memory.
struct mock_op *mock_op_marker(void);
void mock_op_free(struct mock_op *op); // the release of operations without extra memory

// --- contexts
CUresult mock_sched_context_open(struct mock_context *context); // makes the legacy stream
// Ends all work of a context: lets it finish for `grace_ns`, then stops it. Closes its streams.
void mock_sched_context_close(struct mock_context *context, uint64_t grace_ns);
void mock_sched_context_stopped(struct mock_context *context); // after context->stop was set: what hangs or polls goes on

void mock_sleep_until(uint64_t when_ns); // without the lock; returns at once when it has passed

#endif
