// SPDX-License-Identifier: Apache-2.0
// Question: do the image readers agree with what nvcc makes? Method: one source compiled for several SMs and
// compressions; every part of every image must have the layouts that the C types have, from cubin and PTX
// alike, and the resources that ptxas reports. Skips without nvcc.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/mock/image_unpack.h"

enum { KERNELS = 4, PARAMS_MAX = 16, COMMAND_BYTES = 1024, PATH_BYTES = 64, LIMIT = 64 << 20 };

static const char source[] =
    "struct s { double d; char c[3]; };\n"
    "struct big { int x[2000]; };\n"
    "extern \"C\" __global__ void mixed(float *p, int n, char c, struct s v, short z) {\n"
    "    __shared__ int t[100]; t[threadIdx.x] = n; __syncthreads(); p[0] = t[3] + c + v.c[1] + v.d + z; }\n"
    "extern \"C\" __global__ void large(const __grid_constant__ struct big b, int *o) {\n"
    "    int l[64]; for (int i = 0; i < 64; i++) l[i] = b.x[i]; o[0] = l[threadIdx.x & 63]; }\n"
    "extern \"C\" __global__ void none() { }\n"
    "extern \"C\" __global__ void __launch_bounds__(128) bounded(float *p) { p[1] = p[0]; }\n";

static const struct kernel {
    const char *name;
    uint32_t param_count, param_bytes;
    struct gn_image_param params[5];
    uint32_t static_shared_bytes, max_threads;
} kernels[KERNELS] = {
    {"mixed", 5, 34, {{0, 8}, {8, 4}, {12, 1}, {16, 16}, {32, 2}}, 400, 0},
    {"large", 2, 8008, {{0, 8000}, {8000, 8}}, 0, 0},
    {"none", 0, 0, {{0, 0}}, 0, 0},
    {"bounded", 1, 8, {{0, 8}}, 0, 128},
};

static char folder[] = "/tmp/genie-image-XXXXXX";
static const char *nvcc;

static int find_nvcc(void **state)
{
    (void)state;
    static const char *const places[] = {"/usr/local/cuda/bin/nvcc", "/usr/bin/nvcc"};
    for (size_t i = 0; i < 2 && !nvcc; i++)
        nvcc = access(places[i], X_OK) == 0 ? places[i] : NULL;
    if (!mkdtemp(folder))
        return -1;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/a.cu", folder);
    FILE *file = fopen(path, "w");
    if (!file)
        return -1;
    fputs(source, file);
    return fclose(file);
}

