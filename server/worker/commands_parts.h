// SPDX-License-Identifier: Apache-2.0
// The inside of the command loop, shared by commands*.c.
#ifndef GN_SERVER_COMMANDS_PARTS_H
#define GN_SERVER_COMMANDS_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/frame.h"
#include "remoting/spin.h"
#include "server/worker/commands.h"
#include "server/worker/dispatch.h"

enum {
    BUFFER_BYTES = 256 << 10,     // holds any frame, and a burst of launches in one system call
    PAYLOAD_BODY_BYTES_MAX = 128, // the body of a command with payload: numbers only
    PADDING_BYTES_MAX = GN_COMMAND_BYTES_MAX + GN_SMALL_PAYLOAD_BYTES + 16, // a command with payload behind a scope command
    LANE_FLAGS = 15 << GN_COMMAND_LANE_SHIFT,
    FLAGS_KNOWN = GN_COMMAND_PAYLOAD | GN_COMMAND_CONTROL | GN_COMMAND_CONFIRM | GN_COMMAND_PACKED | LANE_FLAGS,
};

struct frame { // a command as it was read
    struct gn_command head;
    uint8_t *body; // head.size_bytes - sizeof head
    struct gn_payload payload;
    uint64_t end;  // the position behind it
};

struct parked {
    struct parked *next;
    struct frame frame;
    uint8_t bytes[];
};

struct gn_commands {
    struct gn_worker *worker;
    struct gn_link *link;
    uint64_t ring_bytes;
    uint8_t *buffer; // of the reader
    uint8_t *packed; // packed payload on its way into its slot, GN_PAYLOAD_BYTES_MAX; made when the first comes
    size_t at, end;
    uint64_t position; // of the reader in the command stream

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t changed;
    bool reading;         // a thread has the reader's role
    // A command runs aside; the reader parks. Set by the reader, for itself; cleared under the lock by the thread that ran aside, with
    // release: a reader that sees it cleared sees all that thread did.
    _Atomic bool aside;
    struct parked *first, **last;
    int threads;
    bool over;
    int result;
    const char *error;
    CUresult latched;
    uint16_t latched_op;
    _Atomic bool starved; // written with the lock
    bool reaping;
    pthread_mutex_t goodbye_lock; // guards the next, over the telling
    bool goodbye;                 // the client has been told why the session is over

    struct gn_spin spin; // of the reader

    uint64_t sequence;      // of the thread that runs commands
    _Atomic uint64_t taken; // written by that thread; the reader bounds by it what it parks
};

// Counters that one thread at a time writes: the reader, or the one that runs commands. So no locked addition is needed.
static inline void commands_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

// The session is over: its threads wake, and whoever waits for the client. Returns `result`, or -ECONNRESET for 0.
int commands_fail(struct gn_commands *l, int result, const char *error);

// commands_read.c: by the thread that has the reader's role. 0 or -errno; on an error the session is over.
int commands_fill(struct gn_commands *l);                                  // at least one more byte into the buffer
int commands_impossible_size(struct gn_commands *l);                       // an error
int commands_control(struct gn_commands *l, const struct frame *f);        // reads and runs a control frame
int commands_payload(struct gn_commands *l, struct frame *f, uint8_t body_copy[PAYLOAD_BODY_BYTES_MAX]); // of a command, into a staging slot

// The next frame is in the buffer, all of it.
static inline bool commands_frame_is_whole(struct gn_commands *l, int *error)
{
    struct gn_command head;
    size_t have = l->end - l->at;
    if (have < sizeof head)
        return false;
    memcpy(&head, l->buffer + l->at, sizeof head);
    // Padding is what was left of the client's ring: less than what was to be put there.
    bool padding = !head.op && !head.flags;
    if (head.size_bytes < sizeof head || head.size_bytes % 8 || head.size_bytes > (padding ? PADDING_BYTES_MAX : GN_COMMAND_BYTES_MAX)) {
        *error = commands_impossible_size(l);
        return false;
    }
    return have >= head.size_bytes;
}

#endif
