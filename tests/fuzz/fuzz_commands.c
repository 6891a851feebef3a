// SPDX-License-Identifier: Apache-2.0
// Fuzzes what a client may send to a worker: frames, commands of every kind, payload, control frames, over a
// driver of small stubs. The input follows a few commands that make a context, a stream, an event, memory, a
// module and a function, so that it has something to name. Nothing may crash, leak or hang, and no handle may
// be used after its death.
//
// The first byte: 1 frames come one by one and streams go on in between (so that an answer can follow its
// question), 2 pieces of odd sizes, 4 the rest is not bytes of the wire but a choice of commands: a byte for
// the command, then a byte for each 8-byte unit of its body, which chooses a value that means something, 8 the
// driver can map memory and the session may have more of it, 16 what is kept goes to host memory, 32
// there is a content store, which has something that is promised already.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/digest.h"
#include "server/kept/kept.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/store/contents.h"
#include "server/worker/commands.h"
#include "server/worker/gate.h"
#include "server/worker/host.h"
#include "server/worker/output.h"
#include "server/worker/print.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"
#include "tests/fuzz/fake_driver.h"
#include "tests/fuzz/fake_vmm.h"
#include "tests/fuzz/feed.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CHUNK = 8 << 10,
    WINDOW = 4 * CHUNK,
    RING_BYTES = 64 << 10,
    CONTENT_BYTES = 4096,
    PROLOGUE_BYTES_MAX = 2048 + CONTENT_BYTES,
    CHOSEN_BYTES_MAX = 128 << 10
};

static uint8_t prologue[PROLOGUE_BYTES_MAX];
static size_t prologue_bytes, plain_bytes; // the latter: without the content
static struct gn_content content;            // that the store has

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void add(unsigned op, const void *args, const void *payload, uint64_t payload_bytes)
{
    const struct gn_codec *k = &gn_codecs[op];
    struct gn_cursor c = gn_cursor_over(prologue + prologue_bytes, sizeof prologue - prologue_bytes);
    struct gn_command head = {.size_bytes = (uint32_t)(sizeof head + k->size(args)),
                              .op = (uint16_t)op,
                              .flags = k->payload ? GN_COMMAND_PAYLOAD : 0};
    gn_put_bytes(&c, &head, sizeof head);
    k->encode(&c, args);
    gn_put_bytes(&c, payload, payload_bytes);
    require(!c.bad);
    prologue_bytes = (size_t)(c.at - prologue);
}

#define ADD(name, ...) add(GN_OP_##name, &(struct gn_args_##name){__VA_ARGS__}, NULL, 0)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char ptx[] =
        ".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 a) { ret; }\n";
    (void)argc, (void)argv;
    gn_log_setup(GN_LOG_OFF, 0);
    require(!gn_print_open());
    ADD(primary_retain, .context = 0x101000000);
    ADD(scope, .context = 0x101000000);
    ADD(stream_create, .stream = 0x106000001);
    ADD(cuEventCreate, .phEvent = 0x107000002);
    ADD(memory_alloc, .size_bytes = 64 << 10); // at FAKE_MEMORY_BASE
    add(GN_OP_image_part,
        &(struct gn_args_image_part){.total_bytes = sizeof ptx, .upload = 1, .data_bytes = sizeof ptx}, ptx,
        sizeof ptx);
    ADD(module_load, .module = 0x102000003, .upload = 1);
    ADD(module_get_function, .module = 0x102000003, .function = 0x103000004, .name = "k", .name_bytes = 1);
    plain_bytes = prologue_bytes;
    static const uint8_t zeros[CONTENT_BYTES];
    content = gn_content_of(zeros, CONTENT_BYTES);
    ADD(content_offer, .contents = &content, .contents_bytes = sizeof content);
    add(GN_OP_write_stored,
        &(struct gn_args_write_stored){.stream = 1, .address = FAKE_MEMORY_BASE, .low = content.low, .high = content.high, .data_bytes = CONTENT_BYTES},
        zeros, CONTENT_BYTES);
    ADD(content_offer, .contents = &content, .contents_bytes = sizeof content);
    return 0;
}

// --- commands by choice

#define ID(kind, index, generation) ((index) | (uint64_t)(kind) << 24 | (uint64_t)(generation) << 32)

