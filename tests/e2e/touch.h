// SPDX-License-Identifier: Apache-2.0
// What the cases of `touch` share: programs that use the host ends of copies in every way there is.
//
// A case downloads into a host buffer, touches it, uploads from it into another device buffer, and looks at that one through a
// third host buffer. The model is what the host buffer has to hold; a case that writes into the buffer writes into the model too.
#ifndef GN_TESTS_TOUCH_H
#define GN_TESTS_TOUCH_H

#include "tests/e2e/e2e.h"

enum {
    TOUCH_PAGE = 4096,
    TOUCH_BYTES = E2E_SIZE(256 << 10, 64 << 10), // of the ordinary buffer: some tens of pages
    TOUCH_MOST = 5 << 20,                        // of the device buffers and the model
    TOUCH_ROUNDS = 3,
};

struct touch_case {
    const char *name;
    void (*run)(void);
};

// The cases by subject; each table ends with an empty row.
extern const struct touch_case touch_ranges[], touch_calls[], touch_ring[], touch_maps[], touch_places[], touch_children[],
    touch_signals[], touch_crowd[], touch_device[], touch_pinned[], touch_same[], touch_random[];

extern CUcontext touch_context;
extern CUdeviceptr touch_source, touch_sink; // TOUCH_MOST bytes each, of the case's own context
extern CUfunction touch_fill, touch_add;
extern uint8_t *touch_model; // TOUCH_MOST bytes

// The bytes that a device buffer filled from `seed` has at offset.
void touch_truth(void *to, size_t offset, size_t size_bytes, unsigned seed);
// Fills a device buffer from `seed`, by a kernel.
void touch_seed(CUdeviceptr at, size_t size_bytes, unsigned seed);
// Fills the source from `seed` and downloads its first bytes; the model is the same afterwards.
void touch_down(void *host, size_t size_bytes, unsigned seed);
// Uploads the buffer, looks what has arrived, and compares it with the model; prints a digest of it.
void touch_up(const char *what, const void *host, size_t size_bytes);
// The same for a part of the buffer that belongs at `offset` of the model, without printing.
bool touch_arrives(const void *part, size_t offset, size_t size_bytes);
// Downloads from any device buffer into memory that is used for nothing else, and compares.
bool touch_device_is(CUdeviceptr at, const void *wanted, size_t size_bytes);
void touch_print(const char *what, const void *bytes, size_t size_bytes); // a digest
uint64_t touch_digest(const void *bytes, size_t size_bytes);

// Private anonymous memory of its own mapping, zeros; freed with touch_unmap.
uint8_t *touch_map(size_t size_bytes);
void touch_unmap(void *at, size_t size_bytes);

#endif
