// SPDX-License-Identifier: Apache-2.0
// Question: are a cubin's size, kernels, parameters and resources told right, and is every lie refused?
// Method: a hand-made cubin (both ELF flavours), each field spoiled in turn, every cut, every single byte
// changed; all in memory of exactly its size.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/image/image.h"
#include "tests/unit/image_build.h"

enum { PARAMS_MAX = 16 };

struct walk { // what a walk over a whole cubin met first: a failure, or all that there is
    int rc;
    const char *reason;
    unsigned kernels;
    struct gn_cubin_kernel kernel; // the last; its pointers are void
    struct gn_image_param params[PARAMS_MAX];
    struct gn_cubin_resources resources;
    uint32_t sm;
    uint64_t size;
};

static void walk_copy(const uint8_t *data, size_t size, struct walk *w)
{
    struct gn_image image;
    struct gn_cubin c;
    w->rc = gn_image_probe(data, size, &image);
    w->reason = image.error.reason;
    w->size = image.size_bytes;
    if (w->rc < 0)
        return;
    w->rc = gn_cubin_open(&c, data, size);
    w->sm = c.sm;
    struct gn_cubin_kernel kernel;
    while (w->rc == 0 && (w->rc = gn_cubin_next(&c, &kernel)) > 0) {
        w->kernels++;
        w->kernel = kernel;
        w->rc = gn_cubin_params(&c, &kernel, w->params, PARAMS_MAX);
        if (w->rc == 0)
            w->rc = gn_cubin_resources(&c, &kernel, &w->resources);
    }
    w->reason = c.error.reason;
}

static struct walk walk(const struct image_bytes *b, size_t size)
{
    struct walk w = {0};
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, b->data, size);
    walk_copy(copy, size, &w);
    free(copy);
    return w;
}

static void kernels_are_read(void **state)
{
    (void)state;
    for (int new_style = 0; new_style < 2; new_style++) {
        struct cubin_made made = cubin_make(new_style, new_style ? 90 : 80);
        struct walk w = walk(&made.bytes, made.bytes.size);
        assert_int_equal(w.rc, 0);
        assert_null(w.reason);
        assert_int_equal(w.size, made.bytes.size);
        assert_int_equal(w.sm, new_style ? 90 : 80);
        assert_int_equal(w.kernels, 1); // the device function is none
        assert_int_equal(w.kernel.param_bytes, 21);
        assert_int_equal(w.kernel.param_count, 3);
        assert_int_equal(w.params[0].offset_bytes, 0);
        assert_int_equal(w.params[0].size_bytes, 4);
        assert_int_equal(w.params[1].offset_bytes, 8);
        assert_int_equal(w.params[1].size_bytes, 8);
        assert_int_equal(w.params[2].offset_bytes, 16);
        assert_int_equal(w.params[2].size_bytes, 5);
        assert_int_equal(w.kernel.max_threads, 128);
        assert_int_equal(w.kernel.required_block[0], 32);
        assert_int_equal(w.kernel.required_block[1], 4);
        assert_int_equal(w.kernel.required_block[2], 1);
        assert_int_equal(w.resources.registers, 24);
        assert_int_equal(w.resources.local_bytes, 256);
        assert_int_equal(w.resources.static_shared_bytes, 400);
        free(made.bytes.data);
    }
}

static void names_are_given_whole(void **state)
{
    (void)state;
    struct cubin_made made = cubin_make(1, 75);
    struct gn_cubin c;
    struct gn_cubin_kernel kernel;
    struct gn_image_param params[2];
    assert_int_equal(gn_cubin_open(&c, made.bytes.data, made.bytes.size), 0);
    assert_false(c.is_relocatable);
    assert_int_equal(gn_cubin_next(&c, &kernel), 1);
    assert_string_equal(kernel.name, "axpy");
    assert_int_equal(kernel.name_bytes, 4);
    assert_int_equal(gn_cubin_params(&c, &kernel, params, 2), -ENOSPC);
    assert_int_equal(gn_cubin_next(&c, &kernel), 0);
    image_set(&made.bytes, 16, 1, 2);
    assert_int_equal(gn_cubin_open(&c, made.bytes.data, made.bytes.size), 0);
    assert_true(c.is_relocatable);
    free(made.bytes.data);
}

