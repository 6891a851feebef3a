// SPDX-License-Identifier: Apache-2.0
// What the rules met and what they brought: counters, and the object of them in GENIE_STATS.
#include "interpose/hints/hints_rules.h"

struct gn_hint_counts gn_hint_counts[GN_HINTS_REGIONS_MAX + 1];

static void add(_Atomic uint64_t *counter, uint64_t more) { atomic_fetch_add_explicit(counter, more, memory_order_relaxed); }
static uint64_t get(const _Atomic uint64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

void gn_hint_count_allocation(uint16_t rule, uint64_t size_bytes, int more)
{
    struct gn_hint_counts *c = &gn_hint_counts[rule];
    uint64_t one = (uint64_t)(int64_t)more; // -1 is added as what it is modulo 2^64
    add(&c->allocations, one);
    add(&c->bytes, one * size_bytes);
    for (int i = 0; i < GN_HINT_SIZES_MAX; i++) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong_explicit(&c->sizes[i].bytes, &there, size_bytes, memory_order_relaxed, memory_order_relaxed) ||
            there == size_bytes) {
            add(&c->sizes[i].count, one);
            return;
        }
    }
    add(&c->other_sizes, one);
}

void gn_hints_saved(struct gn_meaning meaning, enum gn_saving saving, uint64_t bytes) { add(&gn_hint_counts[meaning.rule].saved[saving], bytes); }

void gn_hints_why(struct gn_meaning meaning, const char *reason)
{
    struct gn_hint_counts *c = &gn_hint_counts[meaning.rule];
    for (int i = 0; i < GN_HINT_REASONS_MAX; i++) {
        const char *there = NULL;
        if (atomic_compare_exchange_strong_explicit(&c->reasons[i].text, &there, reason, memory_order_relaxed, memory_order_relaxed) ||
            there == reason) {
            add(&c->reasons[i].count, 1);
            return;
        }
    }
}

void gn_hints_put_stats(FILE *f)
{
    static const char *const names[GN_SAVINGS] = {"saved_content", "saved_shadow_down", "saved_shadow_up", "saved_unchanged", "saved_proven"};
    uint64_t matched = 0, allocations = 0, bytes = 0, saved[GN_SAVINGS] = {0};
    for (int i = 0; i <= GN_HINTS_REGIONS_MAX; i++) {
        const struct gn_hint_counts *c = &gn_hint_counts[i];
        matched += i && get(&c->allocations);
        allocations += i ? get(&c->allocations) : 0;
        bytes += i ? get(&c->bytes) : 0;
        for (int k = 0; k < GN_SAVINGS; k++)
            saved[k] += get(&c->saved[k]);
    }
    fprintf(f, ",\n  \"hints\": {\"rules\": %u, \"rules_matched\": %llu, \"allocations\": %llu, \"allocation_bytes\": %llu",
            gn_hint_rules.hints ? gn_hint_rules.hints->region_count : 0, (unsigned long long)matched, (unsigned long long)allocations,
            (unsigned long long)bytes);
    for (int k = 0; k < GN_SAVINGS; k++)
        fprintf(f, ", \"%s\": %llu", names[k], (unsigned long long)saved[k]);
    fprintf(f, "}");
}
