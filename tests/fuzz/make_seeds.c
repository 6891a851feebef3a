// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of the wire's fuzz targets into tests/fuzz/corpus: run in the top folder after a change of
// the wire.
//   gcc -std=gnu11 -D_GNU_SOURCE -I. -Ibuild/gen -o /tmp/make_seeds tests/fuzz/make_seeds.c remoting/hello.c
//   build/gen/api_wire.c
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/fetch.h"
#include "remoting/hello.h"
#include "remoting/lane.h"

static uint8_t bytes[16384];
static struct gn_cursor c;

static void begin(const void *first, size_t size_bytes)
{
    c = gn_cursor_over(bytes, sizeof bytes);
    memcpy(gn_cursor_take(&c, size_bytes), first, size_bytes);
}

static void keep(const char *target, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s/%s", target, name);
    FILE *f = fopen(path, "wb");
    if (!f || c.bad || fwrite(bytes, 1, (size_t)(c.at - bytes), f) != (size_t)(c.at - bytes) || fclose(f)) {
        perror(path);
        exit(1);
    }
}

// --- decoders: two bytes choose, bit 0 the side, the rest the command's place among those of the wire

static void decoders(void)
{
    unsigned index = 0;
    for (unsigned op = 0; op < GN_OPS; op++) {
        if (!gn_codecs[op].encode)
            continue;
        uint16_t choice = (uint16_t)(index++ * 2);
        struct gn_args_launch launch = {
            .function = 0x103000004, .stream = 2, .grid_x = 1, .params = "12345678", .params_bytes = 8};
        struct gn_args_module_get_function get = {
            .module = 0x102000003, .function = 0x103000006, .name = "axpy", .name_bytes = 4};
        struct gn_args_write write = {
            .stream = 1, .address = 4096, .pitch_bytes = 5, .width_bytes = 5, .rows = 1, .data_bytes = 5};
        struct gn_out_module_functions names = {.count = 2, .names = "a\0b", .names_bytes = 4};
        begin(&choice, sizeof choice);
        if (op == GN_OP_launch)
            gn_codecs[op].encode(&c, &launch);
        else if (op == GN_OP_module_get_function)
            gn_codecs[op].encode(&c, &get);
        else if (op == GN_OP_write)
            gn_codecs[op].encode(&c, &write);
        else if (op == GN_OP_module_functions)
            bytes[0] |= 1, gn_codecs[op].encode_out(&c, &names);
        else
            continue;
        keep("decode", gn_api[op].name);
    }
}

// --- hello: bit 0 a welcome, bit 1 with its prefix

static void hellos(void)
{
    static struct gn_device_snapshot d = {
        .name = "GPU", .pci_bus_id = "0000:01:00.0", .memory_bytes = 1 << 30};
    struct gn_hello h = {.version_low = 1,
                         .version_high = 1,
                         .wire_digest = 7,
                         .ring_bytes = 1 << 20,
                         .process_id = 1,
                         .program = "app",
                         .token = "t"};
    struct gn_welcome w = {.version = 1,
                           .driver_version = 13000,
                           .window_bytes = 1 << 20,
                           .chunk_bytes = 64 << 10,
                           .text = "no",
                           .device_count = 1,
                           .devices = &d};
    begin("\2", 1);
    c.at += gn_hello_encode(c.at, gn_cursor_left(&c), &h);
    keep("hello", "hello");
    begin("\3", 1);
    c.at += gn_welcome_encode(c.at, gn_cursor_left(&c), &w);
    keep("hello", "welcome");
    begin("\2", 1);
    gn_put_u64(&c, GN_LANE_MAGIC);
    gn_put_u64(&c, GN_LANE_HELLO_BYTES - 16);
    gn_put_u32(&c, 7);
    gn_put_u32(&c, 1);
    gn_put_bytes(&c, "0123456789abcdef", GN_LANE_KEY_BYTES);
    keep("hello", "lane");
}

