// SPDX-License-Identifier: Apache-2.0
// The tables of tracked ranges. Fixed in size: an event of the kernel must find room without an allocation.
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "interpose/shadow/shadow_parts.h"
#include "remoting/lock.h"

struct block shadow_blocks[SHADOW_BLOCKS_MAX];
struct shadow_counts shadow_counts;

// All under `map`.
static struct gn_lock map;
static struct span spans[SHADOW_SPANS_MAX];
static unsigned spans_used;               // places below are in use or were
static uint64_t discard_start, discard_end;
static const struct block *serving_block; // of the thread that serves faults
static _Atomic uint64_t changes;          // of the tables; read without `map` by who remembers what he found

static _Atomic uint32_t ops_next, ops_now; // tickets: of the next who comes, and of who has the lock

void shadow_ops_take(void)
{
    uint32_t ticket = atomic_fetch_add(&ops_next, 1), now;
    while ((now = atomic_load(&ops_now)) != ticket)
        gn_futex_wait(&ops_now, now, 0);
}

void shadow_ops_give(void)
{
    uint32_t now = atomic_fetch_add(&ops_now, 1) + 1;
    if (atomic_load(&ops_next) != now)
        gn_futex_wake(&ops_now, INT_MAX);
}

// A handler that ran here and touched a page that is away would wait for a thread that waits for this lock.
void shadow_map_take(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
    gn_lock_take(&map);
}

