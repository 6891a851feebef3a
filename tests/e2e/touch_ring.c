// SPDX-License-Identifier: Apache-2.0
// io_uring and O_DIRECT on a host buffer: kernel threads and pinned pages. Where io_uring is refused, plain calls do the same.
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES, AT = 3 * PAGE, PART = 8 * PAGE };

static struct io_uring ring;
static bool has_ring;

static bool done(int wanted)
{
    struct io_uring_cqe *cqe;
    if (io_uring_submit(&ring) < 0 || io_uring_wait_cqe(&ring, &cqe))
        return false;
    int got = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    if (got != wanted)
        printf("  io_uring: %d\n", got);
    return got == wanted;
}

// ASYNC: a thread of the kernel does it, which faults by itself.
static bool ring_write(int fd, const void *from, unsigned size_bytes, int index)
{
    if (!has_ring)
        return pwrite(fd, from, size_bytes, 0) == (ssize_t)size_bytes;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (index < 0)
        io_uring_prep_write(sqe, fd, from, size_bytes, 0);
    else
        io_uring_prep_write_fixed(sqe, fd, from, size_bytes, 0, index);
    static unsigned turn;
    if (turn++ % 2)
        sqe->flags |= IOSQE_ASYNC;
    return done((int)size_bytes);
}

static bool ring_read(int fd, void *into, unsigned size_bytes, int index)
{
    if (!has_ring)
        return pread(fd, into, size_bytes, 0) == (ssize_t)size_bytes;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (index < 0)
        io_uring_prep_read(sqe, fd, into, size_bytes, 0);
    else
        io_uring_prep_read_fixed(sqe, fd, into, size_bytes, 0, index);
    static unsigned turn;
    if (turn++ % 2)
        sqe->flags |= IOSQE_ASYNC;
    return done((int)size_bytes);
}

static bool in_file(int fd, size_t offset)
{
    uint8_t *copy = malloc(PART);
    bool same = pread(fd, copy, PART, 0) == PART && !memcmp(copy, touch_model + offset, PART);
    free(copy);
    return same;
}

static void offer(int fd, unsigned seed)
{
    uint8_t *other = malloc(PART);
    e2e_pattern(other, PART, seed);
    EXPECT(pwrite(fd, other, PART, 0) == PART);
    memcpy(touch_model + AT, other, PART);
    free(other);
}

static void with_ring(void (*run)(int fd))
{
    int fd = memfd_create("touch", 0);
    has_ring = !io_uring_queue_init(8, &ring, 0);
    run(fd);
    if (has_ring)
        io_uring_queue_exit(&ring);
    close(fd);
}

static void plain(int fd)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(ring_write(fd, host + AT, PART, -1) && in_file(fd, AT));
        touch_up("written by the ring", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        offer(fd, round);
        EXPECT(ring_read(fd, host + AT, PART, -1));
        touch_up("read by the ring", host, BYTES);
        offer(fd, 10 + round);
        EXPECT(ring_read(fd, host + AT, PART, -1)); // pages that are here, and have been sent
        touch_up("and again", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// The kernel holds the pages themselves: whatever becomes of the mapping, what goes through the ring is what the program sees.
static void registered(int fd)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        touch_up("before it is registered", host, BYTES);
        int index = 0;
        if (has_ring && io_uring_register_buffers(&ring, &(struct iovec){host, BYTES}, 1))
            index = -1;
        for (unsigned turn = 0; turn < TOUCH_ROUNDS; turn++) {
            touch_down(host, BYTES, 10 * turn + round);
            EXPECT(ring_write(fd, host + AT, PART, index) && in_file(fd, AT));
            touch_up("registered: written", host, BYTES);
            offer(fd, turn);
            EXPECT(ring_read(fd, host + AT, PART, index));
            EXPECT(!memcmp(host + AT, touch_model + AT, PART));
            touch_up("registered: read", host, BYTES);
            host[AT + 5] = touch_model[AT + 5] = (uint8_t)turn;
            EXPECT(ring_write(fd, host + AT, PART, index) && in_file(fd, AT));
            touch_up("registered: changed", host, BYTES);
            offer(fd, 100 + turn);
            EXPECT(ring_read(fd, host + AT, PART, index)); // nothing else touches it
            touch_up("registered: read only by the ring", host, BYTES);
        }
        if (has_ring && !index)
            io_uring_unregister_buffers(&ring);
        touch_down(host, BYTES, 1000 + round);
        touch_up("no longer registered", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Straight from and into the pages, where the file system takes it.
static void direct(void)
{
    char name[4096];
    const char *folder = getenv("TMPDIR");
    snprintf(name, sizeof name, "%s/touch-XXXXXX", folder ? folder : "/tmp");
    int fd = mkostemp(name, O_DIRECT);
    if (fd < 0)
        fd = mkstemp(name);
    uint8_t *host = touch_map(BYTES), *copy = touch_map(PART);
    unlink(name);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(pwrite(fd, host + AT, PART, 0) == PART && pread(fd, copy, PART, 0) == PART);
        EXPECT(!memcmp(copy, touch_model + AT, PART));
        touch_up("written directly", host, BYTES);
        e2e_pattern(copy, PART, round);
        touch_down(host, BYTES, 10 + round);
        EXPECT(pwrite(fd, copy, PART, 0) == PART && pread(fd, host + AT, PART, 0) == PART);
        memcpy(touch_model + AT, copy, PART);
        touch_up("read directly", host, BYTES);
        memset(copy, (int)round, PART);
        EXPECT(pwrite(fd, copy, PART, 0) == PART && pread(fd, host + AT, PART, 0) == PART);
        memcpy(touch_model + AT, copy, PART);
        touch_up("and again", host, BYTES);
    }
    close(fd);
    touch_unmap(host, BYTES);
    touch_unmap(copy, PART);
}

static void run_plain(void) { with_ring(plain); }
static void run_registered(void) { with_ring(registered); }

const struct touch_case touch_ring[] = {{"ring", run_plain}, {"ring_registered", run_registered}, {"direct", direct}, {NULL, NULL}};
