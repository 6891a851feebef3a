// SPDX-License-Identifier: Apache-2.0
// Does the mock's address space agree with a plain array of granules, whatever is mapped, unmapped and given access in any order? And is physical
// memory one memory, wherever it is mapped, counted once, and gone when nothing holds it?
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "remoting/cuda_types.h"
#include "tests/mock/mock_space.h"

enum { GRANULES = 40, ROUNDS = 6000, PIECES = 12 };
#define G           MOCK_GRANULE_BYTES
#define DEVICE_BYTES (64 * G)

static uint32_t state = 7;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

static int open_once(void **unused)
{
    (void)unused;
    return mock_arena_open(0, DEVICE_BYTES) || mock_arena_open(1, DEVICE_BYTES);
}

static void agrees_with_an_array(void **unused)
{
    (void)unused;
    static struct {
        unsigned mapping; // a number of its own, 0: none
        unsigned first, count, device, access[2];
    } cells[GRANULES];
    unsigned next = 0;
    uint64_t base;
    assert_int_equal(mock_space_reserve(GRANULES * G, G, 0, &base), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned at = draw(GRANULES), count = 1 + draw(4), device = draw(2), access = draw(4);
        access -= access == 2;
        bool inside = at + count <= GRANULES;
        switch (draw(3)) {
        case 0: {
            bool empty = inside;
            for (unsigned i = at; inside && i < at + count; i++)
                empty = empty && !cells[i].mapping;
            struct mock_physical *p = mock_physical_new(device, count * G);
            assert_non_null(p);
            int r = mock_space_map(base + at * G, count * G, p);
            assert_int_equal(r, !inside ? -ENOENT : empty ? 0 : -EBUSY);
            mock_physical_check(p); // lives on if it is mapped
            next += !r;
            for (unsigned i = at; !r && i < at + count; i++) {
                memset(&cells[i], 0, sizeof cells[i]);
                cells[i].mapping = next;
                cells[i].first = at;
                cells[i].count = count;
                cells[i].device = device;
            }
            break;
        }
        case 1: {
            bool whole = inside && cells[at].mapping && cells[at].first == at;
            for (unsigned i = at; inside && i < at + count; i++)
                whole = whole && cells[i].mapping && cells[i].first + cells[i].count <= at + count;
            assert_int_equal(mock_space_unmap(base + at * G, count * G), whole ? 0 : -ENOENT);
            for (unsigned i = at; whole && i < at + count; i++)
                memset(&cells[i], 0, sizeof cells[i]);
            break;
        }
        default: {
            bool mapped = inside;
            for (unsigned i = at; inside && i < at + count; i++)
                mapped = mapped && cells[i].mapping;
            assert_int_equal(mock_space_access(base + at * G, count * G, device, access), mapped ? 0 : -ENOENT);
            for (unsigned i = at; mapped && i < at + count; i++)
                for (unsigned k = cells[i].first; k < cells[i].first + cells[i].count; k++)
                    cells[k].access[device] = access;
        }
        }
        for (unsigned i = 0; i < GRANULES; i++) {
            struct mock_memory_info info;
            struct mock_mapping_info mapping;
            uint64_t address = base + i * G + draw(G);
            bool touchable = cells[i].mapping && (cells[i].access[0] || cells[i].access[1]);
            assert_int_equal(mock_space_look(address, &mapping), cells[i].mapping ? 0 : -ENOENT);
            if (cells[i].mapping)
                assert_true(mapping.start == base + cells[i].first * G && mapping.size_bytes == cells[i].count * G);
            assert_int_equal(mock_memory_find(address, &info), touchable ? 0 : -EFAULT);
            if (!touchable)
                continue;
            assert_int_equal(mock_memory_access(&info, 0), cells[i].access[0]);
            assert_int_equal(mock_memory_access(&info, 1), cells[i].access[1]);
            // The extent: as far as device and access are the same.
            unsigned first = i, end = i + 1;
            while (first && cells[first - 1].mapping && cells[first - 1].device == cells[i].device &&
                   !memcmp(cells[first - 1].access, cells[i].access, sizeof cells[i].access))
                first--;
            while (end < GRANULES && cells[end].mapping && cells[end].device == cells[i].device &&
                   !memcmp(cells[end].access, cells[i].access, sizeof cells[i].access))
                end++;
            assert_true(info.start == base + first * G && info.size_bytes == (end - first) * G);
        }
    }
    for (unsigned i = 0; i < GRANULES; i++)
        if (cells[i].mapping && cells[i].first == i) {
            assert_int_equal(mock_space_free(base, GRANULES * G), -EBUSY);
            assert_int_equal(mock_space_unmap(base + i * G, cells[i].count * G), 0);
        }
    assert_int_equal(mock_arena_free_bytes(0), DEVICE_BYTES);
    assert_int_equal(mock_arena_free_bytes(1), DEVICE_BYTES);
    assert_int_equal(mock_space_free(base, G), -ENOENT);
    assert_int_equal(mock_space_free(base, GRANULES * G), 0);
    assert_false(mock_space_holds(base));
}

static void one_memory_at_two_places(void **unused)
{
    (void)unused;
    uint64_t base;
    assert_int_equal(mock_space_reserve(4 * G, 8 * G, 0, &base), 0);
    assert_int_equal(base % (8 * G), 0);
    struct mock_physical *p = mock_physical_new(0, G);
    p->handles = 1;
    assert_int_equal(mock_space_map(base, G, p), 0);
    assert_int_equal(mock_space_map(base + 2 * G, G, p), 0);
    memset((void *)(uintptr_t)base, 42, G);
    assert_int_equal(((unsigned char *)(uintptr_t)(base + 2 * G))[G - 1], 42);
    assert_int_equal(mock_arena_free_bytes(0), DEVICE_BYTES - G);
    assert_int_equal(mock_space_unmap(base, G), 0);
    p->handles = 0;
    mock_physical_check(p); // still mapped
    assert_int_equal(((unsigned char *)(uintptr_t)(base + 2 * G))[0], 42);
    assert_int_equal(mock_arena_free_bytes(0), DEVICE_BYTES - G);
    assert_int_equal(mock_space_unmap(base + 2 * G, G), 0);
    assert_int_equal(mock_arena_free_bytes(0), DEVICE_BYTES);
    assert_int_equal(mock_space_free(base, 4 * G), 0);
}

// Allocations and mapped memory are one device's.
static void one_budget(void **unused)
{
    (void)unused;
    uint64_t address;
    struct mock_physical *p = mock_physical_new(0, DEVICE_BYTES - 4 * G);
    assert_non_null(p);
    assert_null(mock_physical_new(0, 5 * G));
    assert_int_equal(mock_arena_alloc(0, 5 * G, 1, 0, &address), -ENOMEM);
    assert_int_equal(mock_arena_alloc(0, 4 * G, 1, 0, &address), 0);
    assert_int_equal(mock_arena_free_bytes(0), 0);
    assert_null(mock_physical_new(0, G));
    assert_int_equal(mock_arena_free(address), 0);
    mock_physical_check(p);
    assert_int_equal(mock_arena_free_bytes(0), DEVICE_BYTES);
    assert_int_equal(mock_space_reserve((uint64_t)1 << 60, G, 0, &address), -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_memory_at_two_places),
        cmocka_unit_test(one_budget),
        cmocka_unit_test(agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, open_once, NULL);
}
