// SPDX-License-Identifier: Apache-2.0
// The sending half of a session: commands into the ring, bytes from the ring, payload and control frames to the link.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "remoting/futex.h"
#include "remoting/session/session_parts.h"

static bool is_pending(const struct gn_session *s)
{
    return s->controls || s->extent_count || s->ring.sent != s->ring.head;
}

// --- what goes out next

struct batch {
    struct iovec pieces[4];
    int count;
    size_t ring_bytes, extent_bytes, total_bytes;
    uint64_t until; // of the ring
    bool control;
};

static const uint8_t zeros[8];

static void add_piece(struct batch *b, const void *data, size_t size_bytes)
{
    if (!size_bytes)
        return;
    b->pieces[b->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size_bytes};
    b->total_bytes += size_bytes;
}

// Payload and the zeros that pad it, less what has been sent.
static void add_payload(struct batch *b, const uint8_t *data, size_t size_bytes, size_t sent_bytes)
{
    if (sent_bytes < size_bytes) {
        add_piece(b, data + sent_bytes, size_bytes - sent_bytes);
        sent_bytes = size_bytes;
    }
    add_piece(b, zeros, gn_pad8(size_bytes) - sent_bytes);
}

// With the send lock. A control frame goes between two others only: not while one has been sent in part.
static void next_batch(struct gn_session *s, struct batch *b)
{
    memset(b, 0, sizeof *b);
    struct control *c = s->controls;
    if (c && !s->partial) {
        b->control = true;
        size_t sent = c->sent_bytes < c->head_bytes ? c->sent_bytes : c->head_bytes;
        add_piece(b, c->head + sent, c->head_bytes - sent);
        add_payload(b, c->payload, c->payload_bytes, c->sent_bytes - sent);
        return;
    }
    const struct extent *e = s->extent_count ? &s->extents[s->extent_first] : NULL;
    uint64_t until = e ? e->position : s->ring.head;
    if (s->partial && s->partial_until < until) { // no further, so that control frames get their turn
        until = s->partial_until;
        e = NULL;
    }
    b->until = until;
    struct gn_ring view = s->ring;
    for (int i = 0; i < 2 && view.sent != until; i++) {
        uint8_t *at;
        size_t n = gn_ring_unsent(&view, until, &at);
        add_piece(b, at, n);
        view.sent += n;
    }
    b->ring_bytes = b->total_bytes;
    if (e)
        add_payload(b, e->data, e->size_bytes, e->sent_bytes);
    b->extent_bytes = b->total_bytes - b->ring_bytes;
}

enum { UNSENT, SENT, UNSENT_AWAITED };

// Release: pairs with the acquire of the thread that waits; after it that thread may reuse the payload and the word itself, unless it sleeps.
static void tell_sent(_Atomic uint32_t *word)
{
    if (atomic_exchange_explicit(word, SENT, memory_order_release) == UNSENT_AWAITED)
        gn_futex_wake(word, 1);
}

static void finish_extent(struct gn_session *s)
{
    struct extent *e = &s->extents[s->extent_first];
    if (e->done)
        tell_sent(e->done);
    s->extent_first = (s->extent_first + 1) % EXTENTS_MAX;
    s->extent_count--;
}

void session_control_free(struct control *c)
{
    if (!c->borrowed)
        free(c->payload);
    free(c);
}

static void finish_control(struct gn_session *s)
{
    struct control *c = s->controls;
    s->controls = c->next;
    if (!s->controls)
        s->controls_end = &s->controls;
    s->pulled_bytes -= c->payload_bytes;
    session_control_free(c);
}

// With the send lock: `n` bytes of the batch are gone.
static void consume(struct gn_session *s, const struct batch *b, size_t n)
{
    s->counts.sends++;
    if (b->control) {
        struct control *c = s->controls;
        c->sent_bytes += n;
        s->counts.payload_bytes_sent += c->payload_bytes && c->sent_bytes > c->head_bytes ? n : 0;
        if (n == b->total_bytes)
            finish_control(s);
        return;
    }
    size_t ring = n < b->ring_bytes ? n : b->ring_bytes, rest = n - ring;
    s->ring.sent += ring;
    s->counts.command_bytes_sent += ring;
    if (b->extent_bytes && (rest || n == b->total_bytes)) {
        s->extents[s->extent_first].sent_bytes += rest;
        s->counts.payload_bytes_sent += rest;
        if (rest == b->extent_bytes)
            finish_extent(s);
    }
    s->partial = n < b->total_bytes;
    s->partial_until = b->until;
}

