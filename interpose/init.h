// SPDX-License-Identifier: Apache-2.0
// The shim's start and its end: cuInit, the session, forked children.
#ifndef GN_INTERPOSE_INIT_H
#define GN_INTERPOSE_INIT_H

enum { GN_DRIVER_VERSION = 13000 }; // the driver API that remoting/cuda.api describes: CUDA 13.0

// What cuDriverGetVersion answers now. Before cuInit nothing is known of the server, and nothing may be opened to ask: GN_DRIVER_VERSION.
int gn_version_now(void);
// What it answered the first time, or would.
int gn_version_told(void);

// The session has ended: every call that needs it fails from now on. Said once.
void gn_session_is_over(const char *why);

#endif
