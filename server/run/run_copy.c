// SPDX-License-Identifier: Apache-2.0
// Copies: payload from the client to the device, data from the device to the client, and within the device's memory.
#include <stdlib.h>

#include "server/run/run.h"
#include "server/worker/box.h"
#include "server/worker/due.h"
#include "server/worker/lanes_out.h"
#include "server/worker/output.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"

enum { SLICES_MAX = 1 << 20 }; // of one copy within the device: each is a call of the driver, and commands wait behind them

CUresult gn_run_write(struct gn_worker *w, struct gn_request *q, const struct gn_args_write *a, struct gn_out_write *o)
{
    (void)o;
    struct gn_device_box box = {a->address, a->pitch_bytes, 0, a->width_bytes, a->rows, 1};
    uint64_t size;
    CUstream stream;
    if (!q->payload || !gn_device_box_bytes(&box, &size) || size != q->payload->size_bytes) {
        q->error = "a write whose payload has another size than its box";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    struct gn_piece whole = {a->address, a->pitch_bytes, a->width_bytes, a->rows};
    CUresult r = gn_piece_write(w, &whole, q->payload->data, stream);
    if (r == CUDA_SUCCESS) {
        q->payload->taken = true;
        r = gn_staging_release_after(w->staging, q->payload->slot, stream);
    }
    return r;
}

// --- to the client

struct read_job {
    uint64_t sequence, transfer, size_bytes;
    struct gn_device_box box;
    CUstream stream;
    struct gn_wait_pair pair; // the first piece's
    int slot;                 // of the first piece, already on its way; -1: nothing is
};

static void push_data(struct gn_worker *w, uint64_t transfer, uint64_t offset, uint64_t size_bytes, int slot)
{
    struct gn_message m = {.kind = GN_MESSAGE_DATA, .id = transfer, .value = offset, .size_bytes = (uint32_t)size_bytes};
    gn_output_push_slot(w->output, &m, slot);
}

// Data of a copy whose caller waits may overtake everything on its way: nothing tells of it but its reply, which the client holds until all is there.
static void push_awaited(struct gn_worker *w, uint64_t transfer, uint64_t offset, uint64_t size_bytes, int slot)
{
    if (!gn_lanes_out_push(w->lanes_out, transfer, offset, size_bytes, slot))
        push_data(w, transfer, offset, size_bytes, slot);
}

// A copy that is small enough for one slot, on its way already.
static void finish_read(struct gn_worker *w, void *data)
{
    const struct read_job *job = data;
    CUresult r = gn_use_context(w, job->pair.context);
    if (!r)
        r = GN_DRIVER(w, cuEventSynchronize, job->pair.event);
    gn_wait_pair_give(w, &job->pair);
    if (r)
        gn_staging_release(w->staging, job->slot);
    else
        push_awaited(w, job->transfer, 0, job->size_bytes, job->slot);
    gn_reply_now(w, job->sequence, GN_OP_read, r, NULL);
}

// The piece into the slot, and the event behind it. On an error the slot is given back.
static CUresult read_piece(struct gn_worker *w, const struct gn_piece *piece, int slot, CUstream stream, CUevent event)
{
    CUresult r = gn_piece_read(w, piece, gn_staging_data(w->staging, slot), stream);
    bool begun = !r;
    if (!r)
        r = GN_DRIVER(w, cuEventRecord, event, stream);
    if (!r)
        return CUDA_SUCCESS;
    if (begun) // the device may be writing to it
        GN_DRIVER(w, cuStreamSynchronize, stream);
    gn_staging_release(w->staging, slot);
    return r;
}

// The piece on its way from the device has arrived: it goes to the client.
static CUresult send_piece(struct gn_worker *w, const struct read_job *job, int slot, uint64_t offset, uint64_t size_bytes)
{
    CUresult r = GN_DRIVER(w, cuEventSynchronize, job->pair.event);
    if (r) {
        gn_staging_release(w->staging, slot); // the context is lost: nothing writes to it any more
        return r;
    }
    push_awaited(w, job->transfer, offset, size_bytes, slot);
    gn_output_flush(w->output);
    return CUDA_SUCCESS;
}

// A large copy: piece after piece, one on its way from the device while the one before goes to the client. Its caller waits, so that nothing of
// its own can come in between; commands of other threads may, as they may with a local driver.
static void read_pieces(struct gn_worker *w, void *data)
{
    const struct read_job *job = data;
    CUresult r = gn_use_context(w, job->pair.context);
    uint64_t asked = 0, before_bytes = 0;
    int before = -1;
    while (!r && (asked < job->size_bytes || before >= 0)) {
        int slot = -1;
        // Nobody waits for a slot with another one in hand: as many readers as there are slots would wait for each other.
        if (asked < job->size_bytes)
            slot = before >= 0 ? gn_staging_take(w->staging, GN_SLOT_READ) : gn_staging_take_out(w->staging, GN_SLOT_READ);
        if (slot < 0 && before < 0) {
            r = CUDA_ERROR_DEINITIALIZED; // the session is over
            break;
        }
        if (before >= 0) // before its event is recorded anew
            r = send_piece(w, job, before, asked - before_bytes, before_bytes);
        before = -1;
        if (slot < 0)
            continue;
        struct gn_piece piece = gn_device_box_piece(&job->box, asked, w->limits.chunk_bytes);
        if (!r)
            r = read_piece(w, &piece, slot, job->stream, job->pair.event);
        else
            gn_staging_release(w->staging, slot);
        if (!r) {
            before = slot;
            before_bytes = gn_piece_bytes(&piece);
            asked += before_bytes;
        }
    }
    gn_wait_pair_give(w, &job->pair);
    gn_reply_now(w, job->sequence, GN_OP_read, r, NULL);
}

CUresult gn_run_read(struct gn_worker *w, struct gn_request *q, const struct gn_args_read *a, struct gn_out_read *o)
{
    (void)o;
    struct read_job job = {.sequence = q->sequence,
                           .transfer = a->transfer,
                           .box = {a->address, a->pitch_bytes, a->slice_bytes, a->width_bytes, a->rows, a->slices},
                           .slot = -1};
    if (!gn_device_box_bytes(&job.box, &job.size_bytes)) {
        q->error = "a read of an impossible box";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!gn_find_stream(w, q, a->stream, &job.stream))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = gn_wait_pair_take(w, &job.pair);
    if (r)
        return r;
    struct gn_piece first = gn_device_box_piece(&job.box, 0, w->limits.chunk_bytes);
    if (gn_piece_bytes(&first) == job.size_bytes)
        job.slot = gn_staging_take(w->staging, GN_SLOT_READ);
    if (job.slot >= 0 && (r = read_piece(w, &first, job.slot, job.stream, job.pair.event)))
        job.slot = -1;
    if (!r)
        r = job.slot >= 0 ? gn_wait_run_after(w, job.pair.event, finish_read, &job, sizeof job)
                          : gn_wait_run(w, read_pieces, &job, sizeof job);
    if (r == CUDA_SUCCESS)
        return GN_DEFERRED;
    if (job.slot >= 0) {
        GN_DRIVER(w, cuEventSynchronize, job.pair.event);
        gn_staging_release(w->staging, job.slot);
    }
    gn_wait_pair_give(w, &job.pair);
    return r;
}

struct arrival { // of a piece of an asynchronous copy, told by the stream itself
    struct gn_due due;
    uint64_t transfer, offset, size_bytes;
    int slot; // -1: there is no more data, the copy failed with `code`
    bool last;
    CUresult code;
};

static void tell_done(struct gn_worker *w, uint64_t transfer, CUresult r)
{
    struct gn_message m = {.kind = GN_MESSAGE_DONE, .id = transfer, .code = (int32_t)r};
    gn_output_push(w->output, &m, NULL);
}

// With the lock, so that no data follows the word that the copy is over: after that the client takes no more.
static void deliver(struct gn_worker *w, struct arrival *a)
{
    if (a->slot >= 0 && a->code)
        gn_staging_release(w->staging, a->slot);
    else if (a->slot >= 0)
        push_data(w, a->transfer, a->offset, a->size_bytes, a->slot);
    if (a->last)
        tell_done(w, a->transfer, a->code);
    gn_due_end(w, &a->due);
}

// Before anything that waits for the stream to be through: the data goes out before the word that it is there.
static void arrived(const struct gn_due_note *note, struct gn_due *due, CUresult status)
{
    struct arrival *a = (struct arrival *)due;
    if (!a)
        return;
    a->code = a->code ? a->code : status;
    deliver(note->worker, a);
}

static void arrival_lost(struct gn_worker *w, struct gn_due *due, CUresult code)
{
    struct arrival *a = (struct arrival *)due;
    a->code = a->code ? a->code : code;
    deliver(w, a);
}

// The stream tells of `like`, whose slot the copy has already been put into; on an error it has not, and nothing is told.
static CUresult expect(struct gn_worker *w, const struct arrival *like, CUstream stream)
{
    struct arrival *a = malloc(sizeof *a);
    if (!a)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *a = *like;
    a->due = (struct gn_due){.kind = GN_DUE_DATA, .lost = arrival_lost};
    gn_due_add(w, &a->due);
    CUresult r = gn_due_tell(w, stream, &a->due, 0, arrived);
    if (r) {
        gn_due_lock(w);
        gn_due_end(w, &a->due);
        gn_due_unlock(w);
    }
    return r;
}

static CUresult read_piece_async(struct gn_worker *w, struct arrival *a, const struct gn_piece *piece, CUstream stream)
{
    CUresult r = gn_due_slot(w, &a->slot);
    if (r)
        return r;
    r = gn_piece_read(w, piece, gn_staging_data(w->staging, a->slot), stream);
    bool begun = !r;
    if (!r)
        r = expect(w, a, stream);
    if (!r)
        return CUDA_SUCCESS;
    if (begun) // the device may be writing to the slot
        GN_DRIVER(w, cuStreamSynchronize, stream);
    gn_staging_release(w->staging, a->slot);
    return r;
}

// The copy has failed. Pieces that the stream has still to bring go first.
static void fail_read_async(struct gn_worker *w, uint64_t transfer, CUresult code, CUstream stream, bool begun)
{
    struct arrival a = {.transfer = transfer, .slot = -1, .last = true, .code = code};
    if (begun && expect(w, &a, stream) == CUDA_SUCCESS)
        return;
    if (begun)
        GN_DRIVER(w, cuStreamSynchronize, stream);
    tell_done(w, transfer, code);
    gn_output_flush(w->output);
}

CUresult gn_run_read_async(struct gn_worker *w, struct gn_request *q, const struct gn_args_read_async *a, struct gn_out_read_async *o)
{
    (void)o;
    struct gn_device_box box = {a->address, a->pitch_bytes, a->slice_bytes, a->width_bytes, a->rows, a->slices};
    uint64_t size;
    CUstream stream;
    if (!gn_device_box_bytes(&box, &size)) {
        q->error = "a read of an impossible box";
        return CUDA_ERROR_INVALID_VALUE;
    }
    CUresult r = CUDA_SUCCESS;
    if (!gn_find_stream(w, q, a->stream, &stream))
        r = CUDA_ERROR_INVALID_HANDLE;
    uint64_t offset = 0;
    while (!r && offset < size) {
        struct gn_piece piece = gn_device_box_piece(&box, offset, w->limits.chunk_bytes);
        uint64_t bytes = gn_piece_bytes(&piece);
        struct arrival like = {.transfer = a->transfer, .offset = offset, .size_bytes = bytes, .last = offset + bytes == size};
        r = read_piece_async(w, &like, &piece, stream);
        offset += r ? 0 : bytes;
    }
    if (r)
        fail_read_async(w, a->transfer, r, stream, offset);
    return r;
}

// --- within the device's memory

CUresult gn_run_copy(struct gn_worker *w, struct gn_request *q, const struct gn_args_copy *a, struct gn_out_copy *o)
{
    (void)o;
    struct gn_device_box to = {a->destination, a->destination_pitch_bytes, a->destination_slice_bytes, a->width_bytes, a->rows, a->slices};
    struct gn_device_box from = {a->source, a->source_pitch_bytes, a->source_slice_bytes, a->width_bytes, a->rows, a->slices};
    uint64_t size;
    CUstream stream;
    if (!gn_device_box_bytes(&to, &size) || !gn_device_box_bytes(&from, &size)) {
        q->error = "a copy of an impossible box";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    if (a->slices > SLICES_MAX)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (a->rows == 1 && a->slices == 1)
        return GN_DRIVER(w, cuMemcpyDtoDAsync_v2, a->destination, a->source, a->width_bytes, stream);
    CUresult r = CUDA_SUCCESS;
    for (uint64_t slice = 0; !r && slice < a->slices; slice++) {
        CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = a->source + slice * a->source_slice_bytes,
                           .srcPitch = a->source_pitch_bytes, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = a->destination + slice * a->destination_slice_bytes, .dstPitch = a->destination_pitch_bytes,
                           .WidthInBytes = a->width_bytes, .Height = a->rows};
        r = GN_DRIVER(w, cuMemcpy2DAsync_v2, &c, stream);
    }
    return r;
}
