// SPDX-License-Identifier: Apache-2.0
// The receiving half of a session: messages from the link, each to whom it is for.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "remoting/futex.h"
#include "remoting/session/session_parts.h"

// One thread at a time has the receiver's role, so plain additions do; others only read.
static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

// --- bytes

// With the receiver's role: at least one more byte into the buffer. 0 or -errno.
static int fill(struct gn_session *s, int wait)
{
    if (s->buffer_at == s->buffer_end)
        s->buffer_at = s->buffer_end = 0;
    if (s->buffer_at) {
        memmove(s->buffer, s->buffer + s->buffer_at, s->buffer_end - s->buffer_at);
        s->buffer_end -= s->buffer_at;
        s->buffer_at = 0;
    }
    struct iovec piece = {.iov_base = s->buffer + s->buffer_end, .iov_len = s->config.receive_bytes - s->buffer_end};
    ssize_t n = wait && s->looks ? gn_spin_recv(&s->spin, s->link, &piece, 1) : s->link->ops->recv(s->link, &piece, 1, wait);
    if (n <= 0)
        return n ? (int)n : -ECONNRESET;
    s->buffer_end += (size_t)n;
    count(&s->receives, 1);
    return 0;
}

// The next `size_bytes` bytes to `to`, past the buffer where it can; NULL: thrown away.
static int take(struct gn_session *s, uint8_t *to, size_t size_bytes)
{
    while (size_bytes) {
        size_t n = s->buffer_end - s->buffer_at;
        if (n) {
            n = n < size_bytes ? n : size_bytes;
            if (to)
                memcpy(to, s->buffer + s->buffer_at, n);
            s->buffer_at += n;
        } else if (to && size_bytes > s->config.receive_bytes / 2) {
            struct iovec piece = {.iov_base = to, .iov_len = size_bytes};
            ssize_t got = s->link->ops->recv(s->link, &piece, 1, 1);
            if (got <= 0)
                return got ? (int)got : -ECONNRESET;
            count(&s->receives, 1);
            n = (size_t)got;
        } else {
            int error = fill(s, 1);
            if (error)
                return error;
        }
        to = to ? to + n : NULL;
        size_bytes -= n;
    }
    return 0;
}

// --- who waits

void session_waiter_add(struct gn_session *s, struct waiter *w)
{
    gn_lock_take(&s->receive_lock);
    w->previous = NULL;
    w->next = s->waiters;
    if (w->next)
        w->next->previous = w;
    s->waiters = w;
    gn_lock_give(&s->receive_lock);
}

void session_waiter_remove(struct gn_session *s, struct waiter *w)
{
    gn_lock_take(&s->receive_lock);
    if (w->previous)
        w->previous->next = w->next;
    else
        s->waiters = w->next;
    if (w->next)
        w->next->previous = w->previous;
    gn_lock_give(&s->receive_lock);
}

// With the receive lock. Who receives for himself is not asleep.
void session_wake(struct waiter *w)
{
    atomic_store(&w->woken, 1);
    if (w->asleep)
        gn_futex_wake(&w->woken, 1);
}

// With the receive lock: who shall receive now that the role is free? A waiter that sleeps (one that does not will see by itself that the role
// is free), else the receiver thread when something is due.
void session_pass_role(struct gn_session *s)
{
    for (struct waiter *w = s->waiters; w; w = w->next)
        if (w->asleep && !w->done && !w->held) {
            session_wake(w);
            return;
        }
    if (atomic_load(&s->async_due) > 0) {
        atomic_fetch_add(&s->receiver_word, 1);
        gn_futex_wake(&s->receiver_word, 1);
        if (s->watching)
            s->link->ops->wake(s->link);
    }
}

