// SPDX-License-Identifier: Apache-2.0
// The ring that commands are encoded into. Positions only grow; a byte keeps its place until the peer has acknowledged it.
//
//   acked, sent <= head <= acked + size
// (acked may run ahead of sent for a moment: the peer can answer before the sender has noted that its bytes are gone)
//
// Frames lie in one piece: where one would cross the end, a padding frame fills the rest. One lock of the owner's guards all of it.
#ifndef GN_CORE_RING_H
#define GN_CORE_RING_H

#include <stddef.h>
#include <stdint.h>

struct gn_ring {
    uint8_t *bytes;
    uint64_t size_bytes; // a power of two
    uint64_t head, sent, acked;
};

// Room for a frame of `size_bytes` (a multiple of 8, at most the ring's size) at the head, or NULL when there is none now. It may put a padding
// frame in front, also when it then returns NULL.
uint8_t *gn_ring_reserve(struct gn_ring *ring, size_t size_bytes);

// The frame written there is to be sent.
static inline void gn_ring_commit(struct gn_ring *ring, size_t size_bytes) { ring->head += size_bytes; }

// The bytes between `sent` and `until` that lie in one piece: how many, and where.
size_t gn_ring_unsent(const struct gn_ring *ring, uint64_t until, uint8_t **at);

// The peer has taken everything before `position`. -EINVAL when it claims more than there is, or goes back.
int gn_ring_ack(struct gn_ring *ring, uint64_t position);

#endif
