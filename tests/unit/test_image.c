// SPDX-License-Identifier: Apache-2.0
// Question: are kind and size of an image told right, and is every lie in a header refused with its place?
// Method: hand-made bytes in memory of exactly their size (the sanitizer sees one byte too far), each field
// spoiled in turn, and every cut.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/image/image_bundle.h"
#include "tests/unit/image_build.h"

static const char ptx[] = "//\n// made by hand\n/* so */\n\n.version 7.5\n.target sm_75\n.address_size 64\n"
                          ".visible .entry axpy(\n .param .f32 a, .param .u64 x\n)\n{ ret; }\n";

// Probes a copy in memory of exactly `size` bytes; pointers of *image are void afterwards.
static int probe(const void *data, size_t size, struct gn_image *image)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    int rc = gn_image_probe(copy, size, image);
    free(copy);
    return rc;
}

static void refused(const void *data, size_t size, int want, const char *says)
{
    struct gn_image image;
    int rc = probe(data, size, &image);
    if (rc != want || !image.error.reason || !strstr(image.error.reason, says) || image.kind != GN_IMAGE_NONE)
        fail_msg("rc %d, want %d; \"%s\", want \"%s\"", rc, want,
                 image.error.reason ? image.error.reason : "", says);
}

static void ptx_is_text_up_to_its_nul(void **state)
{
    (void)state;
    struct gn_image image;
    assert_int_equal(gn_image_probe(ptx, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_PTX);
    assert_int_equal(image.size_bytes, sizeof ptx);
    assert_ptr_equal(image.data, ptx);
    assert_int_equal(probe(ptx, sizeof ptx, &image), 0);
    assert_int_equal(image.size_bytes, sizeof ptx);
    refused(ptx, sizeof ptx - 1, -EINVAL, "no NUL");
    refused("", 1, -EINVAL, "neither PTX");
    refused("", 0, -EINVAL, "neither PTX");
    refused("hello", 6, -EINVAL, "neither PTX");
    refused("// .version 7.5", 16, -EINVAL, "neither PTX");
    refused("/* .version 7.5", 16, -EINVAL, "neither PTX");
    refused(".versions 7.5", 14, -EINVAL, "neither PTX");
    refused(".target sm_75\n.version 7.5", 27, -EINVAL, "neither PTX");
    refused("\"", 2, -EINVAL, "neither PTX");
    assert_int_equal(gn_image_probe(NULL, 100, &image), -EINVAL);
}

// A text of unknown length may end right before memory that cannot be read.
static void nothing_behind_the_nul_is_read(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    struct gn_image image;
    for (size_t bytes = 1; bytes <= 4; bytes++) {
        memset(memory + page - bytes, 'x', bytes);
        memory[page - 1] = 0;
        assert_int_equal(gn_image_probe(memory + page - bytes, GN_IMAGE_SIZE_UNKNOWN, &image), -EINVAL);
    }
    memcpy(memory + page - sizeof ptx, ptx, sizeof ptx);
    assert_int_equal(gn_image_probe(memory + page - sizeof ptx, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    struct image_bytes fatbin = fatbin_begin();
    fatbin_add(&fatbin,
               &(struct fatbin_part){.kind = 1, .sm = 75, .payload = ptx, .payload_size = sizeof ptx});
    memcpy(memory + page - fatbin.size, fatbin.data, fatbin.size);
    assert_int_equal(gn_image_probe(memory + page - fatbin.size, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.size_bytes, fatbin.size);
    struct cubin_made cubin = cubin_make(1, 90);
    memcpy(memory + page - cubin.bytes.size, cubin.bytes.data, cubin.bytes.size);
    assert_int_equal(gn_image_probe(memory + page - cubin.bytes.size, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.size_bytes, cubin.bytes.size);
    free(fatbin.data);
    free(cubin.bytes.data);
    munmap(memory, 2 * page);
}

static void endless_text_is_refused(void **state)
{
    (void)state;
    // One page of text, mapped over and over, stands for a gigabyte.
    FILE *file = tmpfile();
    char page[65536];
    memset(page, ' ', sizeof page);
    memcpy(page, ".version 7.5", 12);
    assert_int_equal(fwrite(page, 1, sizeof page, file), sizeof page);
    fflush(file);
    char *memory = mmap(NULL, GN_IMAGE_PTX_MAX + sizeof page, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (size_t at = 0; at <= GN_IMAGE_PTX_MAX; at += sizeof page)
        assert_ptr_equal(mmap(memory + at, sizeof page, PROT_READ, MAP_SHARED | MAP_FIXED, fileno(file), 0),
                         memory + at);
    struct gn_image image;
    assert_int_equal(gn_image_probe(memory, GN_IMAGE_SIZE_UNKNOWN, &image), -E2BIG);
    assert_int_equal(image.error.offset_bytes, GN_IMAGE_PTX_MAX);
    assert_int_equal(gn_image_probe(memory, sizeof page, &image), -EINVAL);
    munmap(memory, GN_IMAGE_PTX_MAX + sizeof page);
    fclose(file);
}

static struct image_bytes two_entries(void)
{
    struct image_bytes b = fatbin_begin();
    fatbin_add(&b, &(struct fatbin_part){.kind = 2,
                                         .sm = 80,
                                         .flags = 0x11,
                                         .payload = "\x7f"
                                                    "ELF....",
                                         .payload_size = 8});
    fatbin_add(&b, &(struct fatbin_part){1, 75, 0x8013, "12345678", 8, 5, 99, "kernels.cu"});
    return b;
}

static void fatbin_entries_are_walked(void **state)
{
    (void)state;
    struct image_bytes b = two_entries();
    struct gn_image image;
    assert_int_equal(gn_image_probe(b.data, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_FATBIN);
    assert_int_equal(image.size_bytes, b.size);
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry e;
    assert_int_equal(gn_fatbin_begin(&it, b.data, b.size), 0);
    assert_int_equal(gn_fatbin_next(&it, &e), 1);
    assert_int_equal(e.kind, GN_FATBIN_CUBIN);
    assert_int_equal(e.sm, 80);
    assert_int_equal(e.flags, 0x11);
    assert_int_equal(e.payload_bytes, 8);
    assert_int_equal(e.compressed_bytes, 0);
    assert_int_equal(e.uncompressed_bytes, 8);
    assert_null(e.name);
    assert_int_equal(e.offset_bytes, 16);
    assert_memory_equal(e.payload,
                        "\x7f"
                        "ELF",
                        4);
    assert_int_equal(gn_fatbin_next(&it, &e), 1);
    assert_int_equal(e.kind, GN_FATBIN_PTX);
    assert_int_equal(e.sm, 75);
    assert_true(e.flags & GN_FATBIN_ZSTD);
    assert_int_equal(e.compressed_bytes, 5);
    assert_int_equal(e.uncompressed_bytes, 99);
    assert_int_equal(e.name_bytes, 10);
    assert_memory_equal(e.name, "kernels.cu", 10);
    assert_int_equal(gn_fatbin_next(&it, &e), 0);
    assert_int_equal(gn_fatbin_next(&it, &e), 0);
    free(b.data);

    b = fatbin_begin();
    assert_int_equal(gn_fatbin_begin(&it, b.data, b.size), 0);
    assert_int_equal(gn_fatbin_next(&it, &e), 0);
    assert_int_equal(gn_fatbin_begin(&it, ptx, sizeof ptx), -EINVAL);
    free(b.data);
}

static void fatbin_headers_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned bytes;
        uint64_t value;
        int rc;
        const char *says;
    } lies[] = {
        {4, 2, 2, -EINVAL, "version"},
        {6, 2, 15, -EINVAL, "smaller"},
        {6, 2, 0, -EINVAL, "smaller"},
        {6, 2, 0xffff, -EINVAL, "cut off"},
        {8, 8, 10000, -EINVAL, "cut off"},
        {8, 8, UINT64_MAX, -E2BIG, "larger"},
        {8, 8, UINT64_MAX - 15, -E2BIG, "larger"}, // 16 + this is 0
        {8, 8, (uint64_t)4 << 30, -E2BIG, "larger"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct image_bytes b = two_entries();
        image_set(&b, lies[i].at, lies[i].value, lies[i].bytes);
        refused(b.data, b.size, lies[i].rc, lies[i].says);
        free(b.data);
    }
    struct image_bytes b = two_entries();
    for (size_t size = 0; size < b.size; size++) {
        struct gn_image image;
        assert_int_equal(probe(b.data, size, &image), -EINVAL);
    }
    free(b.data);
}

static void fatbin_entries_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned entry; // 0 or 1
        size_t at;
        unsigned bytes;
        uint64_t value;
        const char *says;
    } lies[] = {
        {0, 4, 4, 63, "impossible size"},
        {0, 4, 4, 0, "impossible size"},
        {0, 4, 4, 0xffffffff, "impossible size"},
        {0, 8, 8, 10000, "beyond the fatbin"},
        {0, 8, 8, UINT64_MAX, "beyond the fatbin"},
        {0, 8, 8, UINT64_MAX - 63, "beyond the fatbin"}, // 64 + this is 0
        {0, 16, 4, 9, "exceeds its payload"},
        {1, 8, 8, 16, "beyond the fatbin"},
        {1, 16, 4, 9, "exceeds its payload"},
        {1, 16, 4, 0, "without its sizes"},
        {1, 56, 8, 0, "without its sizes"},
        {1, 32, 4, 75, "outside its header"},
        {1, 36, 4, 0xffffffff, "outside its header"},
        {1, 32, 4, 0xffffffff, "outside its header"},
        {1, 40, 8, 0xa011, "in two ways"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct image_bytes b = two_entries();
        struct gn_fatbin_iter it;
        struct gn_fatbin_entry e;
        size_t entry_at = lies[i].entry ? 16 + 64 + 8 : 16;
        image_set(&b, entry_at + lies[i].at, lies[i].value, lies[i].bytes);
        uint8_t *copy = malloc(b.size);
        memcpy(copy, b.data, b.size);
        assert_int_equal(gn_fatbin_begin(&it, copy, b.size), 0);
        int rc = gn_fatbin_next(&it, &e);
        if (lies[i].entry) {
            assert_int_equal(rc, 1);
            rc = gn_fatbin_next(&it, &e);
        }
        if (rc != -EINVAL || !strstr(it.error.reason, lies[i].says) || it.error.offset_bytes < entry_at)
            fail_msg("lie %zu: rc %d, %s", i, rc, it.error.reason ? it.error.reason : "");
        assert_int_equal(gn_fatbin_next(&it, &e), -EINVAL); // sticky
        free(copy);
        free(b.data);
    }
    // Bytes behind the last entry that are no entry.
    struct image_bytes b = two_entries();
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry e;
    image_put(&b, "12345678", 8);
    image_set(&b, 8, b.size - 16, 8);
    assert_int_equal(gn_fatbin_begin(&it, b.data, b.size), 0);
    assert_int_equal(gn_fatbin_next(&it, &e), 1);
    assert_int_equal(gn_fatbin_next(&it, &e), 1);
    assert_int_equal(gn_fatbin_next(&it, &e), -EINVAL);
    free(b.data);
}

static void the_right_devices_fit(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind, sm;
        uint64_t flags;
        uint32_t device;
        bool fits;
    } cases[] = {
        {GN_FATBIN_PTX, 75, 0, 75, true},
        {GN_FATBIN_PTX, 75, 0, 90, true},
        {GN_FATBIN_PTX, 90, 0, 75, false},
        {GN_FATBIN_PTX, 90, GN_FATBIN_ARCH_ONLY, 90, true},
        {GN_FATBIN_PTX, 90, GN_FATBIN_ARCH_ONLY, 100, false},
        {GN_FATBIN_PTX, 100, GN_FATBIN_FAMILY_ONLY, 103, true},
        {GN_FATBIN_PTX, 100, GN_FATBIN_FAMILY_ONLY, 120, false},
        {GN_FATBIN_CUBIN, 80, 0, 80, true},
        {GN_FATBIN_CUBIN, 80, 0, 89, true},
        {GN_FATBIN_CUBIN, 86, 0, 80, false},
        {GN_FATBIN_CUBIN, 80, 0, 90, false},
        {GN_FATBIN_CUBIN, 100, GN_FATBIN_ARCH_ONLY, 103, false},
        {GN_FATBIN_CUBIN, 100, GN_FATBIN_FAMILY_ONLY, 103, true},
        {GN_FATBIN_LTOIR, 75, 0, 75, false},
        {77, 75, 0, 75, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_fatbin_entry e = {.kind = cases[i].kind, .sm = cases[i].sm, .flags = cases[i].flags};
        assert_int_equal(gn_fatbin_fits(&e, cases[i].device), cases[i].fits);
    }
}

struct wrapper {
    uint32_t magic, version;
    const void *fatbin, *linked;
};

static void wrappers_are_taken_apart(void **state)
{
    (void)state;
    const void *linked[] = {"second", "third", NULL};
    struct wrapper w = {0x466243b1, 2, "first", linked};
    struct gn_image image;
    uint32_t at = 0;
    assert_int_equal(gn_image_probe(&w, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_WRAPPER);
    assert_int_equal(image.size_bytes, 24);
    assert_int_equal(image.wrapper_version, 2);
    assert_string_equal(gn_image_wrapped(&image, &at), "first");
    assert_string_equal(gn_image_wrapped(&image, &at), "second");
    assert_string_equal(gn_image_wrapped(&image, &at), "third");
    assert_null(gn_image_wrapped(&image, &at));
    assert_null(gn_image_wrapped(&image, &at));
    assert_int_equal(gn_image_wrapped_count(&image, &at), 0);
    assert_int_equal(at, 3);
    static const void *many[GN_IMAGE_WRAPPED_MAX + 1];
    for (int i = 0; i < GN_IMAGE_WRAPPED_MAX - 1; i++)
        many[i] = "one";
    image.linked = many;
    assert_int_equal(gn_image_wrapped_count(&image, &at), 0);
    assert_int_equal(at, GN_IMAGE_WRAPPED_MAX);
    many[GN_IMAGE_WRAPPED_MAX - 1] = "one too many";
    assert_int_equal(gn_image_wrapped_count(&image, &at), -E2BIG);
    // Version 1 has a file name in that place, or nothing.
    w.version = 1;
    w.linked = (const void *)16;
    at = 0;
    assert_int_equal(gn_image_probe(&w, sizeof w, &image), 0);
    assert_string_equal(gn_image_wrapped(&image, &at), "first");
    assert_null(gn_image_wrapped(&image, &at));
    assert_int_equal(gn_image_wrapped_count(&image, &at), 0);
    assert_int_equal(at, 1);
    // In hostile bytes a pointer is taken over, never followed.
    w.fatbin = (const void *)0x1234;
    assert_int_equal(gn_image_probe(&w, sizeof w, &image), 0);
    refused(&w, 23, -EINVAL, "cut off");
    refused(&w, 4, -EINVAL, "cut off");
    w.version = 3;
    refused(&w, sizeof w, -EINVAL, "unknown version");
    w.version = 1;
    w.fatbin = NULL;
    refused(&w, sizeof w, -EINVAL, "without a fatbin");
}

static void endless_wrappers_end(void **state)
{
    (void)state;
    static const void *linked[GN_IMAGE_WRAPPED_MAX + 8];
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++)
        linked[i] = "x";
    struct wrapper w = {0x466243b1, 2, "first", linked};
    struct gn_image image;
    uint32_t at = 0, count = 0;
    assert_int_equal(gn_image_probe(&w, sizeof w, &image), 0);
    while (gn_image_wrapped(&image, &at))
        count++;
    assert_int_equal(count, GN_IMAGE_WRAPPED_MAX);
}

static void bundles_go_there_and_back(void **state)
{
    (void)state;
    enum { LEAST = 16 };
    static const uint64_t sizes[3] = {LEAST, LEAST + 1, LEAST + 16};
    uint8_t bytes[32 + LEAST + (LEAST + 16) + (LEAST + 16)] = {0}, spoiled[sizeof bytes];
    struct gn_bundle bundle;
    uint64_t size, at = 32;
    assert_int_equal(gn_bundle_head_bytes(3), at);
    assert_int_equal(gn_bundle_head_bytes(GN_IMAGE_WRAPPED_MAX), 8 + 8 * GN_IMAGE_WRAPPED_MAX + 8);
    gn_bundle_head(bytes, sizes, 3);
    assert_true(gn_bundle_is(bytes, sizeof bytes));
    assert_int_equal(gn_bundle_open(&bundle, bytes, sizeof bytes), 0);
    for (int i = 0; i < 3; i++, at += gn_bundle_padded(size)) {
        assert_ptr_equal(gn_bundle_next(&bundle, &size), bytes + at);
        assert_int_equal(size, sizes[i]);
    }
    assert_null(gn_bundle_next(&bundle, &size));
    assert_null(gn_bundle_next(&bundle, &size));
    for (size_t cut = 0; cut < sizeof bytes; cut++) { // cut short, or with something behind it
        assert_int_equal(gn_bundle_open(&bundle, bytes, cut), -EINVAL);
        assert_non_null(bundle.error.reason);
        assert_null(gn_bundle_next(&bundle, &size));
    }
    refused(bytes, sizeof bytes, -EINVAL, "neither"); // no program gives one to a driver
    const struct {
        size_t at;
        uint8_t value;
        int result;
    } rows[] = {{0, 0, -EINVAL},     {4, 0, -EINVAL},  {4, 2, -EINVAL},   {4, 4, -EINVAL},
                {5, 16, -E2BIG},     {7, 1, -E2BIG},   {8, 15, -EINVAL},  {8, 17, -EINVAL},
                {15, 0xff, -EINVAL}, {16, 0, -EINVAL}, {24, 16, -EINVAL}, {24, 33, -EINVAL},
                {31, 0x80, -EINVAL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memcpy(spoiled, bytes, sizeof bytes);
        spoiled[rows[i].at] = rows[i].value;
        assert_int_equal(gn_bundle_open(&bundle, spoiled, sizeof spoiled), rows[i].result);
        assert_non_null(bundle.error.reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ptx_is_text_up_to_its_nul),
        cmocka_unit_test(nothing_behind_the_nul_is_read),
        cmocka_unit_test(endless_text_is_refused),
        cmocka_unit_test(fatbin_entries_are_walked),
        cmocka_unit_test(fatbin_headers_that_lie_are_refused),
        cmocka_unit_test(fatbin_entries_that_lie_are_refused),
        cmocka_unit_test(the_right_devices_fit),
        cmocka_unit_test(wrappers_are_taken_apart),
        cmocka_unit_test(bundles_go_there_and_back),
        cmocka_unit_test(endless_wrappers_end),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
