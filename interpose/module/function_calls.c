// SPDX-License-Identifier: Apache-2.0
// What the program may ask of functions and kernels, and set on them.
#include "api_calls.h"
#include "api_wire.h"
#include "interpose/keep.h"
#include "interpose/module/function.h"
#include "interpose/module/module.h"
#include "interpose/options.h"

static struct gn_function *kernel_of(CUkernel handle)
{
    struct gn_handle_slot *slot = gn_handle_slot(handle, GN_KIND_KERNEL);
    return slot ? slot->object : NULL;
}

static CUresult get_attribute(struct gn_call *c, struct gn_function *f, CUdevice device,
                              CUfunction_attribute attribute, int *value)
{
    struct gn_facts *facts;
    CUresult r = gn_function_facts(c, f, device, false, &facts);
    if (!r)
        *value = gn_fact(facts, attribute);
    return r;
}

// The device that a function's attributes are of: its context's, or for a kernel the current one's.
static CUresult device_of(struct gn_call *c, const struct gn_function *f, CUdevice *device)
{
    struct gn_context *context = f->context ? gn_context_find((CUcontext)(uintptr_t)f->context) : c->context;
    if (!context)
        return f->context ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT;
    *device = context->device;
    return CUDA_SUCCESS;
}

CUresult gn_cuFuncGetAttribute(struct gn_call *c, int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
    struct gn_function *f = gn_function_of(hfunc);
    CUdevice device;
    if (!pi || (unsigned)attrib >= GN_FUNCTION_ATTRIBUTES)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = f ? device_of(c, f, &device) : CUDA_ERROR_INVALID_HANDLE;
    return r ? r : get_attribute(c, f, device, attrib, pi);
}

CUresult gn_cuKernelGetAttribute(struct gn_call *c, int *pi, CUfunction_attribute attrib, CUkernel kernel,
                                 CUdevice dev)
{
    struct gn_function *f = kernel_of(kernel);
    if (!pi || (unsigned)attrib >= GN_FUNCTION_ATTRIBUTES)
        return CUDA_ERROR_INVALID_VALUE;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    return gn_device(dev) ? get_attribute(c, f, dev, attrib, pi) : CUDA_ERROR_INVALID_DEVICE;
}

// --- attributes that can be set

// What is kept of a function after `attribute` became `value`, or after it may have become anything.
static void note(struct gn_function *f, CUdevice device, CUfunction_attribute attribute, const int *value)
{
    if (!value || !gn_function_note(f, device, attribute, *value))
        atomic_fetch_add_explicit(&f->changes, 1, memory_order_acq_rel);
}

// A kernel's functions in contexts change with it, and it with them.
static void note_family(struct gn_function *f, CUdevice device, CUfunction_attribute attribute, const int *value)
{
    struct gn_function *kernel = f->context ? kernel_of((CUkernel)(uintptr_t)f->owner) : f;
    note(f, device, attribute, value);
    if (kernel && kernel != f)
        note(kernel, device, attribute, value);
    pthread_mutex_lock(&gn_module_lock);
    for (struct gn_function *i = kernel ? kernel->instances : NULL; i; i = i->next)
        if (i != f)
            atomic_fetch_add_explicit(&i->changes, 1, memory_order_acq_rel);
    pthread_mutex_unlock(&gn_module_lock);
}

// Will the driver take this value, as far as what is known of the function and its device tells? Then nobody needs to wait for it.
static bool is_surely_good(const struct gn_function *f, CUdevice device, CUfunction_attribute attribute, int value)
{
    const struct gn_device_snapshot *d = gn_device(device);
    int fixed_bytes;
    if (!gn_options_on(GN_OPT_CACHE) || !d ||
        !gn_function_known(f, device, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, &fixed_bytes))
        return false;
    switch ((int)attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        return value >= 0 &&
               value <= d->attributes[CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN] - fixed_bytes;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: return value >= -1 && value <= 100;
    default: return false;
    }
}

static CUresult set_attribute(struct gn_call *c, struct gn_function *f, CUdevice device, uint32_t wire_device,
                              CUfunction_attribute attribute, int value)
{
    CUresult r;
    gn_keep_void();
    if (is_surely_good(f, device, attribute, value)) {
        r = gn_post(c, GN_OP_set_known_attribute,
                    &(struct gn_args_set_known_attribute){
                        .function = f->id, .attribute = (uint32_t)attribute, .value = value, .device = wire_device});
        if (!r)
            note_family(f, device, attribute, &value);
    } else {
        r = gn_ask(c, GN_OP_set_attribute,
                   &(struct gn_args_set_attribute){
                       .function = f->id, .attribute = (uint32_t)attribute, .value = value, .device = wire_device},
                   &(struct gn_out_set_attribute){0});
        if (!r)
            note_family(f, device, attribute, NULL);
    }
    gn_keep_void(); // again: an answer on its way meanwhile may be from before
    return r;
}

CUresult gn_cuFuncSetAttribute(struct gn_call *c, CUfunction hfunc, CUfunction_attribute attrib, int value)
{
    struct gn_function *f = gn_function_of(hfunc);
    CUdevice device;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    if ((unsigned)attrib >= GN_FUNCTION_ATTRIBUTES)
        return CUDA_ERROR_INVALID_VALUE;
    if (!f->context || device_of(c, f, &device))
        device = -1; // a kernel's handle here: the driver knows what it makes of it
    return set_attribute(c, f, device, GN_OF_ITSELF, attrib, value);
}

