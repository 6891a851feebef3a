// SPDX-License-Identifier: Apache-2.0
// Options of cuModuleLoadDataEx and cuLibraryLoadData.
#include <string.h>

#include "interpose/module/module.h"

// The compiler runs at the server and its words stay there: the logs that a program asks for are there, and
// empty.
CUresult gn_jit_options(unsigned count, const CUjit_option *options, void **values)
{
    if (count && (!options || !values))
        return CUDA_ERROR_INVALID_VALUE;
    size_t info_bytes = 0, error_bytes = 0;
    char *info = NULL, *error = NULL;
    for (unsigned i = 0; i < count; i++) {
        if ((unsigned)options[i] > CU_JIT_SPLIT_COMPILE)
            return CUDA_ERROR_INVALID_VALUE;
        if (options[i] == CU_JIT_INFO_LOG_BUFFER)
            info = values[i];
        else if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
            error = values[i];
        else if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
            info_bytes = (uint32_t)(uintptr_t)values[i];
        else if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            error_bytes = (uint32_t)(uintptr_t)values[i];
    }
    if (info && info_bytes)
        info[0] = 0;
    if (error && error_bytes)
        error[0] = 0;
    for (unsigned i = 0; i < count; i++)
        if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES ||
            options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES || options[i] == CU_JIT_WALL_TIME)
            memset(&values[i], 0, sizeof values[i]); // bytes written; a float of milliseconds
    return CUDA_SUCCESS;
}
