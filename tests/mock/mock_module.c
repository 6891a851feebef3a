// SPDX-License-Identifier: Apache-2.0
// Modules: loading an image into a context, its functions and variables.
#include "tests/mock/mock_module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_sched.h"

enum { FILE_BYTES_MAX = 1 << 30 }; // a module's file; the largest of a CUDA library is half of it

// --- making and ending

void mock_settings_init(struct mock_func_settings *s)
{
    *s = (struct mock_func_settings){.dynamic_shared_max = -1, .carveout = CU_SHAREDMEM_CARVEOUT_DEFAULT, .version = 1};
}

static void free_module(struct mock_module *m)
{
    for (size_t i = 0; i < m->var_count; i++)
        mock_arena_free_internal(m->addresses[i]);
    for (size_t i = 0; m->functions && i < m->code->kernel_count; i++)
        mock_handle_close(m->functions[i].id);
    free(m->functions);
    free(m->addresses);
    if (m->ptx)
        ptx_free(m->ptx);
    if (m->owns_code)
        mock_code_free(m->code);
    mock_context_drop(m->context);
    free(m);
}

void mock_module_end(struct mock_module *m)
{
    if (m->library)
        for (struct mock_module **at = &m->library->instances; *at; at = &(*at)->next)
            if (*at == m) {
                *at = m->next;
                break;
            }
    mock_handle_close(m->id);
    free_module(m);
}

void mock_modules_context_gone(struct mock_context *c)
{
    uint32_t index = 0;
    for (struct gn_handle_slot *s; (s = gn_handle_next(&mock.handles, &index)) != NULL;)
        if (gn_handle_kind(s->id) == GN_KIND_MODULE && s->context == c->id)
            mock_module_end(s->object);
}

// A variable of the module, by its number.
static struct mock_cubin_var variable(const struct mock_module *m, size_t i)
{
    if (!m->ptx)
        return m->code->cubin_vars[i];
    struct ptx_var v;
    ptx_var_at(m->ptx, i, &v);
    return (struct mock_cubin_var){.name = v.name, .size_bytes = v.size_bytes};
}

// Nothing here runs a cubin, but programs look its variables up, and read and write them.
static CUresult place_cubin(struct mock_module *m)
{
    const struct mock_code *code = m->code;
    m->addresses = calloc(code->cubin_var_count + 1, sizeof *m->addresses);
    if (!m->addresses)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < code->cubin_var_count; i++) {
        const struct mock_cubin_var *v = &code->cubin_vars[i];
        if (mock_arena_alloc(m->context->device, v->size_bytes, m->context->id, MOCK_INTERNAL, &m->addresses[i]))
            return CUDA_ERROR_OUT_OF_MEMORY;
        m->var_count = i + 1;
        void *at = (void *)(uintptr_t)m->addresses[i];
        if (v->initial)
            memcpy(at, v->initial, v->size_bytes);
        else
            memset(at, 0, v->size_bytes);
        if (v->is_constant)
            m->const_bytes += v->size_bytes;
    }
    return CUDA_SUCCESS;
}

// Gives every variable memory and links. Modules are not linked together: what one declares .extern was found in its own texts.
static CUresult place(struct mock_module *m, char *log)
{
    struct ptx_error error = {0};
    size_t count = ptx_var_count(m->ptx);
    uint64_t *addresses = m->addresses = calloc(count + 1, sizeof *addresses);
    if (!addresses)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->var_count = count;
    for (size_t i = 0; i < count; i++) {
        struct ptx_var v;
        ptx_var_at(m->ptx, i, &v);
        uint64_t bytes = v.size_bytes ? v.size_bytes : 1;
        if (v.align_bytes > MOCK_ALLOC_ALIGN) {
            snprintf(log, MOCK_LOG_BYTES, "ptx: %s: an alignment of %u is not supported", v.name, v.align_bytes);
            return CUDA_ERROR_INVALID_PTX;
        }
        if (mock_arena_alloc(m->context->device, bytes, m->context->id, MOCK_INTERNAL, &addresses[i]))
            return CUDA_ERROR_OUT_OF_MEMORY;
        memset((void *)(uintptr_t)addresses[i], 0, bytes);
        if (v.space == PTX_SPACE_CONST)
            m->const_bytes += v.size_bytes;
    }
    int r = ptx_link(m->ptx, addresses, &error);
    if (r)
        snprintf(log, MOCK_LOG_BYTES, "ptx: %s", error.text);
    return r ? CUDA_ERROR_INVALID_PTX : CUDA_SUCCESS;
}

