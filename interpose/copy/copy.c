// SPDX-License-Identifier: Apache-2.0
// How a copy reaches the server, by where its ends lie:
//   host to device      the bytes go along with the command (write); or, where something still pending at the server may change a pinned source,
//                       the server fetches them when the stream arrives there (write_pull)
//   device to host      the call waits for the bytes (read); or, into pinned memory, they come later (read_async)
//   device to device    one command (copy)
//   host to host        here, after what is in the stream
#include "interpose/copy/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api_wire.h"
#include "core/frame.h"
#include "interpose/hints/hints.h"
#include "interpose/memory/memory_map.h"
#include "interpose/options.h"
#include "interpose/shadow/content.h"
#include "interpose/shadow/shadow.h"
#include "interpose/stream/hostfn.h"
#include "interpose/stream/stream.h"
#include "interpose/writes/writes.h"

// Rows from here on go out from where they lie; shorter ones are packed, so that a piece is one command.
enum { PACK_WIDTH_MAX = 64 << 10, PACK_BYTES_EMBEDDED = 16 << 10 };

struct work { // a copy that has been looked at
    struct gn_call *c;
    struct gn_shape shape;
    struct gn_end from, to;
    bool from_device, to_device, pinned, async; // pinned: the host's end is
    uint64_t stream;
    struct gn_meaning meaning; // of the device's end, where the other one is the host's
};

static uint64_t chunk_bytes(void)
{
    uint64_t chunk = gn_shim.welcome.chunk_bytes;
    return chunk && chunk < GN_PAYLOAD_BYTES_MAX ? chunk : GN_PAYLOAD_BYTES_MAX;
}

static struct gn_box host_box(const struct gn_end *end, const struct gn_shape *shape)
{
    return (struct gn_box){(uint8_t *)(uintptr_t)end->address,
                           end->pitch_bytes,
                           end->slice_bytes,
                           shape->width_bytes,
                           shape->rows,
                           shape->slices};
}

static const uint8_t *pack(uint8_t *buffer, const struct gn_end *from, const struct gn_piece *p)
{
    const uint8_t *row = (const uint8_t *)(uintptr_t)gn_piece_address(from, p);
    for (uint64_t y = 0; y < p->rows; y++, row += from->pitch_bytes)
        memcpy(buffer + y * p->width_bytes, row, p->width_bytes);
    return buffer;
}

