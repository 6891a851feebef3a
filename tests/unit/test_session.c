// SPDX-License-Identifier: Apache-2.0
// Does the client's session keep order, room and promises when transfers are cut, when the server answers late or wrongly, or dies?
// Method: a real session over the in-process link; the test plays the server, frame by frame, on a thread of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/link/link_memory.h"
#include "remoting/link/link_shm.h"
#include "remoting/session/session.h"

enum { CHUNK = 64 << 10, WINDOW = 4 * CHUNK };
enum { SILENT = 10, LATE_DATA, PULLS, GOODBYE, PACKED, PACKED_LIES };

struct server { // what the played server does
    struct gn_link *link;
    pthread_t thread;
    uint64_t taken, told, sequence; // command bytes seen and acknowledged, numbers seen
    uint32_t freed_small, freed_large;
    uint64_t launches, last_value; // launches seen; grid_x of each must be one more than that of the one before from the same thread
    uint64_t per_thread[16];
    bool disorder, starved;
    uint64_t payload_bytes, payload_sum;
    _Atomic uint32_t lie;          // kind of malformed answer to give to the next sync; SILENT, LATE_DATA, PULLS
    int hang_up_after;             // sync commands; 0: never
    int syncs;
};

static int read_all(struct gn_link *link, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        struct iovec piece = {(uint8_t *)to + done, size - done};
        ssize_t n = link->ops->recv(link, &piece, 1, 1);
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static int write_all(struct gn_link *link, const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        struct iovec piece = {(uint8_t *)(uintptr_t)from + done, size - done};
        ssize_t n = link->ops->send(link, &piece, 1, 1);
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static int answer(struct server *s, struct gn_message m, const void *body)
{
    static const uint8_t zeros[8];
    m.acked_bytes = s->told = s->taken;
    m.freed_small = s->freed_small;
    m.freed_large = s->freed_large;
    return write_all(s->link, &m, sizeof m) || write_all(s->link, body, m.size_bytes) ||
           write_all(s->link, zeros, gn_pad8(m.size_bytes) - m.size_bytes);
}

static int answer_sync(struct server *s, uint16_t op, const uint8_t *body, size_t size)
{
    struct gn_message m = {.kind = GN_MESSAGE_REPLY, .id = s->sequence};
    if (s->hang_up_after && ++s->syncs >= s->hang_up_after)
        return -1;
    if (s->lie == SILENT)
        return 0;
    if (s->lie == LATE_DATA) { // bytes for a read whose reply has gone out
        struct gn_args_read a;
        struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)body, size);
        struct gn_message frames[2] = {{.kind = GN_MESSAGE_REPLY, .id = s->sequence}, {.kind = GN_MESSAGE_DATA, .size_bytes = 8}};
        uint8_t both[sizeof frames + 8] = {0};
        if (!gn_codecs[op].decode(&c, &a))
            return -1;
        frames[1].id = a.transfer;
        memcpy(both, frames, sizeof frames);
        memset(both + sizeof frames, 0xbb, 8);
        return write_all(s->link, both, sizeof both);
    }
    if (s->lie >= PACKED) { // eight bytes as an LZ4 block of literals, byte for byte: of PACKED_LIES on, what they stand for does not fit
        static const uint64_t claims[] = {8, 7, 9, 0, UINT64_MAX};
        struct gn_args_read a;
        struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)body, size);
        uint8_t packed[17] = {[8] = 0x80, 'g', 'e', 'n', 'i', 'e', '0', '0', '1'};
        if (!gn_codecs[op].decode(&c, &a))
            return -1;
        memcpy(packed, &claims[s->lie - PACKED], 8);
        struct gn_message d = {.kind = GN_MESSAGE_PACKED, .id = a.transfer, .size_bytes = sizeof packed};
        return answer(s, d, packed) || answer(s, m, NULL);
    }
    if (s->lie == PULLS) { // asks for the first transfer's bytes again and again, and takes none
        for (int i = 0; i < 5000; i++) {
            struct {
                struct gn_message m;
                uint64_t length;
            } pull = {{.kind = GN_MESSAGE_PULL, .id = 1ull << 32, .size_bytes = 8}, CHUNK};
            if (write_all(s->link, &pull, sizeof pull))
                return -1;
        }
        return 0;
    }
    if (s->lie == GOODBYE) {
        m = (struct gn_message){.kind = GN_MESSAGE_GOODBYE, .size_bytes = 8};
        return write_all(s->link, &m, sizeof m) || write_all(s->link, "go\033[1m\n", 8);
    }
    if (s->lie == 1)
        m.kind = 99;
    else if (s->lie == 2)
        m.id += 7;
    else if (s->lie == 3)
        m.size_bytes = 0xfffffff0;
    if (s->lie)
        return write_all(s->link, &m, sizeof m);
    if (op == GN_OP_memory_info) {
        uint64_t out[2] = {11, 22};
        m.size_bytes = sizeof out;
        return answer(s, m, out);
    }
    if (op == GN_OP_read) { // every byte of the box is its offset
        struct gn_args_read a;
        struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)body, size);
        if (!gn_codecs[op].decode(&c, &a))
            return -1;
        uint64_t total = a.width_bytes * a.rows * a.slices;
        for (uint64_t offset = 0; offset < total;) {
            uint8_t data[1000];
            uint64_t n = total - offset < sizeof data ? total - offset : sizeof data;
            for (uint64_t i = 0; i < n; i++)
                data[i] = (uint8_t)(offset + i);
            struct gn_message d = {.kind = GN_MESSAGE_DATA, .id = a.transfer, .value = offset, .size_bytes = (uint32_t)n};
            if (answer(s, d, data))
                return -1;
            offset += n;
        }
    }
    return answer(s, m, NULL);
}

