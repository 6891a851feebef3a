// SPDX-License-Identifier: Apache-2.0
// Messages to the client, in the order they are pushed: replies, data, marks. Any thread pushes; a push never blocks on the network.
//
// Whoever flushes sends what the socket takes at once; the rest is left to a thread of its own. So the thread that reads commands always goes
// on reading, and the two directions cannot wait for each other.
#ifndef GN_SERVER_OUTPUT_H
#define GN_SERVER_OUTPUT_H

#include <stdint.h>

#include "core/frame.h"
#include "remoting/link/link.h"
#include "server/worker/worker.h"

enum { GN_OUTPUT_BYTES_MAX = 64 << 20 }; // queued messages; a client that asks and never reads is ended there

struct gn_output;

int gn_output_open(struct gn_output **output, struct gn_worker *w, struct gn_link *link, bool packs); // packs: data, where it pays
void gn_output_close(struct gn_output *output); // sends nothing more

// A message; `body` is copied. The counters in the header are filled in when it is sent. false: over the limit, or the link is dead.
bool gn_output_push(struct gn_output *output, const struct gn_message *message, const void *body);

// The same with a body in a staging slot (server/worker/staging.h), which is released when it has been sent.
bool gn_output_push_slot(struct gn_output *output, const struct gn_message *message, int slot);

struct gn_news { // how much of what the next message will tell none has told yet
    uint64_t taken_bytes;
    uint32_t freed_small, freed_large;
};

// What the next message will acknowledge: command bytes taken, staging slots freed (absolute). Several threads tell, and one may be late with an
// older count: they never go back.
void gn_output_freed(struct gn_output *output, uint32_t small, uint32_t large);
struct gn_news gn_output_taken(struct gn_output *output, uint64_t bytes);

void gn_output_flush(struct gn_output *output);
void gn_output_drain(struct gn_output *output, int timeout_ms); // waits until all is sent, before the worker ends

#endif
