// SPDX-License-Identifier: Apache-2.0
// What the kinds of link have in common. Private to remoting/link*.c.
#ifndef GN_REMOTING_LINK_PARTS_H
#define GN_REMOTING_LINK_PARTS_H

#include "remoting/link.h"

struct gn_link *gn_link_plain_new(int fd);
int gn_link_uring_new(struct gn_link **link, int fd); // 0, or -errno when io_uring is refused: the descriptor is still the caller's

// Waits for the peer to hang up or for `wake_fd` (an eventfd), which it empties.
int gn_link_watch_fd(int fd, int wake_fd);
void gn_link_wake_fd(int wake_fd);

#endif