CUresult mock_module_make(struct mock_code *code, struct mock_library *library, struct mock_module **out,
                          char log[MOCK_LOG_BYTES])
{
    struct mock_context *c = mock_context_here();
    struct mock_module *m = calloc(1, sizeof *m);
    CUresult r = CUDA_SUCCESS;
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->context = c;
    m->code = code;
    mock_context_hold(c);
    if (code->is_ptx)
        r = mock_code_parse(code, &m->ptx, log);
    m->functions = calloc(code->kernel_count + 1, sizeof *m->functions);
    if (r == CUDA_SUCCESS && !m->functions)
        r = CUDA_ERROR_OUT_OF_MEMORY;
    if (r == CUDA_SUCCESS)
        r = code->is_ptx ? place(m, log) : place_cubin(m);
    for (size_t i = 0; r == CUDA_SUCCESS && i < code->kernel_count; i++) {
        struct mock_function *f = &m->functions[i];
        *f = (struct mock_function){.module = m, .info = &code->kernels[i]};
        f->func = code->is_ptx ? ptx_func_at(m->ptx, i) : NULL;
        mock_settings_init(&f->own);
        f->settings = library ? &library->kernels[i].settings[c->device] : &f->own;
    }
    if (r == CUDA_SUCCESS)
        r = mock_handle_new(GN_KIND_MODULE, c->id, m, &m->id);
    if (r != CUDA_SUCCESS) {
        free_module(m);
        return r;
    }
    m->library = library;
    m->owns_code = !library; // only now: while it was incomplete, the code was the caller's
    *out = m;
    return CUDA_SUCCESS;
}

CUresult mock_module_global(struct mock_module *m, const char *name, CUdeviceptr *address, size_t *bytes)
{
    if (!name || !*name || (!address && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < m->var_count; i++) {
        struct mock_cubin_var v = variable(m, i);
        if (strcmp(v.name, name))
            continue;
        if (address)
            *address = m->addresses[i];
        if (bytes)
            *bytes = v.size_bytes;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
}

CUresult mock_function_handle(struct mock_function *f, CUfunction *handle)
{
    CUresult r = f->id ? CUDA_SUCCESS : mock_handle_new(GN_KIND_FUNCTION, f->module->context->id, f, &f->id);
    if (r == CUDA_SUCCESS)
        mock_handle_give(handle, f->id);
    return r;
}

// --- options of a load

CUresult mock_jit_check(unsigned count, const CUjit_option *options, void *const *values)
{
    if (count && (!options || !values))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++)
        if (options[i] > CU_JIT_SPLIT_COMPILE)
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

// Writes one log and, into its size option, how many bytes of the buffer were used.
static void report(unsigned count, const CUjit_option *options, void **values, CUjit_option buffer_option,
                   CUjit_option size_option, const char *text)
{
    char *buffer = NULL;
    void **size = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == buffer_option)
            buffer = values[i];
        else if (options[i] == size_option)
            size = &values[i];
    }
    if (!buffer || !size)
        return;
    size_t room = (size_t)(uintptr_t)*size & UINT32_MAX, used = 0; // the option is an unsigned int
    if (room && *text) {
        snprintf(buffer, room, "%s", text);
        used = strlen(buffer) + 1;
    } else if (room) {
        buffer[0] = '\0';
    }
    *size = (void *)(uintptr_t)used;
}

void mock_jit_report(unsigned count, const CUjit_option *options, void **values, const char *log)
{
    report(count, options, values, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, log);
    report(count, options, values, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, "");
    if (*log)
        mock_say("%s", log);
}

// --- loading

static CUresult load(CUmodule *module, const void *image, size_t avail_bytes, unsigned count,
                     const CUjit_option *options, void **values)
{
    char log[MOCK_LOG_BYTES] = "";
    struct mock_context *c = mock_context_here();
    struct mock_code *code;
    struct mock_module *m;
    CUresult r = module && image ? mock_jit_check(count, options, values) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    mock_unlock(); // parsing a large image takes a while
    r = mock_code_load(image, avail_bytes, &code, log);
    mock_lock();
    if (r == CUDA_SUCCESS) {
        r = mock_context_is_usable(c) ? mock_module_make(code, NULL, &m, log) : CUDA_ERROR_CONTEXT_IS_DESTROYED;
        if (r != CUDA_SUCCESS)
            mock_code_free(code);
    }
    if (r == CUDA_SUCCESS)
        mock_handle_give(module, m->id);
    mock_jit_report(count, options, values, log);
    return r;
}