static void see_launch(struct server *s, const uint8_t *body, size_t size)
{
    struct gn_args_launch a;
    struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)body, size);
    s->disorder = s->disorder || !gn_codecs[GN_OP_launch].decode(&c, &a) || a.grid_y >= 16 || a.grid_x != s->per_thread[a.grid_y] + 1;
    if (!s->disorder)
        s->per_thread[a.grid_y] = a.grid_x;
    s->launches++;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    static _Thread_local uint8_t body[1 << 20], payload[CHUNK + 8];
    struct gn_command head;
    while (!read_all(s->link, &head, sizeof head)) {
        size_t size = head.size_bytes - sizeof head;
        if (size > sizeof body || read_all(s->link, body, size))
            break;
        if (head.flags & GN_COMMAND_CONTROL) {
            struct gn_message now = {.kind = GN_MESSAGE_ACK};
            s->starved = head.op == GN_CONTROL_STARVED && s->told == s->taken;
            if (head.op == GN_CONTROL_STARVED && !s->starved && answer(s, now, NULL))
                break;
            continue;
        }
        s->taken += head.size_bytes;
        s->sequence += head.op != 0;
        if (head.flags & GN_COMMAND_PAYLOAD) {
            uint64_t n;
            memcpy(&n, body, sizeof n);
            if (n > CHUNK || read_all(s->link, payload, gn_pad8(n)))
                break;
            for (uint64_t i = 0; i < n; i++)
                s->payload_sum += payload[i];
            s->payload_bytes += n;
            *(n <= GN_SMALL_PAYLOAD_BYTES ? &s->freed_small : &s->freed_large) += 1;
            s->taken += n <= GN_SMALL_PAYLOAD_BYTES ? gn_pad8(n) : 0;
        }
        if (head.op == GN_OP_launch)
            see_launch(s, body, size);
        if (gn_api[head.op].class == GN_SYNC && answer_sync(s, head.op, body, size))
            break;
        // As the real one: an acknowledgement now and then, and at once for a client that waits for room.
        struct gn_message ack = {.kind = GN_MESSAGE_ACK};
        if ((s->sequence % 64 == 0 || s->starved) && answer(s, ack, NULL))
            break;
        s->starved = false;
    }
    s->link->ops->shut(s->link);
    return NULL;
}

