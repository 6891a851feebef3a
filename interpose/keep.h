// SPDX-License-Identifier: Apache-2.0
// Answers of the server's driver that stay true until a setting changes: kept after the first use.
#ifndef GN_INTERPOSE_KEEP_H
#define GN_INTERPOSE_KEEP_H

#include "interpose/call.h"

// As gn_ask, for an answer without blobs that depends on the command, the current context and settings of functions and contexts alone: it
// is asked for once and remembered until gn_keep_void. Only successes are. With GENIE_OPT=-cache: gn_ask.
CUresult gn_ask_kept(struct gn_call *c, unsigned op, const void *args, void *out, size_t out_bytes);

// A setting that such answers depend on changes: none of them holds any more, nor one that is on its way.
void gn_keep_void(void);

#endif
