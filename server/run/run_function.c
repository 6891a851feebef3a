// SPDX-License-Identifier: Apache-2.0
// What functions and kernels tell of themselves: attributes, loading, occupancy; and the attributes that can be set.
#include "server/run/run.h"

// The function behind a name that may stand for a kernel, where the driver's call takes functions only.
static CUresult function_itself(struct gn_worker *w, struct gn_request *q, uint64_t id, CUfunction *function)
{
    if (!gn_find_function(w, q, id, function))
        return CUDA_ERROR_INVALID_HANDLE;
    return gn_handle_kind(id) == GN_KIND_KERNEL
               ? GN_DRIVER(w, cuKernelGetFunction, function, (CUkernel)*function)
               : CUDA_SUCCESS;
}

// --- attributes

// All that the driver knows, in their order. `device` GN_DEVICE_NONE: of a function; else of a kernel there.
static CUresult gather(struct gn_worker *w, CUfunction function, uint32_t device, int32_t *values,
                       uint32_t *count)
{
    CUresult r = CUDA_SUCCESS;
    for (*count = 0; *count < GN_FUNCTION_ATTRIBUTES_MAX; ++*count) {
        int value = 0;
        r = device == GN_DEVICE_NONE
                ? GN_DRIVER(w, cuFuncGetAttribute, &value, (CUfunction_attribute)*count, function)
                : GN_DRIVER(w, cuKernelGetAttribute, &value, (CUfunction_attribute)*count, (CUkernel)function,
                            (CUdevice)device);
        if (r != CUDA_SUCCESS)
            break;
        values[*count] = value;
    }
    return *count && r == CUDA_ERROR_INVALID_VALUE ? CUDA_SUCCESS : r; // beyond the last one that this driver knows
}

void gn_attributes_add(struct gn_worker *w, CUfunction function, uint32_t device, const void **attributes,
                       uint32_t *attributes_bytes)
{
    // Beside the scratch buffer, where the layout lies until both have been encoded. One command runs at a time.
    static int32_t values[GN_FUNCTION_ATTRIBUTES_MAX];
    uint32_t count;
    if (gather(w, function, device, values, &count)) // the client asks when it needs them, and learns why not
        count = 0;
    *attributes = values;
    *attributes_bytes = count * (uint32_t)sizeof *values;
}

CUresult gn_run_function_attributes(struct gn_worker *w, struct gn_request *q,
                                    const struct gn_args_function_attributes *a,
                                    struct gn_out_function_attributes *o)
{
    CUfunction function;
    bool of_kernel = gn_handle_kind(a->function) == GN_KIND_KERNEL && a->device != GN_DEVICE_NONE;
    if (of_kernel && !gn_find_function(w, q, a->function, &function))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = of_kernel ? CUDA_SUCCESS : function_itself(w, q, a->function, &function);
    if (r != CUDA_SUCCESS)
        return r;
    int32_t *values = gn_scratch(w, GN_FUNCTION_ATTRIBUTES_MAX * sizeof *values);
    if (!values)
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint32_t count;
    r = gather(w, function, of_kernel ? a->device : GN_DEVICE_NONE, values, &count);
    o->values = values;
    o->values_bytes = count * (uint32_t)sizeof *values;
    return r;
}

static CUresult set_attribute(struct gn_worker *w, struct gn_request *q, uint64_t id, uint32_t attribute,
                              int32_t value, uint32_t device)
{
    CUfunction function;
    bool of_kernel = gn_handle_kind(id) == GN_KIND_KERNEL && device != GN_DEVICE_NONE;
    if (!gn_find_function(w, q, id, &function))
        return CUDA_ERROR_INVALID_HANDLE;
    return of_kernel ? GN_DRIVER(w, cuKernelSetAttribute, (CUfunction_attribute)attribute, value,
                                 (CUkernel)function, (CUdevice)device)
                     : GN_DRIVER(w, cuFuncSetAttribute, function, (CUfunction_attribute)attribute, value);
}

CUresult gn_run_set_attribute(struct gn_worker *w, struct gn_request *q, const struct gn_args_set_attribute *a,
                              struct gn_out_set_attribute *o)
{
    (void)o;
    return set_attribute(w, q, a->function, a->attribute, a->value, a->device);
}

CUresult gn_run_set_known_attribute(struct gn_worker *w, struct gn_request *q,
                                    const struct gn_args_set_known_attribute *a,
                                    struct gn_out_set_known_attribute *o)
{
    (void)o;
    return set_attribute(w, q, a->function, a->attribute, a->value, a->device);
}

CUresult gn_run_kernel_set_cache_config(struct gn_worker *w, struct gn_request *q,
                                        const struct gn_args_kernel_set_cache_config *a,
                                        struct gn_out_kernel_set_cache_config *o)
{
    (void)o;
    void *kernel;
    if (!gn_find_object(w, q, GN_KIND_KERNEL, a->kernel, &kernel))
        return CUDA_ERROR_INVALID_HANDLE;
    return GN_DRIVER(w, cuKernelSetCacheConfig, kernel, (CUfunc_cache)a->config, (CUdevice)a->device);
}

CUresult gn_run_function_load(struct gn_worker *w, struct gn_request *q,
                              const struct gn_args_function_load *a, struct gn_out_function_load *o)
{
    CUfunction function;
    CUfunctionLoadingState state = CU_FUNCTION_LOADING_STATE_UNLOADED;
    CUresult r = function_itself(w, q, a->function, &function);
    if (r == CUDA_SUCCESS && a->load)
        GN_WITH_ROOM(w, w->scope ? w->scope->device : CU_DEVICE_INVALID, r, GN_DRIVER(w, cuFuncLoad, function));
    if (r == CUDA_SUCCESS)
        r = GN_DRIVER(w, cuFuncIsLoaded, &state, function);
    o->state = (uint32_t)state;
    return r;
}

// --- occupancy

CUresult gn_run_occupancy_blocks(struct gn_worker *w, struct gn_request *q,
                                 const struct gn_args_occupancy_blocks *a, struct gn_out_occupancy_blocks *o)
{
    CUfunction function;
    int value = 0;
    if (!gn_find_function(w, q, a->function, &function))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, &value, function,
                           (int)a->block_threads, a->shared_bytes, a->flags);
    o->value = value;
    return r;
}

CUresult gn_run_occupancy_shared(struct gn_worker *w, struct gn_request *q,
                                 const struct gn_args_occupancy_shared *a, struct gn_out_occupancy_shared *o)
{
    CUfunction function;
    size_t value = 0;
    if (!gn_find_function(w, q, a->function, &function))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuOccupancyAvailableDynamicSMemPerBlock, &value, function, (int)a->blocks,
                           (int)a->block_threads);
    o->value = value;
    return r;
}

CUresult gn_run_occupancy_block_size(struct gn_worker *w, struct gn_request *q,
                                     const struct gn_args_occupancy_block_size *a,
                                     struct gn_out_occupancy_block_size *o)
{
    CUfunction function;
    int blocks = 0, threads = 0;
    if (!gn_find_function(w, q, a->function, &function))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = GN_DRIVER(w, cuOccupancyMaxPotentialBlockSizeWithFlags, &blocks, &threads, function, NULL,
                           a->shared_bytes, (int)a->largest, a->flags);
    o->blocks = blocks;
    o->block_threads = threads;
    return r;
}
