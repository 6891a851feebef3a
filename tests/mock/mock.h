// SPDX-License-Identifier: Apache-2.0
// The frame of every exported call of the mock driver: what the generated entry points begin and end with.
#ifndef GN_TESTS_MOCK_MOCK_H
#define GN_TESTS_MOCK_MOCK_H

#include "api_ids.h"
#include "remoting/cuda_types.h"

#define GN_EXPORT __attribute__((visibility("default")))

// Takes the driver's lock and checks what every call must: initialised, a current context that still works, injected faults. Anything
// but CUDA_SUCCESS is what the call returns. `default_stream` is what a NULL stream means in this call.
CUresult mock_enter(unsigned op, CUstream default_stream);

// Gives the lock back (also after a refused mock_enter), notes the call in the log, hands `result` through.
CUresult mock_leave(unsigned op, CUresult result);

#endif