// --- messages, in answer to what tests/fuzz/fuzz_messages.c has outstanding

static void message(struct gn_message m, const void *body)
{
    memcpy(gn_cursor_take(&c, sizeof m), &m, sizeof m);
    gn_put_bytes(&c, body, m.size_bytes);
}

#define MESSAGE(body_, ...) message((struct gn_message){__VA_ARGS__}, body_)

static void messages(void)
{
    static const uint8_t data[1200];
    uint64_t pull = 1200, info[2] = {11, 22};
    uint32_t layout[] = {20, 0, 2, 0, 8, 8, 4, 0};
    const uint64_t first = 1ull << 32; // transfers: 0 flat, 1 rows, 2 pulled, then the read's
    begin("\4\0", 2);
    MESSAGE(NULL, .kind = GN_MESSAGE_ACK, .acked_bytes = 16);
    MESSAGE(((uint64_t[]){2 | 1 << 16, 1 << 16}), .kind = GN_MESSAGE_MARK, .size_bytes = 16, .acked_bytes = 16);
    MESSAGE(data, .kind = GN_MESSAGE_DATA, .id = first, .value = 100, .size_bytes = 300, .acked_bytes = 88,
            .freed_small = 1);
    MESSAGE(data, .kind = GN_MESSAGE_DATA, .id = first + 1, .value = 150, .size_bytes = 1050,
            .acked_bytes = 88, .freed_small = 1);
    MESSAGE(&pull, .kind = GN_MESSAGE_PULL, .id = first + 2, .size_bytes = 8, .acked_bytes = 88,
            .freed_small = 1);
    MESSAGE(NULL, .kind = GN_MESSAGE_HOST, .id = 77, .acked_bytes = 88, .freed_small = 1);
    MESSAGE(info, .kind = GN_MESSAGE_REPLY, .id = 8, .size_bytes = 16, .acked_bytes = 160, .freed_small = 1,
            .freed_large = 1, .latched = 1, .latched_op = 2);
    MESSAGE(layout, .kind = GN_MESSAGE_REPLY, .id = 9, .size_bytes = 32, .acked_bytes = 160, .freed_small = 1,
            .freed_large = 1);
    MESSAGE(data, .kind = GN_MESSAGE_DATA, .id = 2 * first + 2, .value = 590, .size_bytes = 700,
            .acked_bytes = 160, .freed_small = 1, .freed_large = 1);
    MESSAGE(NULL, .kind = GN_MESSAGE_DONE, .id = first, .acked_bytes = 160, .freed_small = 1,
            .freed_large = 1);
    MESSAGE(NULL, .kind = GN_MESSAGE_REPLY, .id = 10, .acked_bytes = 160, .freed_small = 1, .freed_large = 1);
    MESSAGE("printed", .kind = GN_MESSAGE_PRINT, .size_bytes = 7, .acked_bytes = 160, .freed_small = 1,
            .freed_large = 1);
    MESSAGE("over", .kind = GN_MESSAGE_GOODBYE, .size_bytes = 4, .acked_bytes = 160, .freed_small = 1,
            .freed_large = 1);
    keep("messages", "answers");
    begin("\6\0", 2); // every post is confirmed
    for (uint64_t sequence = 2; sequence < 12; sequence++)
        MESSAGE(NULL, .kind = GN_MESSAGE_REPLY, .id = sequence, .acked_bytes = 16);
    keep("messages", "confirmed");
}

// --- a lane, for the copies that tests/fuzz/fuzz_lane.c has under way

static void lane_data(uint64_t transfer, uint64_t offset, uint32_t size_bytes, uint32_t number)
{
    static const uint8_t data[8192];
    struct gn_lane_data head = {transfer, offset, size_bytes, number};
    gn_put_bytes(&c, &head, sizeof head);
    gn_put_bytes(&c, data, size_bytes);
}

