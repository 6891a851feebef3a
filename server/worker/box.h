// SPDX-License-Identifier: Apache-2.0
// Device memory of a copy as the wire describes it, cut into pieces that fit a staging slot.
#ifndef GN_SERVER_BOX_H
#define GN_SERVER_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "remoting/cuda_types.h"
#include "server/worker/worker.h"

struct gn_device_box { // rows of width bytes, pitch apart; slices, slice apart
    CUdeviceptr address;
    uint64_t pitch_bytes, slice_bytes, width_bytes, rows, slices;
};

struct gn_piece { // consecutive bytes of the packed box
    CUdeviceptr address;
    uint64_t pitch_bytes, width_bytes, rows;
};

// The packed size. false: a count is 0, rows or slices overlap (of one, the distance means nothing), or it has or spans 2^48 bytes or more.
bool gn_device_box_bytes(const struct gn_device_box *box, uint64_t *size_bytes);

// The piece at `offset` of the packed box, at most `most_bytes` of it: whole rows where they fit.
struct gn_piece gn_device_box_piece(const struct gn_device_box *box, uint64_t offset, uint64_t most_bytes);
static inline uint64_t gn_piece_bytes(const struct gn_piece *p) { return p->width_bytes * p->rows; }

// Asynchronous copies between a piece and packed host memory.
CUresult gn_piece_write(struct gn_worker *w, const struct gn_piece *to, const void *from, CUstream stream);
CUresult gn_piece_read(struct gn_worker *w, const struct gn_piece *from, void *to, CUstream stream);

#endif
