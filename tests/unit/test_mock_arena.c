// SPDX-License-Identifier: Apache-2.0
// Does the device's allocator never hand out a byte twice, find what holds an address, give everything back, and stay fast at 100,000
// allocations? Compared with a plain array; and are pages of freed memory returned?
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "tests/mock/mock_arena.h"

enum { DEVICE_BYTES = 64 << 20, SLOTS = 500, ROUNDS = 20000, MANY = 100000 };

static uint32_t state = 12345;

static uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int open_once(void **unused)
{
    (void)unused;
    return mock_arena_open(0, DEVICE_BYTES) || mock_arena_open(1, (uint64_t)16 << 30);
}

static void agrees_with_an_array(void **unused)
{
    (void)unused;
    static struct {
        uint64_t at, bytes;
    } slots[SLOTS];
    for (int round = 0; round < ROUNDS; round++) {
        unsigned i = draw() % SLOTS;
        if (slots[i].at) {
            struct mock_memory_info info;
            uint64_t inside = slots[i].at + draw() % slots[i].bytes;
            assert_int_equal(mock_memory_find(inside, &info), 0);
            assert_int_equal(info.start, slots[i].at);
            assert_int_equal(info.size_bytes, slots[i].bytes);
            assert_int_equal(*(unsigned char *)(uintptr_t)slots[i].at, i & 0xff); // nobody else wrote there
            assert_int_equal(mock_memory_check(slots[i].at, slots[i].bytes, &info), 0);
            assert_int_equal(mock_memory_check(slots[i].at, slots[i].bytes + 1, &info), -EFAULT);
            assert_int_equal(mock_arena_free(slots[i].at), 0);
            assert_int_equal(mock_memory_find(inside, &info), -EFAULT);
            assert_int_equal(mock_arena_free(slots[i].at), -EFAULT);
            slots[i].at = 0;
        } else {
            slots[i].bytes = 1 + draw() % (draw() % 8 ? 3000 : 400000);
            if (mock_arena_alloc(0, slots[i].bytes, 1, 0, &slots[i].at)) {
                slots[i].at = 0; // full: fine
                continue;
            }
            assert_int_equal(slots[i].at % MOCK_ALLOC_ALIGN, 0);
            memset((void *)(uintptr_t)slots[i].at, (int)i & 0xff, slots[i].bytes);
        }
    }
    mock_arena_free_owner(1);
    assert_int_equal(mock_arena_free_bytes(0), DEVICE_BYTES);
    uint64_t all; // coalesced to one piece again
    assert_int_equal(mock_arena_alloc(0, DEVICE_BYTES, 1, 0, &all), 0);
    assert_int_equal(mock_arena_alloc(0, 1, 1, 0, &all), -ENOMEM);
    mock_arena_free_owner(1);
}