static void lanes(void)
{
    const uint64_t first = 1ull << 32;
    begin("\2", 1); // both copies, the second whole
    lane_data(first, 0, 8000, 0);
    lane_data(first + 1, 600, 600, 1);
    lane_data(first + 1, 0, 600, 2);
    keep("lane", "two");
    begin("\1", 1); // the first one is over
    lane_data(first, 0, 333, 0);
    lane_data(first + 1, 1, 1199, 1);
    keep("lane", "late");
    begin("", 1);
    lane_data(first + 2, 0, 100, 0); // one that lanes do not bring
    keep("lane", "not-mine");
}

// --- commands, behind the prologue of tests/fuzz/fuzz_commands.c

static void command(unsigned op, const void *args, const void *payload, uint64_t payload_bytes)
{
    const struct gn_codec *k = &gn_codecs[op];
    struct gn_command head = {.size_bytes = (uint32_t)(sizeof head + k->size(args)),
                              .op = (uint16_t)op,
                              .flags = k->payload ? GN_COMMAND_PAYLOAD : 0};
    gn_put_bytes(&c, &head, sizeof head);
    k->encode(&c, args);
    gn_put_bytes(&c, payload, payload_bytes);
}

static void control(uint16_t op, const uint64_t *body, uint32_t words, uint64_t payload_bytes)
{
    static uint32_t
        zeros[1024]; // the first says how long the payload is: it comes in one piece (tests/fuzz/feed.h)
    zeros[0] = (uint32_t)gn_pad8(payload_bytes);
    struct gn_command head = {.size_bytes = (uint32_t)sizeof head + 8 * words,
                              .op = op,
                              .flags = GN_COMMAND_CONTROL | (payload_bytes ? GN_COMMAND_PAYLOAD : 0)};
    gn_put_bytes(&c, &head, sizeof head);
    gn_put_bytes(&c, body, 8 * words);
    gn_put_bytes(&c, zeros, payload_bytes);
}

#define COMMAND(name, ...) command(GN_OP_##name, &(struct gn_args_##name){__VA_ARGS__}, NULL, 0)

