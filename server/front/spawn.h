// SPDX-License-Identifier: Apache-2.0
// Starting a worker: a fresh process for each session.
//
// The front door starts `genie-srv --worker FD ...` where FD is one end of a socket pair. A worker that waits
// there without a session is a spare; it has the driver library open, and initialised where the configuration
// says so, but has made no context. The session
// comes as one message: the client's socket and a page of shared memory that holds what to know and, later,
// what the worker tells (struct gn_status).
#ifndef GN_SERVER_SPAWN_H
#define GN_SERVER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "remoting/hello.h"
#include "server/log.h"
#include "server/status.h"
#include "server/store/contents.h"
#include "server/worker/worker.h"

enum { GN_PATH_BYTES = 4096, GN_PEER_BYTES = 128 };

struct gn_session_start { // what a session begins with
    struct gn_hello hello;
    struct gn_limits limits;
    uint32_t session; // its number at this server, from 1
    uint32_t version; // of the protocol, chosen
    bool plain;       // no io_uring
    uint32_t lanes;     // that the client may open; 0: none
    bool fetch;         // the client may open a channel that fetches kept bytes
    uint8_t lane_key[GN_LANE_KEY_BYTES]; // of both
    uint64_t shm_bytes; // of a ring of shared memory, for clients on this machine; 0: none
    struct gn_contents_start contents; // its part in the content store
    enum gn_log_level log_level;
    char peer[GN_PEER_BYTES];   // "127.0.0.1" or "uid 1000"
    char driver[GN_PATH_BYTES]; // path of the driver library, or its SONAME
};

enum { GN_LANE_HANDOVER = 0x4e4c4e47, GN_FETCH_HANDOVER = 0x54464e47 }; // "GNLN", "GNFT"
struct gn_lane_handover { // from the front door, with the lane's or the fetch channel's socket
    uint32_t magic, lane;
};

struct gn_worker_start { // what gn_worker_main gets
    int fd;              // the client's socket, close-on-exec; the worker's to close
    int front_fd;        // brings lanes (struct gn_lane_handover); end of file when the front door is gone
    struct gn_store_fds store; // of the content store; -1 where there is none
    const struct gn_session_start *session; // a copy of its own, so that nobody changes it meanwhile
    struct gn_status *status;               // shared with the front door
};

// What a worker's process ends with: the front door's log says it in words.
enum gn_worker_exit {
    GN_EXIT_OVER = 0,     // the client has gone, everything is freed
    GN_EXIT_PROTOCOL = 3, // the client broke the protocol
    GN_EXIT_DRIVER = 4,   // the driver could not be opened or initialised; the client was told
    GN_EXIT_LINK = 5,     // the connection failed
    GN_EXIT_START = 6,    // the front door's message was not understood
};

// Serves one session and returns the exit status (server/worker/worker.c). The front door watches a descriptor of
// its own of the same connection: the client sees the end only when this process is gone, or has called
// shutdown().
int gn_worker_main(const struct gn_worker_start *start);

// --- the worker's side: the process was started by gn_spawn; waits for a session and serves it; returns the
// exit status.
bool gn_spawn_is_saver(int argc, char **argv); // likewise the process of gn_spawn_saver
int gn_spawn_saver_entry(char **argv);
bool gn_spawn_is_worker(int argc, char **argv);
int gn_spawn_worker_entry(char **argv);

// --- the front door's side
struct gn_child { // a worker's process
    pid_t pid;
    int front_fd;             // our end of the pair: the worker sees it close when we are gone
    struct gn_status *status; // of its session, or NULL
};

// Starts a process, which gets the content store's descriptors and initialises the driver at once if `init`. 0 or -errno; *child is valid on 0.
int gn_spawn(struct gn_child *child, const char *driver, bool init, const struct gn_store_fds *store);
// Starts the process that writes the content store to disk (server/store/store_saver.h); it ends when front_fd is closed. 0 or -errno.
int gn_spawn_saver(struct gn_child *child, const struct gn_store_fds *store, const char *directory, uint64_t most_bytes);
// Gives it a session. 0 or -errno: then the process is of no use.
int gn_spawn_give(struct gn_child *child, const struct gn_session_start *start, int client_fd);
// Gives it a lane of its session, or a fetch channel. 0 or -errno; the descriptor stays the caller's too.
int gn_spawn_give_lane(const struct gn_child *child, const struct gn_lane_hello *hello, int lane_fd);
// Whether it has received its session: if it died before, another may serve the same client.
bool gn_spawn_taken(const struct gn_child *child);
// Forgets a child that was reaped: closes and unmaps.
void gn_spawn_release(struct gn_child *child);

#endif
