// SPDX-License-Identifier: Apache-2.0
// Handle tables.
#include "core/handle.h"

#include <errno.h>

int gn_handle_grow(struct gn_handle_table *table, struct gn_handle_slot *chunk)
{
    if (table->chunk_count == GN_HANDLE_CHUNKS_MAX)
        return -ENOSPC;
    uint32_t base = table->chunk_count * GN_HANDLE_CHUNK_SLOTS;
    for (uint32_t i = 0; i < GN_HANDLE_CHUNK_SLOTS; i++)
        chunk[i].next_free = i + 1 < GN_HANDLE_CHUNK_SLOTS ? base + i + 2 : table->first_free;
    table->first_free = base + 1;
    atomic_store_explicit(&table->chunks[table->chunk_count++], chunk, memory_order_release);
    return 0;
}

static void fill(struct gn_handle_slot *slot, uint64_t id, uint64_t context, uint64_t keep, void *object)
{
    slot->context = context;
    slot->keep = keep;
    slot->object = object;
    for (size_t i = 0; i < sizeof slot->words / sizeof *slot->words; i++)
        atomic_store_explicit(&slot->words[i], 0, memory_order_relaxed);
    atomic_store_explicit(&slot->id, id, memory_order_release);
}

uint64_t gn_handle_open(struct gn_handle_table *table, enum gn_kind kind, uint64_t context, uint64_t keep,
                        void *object)
{
    if (!table->first_free)
        return 0;
    uint32_t index = table->first_free - 1;
    struct gn_handle_slot *slot = gn_handle_slot_at(table, index);
    table->first_free = slot->next_free;
    table->live++;
    slot->generation = slot->generation % (GN_HANDLE_GENERATIONS - 1) + 1; // 1 .. GENERATIONS - 1
    uint64_t id = index | (uint64_t)kind << 24 | (uint64_t)slot->generation << 32;
    fill(slot, id, context, keep, object);
    return id;
}

int gn_handle_place(struct gn_handle_table *table, uint64_t id, uint64_t context, void *object)
{
    uint64_t generation = id >> 32;
    enum gn_kind kind = gn_handle_kind(id);
    if (!generation || generation >= GN_HANDLE_GENERATIONS || kind == GN_KIND_NONE || kind >= GN_KINDS)
        return -EINVAL;
    struct gn_handle_slot *slot = gn_handle_slot_at(table, gn_handle_index(id));
    if (!slot)
        return gn_handle_index(id) / GN_HANDLE_CHUNK_SLOTS < GN_HANDLE_CHUNKS_MAX ? -ENOSPC : -EINVAL;
    if (atomic_load_explicit(&slot->id, memory_order_relaxed))
        return -EEXIST;
    slot->generation = (uint32_t)generation;
    table->live++;
    fill(slot, id, context, 0, object);
    return 0;
}

void gn_handle_close(struct gn_handle_table *table, struct gn_handle_slot *slot)
{
    uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
    atomic_store_explicit(&slot->id, 0, memory_order_release);
    slot->next_free = table->first_free;
    table->first_free = gn_handle_index(id) + 1;
    table->live--;
}

struct gn_handle_slot *gn_handle_next(struct gn_handle_table *table, uint32_t *index)
{
    for (struct gn_handle_slot *slot; (slot = gn_handle_slot_at(table, *index)); ) {
        ++*index;
        if (atomic_load_explicit(&slot->id, memory_order_acquire))
            return slot;
    }
    return NULL;
}
