// SPDX-License-Identifier: Apache-2.0
// A client that misuses the memory it shares with the server: raw_shm ADDRESS WHAT. It prints what comes of it, one line as raw.c does:
// "goodbye: TEXT", "closed", "replies: N", "declined" or "silent". It knows the memory from remoting/WIRE.md, section 11, alone.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/hello.h"
#include "remoting/link/link.h"
#include "remoting/session/pass.h"

enum { TIMEOUT_MS = 8000, HEADER_BYTES = 4096, FILLER = 2000, FULL = 60000 }; // replies: some, and more than the ring to the client holds

struct ring { // as in WIRE.md
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint32_t wants_bytes;
    _Alignas(128) _Atomic uint32_t wants_room;
};

static int fd, memory = -1;
static uint64_t ring_bytes;
static uint8_t *map;
static struct ring *up, *down;
static struct gn_device_snapshot devices[GN_DEVICES_MAX];

static void nap_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static void get(void *bytes, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        ssize_t n = recv(fd, (char *)bytes + at, size_bytes - at, 0);
        must(n > 0, "the welcome");
        at += (size_t)n;
    }
}

// Hello and welcome; the memory is mapped, nothing is answered yet.
static void greet(const char *address)
{
    static uint8_t bytes[GN_WELCOME_BYTES_MAX];
    char why[256];
    struct gn_hello h = {.version_low = GN_WIRE_VERSION, .version_high = GN_WIRE_VERSION, .wire_digest = gn_wire_digest,
                         .ring_bytes = 1 << 20, .process_id = (uint32_t)getpid(), .wants = GN_WANTS_SHM, .program = "raw_shm"};
    struct gn_welcome w = {.devices = devices};
    fd = gn_link_connect(address, 5000, why, sizeof why);
    must(fd >= 0, "connect");
    int n = gn_hello_encode(bytes, sizeof bytes, &h), count = 1;
    must(send(fd, bytes, (size_t)n, MSG_NOSIGNAL) == n, "hello");
    ssize_t got = gn_pass_receive(fd, bytes, GN_PREFIX_BYTES, &memory, &count);
    must(got > 0, "the welcome");
    get(bytes + got, GN_PREFIX_BYTES - (size_t)got);
    int64_t more = gn_prefix_decode(bytes, sizeof bytes);
    must(more > 0, "the prefix");
    get(bytes, (size_t)more);
    must(!gn_welcome_decode(bytes, (size_t)more, &w) && !w.status && count == 1, "a welcome with memory");
    ring_bytes = w.shm_bytes;
    map = mmap(NULL, HEADER_BYTES + 2 * ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    must(map != MAP_FAILED, "mmap");
    up = (struct ring *)map;
    down = up + 1;
}

static void answer(uint64_t value) { must(send(fd, &value, sizeof value, MSG_NOSIGNAL) == sizeof value, "the answer"); }

static void wake(void) // whichever way it sleeps
{
    atomic_store(&up->wants_bytes, 0);
    send(fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void put(const void *bytes, size_t size_bytes)
{
    uint64_t head = atomic_load(&up->head);
    for (size_t i = 0; i < size_bytes; i++)
        map[HEADER_BYTES + ((head + i) & (ring_bytes - 1))] = ((const uint8_t *)bytes)[i];
    atomic_store(&up->head, head + size_bytes);
    wake();
}

// A command that is answered; no context is current, and the reply says so.
static const struct asking {
    struct gn_command head;
    uint64_t limit;
} asking = {{.size_bytes = sizeof asking, .op = GN_OP_context_get_limit}, 0};
static void ask(void) { put(&asking, sizeof asking); }

// Whether the socket has ended; bytes in it only wake.
static bool ended(int timeout_ms)
{
    char bytes[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0)
        return false;
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void down_bytes(uint64_t at, void *to, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        ((uint8_t *)to)[i] = map[HEADER_BYTES + ring_bytes + ((at + i) & (ring_bytes - 1))];
}

static bool lies; // about what it has taken

// Reads messages until the end, or until `replies` have come.
static void hear(int replies)
{
    uint64_t tail = 0;
    int count = 0;
    for (int waited_ms = 0; waited_ms < TIMEOUT_MS && (!replies || count < replies);) {
        struct gn_message m;
        if (atomic_load(&down->head) - tail < sizeof m) {
            if (ended(20) && atomic_load(&down->head) - tail < sizeof m) {
                printf(count ? "closed after %d replies\n" : "closed\n", count);
                return;
            }
            waited_ms += 20;
            continue;
        }
        down_bytes(tail, &m, sizeof m);
        char body[4097] = "";
        must(m.size_bytes < sizeof body, "a long message");
        down_bytes(tail + sizeof m, body, m.size_bytes);
        tail += sizeof m + gn_pad8(m.size_bytes);
        if (!lies)
            atomic_store(&down->tail, tail);
        if (m.kind == GN_MESSAGE_GOODBYE) {
            printf("goodbye: %s\n", body);
            return;
        }
        count += m.kind == GN_MESSAGE_REPLY;
    }
    if (count)
        printf("replies: %d\n", count);
    else
        printf("silent\n");
}

// --- what it does

static void right(void)
{
    answer(GN_SHM_TAKEN);
    ask();
    ask();
    hear(2);
}
static void declines(void) // and goes on over the socket
{
    struct gn_message m;
    answer(GN_SHM_DECLINED);
    must(send(fd, &asking, sizeof asking, MSG_NOSIGNAL) == sizeof asking, "a command");
    get(&m, sizeof m);
    printf(m.kind == GN_MESSAGE_REPLY && m.id == 1 ? "declined\n" : "another message\n");
}
static void answers_nonsense(void)
{
    answer(7);
    hear(0);
}
static void answers_by_half(void)
{
    must(send(fd, "\1\0\0", 3, MSG_NOSIGNAL) == 3, "half an answer");
    shutdown(fd, SHUT_WR);
    hear(0);
}
static void cannot_shrink(void)
{
    answer(GN_SHM_TAKEN);
    bool refused = ftruncate(memory, 4096) && errno == EPERM && ftruncate(memory, 1 << 30) && errno == EPERM &&
                   fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) && errno == EPERM;
    ask();
    if (refused)
        hear(1);
    else
        printf("the memory is not sealed\n");
}
static void head_far(void)
{
    answer(GN_SHM_TAKEN);
    atomic_store(&up->head, (uint64_t)1 << 40);
    wake();
    hear(0);
}
static void head_over(void) // one byte more than the ring holds
{
    answer(GN_SHM_TAKEN);
    atomic_store(&up->head, ring_bytes + 1);
    wake();
    hear(0);
}
static void head_back(void)
{
    answer(GN_SHM_TAKEN);
    ask();
    ask();
    while (atomic_load(&up->tail) != 2 * sizeof asking)
        nap_ms(1);
    atomic_store(&up->head, 8); // 24 bytes before what was taken
    wake();
    hear(0);
}
static void lies_about_taking(uint64_t tail)
{
    answer(GN_SHM_TAKEN);
    ask();
    while (!atomic_load(&down->head))
        nap_ms(1);
    atomic_store(&down->tail, tail);
    lies = true;
    for (int i = 0; i < FULL && !ended(0); i++) {
        ask();
        while (atomic_load(&up->head) - atomic_load(&up->tail) > ring_bytes / 2 && !ended(0))
            nap_ms(1);
    }
    hear(0);
}
static void tail_far(void) { lies_about_taking((uint64_t)1 << 50); } // more than was ever sent
static void tail_back(void) { lies_about_taking(UINT64_MAX - ring_bytes); }
static void garbage(void)
{
    answer(GN_SHM_TAKEN);
    for (uint64_t i = 0; i < ring_bytes; i++)
        map[HEADER_BYTES + i] = (uint8_t)(i * 2654435761u >> 13);
    atomic_store(&up->head, ring_bytes);
    wake();
    hear(0);
}
static void cut_off(void)
{
    struct gn_command head = {.size_bytes = 4096, .op = GN_OP_launch};
    answer(GN_SHM_TAKEN);
    put(&head, sizeof head);
    shutdown(fd, SHUT_RDWR);
    hear(0);
}

static _Atomic bool scribbling;
static void *scribble(void *header_only) // nonsense everywhere but in the positions that we need ourselves
{
    uint64_t random = 88172645463325252ull;
    while (atomic_load(&scribbling)) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        atomic_store_explicit(&up->wants_bytes, (uint32_t)(random % 5), memory_order_relaxed);
        atomic_store_explicit(&down->wants_room, (uint32_t)random, memory_order_relaxed);
        atomic_store_explicit(&down->wants_bytes, (uint32_t)(random >> 32) % 4, memory_order_relaxed);
        map[1024 + random % (HEADER_BYTES - 1024)] = (uint8_t)(random >> 40);
        if (!header_only)
            map[HEADER_BYTES + (random >> 8) % (2 * ring_bytes)] = (uint8_t)(random >> 50);
    }
    return NULL;
}
static void scribbles(void *header_only)
{
    pthread_t thread;
    scribbling = true;
    must(!pthread_create(&thread, NULL, scribble, header_only), "a thread");
    answer(GN_SHM_TAKEN);
    for (int i = 0; i < FILLER; i++)
        ask();
    hear(header_only ? FILLER : 1);
    scribbling = false;
    pthread_join(thread, NULL);
}
static void scribbles_on_words(void) { scribbles(map); }
static void scribbles_everywhere(void)
{
    scribbles(NULL);
    shutdown(fd, SHUT_RDWR); // what it took for commands may be anything, also valid
}
static void never_reads(void) // until the server has enough of it
{
    answer(GN_SHM_TAKEN);
    uint64_t asked = 0;
    while (!ended(0) && asked < 20u << 20) {
        while (atomic_load(&up->head) - atomic_load(&up->tail) > ring_bytes / 2)
            if (ended(1))
                break;
        ask();
        asked++;
    }
    printf(ended(TIMEOUT_MS) || asked < 20u << 20 ? "closed\n" : "silent\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } misuses[] = {
        {"right", right}, {"declines", declines}, {"answers-nonsense", answers_nonsense}, {"answers-by-half", answers_by_half},
        {"cannot-shrink", cannot_shrink}, {"head-far", head_far}, {"head-over", head_over}, {"head-back", head_back},
        {"tail-far", tail_far}, {"tail-back", tail_back}, {"garbage", garbage}, {"cut-off", cut_off},
        {"scribbles-on-words", scribbles_on_words}, {"scribbles-everywhere", scribbles_everywhere}, {"never-reads", never_reads},
    };
    for (size_t i = 0; argc == 3 && i < sizeof misuses / sizeof *misuses; i++)
        if (!strcmp(misuses[i].name, argv[2])) {
            greet(argv[1]);
            misuses[i].run();
            return 0;
        }
    fprintf(stderr, "raw_shm ADDRESS WHAT\n");
    return 2;
}
