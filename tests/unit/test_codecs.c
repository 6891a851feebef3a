// SPDX-License-Identifier: Apache-2.0
// Do the generated encoders and decoders of every command agree? Method: for each op and both sides, values
// drawn at random are encoded, decoded and encoded again; size() must say what encode writes; every shorter
// body and every longer one is refused, as are lengths beyond the body; a frame that is too small makes the
// encoder's cursor bad and is not written beyond.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api_wire.h"

enum { ROUNDS = 20, BODY_BYTES_MAX = 64 << 10, BLOB_BYTES_MAX = 40 };

static uint64_t state = 1;

static uint64_t draw(void) // splitmix64
{
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

struct side { // of one op: arguments or results
    const char *name;
    const char *which;
    size_t (*size)(const void *);
    void (*encode)(struct gn_cursor *, const void *);
    bool (*decode)(struct gn_cursor *, void *);
};

// A body that decodes, of random content. A structure cannot be filled blindly, as it holds pointers; a
// decoder fills it, from bytes. How long the blobs are, only the body tells: a body of zeros has none, and
// random bytes in the place of a length are nearly always too much. So zeros of growing length are tried
// until they decode: that is the fixed part; then a word of it at a time is raised until blobs have appeared.
static size_t fixed_part(const struct side *s, uint8_t *body)
{
    uint8_t args[GN_ARGS_BYTES_MAX];
    for (size_t size = 0; size < 1024; size += 8) {
        memset(body, 0, size);
        struct gn_cursor c = gn_cursor_over(body, size);
        if (s->decode(&c, args))
            return size;
    }
    fail_msg("%s: no body of zeros decodes as %s", s->name, s->which);
    return 0;
}

// Which 4-byte words of the fixed part are lengths of blobs: setting one makes the decoder want more.
static int length_words(const struct side *s, size_t fixed, size_t *at, int most)
{
    uint8_t body[1024], args[GN_ARGS_BYTES_MAX];
    int n = 0;
    for (size_t i = 0; i + 4 <= fixed; i += 4) {
        uint32_t one = 1;
        memset(body, 0, sizeof body);
        memcpy(body + i, &one, sizeof one);
        struct gn_cursor c = gn_cursor_over(body, fixed);
        if (s->decode(&c, args))
            continue;
        c = gn_cursor_over(body, fixed + 8);
        assert_true(s->decode(&c, args)); // one byte, padded
        assert_true(n < most);
        at[n++] = i;
    }
    return n;
}

// Random bytes for the fixed part and the blobs; what pads is zero, as an encoder writes it.
static size_t draw_body(const struct side *s, uint8_t *body, size_t fixed, const size_t *lengths, int blobs)
{
    uint8_t args[GN_ARGS_BYTES_MAX], other[BODY_BYTES_MAX];
    size_t size = fixed;
    for (size_t i = 0; i < fixed; i++)
        body[i] = draw() % 4 ? (uint8_t)draw() : draw() % 2 ? 0xff : 0;
    for (int b = 0; b < blobs; b++) {
        uint32_t length = (uint32_t)(draw() % (BLOB_BYTES_MAX + 1));
        memcpy(body + lengths[b], &length, sizeof length);
        for (uint32_t i = 0; i < length; i++)
            body[size + i] = (uint8_t)draw();
        memset(body + size + length, 0, gn_pad8(length) - length);
        size += gn_pad8(length);
    }
    // The word that makes the fixed part even carries nothing.
    struct gn_cursor c = gn_cursor_over(body, size);
    assert_true(s->decode(&c, args));
    assert_int_equal(s->size(args), size);
    c = gn_cursor_over(other, sizeof other);
    s->encode(&c, args);
    assert_int_equal(c.at - other, size);
    for (size_t i = 0; i < fixed; i++)
        if (other[i] != body[i]) {
            assert_int_equal(other[i], 0);
            assert_true(i + 8 >= fixed && i % 8 >= 4);
            body[i] = 0;
        }
    return size;
}

static void check_once(const struct side *s, const uint8_t *body, size_t size)
{
    // Each copy lies at the end of a block of its own, so that a sanitizer sees the first byte beyond.
    uint8_t *exact = malloc(size ? size : 1), *room = malloc(size + 64);
    uint8_t args[GN_ARGS_BYTES_MAX], again[GN_ARGS_BYTES_MAX];
    memcpy(exact, body, size);
    struct gn_cursor c = gn_cursor_over(exact, size);
    assert_true(s->decode(&c, args));
    assert_int_equal(s->size(args), size);
    memset(room, 0xa5, size + 64);
    c = gn_cursor_over(room, size);
    s->encode(&c, args);
    assert_false(c.bad);
    assert_int_equal(c.at - room, size);
    assert_memory_equal(room, body, size);
    assert_int_equal(room[size], 0xa5);

    for (size_t shorter = 0; shorter < size; shorter++) {
        uint8_t *cut = malloc(shorter ? shorter : 1);
        memcpy(cut, body, shorter);
        c = gn_cursor_over(cut, shorter);
        if (s->decode(&c, again))
            fail_msg("%s: %zu of %zu bytes decode as %s", s->name, shorter, size, s->which);
        free(cut);
        memset(room, 0xa5, size + 64);
        c = gn_cursor_over(room, shorter);
        s->encode(&c, args);
        assert_true(c.bad);
        assert_int_equal(room[shorter], 0xa5);
    }
    for (size_t longer = 1; longer <= 9; longer++) {
        memcpy(room, body, size);
        memset(room + size, 0, longer);
        c = gn_cursor_over(room, size + longer);
        if (s->decode(&c, again))
            fail_msg("%s: %zu bytes more decode as %s", s->name, longer, s->which);
    }
    free(exact);
    free(room);
}

// What pads is not looked at: the same values come out whatever it is, and they are encoded with zeros again.
static void padding_means_nothing(const struct side *s, const uint8_t *body, size_t size, size_t fixed, const size_t *lengths, int blobs)
{
    static uint8_t dirty[BODY_BYTES_MAX], again[BODY_BYTES_MAX];
    uint8_t args[GN_ARGS_BYTES_MAX];
    memcpy(dirty, body, size);
    size_t at = fixed;
    for (int b = 0; b < blobs; b++) {
        uint32_t length;
        memcpy(&length, body + lengths[b], sizeof length);
        memset(dirty + at + length, 0xa5, gn_pad8(length) - length);
        at += gn_pad8(length);
    }
    assert_int_equal(at, size);
    struct gn_cursor c = gn_cursor_over(dirty, size);
    assert_true(s->decode(&c, args));
    c = gn_cursor_over(again, size);
    s->encode(&c, args);
    assert_memory_equal(again, body, size);
}

static void lengths_beyond(const struct side *s, size_t fixed, const size_t *lengths, int blobs)
{
    static const uint32_t too_much[] = {9, 0x7fffffff, 0x80000000, 0xfffffff8, 0xfffffff9, 0xffffffff};
    uint8_t args[GN_ARGS_BYTES_MAX];
    for (int b = 0; b < blobs; b++)
        for (size_t k = 0; k < sizeof too_much / sizeof *too_much; k++) {
            uint8_t *body = calloc(1, fixed + 8);
            memcpy(body + lengths[b], &too_much[k], sizeof too_much[k]);
            struct gn_cursor c = gn_cursor_over(body, fixed + 8);
            assert_false(s->decode(&c, args));
            free(body);
        }
}

static void check_side(const struct side *s)
{
    static uint8_t body[BODY_BYTES_MAX];
    size_t fixed = fixed_part(s, body), lengths[16];
    int blobs = length_words(s, fixed, lengths, 16);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = draw_body(s, body, fixed, lengths, blobs);
        check_once(s, body, size);
        padding_means_nothing(s, body, size, fixed, lengths, blobs);
    }
    lengths_beyond(s, fixed, lengths, blobs);
}

