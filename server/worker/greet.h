// SPDX-License-Identifier: Apache-2.0
// The worker's half of the first exchange: the welcome goes out, with shared memory beside it where the client wants that and can have it, and
// what the session goes on over is opened.
#ifndef GN_SERVER_GREET_H
#define GN_SERVER_GREET_H

#include "remoting/hello.h"
#include "remoting/link/link.h"
#include "server/front/spawn.h"

// 0, and *link is there, over the client's socket or over shared memory, unless the welcome refuses. -errno: the connection is of no use.
int gn_greet(const struct gn_worker_start *start, struct gn_welcome *welcome, struct gn_link **link);

#endif
