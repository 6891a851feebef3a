// SPDX-License-Identifier: Apache-2.0
// Launches: the path that programs take most often. Everything that it needs lies in the function's object
// and the device's snapshot; the only lock is the session's.
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/context/occupancy.h"
#include "interpose/hints/hints.h"
#include "interpose/module/function.h"
#include "interpose/module/launch.h"
#include "interpose/refuse.h"
#include "interpose/stream/marks.h"
#include "interpose/stream/stream.h"

enum {
    STACK_BYTES =
        4096, // parameters of nearly every kernel there is; more go through a buffer of the thread's
    EXTRA_PAIRS_MAX = 8, // of the `extra` list: two kinds of entries exist
};

// --- the thread's buffer for large parameters

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;
static int buffer_error;

static void make_key(void) { buffer_error = pthread_key_create(&buffer_key, free); }

static uint8_t *thread_buffer(void)
{
    pthread_once(&buffer_once, make_key);
    uint8_t *buffer = buffer_error ? NULL : pthread_getspecific(buffer_key);
    if (!buffer && !buffer_error && (buffer = malloc(GN_PARAMS_BYTES_MAX)) &&
        pthread_setspecific(buffer_key, buffer)) {
        free(buffer);
        buffer = NULL;
    }
    return buffer;
}

// --- checks

// The CUDA runtime launches kernels, hands the driver's code on as its own, and its programs know
// cudaErrorInvalidConfiguration for dimensions that no device takes: so that is the code there. Who launches
// a CUfunction gets CUDA_ERROR_INVALID_VALUE.
#define RUNTIME_INVALID_CONFIGURATION ((CUresult)9)

static bool are_dimensions_possible(const struct gn_device_snapshot *device, const struct gn_args_launch *a,
                                    uint64_t *threads)
{
    const int32_t *most = device->attributes;
    *threads = (uint64_t)a->block_x * a->block_y * a->block_z;
    if (!a->grid_x || !a->grid_y || !a->grid_z || !*threads)
        return false;
    return !(a->grid_x > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X] ||
             a->grid_y > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y] ||
             a->grid_z > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z] ||
             a->block_x > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X] ||
             a->block_y > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y] ||
             a->block_z > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z] ||
             *threads > (uint32_t)most[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK]);
}

static CUresult against_facts(const struct gn_facts *facts, const struct gn_device_snapshot *device,
                              uint64_t threads, uint32_t shared_bytes)
{
    if (shared_bytes &&
        shared_bytes > (uint32_t)gn_fact(facts, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES))
        return CUDA_ERROR_INVALID_VALUE;
    if (__builtin_expect(threads <= (uint64_t)gn_fact(facts, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), 1))
        return CUDA_SUCCESS;
    // Either the registers do not suffice, which a driver hands out in eights to whole warps, or the kernel
    // says how large its blocks are.
    uint64_t registers =
        ((uint64_t)gn_fact(facts, CU_FUNC_ATTRIBUTE_NUM_REGS) + 7) / 8 * 8 * ((threads + 31) / 32 * 32);
    return registers > (uint32_t)device->attributes[CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK]
               ? CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
               : CUDA_ERROR_INVALID_VALUE;
}

// What is kept of a function may be older than the last cuFuncSetAttribute, so a launch is only refused by
// what the server says now.
static CUresult check_function(struct gn_call *c, struct gn_function *f, CUdevice number, uint64_t threads,
                               uint32_t shared_bytes)
{
    const struct gn_device_snapshot *device = gn_device(number);
    struct gn_facts *facts;
    CUresult r = gn_function_facts(c, f, number, false, &facts);
    if (r || !against_facts(facts, device, threads, shared_bytes))
        return r;
    r = gn_function_facts(c, f, number, true, &facts);
    return r ? r : against_facts(facts, device, threads, shared_bytes);
}

