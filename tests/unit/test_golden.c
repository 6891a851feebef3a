// SPDX-License-Identifier: Apache-2.0
// Is the wire still what it was? Method: samples in tests/golden are compared byte for byte with what the
// encoders of both sides write, and decoded back; a real session over the in-process link must send the
// samples of its commands, and understand those of the messages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_wire.h"
#include "core/content.h"
#include "core/frame.h"
#include "remoting/hello.h"
#include "remoting/link/link_memory.h"
#include "remoting/session/session.h"

enum { SAMPLE_BYTES_MAX = 4096, DEVICE_MAX = 2 };

struct sample {
    uint8_t bytes[SAMPLE_BYTES_MAX];
    size_t size;
};

static struct sample load(const char *name)
{
    struct sample s = {.size = 0};
    char path[256], line[512];
    snprintf(path, sizeof path, "tests/golden/%s.hex", name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is not there: run this test in the top folder", path);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "#\n")] = 0;
        for (char *at = line, *save = NULL; (at = strtok_r(at, " \t", &save)); at = NULL) {
            char *end;
            unsigned long byte = strtoul(at, &end, 16), times = *end == '*' ? strtoul(end + 1, &end, 10) : 1;
            if (*end || end == at || byte > 255 || !times || times > sizeof s.bytes - s.size)
                fail_msg("%s: '%s' is not a byte", path, at);
            memset(s.bytes + s.size, (int)byte, times);
            s.size += times;
        }
    }
    fclose(f);
    return s;
}

static void print_bytes(const char *who, const uint8_t *bytes, size_t size, size_t from)
{
    print_error("  %s, %zu bytes, from offset %zu:", who, size, from);
    for (size_t i = from; i < size && i < from + 16; i++)
        print_error(" %02x", bytes[i]);
    print_error("\n");
}

static void same(const char *name, const void *bytes, size_t size)
{
    struct sample s = load(name);
    size_t at = 0;
    while (at < size && at < s.size && ((const uint8_t *)bytes)[at] == s.bytes[at])
        at++;
    if (at == size && at == s.size)
        return;
    print_error("tests/golden/%s.hex differs; tests/golden/README.md says what to do.\n", name);
    print_bytes("sample", s.bytes, s.size, at & ~(size_t)7);
    print_bytes("code  ", bytes, size, at & ~(size_t)7);
    fail();
}

static void the_digest(void **state)
{
    (void)state;
    struct sample s = load("digest");
    if (s.size == 8 && !memcmp(s.bytes, &gn_wire_digest, 8))
        return;
    print_error(
        "The layout of the commands has changed: clients and servers built before no longer understand this "
        "build.\n"
        "If remoting/cuda.api was meant to change, look at its diff once more (ids are never used again), "
        "then put this\n"
        "into tests/golden/digest.hex, and renew the samples below that differ (tests/golden/README.md):\n ");
    for (int i = 0; i < 8; i++)
        print_error(" %02x", (unsigned)(gn_wire_digest >> 8 * i & 0xff));
    print_error("\n");
    fail();
}

// --- hello and welcome

static void hello(void **state)
{
    (void)state;
    uint8_t bytes[GN_HELLO_BYTES_MAX];
    struct gn_hello h = {.version_low = 3,
                         .version_high = 3,
                         .wire_digest = 0x1122334455667788,
                         .ring_bytes = 1 << 20,
                         .process_id = 1234,
                         .wants = GN_WANTS_SHM,
                         .program = "app",
                         .token = "sesame-1"},
                    back;
    int n = gn_hello_encode(bytes, sizeof bytes, &h);
    assert_true(n > 0);
    same("hello", bytes, (size_t)n);
    assert_int_equal(gn_prefix_decode(bytes, GN_HELLO_BYTES_MAX), n - GN_PREFIX_BYTES);
    assert_int_equal(gn_hello_decode(bytes + GN_PREFIX_BYTES, (size_t)n - GN_PREFIX_BYTES, &back), 0);
    assert_memory_equal(&h, &back, sizeof h);
}

