// SPDX-License-Identifier: Apache-2.0
// The client's names for the driver's objects: looking them up, filing and forgetting them; and the buffer
// for results on their way.
//
// Ids come from the wire. One that no client of ours could have made (a wrong kind, an impossible index) ends
// the session; one that is only not there any more, or whose creation failed, makes the command that names it
// do nothing.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/kept/kept.h"
#include "server/run/run.h"
#include "server/run/run_state.h"

enum {
    CLIENT_LEGACY = 1,
    CLIENT_PER_THREAD = 2
}; // CU_STREAM_LEGACY and CU_STREAM_PER_THREAD, which no handle equals

struct gn_run_state *gn_run_state(struct gn_worker *w)
{
    if (!w->run)
        w->run = calloc(1, sizeof *w->run);
    return w->run;
}

void *gn_scratch(struct gn_worker *w, size_t size_bytes)
{
    struct gn_run_state *s = gn_run_state(w);
    if (!s)
        return NULL;
    if (size_bytes > s->scratch_bytes || !s->scratch) {
        size_t grown = size_bytes < SCRATCH_BYTES_MIN ? SCRATCH_BYTES_MIN : size_bytes;
        void *bigger = realloc(s->scratch, grown);
        if (!bigger)
            return NULL;
        s->scratch = bigger;
        s->scratch_bytes = grown;
    }
    return s->scratch;
}

const char *gn_name(struct gn_worker *w, struct gn_request *q, const void *bytes, uint32_t size_bytes)
{
    struct gn_run_state *s = gn_run_state(w);
    if (!s) {
        q->error = "no memory for a name";
        return NULL;
    }
    if (size_bytes >= sizeof s->name || (size_bytes && memchr(bytes, 0, size_bytes))) {
        q->error = "a name that is too long or holds a NUL";
        return NULL;
    }
    if (size_bytes)
        memcpy(s->name, bytes, size_bytes);
    s->name[size_bytes] = 0;
    return s->name;
}

static struct gn_handle_slot *find(struct gn_worker *w, struct gn_request *q, uint64_t id, enum gn_kind kind,
                                   enum gn_kind other)
{
    uint64_t generation = id >> 32;
    if ((gn_handle_kind(id) != kind && gn_handle_kind(id) != other) || !generation ||
        generation >= GN_HANDLE_GENERATIONS ||
        gn_handle_index(id) >= GN_HANDLE_CHUNKS_MAX * GN_HANDLE_CHUNK_SLOTS) {
        q->error = "a handle that cannot be";
        return NULL;
    }
    struct gn_handle_slot *slot = gn_handle_find(&w->handles, id, GN_KIND_NONE);
    if (!slot || !slot->object) {
        q->dropped = true;
        return NULL;
    }
    return slot;
}

struct gn_handle_slot *gn_find_slot(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id)
{
    return find(w, q, id, kind, kind);
}

bool gn_find_object(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id, void **object)
{
    struct gn_handle_slot *slot = find(w, q, id, kind, kind);
    *object = slot ? slot->object : NULL;
    return slot;
}

bool gn_find_stream(struct gn_worker *w, struct gn_request *q, uint64_t id, CUstream *stream)
{
    void *object;
    if (id == CLIENT_LEGACY || id == CLIENT_PER_THREAD) {
        *stream = id == CLIENT_LEGACY ? CU_STREAM_LEGACY : CU_STREAM_PER_THREAD;
        return true;
    }
    struct gn_handle_slot *slot = gn_find_slot(w, q, GN_KIND_STREAM, id);
    *stream = slot ? slot->object : NULL;
    if (slot && w->scope && slot->context != w->scope->id && gn_find_object(w, q, GN_KIND_CONTEXT, slot->context, &object))
        gn_use_context(w, ((struct gn_server_context *)object)->context);
    return slot;
}

bool gn_find_event(struct gn_worker *w, struct gn_request *q, uint64_t id, CUevent *event)
{
    void *object;
    bool found = gn_find_object(w, q, GN_KIND_EVENT, id, &object);
    *event = object;
    return found;
}

