// SPDX-License-Identifier: Apache-2.0
// Does the range allocator never place two blocks over each other, use every byte that it has, join what is given back, and know which
// granules are touched? Compared with plain arrays over random programs of calls.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/range.h"

enum { GRANULE = 16 << 10, GRANULES = 64, GRAINS = GRANULES * (GRANULE / 512), BLOCKS = 300 };
#define START ((uint64_t)1 << 40)

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

static struct gn_range range;
static uint32_t granules[GRANULES];
static struct gn_block blocks[BLOCKS];
static uint16_t model[GRAINS]; // 0: free, else the block's number + 1
static bool mapped[GRANULES];

static int fresh(void **unused)
{
    (void)unused;
    memset(granules, 0, sizeof granules);
    memset(blocks, 0, sizeof blocks);
    memset(model, 0, sizeof model);
    memset(mapped, 0, sizeof mapped);
    return gn_range_open(&range, START, (uint64_t)GRANULES * GRANULE, GRANULE, granules);
}

static void agrees(void)
{
    uint64_t used = 0, empty = 0, mapped_count = 0;
    for (unsigned g = 0; g < GRANULES; g++) {
        unsigned last = 0, count = 0;
        for (unsigned i = 0; i < GRANULE / 512; i++) {
            unsigned owner = model[g * (GRANULE / 512) + i];
            used += owner != 0;
            count += owner && owner != last;
            last = owner;
        }
        assert_int_equal(granules[g] & ~GN_GRANULE_MAPPED, count);
        assert_int_equal(!!(granules[g] & GN_GRANULE_MAPPED), mapped[g]);
        empty += mapped[g] && !count;
        mapped_count += mapped[g];
    }
    assert_int_equal(range.used_bytes, used * 512);
    assert_int_equal(range.empty, empty);
    assert_int_equal(range.mapped, mapped_count);
}

static void note(unsigned i, unsigned value)
{
    uint64_t first = (blocks[i].start - START) / 512;
    for (uint64_t k = first; k < first + blocks[i].span_bytes / 512; k++) {
        assert_int_equal(model[k], value ? 0 : i + 1);
        model[k] = (uint16_t)value;
    }
}

static uint64_t largest_gap(void)
{
    uint64_t most = 0, now = 0;
    for (unsigned i = 0; i < GRAINS; i++) {
        now = model[i] ? 0 : now + 512;
        most = now > most ? now : most;
    }
    return most;
}

static void map_block(unsigned i)
{
    uint64_t at = blocks[i].start, size, end = at + blocks[i].span_bytes, total = 0;
    for (uint64_t missing = gn_range_missing(&range, &blocks[i]); gn_range_next_missing(&range, end, &at, &size); at += size) {
        assert_true(size && at % GRANULE == 0 && size % GRANULE == 0);
        for (uint64_t g = (at - START) / GRANULE; g < (at - START + size) / GRANULE; g++) {
            assert_false(mapped[g]);
            mapped[g] = true;
        }
        gn_range_mark(&range, at, size, true);
        total += size;
        assert_int_equal(total + gn_range_missing(&range, &blocks[i]), missing);
    }
    assert_int_equal(gn_range_missing(&range, &blocks[i]), 0);
}

static void unmap_some(void)
{
    uint64_t at = START, size;
    while (gn_range_next_empty(&range, (1 + draw(4)) * GRANULE, &at, &size)) {
        for (uint64_t g = (at - START) / GRANULE; g < (at - START + size) / GRANULE; g++) {
            assert_int_equal(granules[g], GN_GRANULE_MAPPED);
            mapped[g] = false;
        }
        gn_range_mark(&range, at, size, false);
        at += size;
    }
    assert_int_equal(range.empty, 0);
}

