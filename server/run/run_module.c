// SPDX-License-Identifier: Apache-2.0
// Modules and libraries: loading an uploaded image, and what is in it. The image itself is collected in
// run_image.c.
#include <string.h>

#include "server/run/run.h"
#include "server/run/run_image.h"
#include "server/worker/pool.h"

// --- loading
// Where memory is short the client gives back what it holds unused, and asks once more.

static CUdevice device_here(const struct gn_worker *w) { return w->scope ? w->scope->device : CU_DEVICE_INVALID; }

CUresult gn_run_module_load(struct gn_worker *w, struct gn_request *q, const struct gn_args_module_load *a,
                            struct gn_out_module_load *o)
{
    (void)o;
    CUmodule module = NULL;
    struct gn_taken taken;
    CUresult r = gn_image_take(w, a->upload, &taken);
    if (r == CUDA_SUCCESS)
        GN_WITH_ROOM(w, device_here(w), r,
                     w->driver.calls.cuModuleLoadData ? w->driver.calls.cuModuleLoadData(&module, taken.image)
                                                      : GN_DRIVER(w, cuModuleLoadDataEx, &module, taken.image, 0, NULL, NULL));
    r = gn_keep(w, q, GN_KIND_MODULE, a->module, r ? NULL : module, r);
    if (r == CUDA_SUCCESS && !w->driver.calls.cuFuncGetParamInfo)
        gn_layouts_keep(w, a->module, taken.data, taken.size_bytes);
    gn_image_drop(w, a->upload);
    return r;
}

CUresult gn_run_library_load(struct gn_worker *w, struct gn_request *q, const struct gn_args_library_load *a,
                             struct gn_out_library_load *o)
{
    (void)o;
    CUlibrary library = NULL;
    struct gn_taken taken;
    CUresult r = gn_image_take(w, a->upload, &taken);
    // No option says that the image stays where it is: the driver copies what it needs.
    if (r == CUDA_SUCCESS)
        GN_WITH_ROOM(w, device_here(w), r, GN_DRIVER(w, cuLibraryLoadData, &library, taken.image, NULL, NULL, 0, NULL, NULL, 0));
    r = gn_keep(w, q, GN_KIND_LIBRARY, a->library, r ? NULL : library, r);
    if (r == CUDA_SUCCESS && !w->driver.calls.cuKernelGetParamInfo)
        gn_layouts_keep(w, a->library, taken.data, taken.size_bytes);
    gn_image_drop(w, a->upload);
    return r;
}

CUresult gn_run_module_unload(struct gn_worker *w, struct gn_request *q,
                              const struct gn_args_module_unload *a, struct gn_out_module_unload *o)
{
    (void)o;
    struct gn_handle_slot *slot = gn_find_slot(w, q, GN_KIND_MODULE, a->module);
    if (!slot || slot->keep) // a library's module goes with the library
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuModuleUnload, slot->object);
    gn_forget(w, a->module);
    return r;
}

CUresult gn_run_library_unload(struct gn_worker *w, struct gn_request *q,
                               const struct gn_args_library_unload *a, struct gn_out_library_unload *o)
{
    (void)o;
    void *library;
    if (!gn_find_object(w, q, GN_KIND_LIBRARY, a->library, &library))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuLibraryUnload, library);
    gn_forget(w, a->library);
    return r;
}

// --- functions and kernels by name, with their parameter layout: u32 count, then u32 offset and u32 size of
// each

typedef CUresult param_info(void *object, size_t index, size_t *offset, size_t *size);

static void put_param(uint8_t *at, uint32_t index, uint32_t offset_bytes, uint32_t size_bytes)
{
    uint32_t pair[2] = {offset_bytes, size_bytes};
    memcpy(at + 4 + (size_t)index * sizeof pair, pair, sizeof pair);
}

static size_t layout_bytes_of(uint32_t count)
{
    return 4 + (size_t)count * 8;
}

static CUresult layout_of_driver(struct gn_worker *w, param_info *info, void *object, const void **layout,
                                 uint32_t *layout_bytes)
{
    uint32_t count = 0, room = 0;
    uint8_t *at = gn_scratch(w, layout_bytes_of(0));
    while (at && count < GN_IMAGE_PARAMS_MAX) {
        size_t offset = 0, size = 0;
        CUresult r = info(object, count, &offset, &size);
        if (r == CUDA_ERROR_INVALID_VALUE) // beyond the last one
            break;
        if (r != CUDA_SUCCESS)
            return r;
        if (offset + size > GN_IMAGE_PARAM_BYTES_MAX)
            return CUDA_ERROR_NOT_SUPPORTED;
        if (count == room) {
            room = room ? 2 * room : 64;
            at = gn_scratch(w, layout_bytes_of(room));
            if (!at)
                break;
        }
        put_param(at, count++, (uint32_t)offset, (uint32_t)size);
    }
    if (!at)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(at, &count, sizeof count);
    *layout = at;
    *layout_bytes = (uint32_t)layout_bytes_of(count);
    return CUDA_SUCCESS;
}

