// SPDX-License-Identifier: Apache-2.0
// Device printf: kept a context in a bounded buffer, written to the C stdout where the program synchronises.
#ifndef GN_TESTS_MOCK_MOCK_PRINT_H
#define GN_TESTS_MOCK_MOCK_PRINT_H

#include <stddef.h>

struct mock_context;
struct mock_print;

struct mock_print *mock_print_new(void);
void mock_print_free(struct mock_print *print); // NULL is fine

// One record. Any thread, without the driver's lock. Beyond limit_bytes the oldest records go, as in a device's ring.
void mock_print_add(struct mock_print *print, const char *text, size_t size_bytes, size_t limit_bytes);
// Writes what is there to stdout. With the driver's lock, which is given up while writing.
void mock_print_flush(struct mock_context *context);

#endif
