// SPDX-License-Identifier: Apache-2.0
// The client's end of a session: one ordered command stream of all threads, replies, transfers, and the word that the server is gone.
//
// A command is encoded in place into a ring under a short lock and sent by whoever waits for an answer, or by the sender thread; a reply is
// received by the thread that waits for it, or by the receiver thread when only asynchronous things are due. No lock is held over a socket
// call. Room in the ring is free again when the server has acknowledged the bytes.
#ifndef GN_REMOTING_SESSION_H
#define GN_REMOTING_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "remoting/hello.h"
#include "remoting/link/link.h"

struct gn_session;
struct gn_lanes; // remoting/lane.h

// Host memory of a copy: rows of width bytes, pitch apart; slices, slice apart. A plain range is one row.
struct gn_box {
    uint8_t *base;
    size_t pitch_bytes, slice_bytes, width_bytes, rows, slices;
};
static inline uint64_t gn_box_bytes(const struct gn_box *box) { return (uint64_t)box->width_bytes * box->rows * box->slices; }

struct gn_session_events { // called on the receiver's thread, without a lock; must not block
    void *ctx;
    void (*host)(void *ctx, uint64_t token, int status);  // run this host function, then gn_session_host_done
    void (*work)(void *ctx);                              // or NULL: where `host` only noted them, they are run here: by a thread that waits,
                                                          // without the receiver's role, so it may block
    void (*print)(void *ctx, const char *text, size_t size_bytes);
    void (*over)(void *ctx, const char *why);             // the session is over
    void (*credit)(void *ctx, uint64_t device, uint64_t bytes); // so much more of its memory may be mapped
};

struct gn_session_config {
    size_t ring_bytes;     // command bytes unacknowledged at most; a power of two, 64 KiB at least
    size_t receive_bytes;  // of the buffer that messages come into; 0: 64 KiB; 8 KiB at least
    bool threads;          // false: no thread of its own; things happen inside calls that wait
    bool packs;            // large payload, where that pays (remoting/session/pack.h)
    uint32_t spin_ns;      // how long a thread looks for its reply before it sleeps; 0: not at all
    bool single;           // every command is sent as soon as it is posted, by its thread
    bool confirm_posts;    // every posted command waits for its reply, and has its own code: what plain remoting costs
    struct gn_session_events events;
};

// Takes a link on which hello and welcome have been exchanged. 0 or -errno.
int gn_session_open(struct gn_session **session, struct gn_link *link, const struct gn_session_config *config,
                    const struct gn_welcome *welcome);
// Large payload goes over these lanes from now on; they are the session's.
void gn_session_use_lanes(struct gn_session *session, struct gn_lanes *lanes);
// Receives what the server sends over an open lane, until that or the session ends (session_lane.c).
void gn_session_lane(void *session, int fd);
void gn_session_close(struct gn_session *session); // ends its threads and frees it; no call may be under way
void gn_session_forked(struct gn_session *session); // in a forked child: closes descriptors, touches nothing else

// Why the session is over, or NULL while it lives.
const char *gn_session_over(const struct gn_session *session);

struct gn_latched { // the first posted command that failed since this was last asked
    int32_t code;
    uint16_t op;
    uint64_t sequence; // of the command that was answered
};

// Posts a command; `args` is struct gn_args_NAME of the op. `context` is the id it belongs to (0: none); a scope command is put in front when
// it changed. 0 or -ENOTCONN. *code, of every posted command: 0, or with confirm_posts the CUresult of its reply.
int gn_session_post(struct gn_session *session, uint64_t context, unsigned op, const void *args, int32_t *code);

// Posts and waits. *code: the CUresult of the reply; out: struct gn_out_NAME, its blobs in a buffer of the thread's.
int gn_session_ask(struct gn_session *session, uint64_t context, unsigned op, const void *args, void *out, int32_t *code,
                   struct gn_latched *latched);

// The same with payload (the op's bulk argument): posted, and back when the bytes may be changed again.
int gn_session_post_payload(struct gn_session *session, uint64_t context, unsigned op, void *args, const void *data, size_t size_bytes, int32_t *code);

// Copies to the host. The command is GN_OP_read (waits until the bytes are there) or GN_OP_read_async, args its structure, whose `transfer`
// is filled in.
int gn_session_read(struct gn_session *session, uint64_t context, void *args, const struct gn_box *to, int32_t *code, struct gn_latched *latched);
int gn_session_read_async(struct gn_session *session, uint64_t context, void *args, const struct gn_box *to, int32_t *code);
// A copy from pinned host memory that the server fetches when the stream arrives there (GN_OP_write_pull).
int gn_session_write_pull(struct gn_session *session, uint64_t context, void *args, const struct gn_box *from, int32_t *code);
// Whether something that the server still has to do may write host memory, or must run before host memory is read (copies to the host, host
// functions, pulls): then a pinned source must be pulled.
bool gn_session_host_pending(struct gn_session *session);

// A host function was posted / has returned.
void gn_session_host_expected(struct gn_session *session);
int gn_session_host_done(struct gn_session *session, uint64_t token);

// --- marks (session_marks.c): what has passed, told by the server without being asked

enum gn_mark_state {
    GN_MARK_PENDING,  // not yet: true as of now, for all that this program can know
    GN_MARK_PASSED,
    GN_MARK_DOUBTFUL, // the server has to be asked
};
// Counts what may have shown the program that something has passed, without the marks of it having come before: copies to the host that
// arrive by themselves, host functions, some replies. To be read before the command that makes a mark is sent.
uint64_t gn_session_heard(struct gn_session *session);
void gn_session_doubt(struct gn_session *session); // the program has done what locally would have waited for the device
uint64_t gn_session_mark_open(struct gn_session *session, uint64_t heard); // the name for a new one; 0: too many are out
void gn_session_mark_drop(struct gn_session *session, uint64_t mark);      // the server does not know of it
void gn_session_mark_renew(struct gn_session *session, uint64_t mark, uint64_t heard); // asked after `heard`, the server has said "not yet"
enum gn_mark_state gn_session_mark_look(struct gn_session *session, uint64_t mark);
bool gn_session_mark_out(struct gn_session *session, uint64_t mark);       // nothing has been heard of it
// Sends what is pending, and takes in what has arrived, unless another thread is at it. Does not wait.
void gn_session_poll(struct gn_session *session);
uint64_t gn_session_sequence(struct gn_session *session); // of the last command

struct gn_session_counts {
    uint64_t round_trips, commands, command_bytes_sent, payload_bytes_sent, command_bytes_received, payload_bytes_received, sends, receives, wakeups, marks;
    const char *link; // its name
    uint64_t packed_raw_bytes, packed_bytes; // payload of either direction that went packed: before and after; the latter is counted above too
    uint64_t lanes, lane_sends, lane_receives; // lanes that are open, payloads that went over them, pieces of data that came
    uint64_t direct_sends;    // by callers, each of their command, over a link where that is a copy
    uint64_t lone_sends;      // of a command that nothing had been sent shortly before; these and the next two: by the thread that posted
    uint64_t flush_sends;     // because much was pending
    uint64_t late_sends;      // because the sender thread did not get a core
    uint64_t tail_sends;      // by the sender thread, because nobody else had for a while
    uint64_t looks, look_hits; // receives that began with looking, and those that so found what they waited for
};
void gn_session_count(struct gn_session *session, struct gn_session_counts *counts);

#endif
