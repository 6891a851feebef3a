// SPDX-License-Identifier: Apache-2.0
// Launches: what a driver refuses at the call, the parameters' capture, and the run in stream order.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_module.h"
#include "tests/mock/mock_occupancy.h"
#include "tests/mock/mock_print.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_stamp.h"
#include "tests/mock/mock_stream.h"
#include "tests/mock/mock_time.h"
#include "tests/mock/mock_turn.h"

struct launch_op {
    struct mock_op op;
    const struct ptx_func *func;
    const char *name;         // unloading the module waits for the launch
    struct mock_context *context;
    struct mock_launch_shape shape;
    unsigned char params[];
};

// --- running

static int lookup(void *at, uint64_t address, bool write, uint64_t *start, uint64_t *end)
{
    const struct mock_context *c = at;
    struct mock_memory_info info;
    int r = mock_memory_find(address, &info);
    if (r)
        return r;
    // A context has its own address space; pinned memory is mapped in all of them.
    if (info.flags & MOCK_MAPPED) {
        unsigned access = mock_memory_access(&info, c->device);
        if (!access || (write && access != CU_MEM_ACCESS_FLAGS_PROT_READWRITE))
            return -EFAULT;
    } else if (info.device >= 0 && ((unsigned)info.device != c->device || info.owner != c->id)) {
        return -EFAULT;
    }
    if (write && info.device < 0 && info.flags & MOCK_HOST_REGISTERED && info.flags & CU_MEMHOSTREGISTER_READ_ONLY)
        return -EFAULT;
    *start = info.start;
    *end = info.start + info.size_bytes;
    return 0;
}

static void print(void *at, const char *text, size_t size_bytes)
{
    const struct mock_context *c = at;
    mock_print_add(c->print, text, size_bytes, c->limits[CU_LIMIT_PRINTF_FIFO_SIZE]);
}

static CUresult code_of(const struct ptx_fault *fault)
{
    static const CUresult codes[] = {
        [PTX_FAULT_NONE] = CUDA_ERROR_UNKNOWN,
        [PTX_FAULT_ADDRESS] = CUDA_ERROR_ILLEGAL_ADDRESS,
        [PTX_FAULT_MISALIGNED] = CUDA_ERROR_MISALIGNED_ADDRESS,
        [PTX_FAULT_TRAP] = CUDA_ERROR_LAUNCH_FAILED,
        [PTX_FAULT_ASSERT] = CUDA_ERROR_ASSERT,
        [PTX_FAULT_INSTRUCTION] = CUDA_ERROR_ILLEGAL_INSTRUCTION,
        [PTX_FAULT_STACK] = CUDA_ERROR_LAUNCH_FAILED,
        [PTX_FAULT_STOPPED] = CUDA_SUCCESS, // the context ended, or is lost already and keeps its own error
    };
    return fault->kind <= PTX_FAULT_STOPPED ? codes[fault->kind] : CUDA_ERROR_UNKNOWN;
}

static CUresult run_launch(struct mock_op *op)
{
    struct launch_op *l = (struct launch_op *)op;
    const struct mock_launch_shape *s = &l->shape;
    struct ptx_memory memory = {.lookup = lookup, .print = print, .ctx = l->context};
    struct ptx_fault fault = {0};
    struct ptx_launch launch = {
        .func = l->func,
        .grid = {(uint32_t)s->grid[0], (uint32_t)s->grid[1], (uint32_t)s->grid[2]},
        .block = {(uint32_t)s->block[0], (uint32_t)s->block[1], (uint32_t)s->block[2]},
        .cluster = {(uint32_t)s->cluster[0], (uint32_t)s->cluster[1], (uint32_t)s->cluster[2]},
        .params = l->params,
        .dynamic_shared_bytes = s->dynamic_shared_bytes,
        .cooperative = s->cooperative,
        .sm_count = mock.options.sms,
        .threads = mock.options.threads,
        .memory = &memory,
        .stop = &l->context->stop,
    };
    int r = ptx_run(&launch, &fault);
    if (!r)
        return CUDA_SUCCESS;
    CUresult code = r == -EFAULT ? code_of(&fault) : CUDA_ERROR_LAUNCH_FAILED;
    if (code != CUDA_SUCCESS)
        mock_say("%s: error %d at line %u of text %u, address 0x%llx, block (%u,%u,%u), thread (%u,%u,%u)", l->name, (int)code,
                 fault.line, fault.unit + 1, (unsigned long long)fault.address, fault.block[0], fault.block[1], fault.block[2],
                 fault.thread[0], fault.thread[1], fault.thread[2]);
    return code;
}

// --- what is refused at the call

// The runtime launches by CUkernel and hands the driver's code on as its own, and its programs see cudaErrorInvalidConfiguration for
// dimensions that no device takes. A launch of a CUfunction gets CUDA_ERROR_INVALID_VALUE for the same.
#define RUNTIME_INVALID_CONFIGURATION ((CUresult)9)