// Where SM 90 and later reserve 1 KiB a block, the sections include it and the kernel's own number does not.
static void reserved_shared_memory_does_not_count(void **state)
{
    (void)state;
    struct cubin_made made = cubin_make(1, 90);
    size_t reserved_header = cubin_section(&made, SECTION_NULL); // made into ".nv.shared.reserved.0"
    static const char name[] = ".nv.shared.reserved.0";
    size_t names_at = image_get(&made.bytes, cubin_section(&made, SECTION_NAMES) + 24, 8);
    size_t names_size = image_get(&made.bytes, cubin_section(&made, SECTION_NAMES) + 32, 8);
    size_t end = made.bytes.size;
    char before[256];
    assert_true(names_size <= sizeof before);
    memcpy(before, made.bytes.data + names_at, names_size);
    image_put(&made.bytes, before, names_size);
    image_put(&made.bytes, name, sizeof name);
    image_set(&made.bytes, cubin_section(&made, SECTION_NAMES) + 24, end, 8);
    image_set(&made.bytes, cubin_section(&made, SECTION_NAMES) + 32, names_size + sizeof name, 8);
    image_set(&made.bytes, reserved_header, names_size, 4);
    image_set(&made.bytes, reserved_header + 4, 8, 4);
    image_set(&made.bytes, cubin_section(&made, SECTION_SHARED) + 32, 1024 + 48, 8);
    struct walk w = walk(&made.bytes, made.bytes.size);
    assert_int_equal(w.rc, 0);
    assert_int_equal(w.resources.static_shared_bytes, 48);
    free(made.bytes.data);
}

enum place { FILE_HEADER, SECTION_HEADER, CONTENTS };

