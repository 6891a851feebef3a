// SPDX-License-Identifier: Apache-2.0
// Do hello and welcome come through whole, at their limits too, and is every shorter, longer or lying one
// refused? The bytes themselves are compared in test_golden.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "remoting/hello.h"

static struct gn_device_snapshot devices[GN_DEVICES_MAX], seen[GN_DEVICES_MAX];

static struct gn_hello a_hello(void)
{
    return (struct gn_hello){.version_low = 1,
                             .version_high = 3,
                             .wire_digest = UINT64_MAX,
                             .ring_bytes = 1 << 20,
                             .process_id = 0xffffffff,
                             .wants = UINT32_MAX,
                             .program = "a program",
                             .token = "secret"};
}

static struct gn_welcome a_welcome(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gn_device_snapshot *d = &devices[i];
        memset(d, 0, sizeof *d);
        memset(d->name, 'a' + (int)(i % 26), i % GN_NAME_BYTES);
        memset(&d->uuid, (int)i, sizeof d->uuid);
        strcpy(d->pci_bus_id, "0000:01:00.0");
        d->memory_bytes = UINT64_MAX - i;
        for (int k = 0; k < GN_DEVICE_ATTRIBUTES_MAX; k++) {
            d->attributes[k] = k % 2 ? k : -k;
            d->attribute_known[k] = k % 3 == 0;
        }
    }
    return (struct gn_welcome){.version = 1,
                               .driver_version = 13000,
                               .worker_id = 9,
                               .window_bytes = 1 << 20,
                               .chunk_bytes = 64 << 10,
                               .shm_bytes = UINT64_MAX,
                               .lanes = GN_LANES_MAX,
                               .lane_key = "fedcba9876543210",
                               .device_count = count,
                               .devices = devices};
}

static void hello_comes_through(void **state)
{
    (void)state;
    uint8_t buffer[GN_HELLO_BYTES_MAX];
    struct gn_hello h = a_hello(), back;
    int n = gn_hello_encode(buffer, sizeof buffer, &h);
    assert_true(n > 0 && n % 8 == 0);
    assert_int_equal(gn_prefix_decode(buffer, GN_HELLO_BYTES_MAX), n - GN_PREFIX_BYTES);
    assert_int_equal(gn_hello_decode(buffer + GN_PREFIX_BYTES, (size_t)(n - GN_PREFIX_BYTES), &back), 0);
    assert_memory_equal(&h, &back, sizeof h);
}

static void texts_at_their_limits(void **state)
{
    (void)state;
    uint8_t buffer[GN_HELLO_BYTES_MAX];
    for (size_t length = 0; length < GN_NAME_BYTES; length++) {
        struct gn_hello h = a_hello(), back;
        memset(h.program, 0, sizeof h.program);
        memset(h.program, 'x', length);
        memset(h.token, 0, sizeof h.token);
        memset(h.token, 'y', length % GN_TOKEN_BYTES);
        int n = gn_hello_encode(buffer, sizeof buffer, &h);
        assert_int_equal(gn_hello_decode(buffer + GN_PREFIX_BYTES, (size_t)(n - GN_PREFIX_BYTES), &back), 0);
        assert_memory_equal(&h, &back, sizeof h);
    }
}

// A text of our own that fills its field is cut, so that a NUL ends it.
static void a_full_field_is_cut(void **state)
{
    (void)state;
    uint8_t buffer[GN_HELLO_BYTES_MAX];
    struct gn_hello h = a_hello(), back;
    memset(h.token, 'z', sizeof h.token);
    int n = gn_hello_encode(buffer, sizeof buffer, &h);
    assert_int_equal(gn_hello_decode(buffer + GN_PREFIX_BYTES, (size_t)(n - GN_PREFIX_BYTES), &back), 0);
    assert_int_equal(strlen(back.token), GN_TOKEN_BYTES - 1);
}

static void shorter_and_longer_hellos_are_refused(void **state)
{
    (void)state;
    uint8_t buffer[GN_HELLO_BYTES_MAX] = {0};
    struct gn_hello h = a_hello(), back;
    size_t size = (size_t)gn_hello_encode(buffer, sizeof buffer, &h) - GN_PREFIX_BYTES;
    for (size_t n = 0; n < size + 20; n++) {
        uint8_t *body = malloc(n ? n : 1); // a sanitizer sees the first byte beyond
        memcpy(body, buffer + GN_PREFIX_BYTES, n);
        assert_int_equal(gn_hello_decode(body, n, &back), n == size ? 0 : -EBADMSG);
        free(body);
    }
    for (size_t room = 0; room < size + GN_PREFIX_BYTES; room++)
        assert_int_equal(gn_hello_encode(buffer, room, &h), -EMSGSIZE);
}

static void lying_texts_are_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {GN_NAME_BYTES, GN_NAME_BYTES + 1, 1ull << 32, 1ull << 63,
                                       UINT64_MAX,    UINT64_MAX - 7,    64};
    uint8_t buffer[GN_HELLO_BYTES_MAX];
    struct gn_hello h = a_hello(), back;
    size_t size = (size_t)gn_hello_encode(buffer, sizeof buffer, &h) - GN_PREFIX_BYTES;
    uint8_t *body = buffer + GN_PREFIX_BYTES;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(body + 32, &lengths[i], 8); // of `program`
        assert_int_equal(gn_hello_decode(body, size, &back), -EBADMSG);
    }
    uint64_t right = strlen(h.program);
    memcpy(body + 32, &right, 8);
    assert_int_equal(gn_hello_decode(body, size, &back), 0);
    body[42] = 0; // a NUL inside
    assert_int_equal(gn_hello_decode(body, size, &back), -EBADMSG);
}

