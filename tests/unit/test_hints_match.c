// SPDX-License-Identifier: Apache-2.0
// Question: does each allocation get the meaning that the rules give it: of several rules the first, at the time when its conditions come true,
// also where addresses are used again, pointers are none, and threads do all of it at once?
// Method: sidecars as text, read by gn_hints_load; allocations put into the maps by hand; launches of functions with made-up layouts.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "interpose/hints/hints_rules.h"
#include "interpose/memory/memory_map.h"
#include "interpose/module/function.h"
#include "interpose/options.h"

#define MIB ((uint64_t)1 << 20)

// --- a sidecar, memory, a kernel

static void load(const char *rules)
{
    char path[] = "/tmp/test_hints_match_XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    fprintf(f, "schema = 1\n%s", rules);
    fclose(f);
    free(gn_hint_rules.hints);
    memset(&gn_hint_rules, 0, sizeof gn_hint_rules);
    memset(gn_hint_counts, 0, sizeof gn_hint_counts);
    gn_hints_on = false;
    gn_options.optimisations = GN_OPT_ALL;
    snprintf(gn_options.hints, sizeof gn_options.hints, "%s", path);
    gn_hints_load();
    unlink(path);
    if (!gn_hints_on)
        fail_msg("%s", gn_hint_rules.why);
}

static struct gn_memory *allocate(uint64_t address, uint64_t size_bytes, enum gn_memory_kind kind)
{
    struct gn_memory *m = calloc(1, sizeof *m);
    m->region.start = address;
    m->region.size_bytes = size_bytes;
    m->kind = kind;
    gn_hints_allocated(m);
    assert_int_equal(gn_memory_add(m), 0);
    return m;
}

static void release(struct gn_memory *m)
{
    assert_ptr_equal(gn_memory_take(m->region.start, m->kind), m);
    free(m);
}

enum { PARAMS = 5 }; // u64, u32, u32, u64, a structure of 16 bytes
struct kernel {
    struct gn_function function;
    struct gn_param params[PARAMS];
};
struct values {
    uint64_t a;
    uint32_t b, c;
    uint64_t d, e[2];
};

static struct gn_function *kernel(const char *name)
{
    static const struct gn_param layout[PARAMS] = {{0, 8}, {8, 4}, {12, 4}, {16, 8}, {24, 16}};
    struct kernel *k = calloc(1, sizeof *k);
    memcpy(k->params, layout, sizeof layout);
    k->function.name = (char *)(uintptr_t)name;
    k->function.layout = (struct gn_layout){.count = PARAMS, .size_bytes = sizeof(struct values), .params = k->params};
    return &k->function;
}

static void drop(struct gn_function *f)
{
    gn_hints_function_freed(f);
    free(f);
}

static void launch(struct gn_function *f, uint64_t a, uint64_t d) { gn_hints_launch(f, &(struct values){.a = a, .d = d}); }

static unsigned rule_at(uint64_t address) { return gn_hints_of(address, 1).rule; }

#define RULE(class, match) "[[region]]\nclass = '" class "'\nmatch = { " match " }\n"

// --- tests

static void by_size(void **state)
{
    (void)state;
    load(RULE("weights", "size = '> 1MiB'") "dedupe = true\nevict = 'last'\n" RULE("output", "size = '1MiB'") "keep = 'remote'\n");
    struct gn_memory *large = allocate(16 * MIB, 2 * MIB, GN_MEMORY_DEVICE), *one = allocate(18 * MIB, MIB, GN_MEMORY_DEVICE),
                     *small = allocate(19 * MIB, 100, GN_MEMORY_MAPPED);
    struct gn_meaning m = gn_hints_of(16 * MIB + 5, 100);
    assert_true(m.rule == 1 && m.class == GN_CLASS_WEIGHTS && m.dedupe && !m.keep_remote && m.evict == GN_EVICT_LAST);
    m = gn_hints_of(18 * MIB, MIB);
    assert_true(m.rule == 2 && m.class == GN_CLASS_OUTPUT && !m.dedupe && m.keep_remote);
    assert_int_equal(rule_at(19 * MIB), 0);
    assert_int_equal(gn_hints_of(17 * MIB, MIB + 1).rule, 0); // over the end
    assert_int_equal(rule_at(20 * MIB), 0);                   // nobody's
    assert_int_equal(gn_hints_of(UINT64_MAX, 1).rule, 0);
    release(large), release(one), release(small);
}

