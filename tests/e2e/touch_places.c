// SPDX-License-Identifier: Apache-2.0
// Host buffers in every kind of memory: stack, data, shared and file mappings, huge and locked pages.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES, HUGE = 2 << 20 };

// What is done with a buffer wherever it lies.
static void use(const char *what, uint8_t *host, size_t size_bytes, unsigned round)
{
    char name[64];
    snprintf(name, sizeof name, "%s", what);
    touch_down(host, size_bytes, round);
    touch_up(name, host, size_bytes);
    touch_down(host, size_bytes, 10 + round);
    host[size_bytes / 2] = touch_model[size_bytes / 2] = 1;
    host[size_bytes - 1] = touch_model[size_bytes - 1] = 2;
    touch_up(name, host, size_bytes);
    EXPECT(!memcmp(host, touch_model, size_bytes));
    touch_down(host + 100, size_bytes - 200, 20 + round);
    EXPECT(touch_arrives(host + 100, 0, size_bytes - 200));
    touch_down(host, size_bytes, 30 + round);
}

// --- the stack, whose pages others use afterwards

static __attribute__((noinline)) unsigned deep(unsigned depth)
{
    volatile uint8_t frame[PAGE];
    for (unsigned i = 0; i < PAGE; i += 64)
        frame[i] = (uint8_t)(depth + i);
    unsigned sum = depth ? deep(depth - 1) : 0;
    for (unsigned i = 0; i < PAGE; i += 64)
        EXPECT(frame[i] == (uint8_t)(depth + i));
    return sum + frame[128];
}

static __attribute__((noinline)) void in_a_frame(unsigned round)
{
    uint8_t host[BYTES];
    use("on the stack", host, sizeof host, round);
    touch_up("and at its end", host, sizeof host);
    touch_down(host, sizeof host, 40 + round); // left behind
}

static void *on_a_thread(void *at)
{
    CU(cuCtxSetCurrent(touch_context));
    in_a_frame(*(unsigned *)at);
    return NULL;
}

static void on_the_stack(void)
{
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        pthread_t other;
        in_a_frame(round);
        EXPECT(deep(80) > 0);
        EXPECT(!pthread_create(&other, NULL, on_a_thread, &round)); // whose stack the next one gets
        pthread_join(other, NULL);
    }
}

// --- the program's own sections

static uint8_t in_data[BYTES] = {1, 2, 3}, in_bss[BYTES];
static const uint8_t in_rodata[BYTES] = {4, 5, 6};

static void in_sections(void)
{
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        use("data", in_data, BYTES, round);
        touch_up("data", in_data, BYTES);
        use("bss", in_bss, BYTES, round);
        touch_up("bss", in_bss, BYTES);
        memcpy(touch_model, in_rodata, BYTES);
        touch_up("constants", in_rodata, BYTES);
    }
}

// --- shared mappings and files

static void shared(void)
{
    int fd = memfd_create("touch", 0);
    EXPECT(!ftruncate(fd, BYTES));
    uint8_t *nameless = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *one = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *two = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        use("shared", nameless, BYTES, round);
        touch_up("shared", nameless, BYTES);
        use("shared file", one, BYTES, round);
        EXPECT(!memcmp(two, touch_model, BYTES)); // the other end sees it
        two[5 * PAGE] = touch_model[5 * PAGE] = 9;
        touch_up("written at the other end", one, BYTES);
        two[6 * PAGE] = touch_model[6 * PAGE] = 8;
        EXPECT(pwrite(fd, touch_model, PAGE, BYTES - PAGE) == PAGE);
        memcpy(touch_model + BYTES - PAGE, touch_model, PAGE);
        touch_up("and again", one, BYTES);
    }
    munmap(nameless, BYTES), munmap(one, BYTES), munmap(two, BYTES);
    close(fd);
}

static void private_file(void)
{
    int fd = memfd_create("touch", 0);
    uint8_t *before = malloc(BYTES), *after = malloc(BYTES);
    e2e_pattern(before, BYTES, 3);
    EXPECT(write(fd, before, BYTES) == BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        uint8_t *host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        memcpy(touch_model, before, BYTES);
        touch_up("a file's bytes", host, BYTES);
        use("private file", host, BYTES, round);
        touch_up("private file", host, BYTES);
        EXPECT(pread(fd, after, BYTES, 0) == BYTES && !memcmp(before, after, BYTES)); // the file keeps its own
        touch_down(host, BYTES, 50 + round);
        EXPECT(!madvise(host + 2 * PAGE, PAGE, MADV_DONTNEED)); // the file's bytes come back
        memcpy(touch_model + 2 * PAGE, before + 2 * PAGE, PAGE);
        touch_up("dropped", host, BYTES);
        munmap(host, BYTES);
    }
    close(fd);
    free(before), free(after);
}

