// SPDX-License-Identifier: Apache-2.0
// Packed payload: LZ4 blocks, and the question when they pay. On a link that is slower than the compressor, data that shrinks arrives sooner
// packed; on a fast one, or where it does not shrink, packing only costs. So the link's rate, the compressor's and what a sample shrinks to are
// measured while the session runs, and asked for every payload.
//
// A packed payload is u64 raw_bytes and one LZ4 block that unpacks to exactly so many bytes (the format of liblz4's LZ4_compress_fast and
// LZ4_decompress_safe; block format 1.6.x).
#ifndef GN_REMOTING_PACK_H
#define GN_REMOTING_PACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GN_PACK_BYTES_MIN = 64 << 10, // smaller payload goes as it is: it is no bulk, and a packet or two either way
    GN_PACK_HEAD_BYTES = 8,
};

// One direction of one session. Threads may share it: what they measure is kept with relaxed atomics, where a lost update loses an estimate.
struct gn_packing {
    _Atomic uint64_t rate_bytes_per_s; // of the link; 0: not known, or nothing to gain
    _Atomic uint64_t since_rate_bytes; // payload since the link was asked
    _Atomic uint32_t cost_ps;          // of packing one byte, picoseconds; 0: never tried
    _Atomic uint64_t raw_bytes, packed_bytes; // of what was packed, before and after
};

// Room that `size_bytes` may need packed, head included.
size_t gn_pack_room_bytes(size_t size_bytes);

// Whether the rate should be asked for again: `size_bytes` more are about to be sent.
bool gn_packing_wants_rate(struct gn_packing *p, size_t size_bytes);
void gn_packing_rate(struct gn_packing *p, uint64_t bytes_per_s); // 0: keeps what is known

// Whether packing this payload pays now: by the rates, and by what a sample of it shrinks to.
bool gn_packing_pays(struct gn_packing *p, const void *from, size_t size_bytes);
// Packs `from` into `to` (gn_pack_room_bytes of it): the bytes of the packed payload, or 0 when it does not shrink enough to be worth it.
size_t gn_pack(struct gn_packing *p, void *to, const void *from, size_t size_bytes);

// How many bytes a packed payload stands for: at least 1 and at most `most_bytes`, or 0 when it is malformed.
size_t gn_packed_bytes(const void *packed, size_t packed_size_bytes, size_t most_bytes);
// Unpacks exactly `size_bytes` (of gn_packed_bytes) into `to`: 0, or -EBADMSG; `to` may have been written to then, never beyond.
int gn_unpack(void *to, size_t size_bytes, const void *packed, size_t packed_size_bytes);

#endif
