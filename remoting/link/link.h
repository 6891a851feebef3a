// SPDX-License-Identifier: Apache-2.0
// A link carries bytes both ways between two peers. Kinds: io_uring, plain sockets where io_uring is
// refused, shared memory with a peer on the same machine, and in-process for tests.
#ifndef GN_REMOTING_LINK_H
#define GN_REMOTING_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { GN_LINK_IOVECS_MAX = 8 };

struct gn_link;

// One thread may send while another receives; two may not send, or receive, at once: that is the session's business.
struct gn_link_ops {
    bool direct;      // send with wait = 0 only copies, and wakes a peer that sleeps: fit for the thread of each command, with a lock held
    bool looks;       // recv with wait = 1 looks by itself before it sleeps, for look_ns
    const char *name; // "io_uring", "plain", "shared memory", "in-process"
    // Sends some of the bytes, at least one; blocks until it can. wait = 0: -EAGAIN when it cannot now. -EPIPE, -ECONNRESET, ...: the
    // link is dead.
    ssize_t (*send)(struct gn_link *link, const struct iovec *pieces, int count, int wait);
    // Receives at least one byte; blocks. 0: the peer has closed. wait = 0: -EAGAIN when there is none now.
    ssize_t (*recv)(struct gn_link *link, const struct iovec *pieces, int count, int wait);
    // Blocks until the peer hangs up (1), or gn_link_wake was called (0). For a thread that only watches. Negative: errno.
    int (*watch)(struct gn_link *link);
    void (*wake)(struct gn_link *link);
    // Makes every send and recv under way fail, from any thread.
    void (*shut)(struct gn_link *link);
    void (*close)(struct gn_link *link);
    // In a forked child: closes the child's copies of the descriptors and nothing else; the parent's connection goes on.
    void (*abandon)(struct gn_link *link);
    // Bytes a second that the network took while it had something to do, since this was last asked; 0: not known. From any
    // thread. NULL: there is no network in between.
    uint64_t (*rate)(struct gn_link *link);
};

struct gn_link {
    const struct gn_link_ops *ops;
    uint32_t look_ns; // of links that look by themselves, 0 in the beginning: set before the first recv
    _Atomic uint64_t looks, look_hits;
};

// Addresses: "host:port", "[v6]:port", "unix:/path". Connects, or returns -errno with a sentence in `why` (at least 256 bytes).
int gn_link_connect(const char *address, int timeout_ms, char *why, size_t why_bytes);
// The same for a connection that is made while other threads of the program may fork: *place, -1 before, has the descriptor from its first moment
// to its last, so that a child can close it (remoting/fork.h). disconnect_at closes what is there, if anything.
int gn_link_connect_at(const char *address, int timeout_ms, _Atomic int *place, char *why, size_t why_bytes);
void gn_link_disconnect_at(_Atomic int *place);
// Listens; *bound gets the address with the real port. Returns the descriptor or -errno.
int gn_link_listen(const char *address, char *bound, size_t bound_bytes, char *why, size_t why_bytes);

// A link over a connected stream socket, which it then owns. With plain = 0 it tries io_uring first; *fell_back gets the reason (errno)
// when that was refused and plain sockets serve instead.
int gn_link_open(struct gn_link **link, int fd, int plain, int *fell_back);
void gn_link_free(struct gn_link *link); // after close

#endif
