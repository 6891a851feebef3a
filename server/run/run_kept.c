// SPDX-License-Identifier: Apache-2.0
// The commands on kept copies: opening, filling from the device, spilling to it, closing.
#include "server/kept/kept_parts.h"

CUresult gn_run_kept_open(struct gn_worker *w, struct gn_request *q, const struct gn_args_kept_open *a, struct gn_out_kept_open *o)
{
    o->place = GN_KEPT_REFUSED;
    if (!w->scope)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!a->size_bytes)
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_kept *k = w->kepts ? kept_add(w, a->kept, a->size_bytes) : NULL;
    if (!k)
        return CUDA_SUCCESS; // refused: a hint is not followed, which is no error of the program's
    enum gn_kept_place place = k->storage->device ? GN_KEPT_ON_DEVICE : GN_KEPT_ON_HOST;
    CUresult r = gn_keep(w, q, GN_KIND_KEPT, a->kept, k, CUDA_SUCCESS);
    if (r)
        gn_kept_drop(w, k);
    else
        o->place = place;
    return r;
}

// What fill and spill name. A code: the command does nothing; q->error: no client of ours sends such a thing.
static CUresult look_up(struct gn_worker *w, struct gn_request *q, struct gn_kept *k, uint64_t stream_id, uint64_t offset_bytes,
                        uint64_t size_bytes, CUstream *stream)
{
    if (!size_bytes || offset_bytes > k->size_bytes || size_bytes > k->size_bytes - offset_bytes) {
        q->error = "bytes outside a kept copy";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!w->scope || !gn_find_stream(w, q, stream_id, stream))
        return CUDA_ERROR_INVALID_HANDLE;
    const struct gn_handle_slot *slot = gn_handle_find(&w->handles, stream_id, GN_KIND_STREAM);
    uint64_t context = slot ? slot->context : w->scope->id;
    return context == k->context_id ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static struct gn_kept *find_kept(struct gn_worker *w, struct gn_request *q, uint64_t id)
{
    void *object;
    return gn_find_object(w, q, GN_KIND_KEPT, id, &object) ? object : NULL;
}

static CUresult wait_for(struct gn_worker *w, struct kept_use *use, uint64_t stream_id, CUstream stream)
{
    return kept_same_stream(use, stream_id) || kept_use_passed(w, use) ? CUDA_SUCCESS : GN_DRIVER(w, cuStreamWaitEvent, stream, use->event, 0);
}

CUresult kept_noted(struct gn_worker *w, CUresult noted, CUstream stream)
{
    if (noted)
        GN_DRIVER(w, cuStreamSynchronize, stream);
    return noted;
}

// --- filling

static bool read_elsewhere(struct gn_worker *w, struct kept_storage *s, uint64_t stream_id)
{
    bool any = false;
    for (int i = 0; i < KEPT_READS_MAX; i++)
        any |= !kept_same_stream(&s->reads[i], stream_id) && !kept_use_passed(w, &s->reads[i]);
    return any;
}

CUresult kept_note_read(struct gn_worker *w, struct kept_storage *s, uint64_t stream_id, CUstream stream)
{
    struct kept_use *free_one = NULL;
    for (int i = 0; i < KEPT_READS_MAX; i++) {
        struct kept_use *use = &s->reads[i];
        if (kept_same_stream(use, stream_id))
            return kept_use_record(w, use, stream_id, stream);
        if (!free_one && kept_use_passed(w, use))
            free_one = use;
    }
    if (free_one)
        return kept_use_record(w, free_one, stream_id, stream);
    CUresult r = GN_DRIVER(w, cuStreamWaitEvent, stream, s->reads[0].event, 0); // then one event stands for both
    return r ? r : kept_use_record(w, &s->reads[0], stream_id, stream);
}

static CUresult copy_within(struct gn_worker *w, const struct kept_storage *to, const struct kept_storage *from, uint64_t offset_bytes,
                            uint64_t size_bytes, CUstream stream)
{
    if (!size_bytes)
        return CUDA_SUCCESS;
    CUdeviceptr to_host = (uintptr_t)to->host + offset_bytes, from_host = (uintptr_t)from->host + offset_bytes; // each has one of the two
    CUdeviceptr to_device = to->device + offset_bytes, from_device = from->device + offset_bytes;
    if (to->device)
        return from->device ? GN_DRIVER(w, cuMemcpyDtoDAsync_v2, to_device, from_device, size_bytes, stream)
                            : GN_DRIVER(w, cuMemcpyHtoDAsync_v2, to_device, (const void *)(uintptr_t)from_host, size_bytes, stream);
    return from->device ? GN_DRIVER(w, cuMemcpyDtoHAsync_v2, (void *)(uintptr_t)to_host, from_device, size_bytes, stream)
                        : GN_DRIVER(w, cuMemcpyAsync, to_host, from_host, size_bytes, stream);
}

// Fresh storage takes over what the fill leaves out.
static CUresult take_over(struct gn_worker *w, struct gn_kept *k, struct kept_storage *fresh, const struct gn_args_kept_fill *a, CUstream stream)
{
    struct kept_storage *old = k->storage;
    uint64_t end = a->offset_bytes + a->size_bytes;
    if (!k->filled || a->size_bytes == k->size_bytes)
        return CUDA_SUCCESS;
    CUresult r = wait_for(w, &old->write, a->stream, stream);
    if (r)
        return r;
    r = copy_within(w, fresh, old, 0, a->offset_bytes, stream);
    r = r ? r : copy_within(w, fresh, old, end, k->size_bytes - end, stream);
    r = r ? r : kept_note_read(w, old, a->stream, stream);
    r = r ? r : kept_use_record(w, &fresh->write, a->stream, stream);
    return kept_noted(w, r, stream);
}

// The storage that the fill may write in the stream.
static CUresult storage_to_fill(struct gn_worker *w, struct gn_kept *k, const struct gn_args_kept_fill *a, CUstream stream)
{
    struct kept_storage *old = k->storage, *fresh = read_elsewhere(w, old, a->stream) ? kept_storage_new(w, k, true) : NULL;
    if (fresh) {
        CUresult r = take_over(w, k, fresh, a, stream);
        kept_swap(w->kepts, k, fresh);
        kept_storage_retire(w, old);
        return r;
    }
    CUresult r = wait_for(w, &old->write, a->stream, stream);
    for (int i = 0; i < KEPT_READS_MAX && !r; i++)
        r = wait_for(w, &old->reads[i], a->stream, stream);
    return r;
}

static CUresult fill(struct gn_worker *w, struct gn_kept *k, const struct gn_args_kept_fill *a, CUstream stream)
{
    CUresult r = storage_to_fill(w, k, a, stream);
    if (r)
        return r;
    struct kept_storage *s = k->storage;
    r = s->device ? GN_DRIVER(w, cuMemcpyDtoDAsync_v2, s->device + a->offset_bytes, a->address, a->size_bytes, stream)
                  : GN_DRIVER(w, cuMemcpyDtoHAsync_v2, (uint8_t *)s->host + a->offset_bytes, a->address, a->size_bytes, stream);
    return r ? r : kept_noted(w, kept_use_record(w, &s->write, a->stream, stream), stream);
}

CUresult gn_run_kept_fill(struct gn_worker *w, struct gn_request *q, const struct gn_args_kept_fill *a, struct gn_out_kept_fill *o)
{
    CUstream stream;
    struct gn_kept *k = find_kept(w, q, a->kept);
    (void)o;
    if (!k)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = look_up(w, q, k, a->stream, a->offset_bytes, a->size_bytes, &stream);
    r = r ? r : fill(w, k, a, stream);
    // Counted whatever became of it: who fetches waits for it, and then learns the code.
    kept_filled(w->kepts, k, a->size_bytes == k->size_bytes, r);
    kept_count(w);
    return r;
}

// --- spilling

static CUresult spill(struct gn_worker *w, struct gn_kept *k, const struct gn_args_kept_spill *a, CUstream stream)
{
    struct kept_storage *s = k->storage;
    if (k->broken || !k->filled)
        return k->broken ? k->broken : CUDA_ERROR_INVALID_VALUE;
    CUresult r = wait_for(w, &s->write, a->stream, stream);
    if (r)
        return r;
    r = s->device ? GN_DRIVER(w, cuMemcpyDtoDAsync_v2, a->address, s->device + a->offset_bytes, a->size_bytes, stream)
                  : GN_DRIVER(w, cuMemcpyHtoDAsync_v2, a->address, (uint8_t *)s->host + a->offset_bytes, a->size_bytes, stream);
    return r ? r : kept_noted(w, kept_note_read(w, s, a->stream, stream), stream);
}

CUresult gn_run_kept_spill(struct gn_worker *w, struct gn_request *q, const struct gn_args_kept_spill *a, struct gn_out_kept_spill *o)
{
    CUstream stream;
    struct gn_kept *k = find_kept(w, q, a->kept);
    (void)o;
    if (!k)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = look_up(w, q, k, a->stream, a->offset_bytes, a->size_bytes, &stream);
    r = r ? r : spill(w, k, a, stream);
    k->used_at = ++w->kepts->clock;
    return r;
}

CUresult gn_run_kept_close(struct gn_worker *w, struct gn_request *q, const struct gn_args_kept_close *a, struct gn_out_kept_close *o)
{
    (void)o;
    if (!find_kept(w, q, a->kept))
        return CUDA_ERROR_INVALID_HANDLE;
    gn_forget(w, a->kept); // drops it
    return CUDA_SUCCESS;
}