static void prefixes(void **state)
{
    (void)state;
    uint64_t words[2] = {GN_WIRE_MAGIC, 4096};
    assert_memory_equal(words, "GENIE01\0", 8);
    assert_int_equal(gn_prefix_decode(words, 4096), 4096);
    assert_int_equal(gn_prefix_decode(words, 4095), -EMSGSIZE);
    words[1] = 0;
    assert_int_equal(gn_prefix_decode(words, 4096), 0);
    static const uint64_t bad[] = {1, 7, 4095, 4104, 1ull << 32, UINT64_MAX, UINT64_MAX - 7, 1ull << 63};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        words[1] = bad[i];
        assert_int_equal(gn_prefix_decode(words, 4096), -EMSGSIZE);
    }
    words[1] = 8;
    for (int bit = 0; bit < 64; bit++) {
        words[0] = GN_WIRE_MAGIC ^ 1ull << bit;
        assert_int_equal(gn_prefix_decode(words, 4096), -EPROTO);
    }
    assert_int_equal(gn_prefix_decode("GET / HTTP/1.1\r\n", 4096), -EPROTO);
}

static void welcome_comes_through(void **state)
{
    (void)state;
    uint8_t *buffer = malloc(GN_WELCOME_BYTES_MAX);
    static const uint32_t counts[] = {0, 1, 2, GN_DEVICES_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct gn_welcome w = a_welcome(counts[i]), back = {.devices = seen};
        int n = gn_welcome_encode(buffer, GN_WELCOME_BYTES_MAX, &w); // the most that there can be fits
        assert_true(n > 0);
        assert_int_equal(gn_prefix_decode(buffer, GN_WELCOME_BYTES_MAX), n - GN_PREFIX_BYTES);
        memset(seen, 0xee, sizeof seen);
        assert_int_equal(gn_welcome_decode(buffer + GN_PREFIX_BYTES, (size_t)(n - GN_PREFIX_BYTES), &back),
                         0);
        assert_ptr_equal(back.devices, seen);
        assert_int_equal(back.device_count, counts[i]);
        assert_memory_equal(seen, devices, counts[i] * sizeof seen[0]);
        assert_int_equal(back.window_bytes, w.window_bytes);
        assert_int_equal(back.chunk_bytes, w.chunk_bytes);
        assert_int_equal(back.driver_version, 13000);
        assert_int_equal(back.worker_id, 9);
    }
    free(buffer);
}

static void shorter_and_longer_welcomes_are_refused(void **state)
{
    (void)state;
    uint8_t *buffer = calloc(1, GN_WELCOME_BYTES_MAX);
    struct gn_welcome w = a_welcome(2), back = {.devices = seen};
    size_t size = (size_t)gn_welcome_encode(buffer, GN_WELCOME_BYTES_MAX, &w) - GN_PREFIX_BYTES;
    for (size_t n = 0; n < size + 20; n++) {
        uint8_t *body = malloc(n ? n : 1);
        memcpy(body, buffer + GN_PREFIX_BYTES, n);
        assert_int_equal(gn_welcome_decode(body, n, &back), n == size ? 0 : -EBADMSG);
        free(body);
    }
    free(buffer);
}

static void welcomes_that_cannot_be(void **state)
{
    (void)state;
    uint8_t buffer[8192];
    static const struct {
        int32_t status;
        uint64_t window_bytes, chunk_bytes;
        int result;
    } cases[] = {
        {0, 4096, 4096, 0},
        {0, 1 << 20, GN_PAYLOAD_BYTES_MAX, 0},
        {0, 1 << 20, 4095, -EBADMSG},
        {0, 1 << 20, 0, -EBADMSG},
        {0, 1ull << 40, GN_PAYLOAD_BYTES_MAX + 1, -EBADMSG},
        {0, 4096, 8192, -EBADMSG},
        {0, 0, 4096, -EBADMSG},
        {0, UINT64_MAX, UINT64_MAX, -EBADMSG},
        {100, 0, 0, 0}, // refused: there is no window
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_welcome w = a_welcome(1), back = {.devices = seen};
        w.status = cases[i].status;
        w.window_bytes = cases[i].window_bytes;
        w.chunk_bytes = cases[i].chunk_bytes;
        int n = gn_welcome_encode(buffer, sizeof buffer, &w);
        assert_int_equal(gn_welcome_decode(buffer + GN_PREFIX_BYTES, (size_t)(n - GN_PREFIX_BYTES), &back),
                         cases[i].result);
    }
    // More devices than there may be: nothing is written behind the caller's array.
    struct gn_welcome w = a_welcome(0), back = {.devices = seen};
    size_t size = (size_t)gn_welcome_encode(buffer, sizeof buffer, &w) - GN_PREFIX_BYTES;
    static const uint64_t counts[] = {1, GN_DEVICES_MAX, GN_DEVICES_MAX + 1, 1ull << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        memcpy(buffer + GN_PREFIX_BYTES + size - 8, &counts[i], 8);
        assert_int_equal(gn_welcome_decode(buffer + GN_PREFIX_BYTES, size, &back), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_comes_through),     cmocka_unit_test(texts_at_their_limits),
        cmocka_unit_test(a_full_field_is_cut),     cmocka_unit_test(shorter_and_longer_hellos_are_refused),
        cmocka_unit_test(lying_texts_are_refused), cmocka_unit_test(prefixes),
        cmocka_unit_test(welcome_comes_through),   cmocka_unit_test(shorter_and_longer_welcomes_are_refused),
        cmocka_unit_test(welcomes_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
