// SPDX-License-Identifier: Apache-2.0
// The inside of a session, shared by session*.c.
//
// Two locks, taken in this order: `send_lock` (the ring, payload extents, the sender's state) and `receive_lock` (waiters, transfers, the
// receiver's role). Neither is held over a socket call, but for the byte that a direct link sends without waiting to wake its peer.
// Two roles, each held by one thread at a time: the sender moves bytes from ring and extents to the link; the receiver reads messages and hands
// each to whom it is for.
#ifndef GN_REMOTING_SESSION_PARTS_H
#define GN_REMOTING_SESSION_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "api_wire.h"
#include "core/frame.h"
#include "core/ring.h"
#include "remoting/lane.h"
#include "remoting/lock.h"
#include "remoting/session/pack.h"
#include "remoting/session/session.h"
#include "remoting/spin.h"

enum {
    EXTENTS_MAX = 256,            // large payloads under way at once; more slots of the server's are left unused
    RECEIVE_BYTES = 64 << 10,     // of the buffer, unless the configuration says otherwise
    RECEIVE_BYTES_MIN = 8 << 10,  // a goodbye (4 KiB) comes in whole
    PRINT_BYTES_MAX = 32 << 10,
    ALONE_NS = 20000,             // a command that comes so long after the last one is sent at once
    TAIL_NS = 40000,              // what nobody else has sent for so long the sender thread sends: the end of a burst. Setting a timer costs
    PATIENCE_MAX = 8,             // as much as a send, so it is this many times longer where it has always come to find nothing
    FLUSH_BYTES = 16 << 10,       // so much pending is sent by the thread that posts: a send then costs a few ns for each command
    LATE_EVERY = 8,               // a power of two: every so many commands their thread looks whether the sender thread is late,
    LATE_NS = 60000,              // that is, has not moved for so long; then it sends by itself
    TRANSFERS_MAX = 1 << 20,      // copies under way at once: more than the commands of the largest ring
    PULLED_BYTES_MAX = 64 << 20,  // of pulled copies, waiting to be sent: four times what a server can have asked for with all its slots
};

struct extent { // payload that lies outside the ring, to be sent when everything before `position` has been
    uint64_t position;
    const uint8_t *data;
    size_t size_bytes, sent_bytes; // sent_bytes counts the padding too
    _Atomic uint32_t *done;        // told when sent (or the session is over); may be NULL
};

struct control { // an out-of-order frame, with or without payload
    struct control *next;
    uint8_t head[40];
    size_t head_bytes, payload_bytes, sent_bytes;
    uint8_t *payload; // freed after sending, unless it is borrowed: the program's own memory
    bool borrowed;
};

enum waiter_kind { WAIT_REPLY, WAIT_ROOM };

struct waiter { // on the stack of the thread that waits
    struct waiter *next, *previous;
    enum waiter_kind kind;
    uint64_t sequence;
    _Atomic uint32_t woken; // futex word
    _Atomic bool done;      // the reply is here; or, for room, something has moved
    _Atomic bool held;      // and stays so: the reply is here, but not all the bytes that it announces: who brings the last one says that it is done
    bool asleep;            // on the word: takes the receiver's role only when woken
    uint64_t transfer;      // of a read: ends with the reply. 0: none
    int32_t code, latched;
    uint16_t latched_op;
    uint8_t *body;          // of the thread's reply buffer; the receiver may let it grow
    size_t body_bytes, body_room;
};

enum transfer_kind { TRANSFER_FREE, TRANSFER_READ, TRANSFER_READ_ASYNC, TRANSFER_PULL };

struct transfer {
    uint32_t generation, next_free; // next_free: index + 1
    enum transfer_kind kind;
    struct gn_box box;
    uint64_t moved_bytes;
    unsigned landing; // pieces of it that lanes are writing to the box: as long as there are any, the box is not the program's again
    bool ended;       // nothing more is taken
};

enum sender_state { SENDER_NONE, SENDER_ASLEEP, SENDER_ARMED, SENDER_DUE }; // armed: wakes in TAIL_NS; due: now

struct gn_session {
    struct gn_link *link;
    struct gn_session_config config;
    uint64_t window_bytes, chunk_bytes;

    struct gn_lock send_lock;
    struct gn_ring ring;
    uint64_t sequence;             // of the last command
    uint64_t scope;                // context of the last command
    struct extent extents[EXTENTS_MAX];
    unsigned extent_first, extent_count;
    struct control *controls, **controls_end;
    uint64_t pulled_bytes;         // payload of these
    bool sending, partial;         // the sender's role is taken; a frame may have been sent in part
    uint64_t partial_until;        // then: the end of the batch that it belongs to, a place between two frames
    uint32_t small_used, small_freed, large_used, large_freed; // staging slots of the server, counted from the start
    uint32_t large_slots;
    uint64_t small_bytes;          // of small payload, which lies among the commands
    struct gn_packing packing;
    uint64_t late_sent, late_ns;   // how far sending was when somebody last looked and it had moved, and when that was
    uint64_t alone_ns;             // when something was last sent, or a command found the sender thread asleep
    unsigned patience;             // the timer is set to so many TAIL_NS: 1 .. PATIENCE_MAX
    bool tail_sent;                // by the sender thread; what comes next tells whether it was a burst's end
    enum sender_state sender;
    int sender_fd;                 // the timer that wakes the sender thread, or -1