static void many_are_cheap(void **unused)
{
    (void)unused;
    static uint64_t at[MANY];
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(mock_arena_alloc(1, 1 + draw() % 1000, 2, 0, &at[i]), 0);
    for (int i = 0; i < MANY; i++) {
        struct mock_memory_info info;
        assert_int_equal(mock_memory_find(at[i], &info), 0);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(mock_arena_free(at[(uint64_t)i * 7919 % MANY]), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    print_message("# %d allocations, look-ups and frees: %.0f ns each\n", MANY, seconds / MANY * 1e9);
    assert_true(seconds < 20); // quadratic would be minutes
}

static void pages_go_back(void **unused)
{
    (void)unused;
    enum { BIG = 32 << 20, PAGE = 4096 };
    uint64_t at, small;
    unsigned char resident[BIG / PAGE];
    assert_int_equal(mock_arena_alloc(1, 100, 3, 0, &small), 0);
    assert_int_equal(mock_arena_alloc(1, BIG, 3, 0, &at), 0);
    memset((void *)(uintptr_t)small, 1, 100);
    memset((void *)(uintptr_t)at, 1, BIG);
    assert_int_equal(mock_arena_free(at), 0);
    uint64_t page = (at + PAGE - 1) / PAGE * PAGE;
    assert_int_equal(mincore((void *)(uintptr_t)page, BIG - PAGE, resident), 0);
    for (size_t i = 0; i < BIG / PAGE - 1; i++)
        assert_int_equal(resident[i] & 1, 0);
    for (int i = 0; i < 100; i++) // what shares a page with it stays
        assert_int_equal(((unsigned char *)(uintptr_t)small)[i], 1);
    mock_arena_free_owner(3);
}

static void owners_are_apart(void **unused)
{
    (void)unused;
    struct mock_memory_info info;
    uint64_t a, b, internal, pinned;
    assert_int_equal(mock_arena_alloc(0, 100, 7, 0, &a), 0);
    assert_int_equal(mock_arena_alloc(0, 100, 8, 0, &b), 0);
    assert_int_equal(mock_arena_alloc(0, 100, 7, MOCK_INTERNAL, &internal), 0);
    assert_int_equal(mock_arena_free(internal), -EFAULT); // a module's variable is not the program's
    assert_int_equal(mock_pinned_alloc(5000, 7, 0, &pinned), 0);
    assert_int_equal(mock_memory_find(pinned + 4999, &info), 0);
    assert_int_equal(info.device, -1);
    assert_int_equal(mock_memory_find(pinned + 5000, &info), -EFAULT);
    mock_arena_free_owner(7);
    assert_int_equal(mock_memory_find(a, &info), -EFAULT);
    assert_int_equal(mock_memory_find(internal, &info), -EFAULT);
    assert_int_equal(mock_memory_find(pinned, &info), -EFAULT);
    assert_int_equal(mock_memory_find(b, &info), 0);
    mock_arena_free_owner(8);
}

static void registered_ranges_do_not_overlap(void **unused)
{
    (void)unused;
    static char memory[100];
    uint64_t at = (uint64_t)(uintptr_t)memory;
    assert_int_equal(mock_pinned_add(at + 20, 20, 1, MOCK_HOST_REGISTERED), 0);
    assert_int_equal(mock_pinned_add(at + 20, 20, 1, MOCK_HOST_REGISTERED), -EEXIST);
    assert_int_equal(mock_pinned_add(at, 21, 1, MOCK_HOST_REGISTERED), -EEXIST);
    assert_int_equal(mock_pinned_add(at + 39, 10, 1, MOCK_HOST_REGISTERED), -EEXIST);
    assert_int_equal(mock_pinned_add(at, 100, 1, MOCK_HOST_REGISTERED), -EEXIST);
    assert_int_equal(mock_pinned_add(UINT64_MAX - 5, 10, 1, MOCK_HOST_REGISTERED), -EEXIST); // wraps
    assert_int_equal(mock_pinned_add(at, 20, 1, MOCK_HOST_REGISTERED), 0);
    assert_int_equal(mock_pinned_add(at + 40, 60, 1, MOCK_HOST_REGISTERED), 0);
    assert_int_equal(mock_pinned_remove(at + 21, true), -EFAULT);
    assert_int_equal(mock_pinned_remove(at + 20, false), -EFAULT);
    assert_int_equal(mock_pinned_remove(at + 20, true), 0);
    mock_arena_free_owner(1);
}

static void limits_hold(void **unused)
{
    (void)unused;
    uint64_t at;
    assert_int_equal(mock_arena_alloc(0, 0, 1, 0, &at), -ENOMEM);
    assert_int_equal(mock_arena_alloc(0, DEVICE_BYTES + 1, 1, 0, &at), -ENOMEM);
    assert_int_equal(mock_arena_alloc(0, UINT64_MAX, 1, 0, &at), -ENOMEM);
    assert_int_equal(mock_arena_alloc(1, (uint64_t)8 << 30, 1, 0, &at), 0); // nothing is committed
    assert_true(mock_memory_is_device(at));
    assert_false(mock_memory_is_device((uint64_t)(uintptr_t)&at));
    mock_arena_free_owner(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array), cmocka_unit_test(many_are_cheap),
        cmocka_unit_test(pages_go_back),        cmocka_unit_test(owners_are_apart),
        cmocka_unit_test(registered_ranges_do_not_overlap), cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, open_once, NULL);
}
