// SPDX-License-Identifier: Apache-2.0
// Makes a program that differs as small as it can, by running it again and again.
#ifndef GN_DIFFERENTIAL_SHRINK_H
#define GN_DIFFERENTIAL_SHRINK_H

#include "tests/differential/program.h"

// True when the program differs within `tries` runs; it is then in place 0 of the pair, with its outcomes.
bool shrink_differs(const struct program *p, unsigned tries);

// Makes `p` smaller while it differs. 0, or -errno of pair_run.
void shrink(struct program *p, unsigned seconds);

#endif
