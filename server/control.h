// SPDX-License-Identifier: Apache-2.0
// The control socket: a Unix socket on which genie-ctl asks. One line in, one JSON document out, and the
// connection ends.
//
//   status    the server and its sessions
// A question that is not known is answered with {"error": "..."}.
#ifndef GN_SERVER_CONTROL_H
#define GN_SERVER_CONTROL_H

#include <stdint.h>

#include "server/front/front.h"

// Listens at `path`, readable by the server's user alone. 0 or -errno and why.
int gn_control_open(struct gn_front *front, const char *path, char *why, size_t why_bytes);
void gn_control_close(struct gn_front *front); // nothing where it is not open; removes the socket's file
void gn_control_expire(struct gn_front *front, int64_t now_ms);
int64_t gn_control_deadline(const struct gn_front *front);

// The answer to a question, NUL-terminated, to be freed; NULL: no memory.
char *gn_control_answer(struct gn_front *front, const char *question);

#endif
