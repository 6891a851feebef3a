// SPDX-License-Identifier: Apache-2.0
// Question: does a receive look only as long as looking pays, and is what it returns the same with and without?
// Method: a link whose answers the test chooses: how many looks find nothing, and what then comes.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "remoting/spin.h"

enum { LOOKS_MAX = 1 << 30 };
#define LONG_NS 4000000000u // however busy the machine is

struct fake {
    struct gn_link link;
    int empty;         // so many looks find nothing
    int looked, slept; // calls of recv
    ssize_t result;
};

static ssize_t fake_recv(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct fake *f = (struct fake *)link;
    (void)pieces, (void)count;
    f->looked += !wait;
    f->slept += wait;
    if (!wait && f->empty) {
        f->empty--;
        return -EAGAIN;
    }
    return f->result;
}

static const struct gn_link_ops ops = {.name = "fake", .recv = fake_recv};
static struct iovec piece;

static ssize_t receive(struct fake *f, struct gn_spin *spin, int empty)
{
    f->empty = empty;
    f->looked = f->slept = 0;
    return gn_spin_recv(spin, &f->link, &piece, 1);
}

static void what_is_there_is_taken_at_once(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 7};
    struct gn_spin spin = {.limit_ns = GN_SPIN_NS};
    assert_int_equal(receive(&f, &spin, 0), 7);
    assert_int_equal(f.looked, 1);
    assert_int_equal(f.slept, 0);
    assert_int_equal(spin.looks, 0); // nothing was to be learned from that
}

static void what_comes_soon_needs_no_sleep(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 7};
    struct gn_spin spin = {.limit_ns = LONG_NS};
    assert_int_equal(receive(&f, &spin, 4), 7);
    assert_int_equal(f.looked, 5);
    assert_int_equal(f.slept, 0);
    assert_int_equal(spin.looks, 1);
}

static void an_end_and_an_error_are_handed_through(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 0};
    struct gn_spin spin = {.limit_ns = LONG_NS};
    assert_int_equal(receive(&f, &spin, 1), 0);
    f.result = -ECONNRESET;
    assert_int_equal(receive(&f, &spin, 1), -ECONNRESET);
    spin.limit_ns = 1000;
    assert_int_equal(receive(&f, &spin, LOOKS_MAX), -ECONNRESET); // also by the sleep
    assert_int_equal(f.slept, 1);
}

static void switched_off_it_sleeps_at_once(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 7};
    struct gn_spin spin = {.limit_ns = 0};
    assert_int_equal(receive(&f, &spin, 0), 7);
    assert_int_equal(f.looked, 0);
    assert_int_equal(f.slept, 1);
}

// Vain looks are given up after GN_SPIN_FAILURES and come back one at a time.
static void vain_looks_are_given_up(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 7};
    struct gn_spin spin = {.limit_ns = 1000};
    int looking = 0;
    for (int i = 0; i < GN_SPIN_FAILURES; i++) {
        receive(&f, &spin, LOOKS_MAX);
        assert_true(f.looked > 0);
    }
    for (int i = 0; i < 100 * GN_SPIN_RETRY; i++) {
        receive(&f, &spin, LOOKS_MAX);
        looking += f.looked > 0;
    }
    // These sleeps were short, and count for more than one each.
    assert_in_range(looking, 100, 100 * GN_SPIN_RETRY / 7);
    // One that finds something brings them all back.
    spin.limit_ns = LONG_NS;
    for (int i = 0; i < 1000 * GN_SPIN_RETRY && spin.failures; i++) // again when a neighbour took the core at just that moment
        receive(&f, &spin, 1);
    assert_int_equal(spin.failures, 0);
    receive(&f, &spin, 1);
    assert_int_equal(f.looked, 2);
}

static void the_limit_is_bounded(void **state)
{
    (void)state;
    struct gn_spin spin = {0};
    gn_spin_init(&spin, UINT32_MAX);
    assert_in_range(spin.limit_ns, 0, GN_SPIN_NS_MAX);
    gn_spin_init(&spin, 0);
    assert_int_equal(spin.limit_ns, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_taken_at_once),   cmocka_unit_test(what_comes_soon_needs_no_sleep),
        cmocka_unit_test(an_end_and_an_error_are_handed_through), cmocka_unit_test(switched_off_it_sleeps_at_once),
        cmocka_unit_test(vain_looks_are_given_up),          cmocka_unit_test(the_limit_is_bounded),
    };
    return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
