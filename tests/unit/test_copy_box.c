// SPDX-License-Identifier: Apache-2.0
// Does the arithmetic of copies accept exactly the boxes that fit, keep what is copied when it folds a shape,
// and cut a copy into pieces that cover every byte once? Method: cases at the limits, and a model that lists
// every byte of random boxes.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "interpose/copy/copy_box.h"

static void places(void **unused)
{
    (void)unused;
    static const struct {
        struct gn_place place;
        struct gn_shape shape;
        int result;
        struct gn_end end;
    } cases[] = {
        {{1000, 0, 0, 0, 0, 0}, {16, 1, 1}, 0, {1000, 0, 0}}, // one row needs no pitch
        {{1000, 5, 0, 0, 0, 0}, {16, 1, 1}, 0, {1005, 0, 0}},
        {{1000, 5, 2, 0, 32, 0}, {16, 4, 1}, 0, {1069, 32, 0}}, // one slice needs no height
        {{1000, 5, 2, 3, 32, 10}, {16, 4, 2}, 0, {1000 + 960 + 69, 32, 320}},
        {{1000, 16, 0, 0, 32, 0}, {16, 4, 1}, 0, {1016, 32, 0}}, // a row that ends with its pitch
        {{1000, 17, 0, 0, 32, 0}, {16, 4, 1}, -EINVAL, {0}},
        {{1000, 17, 0, 0, 32, 0}, {16, 1, 1}, -EINVAL, {0}},
        {{1000, 0, 0, 0, 0, 0}, {16, 2, 1}, -EINVAL, {0}},  // two rows do
        {{1000, 0, 1, 0, 0, 0}, {16, 1, 1}, -EINVAL, {0}},  // so does the second
        {{1000, 0, 0, 0, 32, 0}, {16, 1, 2}, -EINVAL, {0}}, // two slices need a height
        {{1000, 0, 0, 1, 32, 0}, {16, 1, 1}, -EINVAL, {0}},
        {{1000, 0, 7, 0, 32, 10}, {16, 3, 2}, 0, {1224, 32, 320}},
        {{1000, 0, 8, 0, 32, 10}, {16, 3, 2}, -EINVAL, {0}},
        {{1000, UINT64_MAX, 0, 0, 0, 0}, {16, 1, 1}, -EINVAL, {0}},
        {{1000, 0, UINT64_MAX, 0, 32, 0}, {16, 1, 1}, -EINVAL, {0}},
        {{1000, 0, 0, UINT64_MAX, 32, 4}, {16, 1, 1}, -EINVAL, {0}},
        {{1000, 0, 0, 0, UINT64_MAX, 2}, {16, 1, 1}, -EINVAL, {0}},
        {{1000, 0, 0, 0, UINT64_MAX / 2, 0}, {16, 4, 1}, -EINVAL, {0}},
        {{UINT64_MAX - 15, 0, 0, 0, 0, 0}, {16, 1, 1}, 0, {UINT64_MAX - 15, 0, 0}},
        {{UINT64_MAX - 15, 0, 0, 0, 0, 0}, {17, 1, 1}, -EINVAL, {0}},
        {{0, 0, 0, 0, 1u << 31, 1u << 31}, {1, 1, 1ull << 32}, -EINVAL, {0}},
        {{1000, 0, 0, 0, 32, 0}, {16, 0, 1}, 0, {1000, 32, 0}}, // nothing
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_end end = {0};
        int r = gn_end_place(&end, &cases[i].place, &cases[i].shape);
        if (r != cases[i].result)
            fail_msg("case %zu: got %d", i, r);
        if (!r)
            assert_memory_equal(&end, &cases[i].end, sizeof end);
    }
}

static void spans(void **unused)
{
    (void)unused;
    uint64_t span;
    assert_int_equal(gn_end_span(&(struct gn_end){0, 32, 320}, &(struct gn_shape){16, 4, 2}, &span), 0);
    assert_int_equal(span, 320 + 96 + 16);
    assert_int_equal(gn_end_span(&(struct gn_end){7, 0, 0}, &(struct gn_shape){16, 1, 1}, &span), 0);
    assert_int_equal(span, 16);
    assert_int_equal(
        gn_end_span(&(struct gn_end){UINT64_MAX - 430, 32, 320}, &(struct gn_shape){16, 4, 2}, &span),
        -EINVAL);
    assert_int_equal(
        gn_end_span(&(struct gn_end){UINT64_MAX - 431, 32, 320}, &(struct gn_shape){16, 4, 2}, &span), 0);
}

