// SPDX-License-Identifier: Apache-2.0
// genie-limits: what this machine carries without any of Genie: ping-pongs on plain sockets and futexes, a step of
// launches (limits_step.c), one stream of bytes with and without a copy behind it, memcpy. It talks as genie-micro
// does, so that the limits take turns with what is measured against them.
//   genie-limits serve ADDRESS [DRIVER]    echo, sink and launches; prints "listening on ADDRESS"
//   genie-limits FD BYTES ADDRESS TRANSPORT    takes turns over the descriptor; ADDRESS is that of the former, or
//   of a relay before it
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/limits.h"
#include "remoting/link/link.h"

enum {
    PING_BYTES = 64,
    PINGS = 50,
    STAGING_BYTES = 512 << 10,
    COPY_BYTES_MAX = 64 << 20,
    COPIES = 2
};
enum mode { MODE_ECHO, MODE_LOOK, MODE_SINK, MODE_COPY, MODE_STEP, MODES };
static const double turn_us = 50000;

double gn_limit_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

bool gn_limit_send(int fd, const void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = send(fd, (const uint8_t *)bytes + done, n - done, MSG_NOSIGNAL);
        if (k <= 0 && errno != EINTR)
            return false;
        done += k > 0 ? (size_t)k : 0;
    }
    return true;
}

bool gn_limit_recv(int fd, void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = recv(fd, (uint8_t *)bytes + done, n - done, 0);
        if (!k || (k < 0 && errno != EINTR))
            return false;
        done += k > 0 ? (size_t)k : 0;
    }
    return true;
}

bool gn_limit_recv_looking(int fd, void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = recv(fd, (uint8_t *)bytes + done, n - done, MSG_DONTWAIT);
        if (!k || (k < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        done += k > 0 ? (size_t)k : 0;
        if (k < 0)
            sched_yield();
    }
    return true;
}

static void tune(int fd)
{
    static const char congestion[] = "cubic"; // as Genie's own sockets
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof congestion - 1);
}

// --- the other end

static void serve_echo(int fd)
{
    uint8_t bytes[PING_BYTES];
    while (gn_limit_recv(fd, bytes, sizeof bytes) && gn_limit_send(fd, bytes, sizeof bytes))
        ;
}

// A turn begins with a byte; in between nobody looks.
static void serve_looking(int fd)
{
    uint8_t bytes[PING_BYTES];
    bool good = true;
    while (good && gn_limit_recv(fd, bytes, 1))
        for (int i = 0; i < PINGS && good; i++)
            good = gn_limit_recv_looking(fd, bytes, sizeof bytes) && gn_limit_send(fd, bytes, sizeof bytes);
}

// Each transfer begins with its length and is answered by a byte.
static void serve_sink(int fd, bool copy)
{
    uint8_t *staging = malloc(STAGING_BYTES), *memory = copy ? malloc(COPY_BYTES_MAX) : NULL;
    uint64_t length = 0;
    if (memory)
        memset(memory, 1, COPY_BYTES_MAX); // its pages are there
    while (staging && (!copy || memory) && gn_limit_recv(fd, &length, sizeof length)) {
        for (uint64_t done = 0; done < length;) {
            ssize_t n = recv(fd, staging, length - done < STAGING_BYTES ? length - done : STAGING_BYTES, 0);
            if (n <= 0)
                break;
            for (uint64_t at = done, k = 0; memory && k < (uint64_t)n;) {
                uint64_t to = at % COPY_BYTES_MAX, most = COPY_BYTES_MAX - to,
                         part = (uint64_t)n - k < most ? (uint64_t)n - k : most;
                memcpy(memory + to, staging + k, part);
                at += part;
                k += part;
            }
            done += (uint64_t)n;
        }
        if (!gn_limit_send(fd, "", 1))
            break;
    }
    free(staging);
    free(memory);
}

static const char *driver; // or NULL

static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    uint8_t mode = MODES;
    tune(fd);
    if (gn_limit_recv(fd, &mode, 1))
        switch ((enum mode)mode) {
        case MODE_ECHO: serve_echo(fd); break;
        case MODE_LOOK: serve_looking(fd); break;
        case MODE_STEP: gn_limit_step_serve(fd, driver); break;
        case MODE_SINK:
        case MODE_COPY: serve_sink(fd, mode == MODE_COPY); break;
        default: break;
        }
    close(fd);
    return NULL;
}

