// SPDX-License-Identifier: Apache-2.0
// Uploads by content: the server is asked which chunks it has, and only the others travel.
#ifndef GN_INTERPOSE_CONTENT_H
#define GN_INTERPOSE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "interpose/hints/hints.h"
#include "interpose/shim.h"

// Copies a contiguous range to the device: the same result, codes and order as plain writes of it, and as these it is back when `data` may be
// changed again.
CUresult gn_content_write(struct gn_call *c, uint64_t stream, uint64_t address, const void *data, uint64_t size_bytes, struct gn_meaning m);

// Whether an image of that size is worth asking for; and its upload, in place of the pieces that it would be sent in.
bool gn_content_takes_image(uint64_t size_bytes);
CUresult gn_content_image(struct gn_call *c, uint32_t upload, const void *data, uint64_t size_bytes);

struct gn_content_counts {
    uint64_t offers, offered_chunks, known_chunks; // questions; what they asked for; what the server had
    uint64_t told_chunks;                          // what it said it has beyond that
    uint64_t remembered_chunks;                    // sent by name without asking
    uint64_t saved_bytes, stored_bytes;            // named instead of sent; sent, and kept by the server
    uint64_t hashed_bytes;
};
void gn_content_count(struct gn_content_counts *counts);
void gn_content_forked(void); // in a forked child: a lock may be held by a thread that is not there

#endif
