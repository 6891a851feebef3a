// SPDX-License-Identifier: Apache-2.0
// Are the addresses of device memory kept from the process for exactly as long as an allocation lies in them,
// also where allocations share a granule? Method: the kernel is asked, by mapping something there.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "interpose/memory/memory_reserve.h"

#define GRANULE GN_RESERVE_GRANULE_BYTES

static bool is_free(uint64_t address)
{
    void *at = (void *)(uintptr_t)address;
    void *got = mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED)
        return false;
    munmap(got, 4096);
    return got == at;
}

static uint64_t hole(uint64_t granules) // of so many granules, aligned to one
{
    void *at =
        mmap(NULL, (granules + 1) * GRANULE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(at != MAP_FAILED);
    munmap(at, (granules + 1) * GRANULE);
    return ((uintptr_t)at + GRANULE - 1) & ~(GRANULE - 1);
}

static void expect_free(uint64_t start, const char *map) // a letter a granule: f free, r reserved
{
    for (uint64_t i = 0; map[i]; i++)
        for (uint64_t at = 0; at < GRANULE; at += GRANULE / 4)
            if (is_free(start + i * GRANULE + at) != (map[i] == 'f'))
                fail_msg("granule %d of %s", (int)i, map);
}

static void reserves_what_is_touched(void **unused)
{
    (void)unused;
    uint64_t base = hole(6);
    static const struct {
        uint64_t offset, size_bytes;
        const char *map;
    } cases[] = {
        {GRANULE, GRANULE, "frffff"},         {GRANULE, 1, "frffff"},
        {GRANULE + 512, 512, "frffff"},       {2 * GRANULE - 1, 1, "frffff"},
        {2 * GRANULE - 1, 2, "frrfff"},       {GRANULE, 2 * GRANULE, "frrfff"},
        {GRANULE + 1, 2 * GRANULE, "frrrff"}, {GRANULE + 1, 2 * GRANULE - 1, "frrfff"},
        {GRANULE, 2 * GRANULE + 1, "frrrff"}, {GRANULE / 2, 4 * GRANULE, "rrrrrf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_reservation r;
        assert_int_equal(gn_reserve(&r, base + cases[i].offset, cases[i].size_bytes), 0);
        expect_free(base, cases[i].map);
        gn_reserve_release(&r);
        expect_free(base, "ffffff");
    }
}

static void shares_granules(void **unused)
{
    (void)unused;
    uint64_t base = hole(3);
    struct gn_reservation a, b, c;
    assert_int_equal(gn_reserve(&a, base + 512, 512), 0);
    assert_int_equal(gn_reserve(&b, base + 1024, 512), 0);
    assert_int_equal(gn_reserve(&c, base + GRANULE - 512, GRANULE), 0);
    expect_free(base, "rrf");
    gn_reserve_release(&a);
    expect_free(base, "rrf");
    gn_reserve_release(&c);
    expect_free(base, "rff");
    gn_reserve_release(&b);
    expect_free(base, "fff");
    gn_reserve_release(&b); // again: nothing
}

static void tells_of_strangers(void **unused)
{
    (void)unused;
    uint64_t base = hole(4);
    void *stranger = mmap((void *)(uintptr_t)(base + 2 * GRANULE + 8192), 4096, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_true(stranger != MAP_FAILED);
    struct gn_reservation r;
    assert_int_equal(gn_reserve(&r, base + 2 * GRANULE, 512), -EEXIST);
    assert_int_equal(gn_reserve(&r, base + 2 * GRANULE, 2 * GRANULE), -EEXIST);
    assert_int_equal(gn_reserve(&r, base + 512, 2 * GRANULE),
                     -EEXIST); // the end meets it: nothing of the start stays
    expect_free(base, "ff");
    gn_reserve_release(&r);
    assert_int_equal(gn_reserve(&r, base, 2 * GRANULE), 0);
    gn_reserve_release(&r);
    munmap(stranger, 4096);
    assert_int_equal(gn_reserve(&r, base + 512, 2 * GRANULE), 0);
    gn_reserve_release(&r);
}

static void refuses_what_cannot_be(void **unused)
{
    (void)unused;
    struct gn_reservation r;
    assert_int_equal(gn_reserve(&r, 0x700000000000, 0), -EINVAL);
    assert_int_equal(gn_reserve(&r, 0, 512), -EINVAL);
    assert_int_equal(gn_reserve(&r, UINT64_MAX - 100, 50), -EINVAL);
    assert_int_equal(gn_reserve(&r, UINT64_MAX - 100, 500), -EINVAL);
    assert_int_not_equal(gn_reserve(&r, (uint64_t)1 << 60, 512), 0); // no address of a process
    assert_int_equal(r.whole_bytes + r.edges[0] + r.edges[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserves_what_is_touched),
        cmocka_unit_test(shares_granules),
        cmocka_unit_test(tells_of_strangers),
        cmocka_unit_test(refuses_what_cannot_be),
    };
    return cmocka_run_group_tests_name("memory_reserve", tests, NULL, NULL);
}
