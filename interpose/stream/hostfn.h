// SPDX-License-Identifier: Apache-2.0
// Host functions: the program's functions in its streams. The server tells when one is due; a thread of the
// shim's own runs them, in that order; in the embedded profile, a call that waits.
#ifndef GN_INTERPOSE_HOSTFN_H
#define GN_INTERPOSE_HOSTFN_H

#include <stdbool.h>

// Whether a host function has been posted and has not returned yet.
bool gn_host_functions_pending(void);

// Whether there is no runner, so that who waits must call gn_host_functions_run.
bool gn_host_functions_inline(void);
void gn_host_functions_run(void); // those that are due

#endif
