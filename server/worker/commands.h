// SPDX-License-Identifier: Apache-2.0
// The command stream: reading commands and running them in their order.
//
// One thread reads and runs. Only when a command may block for the client's sake (a gate is busy, so the driver may wait for what only the
// client can bring) does another thread go on reading: it handles control frames at once and parks commands; the first thread runs the parked
// ones when it is through.
#ifndef GN_SERVER_COMMANDS_H
#define GN_SERVER_COMMANDS_H

#include "remoting/link/link.h"
#include "server/worker/dispatch.h"

struct gn_commands;

int gn_commands_open(struct gn_commands **commands, struct gn_worker *w, struct gn_link *link, uint64_t ring_bytes);

// Until the client has gone (0), broke the protocol (-EPROTO, the reason is logged and told), or the link failed (-errno).
int gn_commands_run(struct gn_commands *commands);
void gn_commands_join(struct gn_commands *commands);  // after that: waits for the other thread, where there is one
void gn_commands_close(struct gn_commands *commands); // when nothing replies any more

// From a handler: what follows may block. Another thread reads from now on, until this command is done.
void gn_commands_aside(struct gn_worker *w);

// The session is over: `result` 0 for the client's going, -EPROTO for a violation of its. From any thread that is not the reader's.
void gn_commands_end(struct gn_worker *w, int result, const char *why);

// Whether this thread, which runs a command, also reads them: it does not when the command runs aside.
bool gn_commands_reading(const struct gn_worker *w);

// An error of a posted command: the first one is told with the next reply.
bool gn_commands_latched(struct gn_worker *w); // a posted command has failed, and no reply has told
void gn_commands_latch(struct gn_worker *w, uint16_t op, CUresult r);

void gn_commands_reply(struct gn_worker *w, uint64_t sequence, uint16_t op, CUresult r, const void *out, bool flush);

// Staging has become free by itself: a client that waits for it is told.
void gn_commands_freed(struct gn_worker *w);

#endif
