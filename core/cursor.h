// SPDX-License-Identifier: Apache-2.0
// A bounded cursor over bytes, for writing and for reading what a peer sent. The first step beyond the end makes it bad for good: from
// then on reads give zero and writes do nothing, so that code checks once, at the end, and never sees a stray byte.
#ifndef GN_CORE_CURSOR_H
#define GN_CORE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct gn_cursor {
    uint8_t *at, *end;
    bool bad; // sticky
};

// `data` may be NULL: then there is nothing to read and no room to write.
static inline struct gn_cursor gn_cursor_over(void *data, size_t size_bytes)
{
    static uint8_t nothing[1]; // so that a cursor never holds a null pointer, whose arithmetic is undefined even by 0
    if (!data) {
        data = nothing;
        size_bytes = 0;
    }
    return (struct gn_cursor){.at = data, .end = (uint8_t *)data + size_bytes};
}

static inline size_t gn_cursor_left(const struct gn_cursor *c) { return (size_t)(c->end - c->at); }

// The next `size_bytes` bytes and a step over them, or NULL.
static inline uint8_t *gn_cursor_take(struct gn_cursor *c, size_t size_bytes)
{
    uint8_t *at = c->at;
    if (c->bad || gn_cursor_left(c) < size_bytes) {
        c->bad = true;
        return NULL;
    }
    c->at = at + size_bytes;
    return at;
}

// Numbers at a place that has been bounded already.
static inline void gn_store_u32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }
static inline void gn_store_u64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }
static inline uint32_t gn_load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static inline uint64_t gn_load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void gn_put_u32(struct gn_cursor *c, uint32_t value)
{
    uint8_t *at = gn_cursor_take(c, sizeof value);
    if (at)
        memcpy(at, &value, sizeof value);
}

static inline void gn_put_u64(struct gn_cursor *c, uint64_t value)
{
    uint8_t *at = gn_cursor_take(c, sizeof value);
    if (at)
        memcpy(at, &value, sizeof value);
}

static inline uint32_t gn_get_u32(struct gn_cursor *c)
{
    uint32_t value = 0;
    const uint8_t *at = gn_cursor_take(c, sizeof value);
    if (at)
        memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t gn_get_u64(struct gn_cursor *c)
{
    uint64_t value = 0;
    const uint8_t *at = gn_cursor_take(c, sizeof value);
    if (at)
        memcpy(&value, at, sizeof value);
    return value;
}

static inline size_t gn_pad8(size_t size_bytes) { return (size_bytes + 7) & ~(size_t)7; }

// Bytes, followed by zeros up to a multiple of 8.
static inline void gn_put_bytes(struct gn_cursor *c, const void *data, size_t size_bytes)
{
    size_t padded = gn_pad8(size_bytes);
    uint8_t *at = padded < size_bytes ? NULL : gn_cursor_take(c, padded);
    if (!at) {
        c->bad = true;
        return;
    }
    if (!size_bytes)
        return;
    memset(at + padded - 8, 0, 8); // the padding lies in the last eight bytes: one store of a known size
    memcpy(at, data, size_bytes);
}

// The counterpart: the bytes in place, or NULL when they are not all there.
static inline uint8_t *gn_get_bytes(struct gn_cursor *c, size_t size_bytes)
{
    size_t padded = gn_pad8(size_bytes);
    if (padded < size_bytes) {
        c->bad = true;
        return NULL;
    }
    return gn_cursor_take(c, padded);
}

#endif