void shadow_map_give(const sigset_t *before)
{
    gn_lock_give(&map);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

// --- with the lock

static struct span *lowest(uint64_t start, uint64_t end)
{
    struct span *best = NULL;
    for (unsigned i = 0; i < spans_used; i++) {
        struct span *s = &spans[i];
        if (s->pages && s->start < end && span_end(s) > start && (!best || s->start < best->start))
            best = s;
    }
    return best;
}

static struct span *add(const struct span *span)
{
    unsigned i = 0;
    while (i < spans_used && spans[i].pages)
        i++;
    if (i == SHADOW_SPANS_MAX)
        return NULL;
    spans_used = i < spans_used ? spans_used : i + 1;
    spans[i] = *span;
    span->block->spans++;
    return &spans[i];
}

static unsigned places_free(void)
{
    unsigned n = SHADOW_SPANS_MAX - spans_used;
    for (unsigned i = 0; i < spans_used; i++)
        n += !spans[i].pages;
    return n;
}

static void remove_span(struct span *s)
{
    s->block->spans--;
    s->pages = 0;
    while (spans_used && !spans[spans_used - 1].pages)
        spans_used--;
}

// The part of `s` within [start, end).
static struct span part(const struct span *s, uint64_t start, uint64_t end)
{
    struct span p = *s;
    p.start = start > s->start ? start : s->start;
    end = end < span_end(s) ? end : span_end(s);
    p.first = s->first + (p.start - s->start) / GN_PAGE_BYTES;
    p.pages = (end - p.start) / GN_PAGE_BYTES;
    return p;
}

// Takes [start, end) out of the span. False: what is left has two parts, and there is no room for the second.
static bool cut(struct span *s, uint64_t start, uint64_t end)
{
    struct span before = *s, behind = *s;
    before.pages = start > s->start ? (start - s->start) / GN_PAGE_BYTES : 0;
    if (end < span_end(s))
        behind = part(s, end, span_end(s));
    else
        behind.pages = 0;
    if (before.pages && behind.pages && !add(&behind))
        return false;
    if (before.pages)
        s->pages = before.pages;
    else if (behind.pages)
        *s = behind;
    else
        remove_span(s);
    return true;
}

static void set(const struct span *p, enum gn_page page)
{
    gn_pages_set(p->block->states, p->first, p->first + p->pages, page);
    if (page != GN_PAGE_AWAY)
        atomic_store(&p->block->odd, true);
}

// --- for the calls

bool shadow_map_look(uint64_t start, uint64_t end, struct span *found)
{
    sigset_t before;
    shadow_map_take(&before);
    const struct span *s = lowest(start, end);
    if (s)
        *found = *s;
    shadow_map_give(&before);
    return s;
}

// Looking takes two system calls, for the signals, and a program copies the same ranges at every step: answers hold until the tables change.
// Under `ops`.
enum { ANSWERS = 128, ANSWER_PLACES = 4 };
static struct answer {
    uint64_t start, end, changes; // 0, 0: none
    bool found;
    struct span span;
} answers[ANSWERS];
static uint64_t none_orphaned_at; // the tables' changes when there was no orphan, plus one

// The answer to this question, or the place for it: one that is out of date, if there is such a one.
static struct answer *answer_to(uint64_t start, uint64_t end, uint64_t now)
{
    uint64_t mixed = (start / GN_PAGE_BYTES * 31 + end / GN_PAGE_BYTES) * 0x9e3779b97f4a7c15u; // ranges often begin at multiples of large powers of two
    struct answer *place = NULL;
    for (unsigned i = 0; i < ANSWER_PLACES; i++) {
        struct answer *a = &answers[((mixed >> 48) + i) % ANSWERS];
        if (a->start == start && a->end == end)
            return a;
        if (!place || (a->changes != now && place->changes == now))
            place = a;
    }
    return place;
}

bool shadow_map_find(uint64_t start, uint64_t end, struct span *found)
{
    uint64_t now = atomic_load(&changes); // before looking: a change meanwhile makes the answer an old one
    struct answer *a = answer_to(start, end, now);
    if (a->start != start || a->end != end || a->changes != now) {
        *a = (struct answer){.start = start, .end = end, .changes = now};
        a->found = shadow_map_look(start, end, &a->span);
    }
    if (a->found)
        *found = a->span;
    return a->found;
}

struct block *shadow_map_new_block(void)
{
    struct block *b = shadow_blocks;
    while (b < shadow_blocks + SHADOW_BLOCKS_MAX && b->used)
        b++;
    if (b == shadow_blocks + SHADOW_BLOCKS_MAX)
        return NULL;
    memset(b, 0, sizeof *b);
    b->used = true;
    shadow_map_idle();
    return b;
}

int shadow_map_put(struct block *block, uint64_t start)
{
    uint64_t end = start + block->pages * GN_PAGE_BYTES;
    sigset_t before;
    struct span *old;
    shadow_map_take(&before);
    int error = places_free() < 2 ? -ENOSPC : 0; // its own, and one for the second part of a span that reaches beyond it on both sides
    while (!error && (old = lowest(start, end))) {
        struct span p = part(old, start, end);
        for (uint64_t i = 0; i < p.pages; i++)
            if (gn_page_get(&p.block->states[p.first + i]) == GN_PAGE_AWAY)
                gn_pages_set(block->states, (p.start - start) / GN_PAGE_BYTES + i, (p.start - start) / GN_PAGE_BYTES + i + 1, GN_PAGE_AWAY);
        cut(old, p.start, span_end(&p));
    }
    if (!error)
        add(&(struct span){start, block->pages, 0, block});
    changes++;
    shadow_map_give(&before);
    return error;
}

void shadow_map_drop(struct block *block)
{
    sigset_t before;
    shadow_map_take(&before);
    for (unsigned i = 0; i < SHADOW_SPANS_MAX; i++)
        if (spans[i].pages && spans[i].block == block)
            remove_span(&spans[i]);
    changes++;
    shadow_map_give(&before);
}

void shadow_map_idle(void) { none_orphaned_at = 0; }

struct block *shadow_map_orphan(void)
{
    struct block *found = NULL;
    sigset_t before;
    uint64_t now = atomic_load(&changes) + 1;
    if (none_orphaned_at == now)
        return NULL;
    shadow_map_take(&before);
    for (struct block *b = shadow_blocks; !found && b < shadow_blocks + SHADOW_BLOCKS_MAX; b++)
        if (b->used && !b->busy && !b->spans)
            found = b;
    shadow_map_give(&before);
    none_orphaned_at = found ? 0 : now;
    return found;
}

void shadow_map_filled(const struct span *p, uint64_t pages)
{
    sigset_t before;
    shadow_map_take(&before);
    gn_pages_turn(p->block->states, p->first, p->first + pages, GN_PAGE_STALE, GN_PAGE_HERE);
    shadow_map_give(&before);
}

void shadow_map_clear(void)
{
    memset(&map, 0, sizeof map); // it may have been held by a thread that is not here
    memset(spans, 0, sizeof spans);
    memset(shadow_blocks, 0, sizeof shadow_blocks);
    memset(answers, 0, sizeof answers);
    shadow_map_idle();
    spans_used = 0;
    serving_block = NULL;
    atomic_store(&ops_next, 0);
    atomic_store(&ops_now, 0);
}

void shadow_map_discarding(uint64_t start, uint64_t end)
{
    sigset_t before;
    shadow_map_take(&before);
    discard_start = start;
    discard_end = end;
    shadow_map_give(&before);
}

bool shadow_map_need(struct block *block, uint32_t fills)
{
    sigset_t before;
    shadow_map_take(&before);
    block->fills_needed = fills;
    bool away = !atomic_load(&block->touched) && !atomic_load(&block->odd) && serving_block != block;
    shadow_map_give(&before);
    return away;
}

bool shadow_map_serving(const struct block *block)
{
    sigset_t before;
    shadow_map_take(&before);
    bool serving = serving_block == block;
    shadow_map_give(&before);
    return serving;
}

// --- for the thread that serves faults

static bool serve(const struct span *s, struct serving *serving)
{
    if (!s)
        return false;
    serving_block = s->block;
    *serving = (struct serving){*s, changes, s->block->fills_needed};
    return true;
}

bool shadow_map_serve(uint64_t page, struct serving *serving)
{
    sigset_t before;
    shadow_map_take(&before);
    bool found = serve(lowest(page, page + 1), serving);
    shadow_map_give(&before);
    return found;
}

bool shadow_map_next(uint64_t from, struct serving *serving)
{
    sigset_t before;
    shadow_map_take(&before);
    bool found = serve(lowest(from, UINT64_MAX), serving);
    shadow_map_give(&before);
    return found;
}

void shadow_map_served(void)
{
    sigset_t before;
    shadow_map_take(&before);
    serving_block = NULL;
    shadow_map_give(&before);
}

void shadow_map_changed(void)
{
    sigset_t before;
    shadow_map_take(&before);
    changes++;
    shadow_map_give(&before);
}

uint64_t shadow_map_changes(void)
{
    sigset_t before;
    shadow_map_take(&before);
    uint64_t n = changes;
    shadow_map_give(&before);
    return n;
}

// Takes [start, end) out of all spans. False: a span goes on to cover a part of it, as stale pages, for want of a place.
static bool take_out(uint64_t start, uint64_t end)
{
    bool all = true;
    for (unsigned i = 0; i < spans_used; i++)
        if (spans[i].pages && spans[i].start < end && span_end(&spans[i]) > start) {
            struct span p = part(&spans[i], start, end);
            set(&p, GN_PAGE_STALE);
            all &= cut(&spans[i], p.start, span_end(&p));
        }
    return all;
}

bool shadow_map_removed(uint64_t start, uint64_t end)
{
    sigset_t before;
    shadow_map_take(&before);
    bool own = start >= discard_start && end <= discard_end, gone = !own && take_out(start, end);
    for (unsigned i = 0; own && i < spans_used; i++)
        if (spans[i].pages && spans[i].start < end && span_end(&spans[i]) > start) {
            struct span p = part(&spans[i], start, end);
            set(&p, GN_PAGE_AWAY);
        }
    changes++;
    shadow_map_give(&before);
    return gone;
}

void shadow_map_unmapped(uint64_t start, uint64_t end)
{
    sigset_t before;
    shadow_map_take(&before);
    take_out(start, end);
    changes++;
    shadow_map_give(&before);
}

bool shadow_map_moved(uint64_t start, uint64_t end, uint64_t to)
{
    sigset_t before;
    bool room = true;
    struct span *s;
    shadow_map_take(&before);
    while (room && (s = lowest(start, end))) {
        struct span p = part(s, start, end), there = p;
        there.start = to + (p.start - start);
        room = places_free() >= 2;
        if (room) {
            cut(s, p.start, span_end(&p));
            add(&there);
        }
    }
    changes++;
    shadow_map_give(&before);
    return room;
}
