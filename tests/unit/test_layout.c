// SPDX-License-Identifier: Apache-2.0
// Are parameter layouts decoded, and hostile ones refused; do values land at their offsets and gaps become
// zero?
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "interpose/module/layout.h"

static void decodes(void **unused)
{
    (void)unused;
    uint32_t blob[] = {3, 0, 8, 8, 4, 16, 8};
    struct gn_param params[3];
    struct gn_layout layout;
    assert_int_equal(gn_layout_count(blob, sizeof blob), 3);
    assert_int_equal(gn_layout_decode(&layout, params, blob, sizeof blob), 0);
    assert_int_equal(layout.count, 3);
    assert_int_equal(layout.size_bytes, 24);
    assert_true(layout.gaps);
    assert_int_equal(params[2].offset_bytes, 16);

    uint32_t none = 0;
    assert_int_equal(gn_layout_decode(&layout, NULL, &none, sizeof none), 0);
    assert_int_equal(layout.size_bytes, 0);
    assert_int_equal(gn_layout_pack(&layout, NULL, NULL), 0);
}

static void refuses(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t words[8], bytes;
    } cases[] = {
        {{0}, 0},       // nothing
        {{0}, 3},       // half a count
        {{0}, 8},       // more than it says
        {{1, 0, 4}, 8}, // less
        {{2, 0, 4}, 12},
        {{UINT32_MAX, 0, 4}, 12},
        {{1u << 29, 0, 4}, 12}, // times 8 it would be 0 in 32 bits
        {{32765, 0, 4}, 12},
        {{2, 0, 8, 4, 4}, 20}, // overlap
        {{2, 8, 8, 0, 8}, 20}, // out of order
        {{1, 0, 32765}, 12},   // beyond the limit
        {{1, 32764, 1}, 12},
        {{1, UINT32_MAX, 1}, 12},
        {{1, 1, UINT32_MAX}, 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_param params[4];
        struct gn_layout layout;
        void *exact = malloc(cases[i].bytes + 1); // so that a sanitizer sees a read beyond the blob
        memcpy(exact, cases[i].words, cases[i].bytes);
        int r = gn_layout_decode(&layout, params, exact, cases[i].bytes);
        free(exact);
        if (r != -EBADMSG)
            fail_msg("case %zu: got %d", i, r);
    }
}

static void packs(void **unused)
{
    (void)unused;
    struct {
        uint8_t bytes[13];
    } odd;
    memset(&odd, 0x5a, sizeof odd);
    uint64_t pointer = 0x1122334455667788;
    uint32_t number = 0x99aabbcc;
    uint8_t flag = 0xee;
    uint32_t blob[] = {4, 0, 8, 8, 4, 12, 1, 16, 13};
    struct gn_param params[4];
    struct gn_layout layout;
    assert_int_equal(gn_layout_decode(&layout, params, blob, sizeof blob), 0);
    uint8_t buffer[40], want[40];
    memset(buffer, 0x77, sizeof buffer);
    memset(want, 0x77, sizeof want);
    memset(want, 0, 29);
    memcpy(want, &pointer, 8);
    memcpy(want + 8, &number, 4);
    want[12] = flag;
    memset(want + 16, 0x5a, 13);
    void *values[] = {&pointer, &number, &flag, &odd};
    assert_int_equal(gn_layout_pack(&layout, values, buffer), 0);
    assert_memory_equal(buffer, want, sizeof want); // and nothing behind the last parameter is touched
    values[2] = NULL;
    assert_int_equal(gn_layout_pack(&layout, values, buffer), -EINVAL);
}

static void packs_the_largest(void **unused)
{
    (void)unused;
    uint32_t blob[] = {1, 0, GN_PARAMS_BYTES_MAX};
    struct gn_param param;
    struct gn_layout layout;
    assert_int_equal(gn_layout_decode(&layout, &param, blob, sizeof blob), 0);
    assert_false(layout.gaps);
    uint8_t *value = malloc(GN_PARAMS_BYTES_MAX), *buffer = malloc(GN_PARAMS_BYTES_MAX);
    for (int i = 0; i < GN_PARAMS_BYTES_MAX; i++)
        value[i] = (uint8_t)(i * 31);
    assert_int_equal(gn_layout_pack(&layout, &(void *){value}, buffer), 0);
    assert_memory_equal(buffer, value, GN_PARAMS_BYTES_MAX);
    free(value);
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(packs),
        cmocka_unit_test(packs_the_largest),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
