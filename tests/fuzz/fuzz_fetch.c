// SPDX-License-Identifier: Apache-2.0
// Fuzzes the fetch channel. First byte even: requests of a client to a worker that keeps two copies; whatever comes is answered in order, with the
// bytes that are kept or a code, or the channel is closed. Odd: answers of a server to a client that has asked for three pieces; nothing is
// written beside them.
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cursor.h"
#include "remoting/fetch.h"
#include "server/kept/fetch.h"
#include "server/kept/kept.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/worker/wait.h"
#include "tests/fuzz/fake_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 8 << 10, ON_DEVICE_BYTES = 8192, ON_HOST_BYTES = 4099, PATIENCE_MS = 2 };
#define CONTEXT   0x101000000ull
#define STREAM    0x106000001ull
#define ON_DEVICE 0x109000002ull
#define ON_HOST   0x109000003ull

static void require(bool holds)
{
    if (!holds)
        abort();
}

#define RUN(name, ...)                                                                                             \
    do {                                                                                                           \
        struct gn_request of = {.op = GN_OP_##name};                                                               \
        struct gn_out_##name o;                                                                                    \
        require(!gn_run_##name(w, &of, &(struct gn_args_##name){__VA_ARGS__}, &o) && !of.error);                     \
    } while (0)

static void begin(struct gn_worker *w, struct gn_status *status)
{
    void *scope;
    struct gn_request q = {.op = GN_OP_scope};
    gn_log_setup(GN_LOG_OFF, 0);
    memset(w, 0, sizeof *w);
    w->status = status;
    w->limits = (struct gn_limits){.chunk_bytes = 4096, .window_bytes = 65536, .handles = 64, .kept_percent = 25, .kept_host_bytes = 64 << 10};
    fake_driver(&w->driver);
    require(!gn_waiters_open(&w->waiters, w) && !gn_kepts_open(&w->kepts, w));
    RUN(primary_retain, .context = CONTEXT);
    require(gn_find_object(w, &q, GN_KIND_CONTEXT, CONTEXT, &scope));
    w->scope = scope;
    require(!gn_use_context(w, w->scope->context));
    RUN(stream_create, .stream = STREAM);
    RUN(memory_alloc, .size_bytes = ON_DEVICE_BYTES); // at FAKE_MEMORY_BASE
    RUN(kept_open, .kept = ON_DEVICE, .size_bytes = ON_DEVICE_BYTES);
    w->limits.kept_percent = 0;
    RUN(kept_open, .kept = ON_HOST, .size_bytes = ON_HOST_BYTES);
    RUN(kept_fill, .stream = STREAM, .kept = ON_DEVICE, .address = FAKE_MEMORY_BASE, .size_bytes = ON_DEVICE_BYTES);
    RUN(kept_fill, .stream = STREAM, .kept = ON_HOST, .address = FAKE_MEMORY_BASE, .size_bytes = ON_HOST_BYTES);
    fake_progress();
}

// Everything that the server says, to the channel's end. Fills that do not come are waited for up to the session's end, which is brought about here.
static size_t listen_to(struct gn_worker *w, int fd, uint8_t *bytes, size_t room)
{
    for (size_t at = 0;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (!poll(&p, 1, PATIENCE_MS)) {
            gn_kepts_stop(w->kepts);
            continue;
        }
        ssize_t n = recv(fd, bytes + at, room - at, 0);
        if (n <= 0)
            return at;
        at += (size_t)n;
        require(at < room);
    }
}

static void check_answers(const uint8_t *input, size_t input_bytes, uint8_t *bytes, size_t size)
{
    struct gn_cursor c = gn_cursor_over(bytes, size);
    require(gn_get_u64(&c) == GN_FETCH_MAGIC);
    for (uint32_t number = 0; gn_cursor_left(&c); number++) {
        struct gn_fetch_answer a;
        struct gn_fetch_request r;
        require(gn_cursor_left(&c) >= sizeof a && (number + 1) * sizeof r <= input_bytes);
        memcpy(&a, gn_cursor_take(&c, sizeof a), sizeof a);
        memcpy(&r, input + number * sizeof r, sizeof r);
        require(a.number == number && !a.zero && gn_fetch_request_right(&r, number) && a.size_bytes == (a.code ? 0 : r.size_bytes));
        require(a.code || r.kept == ON_DEVICE || r.kept == ON_HOST);
        require(gn_cursor_take(&c, gn_pad8(a.size_bytes)));
    }
}

static void serve(const uint8_t *data, size_t size)
{
    static struct gn_worker worker;
    static struct gn_status status;
    struct gn_worker *w = &worker;
    size_t room = 64 + (size / sizeof(struct gn_fetch_request) + 1) * (sizeof(struct gn_fetch_answer) + ON_DEVICE_BYTES + 8);
    uint8_t *said = malloc(room);
    int pair[2];
    begin(w, &status);
    require(said && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    gn_fetches_join(w, pair[1]);
    require(!size || send(pair[0], data, size, MSG_NOSIGNAL) == (ssize_t)size || errno == EPIPE);
    shutdown(pair[0], SHUT_WR);
    size_t bytes = listen_to(w, pair[0], said, room);
    check_answers(data, size, said, bytes);
    close(pair[0]);
    free(said);
    gn_fetches_wait();
    gn_waiters_close(w->waiters);
    fake_finish();
    gn_run_close(w);
    fake_reset();
}

static void hear(const uint8_t *data, size_t size)
{
    static const size_t sizes[3] = {4096, 3, 700};
    struct gn_fetch f = {.fd = -1};
    uint8_t *to[3];
    int pair[2], room = 4 * INPUT_BYTES_MAX, last = 0;
    require(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    f.fd = pair[1];
    for (int i = 0; i < 3; i++)
        require((to[i] = malloc(sizes[i])));
    require(!gn_fetch_ask(&f, ON_HOST, 1, 0, sizes[0]) && !gn_fetch_ask(&f, ON_HOST, 1, 0, sizes[1]));
    require(!size || send(pair[0], data, size, MSG_DONTWAIT) == (ssize_t)size);
    shutdown(pair[0], SHUT_WR);
    for (int i = 0; i < 2; i++) {
        int r = gn_fetch_take(&f, to[i]);
        require(last >= 0 || r < 0); // a channel that is lost stays lost
        last = r;
    }
    require(gn_fetch_take(&f, to[2]) == -EINVAL);
    if (last >= 0)
        last = gn_fetch(&f, ON_HOST, 1, 0, to[2], sizes[2]);
    require(last >= 0 || gn_fetch_ask(&f, ON_HOST, 1, 0, 1) < 0);
    for (int i = 0; i < 3; i++)
        free(to[i]);
    gn_fetch_close(&f);
    close(pair[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > INPUT_BYTES_MAX)
        return 0;
    (data[0] & 1 ? hear : serve)(data + 1, size - 1);
    return 0;
}