// One buffer over mappings of several kinds.
static void mixed(void)
{
    int fd = memfd_create("touch", 0), fixed = MAP_FIXED;
    EXPECT(!ftruncate(fd, BYTES));
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        uint8_t *host = touch_map(BYTES);
        touch_down(host, BYTES, round);
        EXPECT(mmap(host + 4 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, 0) != MAP_FAILED);
        EXPECT(mmap(host + 9 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | fixed, fd, 0) != MAP_FAILED);
        memcpy(touch_model + 4 * PAGE, host + 4 * PAGE, 3 * PAGE);
        memcpy(touch_model + 9 * PAGE, host + 9 * PAGE, 2 * PAGE);
        EXPECT(touch_arrives(host, 0, BYTES));
        use("mixed", host, BYTES, round);
        EXPECT(pread(fd, touch_model + 4 * PAGE, 3 * PAGE, 0) == 3 * PAGE);
        EXPECT(!memcmp(host, touch_model, BYTES));
        munmap(host, BYTES);
    }
    printf("mixed: used\n");
    close(fd);
}

// --- page sizes, and pages that must stay

static void huge(void)
{
    uint8_t *mapped = touch_map(2 * HUGE), *host = (uint8_t *)(((uintptr_t)mapped + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
    EXPECT(!madvise(host, HUGE, MADV_HUGEPAGE) || errno == EINVAL);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        memset(host, 1, HUGE);
        use("huge page", host, HUGE, round);
        touch_up("huge page", host, HUGE);
        use("a part of a huge page", host + 3 * PAGE, BYTES, round);
        touch_up("a part of a huge page", host + 3 * PAGE, BYTES);
        EXPECT(!madvise(host, HUGE, MADV_DONTNEED));
#ifdef MADV_COLLAPSE
        memset(host, 2, HUGE);
        touch_down(host, BYTES, 60 + round);
        if (madvise(host, HUGE, MADV_COLLAPSE)) // pages that are away, made one
            EXPECT(errno != EFAULT);
        memset(touch_model + BYTES, 2, HUGE - BYTES);
        touch_up("collapsed", host, HUGE);
#endif
    }
    touch_unmap(mapped, 2 * HUGE);
}

static void locked(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(!mlock(host, BYTES) || errno == ENOMEM || errno == EPERM);
        touch_up("locked after it", host, BYTES);
        use("locked", host, BYTES, round);
        touch_up("locked", host, BYTES);
        touch_down(host, BYTES, 50 + round);
        munlock(host + 2 * PAGE, 4 * PAGE);
        touch_up("unlocked in part", host, BYTES);
        use("locked in part", host, BYTES, round);
        munlock(host, BYTES);
        touch_down(host, BYTES, 60 + round);
        EXPECT(!mlock2(host, BYTES, MLOCK_ONFAULT) || errno == ENOMEM || errno == EPERM || errno == EINVAL);
        EXPECT(host[7] == touch_model[7]);
        touch_up("locked on fault", host, BYTES);
        munlock(host, BYTES);
    }
    touch_unmap(host, BYTES);
}

static void advised_otherwise(void)
{
    static const int advice[] = {MADV_MERGEABLE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DONTFORK, MADV_WIPEONFORK, MADV_RANDOM};
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) {
        uint8_t *host = touch_map(BYTES);
        touch_down(host, BYTES, (unsigned)i);
        EXPECT(!madvise(host, BYTES / 2, advice[i]) || errno == EINVAL);
        touch_up("advised after", host, BYTES);
        use("advised before", host, BYTES, (unsigned)i);
        touch_up("advised before", host, BYTES);
        touch_unmap(host, BYTES);
    }
}

// Mapped to grow downwards, and reserved without memory behind it.
static void odd_mappings(void)
{
    static const int flags[] = {MAP_NORESERVE, MAP_POPULATE, MAP_GROWSDOWN, MAP_STACK, MAP_LOCKED};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        uint8_t *host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags[i], -1, 0);
        if (host == MAP_FAILED) // locked memory may be limited
            host = touch_map(BYTES);
        use("an odd mapping", host, BYTES, (unsigned)i);
        touch_up("an odd mapping", host, BYTES);
        touch_unmap(host, BYTES);
    }
}

const struct touch_case touch_places[] = {
    {"on_the_stack", on_the_stack},
    {"in_sections", in_sections},
    {"shared", shared},
    {"private_file", private_file},
    {"mixed", mixed},
    {"huge", huge},
    {"locked", locked},
    {"advised_otherwise", advised_otherwise},
    {"odd_mappings", odd_mappings},
    {NULL, NULL},
};
