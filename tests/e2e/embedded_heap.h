// SPDX-License-Identifier: Apache-2.0
// What libgenie.a has taken so far, in a program that is linked with its counted copy.
#ifndef GN_TESTS_E2E_EMBEDDED_HEAP_H
#define GN_TESTS_E2E_EMBEDDED_HEAP_H

#include <stdint.h>

int64_t embedded_heap_peak(void);   // bytes that malloc gave it, at most at once
unsigned embedded_threads(void);    // that it started

#endif
