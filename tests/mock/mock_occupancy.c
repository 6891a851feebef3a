// SPDX-License-Identifier: Apache-2.0
// Occupancy: the published arithmetic of registers, shared memory, threads and blocks of an SM.
#include "tests/mock/mock_occupancy.h"

#include "api_mock.h"
#include "tests/mock/mock_limits.h"

enum {
    SHARED_UNIT_BYTES = 128,    // in which an SM gives shared memory out
    REGISTER_UNIT = 256,        // registers of a warp
    CLUSTER_BLOCKS_WIDE = 16,   // with the non-portable size allowed
};

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static int least(int a, int b) { return a < b ? a : b; }

static size_t shared_of_block(const struct mock_function *f, size_t dynamic_bytes)
{
    return round_up(f->info->static_shared_bytes + dynamic_bytes + (size_t)mock_shape()->reserved_shared_bytes,
                    SHARED_UNIT_BYTES);
}

int mock_blocks_per_sm(const struct mock_function *f, int block_threads, size_t dynamic_shared_bytes)
{
    const struct mock_sm_shape *shape = mock_shape();
    int warps = (block_threads + MOCK_WARP_THREADS - 1) / MOCK_WARP_THREADS;
    if (block_threads > mock_function_max_threads(f) || warps == 0 ||
        dynamic_shared_bytes > (size_t)shape->block_shared_bytes)
        return 0;
    size_t shared = shared_of_block(f, dynamic_shared_bytes);
    int registers_a_warp = (int)round_up(f->info->registers * MOCK_WARP_THREADS, REGISTER_UNIT);
    int blocks = least(shape->sm_blocks, shape->sm_threads / (warps * MOCK_WARP_THREADS));
    if (registers_a_warp)
        blocks = least(blocks, MOCK_BLOCK_REGISTERS_MAX / registers_a_warp / warps);
    if (shared)
        blocks = least(blocks, (int)((size_t)shape->sm_shared_bytes / shared));
    return blocks;
}

CUresult mock_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func, int blockSize,
                                                                   size_t dynamicSMemSize, unsigned int flags)
{
    struct mock_function *f;
    CUresult r = numBlocks ? mock_function_resolve_here(func, &f) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS && (blockSize <= 0 || flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *numBlocks = mock_blocks_per_sm(f, blockSize, dynamicSMemSize);
    return r;
}

CUresult mock_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize,
                                                          size_t dynamicSMemSize)
{
    return mock_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(numBlocks, func, blockSize, dynamicSMemSize, 0);
}

CUresult mock_cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize, CUfunction func,
                                                        CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                        size_t dynamicSMemSize, int blockSizeLimit,
                                                        unsigned int flags)
{
    struct mock_function *f;
    if (!minGridSize || !blockSize || blockSizeLimit < 0 || flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = mock_function_resolve_here(func, &f);
    if (r != CUDA_SUCCESS)
        return r;
    int limit = mock_function_max_threads(f), best_threads = 0, best_size = 0, best_blocks = 0;
    if (blockSizeLimit > 0)
        limit = least(limit, blockSizeLimit);
    // From the largest down, as a driver does: of equals the largest block wins.
    for (int size = (int)round_up((size_t)limit, MOCK_WARP_THREADS); size > 0; size -= MOCK_WARP_THREADS) {
        int real = least(size, limit);
        size_t dynamic = dynamicSMemSize;
        if (blockSizeToDynamicSMemSize) {
            struct mock_call_out saved;
            mock_call_out_begin(&saved); // the program's function
            dynamic = blockSizeToDynamicSMemSize(real);
            mock_call_out_end(&saved);
            if ((r = mock_function_resolve_here(func, &f)) != CUDA_SUCCESS)
                return r;
        }
        int blocks = mock_blocks_per_sm(f, real, dynamic);
        if (blocks * real > best_threads) {
            best_threads = blocks * real;
            best_size = real;
            best_blocks = blocks;
        }
    }
    if (!best_threads)
        return CUDA_ERROR_INVALID_VALUE;
    *blockSize = best_size;
    *minGridSize = best_blocks * (int)mock.options.sms;
    return CUDA_SUCCESS;
}

CUresult mock_cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                               CUoccupancyB2DSize blockSizeToDynamicSMemSize, size_t dynamicSMemSize,
                                               int blockSizeLimit)
{
    return mock_cuOccupancyMaxPotentialBlockSizeWithFlags(minGridSize, blockSize, func, blockSizeToDynamicSMemSize,
                                                          dynamicSMemSize, blockSizeLimit, 0);
}

