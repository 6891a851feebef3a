// SPDX-License-Identifier: Apache-2.0
// Operations that take effect in the calling thread: where nothing is queued before one in its stream, and nothing that it must wait for is
// still to come, its turn is now. It needs no allocation, no thread and no futex, and the order is the one that queueing would have given.
//
// All with the driver's lock, which the caller keeps from mock_turn_take to mock_turn_end: so what happens in a turn must be short.
#ifndef GN_TESTS_MOCK_MOCK_TURN_H
#define GN_TESTS_MOCK_MOCK_TURN_H

#include <stddef.h>

#include "tests/mock/mock_sched.h"

enum {
    MOCK_TURN_BYTES_MAX = 64 << 10,     // that a copy or a memset moves in a turn: a few microseconds
    MOCK_TURN_BYTES_MAX_IDLE = 1 << 20, // with exec=off: there is nothing to overlap with, and handing a copy to another core costs more than it
};
size_t mock_turn_bytes_max(void);

struct mock_turn {
    struct mock_stream *stream;
    uint64_t from_ns, start_ns, end_ns; // real, virtual, virtual; 0 without virtual time
};

// Whether an operation submitted now, behind `after` (NULL: only its stream's order), would run at once.
bool mock_turn_is_due(const struct mock_stream *stream, const struct mock_mark *after);
// false: queue it (it must wait, or its context refuses it). true: let it take effect, then end the turn. A turn that is not ended has
// changed nothing.
bool mock_turn_take(struct mock_stream *stream, const struct mock_mark *after, struct mock_turn *turn);
void mock_turn_end(struct mock_turn *turn, int64_t duration_ns); // as in struct mock_op
// The turn's end as a mark: *mark itself where nobody else looks at it, else a new one. -ENOMEM: no memory. Call it before the end.
int mock_turn_mark(struct mock_mark **mark);
void mock_turn_mark_end(struct mock_mark *mark, const struct mock_turn *turn);
// Gives the lock up until the end can be seen; then the context's error.
CUresult mock_turn_wait(const struct mock_turn *turn);

#endif
