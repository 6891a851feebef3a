// SPDX-License-Identifier: Apache-2.0
// Handles: what the program holds as CUstream, CUevent, ... and what the wire carries. The client names them, the server files its driver's
// objects under the same names; one table serves both.
//
// An id is index | kind << 24 | generation << 32: never 0, never small (1 and 2 are CUDA's default streams), never an address that a program
// could dereference with luck. A slot that is used again gets the next generation, so a destroyed handle is told from a live one.
// Opening, placing and closing need the caller's lock; looking up does not.
#ifndef GN_CORE_HANDLE_H
#define GN_CORE_HANDLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum gn_kind {
    GN_KIND_NONE,
    GN_KIND_CONTEXT,
    GN_KIND_MODULE,
    GN_KIND_FUNCTION,
    GN_KIND_LIBRARY,
    GN_KIND_KERNEL,
    GN_KIND_STREAM,
    GN_KIND_EVENT,
    GN_KIND_ALLOCATION, // physical memory (cuMemCreate)
    GN_KIND_KEPT,       // bytes that the server keeps for a range of the program's host memory
    GN_KINDS,
};

enum {
    GN_HANDLE_CHUNK_SLOTS = 1024,
    GN_HANDLE_CHUNKS_MAX = 1024, // about a million handles: 100 times the streams and events that the largest known program makes
    GN_HANDLE_GENERATIONS = 1 << 24,
};

struct gn_handle_slot {
    _Atomic uint64_t id;   // the live handle, or 0; written last when opened, first when closed
    uint32_t generation;   // of the last handle here
    uint32_t next_free;    // index + 1
    uint64_t context;      // the id of the context it belongs to, or 0
    uint64_t keep;         // a word of the owner's: flags of an event
    void *object;          // the owner's
    _Atomic uint64_t words[3]; // the owner's too; 0 when the handle is opened. They make a slot a cache line.
};

struct gn_handle_table {
    struct gn_handle_slot *_Atomic chunks[GN_HANDLE_CHUNKS_MAX];
    uint32_t chunk_count, first_free; // index + 1 of the first free slot
    uint32_t live;
};

static inline enum gn_kind gn_handle_kind(uint64_t id) { return (enum gn_kind)(id >> 24 & 0xff); }
static inline uint32_t gn_handle_index(uint64_t id) { return (uint32_t)id & 0xffffff; }

// The slot at an index, live or not; NULL beyond the table.
static inline struct gn_handle_slot *gn_handle_slot_at(struct gn_handle_table *table, uint32_t index)
{
    if (index / GN_HANDLE_CHUNK_SLOTS >= GN_HANDLE_CHUNKS_MAX)
        return NULL;
    // Acquire: pairs with the release in gn_handle_grow, so that a looked-up chunk is seen initialised.
    struct gn_handle_slot *chunk = atomic_load_explicit(&table->chunks[index / GN_HANDLE_CHUNK_SLOTS], memory_order_acquire);
    return chunk ? &chunk[index % GN_HANDLE_CHUNK_SLOTS] : NULL;
}

// The slot of a live handle, or NULL when the id is not one, is destroyed, or is of another kind (GN_KIND_NONE: any).
static inline struct gn_handle_slot *gn_handle_find(struct gn_handle_table *table, uint64_t id, enum gn_kind kind)
{
    struct gn_handle_slot *slot = gn_handle_slot_at(table, gn_handle_index(id));
    if (!id || !slot || (kind != GN_KIND_NONE && gn_handle_kind(id) != kind))
        return NULL;
    // Acquire: pairs with the release that opened the handle; its other fields are seen whole.
    return atomic_load_explicit(&slot->id, memory_order_acquire) == id ? slot : NULL;
}

// Names a new handle. Returns its id, or 0 when every slot is taken: then give a chunk (zeroed, GN_HANDLE_CHUNK_SLOTS slots, which must
// live as long as the table) to gn_handle_grow and try again; -ENOSPC there means the limit is reached.
uint64_t gn_handle_open(struct gn_handle_table *table, enum gn_kind kind, uint64_t context, uint64_t keep, void *object);
int gn_handle_grow(struct gn_handle_table *table, struct gn_handle_slot *chunk);

// Files an object under an id that the peer chose. -EINVAL: no such id can be; -EEXIST: the slot is taken; -ENOSPC: beyond the chunks that
// the table has (grow it first; index / GN_HANDLE_CHUNK_SLOTS tells how far).
int gn_handle_place(struct gn_handle_table *table, uint64_t id, uint64_t context, void *object);

// The handle is no more. Its slot's object is the caller's to free.
void gn_handle_close(struct gn_handle_table *table, struct gn_handle_slot *slot);

// The live slots one after the other: *index starts at 0; NULL at the end.
struct gn_handle_slot *gn_handle_next(struct gn_handle_table *table, uint32_t *index);

#endif
