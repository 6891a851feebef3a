// SPDX-License-Identifier: Apache-2.0
// Launching kernels, and the question how many clusters of one fit.
#include <string.h>

#include "server/run/run.h"

// Launch attributes that may be handed to the driver as they came: numbers, and events once looked up. One
// that holds a pointer into the client's process, or that we do not know, could make the driver follow it
// here.
static const struct {
    bool known, event;
} attributes[] = {
    [CU_LAUNCH_ATTRIBUTE_IGNORE] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW] = {true, false}, // its pointer is a device address
    [CU_LAUNCH_ATTRIBUTE_COOPERATIVE] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT] = {true, true},
    [CU_LAUNCH_ATTRIBUTE_PRIORITY] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT] = {true, true},
    [CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE] =
        {false, false}, // returns a pointer that only kernels may use
    [CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT] = {true, false},
    [CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING] = {true, false},
};

_Static_assert(sizeof(CUlaunchAttribute) == 72, "the size on the wire");
_Static_assert(offsetof(CUlaunchAttribute, value.programmaticEvent.event) ==
                   offsetof(CUlaunchAttribute, value.launchCompletionEvent.event),
               "both kinds of event lie in the same place");

// Copies the attributes of a command to `to` and puts the driver's events in place of their ids.
static CUresult translate(struct gn_worker *w, struct gn_request *q, const void *from, uint32_t from_bytes,
                          CUlaunchAttribute *to, unsigned *count)
{
    if (from_bytes % sizeof *to || from_bytes / sizeof *to > GN_LAUNCH_ATTRIBUTES_MAX) {
        q->error = "launch attributes of a size that cannot be";
        return CUDA_ERROR_INVALID_VALUE;
    }
    *count = from_bytes / (unsigned)sizeof *to;
    if (from_bytes)
        memcpy(to, from, from_bytes);
    for (unsigned i = 0; i < *count; i++) {
        unsigned id = (unsigned)to[i].id;
        if (id >= sizeof attributes / sizeof *attributes || !attributes[id].known)
            return CUDA_ERROR_NOT_SUPPORTED;
        if (attributes[id].event &&
            !gn_find_event(w, q, (uint64_t)(uintptr_t)to[i].value.programmaticEvent.event,
                           &to[i].value.programmaticEvent.event))
            return CUDA_ERROR_INVALID_HANDLE;
    }
    return CUDA_SUCCESS;
}

// Of the two commands that describe a launch, whose structures name these alike.
#define CONFIG_OF(a)                                                                                                              \
    ((CUlaunchConfig){.gridDimX = (a)->grid_x, .gridDimY = (a)->grid_y, .gridDimZ = (a)->grid_z, .blockDimX = (a)->block_x,       \
                      .blockDimY = (a)->block_y, .blockDimZ = (a)->block_z, .sharedMemBytes = (a)->shared_bytes})

CUresult gn_run_launch(struct gn_worker *w, struct gn_request *q, const struct gn_args_launch *a,
                       struct gn_out_launch *o)
{
    (void)o;
    CUfunction function;
    CUstream stream;
    if (!gn_find_function(w, q, a->function, &function) || !gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    size_t params_bytes = a->params_bytes;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)(uintptr_t)a->params,
                     CU_LAUNCH_PARAM_BUFFER_SIZE, &params_bytes, CU_LAUNCH_PARAM_END};
    void **given = params_bytes ? extra : NULL;
    if (w->status) // one thread at a time runs commands
        atomic_store_explicit(&w->status->launches, atomic_load_explicit(&w->status->launches, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    CUresult r;
    if (!a->attributes_bytes) { // a kernel may need more local memory than any before
        GN_WITH_ROOM(w, w->scope ? w->scope->device : CU_DEVICE_INVALID, r,
                     GN_DRIVER(w, cuLaunchKernel, function, a->grid_x, a->grid_y, a->grid_z, a->block_x, a->block_y, a->block_z, a->shared_bytes,
                               stream, NULL, given));
        return r;
    }
    CUlaunchAttribute list[GN_LAUNCH_ATTRIBUTES_MAX];
    CUlaunchConfig config = CONFIG_OF(a);
    config.hStream = stream;
    config.attrs = list;
    r = translate(w, q, a->attributes, a->attributes_bytes, list, &config.numAttrs);
    if (!r)
        GN_WITH_ROOM(w, w->scope ? w->scope->device : CU_DEVICE_INVALID, r, GN_DRIVER(w, cuLaunchKernelEx, &config, function, NULL, given));
    return r;
}

CUresult gn_run_occupancy_clusters(struct gn_worker *w, struct gn_request *q,
                                   const struct gn_args_occupancy_clusters *a,
                                   struct gn_out_occupancy_clusters *o)
{
    CUfunction function;
    if (!gn_find_function(w, q, a->function, &function))
        return CUDA_ERROR_INVALID_HANDLE;
    CUlaunchAttribute list[GN_LAUNCH_ATTRIBUTES_MAX];
    CUlaunchConfig config = CONFIG_OF(a);
    config.attrs = list;
    int value = 0;
    CUresult r = translate(w, q, a->attributes, a->attributes_bytes, list, &config.numAttrs);
    if (r == CUDA_SUCCESS)
        r = a->largest ? GN_DRIVER(w, cuOccupancyMaxPotentialClusterSize, &value, function, &config)
                       : GN_DRIVER(w, cuOccupancyMaxActiveClusters, &value, function, &config);
    o->value = value;
    return r;
}