static int remove_folder(void **state)
{
    (void)state;
    char command[COMMAND_BYTES];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

// Compiles with these options and loads the result; the size is exact, but a NUL follows. NULL when this nvcc
// does not know an option.
static uint8_t *compile(const char *options, size_t *size)
{
    char command[COMMAND_BYTES], path[PATH_BYTES];
    if (!nvcc) {
        print_message("no nvcc here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/out", folder);
    snprintf(command, sizeof command, "%s %s -o %s %s/a.cu >%s/log 2>&1", nvcc, options, path, folder,
             folder);
    if (system(command) != 0) {
        print_message("not tried, nvcc refuses: %s\n", options);
        return NULL;
    }
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size + 1);
    assert_int_equal(fread(data, 1, *size, file), *size);
    data[*size] = 0;
    fclose(file);
    return data;
}

static const struct kernel *find_kernel(const char *name, uint64_t bytes, unsigned *seen)
{
    for (unsigned i = 0; i < KERNELS; i++) {
        if (strlen(kernels[i].name) == bytes && memcmp(kernels[i].name, name, bytes) == 0) {
            assert_false(*seen & 1u << i);
            *seen |= 1u << i;
            return &kernels[i];
        }
    }
    fail_msg("kernel %.*s is none of ours", (int)bytes, name);
    return NULL;
}

static void check_layout(const struct kernel *want, uint32_t count, uint32_t bytes,
                         const struct gn_image_param *params)
{
    assert_int_equal(count, want->param_count);
    assert_int_equal(bytes, want->param_bytes);
    assert_memory_equal(params, want->params, count * sizeof *params);
}

static void check_cubin(const uint8_t *data, size_t size, uint32_t sm)
{
    struct gn_image image;
    struct gn_cubin c;
    struct gn_cubin_kernel kernel;
    struct gn_cubin_resources resources;
    struct gn_image_param params[PARAMS_MAX];
    unsigned seen = 0;
    int rc;
    assert_int_equal(gn_image_probe(data, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_CUBIN);
    assert_int_equal(image.size_bytes, size);
    assert_int_equal(gn_cubin_open(&c, data, size), 0);
    assert_int_equal(c.sm, sm);
    while ((rc = gn_cubin_next(&c, &kernel)) > 0) {
        const struct kernel *want = find_kernel(kernel.name, kernel.name_bytes, &seen);
        assert_int_equal(gn_cubin_params(&c, &kernel, params, PARAMS_MAX), 0);
        check_layout(want, kernel.param_count, kernel.param_bytes, params);
        assert_int_equal(kernel.max_threads, want->max_threads);
        assert_int_equal(gn_cubin_resources(&c, &kernel, &resources), 0);
        assert_true(resources.registers >= 2 && resources.registers <= 255);
        assert_int_equal(resources.static_shared_bytes, want->static_shared_bytes);
        assert_int_equal(resources.local_bytes, strcmp(want->name, "large") == 0 ? 256 : 0);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(seen, (1u << KERNELS) - 1);
}

static void check_ptx(const char *text, size_t size, uint32_t sm)
{
    struct gn_ptx_iter it;
    struct gn_ptx_entry e;
    struct gn_image_param params[PARAMS_MAX];
    unsigned seen = 0;
    int rc;
    assert_int_equal(gn_ptx_target(text, size), sm);
    gn_ptx_begin(&it, text, size);
    while ((rc = gn_ptx_next(&it, &e, params, PARAMS_MAX)) > 0)
        check_layout(find_kernel(e.name, e.name_bytes, &seen), e.param_count, e.param_bytes, params);
    assert_int_equal(rc, 0);
    assert_int_equal(seen, (1u << KERNELS) - 1);
}

static void cubins_are_read(void **state)
{
    (void)state;
    static const char *const targets[] = {"75", "80", "86", "89", "90", "90a", "100", "120"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char options[64];
        size_t size;
        snprintf(options, sizeof options, "-cubin -arch=sm_%s", targets[i]);
        uint8_t *data = compile(options, &size);
        if (data)
            check_cubin(data, size, (uint32_t)atoi(targets[i]));
        free(data);
    }
}

static void ptx_is_read(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = compile("-ptx -arch=sm_75", &size);
    struct gn_image image;
    assert_non_null(data);
    assert_int_equal(gn_image_probe(data, GN_IMAGE_SIZE_UNKNOWN, &image), 0);
    assert_int_equal(image.kind, GN_IMAGE_PTX);
    assert_int_equal(image.size_bytes, size + 1);
    check_ptx((const char *)data, size, 75);
    free(data);
}

static void check_fatbin(const uint8_t *data, size_t size, const char *options, unsigned want_ptx,
                         unsigned want_cubin)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry e;
    unsigned ptx = 0, cubin = 0;
    int rc = gn_fatbin_begin(&it, data, GN_IMAGE_SIZE_UNKNOWN);
    assert_int_equal(rc, 0);
    assert_int_equal(it.size_bytes, size);
    while ((rc = gn_fatbin_next(&it, &e)) > 0) {
        uint8_t *part;
        uint64_t part_size;
        const char *reason;
        if (e.kind != GN_FATBIN_PTX && e.kind != GN_FATBIN_CUBIN)
            continue;
        if (mock_entry_unpack(&e, LIMIT, &part, &part_size, &reason) != 0)
            fail_msg("%s: %s", options, reason);
        if (e.kind == GN_FATBIN_PTX)
            check_ptx((const char *)part, part_size, e.sm);
        else
            check_cubin(part, part_size, e.sm);
        ptx += e.kind == GN_FATBIN_PTX;
        cubin += e.kind == GN_FATBIN_CUBIN;
        free(part);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(ptx, want_ptx);
    assert_int_equal(cubin, want_cubin);
}

static void fatbins_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        unsigned ptx, cubin;
    } cases[] = {
        {"-fatbin -gencode arch=compute_75,code=[sm_75,compute_75]", 1, 1},
        {"-fatbin -compress-mode=size -gencode arch=compute_75,code=[sm_75,compute_75]", 1, 1},
        {"-fatbin -compress-mode=speed -gencode arch=compute_75,code=[sm_75,compute_75]", 1, 1},
        {"-fatbin -compress-mode=none -gencode arch=compute_75,code=[sm_75,compute_75]", 1, 1},
        {"-fatbin -gencode arch=compute_75,code=compute_75 -gencode arch=compute_80,code=sm_80 "
         "-gencode arch=compute_90,code=[sm_90,compute_90,lto_90]",
         2, 2},
        {"-fatbin -G -gencode arch=compute_75,code=compute_75", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        uint8_t *data = compile(cases[i].options, &size);
        if (data)
            check_fatbin(data, size, cases[i].options, cases[i].ptx, cases[i].cubin);
        free(data);
    }
}

static void the_part_for_a_device_is_picked(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data =
        compile("-fatbin -gencode arch=compute_75,code=compute_75 -gencode arch=compute_80,code=sm_80 "
                "-gencode arch=compute_90a,code=[sm_90a,compute_90a]",
                &size);
    static const struct {
        uint32_t device;
        enum mock_image_want want;
        enum gn_image_kind kind;
        uint32_t sm;
    } cases[] = {
        {75, MOCK_IMAGE_CUBIN_FIRST, GN_IMAGE_PTX, 75},   {86, MOCK_IMAGE_CUBIN_FIRST, GN_IMAGE_CUBIN, 80},
        {86, MOCK_IMAGE_PTX_FIRST, GN_IMAGE_PTX, 75},     {90, MOCK_IMAGE_PTX_FIRST, GN_IMAGE_PTX, 90},
        {90, MOCK_IMAGE_CUBIN_FIRST, GN_IMAGE_CUBIN, 90}, {100, MOCK_IMAGE_CUBIN_FIRST, GN_IMAGE_PTX, 75},
    };
    if (!data)
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mock_image image;
        assert_int_equal(mock_image_pick(data, size, cases[i].device, cases[i].want, LIMIT, &image), 0);
        assert_int_equal(image.kind, cases[i].kind);
        assert_int_equal(image.sm, cases[i].sm);
        mock_image_free(&image);
    }
    struct mock_image image;
    assert_int_equal(mock_image_pick(data, size, 70, MOCK_IMAGE_PTX_FIRST, LIMIT, &image), -ENOENT);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cubins_are_read),
        cmocka_unit_test(ptx_is_read),
        cmocka_unit_test(fatbins_are_read),
        cmocka_unit_test(the_part_for_a_device_is_picked),
    };
    return cmocka_run_group_tests_name("image_nvcc", tests, find_nvcc, remove_folder);
}
