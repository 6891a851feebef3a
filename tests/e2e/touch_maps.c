// SPDX-License-Identifier: Apache-2.0
// Host buffers whose memory is given back, moved, replaced or protected, under the same address or another, at any time after a copy.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES };

static bool all(const uint8_t *bytes, size_t size_bytes, uint8_t value)
{
    for (size_t i = 0; i < size_bytes; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static void zero_model(size_t at, size_t size_bytes) { memset(touch_model + at, 0, size_bytes); }

static void freed(void)
{
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        size_t size = round % 2 ? BYTES : 100000; // a mapping, or a piece of the heap
        uint8_t *host = malloc(size);
        touch_down(host, size, round);
        if (round % 3)
            touch_up("before free", host, size);
        free(host);
        uint8_t *again = calloc(1, size); // mostly where the other was
        EXPECT(all(again, size, 0));
        zero_model(0, size);
        touch_up("calloc", again, size);
        touch_down(again, size, 10 + round);
        again[PAGE] = touch_model[PAGE] = 1;
        touch_up("and its own", again, size);
        free(again);
        uint8_t *third = malloc(size); // no bytes that mean anything: it is written
        memset(third, 5, size), memset(touch_model, 5, size);
        touch_up("malloc", third, size);
        free(third);
    }
}

// Many small ones that share pages with each other and with the heap's own words.
static void small_ones(void)
{
    enum { COUNT = 60 };
    uint8_t *host[COUNT];
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_seed(touch_source, BYTES, round);
        for (unsigned i = 0; i < COUNT; i++) {
            size_t size = 3000 + i * 123;
            host[i] = malloc(size);
            CU(cuMemcpyDtoH(host[i], touch_source + i * 4, size));
            if (i % 3 == 2) { // holes between them, which others fill
                free(host[i - 1]);
                host[i - 1] = malloc(3000 + (i - 1) * 123);
                CU(cuMemcpyDtoH(host[i - 1], touch_source + (i - 1) * 4, 3000 + (i - 1) * 123));
            }
        }
        for (unsigned i = 0; i < COUNT; i++) {
            size_t size = 3000 + i * 123;
            touch_truth(touch_model, i * 4, size, round);
            if (i % 2)
                host[i][i] = touch_model[i] = 9;
            EXPECT(touch_arrives(host[i], 0, size) && !memcmp(host[i], touch_model, size));
            free(host[i]);
        }
    }
    printf("small ones: sent\n");
}

static void resized(void)
{
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        uint8_t *host = malloc(BYTES);
        touch_down(host, BYTES, round);
        host = realloc(host, 2 * BYTES); // moves the pages, or copies them
        memset(host + BYTES, 3, BYTES), memset(touch_model + BYTES, 3, BYTES);
        touch_up("grown", host, 2 * BYTES);
        touch_down(host, 2 * BYTES, 10 + round);
        host = realloc(host, BYTES / 2);
        touch_up("shrunk", host, BYTES / 2);
        touch_down(host, BYTES / 2, 20 + round);
        void *between = malloc(100);
        host = realloc(host, 3 * BYTES);
        memset(host + BYTES / 2, 4, BYTES), memset(touch_model + BYTES / 2, 4, BYTES);
        touch_up("grown elsewhere", host, BYTES + BYTES / 2);
        free(between);
        free(host);
        host = malloc(9 * PAGE);
        touch_down(host, 9 * PAGE, 30 + round);
        host = realloc(host, 20 * PAGE); // within the heap: malloc copies
        EXPECT(!memcmp(host, touch_model, 9 * PAGE));
        touch_up("in the heap", host, 9 * PAGE);
        free(host);
    }
}

