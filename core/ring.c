// SPDX-License-Identifier: Apache-2.0
// The command ring.
#include "core/ring.h"

#include <errno.h>
#include <string.h>

#include "core/frame.h"

uint8_t *gn_ring_reserve(struct gn_ring *ring, size_t size_bytes)
{
    uint64_t at = ring->head & (ring->size_bytes - 1), to_end = ring->size_bytes - at;
    uint64_t room = ring->size_bytes - (ring->head - ring->acked);
    if (to_end < size_bytes) {
        if (room < to_end)
            return NULL;
        struct gn_command padding = {.size_bytes = (uint32_t)to_end};
        memcpy(ring->bytes + at, &padding, sizeof padding);
        ring->head += to_end;
        room -= to_end;
        at = 0;
    }
    return room < size_bytes ? NULL : ring->bytes + at;
}

size_t gn_ring_unsent(const struct gn_ring *ring, uint64_t until, uint8_t **at)
{
    uint64_t from = ring->sent & (ring->size_bytes - 1), n = until - ring->sent, to_end = ring->size_bytes - from;
    *at = ring->bytes + from;
    return (size_t)(n < to_end ? n : to_end);
}

int gn_ring_ack(struct gn_ring *ring, uint64_t position)
{
    if (position < ring->acked || position > ring->head)
        return -EINVAL;
    ring->acked = position;
    return 0;
}