static void welcome(void **state)
{
    (void)state;
    static uint8_t bytes[GN_WELCOME_BYTES_MAX];
    static struct gn_device_snapshot devices[DEVICE_MAX], seen[GN_DEVICES_MAX];
    struct gn_device_snapshot *d = &devices[0];
    struct gn_welcome w = {.version = 3,
                           .driver_version = 13000,
                           .worker_id = 7,
                           .window_bytes = 32 << 20,
                           .chunk_bytes = 512 << 10,
                           .shm_bytes = 2 << 20,
                           .lanes = 7,
                           .lane_key = "0123456789abcdef",
                           .device_count = 1,
                           .devices = devices},
                      back = {.devices = seen};
    strcpy(d->name, "Mock GPU");
    strcpy(d->pci_bus_id, "0000:01:00.0");
    for (int i = 0; i < 16; i++)
        d->uuid.bytes[i] = (char)(i + 1);
    for (int i = 0; i < 8; i++)
        d->luid[i] = (char)(0x21 + i);
    d->luid_mask = d->has_luid = 1;
    d->memory_bytes = 8ull << 30;
    d->attribute_known[1] = d->attribute_known[75] = 1;
    d->attributes[1] = 1024;
    d->attributes[75] = 8;
    int n = gn_welcome_encode(bytes, sizeof bytes, &w);
    assert_true(n > 0);
    same("welcome", bytes, (size_t)n);
    assert_int_equal(gn_welcome_decode(bytes + GN_PREFIX_BYTES, (size_t)n - GN_PREFIX_BYTES, &back), 0);
    assert_int_equal(back.window_bytes, w.window_bytes);
    assert_int_equal(back.device_count, 1);
    assert_memory_equal(&seen[0], d, sizeof *d);
}

static void refusal(void **state)
{
    (void)state;
    uint8_t bytes[512];
    static struct gn_device_snapshot seen[GN_DEVICES_MAX];
    struct gn_welcome w = {.status = 800, .version = 3, .text = "token please.."}, back = {.devices = seen};
    int n = gn_welcome_encode(bytes, sizeof bytes, &w);
    assert_true(n > 0);
    same("refusal", bytes, (size_t)n);
    assert_int_equal(gn_welcome_decode(bytes + GN_PREFIX_BYTES, (size_t)n - GN_PREFIX_BYTES, &back), 0);
    assert_int_equal(back.status, 800);
    assert_string_equal(back.text, "token please..");
}

// --- commands, by their encoders

static const uint64_t context = 0x101000000, function = 0x103000002;
static uint8_t params[12] = {0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 0x33, 0x33, 0x33, 0x33};

static const struct gn_args_scope scope_args = {.context = 0x101000000};
static const struct gn_args_launch launch_args = {.function = 0x103000002,
                                                  .stream = 2,
                                                  .grid_x = 4,
                                                  .grid_y = 1,
                                                  .grid_z = 1,
                                                  .block_x = 32,
                                                  .block_y = 1,
                                                  .block_z = 1,
                                                  .params = params,
                                                  .params_bytes = sizeof params};
static const struct gn_args_event_record record_args = {.event = 0x307000005, .stream = 0x106000004};
static const struct gn_args_write write_args = {.stream = 1,
                                                .address = 0x7f1000000200,
                                                .pitch_bytes = 5,
                                                .width_bytes = 5,
                                                .rows = 1,
                                                .data = "hello",
                                                .data_bytes = 5};
static const struct gn_args_write_pull pull_args = {.stream = 1,
                                                    .address = 0x7f1000000200,
                                                    .pitch_bytes = 6,
                                                    .slice_bytes = 6,
                                                    .width_bytes = 6,
                                                    .rows = 1,
                                                    .slices = 1,
                                                    .transfer = 1ull << 32};
static const struct gn_args_module_get_function get_args = {
    .module = 0x102000001, .function = 0x103000006, .name = "axpy", .name_bytes = 4};