static CUresult layout_of_image(struct gn_worker *w, uint64_t owner, const char *name, const void **layout,
                                uint32_t *layout_bytes)
{
    uint32_t count;
    const struct gn_image_param *params = gn_layouts_find(w, owner, name, &count);
    if (!params)
        return CUDA_ERROR_NOT_SUPPORTED; // in an image that this driver can unpack and we cannot
    uint8_t *at = gn_scratch(w, layout_bytes_of(count));
    if (!at)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(at, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        put_param(at, i, params[i].offset_bytes, params[i].size_bytes);
    *layout = at;
    *layout_bytes = (uint32_t)layout_bytes_of(count);
    return CUDA_SUCCESS;
}

static CUresult layout_of(struct gn_worker *w, param_info *info, void *object, uint64_t owner,
                          const char *name, const void **layout, uint32_t *layout_bytes)
{
    return info ? layout_of_driver(w, info, object, layout, layout_bytes)
                : layout_of_image(w, owner, name, layout, layout_bytes);
}

CUresult gn_run_module_get_function(struct gn_worker *w, struct gn_request *q,
                                    const struct gn_args_module_get_function *a,
                                    struct gn_out_module_get_function *o)
{
    void *module;
    CUfunction function = NULL;
    const char *name;
    if (!gn_find_object(w, q, GN_KIND_MODULE, a->module, &module) ||
        !(name = gn_name(w, q, a->name, a->name_bytes)))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuModuleGetFunction, &function, module, name);
    if (r == CUDA_SUCCESS)
        r = layout_of(w, (param_info *)w->driver.calls.cuFuncGetParamInfo, function, a->module, name,
                      &o->layout, &o->layout_bytes);
    if (r == CUDA_SUCCESS)
        gn_attributes_add(w, function, GN_DEVICE_NONE, &o->attributes, &o->attributes_bytes);
    return gn_keep_child(w, q, GN_KIND_FUNCTION, a->function, r ? NULL : function, a->module, r);
}

CUresult gn_run_library_get_kernel(struct gn_worker *w, struct gn_request *q,
                                   const struct gn_args_library_get_kernel *a,
                                   struct gn_out_library_get_kernel *o)
{
    void *library;
    CUkernel kernel = NULL;
    const char *name;
    if (!gn_find_object(w, q, GN_KIND_LIBRARY, a->library, &library) ||
        !(name = gn_name(w, q, a->name, a->name_bytes)))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuLibraryGetKernel, &kernel, library, name);
    if (r == CUDA_SUCCESS)
        r = layout_of(w, (param_info *)w->driver.calls.cuKernelGetParamInfo, kernel, a->library, name,
                      &o->layout, &o->layout_bytes);
    if (r == CUDA_SUCCESS && a->device != GN_DEVICE_NONE)
        gn_attributes_add(w, (CUfunction)kernel, a->device, &o->attributes, &o->attributes_bytes);
    return gn_keep_child(w, q, GN_KIND_KERNEL, a->kernel, r ? NULL : kernel, a->library, r);
}

CUresult gn_run_library_get_module(struct gn_worker *w, struct gn_request *q,
                                   const struct gn_args_library_get_module *a,
                                   struct gn_out_library_get_module *o)
{
    (void)o;
    void *library;
    CUmodule module = NULL;
    if (!gn_find_object(w, q, GN_KIND_LIBRARY, a->library, &library))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuLibraryGetModule, &module, library);
    return gn_keep_child(w, q, GN_KIND_MODULE, a->module, r ? NULL : module, a->library, r);
}

CUresult gn_run_kernel_get_function(struct gn_worker *w, struct gn_request *q,
                                    const struct gn_args_kernel_get_function *a,
                                    struct gn_out_kernel_get_function *o)
{
    void *kernel;
    CUfunction function = NULL;
    if (!gn_find_object(w, q, GN_KIND_KERNEL, a->kernel, &kernel))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuKernelGetFunction, &function, kernel);
    if (r == CUDA_SUCCESS)
        gn_attributes_add(w, function, GN_DEVICE_NONE, &o->attributes, &o->attributes_bytes);
    return gn_keep_child(w, q, GN_KIND_FUNCTION, a->function, r ? NULL : function, a->kernel, r);
}

// --- names of all, one after the other, each with its NUL

typedef CUresult name_of(const char **name, void *object);

