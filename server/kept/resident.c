// SPDX-License-Identifier: Apache-2.0
// Content on the device: a table by digest, and a list by use.
#include "server/kept/resident.h"

#include <stdlib.h>

#include "server/kept/kept_parts.h"

enum {
    RESIDENTS_MAX = 16384, // 8 GiB in whole chunks: a driver call and two events each
    ROUNDS_MIN = 4,        // content gives way to other content when all there is was used so often meanwhile: what is uploaded in turn and
                           // does not fit as a whole would else always be the next to go
};

struct gn_resident {
    struct gn_resident *next;           // in its bucket
    struct gn_resident *newer, *older;  // by use
    struct gn_content content;
    uint64_t context_id;
    uint64_t used_at; // residents.clock
    struct kept_storage *storage;
};

static struct gn_resident **bucket_of(struct gn_kepts *ks, const struct gn_content *content)
{
    return &ks->residents.buckets[content->low % KEPT_RESIDENT_BUCKETS];
}

static void put_first(struct kept_residents *all, struct gn_resident *r)
{
    r->newer = NULL;
    r->older = all->newest;
    *(all->newest ? &all->newest->newer : &all->oldest) = r;
    all->newest = r;
}

static void take_out(struct kept_residents *all, struct gn_resident *r)
{
    *(r->newer ? &r->newer->older : &all->newest) = r->older;
    *(r->older ? &r->older->newer : &all->oldest) = r->newer;
}

// Its memory is the caller's.
static struct kept_storage *forget(struct gn_kepts *ks, struct gn_resident *r)
{
    struct gn_resident **at = bucket_of(ks, &r->content);
    struct kept_storage *s = r->storage;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    take_out(&ks->residents, r);
    ks->residents.count--;
    free(r);
    return s;
}

// 0: the stream belongs to another context than the one that commands are for, whose memory it may not reach.
static uint64_t context_of(struct gn_worker *w, uint64_t stream_id)
{
    const struct gn_handle_slot *slot = gn_handle_find(&w->handles, stream_id, GN_KIND_STREAM);
    return w->scope && (!slot || slot->context == w->scope->id) ? w->scope->id : 0;
}

struct gn_resident *gn_resident_find(struct gn_worker *w, const struct gn_resident_use *use)
{
    struct gn_kepts *ks = w->kepts;
    if (ks)
        ks->residents.clock++;
    uint64_t context = ks && ks->residents.count ? context_of(w, use->stream_id) : 0;
    struct gn_resident *r = context ? *bucket_of(ks, use->content) : NULL;
    while (r && !(gn_content_same(&r->content, use->content) && r->context_id == context))
        r = r->next;
    return r;
}

bool gn_resident_ready(struct gn_worker *w, const struct gn_resident *r, const struct gn_resident_use *use)
{
    struct kept_storage *s = r->storage;
    bool readable = kept_same_stream(&s->write, use->stream_id) || kept_use_passed(w, &s->write), noted = false;
    for (int i = 0; readable && i < KEPT_READS_MAX && !noted; i++)
        noted = kept_same_stream(&s->reads[i], use->stream_id) || kept_use_passed(w, &s->reads[i]);
    return readable && noted;
}

CUresult gn_resident_write(struct gn_worker *w, struct gn_resident *r, const struct gn_resident_use *use)
{
    struct kept_storage *s = r->storage;
    CUresult e = GN_DRIVER(w, cuMemcpyDtoDAsync_v2, use->address, s->device, s->size_bytes, use->stream);
    if (!e)
        e = kept_noted(w, kept_note_read(w, s, use->stream_id, use->stream), use->stream);
    if (e)
        return e;
    take_out(&w->kepts->residents, r);
    put_first(&w->kepts->residents, r);
    r->used_at = w->kepts->residents.clock;
    if (w->status)
        atomic_fetch_add_explicit(&w->status->resident_copied_bytes, s->size_bytes, memory_order_relaxed);
    return CUDA_SUCCESS;
}

// Memory for one more. Where the part of the device is full, that of what was used longest ago: it is taken over as it is, nearly all chunks being
// of one size, because freeing would wait for all that the context has to do.
static struct kept_storage *memory_for(struct gn_worker *w, uint64_t size_bytes)
{
    const struct kept_residents *all = &w->kepts->residents;
    struct gn_kept k = {.size_bytes = size_bytes, .context = w->scope->context, .device = w->scope->device};
    struct kept_storage *s = all->count < RESIDENTS_MAX ? kept_storage_on_device(w, &k) : NULL;
    for (struct gn_resident *r = s ? NULL : all->oldest; r && all->clock - r->used_at > ROUNDS_MIN * (uint64_t)all->count; r = r->newer)
        if (r->context_id == w->scope->id && r->storage->size_bytes == size_bytes && kept_storage_idle(w, r->storage))
            return forget(w->kepts, r);
    return s;
}

struct gn_resident *gn_resident_take(struct gn_worker *w, const struct gn_resident_use *use, const void *data)
{
    struct gn_kepts *ks = w->kepts;
    uint64_t context = ks && w->limits.kept_content ? context_of(w, use->stream_id) : 0;
    struct kept_storage *s = context ? memory_for(w, use->content->size_bytes) : NULL;
    struct gn_resident *r = s ? calloc(1, sizeof *r) : NULL;
    CUresult e = r ? GN_DRIVER(w, cuMemcpyHtoDAsync_v2, s->device, data, s->size_bytes, use->stream) : CUDA_ERROR_OUT_OF_MEMORY;
    if (r && !e)
        e = kept_noted(w, kept_use_record(w, &s->write, use->stream_id, use->stream), use->stream);
    if (e) {
        if (s)
            kept_storage_retire(w, s);
        free(r);
        return NULL;
    }
    *r = (struct gn_resident){.content = *use->content, .context_id = context, .used_at = ks->residents.clock, .storage = s};
    struct gn_resident **at = bucket_of(ks, use->content);
    r->next = *at;
    *at = r;
    put_first(&ks->residents, r);
    ks->residents.count++;
    kept_count(w);
    return r;
}

uint64_t gn_resident_give(struct gn_worker *w, CUdevice device, uint64_t size_bytes, bool now)
{
    struct gn_kepts *ks = w->kepts;
    CUcontext before = gn_context_in_use();
    uint64_t freed = 0;
    for (struct gn_resident *r = kept_may_free(w) ? ks->residents.oldest : NULL, *newer; r && freed < size_bytes; r = newer) {
        newer = r->newer;
        struct kept_storage *s = r->storage;
        if (s->device_number != device || gn_use_context(w, s->context) || !(now ? kept_storage_settle(w, s) : kept_storage_idle(w, s)))
            continue;
        freed += s->charged_bytes;
        kept_storage_free(w, forget(ks, r));
    }
    if (before)
        gn_use_context(w, before);
    kept_count(w);
    return freed;
}

void gn_resident_lose(struct gn_worker *w, CUcontext context)
{
    for (struct gn_resident *r = w->kepts->residents.oldest, *newer; r; r = newer) {
        newer = r->newer;
        if (!context || r->storage->context == context)
            kept_storage_retire(w, forget(w->kepts, r));
    }
}
