// SPDX-License-Identifier: Apache-2.0
// Range allocator: gaps in classes by size, as in a two-level segregated fit.
#include "core/range.h"

#include <errno.h>
#include <string.h>

enum {
    SIZE_FIRST = 9,   // log2 of the grain
    STEP_BITS = 3,
    TRIES_MAX = 256,  // gaps looked at for one that is mapped: enough for the few that share a nearly full memory
};

static unsigned log2_of(uint64_t n) { return 63 - (unsigned)__builtin_clzll(n); }

// --- classes of gaps

struct class {
    unsigned size, step;
};

static struct class class_of(uint64_t bytes)
{
    unsigned size = log2_of(bytes);
    return (struct class){size - SIZE_FIRST, (unsigned)(bytes >> (size - STEP_BITS)) & (GN_RANGE_STEPS - 1)};
}

// The first class all of whose gaps hold so many bytes.
static struct class class_above(uint64_t bytes)
{
    return class_of(bytes + ((uint64_t)1 << (log2_of(bytes) - STEP_BITS)) - 1);
}

static void file_gap(struct gn_range *r, struct gn_block *b)
{
    if (!b->gap_bytes)
        return;
    struct class c = class_of(b->gap_bytes);
    struct gn_block **first = &r->gaps[c.size][c.step];
    b->gap_before = NULL;
    b->gap_after = *first;
    if (*first)
        (*first)->gap_before = b;
    *first = b;
    r->steps[c.size] |= (uint8_t)(1u << c.step);
    r->sizes |= (uint64_t)1 << c.size;
}

static void unfile_gap(struct gn_range *r, struct gn_block *b)
{
    if (!b->gap_bytes)
        return;
    struct class c = class_of(b->gap_bytes);
    if (b->gap_before)
        b->gap_before->gap_after = b->gap_after;
    else
        r->gaps[c.size][c.step] = b->gap_after;
    if (b->gap_after)
        b->gap_after->gap_before = b->gap_before;
    if (!r->gaps[c.size][c.step])
        r->steps[c.size] &= (uint8_t)~(1u << c.step);
    if (!r->steps[c.size])
        r->sizes &= ~((uint64_t)1 << c.size);
}

// The first class from `c` on that has gaps. False: none.
static bool next_class(const struct gn_range *r, struct class *c)
{
    if (c->size >= GN_RANGE_SIZES)
        return false;
    unsigned steps = r->steps[c->size] & (0xffu << c->step);
    if (!steps) {
        uint64_t sizes = c->size + 1 < 64 ? r->sizes & (~(uint64_t)0 << (c->size + 1)) : 0;
        if (!sizes)
            return false;
        c->size = (unsigned)__builtin_ctzll(sizes);
        steps = r->steps[c->size];
    }
    c->step = (unsigned)__builtin_ctz(steps);
    return true;
}

// --- granules

static uint64_t granule_of(const struct gn_range *r, uint64_t address) { return (address - r->start) / r->granule_bytes; }
static uint64_t address_of(const struct gn_range *r, uint64_t granule) { return r->start + granule * r->granule_bytes; }

static bool is_mapped(const struct gn_range *r, uint64_t start, uint64_t size_bytes)
{
    uint64_t last = granule_of(r, start + size_bytes - 1);
    for (uint64_t g = granule_of(r, start); g <= last; g++)
        if (!(r->granules[g] & GN_GRANULE_MAPPED))
            return false;
    return true;
}

static void use(struct gn_range *r, const struct gn_block *b, bool more)
{
    uint64_t last = granule_of(r, b->start + b->span_bytes - 1);
    for (uint64_t g = granule_of(r, b->start); g <= last; g++) {
        uint32_t *word = &r->granules[g];
        if (more)
            r->empty -= *word == GN_GRANULE_MAPPED;
        *word += more ? 1 : -1u;
        if (!more)
            r->empty += *word == GN_GRANULE_MAPPED;
    }
}

// --- blocks

int gn_range_open(struct gn_range *r, uint64_t start, uint64_t size_bytes, uint64_t granule_bytes, uint32_t *granules)
{
    if (granule_bytes < GN_RANGE_GRAIN_BYTES || granule_bytes & (granule_bytes - 1) || !size_bytes || !start ||
        start % granule_bytes || size_bytes % granule_bytes || size_bytes >= (uint64_t)1 << (SIZE_FIRST + GN_RANGE_SIZES - 1) ||
        start + size_bytes < start)
        return -EINVAL;
    memset(r, 0, sizeof *r);
    r->start = r->head.start = start;
    r->size_bytes = r->head.gap_bytes = size_bytes;
    r->granule_bytes = granule_bytes;
    r->granules = granules;
    file_gap(r, &r->head);
    return 0;
}

static uint64_t gap_start(const struct gn_block *b) { return b->start + b->span_bytes; }

