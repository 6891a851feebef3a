// SPDX-License-Identifier: Apache-2.0
// Question: does the version of an allocation change with everything that may write there, and with nothing else? Method: the counting
// alone, with allocations, functions and commands of the test's own and no session behind it.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "interpose/memory/memory_map.h"
#include "interpose/module/function.h"
#include "interpose/stream/stream.h"
#include "interpose/writes/writes.h"
#include "tests/unit/fake_session.h"

#define BASE ((uint64_t)0x200000000)
enum { SIZE_BYTES = 4096, THREADS = 4, ROUNDS = 20000 };

static struct gn_context context, other_context;
static struct gn_call call;
static struct gn_memory *a, *b;
static uint64_t blocking, second, independent;

static struct gn_memory *allocate(uint64_t start, uint64_t size_bytes, enum gn_memory_kind kind)
{
    struct gn_memory *m = calloc(1, sizeof *m);
    m->region.start = start;
    m->region.size_bytes = size_bytes;
    m->kind = kind;
    m->context = gn_context_id(&call);
    assert_int_equal(gn_memory_add(m), 0);
    return m;
}

static void release(struct gn_memory *m)
{
    assert_ptr_equal(gn_memory_take(m->region.start, m->kind), m);
    free(m);
}

static uint64_t stream_of(unsigned flags)
{
    uint64_t id;
    assert_int_equal(gn_handle_new(&call, GN_KIND_STREAM, gn_context_id(&call), flags, NULL, &id), 0);
    return id;
}

static void settle(void)
{
    gn_writes_wait_ended(gn_context_id(&call), gn_writes_wait_begins());
}

static int begin(void **state)
{
    (void)state;
    static uint64_t contexts;
    memset(&call, 0, sizeof call);
    call.thread = gn_thread_self();
    call.context = &context;
    if (!contexts++) { // with a second one nothing is waited for any more, so all tests but the last share it
        atomic_store(&context.id, 1000);
        atomic_store(&other_context.id, 2000);
    }
    gn_writes_on = true;
    a = allocate(BASE, SIZE_BYTES, GN_MEMORY_DEVICE);
    b = allocate(BASE + SIZE_BYTES, SIZE_BYTES, GN_MEMORY_DEVICE);
    blocking = stream_of(CU_STREAM_DEFAULT);
    second = stream_of(CU_STREAM_DEFAULT);
    independent = stream_of(CU_STREAM_NON_BLOCKING);
    settle();
    return 0;
}

static int end(void **state)
{
    (void)state;
    release(a);
    release(b);
    gn_handle_drop(blocking);
    gn_handle_drop(second);
    gn_handle_drop(independent);
    return 0;
}

static uint64_t version(const struct gn_memory *m, uint64_t stream)
{
    return gn_writes_version(&call, stream, m->region.start, m->region.size_bytes);
}
static uint64_t of(const struct gn_memory *m) { return version(m, GN_STREAM_LEGACY_ID); }

static struct gn_function *kernel(bool unknown, uint32_t count, const uint16_t *words)
{
    struct gn_function *f = calloc(1, sizeof *f);
    f->writes = malloc(sizeof *f->writes + count * sizeof *words);
    f->writes->unknown = unknown;
    f->writes->word_count = count;
    if (count)
        memcpy(f->writes->word_bytes, words, count * sizeof *words);
    assert_int_equal(gn_handle_new(&call, GN_KIND_FUNCTION, gn_context_id(&call), 0, f, &f->id), 0);
    return f;
}

static void kernel_free(struct gn_function *f)
{
    gn_handle_drop(f->id);
    free(f->writes);
    free(f);
}

static void launch(const struct gn_function *f, uint64_t stream, const uint64_t *params, uint32_t count)
{
    struct gn_args_launch args = {.function = f->id, .stream = stream, .params = (const void *)params, .params_bytes = 8 * count};
    gn_writes_told(&call, GN_OP_launch, &args);
}

static void memset_at(uint64_t address, uint64_t stream)
{
    gn_writes_told(&call, GN_OP_cuMemsetD8Async, &(struct gn_args_cuMemsetD8Async){.dstDevice = address, .N = 1, .hStream = stream});
}

// --- tests