bool gn_find_function(struct gn_worker *w, struct gn_request *q, uint64_t id, CUfunction *function)
{
    struct gn_handle_slot *slot = find(w, q, id, GN_KIND_FUNCTION, GN_KIND_KERNEL);
    *function = slot ? slot->object : NULL;
    return slot;
}

static void count(struct gn_worker *w)
{
    if (w->status)
        atomic_store_explicit(&w->status->handles, w->handles.live, memory_order_relaxed);
}

// What was made for the client but cannot be filed would otherwise stay until the session ends.
static void destroy(struct gn_worker *w, enum gn_kind kind, void *object)
{
    const struct gn_driver_calls *c = &w->driver.calls;
    if (kind == GN_KIND_STREAM && c->cuStreamDestroy_v2)
        c->cuStreamDestroy_v2(object);
    else if (kind == GN_KIND_EVENT && c->cuEventDestroy_v2)
        c->cuEventDestroy_v2(object);
    else if (kind == GN_KIND_MODULE && c->cuModuleUnload)
        c->cuModuleUnload(object);
    else if (kind == GN_KIND_LIBRARY && c->cuLibraryUnload)
        c->cuLibraryUnload(object);
}

// Libraries, their kernels and physical memory are the process's, not a context's.
static uint64_t context_of(const struct gn_worker *w, enum gn_kind kind)
{
    bool global = kind == GN_KIND_LIBRARY || kind == GN_KIND_KERNEL || kind == GN_KIND_CONTEXT || kind == GN_KIND_ALLOCATION;
    return global || !w->scope ? 0 : w->scope->id;
}

// The client names a slot again without a word when what was there needs no destroying: its creation failed,
// or it is a part of something else. Anything else there would be lost.
static bool may_replace(const struct gn_handle_slot *slot)
{
    return !slot->object || slot->keep;
}

static void close_slot(struct gn_worker *w, struct gn_handle_slot *slot);
static void forget_parts(struct gn_worker *w, uint64_t parent);

static int place(struct gn_worker *w, uint64_t id, uint64_t context, void *object)
{
    uint32_t index = gn_handle_index(id);
    while (index / GN_HANDLE_CHUNK_SLOTS >= w->handles.chunk_count &&
           index / GN_HANDLE_CHUNK_SLOTS < GN_HANDLE_CHUNKS_MAX) {
        struct gn_handle_slot *chunk = calloc(GN_HANDLE_CHUNK_SLOTS, sizeof *chunk);
        if (!chunk || gn_handle_grow(&w->handles, chunk)) {
            free(chunk);
            return -ENOMEM;
        }
    }
    int error = gn_handle_place(&w->handles, id, context, object);
    if (error != -EEXIST)
        return error;
    uint32_t at = index;
    struct gn_handle_slot *there = gn_handle_next(&w->handles, &at);
    if (!there || at != index + 1 || !may_replace(there) ||
        atomic_load_explicit(&there->id, memory_order_relaxed) == id)
        return -EEXIST;
    // A library's module goes as if it were forgotten: its functions would outlive the library otherwise, which knows it no more.
    uint64_t gone = atomic_load_explicit(&there->id, memory_order_relaxed);
    close_slot(w, there);
    if (gn_handle_kind(gone) == GN_KIND_MODULE || gn_handle_kind(gone) == GN_KIND_KERNEL)
        forget_parts(w, gone);
    return gn_handle_place(&w->handles, id, context, object);
}