static CUresult write_pieces(const struct work *w)
{
    struct gn_pieces walk = {.shape = w->shape, .piece_bytes = chunk_bytes()};
    bool gathered = w->from.pitch_bytes != w->shape.width_bytes && w->shape.rows > 1;
    if (gathered && w->shape.width_bytes >= PACK_WIDTH_MAX && w->shape.width_bytes < walk.piece_bytes)
        walk.piece_bytes = w->shape.width_bytes; // a row each
    bool packs = gathered && w->shape.width_bytes < PACK_WIDTH_MAX;
    uint8_t *buffer = NULL;
    if (packs) {
        uint64_t most = gn_options.embedded ? PACK_BYTES_EMBEDDED : walk.piece_bytes;
        most = most < w->shape.width_bytes ? w->shape.width_bytes : most;
        walk.piece_bytes = walk.piece_bytes < most ? walk.piece_bytes : most;
        uint64_t slice_bytes = w->shape.width_bytes * w->shape.rows;
        if (!(buffer = malloc(slice_bytes < walk.piece_bytes ? slice_bytes : walk.piece_bytes)))
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    struct gn_piece p;
    CUresult r = CUDA_SUCCESS;
    while (!r && gn_pieces_next(&walk, &p)) {
        const uint8_t *data =
            packs ? pack(buffer, &w->from, &p) : (const uint8_t *)(uintptr_t)gn_piece_address(&w->from, &p);
        size_t size_bytes = p.width_bytes * p.rows;
        struct gn_args_write args = {
            w->stream, gn_piece_address(&w->to, &p), w->to.pitch_bytes, p.width_bytes, p.rows, data,
            size_bytes};
        int32_t code;
        int status = gn_session_post_payload(gn_shim.session, gn_context_id(w->c), GN_OP_write, &args, data,
                                             size_bytes, &code);
        gn_writes_sent(w->c, GN_OP_write, &args);
        r = gn_posted(w->c, GN_OP_write, status, code);
    }
    free(buffer);
    return r;
}

static CUresult write_pull(const struct work *w)
{
    struct gn_args_write_pull args = {w->stream,
                                      w->to.address,
                                      w->to.pitch_bytes,
                                      w->to.slice_bytes,
                                      w->shape.width_bytes,
                                      w->shape.rows,
                                      w->shape.slices,
                                      0};
    struct gn_box box = host_box(&w->from, &w->shape);
    int32_t code;
    int status = gn_session_write_pull(gn_shim.session, gn_context_id(w->c), &args, &box, &code);
    gn_writes_sent(w->c, GN_OP_write_pull, &args);
    return gn_posted(w->c, GN_OP_write_pull, status, code);
}

// What the meaning says goes by content, where it is one range.
static bool goes_by_content(const struct work *w)
{
    return w->meaning.dedupe && w->shape.rows == 1 && w->shape.slices == 1 && gn_options_on(GN_OPT_CONTENT);
}

static CUresult write_now(const struct work *w)
{
    if (!goes_by_content(w))
        return write_pieces(w);
    return gn_content_write(w->c, w->stream, w->to.address, (const void *)(uintptr_t)w->from.address, w->shape.width_bytes, w->meaning);
}

CUresult gn_copy_send(struct gn_call *c, uint64_t stream, uint64_t address, const void *data, uint64_t size_bytes, struct gn_meaning m)
{
    struct work w = {.c = c, .shape = gn_shape_line(size_bytes), .stream = stream, .meaning = m};
    w.from = gn_end_line((uintptr_t)data, size_bytes);
    w.to = gn_end_line(address, size_bytes);
    return write_now(&w);
}

// Host memory that the server keeps comes here before the session's threads touch it.
static CUresult bring(const struct work *w, const struct gn_end *end)
{
    uint64_t span_bytes;
    if (__builtin_expect(!atomic_load_explicit(&gn_shadow_any, memory_order_relaxed), 1) || gn_end_span(end, &w->shape, &span_bytes))
        return CUDA_SUCCESS;
    return gn_shadow_bring(end->address, span_bytes);
}

static bool is_line(const struct work *w) { return gn_hints_on && w->shape.rows == 1 && w->shape.slices == 1; }

static CUresult to_device(const struct work *w)
{
    CUresult r = CUDA_SUCCESS;
    // A host function in the stream may be about to write the source. A real driver reads pageable memory
    // after the stream has come to here.
    if (!w->pinned && !w->async && gn_host_functions_pending())
        r = gn_stream_wait(w->c, w->stream);
    bool tracked = !r && is_line(w) && gn_shadow_write(w->c, w->stream, w->to.address, (const void *)(uintptr_t)w->from.address, w->shape.width_bytes, w->meaning, &r);
    if (!r && !tracked && !(r = bring(w, &w->from)))
        r = w->pinned && gn_session_host_pending(gn_shim.session) ? write_pull(w) : write_now(w);
    // From pinned memory the device reads by itself: the call is back when it has, and work of any other
    // stream finds the data.
    if (!r && w->pinned && !w->async)
        r = gn_stream_wait(w->c, w->stream);
    return r;
}

static CUresult receive(const struct work *w)
{
    // read and read_async have the same arguments.
    struct gn_args_read args = {w->stream,
                                w->from.address,
                                w->from.pitch_bytes,
                                w->from.slice_bytes,
                                w->shape.width_bytes,
                                w->shape.rows,
                                w->shape.slices,
                                0};
    struct gn_box box = host_box(&w->to, &w->shape);
    uint64_t context = gn_context_id(w->c);
    int32_t code = 0;
    if (w->pinned && w->async) {
        struct gn_args_read_async async_args;
        static_assert(sizeof async_args == sizeof args, "the two reads have the same arguments");
        memcpy(&async_args, &args, sizeof args);
        int posted = gn_session_read_async(gn_shim.session, context, &async_args, &box, &code);
        return gn_posted(w->c, GN_OP_read_async, posted, code);
    }
    struct gn_latched latched = {0};
    int status = gn_session_read(gn_shim.session, context, &args, &box, &code, &latched);
    return gn_answered(w->c, GN_OP_read, status, code, &latched);
}

static CUresult to_host(const struct work *w)
{
    CUresult r;
    if (w->meaning.keep_remote && is_line(w) &&
        gn_shadow_read(w->c, w->stream, w->from.address, (void *)(uintptr_t)w->to.address, w->shape.width_bytes, w->pinned && w->async, w->meaning, &r))
        return r;
    if ((r = bring(w, &w->to)))
        return r;
    return receive(w);
}

CUresult gn_copy_receive(struct gn_call *c, uint64_t stream, uint64_t address, uint64_t to, uint64_t size_bytes, bool waits)
{
    struct work w = {.c = c, .shape = gn_shape_line(size_bytes), .stream = stream, .pinned = !waits, .async = !waits};
    w.from = gn_end_line(address, size_bytes);
    w.to = gn_end_line(to, size_bytes);
    return receive(&w);
}

static CUresult within_device(const struct work *w)
{
    struct gn_args_copy args = {
        w->stream,         w->to.address,       w->from.address,      w->to.pitch_bytes, w->from.pitch_bytes,
        w->to.slice_bytes, w->from.slice_bytes, w->shape.width_bytes, w->shape.rows,     w->shape.slices};
    return gn_post(w->c, GN_OP_copy, &args);
}

// What the stream comes to before new work: its own earlier work, and by the rule of the legacy stream that of others, for which
// synchronising it would not wait. An event is such work; it belongs to the stream's context, which need not be the current one.
static CUresult wait_as_work(const struct work *w)
{
    struct gn_args_cuEventCreate made = {.Flags = CU_EVENT_DISABLE_TIMING};
    const struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)w->stream, GN_KIND_STREAM);
    struct gn_call there = *w->c;
    if (slot && !(there.context = gn_context_find((CUcontext)(uintptr_t)slot->context)))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = gn_handle_new_here(&there, GN_KIND_EVENT, CU_EVENT_DISABLE_TIMING, &made.phEvent);
    if (r)
        return r;
    r = gn_post(&there, GN_OP_cuEventCreate, &made);
    if (!r)
        r = gn_post(&there, GN_OP_event_record, &(struct gn_args_event_record){.event = made.phEvent, .stream = w->stream});
    if (!r)
        r = gn_ask(&there, GN_OP_event_synchronize, &(struct gn_args_event_synchronize){.event = made.phEvent},
                   &(struct gn_out_event_synchronize){0});
    gn_post(&there, GN_OP_event_destroy, &(struct gn_args_event_destroy){.event = made.phEvent});
    gn_handle_drop(made.phEvent);
    return r;
}

