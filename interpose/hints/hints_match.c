// SPDX-License-Identifier: Apache-2.0
// The matcher: which rule an allocation belongs to.
//
// A set of rules is a word. What an allocation itself tells (size, order, caller) is settled when it is made; who writes to it first and which
// kernels get it comes later. A rule applies when every word has its bit, and the lowest bit wins.
//
// A launch looks only at the arguments that some rule names. Each remembers the allocation that it saw last: while pointers lie in that, and
// no new allocation could need it, there is nothing to look up.
#include <stdlib.h>
#include <string.h>

#include "core/hints/glob.h"
#include "interpose/hints/hints_rules.h"
#include "interpose/memory/memory_map.h"
#include "interpose/module/function.h"

enum { FIRST_HOST = 1, FIRST_COPY = 2, FIRST_KERNEL = 4, COPIED = FIRST_HOST | FIRST_COPY };

bool gn_hints_on;
struct gn_hint_rules gn_hint_rules;

static _Atomic uint64_t allocations; // made so far
static _Atomic bool launched;
// Changes when an allocation is made that a launch may give a meaning to: from then on, a pointer seen before may be another one's.
static _Atomic uint64_t generation;

struct argument { // of a kernel, that some rule names
    uint64_t rules;
    uint32_t offset_bytes, number;
    struct gn_hint_kernel *kernel; // NULL: there are too many to report on
    // The allocation that was looked up last: its start, mixed with the generation, and its size. Threads that launch the same kernel may leave
    // the start of one with the size of another: then a meaning comes later than it might.
    _Atomic uint64_t seen, seen_bytes;
};

struct gn_function_hints {
    struct gn_hint_kernel *kernel;
    uint32_t count;
    struct argument arguments[];
};

static struct gn_function_hints nothing; // of functions that no rule names

// --- meanings

static struct gn_meaning meaning_of(uint16_t rule)
{
    if (!rule)
        return (struct gn_meaning){0};
    const struct gn_hint_region *r = &gn_hint_rules.hints->regions[rule - 1];
    return (struct gn_meaning){.rule = rule,
                               .class = (uint8_t)r->class,
                               .evict = (uint8_t)r->evict,
                               .dedupe = r->dedupe,
                               .keep_remote = r->keep == GN_KEEP_REMOTE};
}

static uint64_t satisfied(const struct gn_hint_state *s)
{
    const struct gn_hint_rules *rules = &gn_hint_rules;
    uint8_t writers = atomic_load_explicit(&s->writers, memory_order_relaxed);
    uint64_t written = rules->by_writer[GN_WRITER_ANY];
    written |= writers & FIRST_HOST ? rules->by_writer[GN_WRITER_HOST] : 0;
    written |= writers & FIRST_COPY ? rules->by_writer[GN_WRITER_COPY] : 0;
    written |= writers & FIRST_KERNEL ? rules->by_writer[GN_WRITER_KERNEL] : 0;
    return s->possible & written & (~rules->with_kernel | atomic_load_explicit(&s->passed, memory_order_relaxed));
}

// Something about the allocation has become known. With the map's lock for reading, or before it is in the map.
static void settle(struct gn_memory *m)
{
    struct gn_hint_state *s = &m->hints;
    uint64_t set = satisfied(s);
    if (!set)
        return;
    uint16_t rule = (uint16_t)(__builtin_ctzll(set) + 1), before = atomic_load_explicit(&s->rule, memory_order_relaxed);
    do {
        if (before && before <= rule)
            break;
    } while (!atomic_compare_exchange_weak_explicit(&s->rule, &before, rule, memory_order_relaxed, memory_order_relaxed));
    if (before && rule < before)
        gn_hint_count_allocation(before, m->region.size_bytes, -1);
    if (!before || rule < before)
        gn_hint_count_allocation(rule, m->region.size_bytes, 1);
    for (set &= set - 1; set; set &= set - 1)
        atomic_store_explicit(&gn_hint_counts[__builtin_ctzll(set) + 1].taken, true, memory_order_relaxed);
}

static void take_meaning(struct gn_memory *m, void *context)
{
    *(struct gn_meaning *)context = meaning_of(atomic_load_explicit(&m->hints.rule, memory_order_relaxed));
}

struct gn_meaning gn_hints_of(uint64_t address, uint64_t size_bytes)
{
    struct gn_meaning meaning = {0};
    if (gn_hints_on)
        gn_memory_with(address, size_bytes, take_meaning, &meaning);
    return meaning;
}

