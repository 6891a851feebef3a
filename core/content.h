// SPDX-License-Identifier: Apache-2.0
// Content: bytes named by their digest and length, and a set of such names with a number each.
#ifndef GN_CORE_CONTENT_H
#define GN_CORE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GN_CONTENT_BYTES_MIN = 4 << 10,         // below, asking costs about as much as sending
    GN_CONTENT_BYTES_MAX = 1 << 20,         // as the payload of one frame
    GN_CONTENT_IMAGE_BYTES_MIN = 64 << 10,  // of a module's image: smaller ones are not worth a question of their own
    GN_OFFER_MAX = 1024,                    // contents of one offer: 24 KiB, half a command
    GN_OFFER_MORE_MAX = 512,                // contents that an answer promises beyond what was asked
    GN_PROMISES_MAX = 64 << 10,             // contents that one session may have been promised: 64 GiB in whole chunks, 2 MiB of books at either end
};

enum gn_offer_flags {
    GN_OFFER_FORGET = 1, // before it: what has been promised so far may go
};
enum gn_offer_state { // of the answer
    GN_OFFER_ON = 1,   // there is a store
    GN_OFFER_FULL = 2, // no more can be promised unless the client forgets
};

struct gn_content { // as it is sent: XXH3-128 of the bytes, and how many
    uint64_t low, high, size_bytes;
};

static inline bool gn_content_same(const struct gn_content *a, const struct gn_content *b)
{
    return a->low == b->low && a->high == b->high && a->size_bytes == b->size_bytes;
}

struct gn_content_entry { // free: size_bytes 0
    struct gn_content content;
    uint64_t value;
};

// Open addressing over memory of the caller's: a power of two of zeroed entries, never more than three quarters full.
struct gn_content_set {
    struct gn_content_entry *entries;
    size_t capacity, count;
};

static inline bool gn_content_set_full(const struct gn_content_set *set) { return set->count >= set->capacity - set->capacity / 4; }

// The entry of that content, or NULL.
struct gn_content_entry *gn_content_set_find(const struct gn_content_set *set, const struct gn_content *content);
// Puts in one that is not there. False: the set is full, or the content has no bytes.
bool gn_content_set_add(struct gn_content_set *set, const struct gn_content *content, uint64_t value);
void gn_content_set_clear(struct gn_content_set *set);
// Moves everything into a set of another size, zeroed, that has room for it.
void gn_content_set_move(struct gn_content_set *to, const struct gn_content_set *from);

// How many of size_bytes bytes from `address` lie before the next multiple of chunk_bytes from `origin`, which is not behind `address`: the next
// chunk of an upload, so that the same data of one allocation is cut alike whichever part of it is uploaded.
uint64_t gn_content_chunk(uint64_t origin, uint64_t address, uint64_t size_bytes, uint64_t chunk_bytes);

#endif
