// SPDX-License-Identifier: Apache-2.0
// Do handle tables tell live handles from dead ones, ours from invented ones, kinds from each other, and hold
// 100,000 of them?
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/handle.h"

static int grow(struct gn_handle_table *t)
{
    struct gn_handle_slot *chunk = calloc(GN_HANDLE_CHUNK_SLOTS, sizeof *chunk);
    int error = gn_handle_grow(t, chunk);
    if (error)
        free(chunk);
    return error;
}

static struct gn_handle_table *fresh(void)
{
    struct gn_handle_table *t = calloc(1, sizeof *t);
    assert_int_equal(grow(t), 0);
    return t;
}

static void drop(struct gn_handle_table *t)
{
    for (uint32_t i = 0; i < t->chunk_count; i++)
        free(t->chunks[i]);
    free(t);
}

static uint64_t make(uint64_t index, enum gn_kind kind, uint64_t generation)
{
    return index | (uint64_t)kind << 24 | generation << 32;
}

static void opens_finds_closes(void **state)
{
    (void)state;
    struct gn_handle_table *t = fresh();
    int object;
    uint64_t id = gn_handle_open(t, GN_KIND_STREAM, 77, 5, &object);
    assert_true(id > 2 && id >> 32); // no default stream, and above any 32-bit number
    assert_int_equal(gn_handle_kind(id), GN_KIND_STREAM);
    struct gn_handle_slot *slot = gn_handle_find(t, id, GN_KIND_STREAM);
    assert_non_null(slot);
    assert_ptr_equal(slot->object, &object);
    assert_int_equal(slot->context, 77);
    assert_int_equal(slot->keep, 5);
    assert_ptr_equal(gn_handle_find(t, id, GN_KIND_NONE), slot);
    assert_int_equal(t->live, 1);
    gn_handle_close(t, slot);
    assert_null(gn_handle_find(t, id, GN_KIND_STREAM));
    assert_null(gn_handle_find(t, id, GN_KIND_NONE));
    assert_int_equal(t->live, 0);
    drop(t);
}

static void wrong_ids_are_not_found(void **state)
{
    (void)state;
    struct gn_handle_table *t = fresh();
    uint64_t id = gn_handle_open(t, GN_KIND_EVENT, 0, 0, NULL);
    for (int kind = GN_KIND_NONE + 1; kind < GN_KINDS; kind++) {
        assert_int_equal(!!gn_handle_find(t, id, (enum gn_kind)kind), kind == GN_KIND_EVENT);
        if (kind != GN_KIND_EVENT) // the kind in the id must be the slot's too
            assert_null(
                gn_handle_find(t, (id & ~(0xffull << 24)) | (uint64_t)kind << 24, (enum gn_kind)kind));
    }
    static const uint64_t bad[] = {
        0, 1, 2, 3, UINT64_MAX, 0x7fffffffe000, 0x107000000ull + 0xfffff, 0x107ffffff, 1ull << 63};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(gn_handle_find(t, bad[i], GN_KIND_NONE));
    assert_null(gn_handle_find(t, id + (1ull << 32), GN_KIND_EVENT));
    assert_null(gn_handle_find(t, id + 1, GN_KIND_EVENT));
    drop(t);
}

static void a_slot_again_is_another_handle(void **state)
{
    (void)state;
    struct gn_handle_table *t = fresh();
    uint64_t first = gn_handle_open(t, GN_KIND_MODULE, 0, 0, NULL), before = first;
    for (int i = 0; i < 1000; i++) {
        gn_handle_close(t, gn_handle_find(t, before, GN_KIND_MODULE));
        uint64_t id = gn_handle_open(t, GN_KIND_MODULE, 0, 0, NULL);
        assert_int_equal(gn_handle_index(id), gn_handle_index(first));
        assert_true(id != before);
        assert_null(gn_handle_find(t, before, GN_KIND_MODULE));
        assert_non_null(gn_handle_find(t, id, GN_KIND_MODULE));
        before = id;
    }
    drop(t);
}

static void generations_wrap_without_zero(void **state)
{
    (void)state;
    struct gn_handle_table *t = fresh();
    uint64_t id = gn_handle_open(t, GN_KIND_EVENT, 0, 0, NULL);
    struct gn_handle_slot *slot = gn_handle_find(t, id, GN_KIND_EVENT);
    gn_handle_close(t, slot);
    slot->generation = GN_HANDLE_GENERATIONS - 2;
    id = gn_handle_open(t, GN_KIND_EVENT, 0, 0, NULL);
    assert_int_equal(id >> 32, GN_HANDLE_GENERATIONS - 1);
    gn_handle_close(t, gn_handle_find(t, id, GN_KIND_EVENT));
    id = gn_handle_open(t, GN_KIND_EVENT, 0, 0, NULL);
    assert_int_equal(id >> 32, 1);
    drop(t);
}