static const struct gn_content two_contents[2] = {{0x1111111111111111, 0x2222222222222222, 0x80000}, {0x3333333333333333, 0x4444444444444444, 0x1234}};
static const struct gn_args_content_offer offer_args = {.flags = GN_OFFER_FORGET, .contents = two_contents, .contents_bytes = sizeof two_contents};
static const struct gn_args_write_content write_content_args = {
    .stream = 1, .address = 0x7f1000000200, .low = 0x1111111111111111, .high = 0x2222222222222222, .size_bytes = 0x80000};
static const struct gn_args_write_stored write_stored_args = {
    .stream = 1, .address = 0x7f1000000200, .low = 0x3333333333333333, .high = 0x4444444444444444, .data = "hello", .data_bytes = 5};
static const struct gn_args_image_content image_content_args = {
    .total_bytes = 0x90000, .offset_bytes = 0x80000, .low = 0x3333333333333333, .high = 0x4444444444444444, .size_bytes = 0x1234, .upload = 7};

static const struct {
    const char *name;
    unsigned op;
    const void *args;
    const char *payload;
    size_t payload_bytes;
} commands[] = {
    // in the order of a session
    {"scope", GN_OP_scope, &scope_args, NULL, 0},
    {"launch", GN_OP_launch, &launch_args, NULL, 0},
    {"event_record", GN_OP_event_record, &record_args, NULL, 0},
    {"write", GN_OP_write, &write_args, "hello", 5},
    {"module_get_function", GN_OP_module_get_function, &get_args, NULL, 0},
    {"write_pull", GN_OP_write_pull, &pull_args, NULL, 0},
    {"content_offer", GN_OP_content_offer, &offer_args, NULL, 0},
    {"write_content", GN_OP_write_content, &write_content_args, NULL, 0},
    {"write_stored", GN_OP_write_stored, &write_stored_args, "hello", 5},
    {"image_content", GN_OP_image_content, &image_content_args, NULL, 0},
};

static void command_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct gn_codec *codec = &gn_codecs[commands[i].op];
        uint8_t bytes[512], again[512], args[GN_ARGS_BYTES_MAX];
        struct gn_cursor c = gn_cursor_over(bytes, sizeof bytes);
        uint32_t size = (uint32_t)(sizeof(struct gn_command) + codec->size(commands[i].args));
        gn_put_u32(&c, size);
        gn_put_u32(&c, commands[i].op | (commands[i].payload ? GN_COMMAND_PAYLOAD << 16 : 0));
        codec->encode(&c, commands[i].args);
        gn_put_bytes(&c, commands[i].payload, commands[i].payload_bytes);
        assert_false(c.bad);
        same(commands[i].name, bytes, (size_t)(c.at - bytes));

        struct sample s = load(commands[i].name);
        struct gn_command head;
        memcpy(&head, s.bytes, sizeof head);
        assert_int_equal(head.size_bytes, size);
        assert_int_equal(head.op, commands[i].op);
        c = gn_cursor_over(s.bytes + sizeof head, head.size_bytes - sizeof head);
        assert_true(codec->decode(&c, args));
        c = gn_cursor_over(again, sizeof again);
        codec->encode(&c, args);
        assert_int_equal(c.at - again, head.size_bytes - sizeof head);
        assert_memory_equal(again, s.bytes + sizeof head, head.size_bytes - sizeof head);
    }
}

static void a_launch_decodes(void **state)
{
    (void)state;
    struct sample s = load("launch");
    struct gn_args_launch a;
    struct gn_cursor c = gn_cursor_over(s.bytes + 8, s.size - 8);
    assert_true(gn_codecs[GN_OP_launch].decode(&c, &a));
    assert_true(a.function == function && a.stream == 2);
    assert_true(a.grid_x == 4 && a.grid_y == 1 && a.grid_z == 1 && a.block_x == 32 && a.block_y == 1 &&
                a.block_z == 1);
    assert_int_equal(a.shared_bytes, 0);
    assert_int_equal(a.attributes_bytes, 0);
    assert_int_equal(a.params_bytes, sizeof params);
    assert_memory_equal(a.params, params, sizeof params);
}

