// SPDX-License-Identifier: Apache-2.0
// The CUDA driver that a worker runs on: a real one or the mock, opened by path. The only place of the server that touches one.
#ifndef GN_SERVER_DRIVER_H
#define GN_SERVER_DRIVER_H

#include <stddef.h>

#include "api_driver.h"

struct gn_driver {
    void *library;
    struct gn_driver_calls calls; // NULL where the driver lacks a function
    int version;                  // as cuDriverGetVersion
};

// Opens the library at `path` (or by SONAME where it has no slash). 0, or -ENOENT and why.
int gn_driver_open(struct gn_driver *driver, const char *path, char *why, size_t why_bytes);

// Only loads the library, calling nothing in it: a spare worker does so ahead of time. Its handle, or NULL and why.
void *gn_driver_load(const char *path, char *why, size_t why_bytes);

#endif