static const struct lie {
    enum place place;
    unsigned section;
    size_t at;
    unsigned bytes;
    uint64_t value;
    int rc;
    const char *says;
} lies[] = {
    {FILE_HEADER, 0, 4, 1, 1, -EINVAL, "64-bit"},
    {FILE_HEADER, 0, 5, 1, 2, -EINVAL, "little-endian"},
    {FILE_HEADER, 0, 18, 2, 62, -EINVAL, "other than CUDA"},
    {FILE_HEADER, 0, 32, 8, UINT64_MAX, -EINVAL, "program headers lie outside"},
    {FILE_HEADER, 0, 56, 2, 1, -EINVAL, "program headers of an unknown size"},
    {FILE_HEADER, 0, 40, 8, UINT64_MAX, -EINVAL, "section headers lie outside"},
    {FILE_HEADER, 0, 40, 8, UINT64_MAX - 63, -EINVAL, "section headers lie outside"},
    {FILE_HEADER, 0, 40, 8, 0, -EINVAL, "without a place"},
    {FILE_HEADER, 0, 58, 2, 40, -EINVAL, "unknown size"},
    {FILE_HEADER, 0, 60, 2, SECTION_COUNT + 1, -EINVAL, "section headers lie outside"},
    {FILE_HEADER, 0, 60, 2, 0xffff, -EINVAL, "section headers lie outside"},
    {FILE_HEADER, 0, 62, 2, SECTION_COUNT, -EINVAL, "names are missing"},
    {FILE_HEADER, 0, 62, 2, SECTION_INFO, -EINVAL, "names are missing"},
    {SECTION_HEADER, SECTION_INFO, 24, 8, UINT64_MAX - 3, -EINVAL, "section lies outside"},
    {SECTION_HEADER, SECTION_INFO, 32, 8, UINT64_MAX, -EINVAL, "section lies outside"},
    {SECTION_HEADER, SECTION_INFO, 32, 8, 100000, -EINVAL, "section lies outside"},
    {SECTION_HEADER, SECTION_SYMBOLS, 40, 4, SECTION_COUNT, -EINVAL, "without its strings"},
    {SECTION_HEADER, SECTION_SYMBOLS, 40, 4, SECTION_TEXT_KERNEL, -EINVAL, "without its strings"},
    {SECTION_HEADER, SECTION_SYMBOLS, 32, 8, 24, -EINVAL, "no symbol"},
    {SECTION_HEADER, SECTION_TEXT_DEVICE, 4, 4, 2, -EINVAL, "two symbol tables"},
    {SECTION_HEADER, SECTION_INFO_KERNEL, 44, 4, SECTION_COUNT, -EINVAL, "no code section"},
    {SECTION_HEADER, SECTION_INFO_KERNEL, 44, 4, 0, -EINVAL, "no code section"},
    {SECTION_HEADER, SECTION_TEXT_KERNEL, 44, 4, 3, -EINVAL, "no symbol"},
    {SECTION_HEADER, SECTION_STRINGS, 32, 8, 3, -EINVAL, "without a name"},
    {SECTION_HEADER, SECTION_STRINGS, 32, 8, 0, -EINVAL, "without a name"},
    {CONTENTS, SECTION_SYMBOLS, 24, 4, 100, -EINVAL, "without a name"},
    {CONTENTS, SECTION_SYMBOLS, 24, 4, 0, -EINVAL, "without a name"},
    {SECTION_HEADER, SECTION_INFO_KERNEL, 32, 8, 17, -EINVAL, "cut off"},
    {SECTION_HEADER, SECTION_INFO_KERNEL, 32, 8, 28, -EINVAL, "beyond its section"},
    {CONTENTS, SECTION_INFO_KERNEL, 2, 2, 0xffff, -EINVAL, "beyond its section"},
    {CONTENTS, SECTION_INFO_KERNEL, 2, 2, 8, -EINVAL, "too short"},
    {CONTENTS, SECTION_INFO_KERNEL, 0, 1, 3, -EINVAL, "too short"},
    {CONTENTS, SECTION_INFO_KERNEL, 8, 2, 3, -EINVAL, "doubled or missing"}, // ordinal
    {CONTENTS, SECTION_INFO_KERNEL, 8, 2, 1, -EINVAL, "doubled or missing"},
    {CONTENTS, SECTION_INFO_KERNEL, 10, 2, 17, -EINVAL, "outside the parameter block"}, // offset
    {CONTENTS, SECTION_INFO_KERNEL, 10, 2, 0xffff, -EINVAL, "outside the parameter block"},
    {CONTENTS, SECTION_INFO_KERNEL, 10, 2, 15, -EINVAL, "overlap"},
    {CONTENTS, SECTION_INFO_KERNEL, 12, 4, 0, -EINVAL, "outside the parameter block"}, // size
    {CONTENTS, SECTION_INFO_KERNEL, 12, 4, 0xffffff, -EINVAL, "outside the parameter block"},
    {CONTENTS, SECTION_INFO_KERNEL, 28, 4, 9 << 18, -EINVAL, "overlap"},
    {CONTENTS, SECTION_INFO_KERNEL, 50, 2, 2, -EINVAL, "impossible parameters"}, // total, below the count
    {CONTENTS, SECTION_INFO_KERNEL, 50, 2, 0xffff, -EINVAL, "impossible parameters"},
    {CONTENTS, SECTION_INFO_KERNEL, 50, 2, 20, -EINVAL, "outside the parameter block"},
    {SECTION_HEADER, SECTION_SHARED, 32, 8, (uint64_t)1 << 32, -EINVAL, "impossible shared"},
    {CONTENTS, SECTION_INFO, 2, 2, 4, -EINVAL, "too short"},
    {SECTION_HEADER, SECTION_INFO, 32, 8, 10, -EINVAL, "beyond its section"},
};

static void lies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const struct lie *lie = &lies[i];
        struct cubin_made made = cubin_make(1, 90);
        size_t header = cubin_section(&made, lie->section);
        size_t base = lie->place == FILE_HEADER      ? 0
                      : lie->place == SECTION_HEADER ? header
                                                     : image_get(&made.bytes, header + 24, 8);
        image_set(&made.bytes, base + lie->at, lie->value, lie->bytes);
        struct walk w = walk(&made.bytes, made.bytes.size);
        if (w.rc != lie->rc || !w.reason || !strstr(w.reason, lie->says))
            fail_msg("lie %zu: rc %d, \"%s\", want \"%s\"", i, w.rc, w.reason ? w.reason : "", lie->says);
        free(made.bytes.data);
    }
}