// --- allocations

static bool fits_order(const struct gn_hint_match *m, uint64_t number, bool after)
{
    switch (m->when) {
    case GN_WHEN_BEFORE_LAUNCH: return !after;
    case GN_WHEN_AFTER_LAUNCH: return after;
    case GN_WHEN_NUMBER: return number && gn_hint_in(&m->number, number);
    default: return true;
    }
}

void gn_hints_allocated(struct gn_memory *memory)
{
    char caller[NAME_MAX + 1] = "";
    if (!gn_hints_on || gn_memory_is_host(memory))
        return;
    bool variable = memory->kind == GN_MEMORY_GLOBAL; // of a module: nobody allocated it
    uint64_t number = variable ? 0 : atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    bool after = atomic_load_explicit(&launched, memory_order_relaxed);
    if (gn_hint_rules.any_library && !variable)
        gn_hint_caller(caller, sizeof caller);
    if (*caller)
        gn_hint_count_library(caller);
    gn_hint_count_allocation(0, memory->region.size_bytes, 1);
    uint64_t possible = 0;
    for (uint64_t left = gn_hint_rules.all; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        const struct gn_hint_match *m = &gn_hint_rules.hints->regions[i].match;
        int miss = !gn_hint_in(&m->size, memory->region.size_bytes)          ? GN_MISS_SIZE
                   : !fits_order(m, number, after)                           ? GN_MISS_ORDER
                   : m->caller && !gn_glob_match(m->caller, caller)        ? GN_MISS_LIBRARY
                                                                             : GN_MISSES;
        if (miss == GN_MISSES)
            possible |= 1ull << i;
        else
            atomic_fetch_add_explicit(&gn_hint_counts[i + 1].missed[miss], 1, memory_order_relaxed);
    }
    memory->hints.possible = possible;
    settle(memory);
    if (possible & (gn_hint_rules.with_kernel | gn_hint_rules.by_writer[GN_WRITER_KERNEL]))
        atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

// --- copies

struct copied {
    uint8_t first;
    struct gn_meaning meaning;
};

static void note_copy(struct gn_memory *m, void *context)
{
    struct copied *c = context;
    uint8_t writers = atomic_load_explicit(&m->hints.writers, memory_order_relaxed);
    while (!(writers & COPIED) && !atomic_compare_exchange_weak_explicit(&m->hints.writers, &writers, (uint8_t)(writers | c->first),
                                                                         memory_order_relaxed, memory_order_relaxed)) {
    }
    if (!(writers & COPIED))
        settle(m);
    take_meaning(m, &c->meaning);
}

struct gn_meaning gn_hints_copied(uint64_t address, uint64_t size_bytes, enum gn_hint_writer from)
{
    struct copied c = {.first = from == GN_WRITER_HOST ? FIRST_HOST : FIRST_COPY};
    if (gn_hints_on)
        gn_memory_with(address, size_bytes, note_copy, &c);
    return c.meaning;
}

// --- launches

static bool is_pointer(const struct gn_param *p) { return p->size_bytes == 8 && p->offset_bytes % 8 == 0; }

static uint64_t rules_of_argument(uint64_t named, uint32_t number)
{
    uint64_t rules = 0;
    for (uint64_t left = named; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        const struct gn_hint_match *m = &gn_hint_rules.hints->regions[i].match;
        bool in = !m->arg_count;
        for (uint32_t k = 0; k < m->arg_count; k++)
            in |= m->args[k] == number;
        rules |= in ? 1ull << i : 0;
    }
    return rules;
}

// A rule that names an argument which is no pointer can be told so.
static void note_no_pointer(uint64_t named, const struct gn_layout *layout, const char *name)
{
    for (uint64_t left = named; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        const struct gn_hint_match *m = &gn_hint_rules.hints->regions[i].match;
        for (uint32_t k = 0; k < m->arg_count; k++)
            if (m->args[k] >= layout->count || !is_pointer(&layout->params[m->args[k]]))
                atomic_store_explicit(&gn_hint_counts[i + 1].no_pointer, name, memory_order_relaxed);
    }
}

static struct gn_function_hints *compile(const struct gn_function *f)
{
    uint64_t named = 0;
    const struct gn_layout *layout = &f->layout;
    for (uint64_t left = gn_hint_rules.all & gn_hint_rules.with_kernel; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        if (gn_glob_match(gn_hint_rules.hints->regions[i].match.kernel, f->name))
            named |= 1ull << i;
    }
    struct gn_hint_kernel *kernel = gn_hint_kernel_named(f->name, named, layout);
    bool every = gn_hint_rules.by_writer[GN_WRITER_KERNEL] || gn_hint_rules.explain;
    if (!named && !every)
        return &nothing;
    if (kernel)
        note_no_pointer(named, layout, kernel->name);
    struct gn_function_hints *h = calloc(1, sizeof *h + layout->count * sizeof h->arguments[0]);
    if (!h)
        return &nothing;
    h->kernel = kernel;
    for (uint32_t i = 0; i < layout->count; i++) {
        uint64_t rules = is_pointer(&layout->params[i]) ? rules_of_argument(named, i) : 0;
        if (rules || (every && is_pointer(&layout->params[i]))) {
            struct argument *a = &h->arguments[h->count++];
            a->rules = rules;
            a->number = i;
            a->kernel = kernel;
            a->offset_bytes = layout->params[i].offset_bytes;
        }
    }
    return h;
}

static struct gn_function_hints *compile_once(struct gn_function *f)
{
    struct gn_function_hints *fresh = compile(f), *there = NULL;
    // Release: pairs with the acquire in gn_hints_launch.
    if (atomic_compare_exchange_strong_explicit(&f->hints, &there, fresh, memory_order_acq_rel, memory_order_acquire))
        return fresh;
    if (fresh != &nothing)
        free(fresh);
    return there;
}

void gn_hints_function_freed(struct gn_function *function)
{
    struct gn_function_hints *h = atomic_load_explicit(&function->hints, memory_order_acquire);
    if (h != &nothing)
        free(h);
}

struct passed {
    struct argument *argument;
    uint64_t mixed;
};

static void note_argument(struct gn_memory *m, void *context)
{
    const struct passed *p = context;
    struct argument *a = p->argument;
    uint8_t writers = atomic_load_explicit(&m->hints.writers, memory_order_relaxed);
    if (!(writers & (COPIED | FIRST_KERNEL)))
        atomic_compare_exchange_strong_explicit(&m->hints.writers, &writers, FIRST_KERNEL, memory_order_relaxed, memory_order_relaxed);
    atomic_fetch_or_explicit(&m->hints.passed, a->rules, memory_order_relaxed);
    settle(m);
    atomic_store_explicit(&a->seen, m->region.start + p->mixed, memory_order_relaxed);
    atomic_store_explicit(&a->seen_bytes, m->region.size_bytes, memory_order_relaxed);
    if (!a->kernel || a->number >= GN_HINT_ARGUMENTS_MAX)
        return;
    uint16_t rule = atomic_load_explicit(&m->hints.rule, memory_order_relaxed);
    atomic_store_explicit(&a->kernel->args[a->number].last, m->region.size_bytes << 8 | rule, memory_order_relaxed);
    if (rule)
        atomic_fetch_or_explicit(&a->kernel->args[a->number].rules, 1ull << (rule - 1), memory_order_relaxed);
}

void gn_hints_launch(struct gn_function *function, const void *params)
{
    struct gn_function_hints *h = atomic_load_explicit(&function->hints, memory_order_acquire);
    if (__builtin_expect(!h, 0)) {
        atomic_store_explicit(&launched, true, memory_order_relaxed);
        h = compile_once(function);
    }
    if (!h->count || !params)
        return;
    if (h->kernel)
        atomic_fetch_add_explicit(&h->kernel->launches, 1, memory_order_relaxed);
    uint64_t mixed = atomic_load_explicit(&generation, memory_order_relaxed) * 0x9e3779b97f4a7c15u;
    for (uint32_t i = 0; i < h->count; i++) {
        struct argument *a = &h->arguments[i];
        uint64_t value;
        memcpy(&value, (const uint8_t *)params + a->offset_bytes, sizeof value);
        uint64_t offset = value + mixed - atomic_load_explicit(&a->seen, memory_order_relaxed);
        if (__builtin_expect(offset >= atomic_load_explicit(&a->seen_bytes, memory_order_relaxed) && value, 0))
            gn_memory_with(value, 1, note_argument, &(struct passed){a, mixed});
    }
}
