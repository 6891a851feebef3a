// SPDX-License-Identifier: Apache-2.0
// What the server asks of the client in the middle of a stream: to run a host function, to send bytes of a pinned buffer.
#ifndef GN_SERVER_HOST_H
#define GN_SERVER_HOST_H

#include "server/worker/worker.h"

struct gn_pulls; // the list of what streams owe (server/worker/due.h)
int gn_pulls_open(struct gn_pulls **pulls);
void gn_pulls_close(struct gn_pulls *pulls); // when no stream can reach one any more

// A host function has returned. false: the client has not been asked to run it.
bool gn_host_done(struct gn_worker *w, uint64_t token);

// Bytes that were asked for are about to arrive: where they go. NULL: they were not asked for. Then they are there.
void *gn_pull_place(struct gn_worker *w, uint64_t transfer, uint64_t offset, uint64_t size_bytes);
void gn_pull_arrived(struct gn_worker *w, uint64_t transfer, uint64_t offset);

#endif
