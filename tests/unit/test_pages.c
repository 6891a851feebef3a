// SPDX-License-Identifier: Apache-2.0
// The states of tracked pages, the read-ahead, and when keeping is given up: plain arithmetic, without a kernel.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pages.h"

enum { COUNT = 100 };
static gn_page_state states[COUNT];

static void test_set_find_count(void **state)
{
    (void)state;
    gn_pages_set(states, 0, COUNT, GN_PAGE_STALE);
    gn_pages_set(states, 10, 20, GN_PAGE_AWAY);
    gn_pages_set(states, 20, 21, GN_PAGE_LOST);
    assert_int_equal(gn_pages_count(states, 0, COUNT, GN_PAGE_AWAY), 10);
    assert_int_equal(gn_pages_count(states, 15, 18, GN_PAGE_AWAY), 3);
    assert_int_equal(gn_pages_count(states, 15, 15, GN_PAGE_AWAY), 0);
    assert_int_equal(gn_pages_find(states, 0, COUNT, 1u << GN_PAGE_AWAY), 10);
    assert_int_equal(gn_pages_find(states, 10, COUNT, ~(1u << GN_PAGE_AWAY)), 20);
    assert_int_equal(gn_pages_find(states, 10, COUNT, 1u << GN_PAGE_LOST | 1u << GN_PAGE_HERE), 20);
    assert_int_equal(gn_pages_find(states, 10, 15, 1u << GN_PAGE_STALE), 15);
    assert_int_equal(gn_pages_find(states, 30, COUNT, 1u << GN_PAGE_HERE), COUNT);
    assert_int_equal(gn_pages_find(states, 7, 7, ~0u), 7);
}

static void test_turn(void **state)
{
    (void)state;
    gn_pages_set(states, 0, COUNT, GN_PAGE_AWAY);
    gn_pages_set(states, 3, 5, GN_PAGE_STALE);
    assert_int_equal(gn_pages_turn(states, 0, 10, GN_PAGE_AWAY, GN_PAGE_HERE), 8);
    assert_int_equal(gn_page_get(&states[3]), GN_PAGE_STALE); // what was something else stays
    assert_int_equal(gn_page_get(&states[9]), GN_PAGE_HERE);
    assert_int_equal(gn_page_get(&states[10]), GN_PAGE_AWAY);
    assert_int_equal(gn_pages_turn(states, 0, 10, GN_PAGE_AWAY, GN_PAGE_HERE), 0);
    assert_int_equal(gn_pages_turn(states, 4, 4, GN_PAGE_STALE, GN_PAGE_HERE), 0);
}

static void test_ahead_grows_in_order(void **state)
{
    (void)state;
    struct gn_ahead ahead = {0};
    uint64_t page = 0, reads = 0;
    for (uint64_t most = 100000, n; page < most; page += n, reads++) {
        n = gn_ahead_read(&ahead, page, most - page);
        assert_true(n >= 1 && n <= GN_AHEAD_PAGES_MAX);
        assert_true(reads || n == GN_AHEAD_PAGES_MIN);
    }
    assert_int_equal(page, 100000);
    assert_true(reads < 400); // 4 + 8 + .. + 128, then 256 each
    assert_int_equal(ahead.pages, GN_AHEAD_PAGES_MAX);
}

static void test_ahead_elsewhere(void **state)
{
    (void)state;
    struct gn_ahead ahead = {0};
    gn_ahead_read(&ahead, 0, 1000);
    assert_int_equal(gn_ahead_read(&ahead, 4, 1000), 8);
    assert_int_equal(gn_ahead_read(&ahead, 500, 1000), 4);
    assert_int_equal(gn_ahead_read(&ahead, 12, 1000), 4);  // back again is not in order
    assert_int_equal(gn_ahead_read(&ahead, 16, 1000), 8);
    assert_int_equal(gn_ahead_read(&ahead, 24, 3), 3);     // no more than there are
    assert_int_equal(gn_ahead_read(&ahead, 27, 1000), 32); // and on from there
    ahead = (struct gn_ahead){0};
    assert_int_equal(gn_ahead_read(&ahead, 0, 1), 1);
    assert_int_equal(gn_ahead_read(&ahead, UINT64_MAX / 8192, 1), 1);
}

static void test_worth_while_little_is_fetched(void **state)
{
    (void)state;
    struct gn_worth worth = {0};
    for (int i = 0; i < 1000; i++)
        assert_true(gn_worth_it(&worth, i % 3 ? 50 : 0, 100));
    for (int i = 0; i < 1000; i++) // never twice in a row
        assert_true(gn_worth_it(&worth, i % 2 ? 100 : 0, 100));
}

static unsigned rest_of(struct gn_worth *worth)
{
    unsigned rest = 0;
    while (!gn_worth_it(worth, 0, 100))
        rest++;
    return rest;
}

static void test_worth_rests_longer_each_time(void **state)
{
    (void)state;
    struct gn_worth worth = {0};
    assert_true(gn_worth_it(&worth, 100, 100));
    unsigned wanted = GN_WORTH_REST_MIN;
    for (int i = 0; i < 8; i++) {
        assert_false(gn_worth_it(&worth, 100, 100));
        assert_int_equal(rest_of(&worth), wanted - 1);
        wanted = 2 * wanted < GN_WORTH_REST_MAX ? 2 * wanted : GN_WORTH_REST_MAX;
    }
    assert_true(gn_worth_it(&worth, 0, 100) || rest_of(&worth) <= GN_WORTH_REST_MAX);
    assert_true(gn_worth_it(&worth, 10, 100)); // it pays again: all is forgotten
    assert_true(gn_worth_it(&worth, 100, 100));
    assert_false(gn_worth_it(&worth, 51, 100));
    assert_int_equal(rest_of(&worth), GN_WORTH_REST_MIN - 1);
}

// Eight at a time or one by one: the same answers, whatever begins and ends where.
static void words_are_no_other_than_bytes(void **state)
{
    (void)state;
    enum { PAGES = 64 };
    static _Alignas(8) gn_page_state shown[PAGES];
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < PAGES; i++) // runs of equal pages, of lengths around eight
            atomic_store(&shown[i], (uint8_t)(i && (i * 7 + round) % 11 ? atomic_load(&shown[i - 1]) : (i + round) % GN_PAGES));
        for (unsigned from = 0; from <= PAGES; from += 3)
            for (unsigned to = from; to <= PAGES; to += 5)
                for (unsigned set = 0; set < 1u << GN_PAGES; set++) {
                    unsigned first = from, count = 0;
                    while (first < to && !(set >> gn_page_get(&shown[first]) & 1))
                        first++;
                    for (unsigned i = from; i < to; i++)
                        count += gn_page_get(&shown[i]) == set % GN_PAGES;
                    assert_int_equal(gn_pages_find(shown, from, to, set), first);
                    assert_int_equal(gn_pages_count(shown, from, to, (enum gn_page)(set % GN_PAGES)), count);
                }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_no_other_than_bytes),
        cmocka_unit_test(test_set_find_count),   cmocka_unit_test(test_turn),
        cmocka_unit_test(test_ahead_grows_in_order), cmocka_unit_test(test_ahead_elsewhere),
        cmocka_unit_test(test_worth_while_little_is_fetched), cmocka_unit_test(test_worth_rests_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
