// SPDX-License-Identifier: Apache-2.0
// Occupancy: what is more than one question to the server's driver.
#include "interpose/context/occupancy.h"

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/keep.h"
#include "interpose/module/launch.h"

CUresult gn_occupancy_blocks(struct gn_call *c, const struct gn_function *f, int block_threads,
                             size_t shared_bytes, unsigned flags, int *blocks)
{
    struct gn_args_occupancy_blocks args = {
        .function = f->id, .shared_bytes = shared_bytes, .block_threads = (uint32_t)block_threads, .flags = flags};
    struct gn_out_occupancy_blocks out = {0};
    CUresult r = gn_ask_kept(c, GN_OP_occupancy_blocks, &args, &out, sizeof out);
    *blocks = out.value;
    return r;
}

CUresult gn_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(struct gn_call *c, int *numBlocks, CUfunction func,
                                                                 int blockSize, size_t dynamicSMemSize,
                                                                 unsigned int flags)
{
    const struct gn_function *f = gn_function_of(func);
    int blocks;
    if (!numBlocks)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = f ? gn_occupancy_blocks(c, f, blockSize, dynamicSMemSize, flags, &blocks)
                   : CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        *numBlocks = blocks;
    return r;
}

CUresult gn_cuOccupancyMaxActiveBlocksPerMultiprocessor(struct gn_call *c, int *numBlocks, CUfunction func,
                                                        int blockSize, size_t dynamicSMemSize)
{
    return gn_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(c, numBlocks, func, blockSize, dynamicSMemSize,
                                                                   CU_OCCUPANCY_DEFAULT);
}

CUresult gn_cuOccupancyAvailableDynamicSMemPerBlock(struct gn_call *c, size_t *dynamicSmemSize, CUfunction func,
                                                    int numBlocks, int blockSize)
{
    const struct gn_function *f = gn_function_of(func);
    if (!dynamicSmemSize)
        return CUDA_ERROR_INVALID_VALUE;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    struct gn_args_occupancy_shared args = {
        .function = f->id, .blocks = (uint32_t)numBlocks, .block_threads = (uint32_t)blockSize};
    struct gn_out_occupancy_shared out = {0};
    CUresult r = gn_ask_kept(c, GN_OP_occupancy_shared, &args, &out, sizeof out);
    if (!r)
        *dynamicSmemSize = out.value;
    return r;
}

