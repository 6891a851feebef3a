// SPDX-License-Identifier: Apache-2.0
// The arithmetic of copies.
#include "interpose/copy/copy_box.h"

#include <errno.h>

static bool add(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }
static bool multiply(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

// start + steps * step, or false when it does not fit.
static bool advance(uint64_t start, uint64_t steps, uint64_t step, uint64_t *end)
{
    uint64_t way;
    return multiply(steps, step, &way) && add(start, way, end);
}

int gn_end_place(struct gn_end *end, const struct gn_place *place, const struct gn_shape *shape)
{
    bool one_slice = shape->slices <= 1 && !place->z;
    bool one_row = shape->rows <= 1 && !place->y && one_slice;
    uint64_t row_end, slice_end, slice_bytes;
    if (!add(place->x_bytes, shape->width_bytes, &row_end) || !add(place->y, shape->rows, &slice_end))
        return -EINVAL;
    if (place->pitch_bytes ? row_end > place->pitch_bytes : !one_row)
        return -EINVAL;
    if (place->height ? slice_end > place->height : !one_slice)
        return -EINVAL;
    if (!multiply(place->pitch_bytes, place->height, &slice_bytes))
        return -EINVAL;
    uint64_t at;
    if (!advance(place->base, place->z, slice_bytes, &at) ||
        !advance(at, place->y, place->pitch_bytes, &at) || !add(at, place->x_bytes, &at))
        return -EINVAL;
    *end = (struct gn_end){at, place->pitch_bytes, slice_bytes};
    uint64_t span;
    return gn_shape_is_empty(shape) ? 0 : gn_end_span(end, shape, &span);
}

int gn_end_span(const struct gn_end *end, const struct gn_shape *shape, uint64_t *span_bytes)
{
    uint64_t span, last;
    if (!advance(shape->width_bytes, shape->rows - 1, end->pitch_bytes, &span) ||
        !advance(span, shape->slices - 1, end->slice_bytes, &span) || !add(end->address, span - 1, &last))
        return -EINVAL;
    *span_bytes = span;
    return 0;
}

void gn_shape_fold(struct gn_shape *shape, struct gn_end *a, struct gn_end *b)
{
    if (shape->rows == 1) { // slices of one row are rows
        shape->rows = shape->slices;
        shape->slices = 1;
        a->pitch_bytes = a->slice_bytes;
        b->pitch_bytes = b->slice_bytes;
    } else if (a->slice_bytes == shape->rows * a->pitch_bytes &&
               b->slice_bytes == shape->rows * b->pitch_bytes) {
        shape->rows *= shape->slices;
        shape->slices = 1;
    }
    if (shape->rows == 1 || (a->pitch_bytes == shape->width_bytes && b->pitch_bytes == shape->width_bytes)) {
        shape->width_bytes *= shape->rows;
        shape->rows = 1;
        if (shape->slices > 1) {
            shape->rows = shape->slices;
            shape->slices = 1;
            a->pitch_bytes = a->slice_bytes;
            b->pitch_bytes = b->slice_bytes;
        }
    }
    if (shape->rows == 1)
        a->pitch_bytes = b->pitch_bytes = shape->width_bytes;
    if (shape->slices == 1) {
        a->slice_bytes = a->pitch_bytes * shape->rows;
        b->slice_bytes = b->pitch_bytes * shape->rows;
    }
}

bool gn_pieces_next(struct gn_pieces *walk, struct gn_piece *piece)
{
    const struct gn_shape *s = &walk->shape;
    if (gn_shape_is_empty(s) || walk->slice == s->slices)
        return false;
    *piece = (struct gn_piece){walk->slice, walk->row, walk->column_bytes, s->width_bytes, 1};
    if (s->width_bytes > walk->piece_bytes) {
        uint64_t left = s->width_bytes - walk->column_bytes;
        piece->width_bytes = left < walk->piece_bytes ? left : walk->piece_bytes;
        walk->column_bytes += piece->width_bytes;
        if (walk->column_bytes < s->width_bytes)
            return true;
        walk->column_bytes = 0;
    } else {
        uint64_t fit = walk->piece_bytes / s->width_bytes, left = s->rows - walk->row;
        piece->rows = fit < left ? fit : left;
    }
    walk->row += piece->rows;
    if (walk->row == s->rows) {
        walk->row = 0;
        walk->slice++;
    }
    return true;
}
