// SPDX-License-Identifier: Apache-2.0
// The process that writes the content store to disk, so that neither the front door nor a worker waits for one: `genie-srv --store`, a child of the
// front door. It writes what is new every now and then, cleans up beyond the limit, and ends when the front door's end of the socket is closed,
// after it has written what is left.
#ifndef GN_SERVER_STORE_SAVER_H
#define GN_SERVER_STORE_SAVER_H

#include "server/store/store.h"

struct gn_saver_start {
    int front_fd; // readable or closed: time to end
    struct gn_store_fds fds;
    const char *directory;
    uint64_t most_bytes;
};

int gn_saver_main(const struct gn_saver_start *start); // the exit status

#endif
