// SPDX-License-Identifier: Apache-2.0
// Descriptors that travel beside bytes over a Unix socket.
#ifndef GN_REMOTING_PASS_H
#define GN_REMOTING_PASS_H

#include <stddef.h>
#include <sys/types.h>

enum { GN_PASS_MAX = 8 }; // descriptors of one message: more are never passed, and never kept when a peer passes them

// Sends some of the bytes, at least one, with `count` descriptors beside the first; they stay the caller's too. -errno.
ssize_t gn_pass_send(int socket, const void *data, size_t size_bytes, const int *fds, int count);

// Receives some of the bytes and the descriptors beside them: close-on-exec and the caller's. *count: room in fds, then how many came;
// what is beyond the room is closed. 0: the peer has closed. -errno.
ssize_t gn_pass_receive(int socket, void *data, size_t size_bytes, int *fds, int *count);

#endif
