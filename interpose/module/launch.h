// SPDX-License-Identifier: Apache-2.0
// Launch attributes on their way to the wire.
#ifndef GN_INTERPOSE_LAUNCH_H
#define GN_INTERPOSE_LAUNCH_H

#include "interpose/shim.h"

enum { GN_LAUNCH_ATTRIBUTES_MAX = 32 }; // CUDA 13.0 knows 17, and one is given once

struct gn_launch_attributes {
    unsigned count;
    bool cooperative;
    CUlaunchAttribute list[GN_LAUNCH_ATTRIBUTES_MAX]; // as the wire has them: an event's handle is its id
};

// Copies and checks those of a launch. CUDA_ERROR_INVALID_VALUE, _INVALID_HANDLE (an event), _NOT_SUPPORTED.
CUresult gn_launch_attributes(struct gn_call *c, const CUlaunchConfig *config,
                              struct gn_launch_attributes *attributes);

#endif