static bool is_sent(const struct gn_session *s, uint64_t until)
{
    return s->ring.sent >= until && !(s->extent_count && s->extents[s->extent_first].position <= until);
}

// With the send lock.
static void set_timer(struct gn_session *s, enum sender_state state, long after_ns)
{
    const struct itimerspec t = {.it_value = {.tv_nsec = after_ns}};
    timerfd_settime(s->sender_fd, 0, &t, NULL);
    s->sender = state;
}

void session_wake_sender(struct gn_session *s)
{
    set_timer(s, SENDER_DUE, 1);
    s->counts.wakeups++;
}

void session_kick(struct gn_session *s)
{
    if (s->sending || !is_pending(s) || s->sender == SENDER_NONE || atomic_load_explicit(&s->over, memory_order_relaxed))
        return;
    bool now = s->ring.head - s->ring.sent >= FLUSH_BYTES || s->extent_count || s->controls || s->partial || s->link->ops->direct;
    if (now && s->sender != SENDER_DUE)
        session_wake_sender(s);
    else if (!now && s->sender == SENDER_ASLEEP)
        set_timer(s, SENDER_ARMED, TAIL_NS * (long)s->patience);
}

// With wait = false it sends what the link takes at once, and leaves the rest to the sender thread.
static void send_pending(struct gn_session *s, uint64_t until, bool wait)
{
    int cancel; // a thread that were cancelled in a socket call would take the role with it
    gn_lock_take(&s->send_lock);
    if (s->sending) {
        gn_lock_give(&s->send_lock);
        return;
    }
    s->sending = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    while (!atomic_load(&s->over) && is_pending(s)) {
        // The rest, which other threads put there, is the sender thread's: a caller must not send for ever.
        if (is_sent(s, until) && !s->partial && !s->controls && s->has_threads)
            break;
        struct batch b;
        next_batch(s, &b);
        gn_lock_give(&s->send_lock);
        ssize_t n = s->link->ops->send(s->link, b.pieces, b.count, wait);
        if (n < 0 && n != -EAGAIN)
            session_fail(s, "sending to the server failed: %s", strerror((int)-n));
        gn_lock_take(&s->send_lock);
        if (n > 0)
            consume(s, &b, (size_t)n);
        else if (n == -EAGAIN)
            break;
    }
    s->sending = false;
    session_kick(s);
    gn_lock_give(&s->send_lock);
    pthread_setcancelstate(cancel, NULL);
}

void session_send_pending(struct gn_session *s, uint64_t until) { send_pending(s, until, true); }

