// SPDX-License-Identifier: Apache-2.0
// The delay line's arithmetic.
#include "bench/relay_line.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PIECES_MIN = 4096 }; // room for this many small messages under way, whatever the queue

static void *map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

int gn_line_open(struct gn_line *line, uint64_t delay_ns, double gbit_per_s, size_t queue_bytes)
{
    *line = (struct gn_line){
        .delay_ns = delay_ns,
        .ns_per_byte = gbit_per_s > 0 ? 8 / gbit_per_s : 0,
        .size_bytes = queue_bytes,
        .piece_room = PIECES_MIN + queue_bytes / 64,
    };
    line->bytes = map(queue_bytes);
    line->pieces = map(line->piece_room * sizeof *line->pieces);
    if (line->bytes && line->pieces)
        return 0;
    gn_line_close(line);
    return -ENOMEM;
}

void gn_line_close(struct gn_line *line)
{
    if (line->bytes)
        munmap(line->bytes, line->size_bytes);
    if (line->pieces)
        munmap(line->pieces, line->piece_room * sizeof *line->pieces);
    *line = (struct gn_line){0};
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t gn_line_room(const struct gn_line *line, uint8_t **at)
{
    size_t used = (size_t)(line->head - line->tail), offset = (size_t)(line->head % line->size_bytes);
    size_t pieces = line->piece_room - (size_t)(line->piece_head - line->piece_tail);
    *at = line->bytes + offset;
    return smaller(smaller(line->size_bytes - used, line->size_bytes - offset), pieces * GN_LINE_PIECE_BYTES);
}

void gn_line_put(struct gn_line *line, size_t size_bytes, uint64_t now_ns)
{
    line->head += size_bytes;
    while (size_bytes) {
        size_t n = smaller(size_bytes, GN_LINE_PIECE_BYTES);
        uint64_t start_ns = now_ns > line->free_ns ? now_ns : line->free_ns;
        // Rounded up: the line is never faster than it says.
        line->free_ns = start_ns + (uint64_t)((double)n * line->ns_per_byte + 0.999);
        line->pieces[line->piece_head++ % line->piece_room] =
            (struct gn_line_piece){line->free_ns + line->delay_ns, (uint32_t)n, start_ns != now_ns};
        size_bytes -= n;
    }
}

size_t gn_line_due(const struct gn_line *line, uint64_t now_ns, size_t max_bytes, uint8_t **at,
                   struct gn_line_piece *first)
{
    size_t offset = (size_t)(line->tail % line->size_bytes), n = 0;
    size_t together = smaller(line->size_bytes - offset, max_bytes);
    *at = line->bytes + offset;
    for (uint64_t i = line->piece_tail; i < line->piece_head && n < together; i++) {
        const struct gn_line_piece *piece = &line->pieces[i % line->piece_room];
        if (piece->due_ns > now_ns)
            break;
        if (!n)
            *first = *piece;
        n += piece->size_bytes;
    }
    return smaller(n, together);
}

void gn_line_take(struct gn_line *line, size_t size_bytes)
{
    line->tail += size_bytes;
    while (size_bytes) {
        struct gn_line_piece *piece = &line->pieces[line->piece_tail % line->piece_room];
        size_t n = smaller(size_bytes, piece->size_bytes);
        piece->size_bytes -= (uint32_t)n;
        line->piece_tail += !piece->size_bytes;
        size_bytes -= n;
    }
}

uint64_t gn_line_next_ns(const struct gn_line *line)
{
    return line->piece_tail == line->piece_head ? UINT64_MAX
                                                : line->pieces[line->piece_tail % line->piece_room].due_ns;
}
