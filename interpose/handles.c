// SPDX-License-Identifier: Apache-2.0
// The program's handles: one table for all kinds, named here and sent as they are.
#include <pthread.h>
#include <stdlib.h>

#include "interpose/handles.h"
#include "interpose/shim.h"

static struct gn_handle_table table;
static pthread_mutex_t table_lock =
    PTHREAD_MUTEX_INITIALIZER; // opening and closing; nothing else is locked or called under it

static uint64_t open_growing(enum gn_kind kind, uint64_t context, uint64_t keep, void *object)
{
    uint64_t id = gn_handle_open(&table, kind, context, keep, object);
    if (id)
        return id;
    struct gn_handle_slot *chunk = calloc(GN_HANDLE_CHUNK_SLOTS, sizeof *chunk);
    if (!chunk)
        return 0;
    if (gn_handle_grow(&table, chunk)) {
        free(chunk);
        return 0;
    }
    return gn_handle_open(&table, kind, context, keep, object);
}

CUresult gn_handle_new(struct gn_call *c, enum gn_kind kind, uint64_t context, uint64_t keep, void *object,
                       uint64_t *id)
{
    (void)c;
    pthread_mutex_lock(&table_lock);
    *id = open_growing(kind, context, keep, object);
    pthread_mutex_unlock(&table_lock);
    return *id ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult gn_handle_new_here(struct gn_call *c, enum gn_kind kind, uint64_t keep, uint64_t *id)
{
    return gn_handle_new(c, kind, gn_context_id(c), keep, NULL, id);
}

void gn_handle_drop(uint64_t id)
{
    pthread_mutex_lock(&table_lock);
    struct gn_handle_slot *slot = gn_handle_find(&table, id, GN_KIND_NONE);
    if (slot)
        gn_handle_close(&table, slot);
    pthread_mutex_unlock(&table_lock);
}

struct gn_handle_slot *gn_handle_slot(const void *handle, enum gn_kind kind)
{
    return gn_handle_find(&table, (uint64_t)(uintptr_t)handle, kind);
}

// Closes the next handle of the context from *index on; what it was is copied out, because `dropped` runs
// without the lock.
static bool drop_next(uint64_t context, uint32_t *index, struct gn_handle_slot *was)
{
    struct gn_handle_slot *slot;
    pthread_mutex_lock(&table_lock);
    while ((slot = gn_handle_next(&table, index)) && slot->context != context) {
    }
    if (slot) {
        atomic_init(&was->id, atomic_load_explicit(&slot->id, memory_order_relaxed));
        was->generation = slot->generation;
        was->context = context;
        was->keep = slot->keep;
        was->object = slot->object;
        gn_handle_close(&table, slot);
    }
    pthread_mutex_unlock(&table_lock);
    return slot != NULL;
}

void gn_handles_drop_context(uint64_t context, void (*dropped)(struct gn_handle_slot *))
{
    struct gn_handle_slot was = {0};
    for (uint32_t index = 0; context && drop_next(context, &index, &was);)
        if (dropped)
            dropped(&was);
}

void gn_handles_forked(void) { pthread_mutex_init(&table_lock, NULL); }