CUresult gn_occupancy_cooperative(struct gn_call *c, struct gn_function *f, uint64_t grid_blocks,
                                  unsigned block_threads, unsigned shared_bytes)
{
    const struct gn_device_snapshot *device = gn_device(c->context->device);
    if (!device || !device->attributes[CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH])
        return CUDA_ERROR_NOT_SUPPORTED;
    int blocks;
    CUresult r = gn_occupancy_blocks(c, f, (int)block_threads, shared_bytes, CU_OCCUPANCY_DEFAULT, &blocks);
    if (r)
        return r;
    uint64_t fit = (uint64_t)(blocks > 0 ? blocks : 0) *
                   (uint64_t)device->attributes[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT];
    return grid_blocks > fit ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

// --- the block size that keeps most threads resident

struct search {
    CUoccupancyB2DSize shared_of; // or NULL: shared_bytes
    size_t shared_bytes;
    unsigned flags;
    int warp, largest, full; // threads: of a warp, of a block at most, of a multiprocessor at most
    int best_block, best_blocks;
};

static CUresult try_block(struct gn_call *c, const struct gn_function *f, struct search *s, int block,
                          int *resident)
{
    int blocks;
    size_t shared_bytes = s->shared_of ? s->shared_of(block) : s->shared_bytes;
    CUresult r = gn_occupancy_blocks(c, f, block, shared_bytes, s->flags, &blocks);
    if (r)
        return r;
    *resident = blocks * block;
    if (*resident > s->best_block * s->best_blocks) { // larger blocks come first and win a draw
        s->best_block = block;
        s->best_blocks = blocks;
    }
    return CUDA_SUCCESS;
}

static int least(int a, int b) { return a < b ? a : b; }

// Without a function of the program's to ask, the driver's own search serves: one question.
static CUresult ask_block_size(struct gn_call *c, const struct gn_function *f, size_t shared_bytes, int largest,
                               unsigned flags, int *grid, int *block)
{
    struct gn_args_occupancy_block_size args = {
        .function = f->id, .shared_bytes = shared_bytes, .largest = (uint32_t)largest, .flags = flags};
    struct gn_out_occupancy_block_size out = {0};
    CUresult r = gn_ask_kept(c, GN_OP_occupancy_block_size, &args, &out, sizeof out);
    if (!r) {
        *grid = out.blocks;
        *block = out.block_threads;
    }
    return r;
}

CUresult gn_cuOccupancyMaxPotentialBlockSizeWithFlags(struct gn_call *c, int *minGridSize, int *blockSize,
                                                      CUfunction func,
                                                      CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                      size_t dynamicSMemSize, int blockSizeLimit,
                                                      unsigned int flags)
{
    struct gn_function *f = gn_function_of(func);
    const struct gn_device_snapshot *device = gn_device(c->context->device);
    struct gn_facts *facts;
    if (!minGridSize || !blockSize || blockSizeLimit < 0 ||
        (flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE))
        return CUDA_ERROR_INVALID_VALUE;
    if (!f || !device)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!blockSizeToDynamicSMemSize)
        return ask_block_size(c, f, dynamicSMemSize, blockSizeLimit, flags, minGridSize, blockSize);
    CUresult r = gn_function_facts(c, f, c->context->device, false, &facts);
    if (r)
        return r;
    const int32_t *of_device = device->attributes;
    struct search s = {
        .shared_of = blockSizeToDynamicSMemSize, .shared_bytes = dynamicSMemSize, .flags = flags};
    s.warp = of_device[CU_DEVICE_ATTRIBUTE_WARP_SIZE] > 0 ? of_device[CU_DEVICE_ATTRIBUTE_WARP_SIZE] : 32;
    s.full = of_device[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR];
    s.largest = least(of_device[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK],
                      gn_fact(facts, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK));
    if (blockSizeLimit)
        s.largest = least(s.largest, blockSizeLimit);
    // From the largest multiple of a warp downwards; a limit that is no multiple is tried as it is, first.
    int resident = 0;
    for (int block = (s.largest + s.warp - 1) / s.warp * s.warp; !r && block > 0 && resident < s.full;
         block -= s.warp)
        r = try_block(c, f, &s, least(block, s.largest), &resident);
    if (r)
        return r;
    *blockSize = s.best_block;
    *minGridSize = s.best_blocks * of_device[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT];
    return CUDA_SUCCESS;
}

CUresult gn_cuOccupancyMaxPotentialBlockSize(struct gn_call *c, int *minGridSize, int *blockSize,
                                             CUfunction func, CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                             size_t dynamicSMemSize, int blockSizeLimit)
{
    return gn_cuOccupancyMaxPotentialBlockSizeWithFlags(c, minGridSize, blockSize, func,
                                                        blockSizeToDynamicSMemSize, dynamicSMemSize,
                                                        blockSizeLimit, CU_OCCUPANCY_DEFAULT);
}

// --- clusters

static CUresult clusters(struct gn_call *c, int *value, CUfunction func, const CUlaunchConfig *config,
                         bool largest)
{
    struct gn_function *f = gn_function_of(func);
    if (!value || !config)
        return CUDA_ERROR_INVALID_VALUE;
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    struct gn_launch_attributes attributes;
    CUresult r = gn_launch_attributes(c, config, &attributes);
    if (r)
        return r;
    struct gn_args_occupancy_clusters args = {f->id,
                                              largest,
                                              config->gridDimX,
                                              config->gridDimY,
                                              config->gridDimZ,
                                              config->blockDimX,
                                              config->blockDimY,
                                              config->blockDimZ,
                                              config->sharedMemBytes,
                                              attributes.list,
                                              attributes.count * (uint32_t)sizeof attributes.list[0]};
    struct gn_out_occupancy_clusters out = {0};
    r = gn_ask_kept(c, GN_OP_occupancy_clusters, &args, &out, sizeof out);
    if (!r)
        *value = out.value;
    return r;
}

CUresult gn_cuOccupancyMaxActiveClusters(struct gn_call *c, int *numClusters, CUfunction func,
                                         const CUlaunchConfig *config)
{
    return clusters(c, numClusters, func, config, false);
}

CUresult gn_cuOccupancyMaxPotentialClusterSize(struct gn_call *c, int *clusterSize, CUfunction func,
                                               const CUlaunchConfig *config)
{
    return clusters(c, clusterSize, func, config, true);
}