CUresult gn_cuKernelSetAttribute(struct gn_call *c, CUfunction_attribute attrib, int val, CUkernel kernel,
                                 CUdevice dev)
{
    struct gn_function *f = kernel_of(kernel);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    if ((unsigned)attrib >= GN_FUNCTION_ATTRIBUTES)
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    return set_attribute(c, f, dev, (uint32_t)dev, attrib, val);
}

static CUresult check_config(CUfunction function, unsigned config, unsigned last)
{
    return config > last              ? CUDA_ERROR_INVALID_VALUE
           : gn_function_of(function) ? CUDA_SUCCESS
                                      : CUDA_ERROR_INVALID_HANDLE;
}

CUresult gn_check_cuFuncSetCacheConfig(struct gn_call *c, CUfunction hfunc, CUfunc_cache config)
{
    (void)c;
    gn_keep_void();
    return check_config(hfunc, config, CU_FUNC_CACHE_PREFER_EQUAL);
}

CUresult gn_check_cuFuncSetSharedMemConfig(struct gn_call *c, CUfunction hfunc, CUsharedconfig config)
{
    (void)c;
    gn_keep_void();
    return check_config(hfunc, config, CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE);
}

CUresult gn_cuKernelSetCacheConfig(struct gn_call *c, CUkernel kernel, CUfunc_cache config, CUdevice dev)
{
    struct gn_function *f = kernel_of(kernel);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    struct gn_args_kernel_set_cache_config args = {
        .kernel = f->id, .config = (uint32_t)config, .device = (uint32_t)dev};
    gn_keep_void();
    return gn_post(c, GN_OP_kernel_set_cache_config, &args);
}

// --- names, layouts, relations

static CUresult get_name(const void *handle, const struct gn_function *f, const char **name)
{
    if (!name || !handle)
        return CUDA_ERROR_INVALID_VALUE;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    *name = f->name;
    return CUDA_SUCCESS;
}

CUresult gn_cuFuncGetName(struct gn_call *c, const char **name, CUfunction hfunc)
{
    (void)c;
    return get_name(hfunc, gn_function_of(hfunc), name);
}

CUresult gn_cuKernelGetName(struct gn_call *c, const char **name, CUkernel hfunc)
{
    (void)c;
    return get_name(hfunc, kernel_of(hfunc), name);
}

static CUresult get_param(const struct gn_function *f, size_t index, size_t *offset, size_t *size)
{
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!offset || index >= f->layout.count)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = f->params[index].offset_bytes;
    if (size)
        *size = f->params[index].size_bytes;
    return CUDA_SUCCESS;
}

CUresult gn_cuFuncGetParamInfo(struct gn_call *c, CUfunction func, size_t paramIndex, size_t *paramOffset,
                               size_t *paramSize)
{
    (void)c;
    return get_param(gn_function_of(func), paramIndex, paramOffset, paramSize);
}

CUresult gn_cuKernelGetParamInfo(struct gn_call *c, CUkernel kernel, size_t paramIndex, size_t *paramOffset,
                                 size_t *paramSize)
{
    (void)c;
    return get_param(kernel_of(kernel), paramIndex, paramOffset, paramSize);
}

CUresult gn_cuKernelGetLibrary(struct gn_call *c, CUlibrary *pLib, CUkernel kernel)
{
    (void)c;
    const struct gn_function *f = kernel_of(kernel);
    if (!pLib)
        return CUDA_ERROR_INVALID_VALUE;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    gn_handle_give(pLib, f->owner);
    return CUDA_SUCCESS;
}

CUresult gn_cuKernelGetFunction(struct gn_call *c, CUfunction *pFunc, CUkernel kernel)
{
    struct gn_function *f = kernel_of(kernel);
    uint64_t id;
    if (!pFunc)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = f ? gn_function_of_kernel(c, f, &id) : CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        gn_handle_give(pFunc, id);
    return r;
}

CUresult gn_cuFuncGetModule(struct gn_call *c, CUmodule *hmod, CUfunction hfunc)
{
    const struct gn_function *f = gn_function_of(hfunc);
    if (!hmod)
        return CUDA_ERROR_INVALID_VALUE;
    if (f && gn_handle_kind(f->owner) ==
                 GN_KIND_KERNEL) // a kernel's function: by way of the kernel to its library
        f = kernel_of((CUkernel)(uintptr_t)f->owner);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    uint64_t module = f->owner;
    CUresult r =
        gn_handle_kind(module) == GN_KIND_LIBRARY ? gn_library_module(c, f->owner, &module) : CUDA_SUCCESS;
    if (!r)
        gn_handle_give(hmod, module);
    return r;
}

// --- loading

static CUresult load(struct gn_call *c, CUfunction handle, bool load, CUfunctionLoadingState *state)
{
    struct gn_function *f = gn_function_of(handle);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
    if (atomic_load_explicit(&f->loaded, memory_order_relaxed))
        return CUDA_SUCCESS;
    struct gn_out_function_load out = {0};
    CUresult r = gn_ask(c, GN_OP_function_load,
                        &(struct gn_args_function_load){.function = f->id, .load = load}, &out);
    if (r)
        return r;
    *state = (CUfunctionLoadingState)out.state;
    if (*state == CU_FUNCTION_LOADING_STATE_LOADED) // and it stays so
        atomic_store_explicit(&f->loaded, true, memory_order_relaxed);
    return CUDA_SUCCESS;
}

CUresult gn_cuFuncIsLoaded(struct gn_call *c, CUfunctionLoadingState *state, CUfunction function)
{
    CUfunctionLoadingState got;
    CUresult r = state ? load(c, function, false, &got) : CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *state = got;
    return r;
}

CUresult gn_cuFuncLoad(struct gn_call *c, CUfunction function)
{
    CUfunctionLoadingState got;
    return load(c, function, true, &got);
}
