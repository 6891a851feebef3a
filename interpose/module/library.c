// SPDX-License-Identifier: Apache-2.0
// Libraries: images that belong to the process, with kernels that are at home in every context.
#include <stdlib.h>
#include <string.h>

#include "api_calls.h"
#include "api_wire.h"
#include "core/image/image.h"
#include "interpose/memory/memory.h"
#include "interpose/memory/memory_range.h"
#include "interpose/module/module.h"
#include "interpose/options.h"
#include "interpose/refuse.h"

static struct gn_library *library_of(CUlibrary handle)
{
    struct gn_handle_slot *slot = gn_handle_slot(handle, GN_KIND_LIBRARY);
    return slot ? slot->object : NULL;
}

static CUresult check_options(struct gn_call *c, unsigned count, const CUlibraryOption *options,
                              void *const *values)
{
    if (count && (!options || !values))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE)
            return gn_refuse(c, "kernels run in another process and cannot call functions of this one");
        if (options[i] != CU_LIBRARY_BINARY_IS_PRESERVED) // what we copy need not be preserved
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult load_once(struct gn_call *c, CUlibrary *library, const void *image, size_t size_bytes)
{
    struct gn_args_library_load args;
    struct gn_library *l = calloc(1, sizeof *l);
    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = gn_image_upload(c, image, size_bytes, &args.upload);
    if (!r && gn_writes_on)
        l->writes = gn_writes_of_image(image, size_bytes);
    if (!r)
        r = gn_handle_new(c, GN_KIND_LIBRARY, 0, 0, l, &args.library);
    if (r) {
        gn_library_free(l);
        return r;
    }
    l->id = args.library;
    r = gn_ask(c, GN_OP_library_load, &args, &(struct gn_out_library_load){0});
    if (r) {
        gn_handle_drop(args.library);
        gn_library_free(l);
        return r;
    }
    gn_handle_give(library, args.library);
    return CUDA_SUCCESS;
}

// As for modules: its variables may need what is granted to allocations and not used.
static CUresult load(struct gn_call *c, CUlibrary *library, const void *image, size_t size_bytes)
{
    CUresult r = load_once(c, library, image, size_bytes);
    if (r == CUDA_ERROR_OUT_OF_MEMORY && c->context && gn_range_yield(c->context->device))
        r = load_once(c, library, image, size_bytes);
    gn_memory_info_forget();
    return r;
}

CUresult gn_cuLibraryLoadData(struct gn_call *c, CUlibrary *library, const void *code,
                              CUjit_option *jitOptions, void **jitOptionsValues, unsigned int numJitOptions,
                              CUlibraryOption *libraryOptions, void **libraryOptionValues,
                              unsigned int numLibraryOptions)
{
    CUresult r =
        library ? gn_jit_options(numJitOptions, jitOptions, jitOptionsValues) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = check_options(c, numLibraryOptions, libraryOptions, libraryOptionValues);
    return r ? r : load(c, library, code, GN_IMAGE_SIZE_UNKNOWN);
}

CUresult gn_cuLibraryLoadFromFile(struct gn_call *c, CUlibrary *library, const char *fileName,
                                  CUjit_option *jitOptions, void **jitOptionsValues,
                                  unsigned int numJitOptions, CUlibraryOption *libraryOptions,
                                  void **libraryOptionValues, unsigned int numLibraryOptions)
{
    void *image;
    size_t size_bytes;
    CUresult r =
        library ? gn_jit_options(numJitOptions, jitOptions, jitOptionsValues) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = check_options(c, numLibraryOptions, libraryOptions, libraryOptionValues);
    if (!r)
        r = gn_image_read(fileName, &image, &size_bytes);
    if (r)
        return r;
    r = load(c, library, image, size_bytes);
    free(image);
    return r;
}

static void drop_module(uint64_t id)
{
    struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)id, GN_KIND_MODULE);
    if (!slot) // its context went before
        return;
    struct gn_module *m = slot->object;
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *functions = gn_names_take_all(&m->names);
    pthread_mutex_unlock(&gn_module_lock);
    gn_functions_drop(functions);
    gn_handle_drop(id);
    gn_module_free(m);
}

