// SPDX-License-Identifier: Apache-2.0
// Does the cursor stay within its bytes, go bad for good at the first step beyond, give zeros from then on,
// and pad with zeros to 8?
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/cursor.h"

static void numbers_come_back(void **state)
{
    (void)state;
    uint8_t bytes[24];
    struct gn_cursor c = gn_cursor_over(bytes, sizeof bytes);
    gn_put_u32(&c, 0x11223344);
    gn_put_u64(&c, 0x8877665544332211);
    gn_put_bytes(&c, "abc", 3);
    gn_put_u32(&c, UINT32_MAX);
    assert_false(c.bad);
    assert_int_equal(gn_cursor_left(&c), 0);
    assert_memory_equal(bytes,
                        "\x44\x33\x22\x11\x11\x22\x33\x44\x55\x66\x77\x88"
                        "abc\0\0\0\0\0"
                        "\xff\xff\xff\xff",
                        24);
    c = gn_cursor_over(bytes, sizeof bytes);
    assert_int_equal(gn_get_u32(&c), 0x11223344);
    assert_true(gn_get_u64(&c) == 0x8877665544332211);
    assert_memory_equal(gn_get_bytes(&c, 3), "abc", 3);
    assert_int_equal(gn_get_u32(&c), UINT32_MAX);
    assert_false(c.bad);
    assert_ptr_equal(c.at, c.end);
}

static void beyond_the_end_is_bad_for_good(void **state)
{
    (void)state;
    for (size_t size = 0; size < 8; size++) {
        uint8_t *bytes = malloc(size ? size : 1); // of this size: a sanitizer sees the first byte beyond
        memset(bytes, 0xff, size ? size : 1);
        struct gn_cursor c = gn_cursor_over(bytes, size);
        assert_true(gn_get_u64(&c) == 0);
        assert_true(c.bad);
        assert_ptr_equal(c.at, bytes);
        assert_int_equal(gn_get_u32(&c), 0); // four bytes may be there, but not any more
        assert_null(gn_get_bytes(&c, 0));
        assert_null(gn_cursor_take(&c, 0));
        gn_put_u32(&c, 7);
        gn_put_bytes(&c, "x", 1);
        assert_true(c.bad);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], 0xff);
        free(bytes);
    }
}

static void a_write_that_does_not_fit_writes_nothing(void **state)
{
    (void)state;
    uint8_t bytes[16];
    for (size_t room = 0; room < 16; room++) {
        memset(bytes, 0xaa, sizeof bytes);
        struct gn_cursor c = gn_cursor_over(bytes, room);
        gn_put_bytes(&c, "123456789", 9); // 16 with its padding
        assert_true(c.bad);
        for (size_t i = 0; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], 0xaa);
    }
    struct gn_cursor c = gn_cursor_over(bytes, sizeof bytes);
    gn_put_bytes(&c, "123456789", 9);
    assert_false(c.bad);
    assert_memory_equal(bytes, "123456789\0\0\0\0\0\0\0", 16);
}

static void lengths_that_wrap_are_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 6, SIZE_MAX - 7, SIZE_MAX / 2, 17};
    uint8_t bytes[16] = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct gn_cursor c = gn_cursor_over(bytes, sizeof bytes);
        assert_null(gn_get_bytes(&c, sizes[i]));
        assert_true(c.bad);
        c = gn_cursor_over(bytes, sizeof bytes);
        assert_null(gn_cursor_take(&c, sizes[i]));
        assert_true(c.bad);
        c = gn_cursor_over(bytes, sizeof bytes);
        gn_put_bytes(&c, bytes, sizes[i]);
        assert_true(c.bad);
    }
}

static void nothing_takes_no_room(void **state)
{
    (void)state;
    uint8_t bytes[1];
    struct gn_cursor c = gn_cursor_over(bytes, 0);
    gn_put_bytes(&c, NULL, 0);
    assert_false(c.bad);
    assert_ptr_equal(gn_get_bytes(&c, 0), bytes);
    assert_false(c.bad);
}

static void null_is_empty(void **state)
{
    (void)state;
    for (size_t size = 0; size < 3; size++) {
        struct gn_cursor c = gn_cursor_over(NULL, size);
        assert_int_equal(gn_cursor_left(&c), 0);
        gn_put_bytes(&c, NULL, 0);
        assert_non_null(gn_get_bytes(&c, 0));
        assert_false(c.bad);
        assert_null(gn_cursor_take(&c, 1));
        assert_true(c.bad);
    }
}

static void padding(void **state)
{
    (void)state;
    for (size_t n = 0; n < 100; n++) {
        assert_int_equal(gn_pad8(n) % 8, 0);
        assert_in_range(gn_pad8(n), n, n + 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(beyond_the_end_is_bad_for_good),
        cmocka_unit_test(a_write_that_does_not_fit_writes_nothing),
        cmocka_unit_test(lengths_that_wrap_are_refused),
        cmocka_unit_test(nothing_takes_no_room),
        cmocka_unit_test(null_is_empty),
        cmocka_unit_test(padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
