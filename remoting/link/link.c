// SPDX-License-Identifier: Apache-2.0
// Opening a link over a connected socket: io_uring where the kernel lets us, plain sockets elsewhere.
#include "remoting/link/link.h"

#include <errno.h>
#include <linux/tcp.h> // libc has an older struct tcp_info
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link_parts.h"

// A machine that is gone is found within KEEP_IDLE_S + KEEP_INTERVAL_S * KEEP_PROBES seconds by who only waits; by who has sent something, when
// the kernel gives up repeating it. There is no TCP_USER_TIMEOUT: it would end the connection to a peer that lives and answers, but does not read
// for so long, because it is stopped in a debugger or its driver is busy.
enum { KEEP_IDLE_S = 5, KEEP_INTERVAL_S = 2, KEEP_PROBES = 3 };

// On a short way a pacing congestion control (BBR, a distribution's default now and then) costs a third of the bandwidth and nothing is gained:
// cubic there, the system's choice on long ways. The kernel knows the round trip from the handshake.
enum { SHORT_WAY_US = 1000 };

static void choose_congestion_control(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) && size >= offsetof(struct tcp_info, tcpi_rttvar) && info.tcpi_rtt < SHORT_WAY_US)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", sizeof "cubic" - 1); // a kernel without it keeps its own
}

static void tune(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) || (at.ss_family != AF_INET && at.ss_family != AF_INET6))
        return;
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
    choose_congestion_control(fd);
}

int gn_link_open(struct gn_link **link, int fd, int plain, int *fell_back)
{
    *fell_back = 0;
    tune(fd);
    if (!plain) {
        int error = gn_link_uring_new(link, fd);
        if (!error)
            return 0;
        *fell_back = -error;
    }
    *link = gn_link_plain_new(fd);
    return *link ? 0 : -ENOMEM;
}

void gn_link_free(struct gn_link *link) { free(link); }

ssize_t gn_link_look(int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = count == 1 ? recv(fd, pieces->iov_base, pieces->iov_len, MSG_DONTWAIT) : recvmsg(fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int gn_link_watch_fd(int fd, int wake_fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLRDHUP}, {.fd = wake_fd, .events = POLLIN}};
    uint64_t count;
    while (poll(p, 2, -1) < 0)
        if (errno != EINTR)
            return -errno;
    if (p[1].revents && read(wake_fd, &count, sizeof count) < 0)
        return -errno;
    return p[0].revents ? 1 : 0;
}

void gn_link_wake_fd(int wake_fd)
{
    uint64_t one = 1;
    while (write(wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

uint64_t gn_link_meter_rate(struct gn_link_meter *meter, int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) || size < offsetof(struct tcp_info, tcpi_busy_time) + 8)
        return 0;
    int64_t acked_bytes = (int64_t)(info.tcpi_bytes_acked - atomic_exchange(&meter->acked_bytes, info.tcpi_bytes_acked));
    int64_t busy_us = (int64_t)(info.tcpi_busy_time - atomic_exchange(&meter->busy_us, info.tcpi_busy_time));
    bool known = acked_bytes > 0 && busy_us > 0; // two threads that ask at once may each get half of the other's answer
    return known ? (uint64_t)acked_bytes * 1000000 / (uint64_t)busy_us : 0;
}
