// SPDX-License-Identifier: Apache-2.0
// Copies under way between the program's host memory and the server, by number: the server never names an address of the client's.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "remoting/futex.h"
#include "remoting/session/session_parts.h"

// --- boxes

struct walk { // from a byte of a packed box to its place
    uint64_t column, row, slice;
};

static struct walk walk_to(const struct gn_box *box, uint64_t offset)
{
    uint64_t row = offset / box->width_bytes;
    return (struct walk){.column = offset % box->width_bytes, .row = row % box->rows, .slice = row / box->rows};
}

// The piece of a row at the walk's place, at most `most` bytes; steps over it.
static uint8_t *walk_piece(const struct gn_box *box, struct walk *w, size_t most, size_t *piece_bytes)
{
    uint8_t *at = box->base + w->slice * box->slice_bytes + w->row * box->pitch_bytes + w->column;
    size_t n = box->width_bytes - (size_t)w->column;
    n = n < most ? n : most;
    w->column += n;
    if (w->column == box->width_bytes) {
        w->column = 0;
        if (++w->row == box->rows) {
            w->row = 0;
            w->slice++;
        }
    }
    *piece_bytes = n;
    return at;
}

void gn_box_scatter(const struct gn_box *box, uint64_t offset, const uint8_t *from, size_t size_bytes)
{
    struct walk w = walk_to(box, offset);
    while (size_bytes) {
        size_t n;
        uint8_t *at = walk_piece(box, &w, size_bytes, &n);
        memcpy(at, from, n);
        from += n;
        size_bytes -= n;
    }
}

void gn_box_gather(const struct gn_box *box, uint64_t offset, uint8_t *to, size_t size_bytes)
{
    struct walk w = walk_to(box, offset);
    while (size_bytes) {
        size_t n;
        const uint8_t *at = walk_piece(box, &w, size_bytes, &n);
        memcpy(to, at, n);
        to += n;
        size_bytes -= n;
    }
}

// --- the table

static struct transfer *find(struct gn_session *s, uint64_t id)
{
    uint64_t index = id & 0xffffffff;
    if (index >= s->transfer_count || s->transfers[index].generation != id >> 32 ||
        s->transfers[index].kind == TRANSFER_FREE)
        return NULL;
    return &s->transfers[index];
}

uint64_t session_transfer_open(struct gn_session *s, enum transfer_kind kind, const struct gn_box *box)
{
    uint64_t id = 0;
    gn_lock_take(&s->receive_lock);
    uint32_t index = s->transfer_free;
    if (!index && s->transfer_count == s->transfer_room && s->transfer_room < TRANSFERS_MAX) {
        uint32_t room = s->transfer_room ? s->transfer_room * 2 : 64;
        struct transfer *grown = realloc(s->transfers, room * sizeof *grown);
        if (grown) {
            s->transfers = grown;
            s->transfer_room = room;
        }
    }
    if (index) {
        s->transfer_free = s->transfers[index - 1].next_free;
    } else if (s->transfer_count < s->transfer_room) {
        index = ++s->transfer_count;
        s->transfers[index - 1].generation = 0;
    }
    if (index) {
        struct transfer *t = &s->transfers[index - 1];
        *t = (struct transfer){.generation = t->generation + 1 ? t->generation + 1 : 1, .kind = kind, .box = *box};
        id = (uint64_t)t->generation << 32 | (index - 1);
    }
    gn_lock_give(&s->receive_lock);
    if (id && kind != TRANSFER_READ)
        session_due(s, 1);
    return id;
}

void session_transfer_close(struct gn_session *s, uint64_t id)
{
    gn_lock_take(&s->receive_lock);
    struct transfer *t = find(s, id);
    enum transfer_kind kind = t ? t->kind : TRANSFER_FREE;
    if (t && t->landing) { // not before the lanes have let go: session_transfer_leave
        t->ended = true;
    } else if (t) {
        t->kind = TRANSFER_FREE;
        t->next_free = s->transfer_free;
        s->transfer_free = (uint32_t)(t - s->transfers) + 1;
    }
    gn_lock_give(&s->receive_lock);
    if (kind == TRANSFER_READ_ASYNC || kind == TRANSFER_PULL)
        session_due(s, -1);
}

