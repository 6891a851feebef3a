// SPDX-License-Identifier: Apache-2.0
// GENIE_TRACE: one line a call in a file. What the entry points call is in interpose/call.h.
#ifndef GN_INTERPOSE_TRACE_H
#define GN_INTERPOSE_TRACE_H

#include "interpose/call.h"

int gn_trace_start(const char *path); // 0 or -errno
void gn_trace_flush(void);
void gn_trace_forked(bool goes_on); // in a forked child: what the parent has not written yet is the parent's

#endif