// The handles lie in the scratch buffer; the names are gathered behind them, so that moving the buffer moves
// both.
static CUresult gather_names(struct gn_worker *w, name_of *get, uint32_t count, const void **names,
                             uint32_t *names_bytes)
{
    size_t start = (size_t)count * sizeof(void *), used = start, room = start;
    for (uint32_t i = 0; i < count; i++) {
        const char *name = NULL;
        void *object;
        uint8_t *at = gn_scratch(w, room);
        if (!at)
            return CUDA_ERROR_OUT_OF_MEMORY;
        memcpy(&object, at + (size_t)i * sizeof object, sizeof object);
        CUresult r = get(&name, object);
        if (r != CUDA_SUCCESS || !name)
            return r ? r : CUDA_ERROR_UNKNOWN;
        size_t n = strlen(name) + 1;
        if (used - start + n > GN_REPLY_BYTES_MAX / 2) // the client asks for single names then
            return CUDA_ERROR_NOT_SUPPORTED;
        if (used + n > room) {
            room = 2 * (used + n);
            if (!(at = gn_scratch(w, room)))
                return CUDA_ERROR_OUT_OF_MEMORY;
        }
        memcpy(at + used, name, n);
        used += n;
    }
    uint8_t *at = gn_scratch(w, room);
    *names = at ? at + start : NULL;
    *names_bytes = (uint32_t)(used - start);
    return at ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

enum { NAMED_MAX = 1 << 20 }; // kernels of one image: the largest known library has some ten thousands

CUresult gn_run_module_functions(struct gn_worker *w, struct gn_request *q,
                                 const struct gn_args_module_functions *a, struct gn_out_module_functions *o)
{
    void *module, *list;
    unsigned count = 0;
    if (!gn_find_object(w, q, GN_KIND_MODULE, a->module, &module))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuModuleGetFunctionCount, &count, module);
    if (r != CUDA_SUCCESS || !w->driver.calls.cuFuncGetName)
        return r ? r : CUDA_ERROR_NOT_SUPPORTED;
    if (count > NAMED_MAX || !(list = gn_scratch(w, (size_t)count * sizeof(CUfunction))))
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = count ? GN_DRIVER(w, cuModuleEnumerateFunctions, list, count, module) : CUDA_SUCCESS;
    o->count = count;
    return r ? r
             : gather_names(w, (name_of *)w->driver.calls.cuFuncGetName, count, &o->names, &o->names_bytes);
}

CUresult gn_run_library_kernels(struct gn_worker *w, struct gn_request *q,
                                const struct gn_args_library_kernels *a, struct gn_out_library_kernels *o)
{
    void *library, *list;
    unsigned count = 0;
    if (!gn_find_object(w, q, GN_KIND_LIBRARY, a->library, &library))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuLibraryGetKernelCount, &count, library);
    if (r != CUDA_SUCCESS || !w->driver.calls.cuKernelGetName)
        return r ? r : CUDA_ERROR_NOT_SUPPORTED;
    if (count > NAMED_MAX || !(list = gn_scratch(w, (size_t)count * sizeof(CUkernel))))
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = count ? GN_DRIVER(w, cuLibraryEnumerateKernels, list, count, library) : CUDA_SUCCESS;
    o->count = count;
    return r ? r
             : gather_names(w, (name_of *)w->driver.calls.cuKernelGetName, count, &o->names, &o->names_bytes);
}

// --- globals

CUresult gn_run_module_get_global(struct gn_worker *w, struct gn_request *q,
                                  const struct gn_args_module_get_global *a,
                                  struct gn_out_module_get_global *o)
{
    void *module;
    CUdeviceptr address = 0;
    size_t size = 0;
    const char *name;
    if (!gn_find_object(w, q, GN_KIND_MODULE, a->module, &module) ||
        !(name = gn_name(w, q, a->name, a->name_bytes)))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuModuleGetGlobal_v2, &address, &size, module, name);
    o->address = address;
    o->size_bytes = size;
    return r;
}

CUresult gn_run_library_get_global(struct gn_worker *w, struct gn_request *q,
                                   const struct gn_args_library_get_global *a,
                                   struct gn_out_library_get_global *o)
{
    void *library;
    CUdeviceptr address = 0;
    size_t size = 0;
    const char *name;
    if (!gn_find_object(w, q, GN_KIND_LIBRARY, a->library, &library) ||
        !(name = gn_name(w, q, a->name, a->name_bytes)))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = a->managed ? GN_DRIVER(w, cuLibraryGetManaged, &address, &size, library, name)
                            : GN_DRIVER(w, cuLibraryGetGlobal, &address, &size, library, name);
    o->address = address;
    o->size_bytes = size;
    return r;
}
