// SPDX-License-Identifier: Apache-2.0
// Error cases: launches, functions and their attributes, occupancy.
#include "tests/errors/table.h"

static CUresult launch_cooperative(struct fixture *f, unsigned blocks, unsigned threads)
{
    return cuLaunchCooperativeKernel(f->nothing, blocks, 1, 1, threads, 1, 1, 0, f->stream, NULL);
}

// The parameters as one buffer: `bytes` of them are said to be there; `fill` takes 16.
static CUresult launch_extra(struct fixture *f, size_t bytes, void **parameters)
{
    struct {
        CUdeviceptr at;
        unsigned count, value;
    } buffer = {f->memory, 1, 1};
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
    return cuLaunchKernel(f->fill, 1, 1, 1, 32, 1, 1, 0, f->stream, parameters, extra);
}

static CUresult launch_extra_key(struct fixture *f, void *key)
{
    size_t bytes = 16;
    void *extra[] = {key, &bytes, CU_LAUNCH_PARAM_END};
    return cuLaunchKernel(f->fill, 1, 1, 1, 32, 1, 1, 0, f->stream, NULL, extra);
}

static CUresult launch_attribute(struct fixture *f, CUlaunchAttribute *attributes, unsigned count)
{
    CUlaunchConfig config = {.gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 32, .blockDimY = 1, .blockDimZ = 1,
                             .hStream = f->stream, .attrs = attributes, .numAttrs = count};
    return cuLaunchKernelEx(&config, f->nothing, NULL, NULL);
}

static void shapes(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Shapes of launches", A_CONTEXT, 0);
    CASE("no blocks along x", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#439, driver 590.48",
         launch_shape(f, f->fill, 0, 1, 1, 32, 1, 1, 0));
    CASE("no blocks along y", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch_shape(f, f->fill, 1, 0, 1, 32, 1, 1, 0));
    CASE("no threads", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch_shape(f, f->fill, 1, 1, 1, 0, 1, 1, 0));
    CASE("no threads along z", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch_shape(f, f->fill, 1, 1, 1, 32, 1, 0, 0));
    CASE("too many blocks along x", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns; MAX_GRID_DIM_X",
         launch_shape(f, f->fill, 0x80000000u, 1, 1, 32, 1, 1, 0));
    CASE("too many blocks along y", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns; MAX_GRID_DIM_Y",
         launch_shape(f, f->fill, 1, 65536, 1, 32, 1, 1, 0));
    CASE("too many blocks along z", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns; MAX_GRID_DIM_Z",
         launch_shape(f, f->fill, 1, 1, 65536, 32, 1, 1, 0));
    CASE("too many threads along x", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#439, driver 590.48",
         launch_shape(f, f->fill, 1, 1, 1, 4096, 1, 1, 0));
    CASE("too many threads along z", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns; MAX_BLOCK_DIM_Z",
         launch_shape(f, f->fill, 1, 1, 1, 1, 1, 65, 0));
    CASE("too many threads together", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns; MAX_THREADS_PER_BLOCK",
         launch_shape(f, f->fill, 1, 1, 1, 64, 64, 1, 0));
    CASE("so many threads that their number wraps", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         launch_shape(f, f->fill, 1, 1, 1, 65536, 65536, 1, 0));
    CASE("more threads than the kernel's bound", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         launch_shape(f, f->small_blocks, 1, 1, 1, 65, 1, 1, 0));
    CASE("more shared memory than without opting in", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch_shape(f, f->dynamic, 1, 1, 1, 16, 1, 1, (48 << 10) + 4));
    CASE("more shared memory than there is", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns",
         launch_shape(f, f->dynamic, 1, 1, 1, 16, 1, 1, 1u << 30));
    CASE("more blocks than are resident, cooperative", CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, AT_CALL, DOCUMENTED,
         "cuLaunchCooperativeKernel", launch_cooperative(f, 1 << 20, 1024));
    CASE("no blocks, cooperative", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch_cooperative(f, 0, 32));
    CASE("too many threads, cooperative", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch_cooperative(f, 1, 2048));
}