static CUresult keep(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id, void *object,
                     uint64_t parent, CUresult r)
{
    uint64_t generation = id >> 32;
    bool owned = object && !parent;
    if (gn_handle_kind(id) != kind || !generation || generation >= GN_HANDLE_GENERATIONS ||
        gn_handle_index(id) >= GN_HANDLE_CHUNKS_MAX * GN_HANDLE_CHUNK_SLOTS) {
        q->error = "a name for a new handle that cannot be";
        r = r ? r : CUDA_ERROR_INVALID_HANDLE;
    } else if (!object && gn_api[q->op].class != GN_POSTED) {
        return r; // the client learns of it now, and never names it
    } else if (gn_handle_index(id) >=
               w->limits.handles) { // names are dense: one beyond the limit means that many are alive
        r = r ? r : CUDA_ERROR_OUT_OF_MEMORY;
    } else {
        int error = place(w, id, context_of(w, kind), object);
        if (!error) {
            gn_handle_find(&w->handles, id, kind)->keep = parent;
            count(w);
            return r;
        }
        if (error != -ENOMEM)
            q->error = "a name for a new handle that is in use";
        r = r ? r : error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_HANDLE;
    }
    if (owned)
        destroy(w, kind, object);
    return r;
}

CUresult gn_keep(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id, void *object,
                 CUresult r)
{
    return keep(w, q, kind, id, object, 0, r);
}

CUresult gn_keep_child(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id,
                       void *object, uint64_t parent, CUresult r)
{
    return keep(w, q, kind, id, object, parent, r);
}

static void close_slot(struct gn_worker *w, struct gn_handle_slot *slot)
{
    uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
    if (gn_handle_kind(id) == GN_KIND_CONTEXT || gn_handle_kind(id) == GN_KIND_ALLOCATION)
        free(slot->object);
    if (gn_handle_kind(id) == GN_KIND_KEPT && slot->object)
        gn_kept_drop(w, slot->object);
    if (gn_handle_kind(id) == GN_KIND_MODULE || gn_handle_kind(id) == GN_KIND_LIBRARY)
        gn_layouts_forget(w, id);
    gn_handle_close(&w->handles, slot);
}

// Parts may have parts: a library's module has functions.
static void forget_parts(struct gn_worker *w, uint64_t parent)
{
    uint32_t index = 0;
    for (struct gn_handle_slot *slot; (slot = gn_handle_next(&w->handles, &index));) {
        if (slot->keep != parent)
            continue;
        uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
        close_slot(w, slot);
        if (gn_handle_kind(id) == GN_KIND_MODULE || gn_handle_kind(id) == GN_KIND_KERNEL)
            forget_parts(w, id);
    }
}

void gn_forget(struct gn_worker *w, uint64_t id)
{
    struct gn_handle_slot *slot = gn_handle_find(&w->handles, id, GN_KIND_NONE);
    if (!slot)
        return;
    close_slot(w, slot);
    enum gn_kind kind = gn_handle_kind(id);
    if (kind == GN_KIND_MODULE || kind == GN_KIND_LIBRARY || kind == GN_KIND_KERNEL)
        forget_parts(w, id);
    count(w);
}

void gn_forget_context(struct gn_worker *w, uint64_t context)
{
    uint32_t index = 0;
    for (struct gn_handle_slot *slot; (slot = gn_handle_next(&w->handles, &index));)
        if (slot->context == context)
            close_slot(w, slot);
    gn_memory_forget_context(w, context);
    if (w->scope && w->scope->id == context) {
        struct gn_run_state *s = gn_run_state(w);
        w->scope = NULL;
        if (s)
            s->lost_scope = context;
    }
    gn_forget(w, context);
}

void gn_run_close(struct gn_worker *w)
{
    uint32_t index = 0;
    gn_kepts_abandon(w->kepts);
    for (struct gn_handle_slot *slot; (slot = gn_handle_next(&w->handles, &index));)
        close_slot(w, slot);
    gn_kepts_close(w);
    for (uint32_t i = 0; i < w->handles.chunk_count; i++)
        free(atomic_load_explicit(&w->handles.chunks[i], memory_order_relaxed));
    memset(&w->handles, 0, sizeof w->handles);
    gn_memory_close(w);
    gn_images_close(w);
    if (w->run)
        free(w->run->scratch);
    free(w->run);
    w->run = NULL;
    w->scope = NULL;
}
