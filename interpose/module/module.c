// SPDX-License-Identifier: Apache-2.0
// Modules: loading, unloading, and what is in them.
#include "interpose/module/module.h"

#include <stdlib.h>
#include <string.h>

#include "api_calls.h"
#include "api_wire.h"
#include "core/image/image.h"
#include "interpose/memory/memory.h"
#include "interpose/memory/memory_range.h"

static struct gn_module *module_of(CUmodule handle)
{
    struct gn_handle_slot *slot = gn_handle_slot(handle, GN_KIND_MODULE);
    return slot ? slot->object : NULL;
}

static CUresult load_once(struct gn_call *c, CUmodule *module, const void *image, size_t size_bytes)
{
    struct gn_args_module_load args;
    if (!module)
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_module *m = calloc(1, sizeof *m);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = gn_image_upload(c, image, size_bytes, &args.upload);
    if (!r && gn_writes_on)
        m->writes = gn_writes_of_image(image, size_bytes);
    if (!r)
        r = gn_handle_new(c, GN_KIND_MODULE, gn_context_id(c), 0, m, &args.module);
    if (r) {
        gn_module_free(m);
        return r;
    }
    m->id = args.module;
    m->context = gn_context_id(c);
    r = gn_ask(c, GN_OP_module_load, &args, &(struct gn_out_module_load){0});
    if (r) {
        gn_handle_drop(args.module);
        gn_module_free(m);
        return r;
    }
    gn_handle_give(module, args.module);
    return CUDA_SUCCESS;
}

// Its variables may need what is granted to allocations and not used.
static CUresult load(struct gn_call *c, CUmodule *module, const void *image, size_t size_bytes)
{
    CUresult r = load_once(c, module, image, size_bytes);
    if (r == CUDA_ERROR_OUT_OF_MEMORY && c->context && gn_range_yield(c->context->device))
        r = load_once(c, module, image, size_bytes);
    gn_memory_info_forget();
    return r;
}

CUresult gn_cuModuleLoadData(struct gn_call *c, CUmodule *module, const void *image)
{
    return load(c, module, image, GN_IMAGE_SIZE_UNKNOWN);
}

CUresult gn_cuModuleLoadFatBinary(struct gn_call *c, CUmodule *module, const void *fatCubin)
{
    return load(c, module, fatCubin, GN_IMAGE_SIZE_UNKNOWN);
}

CUresult gn_cuModuleLoadDataEx(struct gn_call *c, CUmodule *module, const void *image,
                               unsigned int numOptions, CUjit_option *options, void **optionValues)
{
    CUresult r = gn_jit_options(numOptions, options, optionValues);
    return r ? r : load(c, module, image, GN_IMAGE_SIZE_UNKNOWN);
}

CUresult gn_cuModuleLoad(struct gn_call *c, CUmodule *module, const char *fname)
{
    void *image;
    size_t size_bytes;
    CUresult r = gn_image_read(fname, &image, &size_bytes);
    if (r)
        return r;
    r = load(c, module, image, size_bytes);
    free(image);
    return r;
}

CUresult gn_cuModuleUnload(struct gn_call *c, CUmodule hmod)
{
    struct gn_module *m = module_of(hmod);
    if (!m || m->library) // a library's module goes with the library
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = gn_ask(c, GN_OP_module_unload, &(struct gn_args_module_unload){.module = m->id},
                        &(struct gn_out_module_unload){0});
    gn_memory_info_forget();
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *functions = gn_names_take_all(&m->names);
    pthread_mutex_unlock(&gn_module_lock);
    gn_functions_drop(functions);
    gn_memory_drop_globals(m->id);
    gn_handle_drop(m->id);
    gn_module_free(m);
    return r;
}

static const struct gn_image_writes *image_of(const struct gn_module *m)
{
    const struct gn_handle_slot *slot = m->library ? gn_handle_slot((void *)(uintptr_t)m->library, GN_KIND_LIBRARY) : NULL;
    const struct gn_library *library = slot ? slot->object : NULL;
    return library ? library->writes : m->writes;
}

