// SPDX-License-Identifier: Apache-2.0
// The driver before there is a session: a spare worker initialises it ahead, so that a program's first call need not wait for it.
#ifndef GN_SERVER_PREPARE_H
#define GN_SERVER_PREPARE_H

#include <stdbool.h>

#include "remoting/hello.h"
#include "server/worker/worker.h"

// Opens and initialises the driver at `path` and asks what there is to tell of its devices. false: it refuses; said at level info, because a
// session that asks later may be luckier in a process that has not tried.
bool gn_prepare(const char *path);

// Opens and initialises the driver for a session, or takes what gn_prepare has done with the same one; fills the welcome, except version and
// worker_id. CUDA_SUCCESS, or what welcome->status and ->text say.
CUresult gn_prepared_take(struct gn_worker *w, const char *path, struct gn_welcome *welcome);

#endif
