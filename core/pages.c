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

// Eight pages from `from` on that are all alike, and lie so that they can be read at once: what they are, or -1. Most are: 500 MB are 122,000 pages, which are looked at at each copy.
static int eight_alike(const gn_page_state *states, uint64_t from, uint64_t to)
{
    typedef uint64_t __attribute__((may_alias)) word;
    if (to - from < 8 || (uintptr_t)&states[from] % 8)
        return -1;
    uint64_t eight = __atomic_load_n((const word *)(const void *)&states[from], __ATOMIC_RELAXED), one = eight & 0xff;
    return eight == one * 0x0101010101010101u ? (int)one : -1;
}

uint64_t gn_pages_count(const gn_page_state *states, uint64_t from, uint64_t to, enum gn_page page)
{
    uint64_t count = 0;
    while (from < to) {
        int alike = eight_alike(states, from, to);
        unsigned step = alike < 0 ? 1 : 8;
        count += (alike < 0 ? gn_page_get(&states[from]) : (enum gn_page)alike) == page ? step : 0;
        from += step;
    }
    return count;
}

uint64_t gn_pages_find(const gn_page_state *states, uint64_t from, uint64_t to, unsigned set)
{
    while (from < to) {
        int alike = eight_alike(states, from, to);
        if (set >> (alike < 0 ? (int)gn_page_get(&states[from]) : alike) & 1)
            return from;
        from += alike < 0 ? 1 : 8;
    }
    return to;
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
