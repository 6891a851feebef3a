// SPDX-License-Identifier: Apache-2.0
// Do sets of contents keep what they are given, and are chunks cut alike whichever part of an allocation is uploaded?
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/content.h"
#include "remoting/digest.h"

static struct gn_content made(uint64_t i) { return (struct gn_content){i * 0x9e3779b97f4a7c15, ~i, 1 + i % 1000}; }

static void finds_what_was_added(void **state)
{
    (void)state;
    static struct gn_content_entry few[8], many[1024];
    struct gn_content_set set = {few, 8, 0}, larger = {many, 1024, 0}, none = {0};
    struct gn_content content = made(1), empty = {1, 2, 0};
    assert_null(gn_content_set_find(&none, &content));
    assert_false(gn_content_set_add(&none, &content, 1));
    assert_false(gn_content_set_add(&set, &empty, 1));
    for (uint64_t i = 0; i < 6; i++) {
        assert_false(gn_content_set_full(&set));
        content = made(i);
        assert_true(gn_content_set_add(&set, &content, i));
    }
    content = made(6);
    assert_true(gn_content_set_full(&set));
    assert_false(gn_content_set_add(&set, &content, 6));
    assert_null(gn_content_set_find(&set, &content));
    gn_content_set_move(&larger, &set);
    for (uint64_t i = 6; i < 768; i++) {
        content = made(i);
        assert_true(gn_content_set_add(&larger, &content, i));
    }
    for (uint64_t i = 0; i < 768; i++) {
        content = made(i);
        assert_int_equal(gn_content_set_find(&larger, &content)->value, i);
        content.size_bytes++; // the same digest, another length: other content
        assert_null(gn_content_set_find(&larger, &content));
    }
    gn_content_set_clear(&larger);
    content = made(3);
    assert_null(gn_content_set_find(&larger, &content));
    assert_int_equal(larger.count, 0);
}

static void survives_names_that_collide(void **state)
{
    (void)state;
    static struct gn_content_entry entries[64];
    struct gn_content_set set = {entries, 64, 0};
    for (uint64_t i = 1; i <= 48; i++) // all want the same place
        assert_true(gn_content_set_add(&set, &(struct gn_content){i << 32, 0, 64}, i));
    for (uint64_t i = 1; i <= 48; i++)
        assert_int_equal(gn_content_set_find(&set, &(struct gn_content){i << 32, 0, 64})->value, i);
    assert_null(gn_content_set_find(&set, &(struct gn_content){49ull << 32, 0, 64}));
}

static void chunks_begin_where_the_allocation_says(void **state)
{
    (void)state;
    static const struct {
        uint64_t origin, address, size, chunk, want;
    } cases[] = {
        {0, 0, 10, 4, 4},  {0, 0, 3, 4, 3},     {0, 3, 10, 4, 1},     {0, 4, 10, 4, 4},
        {1, 3, 10, 4, 2},  {1, 5, 10, 4, 4},    {100, 100, 1, 4096, 1}, {100, 101, UINT64_MAX / 2, 4096, 4095},
        {0, 8191, 2, 4096, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(gn_content_chunk(cases[i].origin, cases[i].address, cases[i].size, cases[i].chunk), cases[i].want);
}

static void a_digest_is_that_of_the_library(void **state)
{
    (void)state;
    struct gn_content none = gn_content_of("", 0), a = gn_content_of("abc", 3), b = gn_content_of("abd", 3);
    assert_true(none.low == 0x6001c324468d497f && none.high == 0x99aa06d3014798d8); // XXH3_128bits of nothing, by its specification
    assert_int_equal(a.size_bytes, 3);
    assert_false(gn_content_same(&a, &b));
    assert_true(gn_content_same(&a, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added),
        cmocka_unit_test(survives_names_that_collide),
        cmocka_unit_test(chunks_begin_where_the_allocation_says),
        cmocka_unit_test(a_digest_is_that_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
