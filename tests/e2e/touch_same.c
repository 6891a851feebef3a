// SPDX-License-Identifier: Apache-2.0
// Host ranges that are sent again and again, changed in between in every way, or not at all while their destination changes.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES, PAGES = BYTES / PAGE };

static uint8_t *host;

static void begin(unsigned seed) // a buffer that has been sent often enough to be known
{
    e2e_pattern(host, BYTES, seed);
    e2e_pattern(touch_model, BYTES, seed);
    for (int i = 0; i < 3; i++)
        EXPECT(touch_arrives(host, 0, BYTES));
}

// --- the destination changes

static void to_zero(unsigned round) { CU(cuMemsetD8(touch_sink + round * PAGE, 0, round % 2 ? 1 : PAGE)); }
static void by_kernel(unsigned round) { e2e_add(touch_add, NULL, touch_sink + round * PAGE, 1, 1); }
static void by_copy(unsigned round) { CU(cuMemcpyDtoD(touch_sink + round * PAGE, touch_source, 100)); }
static void by_rows(unsigned round) { CU(cuMemsetD2D8(touch_sink + round * PAGE, 5000, 3, 10, 4)); }
static void by_upload(unsigned round)
{
    uint8_t other[10] = {1, 2, 3};
    CU(cuMemcpyHtoD(touch_sink + round * PAGE, other, sizeof other));
}
static void by_part_of_itself(unsigned round) { CU(cuMemcpyHtoD(touch_sink, host + PAGE, (round + 1) * PAGE)); }
static void by_other_stream(unsigned round)
{
    CUstream s;
    CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    CU(cuMemsetD8Async(touch_sink + round * PAGE, 3, 5, s));
    CU(cuStreamSynchronize(s));
    CU(cuStreamDestroy(s));
}
static void *thread_clears(void *round)
{
    CU(cuCtxSetCurrent(touch_context));
    CU(cuMemsetD32(touch_sink + *(unsigned *)round * PAGE, 1, 1));
    CU(cuCtxSynchronize());
    return NULL;
}
static void by_other_thread(unsigned round)
{
    pthread_t other;
    EXPECT(!pthread_create(&other, NULL, thread_clears, &round));
    pthread_join(other, NULL);
}
static void by_pinned(unsigned round)
{
    void *memory;
    CU(cuMemHostAlloc(&memory, PAGE, 0));
    memset(memory, 1, PAGE);
    CU(cuMemcpyHtoDAsync(touch_sink + round * PAGE + 9, memory, 7, NULL));
    CU(cuMemFreeHost(memory));
}
static void by_stream_word(unsigned round) { CU(cuStreamWriteValue32(NULL, touch_sink + round * PAGE, 1, 0)); }
static void by_allocation(unsigned round)
{
    CU(cuMemFree(touch_sink));
    touch_sink = e2e_alloc(TOUCH_MOST);
    CU(cuMemsetD8(touch_sink, (unsigned char)round, BYTES));
}

