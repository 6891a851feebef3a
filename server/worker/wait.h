// SPDX-License-Identifier: Apache-2.0
// What waits, waits here: threads that are made when a call has to wait and used again for the next. A client thread waits in one call at a
// time, so there are as many as it has threads waiting.
#ifndef GN_SERVER_WAIT_H
#define GN_SERVER_WAIT_H

#include "remoting/spin.h"
#include "server/worker/dispatch.h"

enum {
    GN_WAITERS_MAX = 4096, // beyond, the job waits for a thread: more threads of one program never wait at once
    GN_NEAR_MAX = 4,       // jobs that the reading thread looks after: of so few threads at once
    GN_JOBS_MAX = 1 << 16, // that wait for a thread; a client that goes on asking is refused
};

struct gn_waiters;
int gn_waiters_open(struct gn_waiters **waiters, struct gn_worker *w);
void gn_waiters_close(struct gn_waiters *waiters); // when its jobs are done

// Runs `run(w, job)` on a waiting thread; `job` is copied.
enum { GN_JOB_BYTES = 192 };
CUresult gn_wait_run(struct gn_worker *w, void (*run)(struct gn_worker *w, void *job), const void *job, size_t job_bytes);

// The same for a job that begins when `event` has passed, which is recorded in the current context. Such a job may stay near: the thread that reads
// commands looks for its event as long as it has nothing else to do, and does the job itself; that saves two wake-ups. For handlers only.
CUresult gn_wait_run_after(struct gn_worker *w, CUevent event, void (*run)(struct gn_worker *w, void *job), const void *job, size_t job_bytes);

// Of the thread that reads commands: how many jobs are near; does those whose event has passed, and returns how many are left; hands these to
// waiting threads. `look` says how it went: GN_LOOK_HIT when there are commands to run, else that it has looked for long, or lost its core.
static inline int gn_waits_near(const struct gn_worker *w) { return w->near_waits; }
int gn_waits_look(struct gn_worker *w);
void gn_waits_leave(struct gn_worker *w, enum gn_look look);

// An event and a stream of the server's own, in the current context; given back after use.
struct gn_wait_pair {
    CUevent event;
    CUstream stream;
    CUcontext context;
    uint64_t epoch;
};
CUresult gn_wait_pair_take(struct gn_worker *w, struct gn_wait_pair *pair);
void gn_wait_pair_give(struct gn_worker *w, const struct gn_wait_pair *pair);
void gn_wait_context_gone(struct gn_worker *w, CUcontext context); // before it dies

// The reply to `q` when `pair->event`, already recorded, has passed. Gives the pair back. GN_DEFERRED, or a code.
CUresult gn_wait_reply(struct gn_worker *w, const struct gn_request *q, const struct gn_wait_pair *pair);

#endif