// In process where a test wants faults, and in the first round; through shared memory, where callers send by themselves, in the second.
static bool through_shm;
static void open_pair(struct gn_link **mine, struct gn_link **theirs, const struct gn_link_faults *faults)
{
    int fds[2], memory;
    if (!through_shm || faults) {
        assert_int_equal(gn_link_memory_pair(mine, theirs, faults), 0);
        return;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_true((memory = gn_shm_create(GN_SHM_RING_BYTES_MIN)) >= 0);
    assert_int_equal(gn_link_shm_new(mine, fds[0], memory, GN_SHM_RING_BYTES_MIN, false), 0);
    assert_int_equal(gn_link_shm_new(theirs, fds[1], memory, GN_SHM_RING_BYTES_MIN, true), 0);
    close(memory);
}

static bool start_single; // commands are not to share a send

static struct gn_session *start(struct server *s, const struct gn_link_faults *faults, bool threads)
{
    struct gn_link *mine;
    struct gn_session *session;
    struct gn_welcome welcome = {.window_bytes = WINDOW, .chunk_bytes = CHUNK};
    struct gn_session_config config = {.ring_bytes = 64 << 10, .receive_bytes = threads ? 0 : 8 << 10, .threads = threads,
                                        .single = start_single};
    open_pair(&mine, &s->link, faults);
    assert_int_equal(gn_session_open(&session, mine, &config, &welcome), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return session;
}

static void stop(struct server *s, struct gn_session *session)
{
    gn_session_close(session);
    pthread_join(s->thread, NULL);
    s->link->ops->close(s->link);
    gn_link_free(s->link);
}

static int ask_info(struct gn_session *session, uint64_t *free_bytes)
{
    struct gn_args_memory_info a = {0};
    struct gn_out_memory_info o = {0};
    struct gn_latched latched;
    int32_t code = -1;
    int error = gn_session_ask(session, 0, GN_OP_memory_info, &a, &o, &code, &latched);
    *free_bytes = o.free_bytes;
    return error ? error : code;
}

static int launch(struct gn_session *session, uint32_t thread, uint32_t number, size_t param_bytes)
{
    static const uint8_t params[32764];
    struct gn_args_launch a = {.grid_x = number, .grid_y = thread, .params = params, .params_bytes = (uint32_t)param_bytes};
    int32_t code;
    return gn_session_post(session, 0, GN_OP_launch, &a, &code);
}

static void test_replies(void **state)
{
    (void)state;
    struct server s = {0};
    struct gn_session *session = start(&s, NULL, true);
    uint64_t value;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(ask_info(session, &value), 0);
        assert_int_equal(value, 11);
    }
    struct gn_session_counts counts;
    gn_session_count(session, &counts);
    assert_int_equal(counts.round_trips, 1000);
    assert_int_equal(counts.commands, 1000);
    stop(&s, session);
}

struct poster {
    struct gn_session *session;
    uint32_t thread, count;
    size_t param_bytes;
    int failed;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    uint64_t value;
    for (uint32_t i = 1; i <= p->count; i++) {
        p->failed |= launch(p->session, p->thread, i, i % 7 ? p->param_bytes : 8);
        if (i % 97 == 0)
            p->failed |= ask_info(p->session, &value);
    }
    return NULL;
}

static void many_threads(const struct gn_link_faults *faults, bool threads, uint32_t count, size_t param_bytes)
{
    struct server s = {0};
    struct gn_session *session = start(&s, faults, threads);
    pthread_t t[8];
    struct poster p[8];
    uint64_t value;
    for (uint32_t i = 0; i < 8; i++) {
        p[i] = (struct poster){session, i, count, param_bytes, 0};
        assert_int_equal(pthread_create(&t[i], NULL, post_many, &p[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(p[i].failed, 0);
    }
    assert_int_equal(ask_info(session, &value), 0);
    assert_false(s.disorder);
    assert_int_equal(s.launches, 8 * count);
    stop(&s, session);
}

static void test_order(void **state)
{
    (void)state;
    many_threads(NULL, true, 3000, 64);
}

// Commands that follow each other soon share a send, unless that is switched off.
static void test_batches(void **state)
{
    (void)state;
    for (int single = 0; single < 2; single++) {
        enum { COUNT = 1000 };
        struct server s = {0};
        uint64_t value;
        struct gn_session_counts counts;
        start_single = single;
        struct gn_session *session = start(&s, NULL, true);
        start_single = false;
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(launch(session, 0, i + 1, 64), 0);
        assert_int_equal(ask_info(session, &value), 0);
        gn_session_count(session, &counts);
        if (!counts.direct_sends) // which shared memory makes: there is nothing to share
            assert_int_equal(counts.sends > COUNT, single);
        assert_int_equal(s.launches, COUNT);
        assert_false(s.disorder);
        stop(&s, session);
    }
}

static void test_order_cut_transfers(void **state)
{
    (void)state;
    struct gn_link_faults faults = {.split_seed = 7, .split_bytes_max = 61};
    many_threads(&faults, true, 300, 64);
}

static void test_order_large_frames(void **state)
{
    (void)state;
    many_threads(NULL, true, 60, 32764);
}

static void test_order_without_threads(void **state)
{
    (void)state;
    many_threads(NULL, false, 1000, 64);
}

static void test_payload(void **state)
{
    (void)state;
    struct gn_link_faults faults = {.split_seed = 3};
    struct server s = {0};
    struct gn_session *session = start(&s, &faults, true);
    static uint8_t data[CHUNK];
    uint64_t sum = 0, bytes = 0, value;
    int32_t code;
    for (uint32_t i = 0; i < 200; i++) {
        size_t n = i % 3 == 0 ? CHUNK - i : i % 3 == 1 ? 1 + i * 13 : 4096 + i % 2;
        memset(data, (int)i, n);
        struct gn_args_write a = {.width_bytes = n, .rows = 1};
        assert_int_equal(gn_session_post_payload(session, 0, GN_OP_write, &a, data, n, &code), 0);
        memset(data, 0xff, n); // ours again: the server must see what was there
        sum += (uint64_t)(uint8_t)i * n;
        bytes += n;
    }
    assert_int_equal(ask_info(session, &value), 0);
    assert_int_equal(s.payload_bytes, bytes);
    assert_int_equal(s.payload_sum, sum);
    struct gn_args_write a = {.width_bytes = CHUNK + 1, .rows = 1};
    assert_int_equal(gn_session_post_payload(session, 0, GN_OP_write, &a, data, CHUNK + 1, &code), -EMSGSIZE);
    stop(&s, session);
}

static void test_read(void **state)
{
    (void)state;
    struct server s = {0};
    struct gn_session *session = start(&s, NULL, true);
    static uint8_t to[100 * 1000];
    memset(to, 0xee, sizeof to);
    struct gn_box box = {.base = to, .pitch_bytes = 1000, .slice_bytes = 50000, .width_bytes = 777, .rows = 49, .slices = 2};
    struct gn_args_read a = {.width_bytes = 777, .rows = 49, .slices = 2};
    struct gn_latched latched;
    int32_t code;
    assert_int_equal(gn_session_read(session, 0, &a, &box, &code, &latched), 0);
    uint8_t expected = 0;
    for (size_t slice = 0; slice < 2; slice++)
        for (size_t row = 0; row < 50; row++)
            for (size_t x = 0; x < 1000; x++) {
                bool inside = row < 49 && x < 777;
                assert_int_equal(to[slice * 50000 + row * 1000 + x], inside ? expected : 0xee);
                expected = inside ? (uint8_t)(expected + 1) : expected;
            }
    stop(&s, session);
}

static void test_server_lies(void **state)
{
    (void)state;
    for (uint32_t lie = 1; lie <= 3; lie++) {
        struct server s = {.lie = lie};
        struct gn_session *session = start(&s, NULL, true);
        uint64_t value;
        assert_int_equal(ask_info(session, &value), -ENOTCONN);
        assert_non_null(gn_session_over(session));
        assert_int_equal(launch(session, 0, 1, 8), -ENOTCONN);
        stop(&s, session);
    }
}

static void test_server_dies(void **state)
{
    (void)state;
    struct server s = {.hang_up_after = 5};
    struct gn_session *session = start(&s, NULL, true);
    uint64_t value;
    for (int i = 1; i < 5; i++)
        assert_int_equal(ask_info(session, &value), 0);
    assert_int_equal(ask_info(session, &value), -ENOTCONN);
    assert_int_equal(ask_info(session, &value), -ENOTCONN);
    stop(&s, session);
}

// A link that breaks after so many bytes, at every place in turn: calls fail, nothing hangs.
static void test_link_breaks_anywhere(void **state)
{
    (void)state;
    for (uint64_t drop = 1; drop < 9000; drop += 173) {
        struct gn_link_faults faults = {.drop_after_bytes = drop, .split_seed = (uint32_t)drop};
        struct server s = {0};
        struct gn_session *session = start(&s, &faults, drop % 2);
        static uint8_t data[CHUNK];
        uint64_t value;
        int32_t code;
        int error = 0;
        for (int i = 0; i < 100 && !error; i++) {
            struct gn_args_write a = {.width_bytes = 5000, .rows = 1};
            error = i % 3 ? ask_info(session, &value) : gn_session_post_payload(session, 0, GN_OP_write, &a, data, 5000, &code);
        }
        assert_int_equal(error, -ENOTCONN);
        stop(&s, session);
    }
}

static void *ask_in_vain(void *session)
{
    uint64_t value;
    ask_info(session, &value);
    pthread_testcancel();
    return NULL;
}

// A thread that is cancelled while it receives for all leaves in order: the others are served.
static void test_cancelled(void **state)
{
    (void)state;
    struct server s = {.lie = SILENT};
    struct gn_session *session = start(&s, NULL, true);
    pthread_t thread;
    uint64_t value;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, ask_in_vain, session), 0);
    usleep(20000);
    pthread_cancel(thread);
    usleep(20000);
    s.lie = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask_info(session, &value), 0);
    s.link->ops->shut(s.link);
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    stop(&s, session);
}

// Memory of a read is the program's again when the reply is here, whatever the server sends.
static void test_late_data(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct server s = {.lie = LATE_DATA};
        struct gn_session *session = start(&s, NULL, true);
        uint8_t *to = calloc(1, 8);
        struct gn_box box = {.base = to, .pitch_bytes = 8, .slice_bytes = 8, .width_bytes = 8, .rows = 1, .slices = 1};
        struct gn_args_read a = {.width_bytes = 8, .rows = 1, .slices = 1};
        struct gn_latched latched;
        int32_t code;
        uint64_t value;
        assert_int_equal(gn_session_read(session, 0, &a, &box, &code, &latched), 0);
        assert_int_equal(*to, 0);
        free(to);
        s.lie = 0;
        assert_int_equal(ask_info(session, &value), -ENOTCONN);
        stop(&s, session);
    }
}