static void too_many_sections_are_refused(void **state)
{
    (void)state;
    struct cubin_made made = cubin_make(1, 90);
    image_set(&made.bytes, 60, 0, 2); // the count stands in section 0
    image_set(&made.bytes, made.sections_at + 32, (uint64_t)GN_CUBIN_SECTIONS_MAX + 1, 8);
    assert_int_equal(walk(&made.bytes, made.bytes.size).rc, -E2BIG);
    image_set(&made.bytes, made.sections_at + 32, UINT64_MAX, 8);
    assert_int_equal(walk(&made.bytes, made.bytes.size).rc, -E2BIG);
    image_set(&made.bytes, made.sections_at + 32, SECTION_COUNT, 8); // and so does the index of the names
    image_set(&made.bytes, 62, 0xffff, 2);
    image_set(&made.bytes, made.sections_at + 40, SECTION_NAMES, 4);
    struct walk w = walk(&made.bytes, made.bytes.size);
    assert_int_equal(w.rc, 0);
    assert_int_equal(w.kernels, 1);
    free(made.bytes.data);
}

// Sections that share their bytes would make reading quadratic: the walk gives up at twice the file.
static void shared_sections_do_not_multiply_work(void **state)
{
    (void)state;
    enum { COPIES = 20000 };
    struct cubin_made made = cubin_make(1, 90);
    struct image_bytes *b = &made.bytes;
    uint8_t header[64];
    memcpy(header, b->data + cubin_section(&made, SECTION_INFO_KERNEL), sizeof header);
    for (unsigned i = 0; i < COPIES; i++)
        image_put(b, header, sizeof header);
    image_set(b, 60, SECTION_COUNT + COPIES, 2);
    size_t info_at = b->size;
    for (unsigned i = 0; i < 100000; i++)
        image_put(b, "\x03\x5f\0\0", 4);
    for (unsigned i = 0; i < COPIES; i++) {
        image_set(b, cubin_section(&made, SECTION_COUNT + i) + 24, info_at, 8);
        image_set(b, cubin_section(&made, SECTION_COUNT + i) + 32, 400000, 8);
    }
    struct gn_cubin c;
    struct gn_cubin_kernel kernel;
    unsigned kernels = 0;
    int rc = gn_cubin_open(&c, b->data, b->size);
    while (rc == 0 && (rc = gn_cubin_next(&c, &kernel)) > 0) {
        kernels++;
        rc = 0;
    }
    assert_int_equal(rc, -E2BIG);
    assert_true(kernels > 1 && kernels < 20);
    free(b->data);
}

static void cuts_are_refused(void **state)
{
    (void)state;
    struct cubin_made made = cubin_make(1, 90);
    for (size_t size = 0; size < made.bytes.size; size++)
        assert_int_equal(walk(&made.bytes, size).rc, -EINVAL);
    free(made.bytes.data);
}

// Whatever one byte becomes, the walk ends in order and stays inside the memory (the sanitizer watches).
static void any_byte_may_be_anything(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct cubin_made made = cubin_make(1, 90);
    for (size_t at = 4; at < made.bytes.size; at++) {
        for (size_t v = 0; v < sizeof values; v++) {
            uint8_t before = made.bytes.data[at];
            made.bytes.data[at] = values[v];
            struct walk w = walk(&made.bytes, made.bytes.size);
            assert_true(w.rc == 0 || w.rc == -EINVAL || w.rc == -E2BIG);
            assert_true(w.rc == 0 || w.reason);
            made.bytes.data[at] = before;
        }
    }
    free(made.bytes.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_read),
        cmocka_unit_test(names_are_given_whole),
        cmocka_unit_test(reserved_shared_memory_does_not_count),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(too_many_sections_are_refused),
        cmocka_unit_test(shared_sections_do_not_multiply_work),
        cmocka_unit_test(cuts_are_refused),
        cmocka_unit_test(any_byte_may_be_anything),
    };
    return cmocka_run_group_tests_name("image_cubin", tests, NULL, NULL);
}
