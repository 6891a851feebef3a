// SPDX-License-Identifier: Apache-2.0
// From an address to a session.
#ifndef GN_INTERPOSE_CONNECT_H
#define GN_INTERPOSE_CONNECT_H

#include "remoting/session/session.h"

// Connects to gn_options.server, says hello and opens the session. welcome->devices gets memory that stays.
// 0, or -1 with a sentence in `why` that tells what to do.
int gn_connect(struct gn_session **session, struct gn_welcome *welcome,
               const struct gn_session_events *events, char *why, size_t why_bytes);

#endif