static CUresult within_host(const struct work *w)
{
    CUresult r = wait_as_work(w);
    if (r || (r = bring(w, &w->from)) || (r = bring(w, &w->to)))
        return r;
    struct gn_pieces walk = {.shape = w->shape, .piece_bytes = w->shape.width_bytes};
    struct gn_piece p;
    while (gn_pieces_next(&walk, &p))
        memmove((void *)(uintptr_t)gn_piece_address(&w->to, &p),
                (const void *)(uintptr_t)gn_piece_address(&w->from, &p), p.width_bytes);
    return CUDA_SUCCESS;
}

// Where one end lies: *device, and *pinned for the host's.
static CUresult look(const struct gn_copy *copy, const struct gn_end *end, enum gn_side side, uint64_t user,
                     bool *device, bool *pinned)
{
    bool write = end == &copy->to;
    uint64_t span_bytes;
    *device = *pinned = false;
    if (!end->address || gn_end_span(end, &copy->shape, &span_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    switch (gn_memory_where(end->address, span_bytes, user)) {
    case GN_WHERE_DEVICE: *device = true; return CUDA_SUCCESS;
    case GN_WHERE_READABLE: *device = true; return write ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case GN_WHERE_PINNED: *pinned = true; return CUDA_SUCCESS;
    case GN_WHERE_UNKNOWN: return side == GN_SIDE_DEVICE ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

static void look_up_meaning(struct work *w)
{
    const struct gn_end *device = w->to_device ? &w->to : &w->from;
    uint64_t span_bytes;
    if (gn_end_span(device, &w->shape, &span_bytes))
        return;
    if (w->to_device)
        w->meaning = gn_hints_copied(device->address, span_bytes, w->from_device ? GN_WRITER_COPY : GN_WRITER_HOST);
    else if (w->from_device)
        w->meaning = gn_hints_of(device->address, span_bytes);
}

CUresult gn_copy_run(struct gn_call *c, const struct gn_copy *copy)
{
    struct work w = {.c = c, .shape = copy->shape, .from = copy->from, .to = copy->to, .async = copy->async};
    uint64_t user = copy->async ? gn_context_id(c) : 0;
    bool from_pinned, to_pinned;
    CUresult r = gn_id_stream(c, copy->async ? copy->stream : NULL, &w.stream);
    if (r || gn_shape_is_empty(&copy->shape))
        return r;
    if ((r = look(copy, &copy->from, copy->from_side, user, &w.from_device, &from_pinned)) ||
        (r = look(copy, &copy->to, copy->to_side, user, &w.to_device, &to_pinned)))
        return r;
    w.pinned = w.from_device ? to_pinned : from_pinned;
    gn_shape_fold(&w.shape, &w.from, &w.to);
    if (__builtin_expect(gn_hints_on, 0))
        look_up_meaning(&w);
    if (w.from_device)
        return w.to_device ? within_device(&w) : to_host(&w);
    return w.to_device ? to_device(&w) : within_host(&w);
}

// --- between contexts

static CUresult settle(struct gn_call *c, CUcontext handle)
{
    const struct gn_context *x = gn_context_find(handle);
    struct gn_args_context_synchronize a = {.context = x ? x->id : 0};
    return x ? gn_ask(c, GN_OP_context_synchronize, &a, &(struct gn_out_context_synchronize){0}) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult gn_copy_peer_begin(struct gn_call *c, CUcontext from, CUcontext to)
{
    CUresult r = from ? settle(c, from) : CUDA_SUCCESS;
    return !r && to && to != from ? settle(c, to) : r;
}

// Work of either context finds the copy done: it was put into the default stream of a third one, perhaps.
CUresult gn_copy_peer_end(struct gn_call *c, CUresult copied) { return copied ? copied : gn_stream_wait(c, GN_STREAM_LEGACY_ID); }
