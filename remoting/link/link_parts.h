// SPDX-License-Identifier: Apache-2.0
// What the kinds of link have in common. Private to remoting/link/.
#ifndef GN_REMOTING_LINK_PARTS_H
#define GN_REMOTING_LINK_PARTS_H

#include <stdint.h>

#include "remoting/link/link.h"

struct gn_link *gn_link_plain_new(int fd);
int gn_link_uring_new(struct gn_link **link, int fd); // 0, or -errno when io_uring is refused: the descriptor is still the caller's

// Receives what is there without waiting, with a plain call; -EAGAIN when there is nothing.
ssize_t gn_link_look(int fd, const struct iovec *pieces, int count);

// Waits for the peer to hang up or for `wake_fd` (an eventfd), which it empties.
int gn_link_watch_fd(int fd, int wake_fd);
void gn_link_wake_fd(int wake_fd);

struct gn_link_meter { // what the kernel had counted when it was last asked
    _Atomic uint64_t acked_bytes, busy_us;
};
uint64_t gn_link_meter_rate(struct gn_link_meter *meter, int fd); // as gn_link_ops.rate

#endif
