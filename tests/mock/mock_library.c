// SPDX-License-Identifier: Apache-2.0
// Libraries: images loaded for no context in particular, whose modules come to be in each context that uses them; and their kernels.
#include <stdlib.h>

#include "api_mock.h"
#include "tests/mock/mock_module.h"
#include "tests/mock/mock_sched.h"

static struct mock_library *find(CUlibrary handle) { return mock_handle_get(handle, GN_KIND_LIBRARY); }
static struct mock_kernel *find_kernel(CUkernel handle) { return mock_handle_get(handle, GN_KIND_KERNEL); }

// --- loading and unloading

static void end(struct mock_library *l)
{
    while (l->instances)
        mock_module_end(l->instances);
    for (size_t i = 0; l->kernels && i < l->code->kernel_count; i++)
        mock_handle_close(l->kernels[i].id);
    mock_handle_close(l->id);
    free(l->kernels);
    mock_code_free(l->code);
    free(l);
}

static CUresult make(struct mock_code *code, struct mock_library **out)
{
    struct mock_library *l = calloc(1, sizeof *l);
    if (!l) {
        mock_code_free(code);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    l->code = code;
    l->kernels = calloc(code->kernel_count + 1, sizeof *l->kernels);
    for (size_t i = 0; l->kernels && i < code->kernel_count; i++) {
        l->kernels[i].library = l;
        l->kernels[i].index = i;
        for (unsigned d = 0; d < MOCK_DEVICES_MAX; d++)
            mock_settings_init(&l->kernels[i].settings[d]);
    }
    if (!l->kernels || mock_handle_new(GN_KIND_LIBRARY, 0, l, &l->id) != CUDA_SUCCESS) {
        end(l);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = l;
    return CUDA_SUCCESS;
}

static CUresult load(CUlibrary *library, const void *code, size_t avail_bytes, unsigned count,
                     const CUjit_option *options, void **values)
{
    char log[MOCK_LOG_BYTES] = "";
    struct mock_code *loaded;
    struct mock_library *l;
    mock_unlock(); // unpacking and parsing take a while
    CUresult r = mock_code_load(code, avail_bytes, &loaded, log);
    mock_lock();
    if (r == CUDA_SUCCESS)
        r = make(loaded, &l);
    if (r == CUDA_SUCCESS)
        mock_handle_give(library, l->id);
    mock_jit_report(count, options, values, log);
    return r;
}

static CUresult check_options(unsigned count, const CUlibraryOption *options)
{
    if (count && !options) // the values may be missing: the flag options have none
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++)
        if (options[i] >= CU_LIBRARY_NUM_OPTIONS)
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult mock_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions,
                                void **jitOptionsValues, unsigned int numJitOptions, CUlibraryOption *libraryOptions,
                                void **libraryOptionValues, unsigned int numLibraryOptions)
{
    (void)libraryOptionValues;
    CUresult r = library && code ? mock_jit_check(numJitOptions, jitOptions, jitOptionsValues)
                                 : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        r = check_options(numLibraryOptions, libraryOptions);
    if (r != CUDA_SUCCESS)
        return r;
    return load(library, code, GN_IMAGE_SIZE_UNKNOWN, numJitOptions, jitOptions, jitOptionsValues);
}

CUresult mock_cuLibraryLoadFromFile(CUlibrary *library, const char *fileName, CUjit_option *jitOptions,
                                    void **jitOptionsValues, unsigned int numJitOptions,
                                    CUlibraryOption *libraryOptions, void **libraryOptionValues,
                                    unsigned int numLibraryOptions)
{
    void *data;
    size_t bytes;
    (void)libraryOptionValues;
    CUresult r = library && fileName ? mock_jit_check(numJitOptions, jitOptions, jitOptionsValues)
                                     : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        r = check_options(numLibraryOptions, libraryOptions);
    if (r != CUDA_SUCCESS)
        return r;
    mock_unlock();
    r = mock_file_read(fileName, &data, &bytes);
    mock_lock();
    if (r != CUDA_SUCCESS)
        return r;
    r = load(library, data, bytes + 1, numJitOptions, jitOptions, jitOptionsValues);
    free(data);
    return r;
}

CUresult mock_cuLibraryUnload(CUlibrary library)
{
    struct mock_library *l = find(library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    // Its kernels may still be queued. The wait gives the lock up, so every step looks again.
    for (struct mock_module *m = l->instances; m; m = l->instances) {
        mock_context_wait(m->context);
        if (!(l = find(library)))
            return CUDA_SUCCESS;
        if (l->instances == m)
            mock_module_end(m);
    }
    end(l);
    return CUDA_SUCCESS;
}

// --- what is in a library

CUresult mock_library_instance(struct mock_library *l, struct mock_module **out)
{
    char log[MOCK_LOG_BYTES] = "";
    const struct mock_context *c = mock_context_here();
    if (!c || !mock_context_is_usable(c))
        return CUDA_ERROR_INVALID_CONTEXT;
    for (struct mock_module *m = l->instances; m; m = m->next)
        if (m->context == c) {
            *out = m;
            return CUDA_SUCCESS;
        }
    CUresult r = mock_module_make(l->code, l, out, log);
    if (*log)
        mock_say("%s", log);
    if (r != CUDA_SUCCESS)
        return r;
    (*out)->next = l->instances;
    l->instances = *out;
    return CUDA_SUCCESS;
}

static CUresult give_kernel(struct mock_kernel *k, CUkernel *handle)
{
    CUresult r = k->id ? CUDA_SUCCESS : mock_handle_new(GN_KIND_KERNEL, 0, k, &k->id);
    if (r == CUDA_SUCCESS)
        mock_handle_give(handle, k->id);
    return r;
}

CUresult mock_cuLibraryGetKernel(CUkernel *pKernel, CUlibrary library, const char *name)
{
    struct mock_library *l = find(library);
    if (!pKernel || !name || !*name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    long index = mock_code_find(l->code, name);
    return index < 0 ? CUDA_ERROR_NOT_FOUND : give_kernel(&l->kernels[index], pKernel);
}

CUresult mock_cuLibraryGetKernelCount(unsigned int *count, CUlibrary lib)
{
    struct mock_library *l = find(lib);
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    *count = (unsigned)l->code->kernel_count;
    return CUDA_SUCCESS;
}

CUresult mock_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int numKernels, CUlibrary lib)
{
    struct mock_library *l = find(lib);
    if (!kernels || !numKernels)
        return CUDA_ERROR_INVALID_VALUE;
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = CUDA_SUCCESS;
    for (size_t i = 0; r == CUDA_SUCCESS && i < numKernels && i < l->code->kernel_count; i++)
        r = give_kernel(&l->kernels[i], &kernels[i]);
    return r;
}

CUresult mock_cuLibraryGetModule(CUmodule *pMod, CUlibrary library)
{
    struct mock_library *l = find(library);
    struct mock_module *m;
    if (!pMod)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = l ? mock_library_instance(l, &m) : CUDA_ERROR_INVALID_HANDLE;
    if (r == CUDA_SUCCESS)
        mock_handle_give(pMod, m->id);
    return r;
}

CUresult mock_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
    struct mock_library *l = find(library);
    struct mock_module *m;
    if (!name || !*name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = l ? mock_library_instance(l, &m) : CUDA_ERROR_INVALID_HANDLE;
    return r == CUDA_SUCCESS ? mock_module_global(m, name, dptr, bytes) : r;
}

CUresult mock_cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
    if (!name || !*name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return find(library) ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_HANDLE; // the device has no managed memory
}

CUresult mock_cuLibraryGetUnifiedFunction(void **fptr, CUlibrary library, const char *symbol)
{
    if (!fptr || !symbol)
        return CUDA_ERROR_INVALID_VALUE;
    return find(library) ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_HANDLE; // nor unified function pointers
}

// --- kernels

CUresult mock_function_resolve(CUfunction handle, struct mock_function **out)
{
    *out = mock_handle_get(handle, GN_KIND_FUNCTION);
    if (*out)
        return CUDA_SUCCESS;
    const struct mock_kernel *k = mock_handle_get(handle, GN_KIND_KERNEL);
    struct mock_module *m;
    if (!k)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = mock_library_instance(k->library, &m);
    if (r == CUDA_SUCCESS)
        *out = &m->functions[k->index];
    return r;
}

CUresult mock_function_resolve_here(CUfunction handle, struct mock_function **out)
{
    CUresult r = mock_function_resolve(handle, out);
    return r == CUDA_SUCCESS && (*out)->module->context != mock_context_here() ? CUDA_ERROR_INVALID_HANDLE : r;
}

CUresult mock_cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
    struct mock_function *f;
    if (!pFunc)
        return CUDA_ERROR_INVALID_VALUE;
    if (!find_kernel(kernel))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = mock_function_resolve((CUfunction)kernel, &f);
    return r == CUDA_SUCCESS ? mock_function_handle(f, pFunc) : r;
}

CUresult mock_cuKernelGetLibrary(CUlibrary *pLib, CUkernel kernel)
{
    const struct mock_kernel *k = find_kernel(kernel);
    if (!pLib)
        return CUDA_ERROR_INVALID_VALUE;
    if (!k)
        return CUDA_ERROR_INVALID_HANDLE;
    mock_handle_give(pLib, k->library->id);
    return CUDA_SUCCESS;
}
