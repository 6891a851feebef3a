// SPDX-License-Identifier: Apache-2.0
// The scheduler's threads and the lists of what they run; private to mock_sched.c and mock_workers.c. All with the driver's lock.
#ifndef GN_TESTS_MOCK_MOCK_WORKERS_H
#define GN_TESTS_MOCK_MOCK_WORKERS_H

#include "tests/mock/mock_sched.h"

// Takes an idle stream whose first operation is not blocked, and sees to it that a thread comes for it.
void mock_workers_take(struct mock_stream *stream);
void mock_workers_untake(struct mock_stream *stream);           // a MOCK_READY one becomes the caller's: MOCK_RUNNING
void mock_workers_release(const struct mock_context *context);  // gives hung and polled streams back, idle
bool mock_workers_hangs(const struct mock_context *context);
void mock_workers_note_end(void);                               // an operation has ended
void mock_workers_wait_end(uint64_t until_ns);                  // sleeps until one ends

// A thread that sleeps with the lock given up, until woken or `until_ns` (UINT64_MAX: for ever).
void mock_sleepers_wait(struct mock_sleeper **list, uint64_t until_ns);
void mock_sleepers_wake(struct mock_sleeper **list);

// In mock_sched.c: the steps of an operation, for whoever runs it.
void mock_op_begin(struct mock_op *op);
CUresult mock_op_run(struct mock_op *op); // without the lock meanwhile
void mock_op_finish(struct mock_op *op);
void mock_sched_settle(void);
// The caller owns the stream (MOCK_RUNNING): runs up to ops_max operations, none once `until` (or NULL) is done, then lets it go.
void mock_stream_run(struct mock_stream *stream, unsigned ops_max, bool only_light, const struct mock_mark *until);

#endif
