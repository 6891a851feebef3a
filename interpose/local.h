// SPDX-License-Identifier: Apache-2.0
// GENIE_MODE=local: a driver of this machine does the work and the shim only looks on.
#ifndef GN_INTERPOSE_LOCAL_H
#define GN_INTERPOSE_LOCAL_H

#include <stdbool.h>

#include "interpose/call.h"

// Whether the local mode is asked for; before cuInit only as far as that can be told without reading a file.
bool gn_local_wanted(void);

// Opens the driver, once. CUDA_SUCCESS, or CUDA_ERROR_NO_DEVICE after a line in the log.
CUresult gn_local_open(void);
// The driver's function of a symbol, or NULL: it lacks it, or the driver is not open.
void *gn_local_function(unsigned symbol);

// The part of gn_enter that finds the driver's function, for a program that has initialised;
// gn_local_enter_cold before that.
CUresult gn_local_enter(struct gn_call *c);
CUresult gn_local_enter_cold(struct gn_call *c);

#endif
