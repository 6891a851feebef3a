// SPDX-License-Identifier: Apache-2.0
// The worker's lanes: connections that the front door brings after the session has begun, each read by a thread into staging slots as fast as
// payload comes. Who reads commands takes a piece when it comes to its command, and waits for it as it would for payload in the stream.
#ifndef GN_SERVER_LANES_H
#define GN_SERVER_LANES_H

#include <stdint.h>

#include "server/worker/worker.h"

struct gn_lanes_in;

// Listens to the front door for lanes. `client_fd`: the session's first connection, whose reader is to learn when a lane ends it. 0 or -errno.
int gn_lanes_in_open(struct gn_lanes_in **lanes, struct gn_worker *w, int front_fd, int client_fd, unsigned most);
// The next piece of a lane: its staging slot. -EPROTO: not of this size, or no such lane; -ECONNRESET: the lane has ended.
int gn_lanes_in_take(struct gn_lanes_in *lanes, unsigned lane, uint64_t size_bytes);

#endif
