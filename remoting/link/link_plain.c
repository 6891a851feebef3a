// SPDX-License-Identifier: Apache-2.0
// A link on plain socket calls: where io_uring is refused (seccomp profiles of containers do), and where it is switched off.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link_parts.h"

struct plain {
    struct gn_link link;
    int fd, wake_fd;
    struct gn_link_meter meter;
};

static struct plain *self(struct gn_link *link) { return (struct plain *)link; }

static ssize_t plain_send(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = sendmsg(self(link)->fd, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t plain_recv(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    if (!wait)
        return gn_link_look(self(link)->fd, pieces, count);
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = recvmsg(self(link)->fd, &message, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int plain_watch(struct gn_link *link) { return gn_link_watch_fd(self(link)->fd, self(link)->wake_fd); }
static void plain_wake(struct gn_link *link) { gn_link_wake_fd(self(link)->wake_fd); }
static void plain_shut(struct gn_link *link) { shutdown(self(link)->fd, SHUT_RDWR); }

static uint64_t plain_rate(struct gn_link *link) { return gn_link_meter_rate(&self(link)->meter, self(link)->fd); }

static void plain_close(struct gn_link *link)
{
    close(self(link)->fd);
    close(self(link)->wake_fd);
}

static const struct gn_link_ops plain_ops = {
    .name = "plain",
    .send = plain_send,
    .recv = plain_recv,
    .watch = plain_watch,
    .wake = plain_wake,
    .shut = plain_shut,
    .close = plain_close,
    .abandon = plain_close,
    .rate = plain_rate,
};

struct gn_link *gn_link_plain_new(int fd)
{
    struct plain *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->link.ops = &plain_ops;
    p->fd = fd;
    p->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (p->wake_fd < 0) {
        free(p);
        return NULL;
    }
    return &p->link;
}
