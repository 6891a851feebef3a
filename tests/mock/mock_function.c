// SPDX-License-Identifier: Apache-2.0
// What functions and kernels tell of themselves, and the settings of theirs that can be changed.
#include "api_mock.h"
#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_module.h"

// The driver gives a thread's registers out by warps, in units of 8 a thread.
static int threads_by_registers(unsigned registers)
{
    int per_warp = (int)((registers + 7) / 8 * 8) * MOCK_WARP_THREADS;
    int threads = per_warp ? MOCK_BLOCK_REGISTERS_MAX / per_warp * MOCK_WARP_THREADS : MOCK_BLOCK_THREADS_MAX;
    return threads < MOCK_BLOCK_THREADS_MAX ? threads : MOCK_BLOCK_THREADS_MAX;
}

static int max_threads(const struct ptx_func_info *info)
{
    int by_registers = threads_by_registers(info->registers);
    return (int)info->max_threads < by_registers ? (int)info->max_threads : by_registers;
}

int mock_function_max_threads(const struct mock_function *f) { return max_threads(f->info); }

int mock_function_dynamic_shared_max(const struct ptx_func_info *info, const struct mock_func_settings *settings)
{
    if (settings->dynamic_shared_max >= 0)
        return settings->dynamic_shared_max;
    int left = MOCK_SHARED_DEFAULT_MAX - (int)info->static_shared_bytes;
    return left > 0 ? left : 0;
}

static CUresult get(int *pi, CUfunction_attribute attrib, const struct ptx_func_info *info,
                    const struct mock_func_settings *settings, const struct mock_code *code, uint64_t const_bytes)
{
    bool needs_cluster = info->required_cluster[0] != 0;
    switch (attrib) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *pi = max_threads(info); break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *pi = (int)info->static_shared_bytes; break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES: *pi = (int)const_bytes; break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *pi = (int)info->local_bytes; break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *pi = (int)info->registers; break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION: *pi = (int)code->ptx_sm; break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *pi = code->is_ptx ? (int)mock.options.sm : (int)code->ptx_sm; break;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *pi = 0; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *pi = mock_function_dynamic_shared_max(info, settings); break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *pi = settings->carveout; break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET: *pi = needs_cluster || settings->cluster_must; break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH: {
        unsigned axis = attrib - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH;
        *pi = needs_cluster ? (int)info->required_cluster[axis] : settings->cluster[axis];
        break;
    }
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED: *pi = settings->cluster_wide; break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE: *pi = settings->cluster_policy; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult set(struct mock_func_settings *s, CUfunction_attribute attrib, int value,
                    const struct ptx_func_info *info)
{
    bool needs_cluster = info->required_cluster[0] != 0;
    s->version++;
    switch (attrib) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        if (value < 0 || value > mock_shape()->block_shared_bytes - (int)info->static_shared_bytes)
            return CUDA_ERROR_INVALID_VALUE;
        s->dynamic_shared_max = value;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        if (value < -1 || value > 100)
            return CUDA_ERROR_INVALID_VALUE;
        s->carveout = value;
        break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
        if (value < 0)
            return CUDA_ERROR_INVALID_VALUE;
        if (needs_cluster) // fixed when the kernel was compiled
            return CUDA_ERROR_NOT_PERMITTED;
        s->cluster[attrib - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH] = value;
        break;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED: s->cluster_wide = value != 0; break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        if (value < CU_CLUSTER_SCHEDULING_POLICY_DEFAULT || value > CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING)
            return CUDA_ERROR_INVALID_VALUE;
        s->cluster_policy = value;
        break;
    default: return CUDA_ERROR_INVALID_VALUE; // the others are facts of the code
    }
    return CUDA_SUCCESS;
}

static void complete(const struct mock_function *f)
{
    mock_code_complete(f->module->code, (size_t)(f->info - f->module->code->kernels));
}

// --- functions

CUresult mock_cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
    struct mock_function *f;
    CUresult r = pi ? mock_function_resolve(hfunc, &f) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    complete(f);
    return get(pi, attrib, f->info, f->settings, f->module->code, f->module->const_bytes);
}

