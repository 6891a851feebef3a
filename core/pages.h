// SPDX-License-Identifier: Apache-2.0
// What is known of the pages of a host range that a server keeps a copy of: a byte each; how far ahead to read; whether keeping pays.
//
// A byte has one writer at a time, whom interpose/shadow/shadow_parts.h names; readers may see an older state, never a torn one.
#ifndef GN_CORE_PAGES_H
#define GN_CORE_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    GN_PAGE_BYTES = 4096,
    GN_AHEAD_PAGES_MIN = 4,   // 16 KiB: hardly dearer than one page, where a round trip is most of it
    GN_AHEAD_PAGES_MAX = 256, // 1 MiB: a piece of payload
    GN_WORTH_BAD = 2,         // so many copies in a row whose pages were mostly fetched: it does not pay
    GN_WORTH_REST_MIN = 8,    // then so many copies are made as usual, twice as many the next time
    GN_WORTH_REST_MAX = 128,
};

enum gn_page {
    GN_PAGE_HERE,  // in this process; whether it was written since is the kernel's to say
    GN_PAGE_AWAY,  // at the server only
    GN_PAGE_STALE, // in this process, or zeros that nobody has touched; the server's copy is of something else
    GN_PAGE_LOST,  // was away, and cannot be had any more
    GN_PAGES,
};

typedef _Atomic uint8_t gn_page_state;

static inline enum gn_page gn_page_get(const gn_page_state *state)
{
    return (enum gn_page)atomic_load_explicit(state, memory_order_relaxed);
}

// Pages [from, to) of `states`.
void gn_pages_set(gn_page_state *states, uint64_t from, uint64_t to, enum gn_page page);
// Those that are `was` become `is`; how many that were.
uint64_t gn_pages_turn(gn_page_state *states, uint64_t from, uint64_t to, enum gn_page was, enum gn_page is);
uint64_t gn_pages_count(const gn_page_state *states, uint64_t from, uint64_t to, enum gn_page page);
// The first page in [from, to) that is one of `set` (a bit for each enum gn_page), or `to`.
uint64_t gn_pages_find(const gn_page_state *states, uint64_t from, uint64_t to, unsigned set);

// --- read-ahead

struct gn_ahead {
    uint64_t next;  // the page behind what was read last
    uint32_t pages; // that were read then; 0: nothing yet
};
// How many pages to read from `page` on, at most `most`.
uint64_t gn_ahead_read(struct gn_ahead *ahead, uint64_t page, uint64_t most);

// --- whether it pays

struct gn_worth {
    uint16_t bad, rest, next_rest;
};
// Before a copy of `pages`, of which so many were fetched after the last one: whether to keep it at the server.
bool gn_worth_it(struct gn_worth *worth, uint64_t fetched, uint64_t pages);

#endif
