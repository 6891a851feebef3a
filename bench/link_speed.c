// SPDX-License-Identifier: Apache-2.0
// What each kind of link does by itself, between two processes: a ping-pong of 64 bytes, with the peer just asked and with the peer asleep; a
// stream in pieces of 512 KiB; bursts of 300 sends of 120 bytes and an answer. Beside it what the machine gives: a futex ping-pong and memcpy.
//
// link_speed [ROUNDS]. Interleaved rounds, medians; on a shared machine compare within one run only.
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "remoting/link/link_shm.h"

enum {
    MESSAGE_BYTES = 64,
    COMMAND_BYTES = 120,
    PINGS = 400,
    SLEEPERS = 12,
    BURSTS = 40,
    BURST = 300,
    PIECE_BYTES = 512 << 10,
    STREAM_BYTES = 64 << 20,
    ROUNDS_MAX = 99,
    SHM_BYTES = 2 << 20,
    LOOK_NS = 30000,
    NAP_US = 2000, // far longer than any look
};

enum order { ORDER_PING, ORDER_STREAM, ORDER_BURST, ORDER_END };

enum kind { KIND_PLAIN, KIND_URING, KIND_SHM, KINDS };
static const char *const kind_names[KINDS] = {"plain socket", "io_uring socket", "shared memory"};

enum figure { PING, ASLEEP, BURST_CALL, BURST_STEP, STREAM, FIGURES };
static double figures[KINDS][FIGURES][ROUNDS_MAX], futex_us[ROUNDS_MAX], copy_gb[ROUNDS_MAX];
static uint8_t piece_of[PIECE_BYTES], other_piece[PIECE_BYTES];

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

static void move(struct gn_link *l, void *data, size_t size_bytes, bool out)
{
    for (size_t at = 0; at < size_bytes;) {
        struct iovec piece = {(uint8_t *)data + at, size_bytes - at};
        ssize_t n = out ? l->ops->send(l, &piece, 1, 1) : l->ops->recv(l, &piece, 1, 1);
        if (n <= 0)
            die(out ? "send" : "recv", n ? (int)-n : EPIPE);
        at += (size_t)n;
    }
}

// The peer: does what the first bytes of each message say.
static void serve(struct gn_link *l)
{
    uint8_t message[MESSAGE_BYTES];
    for (;;) {
        move(l, message, sizeof message, false);
        if (message[0] == ORDER_END)
            return;
        for (size_t left = message[0] == ORDER_STREAM ? STREAM_BYTES : 0; left; left -= PIECE_BYTES)
            move(l, piece_of, PIECE_BYTES, false);
        for (size_t left = message[0] == ORDER_BURST ? BURST * COMMAND_BYTES : 0; left;) {
            struct iovec piece = {piece_of, left};
            ssize_t n = l->ops->recv(l, &piece, 1, 1);
            if (n <= 0)
                die("recv", (int)-n);
            left -= (size_t)n;
        }
        move(l, message, sizeof message, true);
    }
}

static struct gn_link *open_end(enum kind kind, int fd, int memory, bool is_server)
{
    struct gn_link *l;
    int fell_back = 0;
    int error = kind == KIND_SHM ? gn_link_shm_new(&l, fd, memory, SHM_BYTES, is_server) : gn_link_open(&l, fd, kind == KIND_PLAIN, &fell_back);
    if (error || fell_back)
        die(kind_names[kind], error ? -error : fell_back);
    l->look_ns = LOOK_NS;
    return l;
}

static struct gn_link *start(enum kind kind)
{
    int fds[2], memory = gn_shm_create(SHM_BYTES);
    if (memory < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        die("memory and sockets", memory < 0 ? -memory : errno);
    pid_t child = fork();
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        serve(open_end(kind, fds[1], memory, true));
        _exit(0);
    }
    close(fds[1]);
    struct gn_link *l = open_end(kind, fds[0], memory, false);
    close(memory);
    return l;
}