static void the_first_rule_counts_whenever_it_holds(void **state)
{
    (void)state;
    load(RULE("kv_cache", "kernel = 'attention_*', arg = 3") RULE("weights", "written_by = 'host'") RULE("scratch", "size = '>= 1'"));
    struct gn_function *attention = kernel("attention_decode");
    struct gn_memory *m = allocate(16 * MIB, MIB, GN_MEMORY_DEVICE), *other = allocate(20 * MIB, MIB, GN_MEMORY_DEVICE);
    assert_int_equal(rule_at(16 * MIB), 3);
    assert_int_equal(gn_hints_copied(16 * MIB, 10, GN_WRITER_HOST).rule, 2);
    launch(attention, 20 * MIB, 0); // argument 0 is not the one
    assert_int_equal(rule_at(20 * MIB), 3);
    launch(attention, 0, 16 * MIB + 4096);
    assert_int_equal(rule_at(16 * MIB), 1);
    assert_int_equal(gn_hints_copied(16 * MIB, 10, GN_WRITER_HOST).rule, 1); // and that is that
    assert_int_equal(gn_hint_counts[1].allocations, 1);
    assert_int_equal(gn_hint_counts[2].allocations, 0);
    assert_int_equal(gn_hint_counts[3].allocations, 1);
    release(m), release(other);
    drop(attention);
}

static void first_copies(void **state)
{
    (void)state;
    load(RULE("weights", "written_by = 'host'") RULE("activation", "written_by = 'copy'") RULE("output", "written_by = 'kernel'"));
    struct gn_function *f = kernel("any");
    struct gn_memory *m[4];
    for (unsigned i = 0; i < 4; i++)
        m[i] = allocate((16 + i) * MIB, MIB, GN_MEMORY_DEVICE);
    gn_hints_copied(16 * MIB, 1, GN_WRITER_HOST);
    gn_hints_copied(16 * MIB, 1, GN_WRITER_COPY);
    gn_hints_copied(17 * MIB, 1, GN_WRITER_COPY);
    gn_hints_copied(17 * MIB, 1, GN_WRITER_HOST);
    launch(f, 18 * MIB, 16 * MIB);
    launch(f, 17 * MIB, 20 * MIB);
    assert_int_equal(rule_at(16 * MIB), 1);
    assert_int_equal(rule_at(17 * MIB), 2);
    assert_int_equal(rule_at(18 * MIB), 3);
    assert_int_equal(rule_at(19 * MIB), 0);
    for (unsigned i = 0; i < 4; i++)
        release(m[i]);
    drop(f);
}

static void all_conditions_hold(void **state)
{
    (void)state;
    load(RULE("kv_cache", "kernel = 'k', arg = [0, 3], size = '1MiB', written_by = 'host'"));
    struct gn_function *f = kernel("k"), *g = kernel("g");
    struct gn_memory *m = allocate(16 * MIB, MIB, GN_MEMORY_DEVICE), *wide = allocate(20 * MIB, 2 * MIB, GN_MEMORY_DEVICE);
    launch(f, 16 * MIB, 20 * MIB);
    assert_int_equal(rule_at(16 * MIB), 0);
    gn_hints_copied(20 * MIB, 1, GN_WRITER_HOST);
    assert_int_equal(gn_hints_copied(16 * MIB, 1, GN_WRITER_HOST).rule, 1);
    assert_int_equal(rule_at(20 * MIB), 0);
    release(m);
    m = allocate(16 * MIB, MIB, GN_MEMORY_DEVICE);
    gn_hints_copied(16 * MIB, 1, GN_WRITER_HOST);
    launch(g, 16 * MIB, 16 * MIB);
    assert_int_equal(rule_at(16 * MIB), 0);
    launch(f, 16 * MIB, 0);
    assert_int_equal(rule_at(16 * MIB), 1);
    release(m), release(wide);
    drop(f), drop(g);
}

static void addresses_are_used_again(void **state)
{
    (void)state;
    load(RULE("kv_cache", "kernel = 'k', arg = 0, size = '<= 1MiB'"));
    struct gn_function *f = kernel("k");
    for (unsigned i = 0; i < 100; i++) {
        uint64_t size_bytes = i % 3 ? MIB : 2 * MIB;
        struct gn_memory *m = allocate(16 * MIB, size_bytes, GN_MEMORY_DEVICE);
        assert_int_equal(rule_at(16 * MIB), 0);
        launch(f, 16 * MIB + 64, 0);
        assert_int_equal(rule_at(16 * MIB), i % 3 ? 1 : 0);
        release(m);
    }
    drop(f);
}