static CUresult check_dimensions(const struct mock_launch_shape *s, const struct mock_function *f)
{
    static const uint64_t grid_max[3] = {MOCK_GRID_X_MAX, MOCK_GRID_YZ_MAX, MOCK_GRID_YZ_MAX};
    static const uint64_t block_max[3] = {MOCK_BLOCK_X_MAX, MOCK_BLOCK_Y_MAX, MOCK_BLOCK_Z_MAX};
    const struct ptx_func_info *info = f->info;
    uint64_t threads = s->block[0] * s->block[1] * s->block[2];
    CUresult impossible = s->by_kernel ? RUNTIME_INVALID_CONFIGURATION : CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < 3; i++)
        if (!s->grid[i] || s->grid[i] > grid_max[i] || !s->block[i] || s->block[i] > block_max[i])
            return impossible;
    if (threads > MOCK_BLOCK_THREADS_MAX)
        return impossible;
    if (threads > info->max_threads)
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < 3 && info->required_block[0]; i++)
        if (s->block[i] != info->required_block[i])
            return CUDA_ERROR_INVALID_VALUE;
    return threads > (uint64_t)mock_function_max_threads(f) ? CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES : CUDA_SUCCESS;
}

// The launch's cluster, or what the kernel was compiled or set to need.
static CUresult check_cluster(struct mock_launch_shape *s, const struct mock_function *f)
{
    const struct ptx_func_info *info = f->info;
    bool given = s->cluster[0] != 0, fixed = info->required_cluster[0] != 0;
    uint64_t most = f->settings->cluster_wide ? 16 : (uint64_t)mock_shape()->cluster_blocks, blocks = 1;
    for (int i = 0; i < 3; i++) {
        if (fixed && given && s->cluster[i] != info->required_cluster[i])
            return CUDA_ERROR_INVALID_VALUE;
        if (!given)
            s->cluster[i] = fixed ? info->required_cluster[i] : f->settings->cluster[i] ? (uint64_t)f->settings->cluster[i] : 1;
        if (!s->cluster[i] || s->cluster[i] > most || s->grid[i] % s->cluster[i])
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        blocks *= s->cluster[i];
    }
    return blocks > most ? CUDA_ERROR_INVALID_CLUSTER_SIZE : CUDA_SUCCESS;
}

static bool is_same(const struct mock_launch_shape *a, const struct mock_launch_shape *b)
{
    uint64_t differs = (a->dynamic_shared_bytes ^ b->dynamic_shared_bytes) | (a->cooperative ^ b->cooperative) |
                       (a->by_kernel ^ b->by_kernel);
    for (int i = 0; i < 3; i++)
        differs |= (a->grid[i] ^ b->grid[i]) | (a->block[i] ^ b->block[i]) | (a->cluster[i] ^ b->cluster[i]);
    return !differs;
}

static CUresult check(struct mock_launch_shape *s, const struct mock_function *f)
{
    CUresult r = check_dimensions(s, f);
    if (r != CUDA_SUCCESS)
        return r;
    if (s->dynamic_shared_bytes > (uint32_t)mock_function_dynamic_shared_max(f->info, f->settings) ||
        f->info->static_shared_bytes + s->dynamic_shared_bytes > (uint32_t)mock_shape()->block_shared_bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if ((r = check_cluster(s, f)) != CUDA_SUCCESS)
        return r;
    uint64_t blocks = s->grid[0] * s->grid[1] * s->grid[2]; // at most 2^63
    int threads = (int)(s->block[0] * s->block[1] * s->block[2]);
    if (s->cooperative &&
        blocks > (uint64_t)mock_blocks_per_sm(f, threads, s->dynamic_shared_bytes) * mock.options.sms)
        return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    return CUDA_SUCCESS;
}

// --- parameters

static CUresult capture(const struct ptx_func_info *info, void **params, void **extra, unsigned char *out)
{
    if (params && extra)
        return CUDA_ERROR_INVALID_VALUE;
    if (extra) {
        const void *buffer = NULL;
        const size_t *size = NULL;
        for (void **at = extra; *at != CU_LAUNCH_PARAM_END; at += 2) {
            if (*at == CU_LAUNCH_PARAM_BUFFER_POINTER)
                buffer = at[1];
            else if (*at == CU_LAUNCH_PARAM_BUFFER_SIZE)
                size = at[1];
            else
                return CUDA_ERROR_INVALID_VALUE;
        }
        if (!info->param_bytes)
            return CUDA_SUCCESS;
        if (!buffer || !size || *size < info->param_bytes)
            return CUDA_ERROR_INVALID_VALUE;
        memcpy(out, buffer, info->param_bytes);
        return CUDA_SUCCESS;
    }
    if (info->param_count && !params)
        return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t i = 0; i < info->param_count; i++) {
        const struct ptx_param *p = &info->params[i];
        if (!params[i])
            return CUDA_ERROR_INVALID_VALUE;
        if (p->size_bytes == 8) // pointers and integers, which most are, without a call
            memcpy(out + p->offset_bytes, params[i], 8);
        else if (p->size_bytes == 4)
            memcpy(out + p->offset_bytes, params[i], 4);
        else
            memcpy(out + p->offset_bytes, params[i], p->size_bytes);
    }
    return CUDA_SUCCESS;
}

// --- the calls