static void ask(struct gn_link *l, enum order order)
{
    uint8_t message[MESSAGE_BYTES] = {(uint8_t)order};
    move(l, message, sizeof message, true);
}
static void answer(struct gn_link *l)
{
    uint8_t message[MESSAGE_BYTES];
    move(l, message, sizeof message, false);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return values[count / 2];
}

static double ping(struct gn_link *l)
{
    double begin = now_us();
    ask(l, ORDER_PING);
    answer(l);
    return now_us() - begin;
}

static void measure(struct gn_link *l, double figure[FIGURES][ROUNDS_MAX], int round)
{
    double begin, calls = 0, steps = 0, pings[PINGS];
    for (int i = 0; i < PINGS; i++)
        pings[i] = ping(l);
    figure[PING][round] = median(pings, PINGS);
    for (int i = 0; i < SLEEPERS; i++) {
        usleep(NAP_US);
        pings[i] = ping(l);
    }
    figure[ASLEEP][round] = median(pings, SLEEPERS);
    for (int i = 0; i < BURSTS; i++) {
        ask(l, ORDER_BURST);
        begin = now_us();
        for (int k = 0; k < BURST; k++)
            move(l, piece_of, COMMAND_BYTES, true);
        calls += now_us() - begin;
        answer(l);
        steps += now_us() - begin;
    }
    figure[BURST_CALL][round] = calls / BURSTS / BURST * 1e3;
    figure[BURST_STEP][round] = steps / BURSTS;
    begin = now_us();
    ask(l, ORDER_STREAM);
    for (size_t left = STREAM_BYTES; left; left -= PIECE_BYTES)
        move(l, other_piece, PIECE_BYTES, true);
    answer(l);
    figure[STREAM][round] = STREAM_BYTES / (now_us() - begin) / 1e3;
}

// Two processes, a word each way.
static void futex_pass(_Atomic uint32_t *mine, _Atomic uint32_t *theirs, bool first)
{
    for (int i = 0; i < PINGS; i++) {
        for (int half = 0; half < 2; half++) {
            if (first == !half) {
                atomic_store(theirs, 1);
                syscall(SYS_futex, theirs, FUTEX_WAKE, 1, NULL, NULL, 0);
            } else {
                while (!atomic_exchange(mine, 0))
                    syscall(SYS_futex, mine, FUTEX_WAIT, 0, NULL, NULL, 0);
            }
        }
    }
}

static double futex_ping(void)
{
    _Atomic uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (!child) {
        futex_pass(words, words + 64, false);
        _exit(0);
    }
    double begin = now_us();
    futex_pass(words + 64, words, true);
    double us = (now_us() - begin) / PINGS;
    waitpid(child, NULL, 0);
    munmap(words, 4096);
    return us;
}

static double copy_speed(void)
{
    double begin = now_us();
    for (size_t left = STREAM_BYTES; left; left -= PIECE_BYTES) {
        memcpy(piece_of, other_piece, PIECE_BYTES);
        __asm__ volatile("" : : "r"(piece_of) : "memory");
    }
    return STREAM_BYTES / (now_us() - begin) / 1e3;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 15;
    struct gn_link *links[KINDS];
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    for (int k = 0; k < KINDS; k++)
        links[k] = start((enum kind)k);
    for (int r = 0; r < rounds; r++) {
        for (int k = 0; k < KINDS; k++)
            measure(links[k], figures[k], r);
        futex_us[r] = futex_ping();
        copy_gb[r] = copy_speed();
    }
    printf("%-16s %14s %14s %14s %16s %12s\n", "", "ping-pong, us", "asleep, us", "send, ns", "300 sends, us", "stream, GB/s");
    for (int k = 0; k < KINDS; k++) {
        printf("%-16s %14.2f %14.2f %14.0f %16.1f %12.2f\n", kind_names[k], median(figures[k][PING], rounds), median(figures[k][ASLEEP], rounds),
               median(figures[k][BURST_CALL], rounds), median(figures[k][BURST_STEP], rounds), median(figures[k][STREAM], rounds));
        ask(links[k], ORDER_END);
    }
    printf("futex ping-pong %.2f us, memcpy %.2f GB/s\n", median(futex_us, rounds), median(copy_gb, rounds));
    return 0;
}
