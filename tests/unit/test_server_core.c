// SPDX-License-Identifier: Apache-2.0
// Does a worker keep its promises to a client that is slow, greedy or wrong: every question answered, every slot given back, nothing counted twice?
// Method: the worker's parts over an in-process link and a driver of stubs; the test plays the client, frame by frame.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/link/link_memory.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/worker/commands.h"
#include "server/worker/due.h"
#include "server/worker/gate.h"
#include "server/worker/output.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"
#include "tests/fuzz/fake_driver.h"

enum { CHUNK = 8 << 10, WINDOW = 4 * CHUNK, RING_BYTES = 64 << 10 };
#define CONTEXT 0x101000000ull
#define STREAM  0x106000001ull
#define EVENT   0x107000002ull

static struct gn_worker w;
static struct gn_status status;
static struct gn_link *mine, *its;
static pthread_t server, device;
static _Atomic bool ends;
static uint64_t sequence, position;

static void *serve(void *unused)
{
    (void)unused;
    gn_commands_run(w.commands);
    return NULL;
}

static void *progress(void *unused) // the device's own time
{
    (void)unused;
    while (!ends) {
        struct timespec pause = {.tv_nsec = 50000};
        fake_progress();
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static uint8_t gathered[32 << 10]; // frames that go out in one piece, so that they are one batch at the server
static size_t gathered_bytes;
static bool gathers;

static void send_bytes(const void *bytes, size_t size)
{
    if (gathers) {
        assert_true(gathered_bytes + size <= sizeof gathered);
        memcpy(gathered + gathered_bytes, bytes, size);
        gathered_bytes += size;
        return;
    }
    while (size) {
        struct iovec piece = {(void *)(uintptr_t)bytes, size};
        ssize_t n = mine->ops->send(mine, &piece, 1, 1);
        assert_true(n > 0);
        bytes = (const uint8_t *)bytes + n;
        size -= (size_t)n;
    }
}

static void send_command(unsigned op, const void *args, unsigned flags)
{
    static uint8_t frame[GN_COMMAND_BYTES_MAX];
    const struct gn_codec *codec = &gn_codecs[op];
    struct gn_command head = {.size_bytes = (uint32_t)(sizeof head + codec->size(args)), .op = (uint16_t)op, .flags = (uint16_t)flags};
    struct gn_cursor c = gn_cursor_over(frame, sizeof frame);
    gn_put_bytes(&c, &head, sizeof head);
    codec->encode(&c, args);
    assert_false(c.bad);
    send_bytes(frame, head.size_bytes);
    sequence++;
    position += head.size_bytes;
}
#define SEND(name, ...) send_command(GN_OP_##name, &(struct gn_args_##name){__VA_ARGS__}, 0)

static void send_control(unsigned op, uint64_t body, bool has_body)
{
    struct {
        struct gn_command head;
        uint64_t body;
    } frame = {{sizeof frame.head + (has_body ? 8 : 0), (uint16_t)op, GN_COMMAND_CONTROL}, body};
    send_bytes(&frame, frame.head.size_bytes);
}

static uint8_t got[64 << 10];

static struct gn_message receive(void)
{
    struct gn_message m;
    uint8_t *to = (uint8_t *)&m;
    for (size_t size = sizeof m, body = 0; size;) {
        struct iovec piece = {to, size};
        ssize_t n = mine->ops->recv(mine, &piece, 1, 1);
        assert_true(n > 0);
        to += n;
        size -= (size_t)n;
        if (!size && !body) {
            size = body = gn_pad8(m.size_bytes);
            assert_true(size <= sizeof got);
            to = got;
        }
    }
    return m;
}

static struct gn_message receive_kind(unsigned kind)
{
    for (;;) {
        struct gn_message m = receive();
        assert_int_not_equal(m.kind, GN_MESSAGE_GOODBYE);
        if (m.kind == kind)
            return m;
    }
}

static uint32_t spin_us;

static int begin(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    sequence = position = 0;
    ends = false;
    gn_log_setup(GN_LOG_OFF, 0);
    w.status = &status;
    w.limits = (struct gn_limits){.memory_bytes = 1 << 20, .image_bytes = 1 << 16, .window_bytes = WINDOW, .chunk_bytes = CHUNK, .handles = 2048, .spin_us = spin_us};
    fake_driver(&w.driver);
    if (gn_link_memory_pair(&mine, &its, NULL) || gn_output_open(&w.output, &w, its, true) || gn_staging_open(&w.staging, &w) ||
        gn_waiters_open(&w.waiters, &w) || gn_gates_open(&w.gates, &w) || gn_pulls_open(&w.pulls) ||
        gn_commands_open(&w.commands, &w, its, RING_BYTES))
        return -1;
    pthread_create(&server, NULL, serve, NULL);
    pthread_create(&device, NULL, progress, NULL);
    SEND(primary_retain, .context = CONTEXT);
    SEND(scope, .context = CONTEXT);
    SEND(stream_create, .stream = STREAM);
    SEND(cuEventCreate, .phEvent = EVENT);
    SEND(memory_alloc, .size_bytes = 512 << 10); // at FAKE_MEMORY_BASE
    return receive_kind(GN_MESSAGE_REPLY).code || receive_kind(GN_MESSAGE_REPLY).code ? -1 : 0;
}

static int begin_looking(void **state)
{
    spin_us = 1000;
    int error = begin(state);
    spin_us = 0;
    return error;
}

static int end(void **state)
{
    (void)state;
    mine->ops->shut(mine);
    pthread_join(server, NULL);
    gn_gates_stop(&w);
    gn_staging_stop(w.staging);
    gn_commands_join(w.commands);
    gn_waiters_close(w.waiters);
    ends = true;
    pthread_join(device, NULL);
    fake_finish();
    gn_output_close(w.output);
    gn_commands_close(w.commands);
    gn_pulls_close(w.pulls);
    gn_gates_close(w.gates);
    gn_staging_close(w.staging);
    gn_run_close(&w);
    fake_reset();
    its->ops->close(its);
    mine->ops->close(mine);
    gn_link_free(its);
    gn_link_free(mine);
    return 0;
}

static void counts_never_go_back(void **state)
{
    (void)state;
    gn_output_freed(w.output, 7, 3);
    gn_output_freed(w.output, 6, 4); // a thread that was late
    gn_output_freed(w.output, 7, 2);
    SEND(memory_alloc, .size_bytes = 1);
    struct gn_message m = receive_kind(GN_MESSAGE_REPLY);
    assert_int_equal(m.freed_small, 7);
    assert_int_equal(m.freed_large, 4);
}

// More copies of several pieces than there are slots: none may wait with a slot in its hand.
static void all_readers_get_through(void **state)
{
    enum { READERS = 2 * (GN_READ_SLOTS + GN_OUT_SLOTS), BYTES = 3 * CHUNK };
    struct timespec moment = {.tv_nsec = 50000000};
    uint64_t bytes[READERS] = {0};
    (void)state;
    SEND(host_function, .stream = STREAM, .token = 6); // until they all wait
    uint64_t first = sequence + 1;
    for (uint64_t i = 0; i < READERS; i++)
        SEND(read, .stream = STREAM, .address = FAKE_MEMORY_BASE, .width_bytes = BYTES, .rows = 1, .slices = 1, .transfer = i);
    receive_kind(GN_MESSAGE_HOST);
    nanosleep(&moment, NULL);
    send_control(GN_CONTROL_HOST_DONE, 6, true);
    for (int done = 0; done < READERS;) {
        struct gn_message m = receive();
        if (m.kind == GN_MESSAGE_DATA) {
            assert_in_range(m.id, 0, READERS - 1);
            assert_int_equal(m.value, bytes[m.id]);
            bytes[m.id] += m.size_bytes;
        } else if (m.kind == GN_MESSAGE_REPLY) {
            assert_in_range(m.id, first, first + READERS - 1);
            assert_int_equal(m.code, 0);
            assert_int_equal(bytes[m.id - first], BYTES);
            done++;
        }
    }
}

// Streams that wait for the client hold all slots that streams may hold; a thread that reads gets through.
static void readers_have_slots_of_their_own(void **state)
{
    (void)state;
    SEND(host_function, .stream = STREAM, .token = 5);
    for (uint64_t i = 0; i < GN_OUT_SLOTS; i++)
        SEND(read_async, .stream = STREAM, .address = FAKE_MEMORY_BASE, .width_bytes = 8, .rows = 1, .slices = 1, .transfer = i);
    assert_int_equal(receive_kind(GN_MESSAGE_HOST).id, 5);
    SEND(read, .stream = 1, .address = FAKE_MEMORY_BASE, .width_bytes = 3 * CHUNK, .rows = 1, .slices = 1, .transfer = 99);
    assert_int_equal(receive_kind(GN_MESSAGE_REPLY).code, 0);
    send_control(GN_CONTROL_HOST_DONE, 5, true);
    for (uint64_t i = 0; i < GN_OUT_SLOTS; i++) {
        struct gn_message m = receive_kind(GN_MESSAGE_DONE);
        assert_int_equal(m.id, i);
        assert_int_equal(m.code, 0);
    }
}

// The client counts host functions that are to come: one that never will is told of, with why, and ends as the others.
static void a_host_function_in_no_stream_is_told_of(void **state)
{
    (void)state;
    SEND(host_function, .stream = STREAM + 1, .token = 77);
    struct gn_message m = receive_kind(GN_MESSAGE_HOST);
    assert_int_equal(m.id, 77);
    assert_int_equal(m.code, CUDA_ERROR_INVALID_HANDLE);
    send_control(GN_CONTROL_HOST_DONE, 77, true);
    SEND(memory_alloc, .size_bytes = 1);
    assert_int_equal(receive_kind(GN_MESSAGE_REPLY).code, 0);
    assert_int_equal(gn_gates_busy(&w), 0);
}

// What streams owe when their context ends is ended: the client hears of each, and what it was asked for may still come.
static void what_a_lost_context_owes_is_ended(void **state)
{
    (void)state;
    SEND(host_function, .stream = STREAM, .token = 1);
    SEND(read_async, .stream = STREAM, .address = FAKE_MEMORY_BASE, .width_bytes = 8, .rows = 1, .slices = 1, .transfer = 41);
    SEND(write_pull, .stream = STREAM, .address = FAKE_MEMORY_BASE, .width_bytes = 8, .rows = 1, .slices = 1, .transfer = 42);
    SEND(write_pull, .stream = 1, .address = FAKE_MEMORY_BASE, .width_bytes = 8, .rows = 1, .slices = 1, .transfer = 43);
    SEND(host_function, .stream = STREAM, .token = 2);
    SEND(memory_alloc, .size_bytes = 1); // behind it all are in their streams
    for (unsigned seen = 0; seen != 7;) {
        struct gn_message m = receive();
        assert_int_equal(m.code, 0);
        assert_true(m.kind != GN_MESSAGE_HOST || m.id == 1);
        assert_true(m.kind != GN_MESSAGE_PULL || m.id == 43);
        seen |= m.kind == GN_MESSAGE_HOST ? 1 : m.kind == GN_MESSAGE_PULL ? 2 : m.kind == GN_MESSAGE_REPLY ? 4 : 0;
    }
    gn_due_lock(&w);
    CUcontext context = gn_due_first(&w)->context;
    gn_due_unlock(&w);
    gn_dues_lose(&w, context, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    bool done[3] = {false}, called = false;
    while (!done[0] || !done[1] || !done[2] || !called) {
        struct gn_message m = receive();
        assert_int_equal(m.code, CUDA_ERROR_CONTEXT_IS_DESTROYED);
        if (m.kind == GN_MESSAGE_DONE)
            done[m.id - 41] = true;
        called = called || (m.kind == GN_MESSAGE_HOST && m.id == 2);
    }
    struct {
        struct gn_command head;
        uint64_t body[3], payload;
    } pulled = {{sizeof pulled - 8, GN_CONTROL_PULLED, GN_COMMAND_CONTROL | GN_COMMAND_PAYLOAD}, {8, 43, 0}, 0};
    send_bytes(&pulled, sizeof pulled); // it crossed with the word
    send_control(GN_CONTROL_HOST_DONE, 1, true);
    send_control(GN_CONTROL_HOST_DONE, 2, true);
    SEND(memory_alloc, .size_bytes = 1);
    assert_int_equal(receive_kind(GN_MESSAGE_REPLY).code, 0);
    assert_int_equal(gn_gates_busy(&w), 0);
    gn_due_lock(&w);
    assert_null(gn_due_first(&w));
    gn_due_unlock(&w);
}

static _Atomic bool dying;
static _Atomic unsigned asked_while_dying;
static CUresult (*real_release)(CUdevice);
static CUresult (*real_query)(CUevent);

static CUresult query_noting(CUevent event)
{
    asked_while_dying += dying;
    return real_query(event);
}

// As if another thread looked for free slots at the worst moments: before the driver destroys the context, and before the worker has heard of it.
static CUresult release_and_look(CUdevice number)
{
    dying = true;
    gn_staging_reap(w.staging, true);
    CUresult r = real_release(number);
    gn_staging_reap(w.staging, true);
    dying = false;
    return r;
}

// The events of copies that are under way die with their context: nobody may ask for them then, and the slots are free.
static void a_dying_contexts_events_are_left_alone(void **state)
{
    static const uint8_t payload[CHUNK];
    (void)state;
    real_release = w.driver.calls.cuDevicePrimaryCtxRelease_v2;
    real_query = w.driver.calls.cuEventQuery;
    w.driver.calls.cuDevicePrimaryCtxRelease_v2 = release_and_look;
    w.driver.calls.cuEventQuery = query_noting;
    asked_while_dying = 0;
    uint64_t stream = STREAM, address = FAKE_MEMORY_BASE;
    for (uint32_t round = 1; round <= 3; round++) {
        for (int i = 0; i < 3; i++) {
            if (i == 1) // the first copy passes, the others do not
                SEND(host_function, .stream = stream, .token = round);
            send_command(GN_OP_write,
                         &(struct gn_args_write){.stream = stream, .address = address, .width_bytes = CHUNK, .rows = 1, .data_bytes = CHUNK},
                         GN_COMMAND_PAYLOAD);
            send_bytes(payload, CHUNK);
        }
        receive_kind(GN_MESSAGE_HOST);
        SEND(primary_release, .context = CONTEXT);
        struct timespec moment = {.tv_nsec = 1000000};
        while (!dying) // the driver waits for what is under way, and that for the client
            nanosleep(&moment, NULL);
        send_control(GN_CONTROL_HOST_DONE, round, true);
        assert_int_equal(receive_kind(GN_MESSAGE_REPLY).code, 0);
        uint32_t small, large;
        gn_staging_freed(w.staging, &small, &large);
        assert_int_equal(large, 3 * round);
        assert_false(gn_staging_busy(w.staging));
        stream = STREAM + ((uint64_t)round << 32);
        SEND(primary_retain, .context = CONTEXT);
        SEND(stream_create, .stream = stream);
        SEND(memory_alloc, .size_bytes = CHUNK);
        assert_int_equal(receive_kind(GN_MESSAGE_REPLY).code, 0);
        assert_int_equal(receive_kind(GN_MESSAGE_REPLY).code, 0);
        memcpy(&address, got, sizeof address);
    }
    assert_int_equal(asked_while_dying, 0);
}

// A client that waits for room hears of it, also when what it waits for runs beside the reader.
static void a_starved_client_is_told(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        SEND(host_function, .stream = STREAM, .token = 9);
        for (int i = 0; i < round % 5; i++)
            SEND(event_record, .event = EVENT, .stream = 1);
        send_control(GN_CONTROL_STARVED, 0, false);
        bool told = false, called = false;
        while (!told || !called) {
            struct gn_message m = receive();
            assert_int_not_equal(m.kind, GN_MESSAGE_GOODBYE);
            called = called || m.kind == GN_MESSAGE_HOST;
            told = told || m.acked_bytes == position;
            if (!told) // asks again whenever it was not enough, as the real one does
                send_control(GN_CONTROL_STARVED, 0, false);
        }
        send_control(GN_CONTROL_HOST_DONE, 9, true);
    }
}

// A large write that holds its slot until the host function in front of it ends, which has begun on return.
static void write_behind_a_host_function(uint64_t token)
{
    static const uint8_t payload[CHUNK];
    SEND(host_function, .stream = STREAM, .token = token);
    send_command(GN_OP_write,
                 &(struct gn_args_write){.stream = STREAM, .address = FAKE_MEMORY_BASE, .width_bytes = CHUNK, .rows = 1, .data_bytes = CHUNK},
                 GN_COMMAND_PAYLOAD);
    send_bytes(payload, CHUNK);
    SEND(memory_alloc, .size_bytes = 1);
    for (unsigned seen = 0; seen != 3;) {
        struct gn_message m = receive();
        seen |= m.kind == GN_MESSAGE_HOST ? 1 : m.kind == GN_MESSAGE_REPLY ? 2 : 0;
    }
}

// Until so many slots are told to be free. It has been told of `known` bytes: something new that is not what it waits for has it ask again.
static void await_slots(uint32_t freed, uint64_t known)
{
    for (struct gn_message m = receive(); m.freed_large != freed; m = receive()) {
        if (m.acked_bytes != known)
            send_control(GN_CONTROL_STARVED, 0, false);
        known = m.acked_bytes;
    }
}

// It waits for a slot and knows all else already: a message that says nothing new does not help it.
static void a_client_that_starves_for_a_slot_is_told(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= 20; round++) {
        write_behind_a_host_function(round);
        SEND(memory_alloc, .size_bytes = 1); // its reply tells of all that came before
        uint64_t known = receive_kind(GN_MESSAGE_REPLY).acked_bytes;
        send_control(GN_CONTROL_STARVED, 0, false);
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
        send_control(GN_CONTROL_HOST_DONE, round, true);
        await_slots(round, known);
    }
}

// The slot that it waits for is needed for something else too (the content store files it), which takes longer than the device.
static void a_client_that_starves_for_a_held_slot_is_told(void **state)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    (void)state;
    for (uint32_t round = 1; round <= 20; round++) {
        write_behind_a_host_function(round);
        int slot = GN_SMALL_SLOTS; // the lowest large one is taken first
        gn_staging_hold(w.staging, slot);
        SEND(memory_alloc, .size_bytes = 1);
        uint64_t known = receive_kind(GN_MESSAGE_REPLY).acked_bytes;
        send_control(GN_CONTROL_STARVED, 0, false);
        nanosleep(&moment, NULL);
        send_control(GN_CONTROL_HOST_DONE, round, true);
        for (; gn_staging_busy(w.staging); gn_staging_reap(w.staging, true))
            nanosleep(&moment, NULL);
        nanosleep(&moment, NULL); // whoever waited for the copy's end has nothing more to do
        if (gn_staging_let_go(w.staging, slot))
            gn_commands_freed(&w);
        await_slots(round, known);
    }
}