CUresult gn_cuLibraryUnload(struct gn_call *c, CUlibrary library)
{
    struct gn_library *l = library_of(library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = gn_ask(c, GN_OP_library_unload, &(struct gn_args_library_unload){.library = l->id},
                        &(struct gn_out_library_unload){0});
    gn_memory_info_forget();
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *kernels = gn_names_take_all(&l->names);
    struct gn_library_module *modules = l->modules;
    l->modules = NULL;
    pthread_mutex_unlock(&gn_module_lock);
    gn_functions_drop(kernels);
    for (struct gn_library_module *m = modules, *next; m; m = next) {
        next = m->next;
        drop_module(m->module);
        free(m);
    }
    gn_memory_drop_globals(l->id);
    gn_handle_drop(l->id);
    gn_library_free(l);
    return r;
}

// --- kernels

// With `attributes`, what it needs on the current device is learned too. A walk over all kernels does without: the driver might have to load
// each of them for it.
static CUresult get_kernel(struct gn_call *c, struct gn_library *l, const char *name, bool attributes, uint64_t *id)
{
    struct gn_args_library_get_kernel args = {.library = l->id, .name = name};
    struct gn_out_library_get_kernel out = {0};
    args.device = attributes && c->context ? (uint32_t)c->context->device : GN_OF_ITSELF;
    CUresult r = gn_name_check(name, &args.name_bytes);
    if (r)
        return r;
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *f = gn_names_find(&l->names, name);
    pthread_mutex_unlock(&gn_module_lock);
    if (f) {
        *id = f->id;
        return CUDA_SUCCESS;
    }
    if ((r = gn_handle_new(c, GN_KIND_KERNEL, 0, 0, NULL, &args.kernel)))
        return r;
    struct gn_function *fresh = NULL;
    r = gn_ask(c, GN_OP_library_get_kernel, &args, &out);
    if (!r)
        r = gn_function_make(&fresh, args.kernel, l->id, 0, name, out.layout, out.layout_bytes);
    if (!r)
        fresh->writes = gn_writes_of_kernel(l->writes, name);
    if (!r)
        gn_function_learn(fresh, (CUdevice)args.device, out.attributes, out.attributes_bytes);
    if (!r)
        r = gn_function_attach(GN_KIND_KERNEL, fresh);
    if (r) {
        gn_handle_drop(args.kernel);
        return r;
    }
    pthread_mutex_lock(&gn_module_lock);
    f = gn_names_find(&l->names, name); // another thread may have been faster
    if (!f)
        gn_names_add(&l->names, fresh);
    pthread_mutex_unlock(&gn_module_lock);
    *id = f ? f->id : fresh->id;
    if (f) {
        fresh->next = NULL;
        gn_functions_drop(fresh);
    }
    return CUDA_SUCCESS;
}

CUresult gn_cuLibraryGetKernel(struct gn_call *c, CUkernel *pKernel, CUlibrary library, const char *name)
{
    struct gn_library *l = library_of(library);
    uint64_t id;
    if (!pKernel)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = l ? get_kernel(c, l, name, gn_options_on(GN_OPT_CACHE), &id) : CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        gn_handle_give(pKernel, id);
    return r;
}

CUresult gn_cuLibraryGetKernelCount(struct gn_call *c, unsigned int *count, CUlibrary lib)
{
    struct gn_library *l = library_of(lib);
    struct gn_out_library_kernels out = {0};
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r =
        l ? gn_ask(c, GN_OP_library_kernels, &(struct gn_args_library_kernels){.library = l->id}, &out)
          : CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        *count = out.count;
    return r;
}

CUresult gn_cuLibraryEnumerateKernels(struct gn_call *c, CUkernel *kernels, unsigned int numKernels,
                                      CUlibrary lib)
{
    struct gn_library *l = library_of(lib);
    struct gn_out_library_kernels out = {0};
    if (!kernels || !numKernels)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r =
        l ? gn_ask(c, GN_OP_library_kernels, &(struct gn_args_library_kernels){.library = l->id}, &out)
          : CUDA_ERROR_INVALID_HANDLE;
    if (r || !out.names_bytes)
        return r;
    char *names = malloc(out.names_bytes + 1u); // the next answer comes into the same buffer
    if (!names)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(names, out.names, out.names_bytes);
    names[out.names_bytes] = 0;
    const char *name = names, *end = names + out.names_bytes;
    for (unsigned i = 0; !r && i < numKernels && i < out.count && name < end; i++, name += strlen(name) + 1) {
        uint64_t id;
        if (!(r = get_kernel(c, l, name, false, &id)))
            gn_handle_give(&kernels[i], id);
    }
    free(names);
    return r;
}

// --- variables

static CUresult get_global(struct gn_call *c, CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                           const char *name, bool managed)
{
    struct gn_library *l = library_of(library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    struct gn_args_library_get_global args = {.library = l->id, .managed = managed, .name = name};
    struct gn_out_library_get_global out = {0};
    CUresult r = !dptr && !bytes ? CUDA_ERROR_INVALID_VALUE : gn_name_check(name, &args.name_bytes);
    if (!r)
        r = gn_ask(c, GN_OP_library_get_global, &args, &out);
    if (r)
        return r;
    gn_memory_add_global(c, gn_context_id(c), l->id, out.address, out.size_bytes);
    if (dptr)
        *dptr = out.address;
    if (bytes)
        *bytes = out.size_bytes;
    return CUDA_SUCCESS;
}

CUresult gn_cuLibraryGetGlobal(struct gn_call *c, CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                               const char *name)
{
    return get_global(c, dptr, bytes, library, name, false);
}

// A managed variable would have to be readable here.
CUresult gn_cuLibraryGetManaged(struct gn_call *c, CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                const char *name)
{
    CUresult r = get_global(c, dptr, bytes, library, name, true);
    return r ? r : gn_refuse(c, "managed variables");
}

CUresult gn_cuLibraryGetUnifiedFunction(struct gn_call *c, void **fptr, CUlibrary library, const char *symbol)
{
    if (!fptr || !symbol || !*symbol)
        return CUDA_ERROR_INVALID_VALUE;
    return library_of(library) ? gn_refuse(c, "functions at one address for host and device")
                               : CUDA_ERROR_INVALID_HANDLE;
}

// --- the module of a library in a context

static struct gn_library_module *module_in(const struct gn_library *l, uint64_t context)
{
    struct gn_library_module *m = l->modules;
    while (m && m->context != context)
        m = m->next;
    return m;
}

static CUresult make_module(struct gn_call *c, struct gn_library *l, uint64_t *id)
{
    struct gn_args_library_get_module args = {.library = l->id};
    struct gn_module *m = calloc(1, sizeof *m);
    struct gn_library_module *entry = calloc(1, sizeof *entry);
    CUresult r = m && entry ? gn_handle_new(c, GN_KIND_MODULE, gn_context_id(c), 0, m, &args.module)
                            : CUDA_ERROR_OUT_OF_MEMORY;
    if (r)
        goto no_handle;
    m->id = args.module;
    m->context = gn_context_id(c);
    m->library = l->id;
    if ((r = gn_ask(c, GN_OP_library_get_module, &args, &(struct gn_out_library_get_module){0})))
        goto no_module;
    entry->context = m->context;
    entry->module = m->id;
    pthread_mutex_lock(&gn_module_lock);
    struct gn_library_module *other = module_in(l, m->context); // another thread may have been faster
    if (!other) {
        entry->next = l->modules;
        l->modules = entry;
    }
    *id = other ? other->module : entry->module;
    pthread_mutex_unlock(&gn_module_lock);
    if (!other)
        return CUDA_SUCCESS;
no_module:
    gn_handle_drop(args.module);
no_handle:
    free(entry);
    free(m);
    return r;
}

CUresult gn_library_module(struct gn_call *c, uint64_t library, uint64_t *module)
{
    struct gn_library *l = library_of((CUlibrary)(uintptr_t)library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!c->context)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&gn_module_lock);
    struct gn_library_module *m = module_in(l, gn_context_id(c));
    uint64_t known = m ? m->module : 0;
    pthread_mutex_unlock(&gn_module_lock);
    if (known) {
        *module = known;
        return CUDA_SUCCESS;
    }
    return make_module(c, l, module);
}

CUresult gn_cuLibraryGetModule(struct gn_call *c, CUmodule *pMod, CUlibrary library)
{
    uint64_t id;
    if (!pMod)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = gn_library_module(c, (uintptr_t)library, &id);
    if (!r)
        gn_handle_give(pMod, id);
    return r;
}