static void arguments_that_are_not_there(void **state)
{
    (void)state;
    load(RULE("input", "kernel = 'k', arg = [1, 2, 4, 5, 4094]") RULE("kv_cache", "kernel = 'k'"));
    struct gn_function *f = kernel("k"), *none = kernel("k");
    struct gn_memory *m = allocate(16 * MIB, MIB, GN_MEMORY_DEVICE), *next = allocate(17 * MIB, MIB, GN_MEMORY_DEVICE),
                     *host = allocate(32 * MIB, MIB, GN_MEMORY_PINNED);
    gn_hints_launch(f, &(struct values){.b = 16 << 20, .e = {16 * MIB, 16 * MIB}}); // numbers, and pointers inside of a structure
    assert_int_equal(rule_at(16 * MIB), 0);
    gn_hints_launch(f, NULL);
    none->layout = (struct gn_layout){0};
    gn_hints_launch(none, NULL);
    launch(f, UINT64_MAX, 1);
    launch(f, 18 * MIB, 32 * MIB); // behind the last; host memory
    assert_int_equal(rule_at(17 * MIB), 0);
    launch(f, 17 * MIB, 0); // one past the end of the first is the second
    assert_int_equal(rule_at(16 * MIB), 0);
    assert_int_equal(rule_at(17 * MIB), 2);
    assert_int_equal(rule_at(32 * MIB), 0);
    assert_non_null(gn_hint_counts[1].no_pointer);
    release(m), release(next), release(host);
    drop(f), drop(none);
}

static void in_order(void **state)
{
    (void)state;
    load(RULE("weights", "order = '2nd allocation'") RULE("input", "order = 'after first launch'") RULE("output", "order = '3..4'"));
    struct gn_function *f = kernel("k");
    // Numbers go on counting in this process: none of these is the second.
    struct gn_memory *early = allocate(16 * MIB, MIB, GN_MEMORY_DEVICE), *variable = allocate(20 * MIB, MIB, GN_MEMORY_GLOBAL);
    launch(f, 0, 0);
    struct gn_memory *late = allocate(18 * MIB, MIB, GN_MEMORY_DEVICE);
    assert_int_equal(rule_at(18 * MIB), 2);
    assert_int_not_equal(rule_at(16 * MIB), 1);
    assert_true(gn_hint_counts[0].allocations == 3);
    release(early), release(late), release(variable);
    drop(f);
}

// --- threads: each has a place of its own, where memory of two sizes comes and goes; functions are shared

enum { THREADS = 4, TRIES = 2000 };
static struct gn_function *shared[2];

static void *in_thread(void *number)
{
    uint64_t place = (64 + 8 * (uint64_t)(uintptr_t)number) * MIB;
    for (unsigned i = 0; i < TRIES; i++) {
        bool large = i % 5 == 0;
        struct gn_memory *m = allocate(place, large ? 2 * MIB : MIB, GN_MEMORY_DEVICE);
        if (i % 2)
            gn_hints_copied(place, 64, GN_WRITER_HOST);
        launch(shared[i % 2], place, place + MIB / 2);
        unsigned rule = rule_at(place);
        // Threads share what an argument remembers: a meaning by kernel may come late, but never a wrong one.
        if (large ? rule != 0 && rule != 2 : rule != 0 && rule != 1 && rule != 2)
            return "a rule that does not hold";
        if (i % 2 && rule == 0)
            return "no rule where one holds";
        gn_hints_saved(gn_hints_of(place, 1), GN_SAVED_CONTENT, 1);
        gn_hints_why((struct gn_meaning){.rule = 1}, i % 2 ? "odd" : "even");
        release(m);
    }
    return NULL;
}

static void threads(void **state)
{
    pthread_t all[THREADS];
    (void)state;
    load(RULE("kv_cache", "kernel = 'k', arg = 0, size = '1MiB'") RULE("weights", "written_by = 'host'"));
    shared[0] = kernel("k");
    shared[1] = kernel("l");
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&all[i], NULL, in_thread, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *what;
        pthread_join(all[i], &what);
        if (what)
            fail_msg("%s", (const char *)what);
    }
    uint64_t saved = 0;
    for (int i = 0; i < 3; i++)
        saved += gn_hint_counts[i].saved[GN_SAVED_CONTENT];
    assert_int_equal(saved, THREADS * TRIES);
    assert_int_equal(gn_hint_counts[1].reasons[0].count + gn_hint_counts[1].reasons[1].count, THREADS * TRIES);
    drop(shared[0]), drop(shared[1]);
}

static void without_a_sidecar(void **state)
{
    (void)state;
    gn_hints_on = false;
    struct gn_memory *m = allocate(16 * MIB, MIB, GN_MEMORY_DEVICE);
    assert_int_equal(gn_hints_copied(16 * MIB, 1, GN_WRITER_HOST).rule, 0);
    assert_int_equal(rule_at(16 * MIB), 0);
    assert_int_equal(m->hints.possible | m->hints.writers, 0);
    release(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_sidecar), cmocka_unit_test(by_size), cmocka_unit_test(the_first_rule_counts_whenever_it_holds),
        cmocka_unit_test(first_copies), cmocka_unit_test(all_conditions_hold), cmocka_unit_test(addresses_are_used_again),
        cmocka_unit_test(arguments_that_are_not_there), cmocka_unit_test(in_order), cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