    struct gn_lock receive_lock;
    struct waiter *waiters;
    bool receiving;                // the receiver's role is taken
    bool watching;                 // the receiver thread watches the link and must be woken to receive
    _Atomic uint32_t receiver_word;
    // Host functions that have returned. Data that comes after one may be written where it has read: the server knew that it was through, but within
    // this process no thread has told another. The receiver's look at this does.
    _Atomic uint64_t hosts_done;
    _Atomic bool host_due;         // host functions, for the next thread that waits (config.events.work)
    _Atomic int64_t async_due;     // messages that nobody waits for but that must be received
    uint8_t *buffer;               // received bytes not yet looked at: [buffer_at, buffer_end)
    size_t buffer_at, buffer_end;
    uint8_t *unpack_from, *unpack_to; // packed data on its way, GN_PAYLOAD_BYTES_MAX each; made when the first comes
    _Atomic uint64_t unpacked_raw_bytes, unpacked_bytes;
    struct gn_spin spin;           // with the receiver's role
    bool looks;                    // a thread waits for its reply: it is worth to look for it before sleeping
    struct transfer *transfers;
    uint32_t transfer_count, transfer_room, transfer_free;

    pthread_mutex_t marks_lock;    // innermost
    struct session_marks *marks;   // from the first one on
    _Atomic uint64_t marks_heard;
    _Atomic uint64_t heard;        // gn_session_heard

    _Atomic int over;              // the session is over
    char why[256];
    pthread_t sender_thread, receiver_thread;
    bool has_threads;
    _Atomic bool stopping;
    struct gn_lanes *_Atomic lanes; // or NULL
    _Atomic uint64_t lane_sends, lane_bytes, lane_receives, lane_received_bytes;
    _Atomic uint32_t landed; // futex word: changes when the last landing of a transfer that has ended is over
    struct gn_session_counts counts; // under send_lock, round_trips under receive_lock
    _Atomic uint64_t receives, command_bytes_received, payload_bytes_received; // by the receiver
};

// session_send.c
void session_control_free(struct control *control);
void session_send_pending(struct gn_session *s, uint64_t until); // sends what is pending (to `until`, and payload there) unless another does
void session_kick(struct gn_session *s);                         // with the send lock: sees to it that what is pending goes out soon
bool session_queue_control(struct gn_session *s, struct control *control); // false: too much payload waits already; freed
void session_wake_sender(struct gn_session *s); // with the send lock
void session_flush(struct gn_session *s); // sends what is pending now, by this thread, unless another does; does not wait
void *session_sender(void *session);
void session_fail_senders(struct gn_session *s);
int session_ask_read(struct gn_session *s, uint64_t context, const void *args, uint64_t transfer, int32_t *code, struct gn_latched *latched);

// session_receive.c
// With the receiver's role: reads once and handles what is whole, up to what `w` waits for (or NULL). 0 or -errno.
int session_pump(struct gn_session *s, int wait, const struct waiter *w);
void session_wait(struct gn_session *s, struct waiter *w); // until w->done, or the session is over
void session_wake(struct waiter *w); // with the receive lock
void session_room(struct gn_session *s); // there is room, or the session is over: those that wait for it look again
void session_waiter_add(struct gn_session *s, struct waiter *w);
void session_waiter_remove(struct gn_session *s, struct waiter *w);
void session_due(struct gn_session *s, int64_t change); // more or fewer asynchronous messages are due
void *session_receiver(void *session);

void session_pass_role(struct gn_session *s); // with the receive lock: the receiver's role is free

// session_marks.c
int session_marks(struct gn_session *s, const struct gn_message *m, const void *body); // below 0: of marks that are not out

// session_transfer.c
uint64_t session_transfer_open(struct gn_session *s, enum transfer_kind kind, const struct gn_box *box); // 0: too many
void session_transfer_close(struct gn_session *s, uint64_t id);
bool session_transfer_room(struct gn_session *s, uint64_t id, uint64_t offset, uint64_t size_bytes, struct gn_box *box); // is this data due? (Data of a copy that nobody waits for counts as heard.)
// With the receive lock: the reply to a read has come. Whether it is to be held because bytes of the box are still to come over lanes.
bool session_transfer_answered(struct gn_session *s, uint64_t id, int32_t code);
void session_transfer_leave(struct gn_session *s, uint64_t id); // closes the transfer of a read; back when nothing writes to its box
// A piece from a lane. 1: it is to be written to *box, and session_transfer_landed is to follow; 0: its copy is over; -EPROTO: no copy's.
int session_transfer_land(struct gn_session *s, const struct gn_lane_data *head, struct gn_box *box);
void session_transfer_landed(struct gn_session *s, const struct gn_lane_data *head, bool whole);
void session_transfer_moved(struct gn_session *s, uint64_t id, uint64_t size_bytes);
void session_pull(struct gn_session *s, uint64_t id, uint64_t offset, uint64_t size_bytes);
void gn_box_scatter(const struct gn_box *box, uint64_t offset, const uint8_t *from, size_t size_bytes);
void gn_box_gather(const struct gn_box *box, uint64_t offset, uint8_t *to, size_t size_bytes);

// session.c
void session_fail(struct gn_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
