// SPDX-License-Identifier: Apache-2.0
// Which stream a handle means.
#ifndef GN_TESTS_MOCK_MOCK_STREAM_H
#define GN_TESTS_MOCK_MOCK_STREAM_H

#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_state.h"

// NULL and the two special handles mean default streams of the current context; NULL the one that the call's entry point has.
CUresult mock_stream_resolve(CUstream handle, struct mock_stream **stream);
// The same, where the stream must belong to the current context (launches).
CUresult mock_stream_resolve_here(CUstream handle, struct mock_stream **stream);

#endif
