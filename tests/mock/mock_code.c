// SPDX-License-Identifier: Apache-2.0
// From an image to the kernels in it.
#include "tests/mock/mock_code.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_state.h"

enum {
    PTX_VERSION_MAX = 90,   // what a driver of CUDA 13.0 compiles
    REGISTERS_UNKNOWN = 32, // of a cubin's kernel that does not tell
};

static CUresult refuse(char *log, CUresult code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static CUresult refuse(char *log, CUresult code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(log, MOCK_LOG_BYTES, format, args);
    va_end(args);
    return code;
}

// Behind white space and comments.
static const char *skip_blank(const char *at)
{
    for (;;) {
        at += strspn(at, " \t\r\n\f\v");
        if (at[0] == '/' && at[1] == '/') {
            at += strcspn(at, "\n");
        } else if (at[0] == '/' && at[1] == '*') {
            const char *close = strstr(at + 2, "*/");
            if (!close)
                return at;
            at = close + 2;
        } else {
            return at;
        }
    }
}

// A version that the driver does not know yet has an error of its own, so it is looked at before the parser sees the text.
static CUresult check_version(const char *text, char *log)
{
    unsigned major, minor;
    const char *at = skip_blank(text);
    if (strncmp(at, ".version", 8))
        return CUDA_SUCCESS; // the parser will say what is wrong
    at = skip_blank(at + 8);
    if (sscanf(at, "%3u.%3u", &major, &minor) != 2 || 10 * major + minor <= PTX_VERSION_MAX)
        return CUDA_SUCCESS;
    return refuse(log, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "unsupported .version %u.%u; the current version is %d.%d",
                  major, minor, PTX_VERSION_MAX / 10, PTX_VERSION_MAX % 10);
}

CUresult mock_code_parse(struct mock_code *code, struct ptx_module **out, char log[MOCK_LOG_BYTES])
{
    struct ptx_error error = {0};
    uint32_t count = code->parts.count;
    if (code->spare) {
        *out = code->spare;
        code->spare = NULL;
        return CUDA_SUCCESS;
    }
    struct ptx_text *texts = calloc(count, sizeof *texts);
    if (!texts)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        texts[i] = (struct ptx_text){(const char *)code->parts.images[i].data, code->parts.images[i].size_bytes};
    int r = ptx_parse_many(texts, count, mock.options.sm, out, &error);
    free(texts);
    switch (r) {
    case 0: return CUDA_SUCCESS;
    case -ENOMEM: return CUDA_ERROR_OUT_OF_MEMORY;
    default:
        if (count > 1)
            return refuse(log, CUDA_ERROR_INVALID_PTX, "ptx: text %u of %u, line %u, column %u: %s", error.unit + 1,
                          count, error.line, error.column, error.text);
        return refuse(log, CUDA_ERROR_INVALID_PTX, "ptx: line %u, column %u: %s", error.line, error.column,
                      error.text);
    }
}

static CUresult load_ptx(struct mock_code *code, char *log)
{
    struct ptx_module *module;
    CUresult r = CUDA_SUCCESS;
    for (uint32_t i = 0; r == CUDA_SUCCESS && i < code->parts.count; i++)
        r = check_version((const char *)code->parts.images[i].data, log);
    if (r == CUDA_SUCCESS)
        r = mock_code_parse(code, &module, log);
    if (r != CUDA_SUCCESS)
        return r;
    code->spare = module;
    code->is_ptx = true;
    code->ptx_sm = ptx_target_sm(module);
    code->kernels = calloc(ptx_func_count(module) + 1, sizeof *code->kernels);
    for (size_t i = 0; code->kernels && i < ptx_func_count(module); i++) {
        struct ptx_func_info *k = &code->kernels[i];
        ptx_func_info(ptx_func_at(module, i), k);
        struct ptx_param *params = malloc((k->param_count + 1) * sizeof *params);
        char *name = strdup(k->name);
        if (!params || !name) {
            free(params);
            free(name);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        if (k->param_count)
            memcpy(params, k->params, k->param_count * sizeof *params);
        k->params = params;
        k->name = name;
        code->kernel_count++;
    }
    return code->kernels ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// Doubles what is not a power of two any more: `count` entries are in use.
static void *room(void *array, size_t count, size_t entry_bytes)
{
    if (count & (count - 1) || (count && count < 16))
        return array;
    return realloc(array, (count ? 2 * count : 16) * entry_bytes);
}

// One kernel of a cubin, in the form that the PTX engine would describe it.
static CUresult add_kernel(struct mock_code *code, const struct gn_cubin_kernel *k)
{
    struct ptx_func_info *kernels = room(code->kernels, code->kernel_count, sizeof *kernels);
    code->kernels = kernels ? kernels : code->kernels;
    struct gn_cubin_kernel *raw = room(code->cubin_kernels, code->kernel_count, sizeof *raw);
    code->cubin_kernels = raw ? raw : code->cubin_kernels;
    struct gn_image_param *from = malloc((k->param_count + 1) * sizeof *from);
    struct ptx_param *params = malloc((k->param_count + 1) * sizeof *params);
    char *name = strndup(k->name, k->name_bytes);
    if (!kernels || !raw || !from || !params || !name) {
        free(from);
        free(params);
        free(name);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    int r = gn_cubin_params(&code->cubin, k, from, k->param_count);
    for (uint32_t i = 0; !r && i < k->param_count; i++)
        params[i] = (struct ptx_param){from[i].offset_bytes, from[i].size_bytes, 1};
    free(from);
    raw[code->kernel_count] = *k;
    kernels[code->kernel_count++] = (struct ptx_func_info){
        .name = name, .params = params, .param_count = k->param_count, .param_bytes = k->param_bytes,
        .max_threads = k->max_threads ? k->max_threads : MOCK_BLOCK_THREADS_MAX,
        .required_block = {k->required_block[0], k->required_block[1], k->required_block[2]}};
    return r ? CUDA_ERROR_INVALID_IMAGE : CUDA_SUCCESS;
}

static CUresult load_cubin(struct mock_code *code, char *log)
{
    struct gn_cubin_kernel kernel;
    struct gn_cubin *cubin = &code->cubin;
    const struct mock_image *image = &code->parts.images[0];
    code->ptx_sm = image->sm;
    int r = gn_cubin_open(cubin, image->data, image->size_bytes);
    while (!r && (r = gn_cubin_next(cubin, &kernel)) == 1) {
        CUresult added = add_kernel(code, &kernel);
        if (added != CUDA_SUCCESS)
            return refuse(log, added, "cubin: kernel %.*s: %s", (int)kernel.name_bytes, kernel.name,
                          cubin->error.reason ? cubin->error.reason : "no memory");
        r = 0;
    }
    if (r < 0)
        return refuse(log, CUDA_ERROR_INVALID_IMAGE, "cubin: offset %llu: %s",
                      (unsigned long long)cubin->error.offset_bytes, cubin->error.reason);
    r = mock_cubin_vars(image->data, image->size_bytes, &code->cubin_vars, &code->cubin_var_count);
    return !r             ? CUDA_SUCCESS
           : r == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY
                          : refuse(log, CUDA_ERROR_INVALID_IMAGE, "cubin: its variables lie outside the file");
}

void mock_code_complete(struct mock_code *code, size_t index)
{
    struct gn_cubin_resources resources;
    struct ptx_func_info *k = &code->kernels[index];
    if (code->is_ptx || k->registers)
        return;
    if (gn_cubin_resources(&code->cubin, &code->cubin_kernels[index], &resources))
        resources = (struct gn_cubin_resources){0};
    k->registers = resources.registers ? resources.registers : REGISTERS_UNKNOWN;
    k->static_shared_bytes = resources.static_shared_bytes;
    k->local_bytes = resources.local_bytes;
}

static CUresult pick(const void *image, size_t avail_bytes, struct mock_parts *out, char *log)
{
    struct gn_image probe;
    switch (mock_image_pick_parts(image, avail_bytes, mock.options.sm, MOCK_IMAGE_UNPACKED_MAX, out)) {
    case 0: return CUDA_SUCCESS;
    case -ENOMEM: return CUDA_ERROR_OUT_OF_MEMORY;
    case -ENOENT:
        if (!gn_image_probe(image, avail_bytes, &probe) && probe.kind == GN_IMAGE_PTX)
            return refuse(log, CUDA_ERROR_INVALID_PTX, "ptx: .target sm_%u is newer than the device's sm_%u",
                          gn_ptx_target(image, probe.size_bytes), mock.options.sm);
        return refuse(log, CUDA_ERROR_NO_BINARY_FOR_GPU, "image: nothing in it runs on sm_%u", mock.options.sm);
    default:
        return refuse(log, CUDA_ERROR_INVALID_IMAGE, "image: offset %llu: %s",
                      (unsigned long long)out->error.offset_bytes, out->error.reason ? out->error.reason : "malformed");
    }
}

CUresult mock_code_load(const void *image, size_t avail_bytes, struct mock_code **out, char log[MOCK_LOG_BYTES])
{
    struct mock_code *code = calloc(1, sizeof *code);
    log[0] = '\0';
    if (!code)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = pick(image, avail_bytes, &code->parts, log);
    if (r != CUDA_SUCCESS) {
        free(code);
        return r;
    }
    r = code->parts.images[0].kind == GN_IMAGE_PTX ? load_ptx(code, log) : load_cubin(code, log);
    if (r != CUDA_SUCCESS) {
        mock_code_free(code);
        return r;
    }
    *out = code;
    return CUDA_SUCCESS;
}

void mock_code_free(struct mock_code *code)
{
    if (!code)
        return;
    for (size_t i = 0; i < code->kernel_count; i++) {
        free((void *)(uintptr_t)code->kernels[i].name);
        free((void *)(uintptr_t)code->kernels[i].params);
    }
    free(code->kernels);
    free(code->cubin_kernels);
    free(code->cubin_vars);
    if (code->spare)
        ptx_free(code->spare);
    mock_parts_free(&code->parts);
    free(code);
}

long mock_code_find(const struct mock_code *code, const char *name)
{
    for (size_t i = 0; i < code->kernel_count; i++)
        if (!strcmp(code->kernels[i].name, name))
            return (long)i;
    return -1;
}