static const uint64_t values[] = {
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    64,
    100,
    128,
    512,
    600,
    4095,
    4096,
    4097,
    8192,
    8193,
    20000,
    40000,
    65536,
    1 << 20,
    1ull << 32,
    1ull << 33,
    1ull << 47,
    UINT64_MAX,
    ID(1, 0, 1),
    ID(6, 1, 1),
    ID(7, 2, 1),
    ID(2, 3, 1),
    ID(3, 4, 1),
    FAKE_MEMORY_BASE,
    FAKE_MEMORY_BASE + 256,
    FAKE_MEMORY_BASE + 65536,
    FAKE_MEMORY_BASE + FAKE_MEMORY_BYTES - 8192,
    FAKE_GRANULE_BYTES,
    2 * FAKE_GRANULE_BYTES,
    40 * FAKE_GRANULE_BYTES,
    FAKE_RANGE_BASE,
    FAKE_RANGE_BASE + FAKE_GRANULE_BYTES,
    FAKE_RANGE_BASE + 5 * FAKE_GRANULE_BYTES,
    FAKE_RANGE_BASE + 511 * FAKE_GRANULE_BYTES,
    FAKE_RANGE_BASE + 4096 * FAKE_GRANULE_BYTES,
    ID(8, 5, 1),
    ID(8, 6, 1),
    ID(8, 5, 2),
    ID(1, 5, 1),
    ID(2, 5, 1),
    ID(3, 5, 1),
    ID(4, 5, 1),
    ID(5, 5, 1),
    ID(6, 5, 1),
    ID(7, 5, 1),
    ID(1, 6, 1),
    ID(2, 6, 1),
    ID(3, 6, 1),
    ID(4, 6, 1),
    ID(5, 6, 1),
    ID(6, 6, 1),
    ID(7, 6, 1),
    ID(1, 5, 2),
    ID(2, 5, 2),
    ID(4, 5, 2),
    ID(6, 5, 2),
    ID(7, 5, 2),
    ID(1, 0, 2),
    ID(6, 1, 2),
    ID(7, 2, 2),
    ID(6, 2047, 1),
    ID(7, 2048, 1),
    ID(6, 0xfffff, 1),
    ID(0, 7, 1),
    ID(7, 8, 0),
    ID(8, 8, 1),
    ID(9, 5, 1),
    ID(9, 6, 1),
    ID(9, 5, 2),
    64 << 10,
    192 << 10,
};

static uint64_t value_of(uint8_t choice)
{
    return choice == 255 ? content.low : choice == 254 ? content.high : values[choice % (sizeof values / sizeof *values)];
}

static size_t fixed_units(unsigned op)
{
    static uint8_t units[GN_OPS]; // + 1; 0: not known yet
    uint8_t body[512] = {0}, args[GN_ARGS_BYTES_MAX];
    for (size_t n = 0; !units[op]; n++) {
        struct gn_cursor c = gn_cursor_over(body, 8 * n);
        if (gn_codecs[op].decode(&c, args))
            units[op] = (uint8_t)(n + 1);
        require(n < 60);
    }
    return units[op] - 1u;
}

// One command (or control frame, or padding) for the bytes at *in; false at their end.
static bool choose(const uint8_t **in, const uint8_t *end, struct gn_cursor *out)
{
    static unsigned ops[GN_OPS], op_count;
    for (unsigned op = 0, fresh = !op_count; fresh && op < GN_OPS; op++)
        if (gn_codecs[op].encode)
            ops[op_count++] = op;
    if (*in == end)
        return false;
    unsigned choice = *(*in)++;
    struct gn_command head = {0};
    size_t units;
    if (choice < op_count) {
        head.op = (uint16_t)ops[choice];
        head.flags = gn_codecs[head.op].payload ? GN_COMMAND_PAYLOAD : 0;
        units = fixed_units(head.op);
    } else {
        head.op = (uint16_t)(choice % 5);
        head.flags =
            head.op ? GN_COMMAND_CONTROL | (head.op == GN_CONTROL_PULLED ? GN_COMMAND_PAYLOAD : 0) : 0;
        units = head.op == GN_CONTROL_HOST_DONE ? 1
                : head.op == GN_CONTROL_PULLED  ? 3
                : head.op == GN_CONTROL_STARVED ? 0
                                                : 2;
    }
    uint64_t body[64], payload = 0;
    uint8_t args[GN_ARGS_BYTES_MAX];
    for (size_t i = 0; i < units; i++)
        body[i] = *in < end ? value_of(*(*in)++) : 0;
    if (head.flags & GN_COMMAND_PAYLOAD)
        payload = body[0] <= CHUNK ? body[0] : CHUNK;
    while (choice < op_count && units < 60) { // a unit may be the length of a blob: so many bytes follow
        struct gn_cursor c = gn_cursor_over(body, 8 * units);
        if (gn_codecs[head.op].decode(&c, args))
            break;
        body[units++] = 0x6b; // "k"
    }
    head.size_bytes = (uint32_t)(sizeof head + 8 * units);
    gn_put_bytes(out, &head, sizeof head);
    gn_put_bytes(out, body, 8 * units);
    uint8_t *bytes = gn_get_bytes(out, payload);
    if (bytes)
        memset(bytes, 'p', gn_pad8(payload));
    if (bytes && payload) { // it says how long it is, as frames do: it comes in one piece (feed.h)
        uint32_t length = (uint32_t)gn_pad8(payload);
        memcpy(bytes, &length, sizeof length);
    }
    return !out->bad;
}