static void commands(void)
{
    const uint64_t base = 0x7f1000000000, stream = 0x106000001, event = 0x107000002;
    static const uint8_t payload[5000];
    begin("\1", 1);
    command(GN_OP_write,
            &(struct gn_args_write){.stream = stream,
                                    .address = base,
                                    .pitch_bytes = 100,
                                    .width_bytes = 100,
                                    .rows = 2,
                                    .data_bytes = 200},
            payload, 200);
    command(GN_OP_write,
            &(struct gn_args_write){.stream = 1,
                                    .address = base,
                                    .pitch_bytes = 5000,
                                    .width_bytes = 5000,
                                    .rows = 1,
                                    .data_bytes = 5000},
            payload, 5000);
    COMMAND(launch, .function = 0x103000004, .stream = stream, .grid_x = 1, .block_x = 1, .params = payload,
            .params_bytes = 8);
    COMMAND(event_record, .event = event, .stream = stream);
    COMMAND(event_synchronize, .event = event);
    COMMAND(read, .stream = 1, .address = base, .pitch_bytes = 64, .slice_bytes = 64, .width_bytes = 64,
            .rows = 1, .slices = 1, .transfer = 1ull << 32);
    COMMAND(read, .stream = stream, .address = base, .pitch_bytes = 100, .slice_bytes = 200,
            .width_bytes = 50, .rows = 2, .slices = 2, .transfer = 1ull << 32);
    COMMAND(read_async, .stream = stream, .address = base, .pitch_bytes = 20000, .slice_bytes = 20000,
            .width_bytes = 20000, .rows = 1, .slices = 1, .transfer = 1ull << 33);
    control(GN_CONTROL_STARVED, NULL, 0, 0);
    COMMAND(context_synchronize, .context = 0x101000000);
    keep("commands", "copies");

    uint64_t token = 77;
    begin("\1", 1);
    COMMAND(host_function, .stream = stream, .token = token);
    COMMAND(stream_synchronize, .stream = stream);
    COMMAND(launch, .function = 0x103000004, .stream = stream, .grid_x = 1, .block_x = 1);
    control(GN_CONTROL_HOST_DONE, &token, 1, 0);
    COMMAND(stream_destroy, .stream = stream);
    keep("commands", "host_function");

    begin("\1", 1);
    COMMAND(write_pull, .stream = stream, .address = base, .pitch_bytes = 2000, .slice_bytes = 4000,
            .width_bytes = 1000, .rows = 2, .slices = 6, .transfer = 1ull << 32);
    COMMAND(stream_query, .stream = stream);
    for (uint64_t i = 0; i < 6; i++) {
        uint64_t body[3] = {2000, 1ull << 32, 2000 * i};
        control(GN_CONTROL_PULLED, body, 3, 2000);
    }
    COMMAND(stream_synchronize, .stream = stream);
    keep("commands", "pull");

    begin("\1", 1);
    COMMAND(context_create, .context = 0x101000005);
    COMMAND(scope, .context = 0x101000005);
    COMMAND(stream_create, .stream = 0x106000006);
    COMMAND(memory_alloc, .size_bytes = 512);
    COMMAND(context_destroy, .context = 0x101000005);
    COMMAND(stream_destroy, .stream = 0x106000006);
    COMMAND(primary_reset, .context = 0x101000000);
    COMMAND(primary_release, .context = 0x101000000);
    keep("commands", "contexts");
    // What was found, and must stay mended: the end of a host function that its stream has not reached; more
    // pieces than there are gates; slices without end.
    begin("\0", 1);
    COMMAND(host_function, .stream = stream, .token = token);
    COMMAND(host_function, .stream = stream, .token = token);
    control(GN_CONTROL_HOST_DONE, &token, 1, 0);
    keep("commands", "done_too_early");
    begin("\1", 1);
    COMMAND(write_pull, .stream = stream, .address = base, .pitch_bytes = 16, .slice_bytes = 40,
            .width_bytes = 8, .rows = 2, .slices = 2000, .transfer = 1ull << 32);
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t body[3] = {16, 1ull << 32, 16 * i};
        control(GN_CONTROL_PULLED, body, 3, 16);
    }
    COMMAND(stream_query, .stream = 1);
    keep("commands", "pull_many");
    begin("\1", 1);
    COMMAND(copy, .stream = stream, .destination = base, .source = base + 4096, .destination_pitch_bytes = 1,
            .source_pitch_bytes = 1, .width_bytes = 1, .rows = 1, .slices = 1ull << 40);
    keep("commands", "copy_without_end");
    // Device memory by the client: a range, maps and unmaps, what is given back; and mappings of the program's own.
    const uint64_t granule = 2 << 20, range = 0x300000000000, own = range + 4096 * granule, allocation = 0x108000005;
    begin("\11", 1);
    COMMAND(memory_range, .attempt = 0, .want_bytes = 4096);
    COMMAND(memory_map, .address = range, .size_bytes = 2 * granule);
    COMMAND(memory_map, .address = range + 10 * granule, .size_bytes = 5 * granule);
    COMMAND(memory_barrier, .address = range);
    COMMAND(memory_unmap, .address = range + granule, .size_bytes = granule);
    COMMAND(memory_unmap, .address = range + 11 * granule, .size_bytes = 3 * granule, .release = 1);
    COMMAND(memory_info, 0);
    COMMAND(memory_return, .device = 0, .size_bytes = granule);
    COMMAND(memory_alloc, .size_bytes = 512);
    COMMAND(vmm_reserve, .size_bytes = 4 * granule);
    COMMAND(vmm_create, .allocation = allocation, .size_bytes = granule);
    COMMAND(vmm_map, .allocation = allocation, .address = own, .size_bytes = granule);
    COMMAND(vmm_access, .address = own, .size_bytes = granule, .flags = 3);
    COMMAND(vmm_unmap, .address = own, .size_bytes = granule);
    COMMAND(vmm_release, .allocation = allocation);
    COMMAND(vmm_free, .address = own, .size_bytes = 4 * granule);
    keep("commands", "memory");
    begin("\11", 1);
    COMMAND(memory_range, .attempt = 0, .want_bytes = 40 << 20);
    COMMAND(memory_range, .attempt = 1, .want_bytes = 40 << 20);
    COMMAND(memory_map, .address = range, .size_bytes = granule); // the first range is no more
    keep("commands", "memory_elsewhere");
    // Kept copies: filled and spilled in two streams, one of which waits; closed; a context that takes one along.
    const uint64_t kept = 0x109000005, second = 0x106000006;
    begin("\1", 1);
    COMMAND(stream_create, .stream = second);
    COMMAND(kept_open, .kept = kept, .size_bytes = 8192);
    COMMAND(kept_fill, .stream = stream, .kept = kept, .address = base, .size_bytes = 8192);
    COMMAND(host_function, .stream = stream, .token = token);
    COMMAND(kept_spill, .stream = stream, .kept = kept, .address = base + 8192, .size_bytes = 8192);
    COMMAND(kept_fill, .stream = second, .kept = kept, .address = base, .size_bytes = 8192);
    COMMAND(kept_fill, .stream = second, .kept = kept, .offset_bytes = 512, .address = base, .size_bytes = 512);
    control(GN_CONTROL_HOST_DONE, &token, 1, 0);
    COMMAND(kept_spill, .stream = stream, .kept = kept, .offset_bytes = 1, .address = base + 8192, .size_bytes = 8191);
    COMMAND(memory_alloc, .size_bytes = 460 << 10); // it leaves the device
    COMMAND(memory_info, 0);
    COMMAND(kept_spill, .stream = second, .kept = kept, .address = base, .size_bytes = 8192);
    COMMAND(kept_close, .kept = kept);
    COMMAND(kept_open, .kept = 0x109000008, .size_bytes = 100);
    COMMAND(kept_fill, .stream = second, .kept = 0x109000008, .address = base, .size_bytes = 100);
    COMMAND(primary_release, .context = 0x101000000);
    keep("commands", "kept");
    bytes[0] = 17; // in host memory
    keep("commands", "kept_host");
    begin("\5\1\2\3", 4); // by choice
    for (uint8_t i = 0; i < 250; i++)
        memcpy(gn_cursor_take(&c, 1), &i, 1);
    keep("commands", "chosen");
}

