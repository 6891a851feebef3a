// SPDX-License-Identifier: Apache-2.0
// The arithmetic of copies: rows, slices, pitches, what they span, and how a copy is cut into pieces. Nothing
// here touches memory.
#ifndef GN_INTERPOSE_COPY_BOX_H
#define GN_INTERPOSE_COPY_BOX_H

#include <stdbool.h>
#include <stdint.h>

struct gn_shape { // what is copied
    uint64_t width_bytes, rows, slices;
};

struct gn_end { // where from, where to: the first byte, and the steps from row to row and from slice to slice
    uint64_t address, pitch_bytes, slice_bytes;
};

static inline bool gn_shape_is_empty(const struct gn_shape *s)
{
    return !s->width_bytes || !s->rows || !s->slices;
}
static inline struct gn_shape gn_shape_line(uint64_t size_bytes)
{
    return (struct gn_shape){size_bytes, 1, 1};
}
static inline struct gn_end gn_end_line(uint64_t address, uint64_t size_bytes)
{
    return (struct gn_end){address, size_bytes, size_bytes};
}

struct gn_place { // of a box within a buffer, as the program describes it
    uint64_t base, x_bytes, y, z;
    uint64_t pitch_bytes; // may be 0 where there is one row
    uint64_t height;      // rows from slice to slice; may be 0 where there is one slice
};

// 0; -EINVAL: rows do not fit their pitch, slices not their height, or the whole does not fit an address
// space.
int gn_end_place(struct gn_end *end, const struct gn_place *place, const struct gn_shape *shape);

// Bytes from the first to the end of the last, of a shape that is not empty. 0; -EINVAL: more than an address
// space.
int gn_end_span(const struct gn_end *end, const struct gn_shape *shape, uint64_t *span_bytes);

// Makes the shape as flat as both ends allow, without changing what is copied: contiguous rows become one.
void gn_shape_fold(struct gn_shape *shape, struct gn_end *a, struct gn_end *b);

struct gn_piece { // of a shape: some rows of one slice, or a part of one row
    uint64_t slice, row, column_bytes, width_bytes, rows;
};

struct gn_pieces { // a walk over them
    struct gn_shape shape;
    uint64_t piece_bytes; // of a piece at most; not 0
    uint64_t slice, row, column_bytes;
};

bool gn_pieces_next(struct gn_pieces *walk, struct gn_piece *piece); // false: that was all

static inline uint64_t gn_piece_address(const struct gn_end *end, const struct gn_piece *piece)
{
    return end->address + piece->slice * end->slice_bytes + piece->row * end->pitch_bytes +
           piece->column_bytes;
}

#endif
