// SPDX-License-Identifier: Apache-2.0
// Does the relay's delay line give every byte back, in order, never before its time and never faster than its
// bandwidth? And does the whole relay, over TCP and Unix sockets, between an echo and threads that send
// random sizes? Only lower bounds of time are asserted.
#include "bench/relay_loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/relay_line.h"
#include "remoting/link/link.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// --- the line alone, in a time of its own

static void put(struct gn_line *line, const void *bytes, size_t n, uint64_t now)
{
    uint8_t *at;
    assert_true(gn_line_room(line, &at) >= n);
    memcpy(at, bytes, n);
    gn_line_put(line, n, now);
}

static void bytes_wait_for_the_delay(void **state)
{
    (void)state;
    struct gn_line line;
    struct gn_line_piece first;
    uint8_t *at;
    assert_int_equal(gn_line_open(&line, 1000, 0, 4096), 0);
    assert_true(gn_line_next_ns(&line) == UINT64_MAX);
    put(&line, "abc", 3, 100);
    put(&line, "de", 2, 500);
    assert_int_equal(gn_line_next_ns(&line), 1100);
    assert_int_equal(gn_line_due(&line, 1099, 100, &at, &first), 0);
    assert_int_equal(gn_line_due(&line, 1100, 100, &at, &first), 3);
    assert_memory_equal(at, "abc", 3);
    assert_int_equal(first.due_ns, 1100);
    gn_line_take(&line, 2);
    assert_int_equal(gn_line_due(&line, 1500, 100, &at, &first), 3); // what was left, and the next
    assert_memory_equal(at, "cde", 3);
    assert_int_equal(gn_line_due(&line, 1500, 1, &at, &first), 1);
    gn_line_take(&line, 3);
    assert_int_equal(gn_line_due(&line, 9999, 100, &at, &first), 0);
    assert_true(gn_line_next_ns(&line) == UINT64_MAX);
    gn_line_close(&line);
}

static void bandwidth_spreads_the_pieces(void **state)
{
    (void)state;
    struct gn_line line;
    struct gn_line_piece first;
    uint8_t *at;
    assert_int_equal(gn_line_open(&line, 0, 8, 1 << 20), 0); // a byte a nanosecond
    gn_line_room(&line, &at);
    gn_line_put(&line, 2 * GN_LINE_PIECE_BYTES, 1000);
    assert_int_equal(gn_line_due(&line, 1000 + GN_LINE_PIECE_BYTES - 1, SIZE_MAX, &at, &first), 0);
    assert_int_equal(gn_line_due(&line, 1000 + GN_LINE_PIECE_BYTES, SIZE_MAX, &at, &first),
                     GN_LINE_PIECE_BYTES);
    assert_int_equal(first.follows, 0);
    gn_line_take(&line, GN_LINE_PIECE_BYTES);
    assert_int_equal(gn_line_due(&line, 1000 + 2 * GN_LINE_PIECE_BYTES, SIZE_MAX, &at, &first),
                     GN_LINE_PIECE_BYTES);
    assert_int_equal(first.follows, 1);
    gn_line_take(&line, GN_LINE_PIECE_BYTES);
    put(&line, "x", 1, 10000000); // the line was idle: nothing is saved up
    assert_int_equal(gn_line_next_ns(&line), 10000001);
    gn_line_close(&line);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct gn_line line;
    struct gn_line_piece first;
    uint8_t *at;
    assert_int_equal(gn_line_open(&line, 0, 0, 4096), 0);
    assert_int_equal(gn_line_room(&line, &at), 4096);
    gn_line_put(&line, 4000, 1);
    assert_int_equal(gn_line_room(&line, &at), 96);
    gn_line_put(&line, 96, 1);
    assert_int_equal(gn_line_room(&line, &at), 0);
    assert_int_equal(gn_line_due(&line, 1, SIZE_MAX, &at, &first), 4096);
    gn_line_take(&line, 10);
    assert_int_equal(gn_line_room(&line, &at), 10); // at the circle's begin
    gn_line_put(&line, 10, 1);
    assert_int_equal(gn_line_due(&line, 1, SIZE_MAX, &at, &first), 4086); // what lies together
    gn_line_take(&line, 4086);
    assert_int_equal(gn_line_due(&line, 1, SIZE_MAX, &at, &first), 10);
    gn_line_close(&line);
    assert_int_equal(gn_line_open(&line, 0, 0, 4096), 0); // many single bytes: pieces are bounded too
    size_t n = 0;
    while (gn_line_room(&line, &at) && n < 100000) {
        gn_line_put(&line, 1, 1);
        n++;
    }
    assert_true(n <= 4096);
    gn_line_close(&line);
}