bool session_transfer_room(struct gn_session *s, uint64_t id, uint64_t offset, uint64_t size_bytes, struct gn_box *box)
{
    (void)atomic_load_explicit(&s->hosts_done, memory_order_acquire);
    gn_lock_take(&s->receive_lock);
    const struct transfer *t = find(s, id);
    bool fits = t && t->kind != TRANSFER_PULL && !t->ended && offset <= gn_box_bytes(&t->box) && size_bytes <= gn_box_bytes(&t->box) - offset;
    if (fits)
        *box = t->box;
    if (fits && t->kind == TRANSFER_READ_ASYNC)
        gn_session_doubt(s); // before the bytes are where the program can see them
    gn_lock_give(&s->receive_lock);
    return fits;
}

// With the receive lock: when all bytes are here, a reply that had to be held for them may be acted on.
static void tell_whole(struct gn_session *s, struct transfer *t, uint64_t id)
{
    if (t->kind != TRANSFER_READ || t->landing || t->moved_bytes < gn_box_bytes(&t->box))
        return;
    for (struct waiter *w = s->waiters; w; w = w->next)
        if (w->held && !w->done && w->transfer == id) {
            t->ended = true;
            w->done = true;
            session_wake(w);
            return;
        }
}

void session_transfer_moved(struct gn_session *s, uint64_t id, uint64_t size_bytes)
{
    gn_lock_take(&s->receive_lock);
    struct transfer *t = find(s, id);
    bool all = false;
    if (t) {
        t->moved_bytes += size_bytes;
        all = t->kind == TRANSFER_PULL && t->moved_bytes >= gn_box_bytes(&t->box);
        tell_whole(s, t, id);
    }
    gn_lock_give(&s->receive_lock);
    if (all)
        session_transfer_close(s, id);
}

// --- what lanes bring

bool session_transfer_answered(struct gn_session *s, uint64_t id, int32_t code)
{
    struct transfer *t = find(s, id);
    bool waits = t && !t->ended && !code && atomic_load(&s->lanes) && (t->landing || t->moved_bytes < gn_box_bytes(&t->box));
    if (t && !waits)
        t->ended = true;
    return waits;
}

int session_transfer_land(struct gn_session *s, const struct gn_lane_data *head, struct gn_box *box)
{
    uint64_t index = head->transfer & 0xffffffff, generation = head->transfer >> 32;
    int result = -EPROTO;
    gn_lock_take(&s->receive_lock);
    struct transfer *t = index < s->transfer_count ? &s->transfers[index] : NULL;
    if (t && generation && (generation < t->generation || (generation == t->generation && (t->ended || t->kind == TRANSFER_FREE)))) {
        result = 0;
    } else if (t && generation == t->generation && t->kind == TRANSFER_READ && head->offset <= gn_box_bytes(&t->box) &&
               head->size_bytes <= gn_box_bytes(&t->box) - head->offset) {
        *box = t->box;
        t->landing++;
        result = 1;
    }
    gn_lock_give(&s->receive_lock);
    return result;
}

void session_transfer_landed(struct gn_session *s, const struct gn_lane_data *head, bool whole)
{
    gn_lock_take(&s->receive_lock);
    struct transfer *t = find(s, head->transfer); // still there: who closes it waits for the landing
    t->landing--;
    t->moved_bytes += whole ? head->size_bytes : 0;
    tell_whole(s, t, head->transfer);
    if (t->ended && !t->landing) {
        atomic_fetch_add(&s->landed, 1);
        gn_futex_wake(&s->landed, INT_MAX);
    }
    gn_lock_give(&s->receive_lock);
}

void session_transfer_leave(struct gn_session *s, uint64_t id)
{
    for (;;) {
        uint32_t word = atomic_load(&s->landed);
        gn_lock_take(&s->receive_lock);
        struct transfer *t = find(s, id);
        bool landing = t && t->landing;
        if (t)
            t->ended = true;
        gn_lock_give(&s->receive_lock);
        if (!landing)
            break;
        gn_futex_wait(&s->landed, word, 0);
    }
    session_transfer_close(s, id);
}

// --- copies

int gn_session_read(struct gn_session *s, uint64_t context, void *args, const struct gn_box *to, int32_t *code,
                    struct gn_latched *latched)
{
    struct gn_args_read *a = args;
    a->transfer = session_transfer_open(s, TRANSFER_READ, to);
    if (!a->transfer)
        return -ENOMEM;
    int error = session_ask_read(s, context, a, a->transfer, code, latched);
    session_transfer_leave(s, a->transfer);
    return error;
}

