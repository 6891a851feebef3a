// SPDX-License-Identifier: Apache-2.0
// Data to the client over lanes: each that has joined has a queue, and a thread that writes from it, made when the first piece comes.
#ifndef GN_SERVER_LANES_OUT_H
#define GN_SERVER_LANES_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/worker/worker.h"

struct gn_lanes_out;

int gn_lanes_out_open(struct gn_lanes_out **lanes, struct gn_worker *w);
void gn_lanes_out_join(struct gn_lanes_out *lanes, unsigned lane, int fd); // the client has been told that it is in

// Data of a copy that the client waits for, in a staging slot that is released when it has been sent. false: not for a lane, or there is none; the
// slot is still the caller's. Memory is bounded by the slots. A lane that cannot be written to is shut: its reader ends the session.
bool gn_lanes_out_push(struct gn_lanes_out *lanes, uint64_t transfer, uint64_t offset, uint64_t size_bytes, int slot);

#endif