static void restored(void)
{
    static void (*const ways[])(unsigned) = {to_zero,         by_kernel,       by_copy,   by_rows,        by_upload,    by_part_of_itself,
                                             by_other_stream, by_other_thread, by_pinned, by_stream_word, by_allocation};
    host = touch_map(BYTES);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        begin((unsigned)w);
        for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
            ways[w](round);
            EXPECT(touch_arrives(host, 0, BYTES));
            ways[w](round);
            EXPECT(touch_arrives(host + PAGE, 0, 0) && touch_arrives(host, 0, BYTES));
        }
        touch_up("restored", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// --- the source changes

static void *changes(void *at)
{
    *(uint8_t *)at ^= 1;
    return NULL;
}

static void by_cpu(size_t at) { host[at] ^= 1; }
static void by_thread(size_t at)
{
    pthread_t other;
    EXPECT(!pthread_create(&other, NULL, changes, host + at));
    pthread_join(other, NULL);
}
static void by_read(size_t at)
{
    int pipes[2];
    uint8_t byte = host[at] ^ 1;
    EXPECT(!pipe(pipes) && write(pipes[1], &byte, 1) == 1 && read(pipes[0], host + at, 1) == 1);
    close(pipes[0]), close(pipes[1]);
}
static void by_recv(size_t at)
{
    int to[2];
    uint8_t byte = host[at] ^ 1;
    EXPECT(!socketpair(AF_UNIX, SOCK_DGRAM, 0, to) && send(to[0], &byte, 1, 0) == 1 && recv(to[1], host + at, 1, 0) == 1);
    close(to[0]), close(to[1]);
}
static void by_process_call(size_t at)
{
    uint8_t byte = host[at] ^ 1;
    struct iovec here = {&byte, 1}, there = {host + at, 1};
    EXPECT(process_vm_writev(getpid(), &here, 1, &there, 1, 0) == 1);
}
static void by_memory_file(size_t at)
{
    uint8_t byte = host[at] ^ 1;
    int fd = open("/proc/self/mem", O_RDWR);
    EXPECT(pwrite(fd, &byte, 1, (off_t)(uintptr_t)(host + at)) == 1);
    close(fd);
}
static uint8_t *handlers;
static void handler(int signal_number) { *handlers ^= (uint8_t)(signal_number == SIGUSR1); }
static void by_handler(size_t at)
{
    struct sigaction action = {.sa_handler = handler}, before;
    handlers = host + at;
    sigaction(SIGUSR1, &action, &before);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
}
static int child_changes(void *at)
{
    changes(at);
    _exit(0);
}
static void by_child(size_t at) // with the memory in common
{
    enum { STACK = 64 << 10 };
    uint8_t *stack = touch_map(STACK);
    pid_t child = clone(child_changes, stack + STACK, CLONE_VM | SIGCHLD, host + at);
    EXPECT(waitpid(child, NULL, 0) == child);
    touch_unmap(stack, STACK);
}
static void by_download(size_t at)
{
    uint8_t byte = host[at] ^ 1;
    CU(cuMemsetD8(touch_source, byte, 1));
    CU(cuMemcpyDtoH(host + at, touch_source, 1));
}
static void by_replacing(size_t at) // the page is another one, with other bytes
{
    uint8_t *page = host + at / PAGE * PAGE, *other = touch_map(PAGE);
    memcpy(other, page, PAGE);
    other[at % PAGE] ^= 1;
    EXPECT(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page) == page);
}
static void by_dropping(size_t at)
{
    uint8_t kept[PAGE], *page = host + at / PAGE * PAGE;
    memcpy(kept, page, PAGE);
    EXPECT(!madvise(page, PAGE, MADV_DONTNEED));
    kept[at % PAGE] ^= 1;
    memcpy(page, kept, PAGE);
}
static void by_forking(size_t at) // the pages are shared with a child for a while, and written on both sides
{
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        memset(host, 1, BYTES);
        _exit(0);
    }
    host[at] ^= 1;
    EXPECT(waitpid(child, NULL, 0) == child);
}
static void by_bare_clone(size_t at)
{
    fflush(stdout);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (!child) {
        host[at] ^= 2;
        _exit(0);
    }
    EXPECT(waitpid(child, NULL, 0) == child);
    host[at] ^= 1;
}
static void by_protecting(size_t at)
{
    EXPECT(!mprotect(host, BYTES, PROT_READ) && !mprotect(host, BYTES, PROT_READ | PROT_WRITE));
    host[at] ^= 1;
}

