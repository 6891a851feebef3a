// SPDX-License-Identifier: Apache-2.0
// A link for fuzz targets whose incoming bytes are the input, in pieces, and which swallows what is sent. At
// the end of the input the peer has closed. `before` is called before each piece.
#ifndef GN_TESTS_FUZZ_FEED_H
#define GN_TESTS_FUZZ_FEED_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "remoting/link/link.h"

enum {
    FEED_FRAME_BYTES_MAX = 64 << 10
}; // what says more is payload: it comes 8 bytes at a time, so that the next frame is found

struct feed {
    struct gn_link link;
    const uint8_t *data;
    size_t size, at;
    uint32_t random; // not 0: pieces of odd sizes
    size_t frames;   // not 0: a piece is as long as the u32 at its beginning says, so that frames mostly come
                   // one by one; 1: it counts all of the frame, else what follows a header of so many bytes
    void (*before)(struct feed *);
    void (*saw)(const void *header, size_t size_bytes); // each piece that is sent
    _Atomic int shut;
    _Atomic uint64_t sent_bytes;
};

static inline size_t feed_piece(struct feed *f, size_t most)
{
    size_t left = f->size - f->at, n = left;
    uint32_t word = 0;
    if (f->frames && left >= sizeof word) {
        memcpy(&word, f->data + f->at, sizeof word);
        n = f->frames > 1                             ? f->frames + ((word + (size_t)7) & ~(size_t)7)
            : word < 8 || word > FEED_FRAME_BYTES_MAX ? 8
                                                      : word;
    } else if (f->random) {
        f->random = f->random * 1664525u + 1013904223u;
        n = 1 + (f->random >> 8) % 97;
    }
    n = n < left ? n : left;
    return n < most ? n : most;
}

static inline ssize_t feed_recv(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct feed *f = (struct feed *)link;
    (void)count, (void)wait;
    if (f->before)
        f->before(f);
    if (f->shut)
        return -ECONNRESET;
    size_t n = feed_piece(f, pieces[0].iov_len);
    memcpy(pieces[0].iov_base, f->data + f->at, n);
    f->at += n;
    return (ssize_t)n;
}

static inline ssize_t feed_send(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct feed *f = (struct feed *)link;
    ssize_t n = 0;
    (void)wait;
    if (f->shut)
        return -EPIPE;
    for (int i = 0; i < count; i++) { // a sanitizer looks at what would be sent
        uint8_t sum = 0;
        for (size_t k = 0; k < pieces[i].iov_len; k++)
            sum ^= ((const volatile uint8_t *)pieces[i].iov_base)[k];
        f->sent_bytes += (uint64_t)(sum & 0);
        if (f->saw)
            f->saw(pieces[i].iov_base, pieces[i].iov_len);
        n += (ssize_t)pieces[i].iov_len;
    }
    f->sent_bytes += (uint64_t)n;
    return n;
}

static inline int feed_watch(struct gn_link *link) { return (void)link, 1; }
static inline void feed_shut(struct gn_link *link) { ((struct feed *)link)->shut = 1; }
static inline void feed_nothing(struct gn_link *link) { (void)link; }

static const struct gn_link_ops feed_ops = {
    .name = "feed",
    .send = feed_send,
    .recv = feed_recv,
    .watch = feed_watch,
    .wake = feed_nothing,
    .shut = feed_shut,
    .close = feed_nothing,
    .abandon = feed_nothing,
};

#endif
