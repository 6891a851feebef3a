// SPDX-License-Identifier: Apache-2.0
// What only the shim's own start and end need of the handle table; the rest is in interpose/call.h.
#ifndef GN_INTERPOSE_HANDLES_H
#define GN_INTERPOSE_HANDLES_H

void gn_handles_forked(void); // in a forked child: the lock may be held by a thread that is not there

#endif