static void what_has_no_version(void **state)
{
    (void)state;
    uint64_t at = BASE + 16 * SIZE_BYTES;
    assert_int_not_equal(of(a), 0);
    assert_int_not_equal(of(a), of(b));
    assert_int_equal(gn_writes_version(&call, GN_STREAM_LEGACY_ID, BASE, SIZE_BYTES + 1), 0); // of two
    assert_int_equal(gn_writes_version(&call, GN_STREAM_LEGACY_ID, at, 1), 0);                // of none
    static const enum gn_memory_kind kinds[] = {GN_MEMORY_GLOBAL, GN_MEMORY_MAPPED, GN_MEMORY_PINNED};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) { // what kernels reach otherwise
        struct gn_memory *m = allocate(at, SIZE_BYTES, kinds[i]);
        assert_int_equal(of(m), 0);
        release(m);
    }
    gn_writes_on = false;
    assert_int_equal(of(a), 0);
    gn_writes_on = true;
}

static void commands_count_where_they_write(void **state)
{
    (void)state;
    const uint64_t at = BASE + 100, s = GN_STREAM_LEGACY_ID;
    const struct {
        unsigned op;
        const void *args;
    } commands[] = {
        {GN_OP_write, &(struct gn_args_write){.stream = s, .address = at}},
        {GN_OP_write_pull, &(struct gn_args_write_pull){.stream = s, .address = at}},
        {GN_OP_copy, &(struct gn_args_copy){.stream = s, .destination = at, .source = BASE + SIZE_BYTES}},
        {GN_OP_write_content, &(struct gn_args_write_content){.stream = s, .address = at}},
        {GN_OP_write_stored, &(struct gn_args_write_stored){.stream = s, .address = at}},
        {GN_OP_kept_spill, &(struct gn_args_kept_spill){.stream = s, .address = at}},
        {GN_OP_cuMemsetD8Async, &(struct gn_args_cuMemsetD8Async){.hStream = s, .dstDevice = at}},
        {GN_OP_cuMemsetD16Async, &(struct gn_args_cuMemsetD16Async){.hStream = s, .dstDevice = at}},
        {GN_OP_cuMemsetD32Async, &(struct gn_args_cuMemsetD32Async){.hStream = s, .dstDevice = at}},
        {GN_OP_cuMemsetD2D8Async, &(struct gn_args_cuMemsetD2D8Async){.hStream = s, .dstDevice = at}},
        {GN_OP_cuMemsetD2D16Async, &(struct gn_args_cuMemsetD2D16Async){.hStream = s, .dstDevice = at}},
        {GN_OP_cuMemsetD2D32Async, &(struct gn_args_cuMemsetD2D32Async){.hStream = s, .dstDevice = at}},
        {GN_OP_cuStreamWriteValue32_v2, &(struct gn_args_cuStreamWriteValue32_v2){.stream = s, .addr = at}},
        {GN_OP_cuStreamWriteValue64_v2, &(struct gn_args_cuStreamWriteValue64_v2){.stream = s, .addr = at}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        uint64_t va = of(a), vb = of(b);
        gn_writes_told(&call, commands[i].op, commands[i].args);
        assert_int_equal(of(a), va + 1);
        assert_int_equal(of(b), vb);
    }
    uint64_t va = of(a), vb = of(b);
    static const unsigned harmless[] = {GN_OP_read, GN_OP_read_async, GN_OP_event_record, GN_OP_memory_free, GN_OP_image_part,
                                        GN_OP_host_function, GN_OP_stream_synchronize, GN_OP_kept_fill, GN_OP_memory_info};
    static const uint64_t zeros[32];
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        gn_writes_told(&call, harmless[i], zeros);
    assert_int_equal(of(a), va);
    static const unsigned unlisted[] = {GN_OP_cuGraphLaunch, GN_OP_cuMemPrefetchAsync_v2, GN_OP_context_destroy, GN_OP_cuStreamBatchMemOp_v2};
    for (size_t i = 0; i < sizeof unlisted / sizeof *unlisted; i++)
        gn_writes_told(&call, unlisted[i], zeros);
    assert_int_equal(of(a), va + 4);
    assert_int_equal(of(b), vb + 4);
}

static void launches_count_where_they_may_write(void **state)
{
    (void)state;
    struct gn_function *f = kernel(false, 2, (const uint16_t[]){0, 16}), *anywhere = kernel(true, 0, NULL), *nowhere = kernel(false, 0, NULL);
    struct gn_function *none = kernel(false, 0, NULL);
    free(none->writes);
    none->writes = NULL; // nothing is known of it
    const uint64_t s = GN_STREAM_LEGACY_ID, middle = BASE + 8, other = BASE + SIZE_BYTES + 8;
    const struct {
        const char *what;
        const struct gn_function *f;
        uint64_t params[3];
        uint32_t count;
        unsigned a, b;
    } rows[] = {
        {"the first", f, {middle, other, 0}, 3, 1, 0},
        {"a number beside it", f, {middle, other, 4096}, 3, 1, 0},
        {"a negative number beside it", f, {middle, other, (uint64_t)-4}, 3, 1, 0},
        {"both", f, {middle, 0, other}, 3, 1, 1},
        {"twice the same", f, {middle, 0, middle}, 3, 2, 0},
        {"neither", f, {0, middle, 0}, 3, 0, 0},
        {"an end is that of one and the start of another", f, {BASE + SIZE_BYTES, 0, 0}, 3, 1, 1},
        {"the end of the last", f, {BASE + 2 * SIZE_BYTES, 0, 0}, 3, 0, 1},
        {"in front of all", f, {BASE - 4, 0, 0}, 3, 1, 1},
        {"where nothing is", f, {BASE + 9 * SIZE_BYTES, 0, 0}, 3, 1, 1},
        {"fewer parameters than it says", f, {middle, 0, 0}, 2, 2, 1}, // one of its own, and one of everybody's
        {"anywhere", anywhere, {0}, 0, 1, 1},
        {"nowhere", nowhere, {middle}, 1, 0, 0},
        {"nothing known", none, {middle}, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (unsigned again = 0; again < 2; again++) { // the second time from what the thread remembers
            uint64_t va = of(a), vb = of(b);
            launch(rows[i].f, s, rows[i].params, rows[i].count);
            if (of(a) != va + rows[i].a || of(b) != vb + rows[i].b)
                fail_msg("%s: %llu and %llu more", rows[i].what, (unsigned long long)(of(a) - va), (unsigned long long)(of(b) - vb));
        }
    gn_writes_told(&call, GN_OP_launch, &(struct gn_args_launch){.function = 12345, .stream = s}); // no function at all
    kernel_free(f);
    kernel_free(anywhere);
    kernel_free(nowhere);
    kernel_free(none);
}

static void *write_once(void *arg)
{
    struct gn_call mine = call;
    mine.thread = gn_thread_self();
    gn_writes_told(&mine, GN_OP_cuMemsetD8Async, &(struct gn_args_cuMemsetD8Async){.dstDevice = BASE, .hStream = *(uint64_t *)arg});
    return NULL;
}

static void memory_that_is_used_again(void **state)
{
    (void)state;
    struct gn_function *f = kernel(false, 1, (const uint16_t[]){0});
    const uint64_t at = BASE + 4 * SIZE_BYTES;
    uint64_t seen[8];
    for (unsigned i = 0; i < 8; i++) {
        struct gn_memory *m = allocate(at, SIZE_BYTES, GN_MEMORY_DEVICE);
        seen[i] = of(m);
        assert_int_not_equal(seen[i], 0);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
        launch(f, GN_STREAM_LEGACY_ID, &at, 1); // found in its new cell, whatever the thread remembers
        assert_int_equal(of(m), seen[i] + 1);
        release(m);
        assert_int_equal(gn_writes_version(&call, GN_STREAM_LEGACY_ID, at, 1), 0);
    }
    kernel_free(f);
}

static void streams_that_do_not_run_in_turn(void **state)
{
    (void)state;
    const uint64_t legacy = GN_STREAM_LEGACY_ID;
    memset_at(BASE, blocking);
    uint64_t v = version(a, blocking);
    assert_int_not_equal(v, 0);
    assert_int_equal(version(a, legacy), v);    // waits for it
    assert_int_equal(version(a, second), 0);    // may run before it
    assert_int_equal(version(a, independent), 0);
    assert_int_not_equal(version(b, independent), 0);
    memset_at(BASE, legacy);
    assert_int_equal(version(a, second), v + 1); // behind the legacy stream, and so behind all of it
    memset_at(BASE, independent);
    for (size_t i = 0; i < 2; i++) // two writers that nobody orders
        assert_int_equal(version(a, i ? independent : legacy), 0);
    settle();
    assert_int_equal(version(a, second), v + 2);
    assert_int_equal(version(a, independent), v + 2);
    // What was sent after the wait began is not waited for.
    uint64_t began = gn_writes_wait_begins();
    memset_at(BASE, independent);
    gn_writes_wait_ended(gn_context_id(&call), began);
    assert_int_equal(version(a, blocking), 0);
    // What may write anywhere counts for all of them.
    settle();
    struct gn_function *f = kernel(true, 0, NULL);
    launch(f, independent, NULL, 0);
    assert_int_equal(version(b, blocking), 0);
    assert_int_not_equal(version(b, independent), 0);
    settle();
    assert_int_not_equal(version(b, blocking), 0);
    kernel_free(f);
    // A stream that is gone is in no turn.
    memset_at(BASE, second);
    assert_int_not_equal(of(a), 0);
    gn_handle_drop(second);
    assert_int_equal(of(a), 0);
    settle();
    assert_int_not_equal(of(a), 0);
}

static void what_one_thread_puts_there(void **state)
{
    (void)state;
    const uint64_t s = GN_STREAM_LEGACY_ID;
    struct gn_writes_mark m = gn_writes_before(&call, s, BASE, 100);
    memset_at(BASE, s);
    memset_at(BASE + 50, s);
    uint64_t v = gn_writes_after(&call, s, BASE, 100, m);
    assert_int_not_equal(v, 0);
    assert_int_equal(v, of(a));
    m = gn_writes_before(&call, s, BASE, 100);
    memset_at(BASE, s);
    pthread_t other; // somebody writes meanwhile
    uint64_t stream = s;
    assert_int_equal(pthread_create(&other, NULL, write_once, &stream), 0);
    pthread_join(other, NULL);
    assert_int_equal(gn_writes_after(&call, s, BASE, 100, m), 0);
    memset_at(BASE, independent); // it was not to be told before, and is not known after
    m = gn_writes_before(&call, s, BASE, 100);
    settle();
    assert_int_equal(gn_writes_after(&call, s, BASE, 100, m), 0);
}

static void *write_often(void *arg)
{
    struct gn_call mine = call;
    mine.thread = gn_thread_self();
    for (unsigned i = 0; i < ROUNDS; i++)
        gn_writes_told(&mine, GN_OP_cuMemsetD8Async,
                       &(struct gn_args_cuMemsetD8Async){.dstDevice = BASE + i % SIZE_BYTES, .hStream = *(uint64_t *)arg});
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t streams[THREADS] = {blocking, blocking, independent, independent}, va = of(a), vb = of(b);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &streams[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(of(a), 0);
    settle();
    assert_int_equal(of(a), va + THREADS * ROUNDS);
    assert_int_equal(of(b), vb);
}

// A context's wait says nothing of the work of others.
static void several_contexts(void **state)
{
    (void)state;
    memset_at(BASE, independent);
    struct gn_call elsewhere = call;
    elsewhere.context = &other_context;
    gn_writes_told(&elsewhere, GN_OP_cuMemsetD8Async, &(struct gn_args_cuMemsetD8Async){.dstDevice = BASE, .hStream = GN_STREAM_LEGACY_ID});
    settle();
    assert_int_equal(of(a), 0);
    gn_writes_wait_ended(2000, gn_writes_wait_begins());
    assert_int_equal(of(a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_no_version, begin, end),
        cmocka_unit_test_setup_teardown(commands_count_where_they_write, begin, end),
        cmocka_unit_test_setup_teardown(launches_count_where_they_may_write, begin, end),
        cmocka_unit_test_setup_teardown(memory_that_is_used_again, begin, end),
        cmocka_unit_test_setup_teardown(streams_that_do_not_run_in_turn, begin, end),
        cmocka_unit_test_setup_teardown(what_one_thread_puts_there, begin, end),
        cmocka_unit_test_setup_teardown(threads_lose_no_count, begin, end),
        cmocka_unit_test_setup_teardown(several_contexts, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
