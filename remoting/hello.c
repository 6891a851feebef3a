// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding of hello and welcome.
#include "remoting/hello.h"

#include <errno.h>

#include "core/frame.h"

static void put_text(struct gn_cursor *c, const char *text, size_t field_bytes)
{
    size_t n = strnlen(text, field_bytes - 1);
    gn_put_u64(c, n);
    gn_put_bytes(c, text, n);
}

// A text of a peer, cut off nowhere: one that does not fit its field, or holds a NUL, is malformed.
static void get_text(struct gn_cursor *c, char *text, size_t field_bytes)
{
    uint64_t n = gn_get_u64(c);
    const void *from = n < field_bytes ? gn_get_bytes(c, n) : NULL;
    if (!from || memchr(from, 0, n)) {
        c->bad = true;
        text[0] = 0;
        return;
    }
    memcpy(text, from, n);
    text[n] = 0;
}

static struct gn_cursor begin(void *buffer, size_t buffer_bytes)
{
    struct gn_cursor c = gn_cursor_over(buffer, buffer_bytes);
    gn_put_u64(&c, GN_WIRE_MAGIC);
    gn_put_u64(&c, 0);
    return c;
}

static int finish(struct gn_cursor *c, void *buffer)
{
    if (c->bad)
        return -EMSGSIZE;
    uint64_t size = (uint64_t)(c->at - (uint8_t *)buffer) - GN_PREFIX_BYTES;
    memcpy((uint8_t *)buffer + 8, &size, sizeof size);
    return (int)(size + GN_PREFIX_BYTES);
}

int gn_hello_encode(void *buffer, size_t buffer_bytes, const struct gn_hello *hello)
{
    struct gn_cursor c = begin(buffer, buffer_bytes);
    gn_put_u32(&c, hello->version_low);
    gn_put_u32(&c, hello->version_high);
    gn_put_u64(&c, hello->wire_digest);
    gn_put_u64(&c, hello->ring_bytes);
    gn_put_u32(&c, hello->process_id);
    gn_put_u32(&c, hello->wants);
    put_text(&c, hello->program, sizeof hello->program);
    put_text(&c, hello->token, sizeof hello->token);
    return finish(&c, buffer);
}

int gn_hello_decode(const void *body, size_t body_bytes, struct gn_hello *hello)
{
    struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)body, body_bytes);
    memset(hello, 0, sizeof *hello);
    hello->version_low = gn_get_u32(&c);
    hello->version_high = gn_get_u32(&c);
    hello->wire_digest = gn_get_u64(&c);
    hello->ring_bytes = gn_get_u64(&c);
    hello->process_id = gn_get_u32(&c);
    hello->wants = gn_get_u32(&c);
    get_text(&c, hello->program, sizeof hello->program);
    get_text(&c, hello->token, sizeof hello->token);
    return c.bad || c.at != c.end ? -EBADMSG : 0;
}

static void put_device(struct gn_cursor *c, const struct gn_device_snapshot *d)
{
    put_text(c, d->name, sizeof d->name);
    gn_put_bytes(c, d->uuid.bytes, sizeof d->uuid.bytes);
    gn_put_bytes(c, d->luid, sizeof d->luid);
    gn_put_u32(c, d->luid_mask);
    gn_put_u32(c, d->has_luid);
    put_text(c, d->pci_bus_id, sizeof d->pci_bus_id);
    gn_put_u64(c, d->memory_bytes);
    gn_put_bytes(c, d->attribute_known, sizeof d->attribute_known);
    gn_put_bytes(c, d->attributes, sizeof d->attributes);
}

static void get_field(struct gn_cursor *c, void *field, size_t field_bytes)
{
    const void *from = gn_get_bytes(c, field_bytes);
    if (from)
        memcpy(field, from, field_bytes);
}

static void get_device(struct gn_cursor *c, struct gn_device_snapshot *d)
{
    get_text(c, d->name, sizeof d->name);
    get_field(c, d->uuid.bytes, sizeof d->uuid.bytes);
    get_field(c, d->luid, sizeof d->luid);
    d->luid_mask = gn_get_u32(c);
    d->has_luid = gn_get_u32(c);
    get_text(c, d->pci_bus_id, sizeof d->pci_bus_id);
    d->memory_bytes = gn_get_u64(c);
    get_field(c, d->attribute_known, sizeof d->attribute_known);
    get_field(c, d->attributes, sizeof d->attributes);
}

int gn_welcome_encode(void *buffer, size_t buffer_bytes, const struct gn_welcome *welcome)
{
    struct gn_cursor c = begin(buffer, buffer_bytes);
    gn_put_u32(&c, (uint32_t)welcome->status);
    gn_put_u32(&c, welcome->version);
    gn_put_u32(&c, welcome->driver_version);
    gn_put_u32(&c, welcome->worker_id);
    gn_put_u64(&c, welcome->window_bytes);
    gn_put_u64(&c, welcome->chunk_bytes);
    gn_put_u64(&c, welcome->shm_bytes);
    gn_put_u64(&c, welcome->lanes);
    gn_put_bytes(&c, welcome->lane_key, sizeof welcome->lane_key);
    put_text(&c, welcome->text, sizeof welcome->text);
    gn_put_u64(&c, welcome->device_count);
    for (uint32_t i = 0; i < welcome->device_count; i++)
        put_device(&c, &welcome->devices[i]);
    return finish(&c, buffer);
}

int gn_welcome_decode(const void *body, size_t body_bytes, struct gn_welcome *welcome)
{
    struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)body, body_bytes);
    struct gn_device_snapshot *devices = welcome->devices;
    memset(welcome, 0, sizeof *welcome);
    welcome->devices = devices;
    welcome->status = (int32_t)gn_get_u32(&c);
    welcome->version = gn_get_u32(&c);
    welcome->driver_version = gn_get_u32(&c);
    welcome->worker_id = gn_get_u32(&c);
    welcome->window_bytes = gn_get_u64(&c);
    welcome->chunk_bytes = gn_get_u64(&c);
    welcome->shm_bytes = gn_get_u64(&c);
    welcome->lanes = gn_get_u64(&c);
    get_field(&c, welcome->lane_key, sizeof welcome->lane_key);
    get_text(&c, welcome->text, sizeof welcome->text);
    uint64_t count = gn_get_u64(&c);
    if (count > GN_DEVICES_MAX)
        return -EBADMSG;
    welcome->device_count = (uint32_t)count;
    for (uint32_t i = 0; i < count && !c.bad; i++) {
        memset(&devices[i], 0, sizeof devices[i]);
        get_device(&c, &devices[i]);
    }
    if (welcome->lanes > GN_LANES_MAX)
        return -EBADMSG;
    bool sane = welcome->status || (welcome->chunk_bytes >= 4096 && welcome->chunk_bytes <= GN_PAYLOAD_BYTES_MAX &&
                                    welcome->window_bytes >= welcome->chunk_bytes);
    return c.bad || c.at != c.end || !sane ? -EBADMSG : 0;
}

int64_t gn_prefix_decode(const void *prefix, size_t most_bytes)
{
    uint64_t words[2];
    memcpy(words, prefix, sizeof words);
    if (words[0] != GN_WIRE_MAGIC)
        return -EPROTO;
    return words[1] > most_bytes || words[1] % 8 ? -EMSGSIZE : (int64_t)words[1];
}