void session_flush(struct gn_session *s)
{
    gn_lock_take(&s->send_lock);
    bool pending = is_pending(s) && !s->sending;
    uint64_t until = s->ring.head;
    gn_lock_give(&s->send_lock);
    if (pending)
        send_pending(s, until, false);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// With the send lock: has nothing been sent shortly before this command? Then its thread sends it: that is hardly dearer than waking another, and
// no wake-up lies in its way. What follows soon may wait for company.
static bool is_alone(struct gn_session *s)
{
    uint64_t now = now_ns();
    bool alone = now - s->alone_ns > ALONE_NS;
    s->alone_ns = now;
    s->counts.lone_sends += alone;
    if (s->tail_sent && alone) // it was the end of a burst: so may the next one end
        s->patience = 1;
    s->tail_sent = false;
    return alone;
}

// With the send lock: has the sender thread not moved for a long time, because it gets no core? Then what is pending would wait for as long as
// its neighbours like; the thread that posts is one that has a core.
static bool is_late(struct gn_session *s)
{
    uint64_t now = now_ns();
    if (s->ring.sent != s->late_sent || !s->late_ns) {
        s->late_sent = s->ring.sent;
        s->late_ns = now;
        return false;
    }
    if (now - s->late_ns < LATE_NS)
        return false;
    s->late_ns = now;
    return true;
}

// With the send lock, after a posted command: shall its thread send what is pending? If not, it sees to it that another does.
static bool is_to_be_sent(struct gn_session *s)
{
    uint64_t pending_bytes = s->ring.head - s->ring.sent;
    if (s->config.single)
        return true;
    if (!s->has_threads)
        return pending_bytes >= s->ring.size_bytes / 2;
    if (pending_bytes >= FLUSH_BYTES && s->sender != SENDER_DUE) {
        s->counts.flush_sends++;
        return true;
    }
    if (s->sender == SENDER_ASLEEP) {
        if (is_alone(s))
            return true;
        session_kick(s);
        return false;
    }
    bool late = !(s->sequence & (LATE_EVERY - 1)) && is_late(s);
    s->counts.late_sends += late;
    return late;
}

// With the send lock: over a link where sending is a copy, the thread of each command sends it; nobody needs to be woken for that, and the command
// is at the server at once. What does not fit is the sender thread's. 0 or -errno: the session is over.
static int send_direct(struct gn_session *s)
{
    ssize_t n = 1;
    while (n > 0 && !s->partial && s->ring.sent != s->ring.head) { // twice where the ring ends between
        uint8_t *at;
        size_t size = gn_ring_unsent(&s->ring, s->ring.head, &at);
        const struct iovec piece = {.iov_base = at, .iov_len = size};
        n = s->link->ops->send(s->link, &piece, 1, 0);
        if (n <= 0)
            break;
        s->counts.sends++;
        s->counts.command_bytes_sent += (size_t)n;
        s->ring.sent += (size_t)n;
        s->partial = (size_t)n < size;
        s->partial_until = s->ring.head;
    }
    s->counts.direct_sends += n > 0;
    session_kick(s); // what does not fit
    return n < 0 && n != -EAGAIN ? (int)n : 0;
}

// --- the sender thread

void *session_sender(void *session)
{
    struct gn_session *s = session;
    while (!atomic_load(&s->stopping)) {
        uint64_t fired;
        if (read(s->sender_fd, &fired, sizeof fired) < 0 && errno != EINTR)
            break;
        gn_lock_take(&s->send_lock);
        bool was_armed = s->sender == SENDER_ARMED, sends = is_pending(s) && !s->sending && !atomic_load(&s->over);
        s->sender = SENDER_ASLEEP;
        s->counts.tail_sends += sends;
        s->tail_sent = sends && was_armed;
        if (was_armed && !is_pending(s) && s->patience < PATIENCE_MAX) // whoever waited has sent the end of his burst himself
            s->patience *= 2;
        gn_lock_give(&s->send_lock);
        if (!sends)
            continue;
        session_send_pending(s, UINT64_MAX);
        gn_lock_take(&s->send_lock);
        s->alone_ns = now_ns();
        gn_lock_give(&s->send_lock);
    }
    return NULL;
}

void session_fail_senders(struct gn_session *s)
{
    gn_lock_take(&s->send_lock);
    for (unsigned i = 0; i < s->extent_count; i++) {
        struct extent *e = &s->extents[(s->extent_first + i) % EXTENTS_MAX];
        if (e->done) {
            _Atomic uint32_t *done = e->done;
            e->done = NULL;
            tell_sent(done);
        }
    }
    gn_lock_give(&s->send_lock);
    session_room(s);
}

// --- commands

static bool has_room(struct gn_session *s, size_t payload_bytes, bool is_small)
{
    if (!payload_bytes)
        return true;
    if (is_small)
        return s->small_used - s->small_freed < GN_SMALL_SLOTS;
    // A server may free what has not been sent; there must be a place for it all the same.
    return s->large_used - s->large_freed < s->large_slots && s->extent_count < EXTENTS_MAX;
}

static void say_starved(struct gn_session *s)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return; // the server acknowledges without being asked too, only later
    struct gn_command head = {.size_bytes = sizeof head, .op = GN_CONTROL_STARVED, .flags = GN_COMMAND_CONTROL};
    memcpy(c->head, &head, sizeof head);
    c->head_bytes = sizeof head;
    *s->controls_end = c;
    s->controls_end = &c->next;
}

