// SPDX-License-Identifier: Apache-2.0
// Question: does an image reach the driver whole and checked or not at all, and does what is in it come and
// go with it? Method: the handlers themselves on a driver of this test's own, which looks at nothing.
#include "tests/unit/server_driver.h"

#include "core/image/image_bundle.h"
#include "tests/unit/image_build.h"

// --- images

static void images_are_put_together(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    for (uint32_t i = 0; i < 100; i++) {        // more than places: each is free again after its load
        give(&w, i, ptx, sizeof ptx - (i & 1)); // with or without its NUL
        EXPECT(module_load, CUDA_SUCCESS, .module = id(GN_KIND_MODULE, 10 + i, 1), .upload = i);
    }
    assert_int_equal(d.modules, 100);
    give(&w, 5, ptx, sizeof ptx);
    d.fail = CUDA_ERROR_INVALID_PTX;
    EXPECT(module_load, CUDA_ERROR_INVALID_PTX, .module = id(GN_KIND_MODULE, 200, 1), .upload = 5);
    EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 200, 2),
           .upload = 5); // it is gone
    gn_run_close(&w);
}

static void pieces_out_of_place_end_the_session(void **s)
{
    struct gn_worker w = ready();
    char bytes[64] = "";
    bool ends;
    (void)s;
    part(&w, 1, 0, 0, bytes, 0, &ends);
    assert_true(ends);
    part(&w, 1, 10, 8, bytes, 3, &ends);
    assert_true(ends);
    part(&w, 1, 10, UINT64_MAX - 1, bytes, 8, &ends);
    assert_true(ends);
    assert_int_equal(part(&w, 1, 100, 0, bytes, 50, &ends), CUDA_SUCCESS);
    part(&w, 1, 100, 40, bytes, 10, &ends); // over what is there
    assert_true(ends);
    part(&w, 1, 100, 60, bytes, 10, &ends); // leaving a gap
    assert_true(ends);
    part(&w, 1, 101, 50, bytes, 10, &ends); // of another size
    assert_true(ends);
    EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 1, 1),
           .upload = 1); // half of it
    assert_int_equal(d.loads, 0);
    gn_run_close(&w);
}

