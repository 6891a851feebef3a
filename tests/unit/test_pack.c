// SPDX-License-Identifier: Apache-2.0
// Packed payload: what goes in comes out, malformed blocks are refused, and packing happens exactly where the measured rates say that it pays.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "remoting/session/pack.h"

enum { BYTES = 512 << 10 };

static uint8_t raw[BYTES], back[BYTES], *packed;

static void fill_text(void)
{
    for (size_t i = 0; i < BYTES; i++)
        raw[i] = (uint8_t)("weights and biases, "[i % 20] + (i / 4096) % 7);
}

static void fill_noise(void)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < BYTES; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        raw[i] = (uint8_t)x;
    }
}

static size_t pack(struct gn_packing *p, size_t size_bytes)
{
    return gn_packing_pays(p, raw, size_bytes) ? gn_pack(p, packed, raw, size_bytes) : 0;
}

static int set_up(void **state)
{
    (void)state;
    packed = malloc(gn_pack_room_bytes(BYTES));
    return packed ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(packed);
    return 0;
}

static void comes_back(void **state)
{
    (void)state;
    struct gn_packing p = {.rate_bytes_per_s = 10 << 20};
    fill_text();
    size_t n = pack(&p, BYTES);
    assert_in_range(n, 1, BYTES / 2);
    assert_int_equal(gn_packed_bytes(packed, n, BYTES), BYTES);
    assert_int_equal(gn_unpack(back, BYTES, packed, n), 0);
    assert_memory_equal(raw, back, BYTES);
    assert_int_equal(p.raw_bytes, BYTES);
    assert_int_equal(p.packed_bytes, n);
}

static void only_where_it_pays(void **state)
{
    (void)state;
    struct gn_packing unknown = {0}, slow = {.rate_bytes_per_s = 10 << 20}, fast = {.rate_bytes_per_s = 100ull << 30};
    struct gn_packing costly = {.rate_bytes_per_s = 1 << 30, .cost_ps = 2000};
    fill_text();
    assert_int_equal(pack(&unknown, BYTES), 0);
    assert_int_equal(pack(&fast, BYTES), 0);
    assert_int_equal(pack(&costly, BYTES), 0);
    assert_int_equal(pack(&slow, GN_PACK_BYTES_MIN - 1), 0);
    assert_int_not_equal(pack(&slow, GN_PACK_BYTES_MIN), 0);
    fill_noise();
    assert_int_equal(pack(&slow, BYTES), 0);
    memset(raw + BYTES / 2 - (8 << 10), 0, 16 << 10); // the sample shrinks, the whole does not
    assert_int_equal(pack(&slow, BYTES), 0);
}

static void asks_for_the_rate_now_and_then(void **state)
{
    (void)state;
    struct gn_packing p = {0};
    int asked = 0;
    for (int i = 0; i < 64; i++)
        asked += gn_packing_wants_rate(&p, BYTES);
    assert_int_equal(asked, 16); // 32 MiB
}

static void refuses_what_is_malformed(void **state)
{
    (void)state;
    struct gn_packing p = {.rate_bytes_per_s = 10 << 20};
    uint64_t claims[] = {0, BYTES + 1, UINT64_MAX};
    fill_text();
    size_t n = pack(&p, BYTES);
    for (size_t i = 0; i <= GN_PACK_HEAD_BYTES; i++)
        assert_int_equal(gn_packed_bytes(packed, i, BYTES), 0);
    assert_int_equal(gn_packed_bytes(packed, n, BYTES - 1), 0);
    for (size_t cut = GN_PACK_HEAD_BYTES + 1; cut < n; cut += 97)
        assert_int_equal(gn_unpack(back, BYTES, packed, cut), -EBADMSG);
    assert_int_equal(gn_unpack(back, BYTES - 1, packed, n), -EBADMSG); // stands for more than it says
    for (size_t i = 0; i < 3; i++) {
        memcpy(packed, &claims[i], 8);
        assert_int_equal(gn_packed_bytes(packed, n, BYTES), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(only_where_it_pays),
        cmocka_unit_test(asks_for_the_rate_now_and_then),
        cmocka_unit_test(refuses_what_is_malformed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
