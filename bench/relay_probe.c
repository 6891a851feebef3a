// SPDX-License-Identifier: Apache-2.0
// The probe: an echo thread, a relay thread, and this thread that asks and counts.
#include "bench/relay_probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "remoting/link/link.h"

enum {
    MESSAGE_BYTES = 64,
    ROUNDS = 300,
    WARM_UP = 20,
    WHY_BYTES = 256,
    ADDRESS_BYTES = 160,
    CONNECT_TIMEOUT_MS = 5000
};
static const uint64_t asked_for_ns = 200000000; // the rounds with a delay take about so long at most

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int move(int fd, uint8_t *bytes, int sending)
{
    for (size_t done = 0; done < MESSAGE_BYTES;) {
        ssize_t n = sending ? send(fd, bytes + done, MESSAGE_BYTES - done, MSG_NOSIGNAL)
                            : recv(fd, bytes + done, MESSAGE_BYTES - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EPIPE;
        done += (size_t)n;
    }
    return 0;
}

static void no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void *echo(void *listener)
{
    uint8_t bytes[MESSAGE_BYTES];
    int fd;
    while ((fd = accept(*(int *)listener, NULL, NULL)) >= 0) {
        no_delay(fd);
        while (!move(fd, bytes, 0) && !move(fd, bytes, 1))
            ;
        close(fd);
    }
    return NULL;
}

static int ping(const char *address, int rounds, double *median_us, double *p99_us)
{
    static struct gn_histogram times; // the relay has one probe, before its loop
    char why[WHY_BYTES];
    uint8_t bytes[MESSAGE_BYTES] = {0};
    int fd = gn_link_connect(address, CONNECT_TIMEOUT_MS, why, sizeof why), error = fd < 0 ? fd : 0;
    if (error)
        return error;
    no_delay(fd);
    memset(&times, 0, sizeof times);
    for (int i = -(rounds < WARM_UP ? 1 : WARM_UP); i < rounds && !error; i++) {
        uint64_t from = now_ns();
        error = move(fd, bytes, 1);
        error = error ? error : move(fd, bytes, 0);
        if (i >= 0)
            gn_histogram_add(&times, now_ns() - from);
    }
    close(fd);
    *median_us = (double)gn_histogram_at(&times, 0.5) / 1e3;
    *p99_us = (double)gn_histogram_at(&times, 0.99) / 1e3;
    return error;
}

struct running {
    struct gn_relay *relay;
    _Atomic int stop;
};

static void *run(void *arg)
{
    struct running *running = arg;
    gn_relay_run(running->relay, &running->stop, NULL, NULL);
    return NULL;
}

static int ping_through(const struct gn_relay_settings *like, const char *echo_at, uint64_t delay_ns,
                        int rounds, double *median_us, double *p99_us)
{
    struct gn_relay_settings settings = {.listen = "127.0.0.1:0",
                                         .server = echo_at,
                                         .delay_ns = delay_ns,
                                         .queue_bytes = like->queue_bytes,
                                         .spin_ns = like->spin_ns};
    struct running running = {0};
    char bound[ADDRESS_BYTES], why[WHY_BYTES], own[ADDRESS_BYTES];
    pthread_t thread;
    if (!strncmp(like->listen, "unix:", 5)) {
        if (snprintf(own, sizeof own, "%s.probe", like->listen) >= (int)sizeof own)
            return -ENAMETOOLONG;
        settings.listen = own;
    }
    int error = gn_relay_open(&running.relay, &settings, bound, sizeof bound, why, sizeof why);
    if (error)
        return error;
    error = -pthread_create(&thread, NULL, run, &running);
    if (!error) {
        error = ping(bound, rounds, median_us, p99_us);
        atomic_store(&running.stop, 1);
        char nothing[WHY_BYTES];
        int fd = gn_link_connect(bound, CONNECT_TIMEOUT_MS, nothing, sizeof nothing); // ends its wait
        pthread_join(thread, NULL);
        if (fd >= 0)
            close(fd);
    }
    gn_relay_close(running.relay);
    if (settings.listen == own)
        unlink(own + 5);
    return error;
}

int gn_relay_probe(const struct gn_relay_settings *settings, struct gn_relay_probe *result)
{
    char echo_at[ADDRESS_BYTES], why[WHY_BYTES];
    int listener = gn_link_listen("127.0.0.1:0", echo_at, sizeof echo_at, why, sizeof why);
    uint64_t rounds = asked_for_ns / (2 * settings->delay_ns + 20000);
    pthread_t thread;
    if (listener < 0)
        return listener;
    int error = -pthread_create(&thread, NULL, echo, &listener);
    if (!error) {
        error = ping(echo_at, ROUNDS, &result->direct_us, &result->p99_direct_us);
        if (!error)
            error = ping_through(settings, echo_at, 0, ROUNDS, &result->base_us, &result->p99_base_us);
        if (!error)
            error = ping_through(settings, echo_at, settings->delay_ns,
                                 rounds > ROUNDS ? ROUNDS : (int)rounds + 1, &result->asked_us,
                                 &result->p99_asked_us);
        shutdown(listener, SHUT_RDWR); // ends its accept
        pthread_join(thread, NULL);
    }
    close(listener);
    return error;
}
