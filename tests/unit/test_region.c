// SPDX-License-Identifier: Apache-2.0
// Does the region map find what holds an address, refuse what overlaps or wraps, stay balanced over 100,000
// ranges in any order, and agree with a plain array through random insertions and removals?
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/region.h"

static uint64_t state;

static uint64_t draw(void) // splitmix64
{
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

// Heights are right, siblings differ by one at most, ranges ascend. Returns the number of nodes.
static size_t check(const struct gn_region *r, int *height, const struct gn_region **previous)
{
    if (!r) {
        *height = 0;
        return 0;
    }
    int left, right;
    size_t count = check(r->left, &left, previous);
    if (*previous)
        assert_true((*previous)->start + ((*previous)->size_bytes - 1) < r->start);
    *previous = r;
    count += 1 + check(r->right, &right, previous);
    assert_in_range(left - right + 1, 0, 2);
    *height = 1 + (left > right ? left : right);
    assert_int_equal(r->height, *height);
    return count;
}

static int check_map(const struct gn_region_map *map)
{
    int height;
    const struct gn_region *previous = NULL;
    assert_int_equal(check(map->root, &height, &previous), map->count);
    return height;
}

static void finds_bounds(void **unused)
{
    (void)unused;
    struct gn_region_map map = {0};
    struct gn_region a = {.start = 0x1000, .size_bytes = 0x1000}, b = {.start = 0x2000, .size_bytes = 1},
                     c = {.start = 0x8000, .size_bytes = 16};
    assert_null(gn_region_find(&map, 0x1000));
    assert_null(gn_region_from(&map, 0));
    assert_int_equal(gn_region_insert(&map, &b), 0);
    assert_int_equal(gn_region_insert(&map, &c), 0);
    assert_int_equal(gn_region_insert(&map, &a), 0);
    assert_null(gn_region_find(&map, 0xfff));
    assert_ptr_equal(gn_region_find(&map, 0x1000), &a);
    assert_ptr_equal(gn_region_find(&map, 0x1fff), &a);
    assert_ptr_equal(gn_region_find(&map, 0x2000), &b);
    assert_null(gn_region_find(&map, 0x2001));

    assert_ptr_equal(gn_region_find_all(&map, 0x1000, 0x1000), &a);
    assert_null(gn_region_find_all(&map, 0x1000, 0x1001)); // goes on in b, which is another allocation
    assert_ptr_equal(gn_region_find_all(&map, 0x1fff, 1), &a);
    assert_null(gn_region_find_all(&map, 0x1fff, 2));
    assert_null(gn_region_find_all(&map, 0x1800, UINT64_MAX));
    assert_ptr_equal(gn_region_find_all(&map, 0x2001, 0), &b); // nothing, at its end
    assert_null(gn_region_find_all(&map, 0x2002, 0));
    assert_null(gn_region_find_all(&map, 0, 0));

    assert_ptr_equal(gn_region_from(&map, 0), &a);
    assert_ptr_equal(gn_region_from(&map, 0x2000), &b);
    assert_ptr_equal(gn_region_from(&map, 0x2001), &c);
    assert_null(gn_region_from(&map, 0x8010));
}

static void refuses(void **unused)
{
    (void)unused;
    struct gn_region_map map = {0};
    struct gn_region a = {.start = 100, .size_bytes = 50};
    assert_int_equal(gn_region_insert(&map, &a), 0);
    static const struct {
        uint64_t start, size_bytes;
        int result;
    } cases[] = {
        {0, 0, -EINVAL},
        {200, 0, -EINVAL},
        {UINT64_MAX, 2, -EINVAL},
        {2, UINT64_MAX, -EINVAL},
        {0, UINT64_MAX, -EEXIST},
        {100, 50, -EEXIST},
        {99, 2, -EEXIST},
        {149, 1, -EEXIST},
        {120, 1, -EEXIST},
        {0, 101, -EEXIST},
        {149, 1000, -EEXIST},
        {150, 1, 0},
        {99, 1, 0},
        {UINT64_MAX, 1, 0},
    };
    struct gn_region r[sizeof cases / sizeof *cases];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r[i] = (struct gn_region){.start = cases[i].start, .size_bytes = cases[i].size_bytes};
        assert_int_equal(gn_region_insert(&map, &r[i]), cases[i].result);
    }
    check_map(&map);
    struct gn_region stranger = {.start = 100, .size_bytes = 50};
    assert_int_equal(gn_region_remove(&map, &stranger), -ENOENT);
    assert_int_equal(gn_region_remove(&map, &a), 0);
    assert_int_equal(gn_region_remove(&map, &a), -ENOENT);
    assert_null(gn_region_find(&map, 100));
    assert_ptr_equal(gn_region_find(&map, UINT64_MAX), &r[sizeof cases / sizeof *cases - 1]);
}

