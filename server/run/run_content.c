// SPDX-License-Identifier: Apache-2.0
// Content that the client names instead of sending it, and content that it sends to be kept (server/store/contents.h).
#include <errno.h>
#include <string.h>

#include "server/kept/resident.h"
#include "server/run/run.h"
#include "server/store/contents.h"
#include "server/worker/box.h"
#include "server/worker/commands.h"
#include "server/worker/staging.h"

enum { OFFER_AT_ONCE_BYTES = 4 << 20 }; // looking at more takes so long that control frames are read meanwhile

// A size that content can have in this session: one frame carries it.
static bool size_fits(const struct gn_worker *w, uint64_t size_bytes)
{
    return size_bytes && size_bytes <= GN_CONTENT_BYTES_MAX && size_bytes <= w->limits.chunk_bytes;
}

static bool read_offer(struct gn_worker *w, struct gn_request *q, const struct gn_args_content_offer *a, struct gn_content *offer, uint32_t *count)
{
    uint64_t total_bytes = 0;
    *count = a->contents_bytes / sizeof *offer;
    if (a->flags & ~(uint32_t)GN_OFFER_FORGET || a->contents_bytes % sizeof *offer || *count > GN_OFFER_MAX) {
        q->error = "a malformed offer of content";
        return false;
    }
    if (*count)
        memcpy(offer, a->contents, a->contents_bytes);
    for (uint32_t i = 0; i < *count; i++) {
        if (!size_fits(w, offer[i].size_bytes)) {
            q->error = "an offer of content that no frame could carry";
            return false;
        }
        total_bytes += offer[i].size_bytes;
    }
    if (gn_contents_reach(w->contents) && total_bytes > OFFER_AT_ONCE_BYTES)
        gn_commands_aside(w);
    return true;
}

CUresult gn_run_content_offer(struct gn_worker *w, struct gn_request *q, const struct gn_args_content_offer *a, struct gn_out_content_offer *o)
{
    struct gn_content offer[GN_OFFER_MAX];
    uint32_t count, known_count = 0;
    bool full = false;
    if (!read_offer(w, q, a, offer, &count))
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_content *more = gn_scratch(w, GN_OFFER_MORE_MAX * sizeof *more + GN_OFFER_MAX / 8);
    if (!more)
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint8_t *known = (uint8_t *)&more[GN_OFFER_MORE_MAX];
    memset(known, 0, GN_OFFER_MAX / 8);
    bool on = gn_contents_reach(w->contents);
    if (on && a->flags & GN_OFFER_FORGET)
        gn_contents_forget(w->contents);
    for (uint32_t i = 0; on && !full && i < count; i++) // in order: what the client knows of it all, it knows up to the last one promised
        if (gn_contents_promise(w->contents, &offer[i], &full)) {
            known[i / 8] |= (uint8_t)(1 << i % 8);
            known_count++;
        }
    uint32_t more_count = on && count && known[(count - 1) / 8] >> (count - 1) % 8 & 1 ? gn_contents_follow(w->contents, &offer[count - 1], more) : 0;
    if (on)
        gn_contents_offered(w->contents, count, known_count);
    *o = (struct gn_out_content_offer){.state = (on ? GN_OFFER_ON : 0) | (full ? GN_OFFER_FULL : 0), .known = known, .known_bytes = (count + 7) / 8,
                                       .more = more, .more_bytes = more_count * (uint32_t)sizeof *more};
    return CUDA_SUCCESS;
}

// A slot of pinned memory between the store and the device. It frees itself as the device goes on: none within the session is -1.
static int take_slot(struct gn_worker *w)
{
    int slot = gn_staging_take(w->staging, GN_SLOT_CONTENT);
    if (slot >= 0)
        return slot;
    gn_commands_aside(w);
    return gn_staging_take_reaping(w->staging, GN_SLOT_CONTENT);
}

// By way of pinned memory. What comes again stays on the device.
static CUresult write_from_store(struct gn_worker *w, const struct gn_resident_use *use, bool again)
{
    int slot = take_slot(w);
    if (slot < 0)
        return CUDA_ERROR_UNKNOWN;
    void *data = gn_staging_data(w->staging, slot);
    struct gn_piece whole = {use->address, use->content->size_bytes, use->content->size_bytes, 1};
    CUresult r = gn_contents_read(w->contents, use->content, data) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
    struct gn_resident *taken = !r && again ? gn_resident_take(w, use, data) : NULL;
    if (!r)
        r = taken ? gn_resident_write(w, taken, use) : gn_piece_write(w, &whole, data, use->stream);
    if (r && !taken) {
        gn_staging_release(w->staging, slot);
        return r;
    }
    CUresult released = gn_staging_release_after(w->staging, slot, use->stream);
    return r ? r : released;
}

CUresult gn_run_write_content(struct gn_worker *w, struct gn_request *q, const struct gn_args_write_content *a, struct gn_out_write_content *o)
{
    (void)o;
    const struct gn_content content = {a->low, a->high, a->size_bytes};
    struct gn_device_box box = {a->address, 0, 0, a->size_bytes, 1, 1};
    uint64_t size;
    struct gn_resident_use use = {.content = &content, .address = a->address, .stream_id = a->stream};
    if (!size_fits(w, a->size_bytes) || !gn_device_box_bytes(&box, &size)) {
        q->error = "a write of content of an impossible size";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!gn_find_stream(w, q, a->stream, &use.stream))
        return CUDA_ERROR_INVALID_HANDLE;
    int before = gn_contents_written(w->contents, &content);
    if (before < 0) {
        q->error = "content that has not been promised";
        return CUDA_ERROR_UNKNOWN;
    }
    struct gn_resident *there = gn_resident_find(w, &use);
    return there && gn_resident_ready(w, there, &use) ? gn_resident_write(w, there, &use) : write_from_store(w, &use, before > 0 && !there);
}

CUresult gn_run_write_stored(struct gn_worker *w, struct gn_request *q, const struct gn_args_write_stored *a, struct gn_out_write_stored *o)
{
    (void)o;
    CUstream stream;
    if (!q->payload) {
        q->error = "a write without payload";
        return CUDA_ERROR_INVALID_VALUE;
    }
    const struct gn_content hint = {a->low, a->high, q->payload->size_bytes};
    struct gn_device_box box = {a->address, 0, 0, hint.size_bytes, 1, 1};
    uint64_t size;
    if (!gn_device_box_bytes(&box, &size)) {
        q->error = "a write of an impossible size";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    struct gn_piece whole = {a->address, hint.size_bytes, hint.size_bytes, 1};
    CUresult r = gn_piece_write(w, &whole, q->payload->data, stream);
    if (r)
        return r;
    q->payload->taken = true;
    gn_contents_keep(w->contents, q->payload->slot, hint.size_bytes, &hint); // first: from here on only its own event frees the slot
    return gn_staging_release_after(w->staging, q->payload->slot, stream);
}
