// SPDX-License-Identifier: Apache-2.0
// What the rules met and what they brought: counters, and the object of them in GENIE_STATS.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "interpose/hints_rules.h"

struct gn_hint_counts gn_hint_counts[GN_HINTS_REGIONS_MAX + 1];

static void add(_Atomic uint64_t *counter, uint64_t more) { atomic_fetch_add_explicit(counter, more, memory_order_relaxed); }
static uint64_t get(const _Atomic uint64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

void gn_hint_count_allocation(uint16_t rule, uint64_t size_bytes)
{
    struct gn_hint_counts *c = &gn_hint_counts[rule];
    add(&c->allocations, 1);
    add(&c->bytes, size_bytes);
    for (int i = 0; i < GN_HINT_SIZES_MAX; i++) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong_explicit(&c->sizes[i].bytes, &there, size_bytes, memory_order_relaxed, memory_order_relaxed) ||
            there == size_bytes) {
            add(&c->sizes[i].count, 1);
            return;
        }
    }
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
        matched += get(&c->allocations) > 0;
        allocations += get(&c->allocations);
        bytes += get(&c->bytes);
        for (int k = 0; k < GN_SAVINGS; k++)
            saved[k] += get(&c->saved[k]);
    }
    fprintf(f, ",\n  \"hints\": {\"rules\": %u, \"rules_matched\": %llu, \"allocations\": %llu, \"allocation_bytes\": %llu",
            gn_hints_on ? gn_hint_rules.hints->region_count : 0, (unsigned long long)matched, (unsigned long long)allocations,
            (unsigned long long)bytes);
    for (int k = 0; k < GN_SAVINGS; k++)
        fprintf(f, ", \"%s\": %llu", names[k], (unsigned long long)saved[k]);
    fprintf(f, "}");
}

// --- names

// Guards the lists of names; nothing is called under it.
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gn_hint_kernel kernels[GN_HINT_KERNELS_MAX];
static uint32_t kernel_count;

struct gn_hint_kernel *gn_hint_kernel_named(const char *name, uint64_t rules)
{
    struct gn_hint_kernel *k = NULL;
    pthread_mutex_lock(&names_lock);
    for (uint32_t i = 0; i < kernel_count && !k; i++)
        k = strcmp(kernels[i].name, name) ? NULL : &kernels[i];
    if (!k && kernel_count < GN_HINT_KERNELS_MAX && (kernels[kernel_count].name = strdup(name))) {
        k = &kernels[kernel_count++];
        k->rules = rules;
    }
    pthread_mutex_unlock(&names_lock);
    return k;
}

void gn_hints_forked(void) { pthread_mutex_init(&names_lock, NULL); }