CUresult mock_cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
    struct mock_function *f;
    CUresult r = mock_function_resolve(hfunc, &f);
    if (r != CUDA_SUCCESS)
        return r;
    complete(f);
    return set(f->settings, attrib, value, f->info);
}

CUresult mock_cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config)
{
    struct mock_function *f;
    return config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE : mock_function_resolve(hfunc, &f);
}

CUresult mock_cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
    struct mock_function *f;
    return config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE
                                                              : mock_function_resolve(hfunc, &f);
}

CUresult mock_cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
    struct mock_function *f;
    CUresult r = hmod ? mock_function_resolve(hfunc, &f) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        mock_handle_give(hmod, f->module->id);
    return r;
}

static CUresult param_info(const struct ptx_func_info *info, size_t index, size_t *offset, size_t *size)
{
    if (!offset || index >= info->param_count)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = info->params[index].offset_bytes;
    if (size)
        *size = info->params[index].size_bytes;
    return CUDA_SUCCESS;
}

// A function or a kernel, for what is the same in every context: a kernel needs none.
static const struct ptx_func_info *info_of(const void *handle)
{
    const struct mock_function *f = mock_handle_get(handle, GN_KIND_FUNCTION);
    const struct mock_kernel *k = mock_handle_get(handle, GN_KIND_KERNEL);
    return f ? f->info : k ? &k->library->code->kernels[k->index] : NULL;
}

static CUresult name_of(const char **name, const void *handle)
{
    const struct ptx_func_info *info = info_of(handle);
    if (!name || !handle)
        return CUDA_ERROR_INVALID_VALUE;
    if (!info)
        return CUDA_ERROR_INVALID_HANDLE;
    *name = info->name;
    return CUDA_SUCCESS;
}

CUresult mock_cuFuncGetName(const char **name, CUfunction hfunc) { return name_of(name, hfunc); }
CUresult mock_cuKernelGetName(const char **name, CUkernel hfunc) { return name_of(name, hfunc); }

CUresult mock_cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset, size_t *paramSize)
{
    const struct ptx_func_info *info = info_of(func);
    return info ? param_info(info, paramIndex, paramOffset, paramSize) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult mock_cuKernelGetParamInfo(CUkernel kernel, size_t paramIndex, size_t *paramOffset, size_t *paramSize)
{
    const struct ptx_func_info *info = info_of(kernel);
    return info ? param_info(info, paramIndex, paramOffset, paramSize) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult mock_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction function)
{
    if (!state)
        return CUDA_ERROR_INVALID_VALUE;
    *state = CU_FUNCTION_LOADING_STATE_LOADED; // images are parsed whole
    return info_of(function) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult mock_cuFuncLoad(CUfunction function)
{
    return info_of(function) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

// --- kernels, whose settings are a device's

static CUresult kernel_on(CUkernel handle, CUdevice dev, struct mock_kernel **k)
{
    *k = mock_handle_get(handle, GN_KIND_KERNEL);
    return !*k ? CUDA_ERROR_INVALID_HANDLE : mock_device_exists(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult mock_cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev)
{
    struct mock_kernel *k;
    CUresult r = pi ? kernel_on(kernel, dev, &k) : CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    struct mock_code *code = k->library->code;
    uint64_t const_bytes = k->library->instances ? k->library->instances->const_bytes : 0;
    mock_code_complete(code, k->index);
    return get(pi, attrib, &code->kernels[k->index], &k->settings[dev], code, const_bytes);
}

CUresult mock_cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev)
{
    struct mock_kernel *k;
    CUresult r = kernel_on(kernel, dev, &k);
    if (r != CUDA_SUCCESS)
        return r;
    mock_code_complete(k->library->code, k->index);
    return set(&k->settings[dev], attrib, val, &k->library->code->kernels[k->index]);
}

CUresult mock_cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice dev)
{
    struct mock_kernel *k;
    return config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE : kernel_on(kernel, dev, &k);
}