static CUresult queue(const struct mock_function *f, const struct mock_launch_shape *shape, struct mock_stream *s, enum mock_lane lane,
                      const unsigned char *params)
{
    struct launch_op *l = malloc(sizeof *l + f->info->param_bytes);
    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *l = (struct launch_op){
        .op = {.lane = lane, .run = run_launch, .release = mock_op_free, .duration_ns = mock_time_kernel(f, shape, params)},
        .func = f->func, .name = f->info->name, .context = s->context, // the stream keeps it
        .shape = *shape};
    memcpy(l->params, params, f->info->param_bytes);
    return mock_submit(s, &l->op, NULL);
}

static CUresult submit(const struct mock_function *f, const struct mock_launch_shape *shape, struct mock_stream *s, void **params,
                       void **extra)
{
    static unsigned char captured[PTX_PARAM_BYTES_MAX]; // the lock guards it; holes between parameters keep what was there
    struct mock_turn turn;
    CUresult r = capture(f->info, params, extra, captured);
    if (r == CUDA_SUCCESS && !f->func && !mock.options.sass_skip)
        r = CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (r != CUDA_SUCCESS)
        return r;
    mock.launches++;
    mock.skipped_launches += !f->func;
    if (__builtin_expect(mock_stamps != NULL, 0))
        mock_stamp_launch();
    if (__builtin_expect(mock.launches == mock.options.hang_launch, 0))
        return queue(f, shape, s, MOCK_LANE_NEVER, captured);
    if (f->func && mock.options.exec)
        return queue(f, shape, s, MOCK_LANE_WORK, captured);
    if (!mock_turn_take(s, NULL, &turn))
        return queue(f, shape, s, MOCK_LANE_NOW, captured);
    int64_t takes_ns = mock_time_kernel(f, shape, captured);
    mock_turn_end(&turn, takes_ns > 0 ? takes_ns : 0);
    return CUDA_SUCCESS;
}

static CUresult launch(CUfunction handle, struct mock_launch_shape *shape, CUstream stream, void **params, void **extra)
{
    struct mock_function *f;
    struct mock_stream *s;
    CUresult r = mock_function_resolve_here(handle, &f);
    if (r == CUDA_SUCCESS)
        r = mock_stream_resolve_here(stream, &s);
    if (r != CUDA_SUCCESS)
        return r;
    mock_code_complete(f->module->code, (size_t)(f->info - f->module->code->kernels));
    shape->by_kernel = gn_handle_kind((uint64_t)(uintptr_t)handle) == GN_KIND_KERNEL;
    // Programs launch a kernel in one shape again and again; the answer can only change with the kernel's settings.
    if (f->accepted_settings == f->settings->version && is_same(shape, &f->asked)) {
        *shape = f->accepted;
        return submit(f, shape, s, params, extra);
    }
    f->asked = *shape;
    f->accepted_settings = 0;
    r = check(shape, f);
    if (r != CUDA_SUCCESS)
        return r;
    f->accepted = *shape;
    f->accepted_settings = f->settings->version;
    return submit(f, shape, s, params, extra);
}

CUresult mock_cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                             unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                             unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra)
{
    struct mock_launch_shape shape = {.grid = {gridDimX, gridDimY, gridDimZ}, .block = {blockDimX, blockDimY, blockDimZ},
                          .dynamic_shared_bytes = sharedMemBytes};
    return launch(f, &shape, hStream, kernelParams, extra);
}

CUresult mock_cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                        unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                                        unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                                        void **kernelParams)
{
    struct mock_launch_shape shape = {.grid = {gridDimX, gridDimY, gridDimZ}, .block = {blockDimX, blockDimY, blockDimZ},
                          .dynamic_shared_bytes = sharedMemBytes, .cooperative = true};
    return launch(f, &shape, hStream, kernelParams, NULL);
}

static CUresult apply(struct mock_launch_shape *shape, const CUlaunchAttribute *attribute)
{
    const CUlaunchAttributeValue *v = &attribute->value;
    switch (attribute->id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE: shape->cooperative = v->cooperative != 0; break;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        if (!v->clusterDim.x || !v->clusterDim.y || !v->clusterDim.z)
            return CUDA_ERROR_INVALID_VALUE;
        shape->cluster[0] = v->clusterDim.x;
        shape->cluster[1] = v->clusterDim.y;
        shape->cluster[2] = v->clusterDim.z;
        break;
    // Hints about scheduling and caches, which a device may pass over.
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: // permits overlap, does not demand it
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
    case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING: break;
    // These have an effect that a program waits for, so they cannot be passed over.
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE: return CUDA_ERROR_NOT_SUPPORTED;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult mock_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams, void **extra)
{
    if (!config || (config->numAttrs && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    struct mock_launch_shape shape = {.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
                          .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
                          .dynamic_shared_bytes = config->sharedMemBytes};
    for (unsigned i = 0; i < config->numAttrs; i++) {
        CUresult r = apply(&shape, &config->attrs[i]);
        if (r != CUDA_SUCCESS)
            return r;
    }
    return launch(f, &shape, config->hStream, kernelParams, extra);
}
