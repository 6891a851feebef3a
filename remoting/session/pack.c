// SPDX-License-Identifier: Apache-2.0
// Packing, unpacking, and when it pays.
#include "remoting/session/pack.h"

#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <string.h>
#include <time.h>

enum {
    RATE_EVERY_BYTES = 2 << 20, // a system call for so much payload is nothing; much less would be about bursts
    SAMPLE_BYTES = 8 << 10,     // from the middle: headers at the beginning shrink better than the rest
    COST_GUESS_PS = 1000,       // 1 GB/s, until it has been measured
};

// Four fifths of the time is worth the CPU that it takes; more is not.
static const double WORTH = 0.8;

static uint64_t load(_Atomic uint64_t *value) { return atomic_load_explicit(value, memory_order_relaxed); }
static void add(_Atomic uint64_t *value, uint64_t more) { atomic_fetch_add_explicit(value, more, memory_order_relaxed); }

// What packing costs is this thread's own time: once a busy machine has interrupted one payload, nothing would be packed, or measured, again.
static uint64_t spent_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

size_t gn_pack_room_bytes(size_t size_bytes) { return GN_PACK_HEAD_BYTES + (size_t)LZ4_COMPRESSBOUND(size_bytes); }

bool gn_packing_wants_rate(struct gn_packing *p, size_t size_bytes)
{
    add(&p->since_rate_bytes, size_bytes);
    if (load(&p->since_rate_bytes) < RATE_EVERY_BYTES)
        return false;
    atomic_store_explicit(&p->since_rate_bytes, 0, memory_order_relaxed);
    return true;
}

void gn_packing_rate(struct gn_packing *p, uint64_t bytes_per_s)
{
    if (bytes_per_s)
        atomic_store_explicit(&p->rate_bytes_per_s, bytes_per_s, memory_order_relaxed);
}

// Packing and sending overlap (the socket's buffer drains meanwhile), so the slower of the two counts.
static bool is_fast_enough(struct gn_packing *p)
{
    uint32_t cost_ps = atomic_load_explicit(&p->cost_ps, memory_order_relaxed);
    double raw_ps = 1e12 / (double)load(&p->rate_bytes_per_s);
    return (cost_ps ? cost_ps : COST_GUESS_PS) < WORTH * raw_ps;
}

static bool shrinks(const uint8_t *from, size_t size_bytes)
{
    char packed[LZ4_COMPRESSBOUND(SAMPLE_BYTES)];
    size_t begin = (size_bytes - SAMPLE_BYTES) / 2;
    int n = LZ4_compress_default((const char *)from + begin, packed, SAMPLE_BYTES, sizeof packed);
    return n > 0 && n < WORTH * SAMPLE_BYTES;
}

// A moving average over about eight payloads.
static void note_cost(struct gn_packing *p, uint64_t took_ns, size_t size_bytes)
{
    uint64_t ps = took_ns * 1000 / size_bytes, before = atomic_load_explicit(&p->cost_ps, memory_order_relaxed);
    ps = before ? (before * 7 + ps) / 8 : ps;
    ps = ps ? ps : 1;
    atomic_store_explicit(&p->cost_ps, ps < UINT32_MAX ? (uint32_t)ps : UINT32_MAX, memory_order_relaxed);
}

bool gn_packing_pays(struct gn_packing *p, const void *from, size_t size_bytes)
{
    return size_bytes >= GN_PACK_BYTES_MIN && size_bytes <= LZ4_MAX_INPUT_SIZE && load(&p->rate_bytes_per_s) && is_fast_enough(p) &&
           shrinks(from, size_bytes);
}

size_t gn_pack(struct gn_packing *p, void *to, const void *from, size_t size_bytes)
{
    uint64_t before_ns = spent_ns(), raw = size_bytes;
    // What does not come out smaller does not fit, and the compressor says so early.
    int n = LZ4_compress_default(from, (char *)to + GN_PACK_HEAD_BYTES, (int)size_bytes, (int)((double)size_bytes * WORTH));
    note_cost(p, spent_ns() - before_ns, size_bytes);
    if (n <= 0)
        return 0;
    memcpy(to, &raw, sizeof raw);
    add(&p->raw_bytes, size_bytes);
    add(&p->packed_bytes, (uint64_t)n + GN_PACK_HEAD_BYTES);
    return (size_t)n + GN_PACK_HEAD_BYTES;
}

size_t gn_packed_bytes(const void *packed, size_t packed_size_bytes, size_t most_bytes)
{
    uint64_t raw;
    if (packed_size_bytes <= GN_PACK_HEAD_BYTES || packed_size_bytes > INT_MAX)
        return 0;
    memcpy(&raw, packed, sizeof raw);
    return raw && raw <= most_bytes && raw <= INT_MAX ? (size_t)raw : 0;
}

int gn_unpack(void *to, size_t size_bytes, const void *packed, size_t packed_size_bytes)
{
    int n = LZ4_decompress_safe((const char *)packed + GN_PACK_HEAD_BYTES, to, (int)(packed_size_bytes - GN_PACK_HEAD_BYTES), (int)size_bytes);
    return n >= 0 && (size_t)n == size_bytes ? 0 : -EBADMSG;
}