static void a_histogram_finds_percentiles(void **state)
{
    (void)state;
    static struct gn_histogram h;
    assert_int_equal(gn_histogram_at(&h, 0.5), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        gn_histogram_add(&h, i * 1000);
    double median = (double)gn_histogram_at(&h, 0.5), p99 = (double)gn_histogram_at(&h, 0.99);
    assert_true(median >= 500e3 && median < 510e3);
    assert_true(p99 >= 990e3 && p99 < 1010e3);
    gn_histogram_add(&h, UINT64_MAX);
    assert_true(gn_histogram_at(&h, 1) == UINT64_MAX);
}

// --- the whole: an echo behind a relay, each on a thread

struct world {
    char dir[64], echo_at[160], relay_at[160], listen[100];
    int listener;
    struct gn_relay *relay;
    _Atomic int stop;
    pthread_t echo, run;
};

static void *echo_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    uint8_t bytes[8192];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        for (ssize_t done = 0, sent; done < n; done += sent)
            if ((sent = send(fd, bytes + done, (size_t)(n - done), MSG_NOSIGNAL)) <= 0)
                n = done = 0, sent = 0;
    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void *echo_all(void *arg)
{
    struct world *w = arg;
    int fd;
    while ((fd = accept(w->listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, echo_one, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static void *run_relay(void *arg)
{
    struct world *w = arg;
    gn_relay_run(w->relay, &w->stop, NULL, NULL);
    return NULL;
}

static void begin(struct world *w, struct gn_relay_settings s, bool unix_socket)
{
    char why[256] = "", listen[150];
    *w = (struct world){0};
    strcpy(w->dir, "/tmp/genie-relay-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(listen, sizeof listen, unix_socket ? "unix:%s/echo" : "127.0.0.1:0", w->dir);
    w->listener = gn_link_listen(listen, w->echo_at, sizeof w->echo_at, why, sizeof why);
    assert_true(w->listener >= 0);
    snprintf(w->listen, sizeof w->listen, unix_socket ? "unix:%s/relay" : "127.0.0.1:0", w->dir);
    s.listen = w->listen;
    s.server = w->echo_at;
    s.queue_bytes = s.queue_bytes ? s.queue_bytes : 1 << 20;
    assert_int_equal(gn_relay_open(&w->relay, &s, w->relay_at, sizeof w->relay_at, why, sizeof why), 0);
    assert_int_equal(pthread_create(&w->echo, NULL, echo_all, w), 0);
    assert_int_equal(pthread_create(&w->run, NULL, run_relay, w), 0);
}

static int client(const struct world *w)
{
    char why[256];
    int fd = gn_link_connect(w->relay_at, 5000, why, sizeof why);
    assert_true(fd >= 0);
    return fd;
}

static void end(struct world *w)
{
    char path[200];
    w->stop = 1;
    close(client(w)); // ends its wait
    pthread_join(w->run, NULL);
    gn_relay_close(w->relay);
    shutdown(w->listener, SHUT_RDWR);
    pthread_join(w->echo, NULL);
    close(w->listener);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", w->dir, i ? "relay" : "echo");
        unlink(path);
    }
    rmdir(w->dir);
}

struct traffic {
    const struct world *world;
    uint64_t seed;
    size_t total_bytes, most_at_once;
    bool intact, ended;
};

static uint8_t byte_at(uint64_t seed, size_t i) { return (uint8_t)((i * 2654435761u + seed * 40503u) >> 7); }

// Sends random sizes and reads what comes back at the same time, then closes its half.
static void *talk(void *arg)
{
    struct traffic *t = arg;
    int fd = client(t->world);
    uint8_t *out = malloc(t->most_at_once), in[4096];
    size_t sent = 0, got = 0;
    unsigned random = (unsigned)t->seed;
    bool open = true;
    t->intact = true;
    while (open) {
        struct pollfd p = {.fd = fd, .events = POLLIN | (sent < t->total_bytes ? POLLOUT : 0)};
        poll(&p, 1, 10000);
        if (p.revents & POLLOUT) {
            size_t n = 1 + (size_t)rand_r(&random) % t->most_at_once;
            n = n < t->total_bytes - sent ? n : t->total_bytes - sent;
            for (size_t i = 0; i < n; i++)
                out[i] = byte_at(t->seed, sent + i);
            ssize_t done = send(fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += done > 0 ? (size_t)done : 0;
            if (sent == t->total_bytes)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & (POLLIN | POLLHUP)) {
            ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
            for (ssize_t i = 0; i < n; i++)
                t->intact &= in[i] == byte_at(t->seed, got + (size_t)i);
            got += n > 0 ? (size_t)n : 0;
            open = n > 0 || (n < 0 && errno == EAGAIN);
            t->ended = n == 0;
        }
    }
    t->intact &= got == t->total_bytes;
    free(out);
    close(fd);
    return NULL;
}

enum { TALKERS = 8 };

static void everything_arrives(struct gn_relay_settings s, bool unix_socket, size_t bytes)
{
    struct world w;
    struct traffic t[TALKERS];
    pthread_t threads[TALKERS];
    begin(&w, s, unix_socket);
    for (int i = 0; i < TALKERS; i++) {
        t[i] = (struct traffic){.world = &w,
                                .seed = (uint64_t)i + 1,
                                .total_bytes = bytes + (size_t)i * 977,
                                .most_at_once = i % 2 ? 7 : 30000};
        if (i % 2) // single bytes are slow
            t[i].total_bytes /= 16;
        assert_int_equal(pthread_create(&threads[i], NULL, talk, &t[i]), 0);
    }
    for (int i = 0; i < TALKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(t[i].intact);
        assert_true(t[i].ended); // the half that closed last was passed on
    }
    const struct gn_relay_counts *c = gn_relay_counts(w.relay);
    assert_true(c->connections == TALKERS);
    assert_true(c->bytes[0] == c->bytes[1]);
    end(&w);
}

static void bytes_arrive_over_tcp(void **state)
{
    (void)state;
    everything_arrives((struct gn_relay_settings){0}, false, 500000);
}
static void bytes_arrive_over_unix(void **state)
{
    (void)state;
    everything_arrives((struct gn_relay_settings){.queue_bytes = 4096}, true, 300000);
}
static void bytes_arrive_late(void **state)
{
    (void)state;
    everything_arrives((struct gn_relay_settings){.delay_ns = 3000000, .gbit = {1, 1}}, false, 200000);
}
static void bytes_arrive_in_pieces(void **state)
{
    (void)state;
    everything_arrives((struct gn_relay_settings){.pieces_bytes = 13, .seed = 7}, true, 20000);
}

static void exchange(int fd, size_t n)
{
    uint8_t bytes[64] = {0};
    assert_int_equal(send(fd, bytes, n, 0), n);
    assert_int_equal(recv(fd, bytes, n, MSG_WAITALL), n);
}

static void no_byte_comes_before_the_delay(void **state)
{
    (void)state;
    struct world w;
    begin(&w, (struct gn_relay_settings){.delay_ns = 2000000, .spin_ns = 10000}, false);
    uint64_t from = now_ns();
    int fd = client(&w);
    exchange(fd, 1);
    assert_true(now_ns() - from >= 8000000); // and the round trip that connecting takes
    for (int i = 0; i < 20; i++) {
        from = now_ns();
        exchange(fd, 64);
        assert_true(now_ns() - from >= 4000000);
    }
    close(fd);
    end(&w);
}

static void bandwidth_is_not_exceeded(void **state)
{
    (void)state;
    enum { BYTES = 4000000 };
    struct world w;
    begin(&w, (struct gn_relay_settings){.gbit = {0.5, 0}}, true); // 64 ms for all of it
    struct traffic t = {.world = &w, .seed = 3, .total_bytes = BYTES, .most_at_once = 100000};
    uint64_t from = now_ns();
    talk(&t);
    uint64_t took = now_ns() - from;
    assert_true(t.intact);
    assert_true((double)took >= BYTES * 8 / 0.5);
    const struct gn_relay_counts *c = gn_relay_counts(w.relay);
    assert_true(c->full_bytes[0] && !c->full_bytes[1]); // how many depends on who else wants the processors
    end(&w);
}

static void connections_are_cut(void **state)
{
    (void)state;
    struct world w;
    uint8_t bytes[64] = {0};
    begin(&w, (struct gn_relay_settings){.cut_bytes = 100, .cut_count = 1}, false);
    int fd = client(&w);
    exchange(fd, 32); // 64 bytes both ways
    assert_int_equal(send(fd, bytes, 36, 0), 36);
    assert_int_equal(recv(fd, bytes, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    fd = client(&w); // only the first one
    for (int i = 0; i < 10; i++)
        exchange(fd, 64);
    close(fd);
    assert_true(gn_relay_counts(w.relay)->cut == 1);
    end(&w);

    begin(&w, (struct gn_relay_settings){.cut_ns = 20000000, .cut_politely = true}, true);
    uint64_t from = now_ns();
    fd = client(&w);
    exchange(fd, 8);
    assert_int_equal(recv(fd, bytes, 1, 0), 0);
    assert_true(now_ns() - from >= 20000000);
    close(fd);
    end(&w);
}

static void without_a_server_it_closes(void **state)
{
    (void)state;
    struct world w;
    uint8_t byte;
    begin(&w, (struct gn_relay_settings){0}, true);
    char path[200];
    snprintf(path, sizeof path, "%s/echo", w.dir);
    unlink(path);
    int fd = client(&w);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    assert_true(gn_relay_counts(w.relay)->refused == 1);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_wait_for_the_delay),
        cmocka_unit_test(bandwidth_spreads_the_pieces),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_histogram_finds_percentiles),
        cmocka_unit_test(bytes_arrive_over_tcp),
        cmocka_unit_test(bytes_arrive_over_unix),
        cmocka_unit_test(bytes_arrive_late),
        cmocka_unit_test(bytes_arrive_in_pieces),
        cmocka_unit_test(no_byte_comes_before_the_delay),
        cmocka_unit_test(bandwidth_is_not_exceeded),
        cmocka_unit_test(connections_are_cut),
        cmocka_unit_test(without_a_server_it_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