static int serve(const char *address)
{
    char bound[160], why[GN_LIMIT_WHY_BYTES];
    int listener = gn_link_listen(address, bound, sizeof bound, why, sizeof why), fd;
    if (listener < 0) {
        fprintf(stderr, "genie-limits: %s: %s\n", address, why);
        return 1;
    }
    printf("genie-limits: listening on %s\n", bound);
    fflush(stdout);
    while ((fd = accept(listener, NULL, NULL)) >= 0 || errno == EINTR) {
        pthread_t thread;
        if (fd >= 0 && !pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd))
            pthread_detach(thread);
    }
    return 1;
}

// --- this end

struct limits {
    const char *address;
    bool through_memory; // what is measured beside these
    uint64_t stream_bytes;
    uint8_t *from, *to;      // of stream_bytes
    int connections[MODES];  // 0: not yet
    _Atomic uint32_t *words; // shared with the futex partner: whose turn it is, and the end
    pid_t partner;
};

void gn_limit_value(struct gn_limit_turn *t, double value)
{
    if (t->count < GN_LIMIT_VALUES_MAX)
        t->values[t->count++] = value;
}

static int connection(struct limits *l, enum mode mode, struct gn_limit_turn *t)
{
    int *fd = &l->connections[mode];
    uint8_t byte = (uint8_t)mode;
    char why[GN_LIMIT_WHY_BYTES];
    if (!*fd) {
        int n = gn_link_connect(l->address, 10000, why, sizeof why);
        if (n < 0) {
            snprintf(t->failed, sizeof t->failed, "connecting: %s", why);
            return -1;
        }
        *fd = n;
        tune(n);
        if (!gn_limit_send(n, &byte, 1))
            snprintf(t->failed, sizeof t->failed, "the other end is gone");
    }
    return *fd;
}

static void run_pingpong(struct limits *l, struct gn_limit_turn *t)
{
    uint8_t bytes[PING_BYTES] = {0};
    int fd = connection(l, MODE_ECHO, t);
    double begin = gn_limit_now_us();
    for (int i = 0; i < PINGS && fd >= 0 && !*t->failed && (!i || gn_limit_now_us() - begin < turn_us); i++) {
        double from = gn_limit_now_us();
        if (!gn_limit_send(fd, bytes, sizeof bytes) || !gn_limit_recv(fd, bytes, sizeof bytes))
            snprintf(t->failed, sizeof t->failed, "the other end is gone");
        gn_limit_value(t, gn_limit_now_us() - from);
    }
}

// A turn has a fixed number of pings: the other end looks until it is through.
static void run_pingpong_look(struct limits *l, struct gn_limit_turn *t)
{
    uint8_t bytes[PING_BYTES] = {0};
    int fd = connection(l, MODE_LOOK, t);
    if (fd >= 0 && !*t->failed && !gn_limit_send(fd, bytes, 1))
        snprintf(t->failed, sizeof t->failed, "the other end is gone");
    for (int i = 0; i < PINGS && fd >= 0 && !*t->failed; i++) {
        double from = gn_limit_now_us();
        if (!gn_limit_send(fd, bytes, sizeof bytes) || !gn_limit_recv_looking(fd, bytes, sizeof bytes))
            snprintf(t->failed, sizeof t->failed, "the other end is gone");
        gn_limit_value(t, gn_limit_now_us() - from);
    }
}

static void run_step(struct limits *l, struct gn_limit_turn *t)
{
    int fd = connection(l, MODE_STEP, t);
    if (fd >= 0 && !*t->failed)
        gn_limit_step_run(fd, l->through_memory, t);
}

static void stream(struct limits *l, struct gn_limit_turn *t, enum mode mode)
{
    int fd = connection(l, mode, t);
    char answer;
    double begin = gn_limit_now_us();
    while (fd >= 0 && !*t->failed && (!t->count || (t->count < COPIES && gn_limit_now_us() - begin < turn_us))) {
        double from = gn_limit_now_us();
        if (!gn_limit_send(fd, &l->stream_bytes, sizeof l->stream_bytes) ||
            !gn_limit_send(fd, l->from, l->stream_bytes) || !gn_limit_recv(fd, &answer, 1))
            snprintf(t->failed, sizeof t->failed, "the other end is gone");
        gn_limit_value(t, (double)l->stream_bytes / (gn_limit_now_us() - from) / 1e3);
    }
}

static void run_stream(struct limits *l, struct gn_limit_turn *t) { stream(l, t, MODE_SINK); }
static void run_stream_copy(struct limits *l, struct gn_limit_turn *t) { stream(l, t, MODE_COPY); }