CUresult mock_file_read(const char *path, void **data, size_t *size_bytes)
{
    FILE *file = fopen(path, "rbe");
    CUresult r = CUDA_ERROR_FILE_NOT_FOUND;
    long size;
    char *bytes = NULL;
    if (!file)
        return r;
    if (!fseek(file, 0, SEEK_END) && (size = ftell(file)) >= 0 && size <= FILE_BYTES_MAX &&
        !fseek(file, 0, SEEK_SET)) {
        bytes = malloc((size_t)size + 1);
        r = bytes ? CUDA_ERROR_INVALID_IMAGE : CUDA_ERROR_OUT_OF_MEMORY;
        if (bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size) {
            bytes[size] = '\0';
            *data = bytes;
            *size_bytes = (size_t)size;
            r = CUDA_SUCCESS;
        }
    }
    if (r != CUDA_SUCCESS)
        free(bytes);
    fclose(file);
    return r;
}

CUresult mock_cuModuleLoad(CUmodule *module, const char *fname)
{
    void *data;
    size_t bytes;
    if (!module || !fname)
        return CUDA_ERROR_INVALID_VALUE;
    mock_unlock();
    CUresult r = mock_file_read(fname, &data, &bytes);
    mock_lock();
    if (r != CUDA_SUCCESS)
        return r;
    r = load(module, data, bytes + 1, 0, NULL, NULL);
    free(data);
    return r;
}

CUresult mock_cuModuleLoadData(CUmodule *module, const void *image)
{
    return load(module, image, GN_IMAGE_SIZE_UNKNOWN, 0, NULL, NULL);
}

CUresult mock_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions, CUjit_option *options,
                                 void **optionValues)
{
    return load(module, image, GN_IMAGE_SIZE_UNKNOWN, numOptions, options, optionValues);
}

CUresult mock_cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
    return load(module, fatCubin, GN_IMAGE_SIZE_UNKNOWN, 0, NULL, NULL);
}

CUresult mock_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    const char *wish = getenv("CUDA_MODULE_LOADING");
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = wish && !strcmp(wish, "EAGER") ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

static struct mock_module *find(CUmodule handle) { return mock_handle_get(handle, GN_KIND_MODULE); }

CUresult mock_cuModuleUnload(CUmodule hmod)
{
    struct mock_module *m = find(hmod);
    if (!m || m->library) // a library's module is not the program's to unload
        return CUDA_ERROR_INVALID_HANDLE;
    mock_context_wait(m->context);
    m = find(hmod);
    if (m)
        mock_module_end(m);
    return CUDA_SUCCESS;
}

// --- what is in a module

CUresult mock_cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)
{
    struct mock_module *m = find(hmod);
    if (!hfunc || !name || !*name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!m)
        return CUDA_ERROR_INVALID_HANDLE;
    long index = mock_code_find(m->code, name);
    return index < 0 ? CUDA_ERROR_NOT_FOUND : mock_function_handle(&m->functions[index], hfunc);
}

CUresult mock_cuModuleGetFunctionCount(unsigned int *count, CUmodule mod)
{
    struct mock_module *m = find(mod);
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    if (!m)
        return CUDA_ERROR_INVALID_HANDLE;
    *count = (unsigned)m->code->kernel_count;
    return CUDA_SUCCESS;
}

CUresult mock_cuModuleEnumerateFunctions(CUfunction *functions, unsigned int numFunctions, CUmodule mod)
{
    struct mock_module *m = find(mod);
    if (!functions || !numFunctions)
        return CUDA_ERROR_INVALID_VALUE;
    if (!m)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = CUDA_SUCCESS;
    for (size_t i = 0; r == CUDA_SUCCESS && i < numFunctions && i < m->code->kernel_count; i++)
        r = mock_function_handle(&m->functions[i], &functions[i]);
    return r;
}

CUresult mock_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name)
{
    struct mock_module *m = find(hmod);
    return m ? mock_module_global(m, name, dptr, bytes) : CUDA_ERROR_INVALID_HANDLE;
}
