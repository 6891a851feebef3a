// SPDX-License-Identifier: Apache-2.0
// Virtual memory management for the driver of stubs (fake_driver.h): counted, and misuse by the server's pool is abort().
#ifndef GN_TESTS_FUZZ_FAKE_VMM_H
#define GN_TESTS_FUZZ_FAKE_VMM_H

#include "server/driver.h"

#define FAKE_GRANULE_BYTES ((uint64_t)2 << 20)
#define FAKE_RANGE_BASE    ((uint64_t)0x300000000000) // of the first reservation

void fake_vmm(struct gn_driver *driver); // adds the calls, and a device of 256 granules
void fake_vmm_finish(void);              // no more is mapped than was made; forgets everything

#endif