void session_wait(struct gn_session *s, struct waiter *w)
{
    int cancel; // a thread that were cancelled in a socket call would take the role with it
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    gn_lock_take(&s->receive_lock);
    if (w->kind == WAIT_REPLY)
        s->counts.round_trips++;
    for (;;) {
        bool over = atomic_load(&s->over);
        if (w->done || (over && !s->receiving))
            break;
        if (s->config.events.work && atomic_exchange(&s->host_due, false)) {
            if (!s->receiving) // others receive meanwhile
                session_pass_role(s);
            gn_lock_give(&s->receive_lock);
            s->config.events.work(s->config.events.ctx);
            gn_lock_take(&s->receive_lock);
            continue;
        }
        if (!s->receiving && !w->held) {
            s->receiving = true;
            gn_lock_give(&s->receive_lock);
            int error = session_pump(s, 1, w);
            if (error)
                session_fail(s, "receiving from the server failed: %s",
                             error == -ECONNRESET ? "it closed the connection" : strerror(-error));
            gn_lock_take(&s->receive_lock);
            s->receiving = false;
            continue;
        }
        if (!s->receiving) // what this thread waits for comes over lanes; others may wait for the link
            session_pass_role(s);
        // When the session is over, the receiver may still be writing to what is ours: wait until it has let go.
        atomic_store(&w->woken, 0);
        w->asleep = true;
        gn_lock_give(&s->receive_lock);
        gn_futex_wait(&w->woken, 0, over ? 1000000 : 0);
        gn_lock_take(&s->receive_lock);
        w->asleep = false;
    }
    if (!s->receiving)
        session_pass_role(s);
    gn_lock_give(&s->receive_lock);
    pthread_setcancelstate(cancel, NULL);
}

void session_room(struct gn_session *s)
{
    gn_lock_take(&s->receive_lock);
    for (struct waiter *w = s->waiters; w; w = w->next)
        if (w->kind == WAIT_ROOM) {
            w->done = true;
            session_wake(w);
        }
    gn_lock_give(&s->receive_lock);
}

// --- messages

static void acknowledge(struct gn_session *s, const struct gn_message *m)
{
    bool moved = false;
    gn_lock_take(&s->send_lock);
    uint64_t before = s->ring.acked;
    // The server must not free more slots than are in use, nor acknowledge what was not sent.
    if (gn_ring_ack(&s->ring, m->acked_bytes) || m->freed_small - s->small_freed > s->small_used - s->small_freed ||
        m->freed_large - s->large_freed > s->large_used - s->large_freed) {
        gn_lock_give(&s->send_lock);
        session_fail(s, "the server acknowledged what was never sent");
        return;
    }
    moved = before != s->ring.acked || s->small_freed != m->freed_small || s->large_freed != m->freed_large;
    s->small_freed = m->freed_small;
    s->large_freed = m->freed_large;
    gn_lock_give(&s->send_lock);
    if (moved)
        session_room(s);
}

static struct waiter *waiter_of(struct gn_session *s, uint64_t sequence)
{
    struct waiter *found = NULL;
    gn_lock_take(&s->receive_lock);
    for (struct waiter *w = s->waiters; w && !found; w = w->next)
        if (w->kind == WAIT_REPLY && w->sequence == sequence && !w->done && !w->held)
            found = w;
    gn_lock_give(&s->receive_lock);
    return found;
}

static int reply(struct gn_session *s, const struct gn_message *m)
{
    struct waiter *w = waiter_of(s, m->id);
    if (!w)
        return -EPROTO;
    if (m->size_bytes > w->body_room) {
        size_t room = m->size_bytes < 4096 ? 4096 : m->size_bytes;
        uint8_t *grown = realloc(w->body, room);
        if (!grown)
            return -ENOMEM;
        w->body = grown;
        w->body_room = room;
    }
    int error = take(s, w->body, m->size_bytes);
    if (!error)
        error = take(s, NULL, gn_pad8(m->size_bytes) - m->size_bytes);
    if (error)
        return error;
    if (!(m->value & GN_REPLY_SWEPT))
        gn_session_doubt(s);
    gn_lock_take(&s->receive_lock);
    w->body_bytes = m->size_bytes;
    w->code = m->code;
    w->latched = m->latched;
    w->latched_op = m->latched_op;
    // Before the caller knows: no more data goes to memory that is its own again.
    w->held = w->transfer && session_transfer_answered(s, w->transfer, m->code);
    if (!w->held) {
        w->done = true;
        session_wake(w);
    }
    gn_lock_give(&s->receive_lock);
    return 0;
}

