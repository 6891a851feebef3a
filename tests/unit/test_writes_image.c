// SPDX-License-Identifier: Apache-2.0
// Question: does an image tell what its kernels write only where its PTX is what the device will run? Method: images made by hand, of every
// kind and in every combination of a fatbin's entries.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <lz4.h>
#include <zstd.h>

#include "core/image/image.h"
#include "interpose/shim.h"
#include "interpose/writes/writes.h"
#include "tests/unit/fake_session.h"
#include "tests/unit/image_build.h"

static const char text[] = ".version 7.5\n.target sm_75\n.address_size 64\n"
                           ".entry k(.param .u64 a, .param .u64 b) { .reg .b64 %r<3>; ld.param.u64 %r1, [b]; st.global.u64 [%r1], %r1; ret; }\n"
                           ".entry anywhere(.param .u64 a) { .reg .b64 %r<3>; ld.global.u64 %r1, [%r2]; st.global.u64 [%r1], %r1; ret; }\n";

static struct gn_device_snapshot devices[2];

static int begin(void **state)
{
    (void)state;
    gn_shim.welcome.devices = devices;
    gn_shim.welcome.device_count = 2;
    for (int i = 0; i < 2; i++) {
        devices[i].attributes[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] = 9;
        devices[i].attributes[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR] = 0;
    }
    return 0;
}

// It tells that k writes through its second parameter, that the other may write anywhere, and nothing of kernels that it has not.
static bool tells(const void *image, size_t size_bytes)
{
    struct gn_image_writes *w = gn_writes_of_image(image, size_bytes);
    struct gn_kernel_writes *k = gn_writes_of_kernel(w, "k"), *anywhere = gn_writes_of_kernel(w, "anywhere");
    bool told = k != NULL;
    assert_null(gn_writes_of_kernel(w, "K"));
    assert_true(w || !told);
    assert_int_equal(told, anywhere != NULL);
    if (told) {
        assert_false(k->unknown);
        assert_int_equal(k->word_count, 1);
        assert_int_equal(k->word_bytes[0], 8);
        assert_true(anywhere->unknown);
        struct gn_kernel_writes *copy = gn_writes_copy(k);
        assert_int_equal(copy->word_bytes[0], 8);
        free(copy);
    }
    free(k);
    free(anywhere);
    gn_writes_image_free(w);
    return told;
}

enum { ENTRIES_MAX = 4 };
static bool fatbin_tells(const struct fatbin_part *parts)
{
    struct image_bytes b = fatbin_begin();
    for (int i = 0; i < ENTRIES_MAX && parts[i].kind; i++)
        fatbin_add(&b, &parts[i]);
    bool told = tells(b.data, GN_IMAGE_SIZE_UNKNOWN);
    free(b.data);
    return told;
}

#define PTX(number)         {.kind = GN_FATBIN_PTX, .sm = (number), .flags = GN_FATBIN_64BIT, .payload = text, .payload_size = sizeof text}
#define CODE(number, flag)  {.kind = GN_FATBIN_CUBIN, .sm = (number), .flags = GN_FATBIN_64BIT | (flag), .payload = "code...", .payload_size = 8}
#define LTO(number)         {.kind = GN_FATBIN_LTOIR, .sm = (number), .payload = "link...", .payload_size = 8}

