// SPDX-License-Identifier: Apache-2.0
// A link through memory that two processes of one machine share, beside the Unix socket over which they met.
//
// The memory is a page of positions and two byte rings, one a direction. The server makes it and passes its descriptor, so the client needs
// nothing but the socket: another mount or network namespace does. The socket stays open: it says who the peer is, when it is gone, and carries
// a byte to wake a peer that has slept for long. Nothing in the memory is believed: positions are read once and checked, bytes are copied out.
#ifndef GN_REMOTING_LINK_SHM_H
#define GN_REMOTING_LINK_SHM_H

#include <stdbool.h>
#include <stdint.h>

#include "remoting/link/link.h"

enum {
    GN_SHM_RING_BYTES_MIN = 64 << 10, // a burst of launches
    GN_SHM_RING_BYTES_MAX = 16 << 20, // far more than any cache keeps between the two
};

// A ring's size: a power of two within the bounds.
bool gn_shm_ring_fits(uint64_t ring_bytes);

// Makes memory for two rings that nobody can shrink, grow or seal otherwise. The descriptor (close-on-exec), or -errno where the kernel or a
// sandbox does not give any.
int gn_shm_create(uint64_t ring_bytes);

// A link over such memory and a connected Unix socket. On 0 the socket is the link's, the memory's descriptor stays the caller's and may be
// closed at once. -EBADF: that descriptor is not such memory of that size, sealed.
int gn_link_shm_new(struct gn_link **link, int socket, int memory, uint64_t ring_bytes, bool is_server);

// How long this end leaves between two looks for bytes, as things are: a server looks seldom, and more seldom at a client that only posts.
uint64_t gn_link_shm_pause_ns(struct gn_link *link);

// Whether the two ends of this socket may share memory at all: it is a Unix socket.
bool gn_shm_possible(int socket);

#endif