// --- the fetch channel, of the copies that tests/fuzz/fuzz_fetch.c keeps

static void fetches(void)
{
    static const uint8_t data[4096];
    const struct gn_fetch_request asks[] = {{.kept = 0x109000002, .size_bytes = 8192, .fills = 1},
                                            {.kept = 0x109000003, .offset_bytes = 4096, .size_bytes = 3, .fills = 1, .number = 1},
                                            {.kept = 0x109000003, .offset_bytes = 4096, .size_bytes = 4, .fills = 1, .number = 2},
                                            {.kept = 0x109000002, .size_bytes = 1, .fills = 2, .number = 3}};
    const struct gn_fetch_answer answers[] = {{.size_bytes = 4096}, {.number = 1, .size_bytes = 3}, {.number = 2, .code = 400}};
    begin("", 1);
    gn_put_bytes(&c, asks, sizeof asks);
    keep("fetch", "requests");
    begin("\1", 1);
    for (int i = 0; i < 3; i++) {
        gn_put_bytes(&c, &answers[i], sizeof answers[i]);
        gn_put_bytes(&c, data, answers[i].size_bytes);
    }
    keep("fetch", "answers");
}

int main(void)
{
    decoders();
    hellos();
    messages();
    lanes();
    fetches();
    commands();
    return 0;
}