// With the send lock, which it lets go while it waits. NULL: the session is over.
static uint8_t *reserve(struct gn_session *s, size_t frame_bytes, size_t payload_bytes, bool is_small)
{
    for (;;) {
        if (atomic_load_explicit(&s->over, memory_order_relaxed))
            return NULL;
        uint8_t *place = has_room(s, payload_bytes, is_small) ? gn_ring_reserve(&s->ring, frame_bytes) : NULL;
        if (place)
            return place;
        // The waiter is known before the lock is free, so the acknowledgement that makes room cannot be missed.
        struct waiter w = {.kind = WAIT_ROOM};
        uint64_t until = s->ring.head;
        say_starved(s);
        session_waiter_add(s, &w);
        gn_lock_give(&s->send_lock);
        session_send_pending(s, until);
        session_wait(s, &w);
        session_waiter_remove(s, &w);
        gn_lock_take(&s->send_lock);
    }
}

struct posting {
    uint64_t context;
    unsigned op;
    const void *args;
    const void *payload;
    size_t payload_bytes;
    bool packed;
    _Atomic uint32_t *sent; // for large payload
    struct waiter *reply;   // or NULL
    uint64_t transfer;      // of a read, or 0
    uint64_t end;           // out: the position after it
    unsigned lane;          // that the payload goes over, or 0: behind the command
};

static const size_t scope_bytes = sizeof(struct gn_command) + 8;

static uint8_t *put_scope(struct gn_session *s, uint8_t *place, uint64_t context)
{
    struct gn_command head = {.size_bytes = (uint32_t)scope_bytes, .op = GN_OP_scope};
    memcpy(place, &head, sizeof head);
    memcpy(place + sizeof head, &context, sizeof context);
    s->sequence++;
    s->counts.commands++;
    s->scope = context;
    return place + scope_bytes;
}

// Puts one command into the ring, after a scope command when its context is another than the last one's. 0, -ENOTCONN, -EMSGSIZE. Always inline: of a
// plain post, the path of every launch, the compiler then knows what it has not, and keeps the rest in registers.
static inline __attribute__((always_inline)) int enqueue_inline(struct gn_session *s, struct posting *p)
{
    const struct gn_codec *codec = &gn_codecs[p->op];
    bool is_small = p->payload_bytes <= GN_SMALL_PAYLOAD_BYTES && !p->packed;
    size_t body = codec->size(p->args), small = is_small ? gn_pad8(p->payload_bytes) : 0;
    size_t frame = sizeof(struct gn_command) + body;
    if (frame > GN_COMMAND_BYTES_MAX || frame + small + scope_bytes > s->ring.size_bytes)
        return -EMSGSIZE;
    gn_lock_take(&s->send_lock);
    // Room for a scope command too: whether one is needed can change while this thread waits.
    uint8_t *place = reserve(s, frame + small + scope_bytes, p->payload_bytes, is_small);
    if (!place) {
        gn_lock_give(&s->send_lock);
        return -ENOTCONN;
    }
    uint8_t *begin = place;
    if (p->context && p->context != s->scope)
        place = put_scope(s, place, p->context);
    struct gn_command head = {
        .size_bytes = (uint32_t)frame,
        .op = (uint16_t)p->op,
        .flags = (uint16_t)((codec->payload ? GN_COMMAND_PAYLOAD : 0) | (p->packed ? GN_COMMAND_PACKED : 0) | p->lane << GN_COMMAND_LANE_SHIFT |
                            (p->reply && gn_api[p->op].class == GN_POSTED ? GN_COMMAND_CONFIRM : 0)),
    };
    memcpy(place, &head, sizeof head);
    struct gn_cursor c = gn_cursor_over(place + sizeof head, body);
    codec->encode(&c, p->args);
    if (codec->payload) {
        uint64_t length = p->payload_bytes;
        memcpy(place + sizeof head, &length, sizeof length);
    }
    place += frame;
    if (small) {
        memcpy(place, p->payload, p->payload_bytes);
        memset(place + p->payload_bytes, 0, small - p->payload_bytes);
        place += small;
        s->small_used++;
        s->small_bytes += small;
    }
    s->sequence++;
    s->counts.commands++;
    gn_ring_commit(&s->ring, (size_t)(place - begin));
    p->end = s->ring.head;
    if (p->payload_bytes && !small)
        s->large_used++;
    if (p->payload_bytes && !small && !p->lane) {
        s->extents[(s->extent_first + s->extent_count++) % EXTENTS_MAX] = (struct extent){
            .position = s->ring.head, .data = p->payload, .size_bytes = p->payload_bytes, .done = p->sent};
    }
    if (p->reply) {
        p->reply->sequence = s->sequence;
        session_waiter_add(s, p->reply);
    } else {
        bool here = p->sent && !is_small; // who posts large payload sends it, too
        if (!here && s->link->ops->direct && s->has_threads && !s->sending && !s->partial && !s->extent_count && !s->controls) {
            int error = send_direct(s);
            gn_lock_give(&s->send_lock);
            if (error)
                session_fail(s, "sending to the server failed: %s", strerror(-error));
            return 0;
        }
        bool sends = !s->sending && !here && is_to_be_sent(s);
        gn_lock_give(&s->send_lock);
        if (sends)
            send_pending(s, p->end, !s->has_threads);
        return 0;
    }
    gn_lock_give(&s->send_lock);
    return 0;
}

