// SPDX-License-Identifier: Apache-2.0
// Question: does any image give the part that a device would run, unpacked, and does a hostile one give an
// error within its limit? Method: hand-made fatbins with raw, LZ4 and zstd parts for several SMs; spoiled
// payloads and sizes.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <lz4.h>
#include <zstd.h>

#include "tests/mock/image_unpack.h"
#include "tests/unit/image_build.h"

enum { TEXT_BYTES = 4096, LIMIT = 1 << 20 };

static char *ptx_for(char text[TEXT_BYTES], const char *target)
{
    int at = sprintf(text, ".version 7.5\n.target %s\n", target);
    memset(text + at, '\n', 2000); // compresses well
    strcpy(text + at + 2000, ".visible .entry k(){}\n");
    return text;
}

enum packing { RAW, LZ4, ZSTD };

static void add_ptx(struct image_bytes *b, uint32_t sm, uint64_t flags, enum packing packing)
{
    char text[TEXT_BYTES], packed[TEXT_BYTES], target[16];
    snprintf(target, sizeof target, "sm_%u%s", sm, flags & GN_FATBIN_ARCH_ONLY ? "a" : "");
    size_t size = strlen(ptx_for(text, target)) + 1, packed_size = 0;
    if (packing == LZ4)
        packed_size = (size_t)LZ4_compress_default(text, packed, (int)size, sizeof packed);
    else if (packing == ZSTD)
        packed_size = ZSTD_compress(packed, sizeof packed, text, size, 3);
    flags |= packing == LZ4 ? GN_FATBIN_LZ4 : packing == ZSTD ? GN_FATBIN_ZSTD : 0;
    fatbin_add(b, &(struct fatbin_part){1, sm, flags, packing ? packed : text, packing ? packed_size : size,
                                        (uint32_t)packed_size, packing ? size : 0, NULL});
}

static void add_cubin(struct image_bytes *b, uint32_t sm, uint64_t flags)
{
    struct cubin_made made = cubin_make(1, sm);
    fatbin_add(b, &(struct fatbin_part){.kind = 2,
                                        .sm = sm,
                                        .flags = flags,
                                        .payload = made.bytes.data,
                                        .payload_size = made.bytes.size});
    free(made.bytes.data);
}

static int pick(const struct image_bytes *b, uint32_t sm, enum mock_image_want want, struct mock_image *out)
{
    return mock_image_pick(b->data, b->size, sm, want, LIMIT, out);
}

