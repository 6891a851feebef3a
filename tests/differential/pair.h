// SPDX-License-Identifier: Apache-2.0
// Two drivers side by side, each in a process of its own, and the comparison of what they answer.
//
// A process each, so that a crash, a hang or a lost device is an answer like any other, and so that two libraries of the same name never
// meet. Programs and outcomes lie in memory that all three share.
#ifndef GN_DIFFERENTIAL_PAIR_H
#define GN_DIFFERENTIAL_PAIR_H

#include "tests/differential/program.h"

enum { BATCH = 32 };

struct pair_settings {
    const char *paths[2];  // the driver that is right by definition, and the other
    const char *defect;    // what is broken in the other on purpose, or NULL
    unsigned timeout_ms;   // for one program
    bool may_lose;         // bytes that were left at the server are lost with a context that a fault ruins: touching them is SIGBUS, no difference
};

// Starts both processes. 0, or -errno with a line on stderr.
int pair_open(const struct pair_settings *s);
int pair_close(void); // 0, or what a process said at its end (a sanitizer's finding)

struct program *pair_programs(void); // BATCH of them, to be filled in

// Runs the first `count` programs on both. 0, or -errno when a process cannot be started again.
int pair_run(unsigned count);

// The first operation of program `index` that differs, or -1.
int pair_difference(unsigned index);
const struct outcome *pair_outcome(unsigned side, unsigned index);
const char *pair_fate(unsigned side, unsigned index); // NULL, or what became of a process that did not finish the program

#endif