CUresult mock_cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func, int numBlocks,
                                                      int blockSize)
{
    const struct mock_sm_shape *shape = mock_shape();
    struct mock_function *f;
    CUresult r = dynamicSmemSize ? mock_function_resolve_here(func, &f) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    if (numBlocks <= 0 || blockSize <= 0 || mock_blocks_per_sm(f, blockSize, 0) < numBlocks)
        return CUDA_ERROR_INVALID_VALUE;
    size_t share = (size_t)shape->sm_shared_bytes / (size_t)numBlocks / SHARED_UNIT_BYTES * SHARED_UNIT_BYTES;
    size_t taken = f->info->static_shared_bytes + (size_t)shape->reserved_shared_bytes;
    size_t most = (size_t)shape->block_shared_bytes - f->info->static_shared_bytes;
    share = share > taken ? share - taken : 0;
    *dynamicSmemSize = share < most ? share : most;
    return CUDA_SUCCESS;
}

// --- clusters

static unsigned cluster_blocks(const CUlaunchConfig *config)
{
    for (unsigned i = 0; config->attrs && i < config->numAttrs; i++)
        if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
            const CUlaunchAttributeValue *v = &config->attrs[i].value;
            return v->clusterDim.x * v->clusterDim.y * v->clusterDim.z;
        }
    return 1;
}

// Clusters live inside a group of SMs; the mock takes as many SMs as the largest cluster for one.
static int clusters_of(const struct mock_function *f, const CUlaunchConfig *config, unsigned blocks)
{
    int threads = (int)(config->blockDimX * config->blockDimY * config->blockDimZ);
    int a_sm = mock_blocks_per_sm(f, threads, config->sharedMemBytes);
    return blocks ? a_sm * (int)mock.options.sms / (int)blocks : 0;
}

static CUresult clusters_check(const CUlaunchConfig *config, CUfunction func, struct mock_function **f)
{
    if (!config || !config->blockDimX || !config->blockDimY || !config->blockDimZ ||
        config->blockDimX > MOCK_BLOCK_X_MAX || config->blockDimY > MOCK_BLOCK_Y_MAX ||
        config->blockDimZ > MOCK_BLOCK_Z_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    return mock_function_resolve_here(func, f);
}

CUresult mock_cuOccupancyMaxActiveClusters(int *numClusters, CUfunction func, const CUlaunchConfig *config)
{
    struct mock_function *f;
    CUresult r = numClusters ? clusters_check(config, func, &f) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    unsigned blocks = cluster_blocks(config);
    unsigned most = f->settings->cluster_wide ? CLUSTER_BLOCKS_WIDE : (unsigned)mock_shape()->cluster_blocks;
    if (!blocks || blocks > most)
        return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    *numClusters = clusters_of(f, config, blocks);
    return CUDA_SUCCESS;
}

CUresult mock_cuOccupancyMaxPotentialClusterSize(int *clusterSize, CUfunction func, const CUlaunchConfig *config)
{
    struct mock_function *f;
    CUresult r = clusterSize ? clusters_check(config, func, &f) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    unsigned blocks = f->settings->cluster_wide ? CLUSTER_BLOCKS_WIDE : (unsigned)mock_shape()->cluster_blocks;
    while (blocks > 1 && !clusters_of(f, config, blocks))
        blocks /= 2;
    *clusterSize = (int)blocks;
    return CUDA_SUCCESS;
}