// --- messages

static void one_message(const char *name, struct gn_message m, const void *body)
{
    uint8_t bytes[512];
    struct gn_cursor c = gn_cursor_over(bytes, sizeof bytes);
    memcpy(gn_cursor_take(&c, sizeof m), &m, sizeof m);
    gn_put_bytes(&c, body, m.size_bytes);
    same(name, bytes, (size_t)(c.at - bytes));
}

static void the_answer_to_an_offer(void **state)
{
    (void)state;
    static const uint8_t known[] = {2};
    struct gn_out_content_offer o = {.state = GN_OFFER_ON, .known = known, .known_bytes = 1, .more = two_contents, .more_bytes = sizeof *two_contents}, back;
    const struct gn_codec *codec = &gn_codecs[GN_OP_content_offer];
    uint8_t body[64];
    struct gn_cursor c = gn_cursor_over(body, sizeof body);
    codec->encode_out(&c, &o);
    one_message("content_known",
                (struct gn_message){.size_bytes = (uint32_t)codec->size_out(&o), .kind = GN_MESSAGE_REPLY, .id = 7, .acked_bytes = 320, .freed_small = 1}, body);
    struct sample s = load("content_known");
    c = gn_cursor_over(s.bytes + sizeof(struct gn_message), s.size - sizeof(struct gn_message));
    assert_true(codec->decode_out(&c, &back));
    assert_int_equal(back.state, GN_OFFER_ON);
    assert_int_equal(back.known_bytes, 1);
    assert_memory_equal(back.known, known, 1);
    assert_int_equal(back.more_bytes, sizeof *two_contents);
    assert_memory_equal(back.more, two_contents, sizeof *two_contents);
}

static void message_samples(void **state)
{
    (void)state;
    static const uint32_t layout[] = {2, 0, 8, 8, 4};
    struct gn_out_module_get_function o = {.layout = layout, .layout_bytes = sizeof layout}, back;
    const struct gn_codec *codec = &gn_codecs[GN_OP_module_get_function];
    uint8_t body[64];
    struct gn_cursor c = gn_cursor_over(body, sizeof body);
    codec->encode_out(&c, &o);
    assert_int_equal(c.at - body, codec->size_out(&o));
    one_message("reply",
                (struct gn_message){.size_bytes = (uint32_t)codec->size_out(&o),
                                    .kind = GN_MESSAGE_REPLY,
                                    .latched_op = GN_OP_launch,
                                    .id = 5,
                                    .latched = 1,
                                    .acked_bytes = 224,
                                    .freed_small = 1},
                body);
    struct sample s = load("reply");
    c = gn_cursor_over(s.bytes + sizeof(struct gn_message), s.size - sizeof(struct gn_message));
    assert_true(codec->decode_out(&c, &back));
    assert_int_equal(back.layout_bytes, sizeof layout);
    assert_memory_equal(back.layout, layout, sizeof layout);

    uint64_t length = 6;
    one_message(
        "pull",
        (struct gn_message){
            .size_bytes = 8, .kind = GN_MESSAGE_PULL, .id = 1ull << 32, .acked_bytes = 296, .freed_small = 1},
        &length);
    struct gn_message counters = {.acked_bytes = 296, .freed_small = 2, .freed_large = 1}, m = counters;
    m.kind = GN_MESSAGE_DATA, m.id = 2ull << 32 | 1, m.value = 4096, m.size_bytes = 3;
    one_message("data", m, "abc");
    m = counters;
    m.kind = GN_MESSAGE_DONE, m.id = 2ull << 32 | 1, m.code = 700;
    one_message("done", m, NULL);
    m = counters;
    m.kind = GN_MESSAGE_GOODBYE, m.code = 999, m.size_bytes = 18;
    one_message("goodbye", m, "an unknown command");
    one_message("credit",
                (struct gn_message){.kind = GN_MESSAGE_CREDIT,
                                    .id = 1,
                                    .value = 32 << 20,
                                    .acked_bytes = 296,
                                    .freed_small = 2,
                                    .freed_large = 1},
                NULL);
}