static int enqueue(struct gn_session *s, struct posting *p) { return enqueue_inline(s, p); }

// The thread's buffer for reply bodies; blobs of the last reply point into it.
struct reply_buffer {
    uint8_t *data;
    size_t room_bytes;
};
static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void free_buffer(void *buffer)
{
    free(((struct reply_buffer *)buffer)->data);
    free(buffer);
}
static void make_key(void) { pthread_key_create(&buffer_key, free_buffer); }

static struct reply_buffer *thread_buffer(void)
{
    pthread_once(&buffer_once, make_key);
    struct reply_buffer *b = pthread_getspecific(buffer_key);
    if (!b && (b = calloc(1, sizeof *b)))
        pthread_setspecific(buffer_key, b);
    return b;
}

// Posts and waits for the reply.
static int ask(struct gn_session *s, const struct posting *request, void *out, int32_t *code, struct gn_latched *latched)
{
    struct reply_buffer *buffer = thread_buffer();
    if (!buffer)
        return -ENOMEM;
    struct waiter w = {.kind = WAIT_REPLY, .body = buffer->data, .body_room = buffer->room_bytes, .transfer = request->transfer};
    struct posting p = *request;
    p.reply = &w;
    int error = enqueue(s, &p);
    if (error)
        return error;
    session_send_pending(s, p.end);
    session_wait(s, &w);
    session_waiter_remove(s, &w);
    buffer->data = w.body;
    buffer->room_bytes = w.body_room;
    if (!w.done)
        return -ENOTCONN;
    *code = w.code;
    latched->code = w.latched;
    latched->op = w.latched_op;
    latched->sequence = w.sequence;
    static uint8_t nothing[1]; // a thread's first reply may be empty, and it has no buffer yet
    struct gn_cursor c = gn_cursor_over(w.body ? w.body : nothing, w.body_bytes);
    if (out && w.code == 0 && !gn_codecs[p.op].decode_out(&c, out)) {
        session_fail(s, "the server's reply to %s is malformed", gn_api[p.op].name);
        return -ENOTCONN;
    }
    return 0;
}

int gn_session_ask(struct gn_session *s, uint64_t context, unsigned op, const void *args, void *out, int32_t *code,
                   struct gn_latched *latched)
{
    struct posting p = {.context = context, .op = op, .args = args};
    return ask(s, &p, out, code, latched);
}

int session_ask_read(struct gn_session *s, uint64_t context, const void *args, uint64_t transfer, int32_t *code, struct gn_latched *latched)
{
    struct posting p = {.context = context, .op = GN_OP_read, .args = args, .transfer = transfer};
    return ask(s, &p, NULL, code, latched);
}

// A posted command that is answered all the same: with its own code, so nothing is ever latched.
static int post_confirmed(struct gn_session *s, const struct posting *p, int32_t *code)
{
    struct gn_latched latched;
    return ask(s, p, NULL, code, &latched);
}

int gn_session_post(struct gn_session *s, uint64_t context, unsigned op, const void *args, int32_t *code)
{
    *code = 0;
    if (__builtin_expect(s->config.confirm_posts, 0)) {
        struct posting confirmed = {.context = context, .op = op, .args = args};
        return post_confirmed(s, &confirmed, code);
    }
    struct posting p = {.context = context, .op = op, .args = args};
    return enqueue_inline(s, &p);
}

