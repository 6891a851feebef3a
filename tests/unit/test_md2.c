// SPDX-License-Identifier: Apache-2.0
// Question: is interpose/md2.c MD2 and its HMAC? Method: the vectors of RFC 1319; the HMAC against its
// definition, spelled out here with plain MD2; every way of splitting the input.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "interpose/md2.h"

static void hex(char *out, const uint8_t *digest)
{
    for (int i = 0; i < GN_MD2_BYTES; i++)
        sprintf(out + 2 * i, "%02x", digest[i]);
}

static void digest_of(uint8_t *digest, const void *data, size_t size_bytes)
{
    struct gn_md2 m;
    gn_md2_begin(&m);
    gn_md2_add(&m, data, size_bytes);
    gn_md2_end(&m, digest);
}

static void rfc1319_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "8350e5a3e24c153df2275c9f80692773"},
        {"a", "32ec01ec4a6dac72c0ab96fb34c0b5d1"},
        {"abc", "da853b0d3f88d99b30283a69e6ded6bb"},
        {"message digest", "ab4f496bfb2a530b219ff33031fe06b0"},
        {"abcdefghijklmnopqrstuvwxyz", "4e8ddff3650292ab5a4108c3aa47940b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "da33def2a42df13975352846c30338cd"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "d5976f79d83d3a0dc9806c3c66f3efd8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t digest[GN_MD2_BYTES];
        char text[2 * GN_MD2_BYTES + 1];
        digest_of(digest, cases[i].text, strlen(cases[i].text));
        hex(text, digest);
        assert_string_equal(text, cases[i].digest);
    }
}

static void any_split_gives_the_same(void **state)
{
    (void)state;
    uint8_t data[67], whole[GN_MD2_BYTES], split[GN_MD2_BYTES];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    digest_of(whole, data, sizeof data);
    for (size_t a = 0; a <= sizeof data; a++)
        for (size_t b = a; b <= sizeof data; b += 5) {
            struct gn_md2 m;
            gn_md2_begin(&m);
            gn_md2_add(&m, data, a);
            gn_md2_add(&m, data + a, b - a);
            gn_md2_add(&m, data + b, sizeof data - b);
            gn_md2_end(&m, split);
            assert_memory_equal(whole, split, sizeof whole);
        }
}

static void one_bit_changes_the_digest(void **state)
{
    (void)state;
    uint8_t data[40] = {0}, plain[GN_MD2_BYTES], changed[GN_MD2_BYTES];
    digest_of(plain, data, sizeof data);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        digest_of(changed, data, sizeof data);
        assert_memory_not_equal(plain, changed, sizeof plain);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

// H((key ^ opad) || H((key ^ ipad) || text)), with whole messages.
static void hmac_by_definition(uint8_t *digest, const uint8_t *key16, const uint8_t *text, size_t size_bytes)
{
    uint8_t message[512], inner[GN_MD2_BYTES];
    for (int i = 0; i < 16; i++)
        message[i] = key16[i] ^ 0x36;
    memcpy(message + 16, text, size_bytes);
    digest_of(inner, message, 16 + size_bytes);
    for (int i = 0; i < 16; i++)
        message[i] = key16[i] ^ 0x5c;
    memcpy(message + 16, inner, sizeof inner);
    digest_of(digest, message, 32);
}

static void hmac(uint8_t *digest, const void *key, size_t key_bytes, const void *text, size_t size_bytes)
{
    struct gn_hmac_md2 h;
    gn_hmac_md2_begin(&h, key, key_bytes);
    gn_hmac_md2_add(&h, text, size_bytes / 2);
    gn_hmac_md2_add(&h, (const uint8_t *)text + size_bytes / 2, size_bytes - size_bytes / 2);
    gn_hmac_md2_end(&h, digest);
}

static void hmac_keys_short_full_and_long(void **state)
{
    (void)state;
    uint8_t key[80], padded[16], text[200], got[GN_MD2_BYTES], want[GN_MD2_BYTES];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(200 - i);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i ^ 0x5a);
    for (size_t n = 0; n <= sizeof key; n++) {
        memset(padded, 0, sizeof padded);
        if (n > sizeof padded)
            digest_of(padded, key, n);
        else
            memcpy(padded, key, n);
        hmac_by_definition(want, padded, text, sizeof text);
        hmac(got, key, n, text, sizeof text);
        assert_memory_equal(got, want, sizeof got);
    }
}

static void hmac_depends_on_key_and_text(void **state)
{
    (void)state;
    uint8_t a[GN_MD2_BYTES], b[GN_MD2_BYTES];
    hmac(a, "key one", 7, "text", 4);
    hmac(b, "key two", 7, "text", 4);
    assert_memory_not_equal(a, b, sizeof a);
    hmac(b, "key one", 7, "tex", 3);
    assert_memory_not_equal(a, b, sizeof a);
    digest_of(b, "text", 4);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1319_vectors),
        cmocka_unit_test(any_split_gives_the_same),
        cmocka_unit_test(one_bit_changes_the_digest),
        cmocka_unit_test(hmac_keys_short_full_and_long),
        cmocka_unit_test(hmac_depends_on_key_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
