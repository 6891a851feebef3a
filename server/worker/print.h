// SPDX-License-Identifier: Apache-2.0
// What kernels print. A driver writes it to the process's stdout; in a worker that is a file in memory, and what is new there goes to the
// client before the reply of the call that made the driver write it.
#ifndef GN_SERVER_PRINT_H
#define GN_SERVER_PRINT_H

#include "server/worker/worker.h"

int gn_print_open(void);                   // takes over descriptor 1; 0 or -errno
void gn_print_forward(struct gn_worker *w); // pushes what is new

#endif