static void control_samples(void **state)
{
    (void)state;
    struct gn_command starved = {
        .size_bytes = sizeof starved, .op = GN_CONTROL_STARVED, .flags = GN_COMMAND_CONTROL};
    same("starved", &starved, sizeof starved);
    uint8_t padding[24] = {0};
    struct gn_command head = {.size_bytes = sizeof padding};
    memcpy(padding, &head, sizeof head);
    same("padding", padding, sizeof padding);
}

// --- a session sends the samples

static void expect(struct gn_link *link, const char *name)
{
    struct sample s = load(name), got;
    for (got.size = 0; got.size < s.size;) {
        struct iovec piece = {got.bytes + got.size, s.size - got.size};
        ssize_t n = link->ops->recv(link, &piece, 1, 1);
        assert_true(n > 0);
        got.size += (size_t)n;
    }
    same(name, got.bytes, got.size);
}

static void say(struct gn_link *link, const char *name)
{
    struct sample s = load(name);
    struct iovec piece = {s.bytes, s.size};
    assert_int_equal(link->ops->send(link, &piece, 1, 1), s.size);
}

static void a_session_speaks_so(void **state)
{
    (void)state;
    struct gn_link *mine, *peer;
    struct gn_session *session;
    struct gn_welcome w = {.window_bytes = 64 << 10, .chunk_bytes = 64 << 10};
    struct gn_session_config config = {.ring_bytes = 64 << 10, .threads = true};
    assert_int_equal(gn_link_memory_pair(&mine, &peer, NULL), 0);
    assert_int_equal(gn_session_open(&session, mine, &config, &w), 0);

    int32_t code;
    assert_int_equal(gn_session_post(session, context, GN_OP_launch, &launch_args, &code), 0);
    assert_int_equal(gn_session_post(session, context, GN_OP_event_record, &record_args, &code), 0);
    struct gn_args_write a = write_args;
    assert_int_equal(gn_session_post_payload(session, context, GN_OP_write, &a, "hello", 5, &code), 0);
    say(peer, "reply"); // lies there until the session looks for it
    struct gn_out_module_get_function o;
    struct gn_latched latched;
    code = -1;
    assert_int_equal(
        gn_session_ask(session, context, GN_OP_module_get_function, &get_args, &o, &code, &latched), 0);
    assert_int_equal(code, 0);
    assert_int_equal(latched.code, 1);
    assert_int_equal(latched.op, GN_OP_launch);
    assert_int_equal(o.layout_bytes, 20);
    expect(peer, "scope");
    expect(peer, "launch");
    expect(peer, "event_record");
    expect(peer, "write");
    expect(peer, "module_get_function");

    uint8_t pinned[6] = {'p', 'i', 'n', 'n', 'e', 'd'};
    struct gn_box box = {
        .base = pinned, .pitch_bytes = 6, .slice_bytes = 6, .width_bytes = 6, .rows = 1, .slices = 1};
    struct gn_args_write_pull pull = pull_args;
    pull.transfer = 0; // the session fills it in
    assert_int_equal(gn_session_write_pull(session, context, &pull, &box, &code), 0);
    expect(peer, "write_pull");
    assert_true(gn_session_host_pending(session));
    say(peer, "pull");
    expect(peer, "pulled");
    gn_session_host_expected(session);
    assert_int_equal(gn_session_host_done(session, 0xdeadbeef), 0);
    expect(peer, "host_done");
    assert_false(gn_session_host_pending(session));
    assert_null(gn_session_over(session));
    gn_session_close(session);
    peer->ops->close(peer);
    gn_link_free(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digest),
        cmocka_unit_test(hello),
        cmocka_unit_test(welcome),
        cmocka_unit_test(refusal),
        cmocka_unit_test(command_samples),
        cmocka_unit_test(a_launch_decodes),
        cmocka_unit_test(the_answer_to_an_offer),
        cmocka_unit_test(message_samples),
        cmocka_unit_test(control_samples),
        cmocka_unit_test(a_session_speaks_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