static int data(struct gn_session *s, const struct gn_message *m)
{
    struct gn_box box;
    if (!session_transfer_room(s, m->id, m->value, m->size_bytes, &box))
        return -EPROTO;
    count(&s->payload_bytes_received, m->size_bytes);
    int error = 0;
    bool in_one_piece = (box.rows == 1 || box.pitch_bytes == box.width_bytes) &&
                        (box.slices == 1 || box.slice_bytes == box.width_bytes * box.rows);
    if (in_one_piece) {
        error = take(s, box.base + m->value, m->size_bytes);
    } else {
        uint64_t offset = m->value, left = m->size_bytes;
        while (left && !error) {
            size_t n = s->buffer_end - s->buffer_at;
            if (!n) {
                error = fill(s, 1);
                continue;
            }
            n = n < left ? n : (size_t)left;
            gn_box_scatter(&box, offset, s->buffer + s->buffer_at, n);
            s->buffer_at += n;
            offset += n;
            left -= n;
        }
    }
    if (!error)
        error = take(s, NULL, gn_pad8(m->size_bytes) - m->size_bytes);
    session_transfer_moved(s, m->id, m->size_bytes);
    return error;
}

// Packed data: received whole, unpacked, and put where it belongs.
static int packed_data(struct gn_session *s, const struct gn_message *m)
{
    struct gn_box box;
    if (!s->unpack_from && !(s->unpack_from = malloc(GN_PAYLOAD_BYTES_MAX)))
        return -ENOMEM;
    if (!s->unpack_to && !(s->unpack_to = malloc(GN_PAYLOAD_BYTES_MAX)))
        return -ENOMEM;
    int error = take(s, s->unpack_from, m->size_bytes);
    if (!error)
        error = take(s, NULL, gn_pad8(m->size_bytes) - m->size_bytes);
    if (error)
        return error;
    size_t raw_bytes = gn_packed_bytes(s->unpack_from, m->size_bytes, GN_PAYLOAD_BYTES_MAX);
    if (!raw_bytes || !session_transfer_room(s, m->id, m->value, raw_bytes, &box) ||
        gn_unpack(s->unpack_to, raw_bytes, s->unpack_from, m->size_bytes))
        return -EPROTO;
    gn_box_scatter(&box, m->value, s->unpack_to, raw_bytes);
    count(&s->payload_bytes_received, m->size_bytes);
    count(&s->unpacked_bytes, m->size_bytes);
    count(&s->unpacked_raw_bytes, raw_bytes);
    session_transfer_moved(s, m->id, raw_bytes);
    return 0;
}

// What kernels printed, in as many pieces as it comes in.
static int print(struct gn_session *s, const struct gn_message *m)
{
    const struct gn_session_events *on = &s->config.events;
    for (size_t left = m->size_bytes; left;) {
        size_t n = s->buffer_end - s->buffer_at;
        int error = n ? 0 : fill(s, 1);
        if (error)
            return error;
        n = n < left ? n : left;
        if (n && on->print)
            on->print(on->ctx, (const char *)s->buffer + s->buffer_at, n);
        s->buffer_at += n;
        left -= n;
    }
    return take(s, NULL, gn_pad8(m->size_bytes) - m->size_bytes);
}

// A message with a small body, which is brought into the buffer whole.
static int small(struct gn_session *s, const struct gn_message *m)
{
    size_t padded = gn_pad8(m->size_bytes);
    while (s->buffer_end - s->buffer_at < padded) {
        int error = fill(s, 1);
        if (error)
            return error;
    }
    const char *body = (const char *)s->buffer + s->buffer_at;
    s->buffer_at += padded;
    const struct gn_session_events *on = &s->config.events;
    uint64_t length = 0;
    switch (m->kind) {
    case GN_MESSAGE_DONE:
        gn_session_doubt(s);
        session_transfer_close(s, m->id);
        break;
    case GN_MESSAGE_MARK: return session_marks(s, m, body) ? -EPROTO : 0;
    case GN_MESSAGE_HOST:
        gn_session_doubt(s);
        if (on->host)
            on->host(on->ctx, m->id, m->code);
        atomic_store(&s->host_due, true);
        break;
    case GN_MESSAGE_PULL:
        if (m->size_bytes != sizeof length)
            return -EPROTO;
        memcpy(&length, body, sizeof length);
        session_pull(s, m->id, m->value, length);
        break;
    case GN_MESSAGE_CREDIT:
        if (on->credit)
            on->credit(on->ctx, m->id, m->value);
        break;
    case GN_MESSAGE_GOODBYE: session_fail(s, "the server ended the session: %.*s", (int)m->size_bytes, body); break;
    default: break; // an acknowledgement
    }
    return 0;
}

