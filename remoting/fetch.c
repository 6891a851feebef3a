// SPDX-License-Identifier: Apache-2.0
// The client's side of the fetch channel, and what a request must be.
#include "remoting/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/cursor.h"
#include "remoting/link/link.h"

bool gn_fetch_request_right(const struct gn_fetch_request *r, uint32_t number)
{
    return r->number == number && r->size_bytes && r->size_bytes <= GN_FETCH_BYTES_MAX && !r->zero;
}

// --- the socket

static int move_all(int fd, void *data, size_t size_bytes, bool sending)
{
    for (uint8_t *at = data; size_bytes;) {
        ssize_t n = sending ? send(fd, at, size_bytes, MSG_NOSIGNAL) : recv(fd, at, size_bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? (errno == EAGAIN ? -ETIMEDOUT : -errno) : -ECONNRESET;
        at += n;
        size_bytes -= (size_t)n;
    }
    return 0;
}

static void limit_time(int fd, int timeout_ms)
{
    struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

// The server says the magic when it is ready to answer. The descriptor becomes the channel's, else it is closed.
static int greet(struct gn_fetch *f, int fd)
{
    uint64_t said = 0;
    int one = 1;
    limit_time(fd, f->timeout_ms);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // a Unix socket refuses, and needs it not
    int error = move_all(fd, f->hello, sizeof f->hello, true);
    error = error ? error : move_all(fd, &said, sizeof said, false);
    if (error || said != GN_FETCH_MAGIC) {
        close(fd);
        return -ECONNREFUSED;
    }
    limit_time(fd, 0);
    int before = atomic_load(&f->fd);
    if (before >= 0 && dup3(fd, before, O_CLOEXEC) < 0)
        error = -errno;
    if (before >= 0)
        close(fd);
    if (error)
        return error;
    fd = before >= 0 ? before : fd;
    f->asked = f->taken = 0;
    f->lost = false;
    atomic_store(&f->fd, fd);
    if (!atomic_load(&f->over)) // who has shut it meanwhile may not have seen the descriptor
        return 0;
    shutdown(fd, SHUT_RDWR);
    return -EPIPE;
}

int gn_fetch_open(struct gn_fetch *f, const char *address, int timeout_ms, uint32_t session, const uint8_t *key)
{
    char why[256];
    struct gn_lane_hello hello = {.purpose = GN_LANE_FETCH, .session = session};
    memset(f, 0, sizeof *f);
    atomic_store(&f->fd, -1);
    f->timeout_ms = timeout_ms;
    memcpy(hello.key, key, sizeof hello.key);
    gn_lane_hello_encode(f->hello, &hello);
    int fd = gn_link_connect(address, timeout_ms, why, sizeof why);
    if (fd < 0)
        return fd;
    f->to_bytes = sizeof f->to;
    if (getpeername(fd, (struct sockaddr *)&f->to, &f->to_bytes)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return greet(f, fd);
}

// Nobody answers any more: the server's end learns of it.
static int lose(struct gn_fetch *f, int error)
{
    f->lost = true;
    shutdown(atomic_load(&f->fd), SHUT_RDWR);
    return error;
}

static int open_again(struct gn_fetch *f)
{
    if (atomic_load(&f->over))
        return -EPIPE;
    int fd = socket(f->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    limit_time(fd, f->timeout_ms); // connecting too
    if (connect(fd, (const struct sockaddr *)&f->to, f->to_bytes)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return greet(f, fd);
}

// --- asking

static int ask(struct gn_fetch *f, uint64_t kept, uint32_t fills, uint64_t offset_bytes, uint32_t bytes)
{
    struct gn_fetch_request r = {.kept = kept, .offset_bytes = offset_bytes, .size_bytes = bytes, .number = f->asked, .fills = fills};
    if (f->lost)
        return -EPIPE;
    int error = move_all(atomic_load(&f->fd), &r, sizeof r, true);
    if (error)
        return lose(f, error);
    f->sizes[f->asked++ % GN_FETCH_AHEAD_MAX] = bytes;
    return 0;
}

static int take(struct gn_fetch *f, void *to)
{
    struct gn_fetch_answer a;
    uint8_t padding[8];
    uint32_t number = f->taken++, bytes = f->sizes[number % GN_FETCH_AHEAD_MAX];
    int fd = atomic_load(&f->fd);
    if (f->lost)
        return -EPIPE;
    int error = move_all(fd, &a, sizeof a, false);
    if (!error && (a.number != number || a.zero || a.code < 0 || a.size_bytes != (a.code ? 0 : bytes)))
        error = -EPROTO;
    if (!error && !a.code)
        error = move_all(fd, to, bytes, false);
    if (!error && !a.code && bytes % 8)
        error = move_all(fd, padding, gn_pad8(bytes) - bytes, false);
    return error ? lose(f, error) : a.code;
}

int gn_fetch_ask(struct gn_fetch *f, uint64_t kept, uint32_t fills, uint64_t offset_bytes, size_t bytes)
{
    int before = errno;
    int r = atomic_load(&f->fd) >= 0 && bytes && bytes <= GN_FETCH_BYTES_MAX && gn_fetch_under_way(f) < GN_FETCH_AHEAD_MAX ? ask(f, kept, fills, offset_bytes, (uint32_t)bytes)
                                                                                                : -EINVAL;
    errno = before;
    return r;
}

int gn_fetch_take(struct gn_fetch *f, void *to)
{
    int before = errno;
    int r = gn_fetch_under_way(f) ? take(f, to) : -EINVAL;
    errno = before;
    return r;
}

// Piece after piece. The first that has a code decides; those that are under way behind it are taken off the channel.
static int fetch_all(struct gn_fetch *f, uint64_t kept, uint32_t fills, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
    size_t asked = 0, got = 0;
    int result = 0;
    while (got < asked || (asked < bytes && !result)) {
        if (asked < bytes && !result && gn_fetch_under_way(f) < GN_FETCH_AHEAD_MAX) {
            size_t n = bytes - asked < GN_FETCH_BYTES_MAX ? bytes - asked : GN_FETCH_BYTES_MAX;
            int error = ask(f, kept, fills, offset_bytes + asked, (uint32_t)n);
            if (error)
                return error;
            asked += n;
            continue;
        }
        size_t n = f->sizes[f->taken % GN_FETCH_AHEAD_MAX];
        int r = take(f, to + got);
        if (r < 0)
            return r;
        result = result ? result : r;
        got += n;
    }
    return result;
}

int gn_fetch(struct gn_fetch *f, uint64_t kept, uint32_t fills, uint64_t offset_bytes, void *to, size_t bytes)
{
    int before = errno;
    int r = gn_fetch_under_way(f) || atomic_load(&f->fd) < 0 ? -EINVAL : fetch_all(f, kept, fills, offset_bytes, to, bytes);
    if (r < 0 && r != -EINVAL && !(r = open_again(f)))
        r = fetch_all(f, kept, fills, offset_bytes, to, bytes);
    if (r < 0 && r != -EINVAL)
        f->taken = f->asked;
    errno = before;
    return r;
}

void gn_fetch_shut(struct gn_fetch *f)
{
    atomic_store(&f->over, true);
    int fd = atomic_load(&f->fd);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

void gn_fetch_close(struct gn_fetch *f)
{
    int fd = atomic_exchange(&f->fd, -1);
    if (fd >= 0)
        close(fd);
}