static void every_command(void **unused)
{
    (void)unused;
    int wired = 0;
    for (unsigned op = 0; op < GN_OPS; op++) {
        const struct gn_codec *k = &gn_codecs[op];
        assert_int_equal(!!k->encode, !!(gn_api[op].flags & GN_API_WIRED));
        if (!k->encode)
            continue;
        wired++;
        assert_true(k->args_bytes <= GN_ARGS_BYTES_MAX && k->out_bytes <= GN_ARGS_BYTES_MAX);
        struct side in = {gn_api[op].name, "arguments", k->size, k->encode, k->decode};
        struct side out = {gn_api[op].name, "results", k->size_out, k->encode_out, k->decode_out};
        check_side(&in);
        check_side(&out);
    }
    assert_true(wired > 60);
}

// The payload's length is the first word of the body, whatever else there is: the server reads it there.
static void payload_comes_first(void **unused)
{
    (void)unused;
    int found = 0;
    for (unsigned op = 0; op < GN_OPS; op++) {
        if (!gn_codecs[op].payload)
            continue;
        uint8_t body[1024], args[GN_ARGS_BYTES_MAX], other[1024];
        struct side in = {gn_api[op].name, "arguments", gn_codecs[op].size, gn_codecs[op].encode,
                          gn_codecs[op].decode};
        size_t fixed = fixed_part(&in, body);
        uint64_t length = 0x1122334455667788;
        memcpy(body, &length, sizeof length);
        struct gn_cursor c = gn_cursor_over(body, fixed);
        assert_true(in.decode(&c, args));
        c = gn_cursor_over(other, sizeof other);
        in.encode(&c, args);
        assert_memory_equal(other, &length, sizeof length);
        found++;
    }
    assert_true(found >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_command),
                                       cmocka_unit_test(payload_comes_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