static void test_packed_data(void **state)
{
    (void)state;
    for (uint32_t lie = PACKED; lie < PACKED + 5; lie++) {
        struct server s = {.lie = lie};
        struct gn_session *session = start(&s, NULL, true);
        uint8_t to[20] = {0};
        struct gn_box box = {.base = to, .pitch_bytes = 8, .slice_bytes = 8, .width_bytes = 8, .rows = 1, .slices = 1};
        struct gn_args_read a = {.width_bytes = box.width_bytes, .rows = box.rows, .slices = 1};
        struct gn_latched latched;
        int32_t code;
        int error = gn_session_read(session, 0, &a, &box, &code, &latched);
        if (lie == PACKED) {
            assert_int_equal(error, 0);
            assert_memory_equal(to, "genie001", 8);
        } else {
            assert_int_equal(error, -ENOTCONN);
            assert_non_null(gn_session_over(session));
        }
        stop(&s, session);
    }
}

static void test_pulls_are_bounded(void **state)
{
    (void)state;
    struct server s = {.lie = PULLS};
    struct gn_session *session = start(&s, NULL, true);
    size_t size = (size_t)5000 * CHUNK; // so that the transfer does not end before the bound is reached
    uint8_t *pinned = calloc(1, size);
    struct gn_box box = {.base = pinned, .pitch_bytes = size, .slice_bytes = size, .width_bytes = size, .rows = 1, .slices = 1};
    struct gn_args_write_pull a = {.width_bytes = size, .rows = 1, .slices = 1};
    int32_t code;
    uint64_t value;
    assert_int_equal(gn_session_write_pull(session, 0, &a, &box, &code), 0);
    assert_int_equal(ask_info(session, &value), -ENOTCONN);
    assert_non_null(strstr(gn_session_over(session), "more of pinned buffers"));
    stop(&s, session);
    free(pinned);
}

