// SPDX-License-Identifier: Apache-2.0
// Names and texts of CUresult codes, as cuGetErrorName and cuGetErrorString give them, and the one place where errno becomes CUresult.
#ifndef GN_REMOTING_ERRORS_H
#define GN_REMOTING_ERRORS_H

#include "remoting/cuda_types.h"

const char *gn_error_name(CUresult code);   // "CUDA_ERROR_INVALID_VALUE", or NULL for a code that does not exist
const char *gn_error_string(CUresult code); // "invalid argument", or NULL
CUresult gn_error_from_errno(int negative_errno); // -ENOMEM -> CUDA_ERROR_OUT_OF_MEMORY, ...

// After such an error the context is lost: every later call in it returns the same code.
int gn_error_is_sticky(CUresult code);

#endif
