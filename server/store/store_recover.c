// SPDX-License-Identifier: Apache-2.0
// What processes leave behind that die over the content store.
#include <stdlib.h>

#include "server/store/store_parts.h"

static bool makes_sense(const struct store_slot *p)
{
    return p->pages <= STORE_SLOT_BYTES / STORE_PAGE_BYTES && p->content.size_bytes && p->content.size_bytes <= STORE_SLOT_BYTES &&
           store_pages_of(p->content.size_bytes) <= p->pages;
}

void store_scavenge(struct gn_store *s)
{
    for (uint32_t i = 0; i < s->index->slot_count; i++)
        if (s->index->slots[i].state == STORE_FILLING && !s->held[i] && !store_held_by_others(s, i))
            store_give_back(s, i);
}

struct use {
    uint64_t used_at;
    uint32_t slot;
};

static int by_use(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    return x->used_at < y->used_at ? -1 : x->used_at > y->used_at;
}

// The slots are what counts: each tells its own state, written last when it comes in and first when it goes out. Chains, order, free slots and
// sums follow from them. (A slot whose bytes are not what it says is found out when it is promised.)
void store_rebuild(struct gn_store *s)
{
    struct store_index *x = s->index;
    struct use *order = calloc(x->slot_count, sizeof *order); // NULL: in any order
    uint64_t ready = 0, pages = 0, uses = 0;
    for (uint32_t i = 0; i < x->slot_count; i++) {
        struct store_slot *p = &x->slots[i];
        if (p->state > STORE_READY || (p->state != STORE_FREE && !makes_sense(p))) {
            p->state = STORE_FREE;
            p->pages = STORE_SLOT_BYTES / STORE_PAGE_BYTES;
        }
        pages += p->pages;
        uses = p->used_at > uses ? p->used_at : uses;
        if (p->state == STORE_READY && order)
            order[ready] = (struct use){p->used_at, i};
        ready += p->state == STORE_READY;
    }
    x->free = x->newest = x->oldest = STORE_NONE;
    x->uses = uses;
    atomic_store(&x->counts.pages, pages);
    atomic_store(&x->counts.chunks, 0);
    for (uint32_t i = 0; i < x->bucket_count; i++)
        s->buckets[i] = STORE_NONE;
    if (order)
        qsort(order, ready, sizeof *order, by_use);
    for (uint64_t i = 0; order && i < ready; i++)
        store_file(s, order[i].slot);
    for (uint32_t i = 0; i < x->slot_count; i++) {
        if (x->slots[i].state == STORE_READY && !order)
            store_file(s, i);
        if (x->slots[i].state == STORE_FREE)
            store_give_back(s, i);
    }
    store_scavenge(s);
    free(order);
}
