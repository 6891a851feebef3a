// SPDX-License-Identifier: Apache-2.0
// The inside of the content store, shared by store*.c: how the index lies in memory.
#ifndef GN_SERVER_STORE_PARTS_H
#define GN_SERVER_STORE_PARTS_H

#include <pthread.h>

#include "server/store/store.h"

enum {
    STORE_PAGE_BYTES = 4096,
    STORE_SLOT_BYTES = GN_CONTENT_BYTES_MAX,
    STORE_CHUNK_BYTES = 64 << 10, // the mean that slots are reckoned with: the index takes a thousandth of the memory
    STORE_SLOTS_MIN = 256,
    STORE_SLOTS_MAX = 4 << 20, // 256 GiB of such chunks, 4 TiB of whole ones
    STORE_TENANTS_MAX = 1024,  // whose content is written to disk: users of one machine
};
#define STORE_NONE UINT32_MAX

enum store_state {
    STORE_FREE,    // pages: what of its bytes may still take memory
    STORE_FILLING, // by who holds it; held by nobody: its process died over it
    STORE_READY,   // in a chain, and in the order of use
};

struct store_slot {
    struct gn_tenant tenant;
    struct gn_content content;
    struct gn_content next; // what was stored after it; no bytes: nothing yet
    uint64_t used_at; // counts uses of the store
    uint32_t state, pages;
    uint32_t chained;      // the next in its chain; of a free slot: the next free one
    uint32_t newer, older; // in the order of use
    uint32_t saved;        // it is on disk
};

struct store_tenant {
    struct gn_tenant id;
    char name[GN_TENANT_BYTES];
};

struct store_index {
    uint32_t slot_count, bucket_count; // constant
    uint64_t pages_max;                // constant
    pthread_mutex_t mutex;             // guards all but the constants and the counts; robust
    uint64_t uses;
    uint32_t free, newest, oldest;
    struct gn_store_counts counts;
    _Atomic uint32_t filed;        // of all contents that came in
    _Atomic uint32_t tenant_count; // written after the entry, which never changes
    struct store_tenant tenants[STORE_TENANTS_MAX];
    struct store_slot slots[]; // then bucket_count uint32_t: the first of each chain
};

struct gn_store {
    struct gn_store_fds fds;
    struct store_index *index;
    size_t index_bytes;
    uint32_t *buckets; // in the index
    uint32_t *held;    // by this process, how often, of each slot; with the mutex
    _Atomic bool stuck; // the mutex could not be had: this process goes on without the store
};

static inline uint32_t store_pages_of(uint64_t size_bytes) { return (uint32_t)((size_bytes + STORE_PAGE_BYTES - 1) / STORE_PAGE_BYTES); }
static inline uint32_t *store_bucket(struct gn_store *s, struct gn_tenant tenant, const struct gn_content *content)
{
    return &s->buckets[(tenant.low ^ content->low ^ content->size_bytes) & (s->index->bucket_count - 1)];
}

// store.c; with the mutex
bool store_lock(struct gn_store *s); // false: not to be had
void store_unlock(struct gn_store *s);
bool store_held_by_others(struct gn_store *s, uint32_t slot);
void store_punch(struct gn_store *s, uint32_t slot, uint32_t keep_pages); // gives the memory behind so many pages back
void store_give_back(struct gn_store *s, uint32_t slot);                  // a slot that is in no chain: free
void store_file(struct gn_store *s, uint32_t slot);                       // into its chain and the order of use, as the newest

// store_recover.c; with the mutex
void store_rebuild(struct gn_store *s);  // everything, from the slots themselves: a process has died with the mutex
void store_scavenge(struct gn_store *s); // frees what dead processes were filling

#endif
