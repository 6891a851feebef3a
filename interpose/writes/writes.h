// SPDX-License-Identifier: Apache-2.0
// Which device memory may have been written since: a version of each allocation, so that a restore may be left out where it is proven that
// the destination still holds what it would bring.
//
// Every command that is sent counts: copies and fills where they go, launches where the PTX of the kernel says that it may write
// (core/ptx/ptx_writes.h), and everything else, unless it is in a list of commands that write no device memory, counts for all allocations. The
// proof stands on CUDA's rule that an access stays within the object that its pointer belongs to; GENIE_OPT=-proof does without it.
#ifndef GN_INTERPOSE_WRITES_H
#define GN_INTERPOSE_WRITES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "interpose/call.h"

struct gn_function;

extern bool gn_writes_on; // there is a sidecar and GENIE_OPT has proof; constant after cuInit. Everything below costs nothing when it is false
void gn_writes_load(void); // after gn_hints_load

// The version of the allocation that holds all of the range, for work that is put into `stream` (its wire id, in the current context)
// from now on. It grows by 1 with every command that may write to any byte of the allocation, by whomever it is sent. 0: it cannot be told,
// or something in another stream may still be writing.
//
// Bytes that are taken from the device: v = version; send what takes them; while version == v, the device holds them.
uint64_t gn_writes_version(const struct gn_call *c, uint64_t stream, uint64_t address, uint64_t size_bytes);

// Bytes that this thread puts there: before; send the commands, which write to no other allocation; v = after, which is 0 when anybody else
// may have written meanwhile; while version == v, the device holds them.
struct gn_writes_mark {
    uint64_t version, counted;
};
struct gn_writes_mark gn_writes_before(const struct gn_call *c, uint64_t stream, uint64_t address, uint64_t size_bytes);
uint64_t gn_writes_after(const struct gn_call *c, uint64_t stream, uint64_t address, uint64_t size_bytes, struct gn_writes_mark before);

// --- what is sent. Everything goes through gn_post and gn_ask, which tell by themselves; who sends by the session itself, tells here,
// after it has been sent.
void gn_writes_told(const struct gn_call *c, unsigned op, const void *args);
static inline void gn_writes_sent(const struct gn_call *c, unsigned op, const void *args)
{
    if (__builtin_expect(gn_writes_on, 0))
        gn_writes_told(c, op, args);
}
// Before and after a command that waits for a context: what was sent before is done.
uint64_t gn_writes_wait_begins(void);
void gn_writes_wait_ended(uint64_t context, uint64_t began);

// --- allocations: a cell for each, which is never freed but used again
struct gn_write_count;
struct gn_write_count *gn_writes_cell(void); // NULL: no memory, and the allocation's version is 0 for ever
void gn_writes_cell_give(struct gn_write_count *cell);

// --- kernels
struct gn_kernel_writes { // of one function
    bool unknown;
    uint32_t word_count;
    uint16_t word_bytes[]; // offsets of the parameters' words
};
struct gn_image_writes; // of a module or library: its kernels by name

// What can be told of an image; NULL: nothing. The caller frees it. Reads the image through the program's pointer, as the upload does.
struct gn_image_writes *gn_writes_of_image(const void *image, size_t size_bytes);
void gn_writes_image_free(struct gn_image_writes *image);
// A copy for the function of this name, from malloc, or NULL: it may write anywhere.
struct gn_kernel_writes *gn_writes_of_kernel(const struct gn_image_writes *image, const char *name);
struct gn_kernel_writes *gn_writes_copy(const struct gn_kernel_writes *writes);

#endif