// A gap for `span` bytes, or the block in front of it rather: NULL if there is none.
static struct gn_block *find(const struct gn_range *r, uint64_t span)
{
    struct class c = class_above(span);
    if (next_class(r, &c))
        return r->gaps[c.size][c.step];
    // The class in which it falls itself has some that are large enough, perhaps.
    c = class_of(span);
    for (struct gn_block *b = c.size < GN_RANGE_SIZES ? r->gaps[c.size][c.step] : NULL; b; b = b->gap_after)
        if (b->gap_bytes >= span)
            return b;
    return NULL;
}

static struct gn_block *find_mapped(const struct gn_range *r, uint64_t span)
{
    struct class c = class_of(span);
    for (int tries = 0; tries < TRIES_MAX && next_class(r, &c);) {
        for (struct gn_block *b = r->gaps[c.size][c.step]; b && tries < TRIES_MAX; b = b->gap_after, tries++)
            if (b->gap_bytes >= span && is_mapped(r, gap_start(b), span))
                return b;
        if (++c.step == GN_RANGE_STEPS) {
            c.step = 0;
            c.size++;
        }
    }
    return NULL;
}

int gn_range_take(struct gn_range *r, struct gn_block *block, uint64_t size_bytes, bool mapped)
{
    if (!size_bytes)
        return -EINVAL;
    if (size_bytes > r->size_bytes)
        return -ENOSPC;
    uint64_t span = (size_bytes + GN_RANGE_GRAIN_BYTES - 1) & ~(GN_RANGE_GRAIN_BYTES - 1);
    struct gn_block *front = mapped ? find_mapped(r, span) : find(r, span);
    if (!front)
        return -ENOSPC;
    unfile_gap(r, front);
    *block = (struct gn_block){.start = gap_start(front), .span_bytes = span, .gap_bytes = front->gap_bytes - span,
                               .before = front, .after = front->after};
    front->gap_bytes = 0;
    if (front->after)
        front->after->before = block;
    front->after = block;
    file_gap(r, block);
    use(r, block, true);
    r->used_bytes += span;
    r->blocks++;
    return 0;
}

void gn_range_give(struct gn_range *r, struct gn_block *block)
{
    struct gn_block *front = block->before;
    use(r, block, false);
    r->used_bytes -= block->span_bytes;
    r->blocks--;
    unfile_gap(r, front);
    unfile_gap(r, block);
    front->gap_bytes += block->span_bytes + block->gap_bytes;
    front->after = block->after;
    if (block->after)
        block->after->before = front;
    file_gap(r, front);
}

// --- what is mapped

uint64_t gn_range_missing(const struct gn_range *r, const struct gn_block *block)
{
    uint64_t missing = 0, last = granule_of(r, block->start + block->span_bytes - 1);
    for (uint64_t g = granule_of(r, block->start); g <= last; g++)
        missing += !(r->granules[g] & GN_GRANULE_MAPPED);
    return missing * r->granule_bytes;
}

bool gn_range_next_missing(const struct gn_range *r, uint64_t end, uint64_t *at, uint64_t *size_bytes)
{
    if (*at >= end)
        return false;
    uint64_t g = granule_of(r, *at), last = granule_of(r, end - 1);
    while (g <= last && r->granules[g] & GN_GRANULE_MAPPED)
        g++;
    uint64_t first = g;
    while (g <= last && !(r->granules[g] & GN_GRANULE_MAPPED))
        g++;
    *at = address_of(r, first);
    *size_bytes = (g - first) * r->granule_bytes;
    return g > first;
}

bool gn_range_next_empty(const struct gn_range *r, uint64_t most_bytes, uint64_t *at, uint64_t *size_bytes)
{
    uint64_t g = *at <= r->start ? 0 : granule_of(r, *at), most = most_bytes / r->granule_bytes;
    while (g < r->granules_seen && r->granules[g] != GN_GRANULE_MAPPED)
        g++;
    uint64_t first = g;
    while (g < r->granules_seen && g - first < most && r->granules[g] == GN_GRANULE_MAPPED)
        g++;
    *at = address_of(r, first);
    *size_bytes = (g - first) * r->granule_bytes;
    return g > first;
}

void gn_range_mark(struct gn_range *r, uint64_t at, uint64_t size_bytes, bool mapped)
{
    uint64_t first = granule_of(r, at), end = first + size_bytes / r->granule_bytes;
    for (uint64_t g = first; g < end; g++) {
        r->empty -= r->granules[g] == GN_GRANULE_MAPPED;
        if (mapped)
            r->granules[g] |= GN_GRANULE_MAPPED;
        else
            r->granules[g] &= ~GN_GRANULE_MAPPED;
        r->empty += r->granules[g] == GN_GRANULE_MAPPED;
    }
    r->mapped = mapped ? r->mapped + (end - first) : r->mapped - (end - first);
    if (mapped && end > r->granules_seen)
        r->granules_seen = end;
}
