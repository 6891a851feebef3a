// SPDX-License-Identifier: Apache-2.0
// The front door's event loop: tells when descriptors are ready. On io_uring, or on poll(2) where the kernel
// refuses that; both behave the same.
#ifndef GN_SERVER_FRONT_LOOP_H
#define GN_SERVER_FRONT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct gn_loop;

// In the caller's own structure. `ready` is called again and again while an event lasts; it may watch and
// unwatch anything, itself too.
struct gn_watch {
    int fd;
    short events; // POLLIN, POLLOUT, POLLRDHUP; hang-ups and errors are always told
    void (*ready)(struct gn_watch *watch, short events);
    uint32_t place; // the loop's: 0 when it is not watched
};

// With plain = false io_uring is tried first; *fell_back gets the errno of its refusal, or 0. 0 or -ENOMEM.
int gn_loop_open(struct gn_loop **loop, bool plain, int *fell_back);
void gn_loop_close(struct gn_loop *loop);

int gn_loop_watch(struct gn_loop *loop, struct gn_watch *watch); // 0 or -ENOMEM
void gn_loop_unwatch(
    struct gn_loop *loop,
    struct gn_watch *watch); // before its descriptor is closed; nothing when it is not watched

// Waits for events, at most timeout_ms (-1: for ever), and calls what is ready. 0 or -errno.
int gn_loop_wait(struct gn_loop *loop, int timeout_ms);

#endif