// A copy of the payload that goes out in its place, to be freed by the caller; NULL where packing does not pay.
static void *pack(struct gn_session *s, struct posting *p)
{
    size_t raw_bytes = p->payload_bytes;
    void *packed = NULL;
    if (!s->config.packs || raw_bytes < GN_PACK_BYTES_MIN)
        return NULL;
    if (gn_packing_wants_rate(&s->packing, raw_bytes) && s->link->ops->rate)
        gn_packing_rate(&s->packing, s->link->ops->rate(s->link));
    if (!gn_packing_pays(&s->packing, p->payload, raw_bytes) || !(packed = malloc(gn_pack_room_bytes(raw_bytes))))
        return NULL;
    size_t packed_bytes = gn_pack(&s->packing, packed, p->payload, raw_bytes);
    if (!packed_bytes) {
        free(packed);
        return NULL;
    }
    p->payload = packed;
    p->payload_bytes = packed_bytes;
    p->packed = true;
    return packed;
}

// Until the payload is in the socket.
static void wait_until_sent(struct gn_session *s, const struct posting *p)
{
    while (atomic_load_explicit(p->sent, memory_order_acquire) != SENT) {
        uint32_t expected = UNSENT;
        session_send_pending(s, p->end);
        // Another thread sends; look again each millisecond in case it stopped early.
        if (atomic_compare_exchange_strong(p->sent, &expected, UNSENT_AWAITED) || expected == UNSENT_AWAITED)
            gn_futex_wait(p->sent, UNSENT_AWAITED, 1000000);
    }
}

// Over a lane, where there are some; false: none is open, or this payload is not for one. The lane stays this thread's until its piece is in the socket, so the pieces are in the order of their commands.
static bool post_over_lane(struct gn_session *s, struct posting *p, int *result)
{
    struct gn_lanes *lanes = atomic_load_explicit(&s->lanes, memory_order_acquire);
    int cancel, error; // a thread that were cancelled in a socket call would take the lane with it
    if (!lanes || p->payload_bytes < GN_LANE_BYTES_MIN || s->config.confirm_posts)
        return false;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    p->lane = gn_lanes_take(lanes);
    if (!p->lane) {
        pthread_setcancelstate(cancel, NULL);
        return false;
    }
    error = enqueue(s, p);
    if (!error && (error = gn_lanes_send(lanes, p->lane, p->payload, p->payload_bytes)))
        session_fail(s, "sending over a lane failed: %s", strerror(-error));
    if (!error) {
        atomic_fetch_add_explicit(&s->lane_sends, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->lane_bytes, p->payload_bytes, memory_order_relaxed);
    }
    gn_lanes_give(lanes, p->lane);
    pthread_setcancelstate(cancel, NULL);
    *result = error ? -ENOTCONN : 0;
    return true;
}

int gn_session_post_payload(struct gn_session *s, uint64_t context, unsigned op, void *args, const void *data,
                            size_t size_bytes, int32_t *code)
{
    _Atomic uint32_t sent = UNSENT;
    struct posting p = {.context = context, .op = op, .args = args, .payload = data, .payload_bytes = size_bytes};
    *code = 0;
    if (size_bytes > s->chunk_bytes)
        return -EMSGSIZE;
    int error;
    if (post_over_lane(s, &p, &error))
        return error;
    void *packed = pack(s, &p);
    if (s->config.confirm_posts) {
        error = post_confirmed(s, &p, code);
    } else {
        p.sent = &sent; // not before: a reply can be here before the thread that sent the payload has come to write this word
        error = enqueue(s, &p);
        if (!error && size_bytes > GN_SMALL_PAYLOAD_BYTES) {
            wait_until_sent(s, &p);
            error = atomic_load(&s->over) ? -ENOTCONN : 0;
        }
    }
    free(packed);
    return error;
}

bool session_queue_control(struct gn_session *s, struct control *control)
{
    gn_lock_take(&s->send_lock);
    if (control->payload_bytes > PULLED_BYTES_MAX - s->pulled_bytes) {
        gn_lock_give(&s->send_lock);
        session_control_free(control);
        return false;
    }
    s->pulled_bytes += control->payload_bytes;
    *s->controls_end = control;
    s->controls_end = &control->next;
    session_kick(s);
    bool has_sender = s->has_threads;
    gn_lock_give(&s->send_lock);
    if (!has_sender) // the stream waits for this frame, and its thread perhaps for the stream: nobody else would send it
        session_send_pending(s, UINT64_MAX);
    return true;
}
