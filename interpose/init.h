// SPDX-License-Identifier: Apache-2.0
// The shim's start and its end: cuInit, the session, forked children.
#ifndef GN_INTERPOSE_INIT_H
#define GN_INTERPOSE_INIT_H

enum { GN_DRIVER_VERSION = 13000 }; // the driver API that remoting/cuda.api describes: CUDA 13.0

// What cuDriverGetVersion answers: the server's version, or GN_DRIVER_VERSION when it is asked before cuInit,
// since nothing may be opened then. The first answer is the answer for good: every copy of the CUDA runtime
// remembers what it was told and has it confirmed by the integrity table.
int gn_version(void);

// The session has ended: every call that needs it fails from now on. Said once.
void gn_session_is_over(const char *why);

#endif