static void places_what_a_peer_named(void **state)
{
    (void)state;
    struct gn_handle_table *t = fresh();
    int object;
    uint64_t id = make(9, GN_KIND_STREAM, 3);
    assert_int_equal(gn_handle_place(t, id, 5, &object), 0);
    assert_ptr_equal(gn_handle_find(t, id, GN_KIND_STREAM)->object, &object);
    assert_int_equal(gn_handle_place(t, id, 5, &object), -EEXIST);
    assert_int_equal(gn_handle_place(t, make(9, GN_KIND_EVENT, 4), 5, &object), -EEXIST);
    assert_int_equal(t->live, 1);
    gn_handle_close(t, gn_handle_find(t, id, GN_KIND_STREAM));
    assert_int_equal(gn_handle_place(t, make(9, GN_KIND_EVENT, 4), 5, NULL), 0);
    assert_null(gn_handle_find(t, id, GN_KIND_STREAM));

    assert_int_equal(gn_handle_place(t, 0, 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, 1, 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, make(1, GN_KIND_STREAM, 0), 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, make(1, GN_KIND_STREAM, GN_HANDLE_GENERATIONS), 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, make(1, GN_KIND_NONE, 1), 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, make(1, GN_KINDS, 1), 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, make(1, 0xff, 1), 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, UINT64_MAX, 0, NULL), -EINVAL);
    assert_int_equal(gn_handle_place(t, make(GN_HANDLE_CHUNK_SLOTS, GN_KIND_STREAM, 1), 0, NULL),
                     -ENOSPC); // one chunk further
    assert_int_equal(
        gn_handle_place(t, make(GN_HANDLE_CHUNK_SLOTS * GN_HANDLE_CHUNKS_MAX - 1, GN_KIND_STREAM, 1), 0,
                        NULL),
        -ENOSPC);
    assert_int_equal(
        gn_handle_place(t, make(GN_HANDLE_CHUNK_SLOTS * GN_HANDLE_CHUNKS_MAX, GN_KIND_STREAM, 1), 0, NULL),
        -EINVAL);
    assert_int_equal(t->live, 1);
    drop(t);
}

static void holds_100000(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct gn_handle_table *t = fresh();
    uint64_t *ids = calloc(MANY, sizeof *ids);
    for (uint64_t i = 0; i < MANY; i++) {
        while (!(ids[i] = gn_handle_open(t, i % 2 ? GN_KIND_EVENT : GN_KIND_STREAM, i, 0,
                                         (void *)(uintptr_t)(i + 1))))
            assert_int_equal(grow(t), 0);
    }
    assert_int_equal(t->live, MANY);
    for (uint64_t i = 0; i < MANY; i++)
        assert_ptr_equal(gn_handle_find(t, ids[i], i % 2 ? GN_KIND_EVENT : GN_KIND_STREAM)->object,
                         (void *)(uintptr_t)(i + 1));
    uint32_t index = 0, seen = 0;
    while (gn_handle_next(t, &index))
        seen++;
    assert_int_equal(seen, MANY);
    for (uint64_t i = 0; i < MANY; i += 3)
        gn_handle_close(t, gn_handle_find(t, ids[i], GN_KIND_NONE));
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(!!gn_handle_find(t, ids[i], GN_KIND_NONE), i % 3 != 0);
    index = seen = 0;
    for (struct gn_handle_slot *slot; (slot = gn_handle_next(t, &index)); seen++)
        assert_true(slot->context % 3 != 0);
    assert_int_equal(seen, t->live);
    uint32_t chunks = t->chunk_count;
    for (uint64_t i = 0; i < MANY; i += 3) // into the free slots, without another chunk
        assert_true(gn_handle_open(t, GN_KIND_KERNEL, 0, 0, NULL) != 0);
    assert_int_equal(t->chunk_count, chunks);
    assert_int_equal(t->live, MANY);
    free(ids);
    drop(t);
}

static void has_a_limit(void **state)
{
    (void)state;
    struct gn_handle_table *t = calloc(1, sizeof *t);
    static struct gn_handle_slot chunk[GN_HANDLE_CHUNK_SLOTS];
    assert_int_equal(gn_handle_open(t, GN_KIND_STREAM, 0, 0, NULL), 0); // no chunk, no slot
    t->chunk_count = GN_HANDLE_CHUNKS_MAX;
    assert_int_equal(gn_handle_grow(t, chunk), -ENOSPC);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_finds_closes),
        cmocka_unit_test(wrong_ids_are_not_found),
        cmocka_unit_test(a_slot_again_is_another_handle),
        cmocka_unit_test(generations_wrap_without_zero),
        cmocka_unit_test(places_what_a_peer_named),
        cmocka_unit_test(holds_100000),
        cmocka_unit_test(has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
