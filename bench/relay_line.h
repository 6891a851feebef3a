// SPDX-License-Identifier: Apache-2.0
// A delay line: one direction of an emulated network. Bytes come out no earlier than their transmission at
// the line's bandwidth and its delay allow. It holds bytes and times only: no socket, no clock, no thread;
// times are nanoseconds of whatever clock the caller uses.
#ifndef GN_BENCH_RELAY_LINE_H
#define GN_BENCH_RELAY_LINE_H

#include <stddef.h>
#include <stdint.h>

// What comes in at once is due in pieces of at most so much, so that a receiver sees a stream and not a block
// at its end.
enum { GN_LINE_PIECE_BYTES = 32 << 10 };

struct gn_line_piece {
    uint64_t due_ns;
    uint32_t size_bytes;
    uint32_t follows; // 1: it had to wait for the bytes before it, so the line was full
};

struct gn_line {
    uint64_t delay_ns;
    double ns_per_byte; // 0: no limit
    uint64_t free_ns;   // when the last byte so far has been transmitted
    uint8_t *bytes;     // a circle of size_bytes; head and tail count all bytes that ever went in and out
    size_t size_bytes;
    uint64_t head, tail;
    struct gn_line_piece *pieces; // a circle as well
    size_t piece_room;
    uint64_t piece_head, piece_tail;
};

// gbit_per_s 0: no limit. queue_bytes: what is under way at most. 0 or -ENOMEM.
int gn_line_open(struct gn_line *line, uint64_t delay_ns, double gbit_per_s, size_t queue_bytes);
void gn_line_close(struct gn_line *line); // also of a line of zeros

// Where the next bytes may be put, and how many at most; 0: the queue is full.
size_t gn_line_room(const struct gn_line *line, uint8_t **at);
// size_bytes, at most what gn_line_room said and at least one, have been put there at now_ns.
void gn_line_put(struct gn_line *line, size_t size_bytes, uint64_t now_ns);

// The bytes that are due at now_ns and lie together, at most max_bytes; *first describes the first of them,
// when there are any.
size_t gn_line_due(const struct gn_line *line, uint64_t now_ns, size_t max_bytes, uint8_t **at,
                   struct gn_line_piece *first);
// size_bytes of them have gone.
void gn_line_take(struct gn_line *line, size_t size_bytes);

// When the next byte is due; UINT64_MAX: there is none.
uint64_t gn_line_next_ns(const struct gn_line *line);

#endif