static void expect_ptx(const struct image_bytes *b, uint32_t device_sm, const char *target)
{
    char text[TEXT_BYTES];
    struct mock_image image;
    assert_int_equal(pick(b, device_sm, MOCK_IMAGE_PTX_FIRST, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_PTX);
    assert_string_equal(image.data, ptx_for(text, target));
    assert_int_equal(image.size_bytes, strlen(text));
    mock_image_free(&image);
}

static void every_packing_unpacks(void **state)
{
    (void)state;
    for (enum packing packing = RAW; packing <= ZSTD; packing++) {
        struct image_bytes b = fatbin_begin();
        add_ptx(&b, 75, 0x11, packing);
        expect_ptx(&b, 75, "sm_75");
        free(b.data);
    }
}

static void the_best_part_is_chosen(void **state)
{
    (void)state;
    struct image_bytes b = fatbin_begin();
    struct mock_image image;
    add_ptx(&b, 80, 0, LZ4);
    add_cubin(&b, 80, 0);
    add_ptx(&b, 75, 0, ZSTD);
    add_ptx(&b, 90, GN_FATBIN_ARCH_ONLY, ZSTD);
    add_ptx(&b, 90, 0, RAW);
    add_cubin(&b, 86, 0);
    add_cubin(&b, 100, GN_FATBIN_ARCH_ONLY);
    add_cubin(&b, 70, 0);
    expect_ptx(&b, 75, "sm_75");
    expect_ptx(&b, 89, "sm_80");
    expect_ptx(&b, 90, "sm_90a");
    expect_ptx(&b, 100, "sm_90");

    assert_int_equal(pick(&b, 89, MOCK_IMAGE_CUBIN_FIRST, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_CUBIN);
    assert_int_equal(image.sm, 86);
    assert_memory_equal(image.data,
                        "\x7f"
                        "ELF",
                        4);
    mock_image_free(&image);
    assert_int_equal(pick(&b, 90, MOCK_IMAGE_CUBIN_FIRST, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_PTX);
    mock_image_free(&image);
    // No PTX is low enough: the cubin is better than nothing.
    assert_int_equal(pick(&b, 70, MOCK_IMAGE_PTX_FIRST, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_CUBIN);
    assert_int_equal(image.sm, 70);
    mock_image_free(&image);
    assert_int_equal(pick(&b, 61, MOCK_IMAGE_PTX_FIRST, &image), -ENOENT);
    assert_null(image.data);
    free(b.data);

    b = fatbin_begin();
    assert_int_equal(pick(&b, 90, MOCK_IMAGE_PTX_FIRST, &image), -ENOENT);
    fatbin_add(&b, &(struct fatbin_part){.kind = 8, .sm = 75, .payload = "LTO", .payload_size = 3});
    assert_int_equal(pick(&b, 90, MOCK_IMAGE_PTX_FIRST, &image), -ENOENT);
    free(b.data);
}

static void bare_images_and_wrappers_are_taken(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    struct mock_image image;
    ptx_for(text, "sm_80");
    assert_int_equal(mock_image_pick(text, GN_IMAGE_SIZE_UNKNOWN, 90, MOCK_IMAGE_PTX_FIRST, LIMIT, &image),
                     0);
    assert_int_equal(image.sm, 80);
    assert_string_equal(image.data, text);
    assert_int_equal(image.size_bytes, strlen(text));
    mock_image_free(&image);
    assert_int_equal(mock_image_pick(text, sizeof text, 75, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), -ENOENT);

    struct cubin_made made = cubin_make(0, 80);
    assert_int_equal(
        mock_image_pick(made.bytes.data, made.bytes.size, 86, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_CUBIN);
    assert_int_equal(image.size_bytes, made.bytes.size);
    mock_image_free(&image);
    assert_int_equal(
        mock_image_pick(made.bytes.data, made.bytes.size, 90, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), -ENOENT);
    free(made.bytes.data);

    // -rdc: the wrapper's own fatbin has the linked cubin, the array behind it the PTX.
    struct image_bytes own = fatbin_begin(), part = fatbin_begin();
    add_cubin(&own, 75, 0);
    add_ptx(&part, 75, 0, ZSTD);
    const void *linked[] = {part.data, NULL};
    const struct {
        uint32_t magic, version;
        const void *fatbin, *linked;
    } wrapper = {0x466243b1, 2, own.data, linked};
    assert_int_equal(
        mock_image_pick(&wrapper, GN_IMAGE_SIZE_UNKNOWN, 75, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_PTX);
    mock_image_free(&image);
    assert_int_equal(
        mock_image_pick(&wrapper, GN_IMAGE_SIZE_UNKNOWN, 75, MOCK_IMAGE_CUBIN_FIRST, LIMIT, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_CUBIN);
    mock_image_free(&image);
    free(own.data);
    free(part.data);
}

struct wrapper {
    uint32_t magic, version;
    const void *fatbin, *linked;
};

static int parts_of(const struct wrapper *wrapper, uint32_t sm, uint64_t limit_bytes,
                    struct mock_parts *parts)
{
    return mock_image_pick_parts(wrapper, GN_IMAGE_SIZE_UNKNOWN, sm, limit_bytes, parts);
}

// nvcc -rdc=true: what the PTX engine links together, by what the wrapper's own fatbin and the units have.
static void units_are_gathered(void **state)
{
    (void)state;
    struct image_bytes empty = fatbin_begin(), cubin = fatbin_begin(), whole = fatbin_begin(),
                       one = fatbin_begin(), two = fatbin_begin(), none = fatbin_begin();
    add_cubin(&cubin, 75, 0);
    add_ptx(&whole, 75, 0, RAW);
    add_ptx(&one, 70, 0, ZSTD);
    add_ptx(&one, 75, 0, LZ4);
    add_ptx(&one, 90, 0, RAW);
    add_cubin(&two, 75, 0);
    add_ptx(&two, 75, 0, RAW);
    add_cubin(&none, 75, 0);
    static const uint8_t unknown[16] = {0x50, 0xed, 0x55, 0xba, 7};
    const void *units[] = {one.data, none.data, two.data, NULL}, *no_units[] = {NULL},
               *no_ptx[] = {none.data, NULL};
    struct mock_parts parts;
    const struct {
        const void *own, **units;
        int result;
        uint32_t count;
        enum gn_image_kind kind;
    } cases[] = {
        {empty.data, units, 0, 2, GN_IMAGE_PTX}, // linked for no device
        {cubin.data, units, 0, 2, GN_IMAGE_PTX}, // linked code that the engine cannot run
        {whole.data, units, 0, 1, GN_IMAGE_PTX}, // linked code that it can
        {cubin.data, no_units, 0, 1, GN_IMAGE_CUBIN}, {cubin.data, NULL, 0, 1, GN_IMAGE_CUBIN},
        {empty.data, no_ptx, 0, 1, GN_IMAGE_CUBIN},   {empty.data, no_units, -ENOENT, 0, GN_IMAGE_NONE},
        {unknown, units, -EINVAL, 0, GN_IMAGE_NONE}, // not a fatbin
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wrapper wrapper = {GN_WRAPPER_MAGIC, 2, cases[i].own, cases[i].units};
        assert_int_equal(parts_of(&wrapper, 75, LIMIT, &parts), cases[i].result);
        assert_int_equal(parts.count, cases[i].count);
        if (!cases[i].result)
            assert_int_equal(parts.images[0].kind, cases[i].kind);
        else
            assert_non_null(parts.error.reason);
        mock_parts_free(&parts);
    }
    struct wrapper wrapper = {GN_WRAPPER_MAGIC, 2, empty.data, units};
    assert_int_equal(parts_of(&wrapper, 75, LIMIT, &parts), 0);
    assert_non_null(strstr((char *)parts.images[0].data, "sm_75"));
    uint64_t bytes = parts.images[0].size_bytes + parts.images[1].size_bytes;
    mock_parts_free(&parts);
    assert_int_equal(parts_of(&wrapper, 75, bytes, &parts), -E2BIG); // its NUL counts, too
    assert_int_equal(mock_image_pick_parts(&wrapper, sizeof wrapper, 75, LIMIT, &parts),
                     -EINVAL); // from a file
    static const void *many[GN_IMAGE_WRAPPED_MAX + 1];
    for (int i = 0; i < GN_IMAGE_WRAPPED_MAX - 1; i++)
        many[i] = empty.data;
    wrapper.linked = many;
    assert_int_equal(parts_of(&wrapper, 75, LIMIT, &parts), -ENOENT);
    many[GN_IMAGE_WRAPPED_MAX - 1] = one.data;
    assert_int_equal(parts_of(&wrapper, 75, LIMIT, &parts), -E2BIG);
    struct image_bytes *all[] = {&empty, &cubin, &whole, &one, &two, &none};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->data);
}

static void spoiled_parts_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum packing packing;
        size_t at; // in the entry
        unsigned bytes;
        int64_t add;
        int rc;
        const char *says;
    } lies[] = {
        {LZ4, 56, 8, 1, -EINVAL, "LZ4"},
        {LZ4, 56, 8, -1, -EINVAL, "LZ4"},
        {LZ4, 16, 4, -1, -EINVAL, "LZ4"},
        {LZ4, 65, 1, 77, -EINVAL, "LZ4"},
        {ZSTD, 56, 8, 1, -EINVAL, "zstd"},
        {ZSTD, 56, 8, -1, -EINVAL, "zstd"},
        {ZSTD, 16, 4, -1, -EINVAL, "zstd"},
        {ZSTD, 64, 1, 1, -EINVAL, "zstd"},
        {ZSTD, 56, 8, LIMIT, -E2BIG, "limit"},
        {LZ4, 56, 8, INT64_MAX / 2, -E2BIG, "limit"},
        {ZSTD, 41, 1, 0x80, -EINVAL, "unknown way"}, // the flag taken away
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct image_bytes b = fatbin_begin();
        struct mock_image image;
        add_ptx(&b, 75, 0, lies[i].packing);
        size_t at = 16 + lies[i].at;
        image_set(&b, at, image_get(&b, at, lies[i].bytes) + (uint64_t)lies[i].add, lies[i].bytes);
        int rc = pick(&b, 75, MOCK_IMAGE_PTX_FIRST, &image);
        if (rc != lies[i].rc || !image.error.reason || !strstr(image.error.reason, lies[i].says) ||
            image.data)
            fail_msg("lie %zu: rc %d, %s", i, rc, image.error.reason ? image.error.reason : "");
        free(b.data);
    }
    struct image_bytes b = fatbin_begin();
    struct mock_image image;
    add_ptx(&b, 75, 0, ZSTD);
    for (size_t size = 0; size < b.size; size++)
        assert_int_equal(mock_image_pick(b.data, size, 75, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), -EINVAL);
    free(b.data);
    assert_int_equal(mock_image_pick("nothing", 8, 75, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packing_unpacks),
        cmocka_unit_test(the_best_part_is_chosen),
        cmocka_unit_test(bare_images_and_wrappers_are_taken),
        cmocka_unit_test(units_are_gathered),
        cmocka_unit_test(spoiled_parts_are_refused),
    };
    return cmocka_run_group_tests_name("image_unpack", tests, NULL, NULL);
}
