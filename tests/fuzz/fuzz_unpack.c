// SPDX-License-Identifier: Apache-2.0
// Fuzzes packed payload as a peer may send it: nothing is written beyond the room, what unpacks has exactly the size that it claims; and
// whatever is packed comes back.
#include <stdlib.h>
#include <string.h>

#include "remoting/session/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 1 << 20 };

static void unpack(const uint8_t *data, size_t size)
{
    size_t raw = gn_packed_bytes(data, size, MOST_BYTES);
    if (!raw)
        return;
    if (raw > MOST_BYTES)
        abort();
    uint8_t *to = malloc(raw); // exactly, so that the sanitizer sees a byte too many
    gn_unpack(to, raw, data, size);
    free(to);
}

// The input, repeated up to a size that is packed at all.
static void both_ways(const uint8_t *data, size_t size)
{
    enum { BYTES = GN_PACK_BYTES_MIN + 13 };
    static uint8_t raw[BYTES], back[BYTES];
    struct gn_packing p = {.rate_bytes_per_s = 1000000};
    for (size_t at = 0; at < BYTES; at += size)
        memcpy(raw + at, data, size < BYTES - at ? size : BYTES - at);
    uint8_t *packed = malloc(gn_pack_room_bytes(BYTES));
    size_t n = gn_packing_pays(&p, raw, BYTES) ? gn_pack(&p, packed, raw, BYTES) : 0;
    if (n && (n >= BYTES || gn_packed_bytes(packed, n, BYTES) != BYTES || gn_unpack(back, BYTES, packed, n) || memcmp(raw, back, BYTES)))
        abort();
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 1)
        unpack(data + 1, size - 1);
    else
        both_ways(data, size);
    return 0;
}