static void images_are_limited(void **s)
{
    struct gn_worker w = ready();
    char bytes[64] = "";
    bool ends;
    (void)s;
    assert_int_equal(part(&w, 1, (1 << 20) + 1, 0, bytes, 50, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(part(&w, 1, (1 << 20) + 1, 50, bytes, 50, &ends), CUDA_SUCCESS); // told once
    assert_false(ends);
    EXPECT(module_load, CUDA_ERROR_OUT_OF_MEMORY, .module = id(GN_KIND_MODULE, 1, 1), .upload = 1);
    assert_int_equal(part(&w, 2, 1 << 19, 0, bytes, 50, &ends), CUDA_SUCCESS);
    assert_int_equal(part(&w, 3, 1 << 19, 0, bytes, 50, &ends), CUDA_SUCCESS);
    assert_int_equal(part(&w, 4, 1, 0, bytes, 1, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(library_load, CUDA_ERROR_INVALID_IMAGE, .library = id(GN_KIND_LIBRARY, 1, 1),
           .upload = 2); // makes room
    assert_int_equal(part(&w, 5, 1, 0, bytes, 1, &ends), CUDA_SUCCESS);
    for (uint32_t i = 100; i < 100 + GN_UPLOADS_MAX; i++)
        part(&w, i, 1, 0, bytes, 1, &ends);
    assert_int_equal(part(&w, 999, 2, 0, bytes, 1, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(part(&w, 999, 2, 1, bytes, 1, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    assert_false(ends);
    gn_run_close(&w);
}

static void a_driver_sees_no_image_that_lies(void **s)
{
    struct gn_worker w = ready();
    uint64_t wrapper[3] = {0x1466243b1, 0x4141414141414141, 0};
    uint8_t fatbin[64] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 0xff, 0xff, 0xff, 0x7f},
            elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    const struct {
        const void *data;
        size_t bytes;
    } bad[] = {{wrapper, sizeof wrapper},
               {fatbin, sizeof fatbin},
               {elf, sizeof elf},
               {"\1\2\3\4", 4},
               {"", 1},
               {"\x7f"
                "EL",
                3}};
    (void)s;
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        give(&w, i, bad[i].data, bad[i].bytes);
        EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 1, i + 1), .upload = i);
    }
    assert_int_equal(d.loads, 0);
    gn_run_close(&w);
}

// A bundle of these fatbins, as a client sends it.
static struct image_bytes bundle_of(const struct image_bytes *fatbins, uint32_t count)
{
    struct image_bytes b = {0};
    uint64_t sizes[4];
    uint8_t head[64];
    for (uint32_t i = 0; i < count; i++)
        sizes[i] = fatbins[i].size;
    gn_bundle_head(head, sizes, count);
    image_put(&b, head, gn_bundle_head_bytes(count));
    for (uint32_t i = 0; i < count; i++) {
        image_put(&b, fatbins[i].data, fatbins[i].size);
        image_pad(&b, GN_BUNDLE_ALIGN);
    }
    return b;
}

struct wrapper {
    uint32_t magic, version;
    const uint8_t *fatbin;
    const uint8_t *const *linked;
};
static struct {
    uint8_t bytes[3][256];
    uint64_t sizes[3];
    uint32_t count;
} seen; // what a driver finds behind the wrapper while it loads

static CUresult load_wrapper(CUmodule *m, const void *image)
{
    const struct wrapper *w = image;
    assert_int_equal(w->magic, GN_WRAPPER_MAGIC);
    assert_int_equal(w->version, 2);
    seen.count = 0;
    for (const uint8_t *f = w->fatbin; f; f = w->linked[seen.count++]) {
        assert_true(seen.count < 3 && (uintptr_t)f % GN_BUNDLE_ALIGN == 0);
        memcpy(seen.bytes[seen.count], f, seen.sizes[seen.count]);
    }
    return load(m, image);
}

static void fatbins_to_be_linked_come_behind_a_wrapper(void **s)
{
    struct gn_worker w = ready();
    struct image_bytes fatbins[3] = {fatbin_begin(), fatbin_begin(), fatbin_begin()};
    (void)s;
    for (int i = 1; i < 3; i++) // the first one is empty, as nvcc makes it
        fatbin_add(&fatbins[i],
                   &(struct fatbin_part){
                       .kind = GN_FATBIN_PTX, .sm = 75, .payload = ptx, .payload_size = sizeof ptx});
    struct image_bytes b = bundle_of(fatbins, 3);
    w.driver.calls.cuModuleLoadData = load_wrapper;
    w.driver.calls.cuFuncGetParamInfo = NULL;
    for (int i = 0; i < 3; i++)
        assert_true((seen.sizes[i] = fatbins[i].size) <= sizeof seen.bytes[i]);
    give(&w, 1, b.data, b.size);
    EXPECT(module_load, CUDA_SUCCESS, .module = id(GN_KIND_MODULE, 1, 1), .upload = 1);
    assert_int_equal(seen.count, 3);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(seen.bytes[i], fatbins[i].data, fatbins[i].size);
    {
        RUN(module_get_function, .module = id(GN_KIND_MODULE, 1, 1), .function = id(GN_KIND_FUNCTION, 2, 1),
            .name = "k", .name_bytes = 1);
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, 20);
    }
    // Each byte of its head and of its fatbins' headers matters; none reaches the driver spoiled.
    uint32_t upload = 2;
    size_t last = b.size - gn_bundle_padded(fatbins[2].size);
    const struct {
        size_t at;
        uint64_t value;
        unsigned bytes;
    } spoils[] = {{0, 0, 4},
                  {4, 0, 4},
                  {4, 2, 4},
                  {4, 4, 4},
                  {4, UINT32_MAX, 4},
                  {4, 4097, 4},
                  {8, 0, 8},
                  {8, 15, 8},
                  {8, UINT64_MAX, 8},
                  {16, fatbins[1].size + 16, 8},
                  {24, UINT64_MAX, 8},
                  {last, 0, 4},
                  {last + 6, 15, 2},
                  {last + 8, fatbins[2].size + 1, 8},
                  {last + 16 + 8, 4096, 8}};
    d.loads = 0;
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++, upload++) {
        struct image_bytes bad = {0};
        image_put(&bad, b.data, b.size);
        image_set(&bad, spoils[i].at, spoils[i].value, spoils[i].bytes);
        give(&w, upload, bad.data, bad.size);
        EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 1, 100 + upload),
               .upload = upload);
        free(bad.data);
    }
    for (size_t size = 1; size < b.size; size++, upload++) {
        give(&w, upload, b.data, size);
        EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 1, 100 + upload),
               .upload = upload);
    }
    assert_int_equal(d.loads, 0);
    for (int i = 0; i < 3; i++)
        free(fatbins[i].data);
    free(b.data);
    gn_run_close(&w);
}