int session_pump(struct gn_session *s, int wait, const struct waiter *w)
{
    static const uint32_t most_bytes[GN_MESSAGE_KINDS] = {
        [GN_MESSAGE_REPLY] = GN_REPLY_BYTES_MAX, [GN_MESSAGE_DATA] = GN_PAYLOAD_BYTES_MAX, [GN_MESSAGE_PULL] = 8,
        [GN_MESSAGE_PRINT] = PRINT_BYTES_MAX, [GN_MESSAGE_GOODBYE] = 4096, [GN_MESSAGE_MARK] = 8 * GN_MARKS_MAX,
        [GN_MESSAGE_PACKED] = GN_PAYLOAD_BYTES_MAX,
    };
    struct gn_message m;
    s->looks = w && w->kind == WAIT_REPLY;
    while (s->buffer_end - s->buffer_at < sizeof m) {
        int error = fill(s, wait);
        if (error)
            return error;
    }
    do { // everything that is here already; but a thread whose reply is here does not go on for others
        memcpy(&m, s->buffer + s->buffer_at, sizeof m);
        s->buffer_at += sizeof m;
        if (!m.kind || m.kind >= GN_MESSAGE_KINDS || m.size_bytes > most_bytes[m.kind])
            return -EPROTO;
        bool is_payload = m.kind == GN_MESSAGE_DATA || m.kind == GN_MESSAGE_PACKED;
        count(&s->command_bytes_received, sizeof m + (is_payload ? 0 : gn_pad8(m.size_bytes)));
        acknowledge(s, &m);
        int error = m.kind == GN_MESSAGE_REPLY    ? reply(s, &m)
                    : m.kind == GN_MESSAGE_DATA   ? data(s, &m)
                    : m.kind == GN_MESSAGE_PACKED ? packed_data(s, &m)
                    : m.kind == GN_MESSAGE_PRINT  ? print(s, &m)
                                                  : small(s, &m);
        if (error)
            return error;
    } while (!(w && (w->done || w->held)) && s->buffer_end - s->buffer_at >= sizeof m && !atomic_load(&s->over));
    return 0;
}

// --- the receiver thread

void session_due(struct gn_session *s, int64_t change)
{
    int64_t before = atomic_fetch_add(&s->async_due, change);
    if (change < 0 || before > 0 || !s->has_threads)
        return;
    int cancel; // the receiver is woken by a write to a descriptor, under the lock
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    gn_lock_take(&s->receive_lock);
    if (!s->receiving)
        session_pass_role(s);
    gn_lock_give(&s->receive_lock);
    pthread_setcancelstate(cancel, NULL);
}

// With the receive lock, which it lets go meanwhile: one round of receiving for what is due.
static void receive_due(struct gn_session *s)
{
    s->receiving = true;
    gn_lock_give(&s->receive_lock);
    int error = session_pump(s, 1, NULL);
    if (error)
        session_fail(s, "receiving from the server failed: %s",
                     error == -ECONNRESET ? "it closed the connection" : strerror(-error));
    gn_lock_take(&s->receive_lock);
    s->receiving = false;
}

void *session_receiver(void *session)
{
    struct gn_session *s = session;
    bool hung_up = false;
    gn_lock_take(&s->receive_lock);
    while (!atomic_load(&s->stopping) && !atomic_load(&s->over)) {
        uint32_t word = atomic_load(&s->receiver_word);
        bool due = atomic_load(&s->async_due) > 0 || hung_up;
        if (due && !s->receiving) {
            receive_due(s);
        } else if (due) { // somebody receives, and will wake this thread when leaving
            gn_lock_give(&s->receive_lock);
            gn_futex_wait(&s->receiver_word, word, 100000000);
            gn_lock_take(&s->receive_lock);
        } else {
            // Not decided before, by another look at what is due: a host function that ends meanwhile takes its part away without the lock.
            if (!s->receiving)
                session_pass_role(s);
            s->watching = true;
            gn_lock_give(&s->receive_lock);
            int result = s->link->ops->watch(s->link);
            gn_lock_take(&s->receive_lock);
            s->watching = false;
            hung_up = result != 0;
        }
    }
    // Whoever waits must see that the session is over, and go.
    for (struct waiter *w = s->waiters; w; w = w->next)
        session_wake(w);
    gn_lock_give(&s->receive_lock);
    return NULL;
}
