// SPDX-License-Identifier: Apache-2.0
// Reading: bytes from the link, payload into staging slots, control frames.
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_wire.h"
#include "remoting/session/pack.h"
#include "server/worker/commands_parts.h"
#include "server/worker/gate.h"
#include "server/worker/host.h"
#include "server/worker/lanes.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

// Jobs are near, and there are no commands: looks for both. What comes of the link, or -EAGAIN when no job is near any more.
static ssize_t attend(struct gn_commands *l, const struct iovec *piece)
{
    ssize_t n = -EAGAIN;
    int64_t begin_ns = now_ns(), last_ns = begin_ns, limit_ns = (int64_t)l->worker->limits.spin_us * 1000;
    bool lost = false;
    while (gn_waits_look(l->worker) && last_ns - begin_ns < limit_ns && (n = l->link->ops->recv(l->link, piece, 1, 0)) == -EAGAIN) {
        sched_yield(); // what the event waits for may need this core
        int64_t now = now_ns();
        lost = lost || now - last_ns > GN_SPIN_LOST_NS;
        last_ns = now;
    }
    gn_waits_leave(l->worker, lost ? GN_LOOK_LOST : n == -EAGAIN ? GN_LOOK_MISS : GN_LOOK_HIT);
    return n;
}

int commands_fill(struct gn_commands *l)
{
    if (l->at == l->end)
        l->at = l->end = 0;
    if (l->at) {
        memmove(l->buffer, l->buffer + l->at, l->end - l->at);
        l->end -= l->at;
        l->at = 0;
    }
    struct iovec piece = {.iov_base = l->buffer + l->end, .iov_len = BUFFER_BYTES - l->end};
    ssize_t n = gn_waits_near(l->worker) ? attend(l, &piece) : -EAGAIN;
    if (n == -EAGAIN)
        n = gn_spin_recv(&l->spin, l->link, &piece, 1);
    if (n <= 0)
        return commands_fail(l, (int)n, n ? "receiving failed" : "the client has gone");
    l->end += (size_t)n;
    struct gn_status *status = l->worker->status;
    commands_count(&status->received_bytes, (uint64_t)n);
    commands_count(&status->receives, 1);
    atomic_store_explicit(&status->looks, atomic_load_explicit(&l->spin.looks, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&status->look_hits, atomic_load_explicit(&l->spin.hits, memory_order_relaxed), memory_order_relaxed);
    return 0;
}

static int read_payload(struct gn_commands *l, uint8_t *to, size_t size_bytes)
{
    uint8_t padding[8];
    size_t left = size_bytes, pad = gn_pad8(size_bytes) - size_bytes;
    while (left + pad) {
        size_t have = l->end - l->at;
        if (have) {
            size_t n = left ? (have < left ? have : left) : have < pad ? have : pad;
            memcpy(left ? to : padding, l->buffer + l->at, n);
            l->at += n;
            to += left ? n : 0;
            *(left ? &left : &pad) -= n;
        } else if (left > BUFFER_BYTES / 4) {
            struct iovec piece = {.iov_base = to, .iov_len = left};
            ssize_t n = l->link->ops->recv(l->link, &piece, 1, 1);
            if (n <= 0)
                return commands_fail(l, (int)n, n ? "receiving failed" : "the client has gone");
            to += n;
            left -= (size_t)n;
            commands_count(&l->worker->status->received_bytes, (uint64_t)n);
        } else {
            int error = commands_fill(l);
            if (error)
                return error;
        }
    }
    commands_count(&l->worker->status->payload_in_bytes, size_bytes);
    return 0;
}

int commands_control(struct gn_commands *l, const struct frame *f)
{
    struct gn_worker *w = l->worker;
    uint64_t body[3] = {0};
    size_t size = f->head.size_bytes - sizeof f->head;
    memcpy(body, f->body, size < sizeof body ? size : sizeof body);
    bool payload = f->head.flags & GN_COMMAND_PAYLOAD;
    switch (f->head.op) {
    case GN_CONTROL_HOST_DONE:
        if (payload || size != 8 || !gn_host_done(w, body[0]))
            return commands_fail(l, -EPROTO, "the end of a host function that does not run");
        return 0;
    case GN_CONTROL_STARVED:
        if (payload || size)
            return commands_fail(l, -EPROTO, "a malformed control frame");
        pthread_mutex_lock(&l->lock);
        l->starved = true;
        pthread_mutex_unlock(&l->lock);
        return 0;
    case GN_CONTROL_PULLED: {
        void *place = payload && size == 24 ? gn_pull_place(w, body[1], body[2], body[0]) : NULL;
        if (!place)
            return commands_fail(l, -EPROTO, "bytes of a copy that nobody asked for");
        int error = read_payload(l, place, body[0]);
        if (!error)
            gn_pull_arrived(w, body[1], body[2]);
        return error;
    }
    default: return commands_fail(l, -EPROTO, "an unknown control frame");
    }
}

// Reads packed payload of `size_bytes` and unpacks it into the slot.
static int read_packed(struct gn_commands *l, struct frame *f, size_t size_bytes)
{
    if (!l->packed && !(l->packed = malloc(GN_PAYLOAD_BYTES_MAX)))
        return commands_fail(l, -ENOMEM, "no memory to unpack payload");
    int error = read_payload(l, l->packed, size_bytes);
    if (error)
        return error;
    size_t raw_bytes = gn_packed_bytes(l->packed, size_bytes, l->worker->limits.chunk_bytes);
    if (!raw_bytes || gn_unpack(f->payload.data, raw_bytes, l->packed, size_bytes))
        return commands_fail(l, -EPROTO, "packed payload that does not unpack to what it says");
    uint64_t told = raw_bytes;
    f->payload.size_bytes = told;
    memcpy(f->body, &told, sizeof told); // from here on as if it had come as it is
    return 0;
}

// Takes the payload of a command from its lane, where it lies in a slot already or soon will.
static int lane_payload(struct gn_commands *l, struct frame *f, unsigned lane, size_t size_bytes, bool packed)
{
    int slot = packed ? -EPROTO : gn_lanes_in_take(l->worker->lanes, lane, size_bytes);
    if (slot < 0)
        return slot == -EPROTO ? commands_fail(l, -EPROTO, "a command whose payload is not what its lane brings") : commands_fail(l, 0, "a lane has gone");
    f->payload = (struct gn_payload){.slot = slot, .data = gn_staging_data(l->worker->staging, slot), .size_bytes = size_bytes};
    f->end = l->position;
    commands_count(&l->worker->status->payload_in_bytes, size_bytes);
    return 0;
}

int commands_impossible_size(struct gn_commands *l) { return commands_fail(l, -EPROTO, "a frame of an impossible size"); }

// Reads the payload of a command into a slot of the staging.
int commands_payload(struct gn_commands *l, struct frame *f, uint8_t body_copy[PAYLOAD_BODY_BYTES_MAX])
{
    uint64_t size = 0;
    f->payload = (struct gn_payload){.slot = -1};
    bool expected = gn_codecs[f->head.op].payload;
    size_t body_bytes = f->head.size_bytes - sizeof f->head;
    if (expected != !!(f->head.flags & GN_COMMAND_PAYLOAD) || (!expected && f->head.flags & (GN_COMMAND_PACKED | LANE_FLAGS)) || (expected && (body_bytes < 8 || body_bytes > PAYLOAD_BODY_BYTES_MAX)))
        return commands_fail(l, -EPROTO, "a command with payload where none belongs, or without");
    if (!expected)
        return 0;
    memcpy(body_copy, f->body, body_bytes);
    f->body = body_copy;
    memcpy(&size, f->body, sizeof size);
    if (!size || size > l->worker->limits.chunk_bytes)
        return commands_fail(l, -EPROTO, "payload of no bytes, or of more than was agreed");
    bool packed = f->head.flags & GN_COMMAND_PACKED, small = size <= GN_SMALL_PAYLOAD_BYTES && !packed;
    unsigned lane = f->head.flags >> GN_COMMAND_LANE_SHIFT;
    if (lane)
        return lane_payload(l, f, lane, size, packed);
    f->payload.slot = gn_staging_take(l->worker->staging, small ? GN_SLOT_SMALL : GN_SLOT_LARGE);
    if (f->payload.slot < 0)
        return commands_fail(l, -EPROTO, "more payload than the window allows");
    f->payload.data = gn_staging_data(l->worker->staging, f->payload.slot);
    f->payload.size_bytes = size;
    if (small)
        l->position += gn_pad8(size);
    f->end = l->position;
    return packed ? read_packed(l, f, size) : read_payload(l, f->payload.data, size);
}