static void agrees_with_arrays(void **unused)
{
    (void)unused;
    for (unsigned round = 0; round < 60000; round++) {
        unsigned i = draw(BLOCKS);
        if (blocks[i].span_bytes) {
            note(i, 0);
            gn_range_give(&range, &blocks[i]);
            blocks[i].span_bytes = 0;
        } else {
            uint64_t size = 1 + draw(draw(6) ? 3000 : 120000), span = (size + 511) / 512 * 512;
            bool only_mapped = draw(4) == 0;
            int r = gn_range_take(&range, &blocks[i], size, only_mapped);
            if (r) {
                assert_int_equal(r, -ENOSPC);
                assert_true(only_mapped || largest_gap() < span);
                blocks[i].span_bytes = 0;
                continue;
            }
            assert_int_equal(blocks[i].span_bytes, span);
            assert_int_equal(blocks[i].start % 512, 0);
            assert_true(blocks[i].start >= START && blocks[i].start + span <= START + (uint64_t)GRANULES * GRANULE);
            note(i, i + 1);
            assert_true(!only_mapped || !gn_range_missing(&range, &blocks[i]));
            map_block(i);
        }
        if (draw(50) == 0)
            unmap_some();
        if (round % 16 == 0)
            agrees();
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        if (blocks[i].span_bytes) {
            note(i, 0);
            gn_range_give(&range, &blocks[i]);
        }
    unmap_some();
    agrees();
    assert_int_equal(range.blocks, 0);
    // All of it is one gap again.
    assert_int_equal(gn_range_take(&range, &blocks[0], (uint64_t)GRANULES * GRANULE, false), 0);
    assert_int_equal(gn_range_take(&range, &blocks[1], 1, false), -ENOSPC);
    gn_range_give(&range, &blocks[0]);
}

static void refuses_what_cannot_be(void **unused)
{
    (void)unused;
    struct gn_range r;
    assert_int_equal(gn_range_open(&r, START, 0, GRANULE, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, 0, GRANULE, GRANULE, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, START + 512, GRANULE, GRANULE, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, START, GRANULE + 512, GRANULE, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, START, 3 * GRANULE, 3 * GRANULE / 2, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, START, 256, 256, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, START, (uint64_t)1 << 62, GRANULE, granules), -EINVAL);
    assert_int_equal(gn_range_open(&r, UINT64_MAX - GRANULE + 1, 2 * GRANULE, GRANULE, granules), -EINVAL);
    assert_int_equal(gn_range_take(&range, &blocks[0], 0, false), -EINVAL);
    assert_int_equal(gn_range_take(&range, &blocks[0], UINT64_MAX, false), -ENOSPC);
    assert_int_equal(gn_range_take(&range, &blocks[0], (uint64_t)GRANULES * GRANULE + 1, false), -ENOSPC);
    assert_int_equal(gn_range_take(&range, &blocks[0], 1, true), -ENOSPC); // nothing is mapped yet
    assert_int_equal(range.blocks, 0);
}

// Small blocks fill the granule that one of them opened, also behind a block that ends in its middle.
static void shares_granules(void **unused)
{
    (void)unused;
    assert_int_equal(gn_range_take(&range, &blocks[0], GRANULE + 100, false), 0);
    map_block(0);
    assert_int_equal(range.mapped, 2);
    for (unsigned i = 1; i < GRANULE / 512; i++) {
        assert_int_equal(gn_range_take(&range, &blocks[i], 1 + draw(512), false), 0);
        assert_int_equal(gn_range_missing(&range, &blocks[i]), 0);
    }
    assert_int_equal(gn_range_take(&range, &blocks[BLOCKS - 1], 1, true), -ENOSPC);
    gn_range_give(&range, &blocks[5]);
    assert_int_equal(gn_range_take(&range, &blocks[BLOCKS - 1], 512, true), 0);
    assert_int_equal(blocks[BLOCKS - 1].start, blocks[5].start);
    assert_int_equal(range.empty, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refuses_what_cannot_be, fresh),
        cmocka_unit_test_setup(shares_granules, fresh),
        cmocka_unit_test_setup(agrees_with_arrays, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