// The function of a module by its name, which the server is asked for once.
static CUresult get_function(struct gn_call *c, struct gn_module *m, const char *name, uint64_t *id)
{
    struct gn_args_module_get_function args = {.module = m->id, .name = name};
    struct gn_out_module_get_function out = {0};
    CUresult r = gn_name_check(name, &args.name_bytes);
    if (r)
        return r;
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *f = gn_names_find(&m->names, name);
    pthread_mutex_unlock(&gn_module_lock);
    if (f) {
        *id = f->id;
        return CUDA_SUCCESS;
    }
    r = gn_handle_new(c, GN_KIND_FUNCTION, m->context, 0, NULL, &args.function);
    if (r)
        return r;
    struct gn_function *fresh = NULL;
    r = gn_ask(c, GN_OP_module_get_function, &args, &out);
    if (!r)
        r = gn_function_make(&fresh, args.function, m->id, m->context, name, out.layout, out.layout_bytes);
    if (!r)
        fresh->writes = gn_writes_of_kernel(image_of(m), name);
    const struct gn_context *home = r ? NULL : gn_context_find((CUcontext)(uintptr_t)m->context);
    if (home)
        gn_function_learn(fresh, home->device, out.attributes, out.attributes_bytes);
    if (!r)
        r = gn_function_attach(GN_KIND_FUNCTION, fresh);
    if (r) {
        gn_handle_drop(args.function);
        return r;
    }
    pthread_mutex_lock(&gn_module_lock);
    f = gn_names_find(&m->names, name); // another thread may have been faster
    if (!f)
        gn_names_add(&m->names, fresh);
    pthread_mutex_unlock(&gn_module_lock);
    *id = f ? f->id : fresh->id;
    if (f) {
        fresh->next = NULL;
        gn_functions_drop(fresh);
    }
    return CUDA_SUCCESS;
}

CUresult gn_cuModuleGetFunction(struct gn_call *c, CUfunction *hfunc, CUmodule hmod, const char *name)
{
    struct gn_module *m = module_of(hmod);
    uint64_t id;
    if (!hfunc)
        return CUDA_ERROR_INVALID_VALUE;
    const struct gn_handle_slot *slot = m ? gn_handle_slot(hmod, GN_KIND_MODULE) : NULL;
    struct gn_context *home = slot ? gn_context_find((CUcontext)(uintptr_t)slot->context) : NULL;
    if (home && !atomic_load_explicit(&home->sticky, memory_order_relaxed)) // the function lives as long as the module, whichever context asks for it
        c->context = home;
    CUresult r = m ? get_function(c, m, name, &id) : CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        gn_handle_give(hfunc, id);
    return r;
}

CUresult gn_cuModuleGetGlobal_v2(struct gn_call *c, CUdeviceptr *dptr, size_t *bytes, CUmodule hmod,
                                 const char *name)
{
    struct gn_module *m = module_of(hmod);
    if (!m)
        return CUDA_ERROR_INVALID_HANDLE;
    struct gn_args_module_get_global args = {.module = m->id, .name = name};
    struct gn_out_module_get_global out = {0};
    CUresult r = !dptr && !bytes ? CUDA_ERROR_INVALID_VALUE : gn_name_check(name, &args.name_bytes);
    if (!r)
        r = gn_ask(c, GN_OP_module_get_global, &args, &out);
    if (r)
        return r;
    const struct gn_handle_slot *slot = gn_handle_slot(hmod, GN_KIND_MODULE);
    gn_memory_add_global(c, slot ? slot->context : gn_context_id(c), m->library ? m->library : m->id, out.address, out.size_bytes);
    if (dptr)
        *dptr = out.address;
    if (bytes)
        *bytes = out.size_bytes;
    return CUDA_SUCCESS;
}

// --- all functions

CUresult gn_cuModuleGetFunctionCount(struct gn_call *c, unsigned int *count, CUmodule mod)
{
    struct gn_module *m = module_of(mod);
    struct gn_out_module_functions out = {0};
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r =
        m ? gn_ask(c, GN_OP_module_functions, &(struct gn_args_module_functions){.module = m->id}, &out)
          : CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        *count = out.count;
    return r;
}

CUresult gn_cuModuleEnumerateFunctions(struct gn_call *c, CUfunction *functions, unsigned int numFunctions,
                                       CUmodule mod)
{
    struct gn_module *m = module_of(mod);
    struct gn_out_module_functions out = {0};
    if (!functions || !numFunctions)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r =
        m ? gn_ask(c, GN_OP_module_functions, &(struct gn_args_module_functions){.module = m->id}, &out)
          : CUDA_ERROR_INVALID_HANDLE;
    if (r || !out.names_bytes)
        return r;
    char *names = malloc(out.names_bytes + 1u); // the next answer comes into the same buffer
    if (!names)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(names, out.names, out.names_bytes);
    names[out.names_bytes] = 0;
    const char *name = names, *end = names + out.names_bytes;
    for (unsigned i = 0; !r && i < numFunctions && i < out.count && name < end;
         i++, name += strlen(name) + 1) {
        uint64_t id;
        if (!(r = get_function(c, m, name, &id)))
            gn_handle_give(&functions[i], id);
    }
    free(names);
    return r;
}