enum { MANY = 100000 };

static void holds_many(void **unused)
{
    (void)unused;
    struct gn_region *r = calloc(MANY, sizeof *r);
    assert_non_null(r);
    for (int order = 0; order < 3;
         order++) { // ascending, descending, scattered (7919 and MANY have no common divisor)
        struct gn_region_map map = {0};
        for (uint64_t i = 0; i < MANY; i++) {
            uint64_t k = order == 0 ? i : order == 1 ? MANY - 1 - i : i * 7919 % MANY;
            r[k] = (struct gn_region){.start = 0x700000000000 + k * 512, .size_bytes = 512};
            assert_int_equal(gn_region_insert(&map, &r[k]), 0);
        }
        assert_int_equal(map.count, MANY);
        assert_in_range(check_map(&map), 17, 24); // 1.44 log2 of the count
        for (uint64_t k = 0; k < MANY; k++)
            assert_ptr_equal(gn_region_find(&map, 0x700000000000 + k * 512 + 511), &r[k]);
        for (uint64_t i = 0; i < MANY; i++)
            assert_int_equal(gn_region_remove(&map, &r[i * 7919 % MANY]), 0);
        assert_int_equal(map.count, 0);
        assert_null(map.root);
    }
    free(r);
}

enum { CELLS = 600, ROUNDS = 60000 };

// Ranges of one to eight cells in a row of cells; `owner` is the plain array to agree with.
static void agrees_with_an_array(void **unused)
{
    (void)unused;
    struct gn_region_map map = {0};
    static struct gn_region node[CELLS];
    struct gn_region *owner[CELLS] = {0};
    state = 42;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t at = draw() % CELLS, size = 1 + draw() % 8;
        struct gn_region *here = owner[at];
        if (draw() % 2 && here) {
            assert_int_equal(gn_region_remove(&map, here), 0);
            for (uint64_t i = 0; i < CELLS; i++)
                owner[i] = owner[i] == here ? NULL : owner[i];
        } else if (at + size <= CELLS) {
            bool taken = false;
            for (uint64_t i = at; i < at + size; i++)
                taken |= owner[i] != NULL;
            struct gn_region other = {.start = at, .size_bytes = size};
            struct gn_region *r = taken ? &other : &node[at];
            *r = (struct gn_region){.start = at, .size_bytes = size};
            assert_int_equal(gn_region_insert(&map, r), taken ? -EEXIST : 0);
            for (uint64_t i = at; !taken && i < at + size; i++)
                owner[i] = r;
        }
        uint64_t probe = draw() % CELLS;
        assert_ptr_equal(gn_region_find(&map, probe), owner[probe]);
        uint64_t from = probe;
        while (from < CELLS && !owner[from])
            from++;
        assert_ptr_equal(gn_region_from(&map, probe), from < CELLS ? owner[from] : NULL);
        if (round % 500 == 0)
            check_map(&map);
    }
    check_map(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_bounds),
        cmocka_unit_test(refuses),
        cmocka_unit_test(holds_many),
        cmocka_unit_test(agrees_with_an_array),
    };
    return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