static void changed(void)
{
    static void (*const ways[])(size_t) = {by_cpu,       by_thread,   by_read,      by_recv,     by_process_call, by_memory_file, by_handler,    by_child,
                                           by_download,  by_replacing, by_dropping, by_forking, by_bare_clone,   by_protecting};
    static const size_t places[] = {0, 1, PAGE - 1, PAGE, BYTES / 2 + 7, BYTES - 1};
    host = touch_map(BYTES);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        begin(100 + (unsigned)w);
        for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
            ways[w](places[p]);
            touch_model[places[p]] ^= 1;
            bool arrives = touch_arrives(host, 0, BYTES);
            EXPECT(arrives);
            if (!arrives)
                printf("  way %zu, place %zu\n", w, places[p]);
            EXPECT(touch_arrives(host, 0, BYTES));
        }
        touch_up("changed", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Memory that others may write: nothing here is private.
static void changed_outside(void)
{
    int fd = memfd_create("touch", 0);
    EXPECT(!ftruncate(fd, BYTES));
    for (int way = 0; way < 2; way++) {
        host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | (way ? MAP_ANONYMOUS : 0), way ? -1 : fd, 0);
        begin(200);
        for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
            fflush(stdout);
            pid_t child = fork();
            if (!child) {
                host[round * 2 * PAGE + 7] ^= 1;
                _exit(0);
            }
            EXPECT(waitpid(child, NULL, 0) == child);
            touch_model[round * 2 * PAGE + 7] ^= 1;
            touch_up("changed by a child", host, BYTES);
            EXPECT(touch_arrives(host, 0, BYTES));
        }
        munmap(host, BYTES);
    }
    host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0); // pages that nobody has written are the file's
    EXPECT(pread(fd, touch_model, BYTES, 0) == BYTES);
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        uint8_t byte = (uint8_t)(0x80 + round);
        EXPECT(touch_arrives(host, 0, BYTES) && touch_arrives(host, 0, BYTES));
        EXPECT(pwrite(fd, &byte, 1, round * 3 * PAGE) == 1);
        touch_model[round * 3 * PAGE] = byte;
        touch_up("changed in the file", host, BYTES);
    }
    munmap(host, BYTES);
    close(fd);
}