// Fills the hole of one page, unless Genie has mapped something of its own there meanwhile: then the buffer goes on elsewhere.
static uint8_t *fill_hole(uint8_t *host, size_t at)
{
    void *page = mmap(host + at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    zero_model(at, PAGE);
    if (page == host + at)
        return host;
    EXPECT(page == MAP_FAILED && errno == EEXIST);
    munmap(host, at), munmap(host + at + PAGE, BYTES - at - PAGE);
    host = touch_map(BYTES);
    memcpy(host, touch_model, BYTES);
    return host;
}

static void unmapped(void)
{
    uint8_t *host = touch_map(BYTES);
    const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        munmap(host, BYTES);
        EXPECT(mmap(host, BYTES, PROT_READ | PROT_WRITE, fixed, -1, 0) == host);
        zero_model(0, BYTES);
        touch_up("another mapping", host, BYTES);
        EXPECT(all(host, BYTES, 0));
        touch_down(host, BYTES, 10 + round);
        EXPECT(mmap(host + 2 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, fixed, -1, 0) == host + 2 * PAGE); // a part of it, over the old
        zero_model(2 * PAGE, 3 * PAGE);
        touch_up("a part over it", host, BYTES);
        EXPECT(!memcmp(host, touch_model, BYTES));
        touch_down(host, BYTES, 20 + round);
        munmap(host + 4 * PAGE, PAGE);
        EXPECT(touch_arrives(host, 0, 4 * PAGE) && touch_arrives(host + 5 * PAGE, 5 * PAGE, BYTES - 5 * PAGE));
        host = fill_hole(host, 4 * PAGE);
        touch_up("a hole, filled", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        touch_up("and whole again", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

static void moved(void)
{
    uint8_t *elsewhere = touch_map(4 * BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        uint8_t *host = touch_map(BYTES); // one mapping each time
        touch_down(host, BYTES, round);
        uint8_t *to = mremap(host, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere + BYTES);
        EXPECT(to == elsewhere + BYTES);
        EXPECT(mmap(host, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == host); // it will come back
        touch_up("moved", to, BYTES);
        EXPECT(!memcmp(to, touch_model, BYTES));
        touch_down(to, BYTES, 10 + round);
        host = mremap(to, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, host);
        EXPECT(!memcmp(host + PAGE, touch_model + PAGE, PAGE));
        EXPECT(mmap(to, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == to);
        touch_up("and back", host, BYTES);
        EXPECT(all(to, BYTES, 0));

        touch_down(host, BYTES, 20 + round);
        uint8_t *shrunk = mremap(host, BYTES, BYTES / 2, 0);
        EXPECT(shrunk == host);
        EXPECT(mmap(host + BYTES / 2, BYTES / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == host + BYTES / 2);
        zero_model(BYTES / 2, BYTES / 2);
        touch_up("shrunk, and grown", host, BYTES);
        uint8_t *small = touch_map(BYTES);
        touch_down(small, BYTES, 30 + round);
        uint8_t *grown = mremap(small, BYTES, 2 * BYTES, MREMAP_MAYMOVE);
        EXPECT(grown != MAP_FAILED);
        zero_model(BYTES, BYTES);
        touch_up("grown", grown, 2 * BYTES);
        touch_unmap(grown, 2 * BYTES);
        touch_unmap(host, BYTES);
    }
    touch_unmap(elsewhere, 4 * BYTES);
}

// The old mapping stays, empty.
static void moved_away(void)
{
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        uint8_t *host = touch_map(BYTES), *left = host;
        touch_down(host, BYTES, round);
        uint8_t *to = mremap(host, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
        if (to == MAP_FAILED) // no such flag here
            to = host, left = touch_map(BYTES);
        touch_up("moved away", to, BYTES);
        EXPECT(all(left, BYTES, 0));
        zero_model(0, BYTES);
        touch_up("what stayed", left, BYTES);
        touch_down(left, BYTES, 10 + round);
        touch_up("used again", left, BYTES);
        touch_unmap(to, BYTES);
        touch_unmap(left, BYTES);
    }
}

static void dropped(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(!madvise(host, BYTES, MADV_DONTNEED));
        zero_model(0, BYTES);
        touch_up("all dropped", host, BYTES);
        EXPECT(all(host, BYTES, 0));
        touch_down(host, BYTES, 10 + round);
        EXPECT(!madvise(host + 3 * PAGE, 5 * PAGE, MADV_DONTNEED));
        zero_model(3 * PAGE, 5 * PAGE);
        EXPECT(host[4 * PAGE] == 0 && host[2 * PAGE] == touch_model[2 * PAGE]);
        touch_up("a part dropped", host, BYTES);
        EXPECT(!memcmp(host, touch_model, BYTES));
        EXPECT(!madvise(host + 4 * PAGE, 5 * PAGE, MADV_DONTNEED)); // what has been sent already
        zero_model(4 * PAGE, 5 * PAGE);
        touch_up("dropped after it was sent", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        host[6 * PAGE] = 1;
        EXPECT(!madvise(host + 6 * PAGE, PAGE, MADV_DONTNEED));
        host[6 * PAGE + 5] = 2;
        zero_model(6 * PAGE, PAGE), touch_model[6 * PAGE + 5] = 2;
        touch_up("dropped and written", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        if (!madvise(host, BYTES, MADV_FREE)) // each page holds the old bytes or none, until it is written
            for (size_t at = 0; at < BYTES; at += PAGE)
                EXPECT(!memcmp(host + at, touch_model + at, PAGE) || all(host + at, PAGE, 0));
        memset(host, 4, BYTES), memset(touch_model, 4, BYTES);
        touch_up("free and written", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Pages that are guarded for a while, where the kernel knows that (6.13); what they hold afterwards is written anew.
static void guarded(void)
{
    enum { GUARD_INSTALL = 102, GUARD_REMOVE = 103 };
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        if (!madvise(host + 3 * PAGE, 2 * PAGE, GUARD_INSTALL)) {
            EXPECT(touch_arrives(host, 0, 3 * PAGE));
            EXPECT(!madvise(host + 3 * PAGE, 2 * PAGE, GUARD_REMOVE));
        }
        memset(host + 3 * PAGE, 5, 2 * PAGE), memset(touch_model + 3 * PAGE, 5, 2 * PAGE);
        touch_up("guarded", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// --- protection

static uint8_t *guarded_at;
static volatile sig_atomic_t repairs;
static int repair_to;

static void repair(int signal_number, siginfo_t *info, void *context)
{
    uint8_t *at = info->si_addr;
    (void)context;
    if (at < guarded_at || at >= guarded_at + BYTES) {
        signal(signal_number, SIG_DFL);
        return;
    }
    repairs++;
    mprotect((void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1)), PAGE, repair_to);
}

static void protected(void)
{
    struct sigaction handler = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO}, before;
    guarded_at = touch_map(BYTES);
    uint8_t *host = guarded_at;
    sigaction(SIGSEGV, &handler, &before);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        repairs = 0, repair_to = PROT_READ | PROT_WRITE;
        touch_down(host, BYTES, round);
        EXPECT(!mprotect(host, BYTES, PROT_READ));
        EXPECT(host[PAGE] == touch_model[PAGE]);
        touch_up("read-only", host, BYTES);
        for (size_t at = 0; at < BYTES; at += 4 * PAGE)
            host[at + 1] = touch_model[at + 1] = 7; // the handler makes the page writable
        EXPECT(repairs == BYTES / (4 * PAGE));
        touch_up("repaired to be written", host, BYTES);
        EXPECT(!mprotect(host, BYTES, PROT_READ | PROT_WRITE));
        touch_down(host, BYTES, 10 + round);
        EXPECT(!mprotect(host + 2 * PAGE, 3 * PAGE, PROT_NONE));
        repairs = 0, repair_to = PROT_READ;
        EXPECT(host[3 * PAGE] == touch_model[3 * PAGE] && host[2 * PAGE + 1] == touch_model[2 * PAGE + 1]);
        EXPECT(host[4 * PAGE + 9] == touch_model[4 * PAGE + 9]);
        EXPECT(repairs == 3);
        touch_up("repaired to be read", host, BYTES);
        EXPECT(!mprotect(host, BYTES, PROT_READ | PROT_WRITE));
        touch_down(host, BYTES, 20 + round);
        EXPECT(!mprotect(host, BYTES, PROT_NONE) && !mprotect(host, BYTES, PROT_READ | PROT_WRITE));
        touch_up("none, and all", host, BYTES);
        EXPECT(!mprotect(host, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC) || errno == EACCES);
        touch_down(host, BYTES, 30 + round);
        touch_up("executable", host, BYTES);
        EXPECT(!mprotect(host, BYTES, PROT_READ | PROT_WRITE));
    }
    sigaction(SIGSEGV, &before, NULL);
    touch_unmap(host, BYTES);
}

// Other threads map and unmap all the time, where the buffer lies too.
static _Atomic bool churning;
static void *churn(void *nothing)
{
    while (churning) {
        uint8_t *at = touch_map(BYTES);
        at[0] = 1;
        munmap(at + BYTES / 2, BYTES / 2);
        munmap(at, BYTES / 2);
        free(malloc(200000));
    }
    return nothing;
}

static void churned(void)
{
    pthread_t other;
    churning = true;
    EXPECT(!pthread_create(&other, NULL, churn, NULL));
    for (unsigned round = 0; round < 10 * TOUCH_ROUNDS; round++) {
        uint8_t *host = touch_map(BYTES);
        touch_down(host, BYTES, round);
        host[round * 100] = touch_model[round * 100] = 1;
        EXPECT(touch_arrives(host, 0, BYTES));
        munmap(host, BYTES / 2);
        munmap(host + BYTES / 2, BYTES / 2);
    }
    churning = false;
    pthread_join(other, NULL);
    printf("churned\n");
}

const struct touch_case touch_maps[] = {
    {"freed", freed},
    {"small_ones", small_ones},
    {"resized", resized},
    {"unmapped", unmapped},
    {"moved", moved},
    {"moved_away", moved_away},
    {"dropped", dropped},
    {"guarded", guarded},
    {"protected", protected},
    {"churned", churned},
    {NULL, NULL},
};