// A posted copy: its transfer is due from before the command is sent.
static int post_transfer(struct gn_session *s, uint64_t context, unsigned op, const void *args, uint64_t transfer, int32_t *code)
{
    if (!transfer)
        return -ENOMEM;
    int error = gn_session_post(s, context, op, args, code);
    if (error)
        session_transfer_close(s, transfer);
    return error;
}

int gn_session_read_async(struct gn_session *s, uint64_t context, void *args, const struct gn_box *to, int32_t *code)
{
    struct gn_args_read_async *a = args;
    a->transfer = session_transfer_open(s, TRANSFER_READ_ASYNC, to);
    return post_transfer(s, context, GN_OP_read_async, a, a->transfer, code);
}

int gn_session_write_pull(struct gn_session *s, uint64_t context, void *args, const struct gn_box *from, int32_t *code)
{
    struct gn_args_write_pull *a = args;
    a->transfer = session_transfer_open(s, TRANSFER_PULL, from);
    return post_transfer(s, context, GN_OP_write_pull, a, a->transfer, code);
}

bool gn_session_host_pending(struct gn_session *s) { return atomic_load(&s->async_due) > 0; }

// The server asks for bytes of a pinned buffer: they go out as a control frame.
void session_pull(struct gn_session *s, uint64_t id, uint64_t offset, uint64_t size_bytes)
{
    gn_lock_take(&s->receive_lock);
    const struct transfer *t = find(s, id);
    struct gn_box box = {0};
    bool fits = t && t->kind == TRANSFER_PULL && size_bytes && size_bytes <= s->chunk_bytes && offset <= gn_box_bytes(&t->box) &&
                size_bytes <= gn_box_bytes(&t->box) - offset;
    if (fits)
        box = t->box;
    gn_lock_give(&s->receive_lock);
    if (!fits) {
        session_fail(s, "the server asked for bytes that no copy offers");
        return;
    }
    struct control *c = calloc(1, sizeof *c);
    // The bytes are copied here: afterwards the program may write to its buffer as soon as the stream has passed the copy. A session without
    // threads sends them before it goes on, so there they need no memory where they lie in one piece.
    bool in_one_piece = (box.rows == 1 || box.pitch_bytes == box.width_bytes) &&
                        (box.slices == 1 || box.slice_bytes == box.width_bytes * box.rows);
    bool borrowed = in_one_piece && !s->has_threads;
    uint8_t *packed = !c ? NULL : borrowed ? box.base + offset : malloc(size_bytes);
    if (!packed) {
        free(c);
        session_fail(s, "out of memory while sending a pinned buffer");
        return;
    }
    if (!borrowed)
        gn_box_gather(&box, offset, packed, size_bytes);
    struct gn_command head = {.size_bytes = sizeof head + 24, .op = GN_CONTROL_PULLED, .flags = GN_COMMAND_CONTROL | GN_COMMAND_PAYLOAD};
    uint64_t body[3] = {size_bytes, id, offset};
    memcpy(c->head, &head, sizeof head);
    memcpy(c->head + sizeof head, body, sizeof body);
    c->head_bytes = sizeof head + sizeof body;
    c->payload = packed;
    c->borrowed = borrowed;
    c->payload_bytes = size_bytes;
    if (session_queue_control(s, c))
        session_transfer_moved(s, id, size_bytes);
    else
        session_fail(s, "the server asks for more of pinned buffers than it can have room for");
}

void gn_session_host_expected(struct gn_session *s) { session_due(s, 1); }

int gn_session_host_done(struct gn_session *s, uint64_t token)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    struct gn_command head = {.size_bytes = sizeof head + 8, .op = GN_CONTROL_HOST_DONE, .flags = GN_COMMAND_CONTROL};
    memcpy(c->head, &head, sizeof head);
    memcpy(c->head + sizeof head, &token, sizeof token);
    c->head_bytes = sizeof head + sizeof token;
    atomic_fetch_add_explicit(&s->hosts_done, 1, memory_order_release); // pairs with the acquire in session_transfer_room
    session_queue_control(s, c);
    session_due(s, -1);
    return atomic_load(&s->over) ? -ENOTCONN : 0;
}