// --- answers wait for their questions

static _Atomic unsigned questions[GN_MESSAGE_KINDS], answers[GN_MESSAGE_KINDS];

static void saw(const void *header, size_t size_bytes)
{
    struct gn_message m;
    if (size_bytes != sizeof m)
        return;
    memcpy(&m, header, sizeof m);
    if (m.kind < GN_MESSAGE_KINDS)
        questions[m.kind]++;
}

// Streams go on. What comes next may answer what the server asks from another thread: that gets a moment to
// ask.
static void before(struct feed *feed)
{
    struct gn_command head = {0};
    fake_progress();
    if (feed->size - feed->at >= sizeof head)
        memcpy(&head, feed->data + feed->at, sizeof head);
    if (!(head.flags & GN_COMMAND_CONTROL) ||
        (head.op != GN_CONTROL_HOST_DONE && head.op != GN_CONTROL_PULLED))
        return;
    unsigned kind = head.op == GN_CONTROL_PULLED ? GN_MESSAGE_PULL : GN_MESSAGE_HOST;
    for (int i = 0; i < 40 && questions[kind] <= answers[kind]; i++) {
        struct timespec moment = {.tv_nsec = 20000};
        nanosleep(&moment, NULL);
        fake_progress();
    }
    answers[kind]++;
}

static void open_store(struct gn_worker *w)
{
    struct gn_store_fds fds;
    const struct gn_contents_start start = {.on = true, .promised_bytes = 64 << 10, .tenant = "uid-1"};
    require(!gn_store_make(&fds, 1 << 20) && !gn_contents_open(&w->contents, w, &start, &fds));
}

static void open_parts(struct gn_worker *w, struct gn_link *link)
{
    require(!gn_output_open(&w->output, w, link, true) && !gn_staging_open(&w->staging, w) &&
            !gn_waiters_open(&w->waiters, w) && !gn_gates_open(&w->gates, w) && !gn_pulls_open(&w->pulls) &&
            !gn_kepts_open(&w->kepts, w) &&
            !gn_commands_open(&w->commands, w, link, RING_BYTES));
}

// As a worker's end frees everything: nobody waits for the client any more, the streams go on to their end,
// then the parts.
static void close_parts(struct gn_worker *w)
{
    gn_gates_stop(w);
    gn_staging_stop(w->staging);
    gn_commands_join(w->commands);
    gn_waiters_close(w->waiters);
    if (w->contents) {
        gn_contents_finish(w->contents, 1000);
        gn_contents_close(w->contents);
    }
    fake_finish();
    gn_output_close(w->output);
    gn_commands_close(w->commands);
    gn_pulls_close(w->pulls);
    gn_gates_close(w->gates);
    gn_staging_close(w->staging);
    gn_run_close(w);
    fake_reset();
    fake_vmm_finish();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gn_worker w;
    static struct gn_status status;
    if (!size)
        return 0;
    static uint8_t chosen[CHOSEN_BYTES_MAX];
    const uint8_t *input = data + 1;
    size_t input_bytes = size - 1;
    if (data[0] & 4) {
        struct gn_cursor c = gn_cursor_over(chosen, sizeof chosen);
        while (choose(&input, data + size, &c))
            ;
        input = chosen;
        input_bytes = (size_t)(c.at - chosen);
    }
    size_t first_bytes = data[0] & 32 ? prologue_bytes : plain_bytes;
    uint8_t *bytes = malloc(first_bytes + input_bytes + 1);
    require(bytes);
    memcpy(bytes, prologue, first_bytes);
    memcpy(bytes + first_bytes, input, input_bytes);
    struct feed feed = {.link.ops = &feed_ops,
                        .data = bytes,
                        .size = first_bytes + input_bytes,
                        .frames = data[0] & 1,
                        .random = data[0] & 2 ? 1u + data[0] : 0,
                        .before = data[0] & 1 ? before : NULL,
                        .saw = saw};
    memset(questions, 0, sizeof questions);
    memset(answers, 0, sizeof answers);
    memset(&w, 0, sizeof w);
    w.status = &status;
    w.limits = (struct gn_limits){.memory_bytes = 512 << 10,
                                  .image_bytes = 64 << 10,
                                  .window_bytes = WINDOW,
                                  .chunk_bytes = CHUNK,
                                  .handles = 2048,
                                  .kept_percent = data[0] & 16 ? 0 : 25,
                                  .kept_host_bytes = 128 << 10, .kept_content = true};
    fake_driver(&w.driver);
    if (data[0] & 8) {
        fake_vmm(&w.driver);
        w.limits.memory_bytes = 400 << 20;
    }
    open_parts(&w, &feed.link);
    if (data[0] & 32)
        open_store(&w);
    gn_commands_run(w.commands);
    close_parts(&w);
    free(bytes);
    return 0;
}