static void what_the_device_runs(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct fatbin_part parts[ENTRIES_MAX];
        bool told;
    } rows[] = {
        {"nothing", {{0}}, false},
        {"PTX alone", {PTX(75)}, true},
        {"PTX for a later device", {PTX(100)}, false},
        {"machine code alone", {CODE(90, 0)}, false},
        {"both, for this device", {CODE(90, 0), PTX(90)}, true},
        {"both, in another order", {PTX(90), CODE(90, 0)}, true},
        {"machine code for this one, older PTX", {CODE(90, 0), PTX(75)}, false},
        {"machine code for another, which does not run", {CODE(75, 0), PTX(75)}, true},
        {"machine code for a later device", {CODE(100, 0), PTX(80)}, true},
        {"several, the best for this device", {PTX(75), PTX(80), PTX(90), CODE(90, 0)}, true},
        {"two for this device", {PTX(90), PTX(90)}, false},
        {"two for an older one, beside a better", {PTX(75), PTX(75), PTX(80)}, true},
        {"two for this device, behind an older one", {PTX(75), PTX(80), PTX(80)}, false},
        {"machine code of just this device", {CODE(90, GN_FATBIN_ARCH_ONLY), PTX(90)}, false},
        {"linked when it is loaded", {LTO(90), PTX(90)}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (fatbin_tells(rows[i].parts) != rows[i].told)
            fail_msg("%s: %s", rows[i].what, rows[i].told ? "not told" : "told");
    static const struct fatbin_part good[ENTRIES_MAX] = {PTX(75)};
    devices[1].attributes[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] = 8; // a library is loaded for all devices
    assert_false(fatbin_tells(good));
    gn_shim.welcome.device_count = 0;
    assert_false(fatbin_tells(good));
}

static void packed_text(void **state)
{
    (void)state;
    char packed[4096];
    int lz4 = LZ4_compress_default(text, packed, sizeof text, sizeof packed);
    struct fatbin_part part = {.kind = GN_FATBIN_PTX, .sm = 75, .flags = GN_FATBIN_LZ4, .payload = packed, .payload_size = (size_t)lz4,
                               .compressed = (uint32_t)lz4, .uncompressed = sizeof text};
    struct fatbin_part parts[ENTRIES_MAX] = {part};
    assert_true(fatbin_tells(parts));
    parts[0].uncompressed = sizeof text - 1; // it says less than it has
    assert_false(fatbin_tells(parts));
    parts[0].uncompressed = (uint64_t)1 << 40;
    assert_false(fatbin_tells(parts));
    packed[5] ^= 0x55;
    packed[0] = (char)0xff;
    parts[0] = part;
    fatbin_tells(parts); // whatever it is

    size_t zstd = ZSTD_compress(packed, sizeof packed, text, sizeof text, 3);
    part.flags = GN_FATBIN_ZSTD;
    part.payload_size = part.compressed = (uint32_t)zstd;
    parts[0] = part;
    assert_true(fatbin_tells(parts));
    packed[zstd / 2] ^= 1;
    packed[0] ^= 1;
    assert_false(fatbin_tells(parts));
}

static void other_images(void **state)
{
    (void)state;
    assert_true(tells(text, GN_IMAGE_SIZE_UNKNOWN));
    assert_true(tells(text, sizeof text));
    assert_false(tells("no image", 9));
    assert_false(tells(".version 7.5 .entry k( { ", 26));
    struct cubin_made cubin = cubin_make(1, 90);
    assert_false(tells(cubin.bytes.data, cubin.bytes.size));
    free(cubin.bytes.data);

    struct image_bytes b = fatbin_begin();
    fatbin_add(&b, &(struct fatbin_part)PTX(75));
    const void *linked[2] = {b.data, NULL};
    struct {
        uint32_t magic, version;
        const void *fatbin, *linked;
    } wrapper = {GN_WRAPPER_MAGIC, 1, b.data, NULL};
    assert_true(tells(&wrapper, GN_IMAGE_SIZE_UNKNOWN));
    assert_false(tells(&wrapper, sizeof wrapper)); // in a file
    wrapper.version = 2;
    assert_true(tells(&wrapper, GN_IMAGE_SIZE_UNKNOWN));
    wrapper.linked = linked; // units that the driver links
    assert_false(tells(&wrapper, GN_IMAGE_SIZE_UNKNOWN));
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_the_device_runs, begin),
        cmocka_unit_test_setup(packed_text, begin),
        cmocka_unit_test_setup(other_images, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