// --- what is in modules and libraries

static void functions_go_with_their_module(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1), f = id(GN_KIND_FUNCTION, 2, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    {
        RUN(module_get_function, .module = module, .function = f, .name = "kxx",
            .name_bytes = 1); // no NUL on the wire
        uint32_t words[601];
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, sizeof words);
        memcpy(words, o.layout, sizeof words);
        assert_int_equal(words[0], 300);
        assert_int_equal(words[1 + 2 * 299], 299 * 16);
        assert_int_equal(words[2 + 2 * 299], 8 + 299);
    }
    EXPECT(module_get_function, CUDA_ERROR_NOT_FOUND, .module = module,
           .function = id(GN_KIND_FUNCTION, 3, 1), .name = "nix", .name_bytes = 3);
    ENDS(module_get_function, .module = module, .function = id(GN_KIND_FUNCTION, 3, 1), .name = "k\0k",
         .name_bytes = 3);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1);
    EXPECT(module_unload, CUDA_SUCCESS, .module = module);
    EXPECT(launch, CUDA_ERROR_INVALID_HANDLE, .function = f, .stream = 1);
    assert_int_equal(d.launches, 1);
    assert_int_equal(atomic_load(&status.handles), 1);
    gn_run_close(&w);
}

static void parts_of_a_library_go_with_it(void **s)
{
    struct gn_worker w = ready();
    uint64_t library = id(GN_KIND_LIBRARY, 1, 1), k = id(GN_KIND_KERNEL, 2, 1),
             module = id(GN_KIND_MODULE, 3, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    w.driver.calls.cuKernelGetParamInfo = NULL; // a driver before 12.4: the layout is in the image
    EXPECT(library_load, CUDA_SUCCESS, .library = library, .upload = 1);
    {
        RUN(library_get_kernel, .library = library, .kernel = k, .name = "k", .name_bytes = 1);
        const uint32_t words[] = {2, 0, 8, 8, 4};
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, sizeof words);
        assert_memory_equal(o.layout, words, sizeof words);
    }
    EXPECT(library_get_module, CUDA_SUCCESS, .library = library, .module = module);
    EXPECT(module_unload, CUDA_ERROR_INVALID_HANDLE, .module = module); // it is the library's
    EXPECT(module_get_function, CUDA_SUCCESS, .module = module, .function = id(GN_KIND_FUNCTION, 4, 1),
           .name = "k", .name_bytes = 1);
    EXPECT(launch, CUDA_SUCCESS, .function = k, .stream = 2);
    gn_forget_context(&w, PRIMARY); // libraries are the process's
    EXPECT(library_unload, CUDA_SUCCESS, .library = library);
    EXPECT(launch, CUDA_ERROR_INVALID_HANDLE, .function = k, .stream = 2);
    assert_int_equal(atomic_load(&status.handles), 0);
    assert_int_equal(d.libraries, 0);
    gn_run_close(&w);
}

