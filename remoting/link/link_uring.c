// SPDX-License-Identifier: Apache-2.0
// A link on io_uring: one ring for sending and one for receiving, since each direction has one user at a time but not the same thread.
//
// A ring is entered once an operation: submit and wait in one system call. No SQPOLL and no single-issuer mode: callers are threads of an
// unmodified program that come and go.
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link_parts.h"

enum {
    RING_ENTRIES = 4, // one operation at a time, and room for what liburing rounds up to
    LITTLE_BYTES = 4096,
};

struct uring {
    struct gn_link link;
    int fd, wake_fd;
    struct gn_link_meter meter;
    struct io_uring out, in;
};

static struct uring *self(struct gn_link *link) { return (struct uring *)link; }

// Submits the prepared operation and waits for it. A signal or the end of a thread that armed it does not end it early.
static ssize_t run(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    int error = io_uring_submit_and_wait(ring, 1);
    while (error == -EINTR || error == -EAGAIN)
        error = io_uring_submit_and_wait(ring, 1);
    if (error < 0)
        return error;
    do
        error = io_uring_wait_cqe(ring, &cqe);
    while (error == -EINTR);
    if (error < 0)
        return error;
    ssize_t result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return result;
}

static ssize_t transfer(struct io_uring *ring, int fd, const struct iovec *pieces, int count, unsigned flags, int send)
{
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    do {
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        if (!sqe)
            return -EBUSY;
        if (send)
            io_uring_prep_sendmsg(sqe, fd, &message, flags);
        else
            io_uring_prep_recvmsg(sqe, fd, &message, flags);
        n = run(ring);
    } while (n == -EINTR || n == -ECANCELED || (n == -EAGAIN && !(flags & MSG_DONTWAIT)));
    return n;
}

// A few commands need no ring either: there is nothing to overlap them with, and the plain call is a third cheaper.
static ssize_t send_little(int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t n;
    do
        n = count == 1 ? send(fd, pieces->iov_base, pieces->iov_len, flags) : sendmsg(fd, &message, flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t uring_send(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    size_t wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += pieces[i].iov_len;
    if (wanted <= LITTLE_BYTES) {
        ssize_t n = send_little(self(link)->fd, pieces, count);
        if (n != -EAGAIN || !wait)
            return n;
    }
    return transfer(&self(link)->out, self(link)->fd, pieces, count, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT), 1);
}

// A look that does not wait needs no ring: the plain call is a third cheaper, and looking is all about how often one can.
static ssize_t uring_recv(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    return wait ? transfer(&self(link)->in, self(link)->fd, pieces, count, 0, 0) : gn_link_look(self(link)->fd, pieces, count);
}

static int uring_watch(struct gn_link *link) { return gn_link_watch_fd(self(link)->fd, self(link)->wake_fd); }
static void uring_wake(struct gn_link *link) { gn_link_wake_fd(self(link)->wake_fd); }
static void uring_shut(struct gn_link *link) { shutdown(self(link)->fd, SHUT_RDWR); }

static uint64_t uring_rate(struct gn_link *link) { return gn_link_meter_rate(&self(link)->meter, self(link)->fd); }

static void uring_close(struct gn_link *link)
{
    io_uring_queue_exit(&self(link)->out);
    io_uring_queue_exit(&self(link)->in);
    close(self(link)->fd);
    close(self(link)->wake_fd);
}

// The rings' memory is not mapped here (dontfork), so liburing's own clean-up would touch what is not there.
static void uring_abandon(struct gn_link *link)
{
    close(self(link)->out.ring_fd);
    close(self(link)->in.ring_fd);
    close(self(link)->fd);
    close(self(link)->wake_fd);
}

static const struct gn_link_ops uring_ops = {
    .name = "io_uring",
    .send = uring_send,
    .recv = uring_recv,
    .watch = uring_watch,
    .wake = uring_wake,
    .shut = uring_shut,
    .close = uring_close,
    .abandon = uring_abandon,
    .rate = uring_rate,
};

int gn_link_uring_new(struct gn_link **link, int fd)
{
    struct uring *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->link.ops = &uring_ops;
    u->fd = fd;
    int error = io_uring_queue_init(RING_ENTRIES, &u->out, 0);
    if (error)
        goto no_out;
    error = io_uring_queue_init(RING_ENTRIES, &u->in, 0);
    if (error)
        goto no_in;
    // A forked child must not share the rings' memory with its parent.
    if ((error = io_uring_ring_dontfork(&u->out)) || (error = io_uring_ring_dontfork(&u->in)))
        goto no_wake;
    u->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (u->wake_fd < 0) {
        error = -errno;
        goto no_wake;
    }
    *link = &u->link;
    return 0;
no_wake:
    io_uring_queue_exit(&u->in);
no_in:
    io_uring_queue_exit(&u->out);
no_out:
    free(u);
    return error;
}
