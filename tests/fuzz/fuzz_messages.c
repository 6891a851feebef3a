// SPDX-License-Identifier: Apache-2.0
// Fuzzes what a server may send to a client: a session without threads of its own, with posted commands,
// copies both ways and host functions outstanding, reads the input until the session is over. Nothing may be
// written outside the boxes of its copies, nothing read or freed twice, and every call must come back. The
// first byte: 1 pieces of odd sizes, 2 every post is confirmed, 4 messages come one by one.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/session/session.h"
#include "tests/fuzz/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHUNK = 8 << 10, WINDOW = 4 * CHUNK, HOST_BYTES = 20000, ASKS = 12 };

static struct gn_session *session;
static unsigned host_calls;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void host(void *ctx, uint64_t token, int status)
{
    (void)ctx, (void)status;
    if (host_calls++ < 64)
        gn_session_host_done(session, token);
}

static void print(void *ctx, const char *text, size_t size_bytes)
{
    (void)ctx;
    volatile char last = size_bytes ? text[size_bytes - 1] : 0;
    (void)last;
}

static void credit(void *ctx, uint64_t device, uint64_t bytes) { (void)ctx, (void)device, (void)bytes; }
static void over(void *ctx, const char *why)
{
    (void)ctx;
    require(why && *why && strlen(why) < 256);
}

struct host_memory { // blocks of their own: a sanitizer sees the first byte beyond
    uint8_t *flat, *rows, *pinned;
};

static void post_some(const struct host_memory *m)
{
    static const uint8_t payload[CHUNK];
    struct gn_box flat = {.base = m->flat,
                          .pitch_bytes = HOST_BYTES,
                          .slice_bytes = HOST_BYTES,
                          .width_bytes = HOST_BYTES,
                          .rows = 1,
                          .slices = 1};
    // 3 slices of 4 rows of 100 bytes, 128 and 600 apart: the last ends with its last byte.
    struct gn_box rows = {
        .base = m->rows, .pitch_bytes = 128, .slice_bytes = 600, .width_bytes = 100, .rows = 4, .slices = 3};
    struct gn_box pinned = {.base = m->pinned,
                            .pitch_bytes = 128,
                            .slice_bytes = 600,
                            .width_bytes = 100,
                            .rows = 4,
                            .slices = 3};
    int32_t code;
    struct gn_args_read_async a = {.stream = 1, .width_bytes = HOST_BYTES, .rows = 1, .slices = 1},
                              b = {.stream = 1, .width_bytes = 100, .rows = 4, .slices = 3};
    struct gn_args_write_pull p = {.stream = 1, .width_bytes = 100, .rows = 4, .slices = 3};
    struct gn_args_host_function h = {.stream = 1, .token = 77};
    struct gn_args_write w = {.stream = 1, .width_bytes = 100, .rows = 1};
    for (int i = 0; i < 3; i++) // marks that a message may tell of
        gn_session_mark_open(session, gn_session_heard(session));
    gn_session_read_async(session, 0x101000000, &a, &flat, &code);
    gn_session_read_async(session, 0x101000000, &b, &rows, &code);
    gn_session_write_pull(session, 0x101000000, &p, &pinned, &code);
    gn_session_host_expected(session);
    gn_session_post(session, 0x101000000, GN_OP_host_function, &h, &code);
    gn_session_post_payload(session, 0x101000000, GN_OP_write, &w, payload, 100, &code);
    w.width_bytes = CHUNK;
    gn_session_post_payload(session, 0x101000000, GN_OP_write, &w, payload, CHUNK, &code);
}

static void ask_some(const struct host_memory *m)
{
    struct gn_latched latched;
    int32_t code;
    for (int i = 0; i < ASKS && !gn_session_over(session); i++) {
        if (i % 3 == 0) {
            struct gn_args_memory_info a = {0};
            struct gn_out_memory_info o;
            gn_session_ask(session, 0, GN_OP_memory_info, &a, &o, &code, &latched);
        } else if (i % 3 == 1) {
            struct gn_args_module_get_function a = {.name = "f", .name_bytes = 1};
            struct gn_out_module_get_function o;
            if (!gn_session_ask(session, 0, GN_OP_module_get_function, &a, &o, &code, &latched) && !code)
                for (uint32_t k = 0; k < o.layout_bytes; k++) {
                    volatile uint8_t byte = ((const uint8_t *)o.layout)[k];
                    (void)byte;
                }
        } else {
            struct gn_box box = {.base = m->flat,
                                 .pitch_bytes = 700,
                                 .slice_bytes = 700,
                                 .width_bytes = 600,
                                 .rows = 20,
                                 .slices = 1};
            struct gn_args_read a = {.width_bytes = 600, .rows = 20, .slices = 1};
            gn_session_read(session, 0, &a, &box, &code, &latched);
            post_some(m);
        }
        for (uint64_t mark = 0; mark < 8; mark++)
            gn_session_mark_look(session, mark | (uint64_t)(1 + i % 2) << 16);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct feed *feed = calloc(1, sizeof *feed); // the session frees it
    struct host_memory m = {malloc(HOST_BYTES), malloc(2 * 600 + 3 * 128 + 100),
                            malloc(2 * 600 + 3 * 128 + 100)};
    struct gn_session_config config = {
        .ring_bytes = 64 << 10, .confirm_posts = data[0] & 2, .events = {.host = host, .print = print, .over = over, .credit = credit}};
    struct gn_welcome welcome = {.window_bytes = WINDOW, .chunk_bytes = CHUNK};
    require(feed && m.flat && m.rows && m.pinned);
    memset(m.pinned, 7, 2 * 600 + 3 * 128 + 100);
    *feed = (struct feed){.link.ops = &feed_ops,
                          .data = data + 2,
                          .size = size - 2,
                          .random = data[0] & 1 ? 1u + data[1] : 0,
                          .frames = data[0] & 4 ? sizeof(struct gn_message) : 0};
    host_calls = 0;
    require(!gn_session_open(&session, &feed->link, &config, &welcome));
    post_some(&m);
    ask_some(&m);
    gn_session_close(session);
    free(m.flat);
    free(m.rows);
    free(m.pinned);
    return 0;
}
