// SPDX-License-Identifier: Apache-2.0
// Addresses of servers, "host:port", "[v6]:port", "unix:/path": connecting to one and listening on one.
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "remoting/fork.h"
#include "remoting/link/link.h"

enum { LISTEN_BACKLOG = 64, CONNECT_PAUSE_MS = 5, PORT_MAX = 65535 };

static int split(const char *address, char *host, size_t host_bytes, char *port, size_t port_bytes, char *why,
                 size_t why_bytes)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    if (!colon || !colon[1] || n >= host_bytes || strlen(colon + 1) >= port_bytes) {
        snprintf(why, why_bytes, "'%s' is not an address; expected host:port, [v6]:port or unix:/path", address);
        return -EINVAL;
    }
    // getaddrinfo takes a larger number for its lower 16 bits.
    if (strspn(colon + 1, "0123456789") == strlen(colon + 1) && strtoul(colon + 1, NULL, 10) > PORT_MAX) {
        snprintf(why, why_bytes, "'%s' is no port; the largest is %d", colon + 1, PORT_MAX);
        return -EINVAL;
    }
    if (n > 1 && address[0] == '[' && address[n - 1] == ']')
        snprintf(host, host_bytes, "%.*s", (int)(n - 2), address + 1);
    else
        snprintf(host, host_bytes, "%.*s", (int)n, address);
    snprintf(port, port_bytes, "%s", colon + 1);
    return 0;
}

static int unix_address(const char *path, struct sockaddr_un *un, char *why, size_t why_bytes)
{
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    if (!*path || strlen(path) >= sizeof un->sun_path) {
        snprintf(why, why_bytes, "the path of a Unix socket has 1 to %zu bytes", sizeof un->sun_path - 1);
        return -EINVAL;
    }
    memcpy(un->sun_path, path, strlen(path) + 1);
    return 0;
}

// Connects one address within the time; the descriptor, blocking again, or -errno. *place has it while it is open.
static int connect_one(int family, const struct sockaddr *to, socklen_t to_bytes, int timeout_ms, _Atomic int *place)
{
    gn_fork_hold();
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = fd < 0 ? errno : 0;
    atomic_store(place, fd);
    gn_fork_let();
    if (error)
        return -error;
    // A Unix socket whose queue is full says EAGAIN and is not connecting: it must be asked again.
    while ((error = connect(fd, to, to_bytes) < 0 ? errno : 0) == EAGAIN && timeout_ms > 0) {
        poll(NULL, 0, CONNECT_PAUSE_MS);
        timeout_ms -= CONNECT_PAUSE_MS;
    }
    if (error) {
        if (error == EINPROGRESS) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            socklen_t size = sizeof error;
            int n = poll(&p, 1, timeout_ms);
            error = n == 0 ? ETIMEDOUT : n < 0 ? errno : 0;
            if (n > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        }
    }
    if (error) {
        gn_link_disconnect_at(place);
        return -error;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static int resolve(const char *address, int flags, struct addrinfo **list, char *why, size_t why_bytes)
{
    char host[256], port[32];
    int error = split(address, host, sizeof host, port, sizeof port, why, why_bytes);
    if (error)
        return error;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    error = getaddrinfo(*host ? host : NULL, port, &hints, list);
    if (error) {
        snprintf(why, why_bytes, "%s", gai_strerror(error));
        return -ENOENT;
    }
    return 0;
}

void gn_link_disconnect_at(_Atomic int *place)
{
    gn_fork_hold();
    int fd = atomic_exchange(place, -1);
    if (fd >= 0)
        close(fd);
    gn_fork_let();
}

int gn_link_connect(const char *address, int timeout_ms, char *why, size_t why_bytes)
{
    _Atomic int place = -1;
    return gn_link_connect_at(address, timeout_ms, &place, why, why_bytes);
}

int gn_link_connect_at(const char *address, int timeout_ms, _Atomic int *place, char *why, size_t why_bytes)
{
    int fd = -EHOSTUNREACH;
    if (!strncmp(address, "unix:", 5)) {
        struct sockaddr_un un;
        if ((fd = unix_address(address + 5, &un, why, why_bytes)))
            return fd;
        fd = connect_one(AF_UNIX, (struct sockaddr *)&un, sizeof un, timeout_ms, place);
    } else {
        struct addrinfo *list;
        int error = resolve(address, 0, &list, why, why_bytes);
        if (error)
            return error;
        for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
            fd = connect_one(a->ai_family, a->ai_addr, a->ai_addrlen, timeout_ms, place);
        freeaddrinfo(list);
    }
    if (fd < 0)
        snprintf(why, why_bytes, "%s", strerror(-fd));
    return fd;
}

static int listen_unix(const char *path, char *why, size_t why_bytes)
{
    struct sockaddr_un un;
    int error = unix_address(path, &un, why, why_bytes);
    if (error)
        return error;
    _Atomic int place = -1;
    int live = connect_one(AF_UNIX, (struct sockaddr *)&un, sizeof un, 1000, &place);
    if (live >= 0) {
        close(live);
        snprintf(why, why_bytes, "another server listens there");
        return -EADDRINUSE;
    }
    struct stat st;
    if (live == -ECONNREFUSED && !lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path); // left behind by a server that was killed
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&un, sizeof un) && !listen(fd, LISTEN_BACKLOG))
        return fd;
    error = -errno;
    snprintf(why, why_bytes, "%s", strerror(-error));
    if (fd >= 0)
        close(fd);
    return error;
}

static void name_bound(int fd, char *bound, size_t bound_bytes)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    char host[128] = "", port[16] = "";
    getsockname(fd, (struct sockaddr *)&at, &size);
    getnameinfo((struct sockaddr *)&at, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(bound, bound_bytes, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int gn_link_listen(const char *address, char *bound, size_t bound_bytes, char *why, size_t why_bytes)
{
    if (!strncmp(address, "unix:", 5)) {
        int fd = listen_unix(address + 5, why, why_bytes);
        if (fd >= 0)
            snprintf(bound, bound_bytes, "%s", address);
        return fd;
    }
    struct addrinfo *list;
    int error = resolve(address, AI_PASSIVE, &list, why, why_bytes);
    if (error)
        return error;
    int fd = -1, one = 1;
    error = -EADDRNOTAVAIL;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, LISTEN_BACKLOG)) {
            error = -errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        snprintf(why, why_bytes, "%s", strerror(-error));
        return error;
    }
    name_bound(fd, bound, bound_bytes);
    return fd;
}