// Pages that were never touched, and are so for the first time later.
static void untouched(void)
{
    host = touch_map(BYTES);
    memset(touch_model, 0, BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        for (int i = 0; i < 4; i++)
            EXPECT(touch_arrives(host, 0, BYTES));
        host[round * 5 * PAGE] = touch_model[round * 5 * PAGE] = (uint8_t)(round + 1);
        touch_up("first write", host, BYTES);
        EXPECT(host[round * 5 * PAGE + PAGE] == 0); // a page of zeros
        EXPECT(touch_arrives(host, 0, BYTES));
        host[round * 5 * PAGE + PAGE] = touch_model[round * 5 * PAGE + PAGE] = 9;
        touch_up("and after a read", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// --- ranges that are not the same each time

static void other_ranges(void)
{
    host = touch_map(BYTES);
    begin(300);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        for (size_t size = PAGE + 1; size < BYTES; size += 5 * PAGE + 77) // growing
            EXPECT(touch_arrives(host, 0, size));
        for (size_t at = 0; at + 3 * PAGE < BYTES; at += 2 * PAGE + 100) // sliding
            EXPECT(touch_arrives(host + at, at, 3 * PAGE));
        host[9 * PAGE] = touch_model[9 * PAGE] = (uint8_t)round;
        EXPECT(touch_arrives(host + 8 * PAGE + 5, 8 * PAGE + 5, 2 * PAGE)); // a part is sent first: the rest is as new as before
        touch_up("all after a part", host, BYTES);
        host[19 * PAGE % BYTES] = touch_model[19 * PAGE % BYTES] = (uint8_t)(round + 100);
        EXPECT(touch_arrives(host, 0, 4 * PAGE));
        touch_up("all after another part", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

static void other_places(void)
{
    enum { PLACES = 5 };
    CUdeviceptr to[PLACES];
    host = touch_map(BYTES);
    for (int i = 0; i < PLACES; i++)
        to[i] = e2e_alloc(BYTES + PAGE) + (i % 2 ? 4 : 0);
    begin(400);
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        for (int i = 0; i < PLACES; i++)
            CU(cuMemcpyHtoD(to[i], host, BYTES));
        for (int i = 0; i < PLACES; i++)
            EXPECT(touch_device_is(to[i], touch_model, BYTES));
        host[round * PAGE] = touch_model[round * PAGE] = (uint8_t)round;
        CU(cuMemcpyHtoD(to[round % PLACES], host, BYTES)); // one has the change, the others not yet
        EXPECT(touch_device_is(to[round % PLACES], touch_model, BYTES));
    }
    printf("other places\n");
    touch_unmap(host, BYTES);
}

// Two buffers in turn to one place, and one buffer's bytes in the other.
static void in_turn(void)
{
    uint8_t *one = touch_map(BYTES), *two = touch_map(BYTES);
    e2e_pattern(one, BYTES, 1);
    e2e_pattern(two, BYTES, 2);
    for (unsigned round = 0; round < 4 * TOUCH_ROUNDS; round++) {
        CU(cuMemcpyHtoD(touch_sink, one, BYTES));
        EXPECT(touch_device_is(touch_sink, one, BYTES));
        CU(cuMemcpyHtoD(touch_sink, two, BYTES));
        EXPECT(touch_device_is(touch_sink, two, BYTES));
        if (round % 3 == 2)
            one[round * PAGE] ^= 1;
        if (round % 5 == 4)
            memcpy(two, one, BYTES / 2);
    }
    touch_print("in turn", one, BYTES);
    touch_unmap(one, BYTES);
    touch_unmap(two, BYTES);
}

// Changed while it is being sent by another thread: what arrives then is anything, what is sent afterwards is not.
static _Atomic bool sending;
static void *send_on(void *nothing)
{
    CU(cuCtxSetCurrent(touch_context));
    while (sending) {
        CU(cuMemcpyHtoD(touch_sink + BYTES, host, BYTES));
        CU(cuStreamSynchronize(NULL)); // else what is queued would grow and grow
    }
    return nothing;
}

static void changed_meanwhile(void)
{
    pthread_t other;
    host = touch_map(BYTES);
    begin(500);
    sending = true;
    EXPECT(!pthread_create(&other, NULL, send_on, NULL));
    for (unsigned i = 0; i < E2E_SIZE(60, 6); i++) {
        size_t at = (i * 37 % PAGES) * PAGE + i;
        *(volatile uint8_t *)(host + at) = (uint8_t)i;
        touch_model[at] = (uint8_t)i;
        EXPECT(touch_arrives(host, 0, BYTES));
    }
    sending = false;
    pthread_join(other, NULL);
    touch_up("changed meanwhile", host, BYTES);
    touch_unmap(host, BYTES);
}

// Sources in the heap and in pinned memory, given back and had again.
static void had_again(void)
{
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        void *memory;
        host = malloc(BYTES);
        begin(600 + round);
        free(host);
        host = calloc(1, BYTES); // mostly the same place
        memset(touch_model, 0, BYTES);
        touch_up("calloc", host, BYTES);
        free(host);
        CU(cuMemHostAlloc(&memory, BYTES, 0));
        host = memory;
        begin(700 + round);
        for (int i = 0; i < 4; i++) {
            host[i * PAGE]++, touch_model[i * PAGE]++;
            CU(cuMemcpyHtoDAsync(touch_sink, host, BYTES, NULL));
            CU(cuStreamSynchronize(NULL));
            EXPECT(touch_device_is(touch_sink, touch_model, BYTES));
        }
        CU(cuMemFreeHost(memory));
    }
}

const struct touch_case touch_same[] = {
    {"restored", restored},           {"changed", changed}, {"changed_outside", changed_outside},     {"untouched", untouched}, {"other_ranges", other_ranges},
    {"other_places", other_places},   {"in_turn", in_turn}, {"changed_meanwhile", changed_meanwhile}, {"had_again", had_again}, {NULL, NULL},
};