static CUresult (*record)(CUevent, CUstream);
static _Atomic int records;
static CUresult counted_record(CUevent event, CUstream stream)
{
    records++;
    return record(event, stream);
}

// Small copies in a row share an event; every slot is free again in the end, and a command of another kind ends the row.
static void small_copies_share_an_event(void **state)
{
    enum { COPIES = 100, BYTES = 16, SHARE = 64 };
    static const uint8_t payload[BYTES];
    (void)state;
    record = w.driver.calls.cuEventRecord;
    w.driver.calls.cuEventRecord = counted_record; // the server sees it with the bytes that follow
    records = 0;
    for (int round = 1; round <= 3; round++) {
        gathers = true;
        for (int i = 0; i < COPIES; i++) {
            send_command(GN_OP_write,
                         &(struct gn_args_write){.stream = STREAM, .address = FAKE_MEMORY_BASE, .width_bytes = BYTES, .rows = 1, .data_bytes = BYTES},
                         GN_COMMAND_PAYLOAD);
            send_bytes(payload, BYTES);
            if (round == 3)
                SEND(scope, .context = CONTEXT);
        }
        gathers = false;
        send_bytes(gathered, gathered_bytes);
        gathered_bytes = 0;
        SEND(memory_alloc, .size_bytes = 1);
        struct gn_message m = receive_kind(GN_MESSAGE_REPLY);
        while (m.freed_small != (uint32_t)(round * COPIES)) {
            send_control(GN_CONTROL_STARVED, 0, false);
            m = receive();
        }
        static const int shared = (COPIES + SHARE - 1) / SHARE;
        assert_int_equal(records, round == 3 ? 2 * shared + COPIES : round * shared);
    }
}