static void test_goodbye_is_plain_text(void **state)
{
    (void)state;
    struct server s = {.lie = GOODBYE};
    struct gn_session *session = start(&s, NULL, true);
    uint64_t value;
    assert_int_equal(ask_info(session, &value), -ENOTCONN);
    assert_string_equal(gn_session_over(session), "the server ended the session: go?[1m?");
    stop(&s, session);
}

static void test_frame_too_large(void **state)
{
    (void)state;
    struct server s = {0};
    struct gn_session *session = start(&s, NULL, true);
    static const uint8_t blob[GN_COMMAND_BYTES_MAX];
    int32_t code;
    struct gn_args_launch a = {.params = blob, .params_bytes = sizeof blob};
    assert_int_equal(gn_session_post(session, 0, GN_OP_launch, &a, &code), -EMSGSIZE);
    stop(&s, session);
}

static void test_bad_ring(void **state)
{
    (void)state;
    struct gn_session *session;
    struct gn_welcome welcome = {.window_bytes = WINDOW, .chunk_bytes = CHUNK};
    struct gn_session_config config = {.ring_bytes = 100000};
    assert_int_equal(gn_session_open(&session, NULL, &config, &welcome), -EINVAL);
    config.ring_bytes = 4096;
    assert_int_equal(gn_session_open(&session, NULL, &config, &welcome), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_order_cut_transfers),
        cmocka_unit_test(test_order_large_frames),
        cmocka_unit_test(test_order_without_threads),
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_server_lies),
        cmocka_unit_test(test_server_dies),
        cmocka_unit_test(test_link_breaks_anywhere),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_late_data),
        cmocka_unit_test(test_packed_data),
        cmocka_unit_test(test_pulls_are_bounded),
        cmocka_unit_test(test_goodbye_is_plain_text),
        cmocka_unit_test(test_frame_too_large),
        cmocka_unit_test(test_bad_ring),
    };
    int failed = cmocka_run_group_tests_name("in-process", tests, NULL, NULL);
#ifdef __SANITIZE_THREAD__
    return failed; // the memory is mapped twice, so this sanitizer does not see what orders the two sides
#endif
    through_shm = true;
    return failed + cmocka_run_group_tests_name("shared memory", tests, NULL, NULL);
}