// Another module under a library's module's slot: the functions of the first must not be there when the library has gone.
static void parts_of_a_replaced_module_go_with_it(void **s)
{
    struct gn_worker w = ready();
    uint64_t library = id(GN_KIND_LIBRARY, 1, 1), first = id(GN_KIND_MODULE, 3, 1), f = id(GN_KIND_FUNCTION, 4, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(library_load, CUDA_SUCCESS, library, 1);
    EXPECT(library_get_module, CUDA_SUCCESS, library, first);
    EXPECT(module_get_function, CUDA_SUCCESS, .module = first, .function = f, .name = "k", .name_bytes = 1);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1);
    EXPECT(library_get_module, CUDA_SUCCESS, library, id(GN_KIND_MODULE, 3, 2));
    EXPECT(launch, CUDA_ERROR_INVALID_HANDLE, .function = f, .stream = 1);
    EXPECT(library_unload, CUDA_SUCCESS, library);
    EXPECT(launch, CUDA_ERROR_INVALID_HANDLE, .function = f, .stream = 1);
    assert_int_equal(d.launches, 1);
    assert_int_equal(atomic_load(&status.handles), 1); // the context
    gn_run_close(&w);
}

static void layouts_come_from_a_fatbin_too(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1);
    struct image_bytes image = fatbin_begin();
    (void)s;
    fatbin_add(&image, &(struct fatbin_part){
                           .kind = GN_FATBIN_PTX, .sm = 75, .payload = ptx, .payload_size = sizeof ptx});
    w.driver.calls.cuFuncGetParamInfo = NULL;
    give(&w, 1, image.data, image.size);
    free(image.data);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    {
        RUN(module_get_function, .module = module, .function = id(GN_KIND_FUNCTION, 2, 1), .name = "k",
            .name_bytes = 1);
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, 20);
    }
    EXPECT(module_unload, CUDA_SUCCESS, .module = module);
    gn_run_close(&w);
}

static void names_and_attributes_are_listed(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1), f = id(GN_KIND_FUNCTION, 2, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    {
        RUN(module_functions, .module = module);
        const char *at = o.names, *end = at + o.names_bytes;
        char expected[32];
        unsigned n = 0;
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.count, 3000);
        for (; at < end; at += strlen(at) + 1) {
            snprintf(expected, sizeof expected, "kernel_%u", ++n);
            assert_string_equal(at, expected);
        }
        assert_int_equal(n, 3000);
    }
    EXPECT(module_get_function, CUDA_SUCCESS, .module = module, .function = f, .name = "k", .name_bytes = 1);
    {
        RUN(function_attributes, .function = f, .device = 0xffffffff);
        int32_t values[16];
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.values_bytes, sizeof values); // as many as this driver knows
        memcpy(values, o.values, sizeof values);
        assert_int_equal(values[0], 100);
        assert_int_equal(values[15], 115);
    }
    EXPECT(library_kernels, CUDA_ERROR_INVALID_HANDLE, .library = id(GN_KIND_LIBRARY, 9, 1));
    gn_run_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_put_together),
        cmocka_unit_test(pieces_out_of_place_end_the_session),
        cmocka_unit_test(images_are_limited),
        cmocka_unit_test(a_driver_sees_no_image_that_lies),
        cmocka_unit_test(fatbins_to_be_linked_come_behind_a_wrapper),
        cmocka_unit_test(functions_go_with_their_module),
        cmocka_unit_test(parts_of_a_library_go_with_it),
        cmocka_unit_test(parts_of_a_replaced_module_go_with_it),
        cmocka_unit_test(layouts_come_from_a_fatbin_too),
        cmocka_unit_test(names_and_attributes_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
