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

// Calls of the link in a receive that finds nothing for so many looks. However busy the machine is: a core that was lost meanwhile is forgotten.
static int looked(struct fake *f, struct gn_spin *spin, int empty)
{
    spin->failures = 0;
    assert_int_equal(receive(f, spin, empty), 7);
    assert_int_equal(f->slept, 0);
    return f->looked;
}

// Who always finds nothing at first, as after a question, gives way before the first look; now and then it is tried all the same.
static void a_first_look_in_vain_is_left_out(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 7};
    struct gn_spin spin = {.limit_ns = LONG_NS};
    for (int i = 0; i < 4; i++)
        assert_int_equal(looked(&f, &spin, 1), 2);
    for (int i = 1; i < 64; i++) {
        assert_int_equal(looked(&f, &spin, i % 16 ? 0 : 1), i % 16 ? 1 : 2);
        assert_int_equal(spin.looks, 4 + i); // a look all the same
    }
    assert_int_equal(looked(&f, &spin, 0), 1); // the sixteenth again, and now there is something
    assert_int_equal(spin.looks, 4 + 63);
    assert_int_equal(looked(&f, &spin, 0), 1);
    assert_int_equal(spin.looks, 4 + 63);
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

// So many receives without a look until the next one, with sleeps of that length.
static unsigned rest(struct gn_spin *spin, uint64_t sleep_ns)
{
    unsigned n = 0;
    for (; !gn_spin_pays(spin); n++)
        gn_spin_slept(spin, sleep_ns);
    return n;
}

// Vain looks are given up after GN_SPIN_FAILURES and come back one at a time; one that finds something brings them all back.
static void vain_looks_are_given_up(void **state)
{
    (void)state;
    struct gn_spin spin = {.limit_ns = 1000};
    for (int i = 0; i < GN_SPIN_FAILURES; i++) {
        assert_true(gn_spin_pays(&spin));
        gn_spin_judge(&spin, GN_LOOK_MISS);
    }
    assert_int_equal(rest(&spin, UINT64_MAX), GN_SPIN_RETRY);
    gn_spin_judge(&spin, GN_LOOK_MISS);
    assert_in_range(rest(&spin, 1), 1, GN_SPIN_RETRY / 2); // short sleeps count for more: they were perhaps only wake-ups
    gn_spin_judge(&spin, GN_LOOK_HIT);
    assert_true(gn_spin_pays(&spin));
    gn_spin_judge(&spin, GN_LOOK_MISS);
    assert_true(gn_spin_pays(&spin));
    assert_int_equal(spin.looks, GN_SPIN_FAILURES + 3);
    assert_int_equal(spin.hits, 1);
}

// What the link says is the same, and it is asked to wait, when looking has been given up.
static void without_looking_it_sleeps(void **state)
{
    (void)state;
    struct fake f = {.link.ops = &ops, .result = 7};
    struct gn_spin spin = {.limit_ns = 1000, .failures = GN_SPIN_FAILURES};
    assert_int_equal(receive(&f, &spin, LOOKS_MAX), 7);
    assert_int_equal(f.looked, 0);
    assert_int_equal(f.slept, 1);
}

// A lost core is worse than a look in vain: it ends looking at once, and for longer each time.
static void a_lost_core_ends_looking(void **state)
{
    (void)state;
    struct gn_spin spin = {.limit_ns = 1000};
    uint32_t rests[10];
    for (int i = 0; i < 10; i++) {
        assert_true(gn_spin_pays(&spin));
        gn_spin_judge(&spin, GN_LOOK_LOST);
        rests[i] = rest(&spin, 0); // however short the sleeps
        assert_true(!i || rests[i] == 4 * rests[i - 1] || rests[i] == GN_SPIN_REST_MAX);
    }
    assert_int_equal(rests[0], 4 * GN_SPIN_RETRY);
    assert_int_equal(rests[9], GN_SPIN_REST_MAX);
    gn_spin_judge(&spin, GN_LOOK_HIT); // one hit brings looking back, but the next loss ends it for nearly as long again
    assert_true(gn_spin_pays(&spin));
    gn_spin_judge(&spin, GN_LOOK_LOST);
    assert_false(gn_spin_pays(&spin));
    for (int i = 0; i < GN_SPIN_REST_MAX / 2; i++)
        gn_spin_slept(&spin, UINT64_MAX);
    assert_false(gn_spin_pays(&spin));
}

// Somebody passed by: the core was lost once, after many looks that found something.
static void a_lone_loss_ends_looking_for_short(void **state)
{
    (void)state;
    struct gn_spin spin = {.limit_ns = 1000};
    for (int i = 0; i < GN_SPIN_LONE_HITS; i++)
        gn_spin_judge(&spin, GN_LOOK_HIT);
    gn_spin_judge(&spin, GN_LOOK_LOST);
    assert_false(gn_spin_pays(&spin));
    assert_in_range(rest(&spin, 1), 1, GN_SPIN_RETRY / 2); // as after looks in vain
    for (int i = 0; i < GN_SPIN_LONE_HITS - 1; i++)
        gn_spin_judge(&spin, GN_LOOK_HIT);
    gn_spin_judge(&spin, GN_LOOK_LOST); // too soon again
    assert_int_equal(rest(&spin, 1), 4 * GN_SPIN_RETRY);
}

// Whatever was the reason: after some time it may be another matter.
static void time_brings_looking_back(void **state)
{
    (void)state;
    struct gn_spin spin = {.limit_ns = 1000, .rest_ns = 1};
    for (int i = 0; i < 8; i++)
        gn_spin_judge(&spin, GN_LOOK_LOST);
    assert_false(gn_spin_pays(&spin));
    assert_in_range(rest(&spin, UINT64_MAX), 1, 2);
    spin.rest_ns = UINT32_MAX;
    gn_spin_judge(&spin, GN_LOOK_LOST);
    assert_in_range(rest(&spin, UINT64_MAX), 3, GN_SPIN_REST_MAX);
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
        cmocka_unit_test(what_is_there_is_taken_at_once), cmocka_unit_test(a_first_look_in_vain_is_left_out),  cmocka_unit_test(what_comes_soon_needs_no_sleep),
        cmocka_unit_test(an_end_and_an_error_are_handed_through), cmocka_unit_test(switched_off_it_sleeps_at_once),
        cmocka_unit_test(vain_looks_are_given_up), cmocka_unit_test(without_looking_it_sleeps),          cmocka_unit_test(a_lost_core_ends_looking), cmocka_unit_test(a_lone_loss_ends_looking_for_short),         cmocka_unit_test(time_brings_looking_back), cmocka_unit_test(the_limit_is_bounded),
    };
    return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