static void a_confirmed_command_has_its_own_code(void **state)
{
    (void)state;
    send_command(GN_OP_memory_free, &(struct gn_args_memory_free){.address = 12345}, 0); // latched, where it is posted
    send_command(GN_OP_copy, &(struct gn_args_copy){.stream = 1, .width_bytes = 1, .rows = 1, .slices = 1}, GN_COMMAND_CONFIRM);
    struct gn_message m;
    do
        m = receive_kind(GN_MESSAGE_REPLY);
    while (m.id != sequence);
    assert_int_equal(m.code, CUDA_ERROR_INVALID_VALUE);
    SEND(memory_alloc, .size_bytes = 1);
    m = receive_kind(GN_MESSAGE_REPLY);
    assert_int_equal(m.latched, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define LOOKING(name) cmocka_unit_test_setup_teardown(name, begin_looking, end)
    const struct CMUnitTest tests[] = {
        TEST(counts_never_go_back),
        TEST(all_readers_get_through),
        TEST(readers_have_slots_of_their_own),
        TEST(a_host_function_in_no_stream_is_told_of),
        TEST(what_a_lost_context_owes_is_ended),
        TEST(a_dying_contexts_events_are_left_alone),
        TEST(a_starved_client_is_told),
        TEST(a_client_that_starves_for_a_slot_is_told),
        TEST(a_client_that_starves_for_a_held_slot_is_told),
        TEST(a_confirmed_command_has_its_own_code),
        TEST(small_copies_share_an_event),
        // The same while the reading thread looks for the ends of waits.
        LOOKING(all_readers_get_through),
        LOOKING(readers_have_slots_of_their_own),
        LOOKING(what_a_lost_context_owes_is_ended),
        LOOKING(a_client_that_starves_for_a_slot_is_told),
        LOOKING(a_client_that_starves_for_a_held_slot_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