static void arguments(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Arguments of launches", A_CONTEXT, 0);
    CASE("no function", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", launch(f, NULL, f->stream));
    CASE("no parameters for a kernel that has some", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuLaunchKernel(f->fill, 1, 1, 1, 32, 1, 1, 0, f->stream, NULL, NULL));
    CASE("a parameter is NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#439, driver 590.48",
         cuLaunchKernel(f->fill, 1, 1, 1, 32, 1, 1, 0, f->stream, (void *[]){&f->memory, NULL, NULL}, NULL));
    CASE("parameters twice", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         launch_extra(f, 16, (void *[]){&f->memory, &f->memory, &f->memory}));
    CASE("a buffer of fewer bytes than the parameters", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", launch_extra(f, 12, NULL));
    CASE("a buffer without its size", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", launch_extra_key(f, CU_LAUNCH_PARAM_BUFFER_POINTER));
    CASE("a size without its buffer", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", launch_extra_key(f, CU_LAUNCH_PARAM_BUFFER_SIZE));
    CASE("an unknown key", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", launch_extra_key(f, (void *)77));
    CASE("another context's stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         launch(f, f->nothing, f->their_stream));
    CASE("another context's function", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", launch(f, f->their_function, f->stream));
    CASE("no configuration", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchKernelEx: returns",
         cuLaunchKernelEx(NULL, f->nothing, NULL, NULL));
    CASE("attributes are NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", launch_attribute(f, NULL, 1));
    CASE("an unknown attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         launch_attribute(f, &(CUlaunchAttribute){.id = (CUlaunchAttributeID)999}, 1));
    CASE("an attribute that only streams have", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "cuda-python#2628, driver 580.95",
         launch_attribute(f, &(CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, .value.syncPolicy = CU_SYNC_POLICY_SPIN}, 1));
    section(t, "Launches of functions that are gone", A_CONTEXT, UNDEFINED);
    CASE("of an unloaded module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns", launch(f, f->dead_function, f->stream));
    CASE("of an unloaded library", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", launch(f, (CUfunction)f->dead_kernel, f->stream));
    CASE("a stream for a function", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", launch(f, (CUfunction)f->stream, f->stream));
    CASE("a number for a function", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", launch(f, (CUfunction)0x1234, f->stream));
}

static void functions(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Functions", A_CONTEXT, 0);
    CASE("an unknown attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncGetAttribute: returns",
         cuFuncGetAttribute(&f->out.number, (CUfunction_attribute)99, f->fill));
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuFuncGetAttribute(NULL, CU_FUNC_ATTRIBUTE_NUM_REGS, f->fill));
    CASE("an attribute of nothing", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuFuncGetAttribute(&f->out.number, CU_FUNC_ATTRIBUTE_NUM_REGS, NULL));
    CASE("setting an attribute that only tells", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncSetAttribute: returns",
         cuFuncSetAttribute(f->fill, CU_FUNC_ATTRIBUTE_NUM_REGS, 8));
    CASE("setting an unknown one", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncSetAttribute: returns",
         cuFuncSetAttribute(f->fill, (CUfunction_attribute)99, 8));
    CASE("more shared memory than there is", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncSetAttribute",
         cuFuncSetAttribute(f->dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20));
    CASE("a negative size of shared memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuFuncSetAttribute(f->dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, -1));
    CASE("an attribute of nothing to set", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuFuncSetAttribute: returns",
         cuFuncSetAttribute(NULL, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024));
    CASE("an unknown cache configuration", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncSetCacheConfig: returns",
         cuFuncSetCacheConfig(f->fill, (CUfunc_cache)17));
    CASE("the name of nothing", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncGetName", cuFuncGetName(&f->out.text, NULL));
    CASE("nowhere to put the name", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncGetName", cuFuncGetName(NULL, f->fill));
    CASE("the name of no kernel", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#584, cuda-python's own tests",
         cuKernelGetName(&f->out.text, NULL));
    CASE("a parameter that it does not have", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncGetParamInfo",
         cuFuncGetParamInfo(f->fill, 3, &f->out.size, &f->out.size2));
    CASE("nowhere to put the parameter's offset", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncGetParamInfo: returns",
         cuFuncGetParamInfo(f->fill, 0, NULL, &f->out.size2));
    CASE("nowhere to put the module", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncGetModule: returns", cuFuncGetModule(NULL, f->fill));
    CASE("nowhere to put whether it is loaded", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuFuncIsLoaded: returns",
         cuFuncIsLoaded(NULL, f->fill));
    CASE("a kernel's attribute on no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuKernelGetAttribute: returns",
         cuKernelGetAttribute(&f->out.number, CU_FUNC_ATTRIBUTE_NUM_REGS, f->kernel, 77));
    CASE("a kernel's unknown attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuKernelGetAttribute: returns",
         cuKernelGetAttribute(&f->out.number, (CUfunction_attribute)99, f->kernel, f->device));
    CASE("nowhere to put the kernel's function", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuKernelGetFunction: returns",
         cuKernelGetFunction(NULL, f->kernel));
    CASE("the function of no kernel", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuKernelGetFunction: returns",
         cuKernelGetFunction(&f->out.function, NULL));
    section(t, "Functions that are gone", A_CONTEXT, UNDEFINED);
    CASE("an attribute", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuFuncGetAttribute: returns",
         cuFuncGetAttribute(&f->out.number, CU_FUNC_ATTRIBUTE_NUM_REGS, f->dead_function));
    CASE("the module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuFuncGetModule(&f->out.module, f->dead_function));
    CASE("the function of a kernel", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuKernelGetFunction: returns",
         cuKernelGetFunction(&f->out.function, f->dead_kernel));
}

static void occupancy(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Occupancy", A_CONTEXT, 0);
    CASE("blocks of no threads", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyMaxActiveBlocksPerMultiprocessor: returns",
         cuOccupancyMaxActiveBlocksPerMultiprocessor(&f->out.number, f->fill, 0, 0));
    CASE("blocks of fewer than none", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyMaxActiveBlocksPerMultiprocessor: returns",
         cuOccupancyMaxActiveBlocksPerMultiprocessor(&f->out.number, f->fill, -32, 0));
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyMaxActiveBlocksPerMultiprocessor: returns",
         cuOccupancyMaxActiveBlocksPerMultiprocessor(NULL, f->fill, 32, 0));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags: returns",
         cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&f->out.number, f->fill, 32, 0, 0x40));
    CASE("of nothing", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "",
         cuOccupancyMaxActiveBlocksPerMultiprocessor(&f->out.number, NULL, 32, 0));
    CASE("a block size, nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyMaxPotentialBlockSize: returns",
         cuOccupancyMaxPotentialBlockSize(&f->out.number, NULL, f->fill, NULL, 0, 0));
    CASE("a block size below none", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuOccupancyMaxPotentialBlockSize(&f->out.number, &f->out.number2, f->fill, NULL, 0, -1));
    CASE("shared memory, nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyAvailableDynamicSMemPerBlock: returns",
         cuOccupancyAvailableDynamicSMemPerBlock(NULL, f->fill, 1, 32));
    CASE("clusters without a configuration", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuOccupancyMaxActiveClusters: returns",
         cuOccupancyMaxActiveClusters(&f->out.number, f->fill, NULL));
}

void cases_launch(struct table *t)
{
    shapes(t);
    arguments(t);
    functions(t);
    occupancy(t);
}