static void run_memcpy(struct limits *l, struct gn_limit_turn *t)
{
    for (int i = 0; i < COPIES; i++) {
        double from = gn_limit_now_us();
        memcpy(l->to, l->from, l->stream_bytes);
        gn_limit_value(t, (double)l->stream_bytes / (gn_limit_now_us() - from) / 1e3);
    }
}

static void sleep_on(_Atomic uint32_t *word, uint32_t while_it_is)
{
    syscall(SYS_futex, word, FUTEX_WAIT, while_it_is, NULL, NULL, 0);
}
static void wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

// words[0]: 1 asks, 0 answers.
static void partner(_Atomic uint32_t *words)
{
    for (;;) {
        while (!atomic_load(&words[0]))
            sleep_on(&words[0], 0);
        atomic_store(&words[0], 0);
        wake(&words[0]);
    }
}

static void run_futex(struct limits *l, struct gn_limit_turn *t)
{
    if (!l->partner) {
        l->words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        l->partner = l->words == MAP_FAILED ? -1 : fork();
        if (!l->partner) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            partner(l->words);
        }
    }
    if (l->partner < 0) {
        snprintf(t->failed, sizeof t->failed, "no partner");
        return;
    }
    for (int i = 0; i < PINGS; i++) {
        double from = gn_limit_now_us();
        atomic_store(&l->words[0], 1);
        wake(&l->words[0]);
        while (atomic_load(&l->words[0]))
            sleep_on(&l->words[0], 1);
        gn_limit_value(t, gn_limit_now_us() - from);
    }
}

static const struct {
    const char *name, *unit, *about;
    void (*run)(struct limits *l, struct gn_limit_turn *t);
} rows[] = {
    {"pingpong", "us", "64 bytes there and back on plain sockets", run_pingpong},
    {"pingpong_look", "us", "the same while both ends look, giving way, instead of sleeping", run_pingpong_look},
    {"step_bare", "us", "300 commands and an answer to who does nothing but launch and copy 4 bytes", run_step},
    {"pingpong_futex", "us", "a futex there and back between two processes", run_futex},
    {"stream", "GB/s", "one stream of bytes, received and dropped", run_stream},
    {"stream_copy", "GB/s", "one stream of bytes, received and copied once", run_stream_copy},
    {"memcpy", "GB/s", "memcpy", run_memcpy},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void answer_run(struct limits *l, FILE *out, const char *name)
{
    struct gn_limit_turn t = {.failed = "there is no such row"};
    for (int i = 0; i < ROWS; i++)
        if (!strcmp(rows[i].name, name)) {
            *t.failed = 0;
            rows[i].run(l, &t);
        }
    if (*t.failed) {
        fprintf(out, "failed %s\n", t.failed);
        return;
    }
    fprintf(out, "values %u", t.count);
    for (unsigned i = 0; i < t.count; i++)
        fprintf(out, " %.6g", t.values[i]);
    fprintf(out, "\n");
}

static int talk(struct limits *l, int fd)
{
    char line[256];
    FILE *out = fdopen(fd, "w"), *in = fdopen(dup(fd), "r");
    l->from = malloc(l->stream_bytes);
    l->to = malloc(l->stream_bytes);
    if (!out || !in || !l->from || !l->to)
        return 1;
    memset(l->from, 3, l->stream_bytes);
    memset(l->to, 4, l->stream_bytes);
    fprintf(out, "ready 0 -1 0 this machine\n");
    for (fflush(out); fgets(line, sizeof line, in) && strcmp(line, "quit\n"); fflush(out)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "run ", 4)) {
            answer_run(l, out, line + 4);
        } else if (!strcmp(line, "rows")) {
            for (int i = 0; i < ROWS; i++)
                fprintf(out, "row %s %s 0 %s\n", rows[i].name, rows[i].unit, rows[i].about);
            fprintf(out, "end\n");
        } else {
            fprintf(out, "failed no counts\n");
        }
    }
    if (l->partner > 0)
        kill(l->partner, SIGKILL);
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && !strcmp(argv[1], "serve")) {
        driver = argv[3];
        return serve(argv[2]);
    }
    if (argc != 5) {
        fprintf(stderr, "usage: genie-limits serve ADDRESS [DRIVER]\n       genie-limits FD BYTES ADDRESS TRANSPORT\n");
        return 2;
    }
    struct limits l = {.address = argv[3], .through_memory = !strcmp(argv[4], "shm"), .stream_bytes = strtoull(argv[2], NULL, 10)};
    return talk(&l, atoi(argv[1]));
}