// The buffer of the `extra` list: used where it lies.
static CUresult take_extra(const struct gn_layout *layout, void **extra, struct gn_args_launch *a)
{
    const void *buffer = NULL;
    const size_t *size = NULL;
    for (int i = 0; extra[2 * i] != CU_LAUNCH_PARAM_END; i++) {
        if (i == EXTRA_PAIRS_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        if (extra[2 * i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = extra[2 * i + 1];
        else if (extra[2 * i] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            size = extra[2 * i + 1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (layout->size_bytes && (!buffer || !size || *size < layout->size_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    a->params = buffer;
    a->params_bytes = layout->size_bytes;
    return CUDA_SUCCESS;
}

static CUresult take_params(const struct gn_layout *layout, void **values, void **extra, uint8_t *stack,
                            struct gn_args_launch *a)
{
    if (extra)
        return values ? CUDA_ERROR_INVALID_VALUE : take_extra(layout, extra, a);
    if (!layout->count)
        return CUDA_SUCCESS;
    uint8_t *buffer = layout->size_bytes <= STACK_BYTES ? stack : thread_buffer();
    if (!buffer)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!values || gn_layout_pack(layout, values, buffer))
        return CUDA_ERROR_INVALID_VALUE;
    a->params = buffer;
    a->params_bytes = layout->size_bytes;
    return CUDA_SUCCESS;
}

// --- the launch, with dimensions and attributes in `a`

static CUresult launch(struct gn_call *c, CUfunction handle, CUstream stream, bool cooperative, void **values,
                       void **extra, struct gn_args_launch *a)
{
    uint8_t stack[STACK_BYTES];
    struct gn_function *f = gn_function_of(handle);
    struct gn_stream s;
    uint64_t threads;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = gn_stream_find(c, stream, &s);
    if (r)
        return r;
    // A launch into a stream of another context than the current one is refused, and so is a function of another one.
    if (s.context != gn_context_id(c) || (f->context && f->context != s.context))
        return CUDA_ERROR_INVALID_HANDLE;
    const struct gn_context *context = c->context;
    const struct gn_device_snapshot *device = context ? gn_device(context->device) : NULL;
    if (!device)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!are_dimensions_possible(device, a, &threads))
        return f->context ? CUDA_ERROR_INVALID_VALUE : RUNTIME_INVALID_CONFIGURATION;
    if ((r = check_function(c, f, context->device, threads, a->shared_bytes)) ||
        (r = take_params(&f->layout, values, extra, stack, a)))
        return r;
    if (cooperative) {
        uint64_t blocks = (uint64_t)a->grid_x * a->grid_y; // both have 32 bits
        if (__builtin_mul_overflow(blocks, (uint64_t)a->grid_z, &blocks))
            return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
        if ((r = gn_occupancy_cooperative(c, f, blocks, (unsigned)threads, a->shared_bytes)))
            return r;
    }
    a->function = f->id;
    a->stream = s.id;
    gn_touches(c, &s);
    if (__builtin_expect(gn_hints_on, 0))
        gn_hints_launch(f, a->params);
    r = gn_post(c, GN_OP_launch, a);
    if (!r)
        gn_count_kernel(c);
    return r;
}

CUresult gn_cuLaunchKernel(struct gn_call *c, CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                           unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                           unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                           void **kernelParams, void **extra)
{
    struct gn_args_launch a = {.grid_x = gridDimX,
                               .grid_y = gridDimY,
                               .grid_z = gridDimZ,
                               .block_x = blockDimX,
                               .block_y = blockDimY,
                               .block_z = blockDimZ,
                               .shared_bytes = sharedMemBytes};
    return launch(c, f, hStream, false, kernelParams, extra, &a);
}

// --- attributes

static_assert(sizeof(CUlaunchAttribute) == 72, "the wire carries attributes as they are");

static CUresult check_attribute(struct gn_call *c, const CUlaunchConfig *config,
                                const CUlaunchAttribute *attribute, struct gn_launch_attributes *all)
{
    uint64_t event;
    switch ((int)attribute->id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
        all->cooperative = attribute->value.cooperative;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION: {
        unsigned x = attribute->value.clusterDim.x, y = attribute->value.clusterDim.y,
                 z = attribute->value.clusterDim.z;
        bool whole = x && y && z && !(config->gridDimX % x || config->gridDimY % y || config->gridDimZ % z);
        return whole ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CLUSTER_SIZE;
    }
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT: // handles are ids
        return gn_id_event(c, attribute->value.programmaticEvent.event, &event);
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
        return gn_id_event(c, attribute->value.launchCompletionEvent.event, &event);
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY: // of streams: a driver refuses it for a launch
        return CUDA_ERROR_INVALID_VALUE;
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE: // a node of a graph
        return gn_refuse(c, "nodes of graphs");
    default:
        return (unsigned)attribute->id > CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING
                   ? CUDA_ERROR_INVALID_VALUE
                   : CUDA_SUCCESS;
    }
}

CUresult gn_launch_attributes(struct gn_call *c, const CUlaunchConfig *config,
                              struct gn_launch_attributes *attributes)
{
    attributes->count = 0;
    attributes->cooperative = false;
    if (config->numAttrs && !config->attrs)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const CUlaunchAttribute *from = &config->attrs[i];
        bool no_node = from->id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE &&
                       !from->value.deviceUpdatableKernelNode.deviceUpdatable;
        if (from->id == CU_LAUNCH_ATTRIBUTE_IGNORE || no_node)
            continue;
        if (attributes->count == GN_LAUNCH_ATTRIBUTES_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        CUresult r = check_attribute(c, config, from, attributes);
        if (r)
            return r;
        CUlaunchAttribute *to = &attributes->list[attributes->count++];
        *to = (CUlaunchAttribute){.id = from->id};
        memcpy(&to->value, &from->value, sizeof to->value);
    }
    return CUDA_SUCCESS;
}

CUresult gn_cuLaunchKernelEx(struct gn_call *c, const CUlaunchConfig *config, CUfunction f,
                             void **kernelParams, void **extra)
{
    struct gn_launch_attributes attributes;
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = gn_launch_attributes(c, config, &attributes);
    if (r)
        return r;
    struct gn_args_launch a = {.grid_x = config->gridDimX,
                               .grid_y = config->gridDimY,
                               .grid_z = config->gridDimZ,
                               .block_x = config->blockDimX,
                               .block_y = config->blockDimY,
                               .block_z = config->blockDimZ,
                               .shared_bytes = config->sharedMemBytes,
                               .attributes = attributes.list,
                               .attributes_bytes = attributes.count * (uint32_t)sizeof attributes.list[0]};
    CUstream stream = config->hStream ? config->hStream : c->default_stream;
    return launch(c, f, stream, attributes.cooperative, kernelParams, extra, &a);
}

CUresult gn_cuLaunchCooperativeKernel(struct gn_call *c, CUfunction f, unsigned int gridDimX,
                                      unsigned int gridDimY, unsigned int gridDimZ, unsigned int blockDimX,
                                      unsigned int blockDimY, unsigned int blockDimZ,
                                      unsigned int sharedMemBytes, CUstream hStream, void **kernelParams)
{
    CUlaunchAttribute cooperative = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value = {.cooperative = 1}};
    CUlaunchConfig config = {gridDimX,  gridDimY,       gridDimZ, blockDimX,    blockDimY,
                             blockDimZ, sharedMemBytes, hStream,  &cooperative, 1};
    return gn_cuLaunchKernelEx(c, &config, f, kernelParams, NULL);
}
