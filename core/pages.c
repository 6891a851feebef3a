// SPDX-License-Identifier: Apache-2.0
// The states of a range's pages, and the two rules about them: read-ahead, and when to leave it.
#include "core/pages.h"

void gn_pages_set(gn_page_state *states, uint64_t from, uint64_t to, enum gn_page page)
{
    for (uint64_t i = from; i < to; i++)
        atomic_store_explicit(&states[i], (uint8_t)page, memory_order_relaxed);
}

uint64_t gn_pages_turn(gn_page_state *states, uint64_t from, uint64_t to, enum gn_page was, enum gn_page is)
{
    uint64_t turned = 0;
    for (uint64_t i = from; i < to; i++)
        if (gn_page_get(&states[i]) == was) {
            atomic_store_explicit(&states[i], (uint8_t)is, memory_order_relaxed);
            turned++;
        }
    return turned;
}

uint64_t gn_pages_count(const gn_page_state *states, uint64_t from, uint64_t to, enum gn_page page)
{
    uint64_t count = 0;
    for (uint64_t i = from; i < to; i++)
        count += gn_page_get(&states[i]) == page;
    return count;
}

uint64_t gn_pages_find(const gn_page_state *states, uint64_t from, uint64_t to, unsigned set)
{
    while (from < to && !(set >> gn_page_get(&states[from]) & 1))
        from++;
    return from;
}

uint64_t gn_ahead_read(struct gn_ahead *ahead, uint64_t page, uint64_t most)
{
    uint32_t pages = GN_AHEAD_PAGES_MIN;
    if (ahead->pages && page == ahead->next)
        pages = ahead->pages < GN_AHEAD_PAGES_MAX / 2 ? ahead->pages * 2 : GN_AHEAD_PAGES_MAX;
    uint64_t read = pages < most ? pages : most;
    ahead->pages = pages; // not `read`: what cuts it short is no sign that the reader goes elsewhere
    ahead->next = page + read;
    return read;
}

bool gn_worth_it(struct gn_worth *worth, uint64_t fetched, uint64_t pages)
{
    if (worth->rest) {
        if (--worth->rest)
            return false;
        worth->bad = GN_WORTH_BAD - 1; // one more try
        return true;
    }
    if (fetched <= pages / 2) {
        *worth = (struct gn_worth){0};
        return true;
    }
    if (++worth->bad < GN_WORTH_BAD)
        return true;
    uint32_t rest = worth->next_rest ? worth->next_rest : GN_WORTH_REST_MIN;
    worth->rest = (uint16_t)rest;
    worth->next_rest = (uint16_t)(2 * rest < GN_WORTH_REST_MAX ? 2 * rest : GN_WORTH_REST_MAX);
    return false;
}