static uint64_t state = 7;

static uint64_t draw(uint64_t below) // splitmix64
{
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

enum { BYTES = 4096 };
static uint16_t moved_before[BYTES], moved_after[BYTES]; // for each byte of the destination: the source's + 1

static void model(uint16_t *moved, const struct gn_shape *s, const struct gn_end *from,
                  const struct gn_end *to)
{
    memset(moved, 0, sizeof moved_before);
    for (uint64_t z = 0; z < s->slices; z++)
        for (uint64_t y = 0; y < s->rows; y++)
            for (uint64_t x = 0; x < s->width_bytes; x++)
                moved[to->address + z * to->slice_bytes + y * to->pitch_bytes + x] =
                    (uint16_t)(from->address + z * from->slice_bytes + y * from->pitch_bytes + x + 1);
}

static struct gn_end random_end(const struct gn_shape *s)
{
    uint64_t pitch = s->width_bytes + draw(2) * draw(4), height = s->rows + draw(2) * draw(3);
    struct gn_end end;
    struct gn_place place = {draw(50), 0, 0, 0, pitch, height};
    assert_int_equal(gn_end_place(&end, &place, s), 0);
    return end;
}

static void folding_changes_nothing(void **unused)
{
    (void)unused;
    unsigned lines = 0;
    for (int round = 0; round < 20000; round++) {
        struct gn_shape s = {1 + draw(9), 1 + draw(6), 1 + draw(5)};
        struct gn_end from = random_end(&s), to = random_end(&s);
        bool contiguous = from.pitch_bytes == s.width_bytes && from.slice_bytes == s.width_bytes * s.rows &&
                          to.pitch_bytes == s.width_bytes && to.slice_bytes == s.width_bytes * s.rows;
        uint64_t bytes = s.width_bytes * s.rows * s.slices;
        model(moved_before, &s, &from, &to);
        gn_shape_fold(&s, &from, &to);
        model(moved_after, &s, &from, &to);
        assert_memory_equal(moved_before, moved_after, sizeof moved_before);
        assert_int_equal(s.width_bytes * s.rows * s.slices, bytes);
        if (contiguous) {
            assert_int_equal(s.width_bytes, bytes);
            lines++;
        }
    }
    assert_in_range(lines, 100, 20000);
}

static void pieces_cover_all_once(void **unused)
{
    (void)unused;
    static uint16_t moved[BYTES];
    for (int round = 0; round < 20000; round++) {
        struct gn_shape s = {1 + draw(30), 1 + draw(6), 1 + draw(4)};
        struct gn_end from = random_end(&s), to = random_end(&s);
        model(moved_before, &s, &from, &to);
        memset(moved, 0, sizeof moved);
        struct gn_pieces walk = {.shape = s, .piece_bytes = 1 + draw(40)};
        struct gn_piece p;
        while (gn_pieces_next(&walk, &p)) {
            assert_in_range(p.width_bytes * p.rows, 1, walk.piece_bytes);
            for (uint64_t y = 0; y < p.rows; y++)
                for (uint64_t x = 0; x < p.width_bytes; x++) {
                    uint16_t *at = &moved[gn_piece_address(&to, &p) + y * to.pitch_bytes + x];
                    assert_int_equal(*at, 0);
                    *at = (uint16_t)(gn_piece_address(&from, &p) + y * from.pitch_bytes + x + 1);
                }
        }
        assert_memory_equal(moved, moved_before, sizeof moved);
        assert_false(gn_pieces_next(&walk, &p));
    }
    struct gn_pieces none = {.shape = {0, 5, 5}, .piece_bytes = 10};
    struct gn_piece p;
    assert_false(gn_pieces_next(&none, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
        cmocka_unit_test(spans),
        cmocka_unit_test(folding_changes_nothing),
        cmocka_unit_test(pieces_cover_all_once),
    };
    return cmocka_run_group_tests_name("copy_box", tests, NULL, NULL);
}
