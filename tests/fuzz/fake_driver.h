// SPDX-License-Identifier: Apache-2.0
// A driver made of small stubs, for fuzzing the server: contexts, streams, events and memory that behave,
// kernels that do nothing. It has no thread: streams go on when somebody calls fake_progress or waits. A
// handle that no driver made, and an event used after it was destroyed, is abort(); a stream that was
// destroyed, and what went with its context, gives the errors that drivers give.
#ifndef GN_TESTS_FUZZ_FAKE_DRIVER_H
#define GN_TESTS_FUZZ_FAKE_DRIVER_H

#include "server/driver.h"

enum { FAKE_MEMORY_BYTES = 1 << 20 };
#define FAKE_MEMORY_BASE 0x7f1000000000ull // device addresses: numbers that nobody can follow

void fake_driver(struct gn_driver *driver); // fills in the calls
void fake_reset(void);                      // everything made so far is gone
void fake_progress(void);                   // runs what streams can run now
void fake_finish(void);                     // until they have nothing left (every gate must be open)

#endif
