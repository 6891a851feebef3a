// SPDX-License-Identifier: Apache-2.0
// The answers of cuGetProcAddress: the shim's own entry points, whatever does the work.
#ifndef GN_INTERPOSE_PROC_H
#define GN_INTERPOSE_PROC_H

#include "remoting/cuda_types.h"

// cuGetProcAddress_v2. A name that does not exist, the empty one among them, is CUDA_SUCCESS with NULL and
// the reason in *status (may be NULL).
CUresult gn_proc_address(const char *symbol, void **pfn, int version, cuuint64_t flags,
                         CUdriverProcAddressQueryResult *status);
// cuGetProcAddress: CUDA_ERROR_NOT_FOUND instead.
CUresult gn_proc_address_v1(const char *symbol, void **pfn, int version, cuuint64_t flags);

#endif
