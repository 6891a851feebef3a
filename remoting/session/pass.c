// SPDX-License-Identifier: Apache-2.0
// Passing descriptors.
#include "remoting/session/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union room {
    char bytes[CMSG_SPACE(GN_PASS_MAX * sizeof(int))];
    struct cmsghdr align;
};

ssize_t gn_pass_send(int socket, const void *data, size_t size_bytes, const int *fds, int count)
{
    union room control = {0};
    struct iovec piece = {.iov_base = (void *)(size_t)data, .iov_len = size_bytes};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count < 0 || count > GN_PASS_MAX)
        return -EINVAL;
    if (count) {
        size_t fds_bytes = (size_t)count * sizeof *fds;
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fds_bytes);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds_bytes);
        memcpy(CMSG_DATA(header), fds, fds_bytes);
    }
    ssize_t n;
    do
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

// Takes what fits, closes what does not.
static int keep(const struct cmsghdr *header, int *fds, int room, int have)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (have < room)
            fds[have++] = fd;
        else
            close(fd);
    }
    return have;
}

ssize_t gn_pass_receive(int socket, void *data, size_t size_bytes, int *fds, int *count)
{
    union room control;
    struct iovec piece = {.iov_base = data, .iov_len = size_bytes};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int room = *count;
    ssize_t n;
    *count = 0;
    do
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h))
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
            *count = keep(h, fds, room, *count);
    return n;
}
