// SPDX-License-Identifier: Apache-2.0
// Does the command ring keep frames whole and in order, pad its end so that a reader can follow, never hand
// out a byte that is not acknowledged, and refuse acknowledgements that cannot be?
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "core/ring.h"

enum { SIZE = 4096 };

static uint64_t state_of_draw = 1;

static uint64_t draw(void) // splitmix64
{
    uint64_t z = (state_of_draw += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void *put(struct gn_ring *r, uint32_t size, uint16_t op)
{
    uint8_t *at = gn_ring_reserve(r, size);
    if (!at)
        return NULL;
    struct gn_command head = {.size_bytes = size, .op = op};
    memcpy(at, &head, sizeof head);
    memset(at + sizeof head, (uint8_t)op, size - sizeof head);
    gn_ring_commit(r, size);
    return at;
}

static void frames_follow_each_other(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SIZE);
    struct gn_ring r = {.bytes = bytes, .size_bytes = SIZE};
    assert_ptr_equal(put(&r, 64, 1), bytes);
    assert_ptr_equal(put(&r, 32, 2), bytes + 64);
    assert_int_equal(r.head, 96);
    uint8_t *at;
    assert_int_equal(gn_ring_unsent(&r, r.head, &at), 96);
    assert_ptr_equal(at, bytes);
    r.sent = 64;
    assert_int_equal(gn_ring_unsent(&r, r.head, &at), 32);
    assert_int_equal(gn_ring_unsent(&r, 72, &at), 8);
    assert_ptr_equal(at, bytes + 64);
    free(bytes);
}

static void a_full_ring_waits_for_an_acknowledgement(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SIZE);
    struct gn_ring r = {.bytes = bytes, .size_bytes = SIZE};
    assert_non_null(put(&r, SIZE, 1)); // all of it
    assert_null(gn_ring_reserve(&r, 8));
    assert_int_equal(r.head, SIZE);
    assert_int_equal(gn_ring_ack(&r, 8), 0);
    assert_non_null(gn_ring_reserve(&r, 8));
    assert_null(gn_ring_reserve(&r, 16));
    assert_int_equal(gn_ring_ack(&r, SIZE), 0);
    assert_non_null(put(&r, SIZE, 2));
    free(bytes);
}

static void the_end_is_padded(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SIZE);
    struct gn_ring r = {.bytes = bytes, .size_bytes = SIZE};
    assert_non_null(put(&r, SIZE - 24, 1));
    assert_int_equal(gn_ring_ack(&r, SIZE - 24), 0);
    assert_ptr_equal(put(&r, 32, 2), bytes); // 24 bytes are left at the end: not enough
    assert_int_equal(r.head, SIZE + 32);
    struct gn_command padding;
    memcpy(&padding, bytes + SIZE - 24, sizeof padding);
    assert_int_equal(padding.size_bytes, 24);
    assert_int_equal(padding.op, 0);
    assert_int_equal(padding.flags, 0);
    free(bytes);
}

// Padding is put in front also when there is no room behind it: at the next try it must not be put there
// twice.
static void padding_stays_when_there_is_no_room_behind_it(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SIZE);
    struct gn_ring r = {.bytes = bytes, .size_bytes = SIZE};
    assert_non_null(put(&r, SIZE - 24, 1));
    assert_int_equal(gn_ring_ack(&r, 16), 0);
    assert_null(gn_ring_reserve(&r, 32));
    assert_int_equal(r.head, SIZE);
    assert_null(gn_ring_reserve(&r, 32));
    assert_int_equal(r.head, SIZE);
    assert_int_equal(gn_ring_ack(&r, 32), 0);
    assert_ptr_equal(gn_ring_reserve(&r, 32), bytes);
    free(bytes);
}

static void no_room_for_the_padding(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SIZE);
    struct gn_ring r = {
        .bytes = bytes, .size_bytes = SIZE, .head = SIZE + 4000, .sent = SIZE + 4000, .acked = 4000};
    assert_null(gn_ring_reserve(&r, 128));
    assert_int_equal(r.head, SIZE + 4000);
    free(bytes);
}

static void acknowledgements_that_cannot_be(void **state)
{
    (void)state;
    uint8_t bytes[SIZE];
    struct gn_ring r = {.bytes = bytes, .size_bytes = SIZE, .head = 1000, .sent = 500, .acked = 100};
    assert_int_equal(gn_ring_ack(&r, 99), -EINVAL);
    assert_int_equal(gn_ring_ack(&r, 0), -EINVAL);
    assert_int_equal(gn_ring_ack(&r, 1001), -EINVAL);
    assert_int_equal(gn_ring_ack(&r, UINT64_MAX), -EINVAL);
    assert_int_equal(r.acked, 100);
    assert_int_equal(gn_ring_ack(&r, 100), 0);
    assert_int_equal(gn_ring_ack(&r, 600), 0); // ahead of `sent`: the peer was faster than our note
    assert_int_equal(gn_ring_ack(&r, 1000), 0);
}

// A reader that takes what was sent, piece by piece, sees every frame once, whole, in order.
static void a_reader_sees_every_frame(void **state)
{
    (void)state;
    static uint8_t seen[2 * SIZE];
    uint8_t *bytes = malloc(SIZE);
    struct gn_ring r = {.bytes = bytes, .size_bytes = SIZE};
    size_t have = 0, frames = 0, padded = 0;
    uint16_t written = 0, expected = 0;
    uint64_t taken = 0;
    while (frames < 50000) {
        uint32_t size = 8 + 8 * (uint32_t)(draw() % (draw() % 8 ? 12 : 400));
        uint16_t op = (uint16_t)(written % 60000 + 1);
        if (put(&r, size, op))
            written = op;
        assert_true(r.head - r.acked <= SIZE);
        if (draw() % 3)
            continue;
        uint8_t *at;
        size_t n = gn_ring_unsent(&r, r.head, &at);
        n = n ? 1 + draw() % n : 0;
        assert_true(have + n <= sizeof seen);
        memcpy(seen + have, at, n);
        have += n;
        r.sent += n;
        for (struct gn_command head; have >= sizeof head;) {
            memcpy(&head, seen, sizeof head);
            assert_true(head.size_bytes >= sizeof head && head.size_bytes % 8 == 0 &&
                        head.size_bytes <= SIZE);
            if (have < head.size_bytes)
                break;
            if (head.op) {
                expected = (uint16_t)(expected % 60000 + 1);
                assert_int_equal(head.op, expected);
                for (size_t i = sizeof head; i < head.size_bytes; i++)
                    assert_int_equal(seen[i], (uint8_t)head.op);
                frames++;
            }
            padded += !head.op;
            taken += head.size_bytes;
            have -= head.size_bytes;
            memmove(seen, seen + head.size_bytes, have);
        }
        if (draw() % 4 == 0)
            assert_int_equal(gn_ring_ack(&r, taken), 0);
    }
    assert_true(padded > 100);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_follow_each_other),
        cmocka_unit_test(a_full_ring_waits_for_an_acknowledgement),
        cmocka_unit_test(the_end_is_padded),
        cmocka_unit_test(padding_stays_when_there_is_no_room_behind_it),
        cmocka_unit_test(no_room_for_the_padding),
        cmocka_unit_test(acknowledgements_that_cannot_be),
        cmocka_unit_test(a_reader_sees_every_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
