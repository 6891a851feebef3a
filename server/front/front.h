// SPDX-License-Identifier: Apache-2.0
// The front door: accepts connections, admits clients, gives each a worker process, and watches over both. It
// never calls CUDA.
//
// One thread, one event loop. front.c: listening, signals, the end; front_hello.c: connections that have not
// said who they are; front_session.c: sessions and their processes; control.c: genie-ctl's questions.
#ifndef GN_SERVER_FRONT_H
#define GN_SERVER_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "remoting/hello.h"
#include "server/config.h"
#include "server/front/front_loop.h"
#include "server/front/spawn.h"

#define GN_SERVER_VERSION "0.1.0"

enum {
    GN_HALF_OPEN_MAX = 64,     // connections without a hello: each is a descriptor and 4 KiB
    GN_HANGUP_GRACE_MS = 1500, // what a worker has to end after its client: the rest of 2 s is for the kernel
    GN_CONTROL_MAX = 8,        // connections of genie-ctl
    GN_FETCH_JOINS_MAX = 64,   // fetch channels of one session, one after the other: each is opened again once when it breaks
};

struct gn_front;

struct gn_half_open {
    struct gn_watch watch; // first: the loop's pointer is ours
    struct gn_front *front;
    int64_t since_ms, until_ms;
    size_t got_bytes, want_bytes;
    char peer[GN_PEER_BYTES];
    uint8_t bytes[GN_PREFIX_BYTES + GN_HELLO_BYTES_MAX];
};

struct gn_served {
    struct gn_watch watch; // first; of the client's socket, only to see it hang up
    struct gn_front *front;
    struct gn_child child;
    struct gn_session_start start;
    int64_t since_ms;
    int64_t kill_at_ms; // 0: not yet
    bool killed;
    bool again; // it has its second worker
    uint32_t lanes_joined; // bit n: lane n; each joins once
    uint32_t fetches_joined;
    struct gn_served *next;
};

struct gn_spare {
    struct gn_child child;
    struct gn_spare *next;
};

struct gn_listener {
    struct gn_watch watch; // first
    struct gn_front *front;
    char address[GN_ADDRESS_BYTES]; // with the real port
};

struct gn_control_socket; // control.h

struct gn_front {
    const struct gn_server_config *config;
    struct gn_loop *loop;
    struct gn_watch signals;
    struct gn_listener listeners[GN_LISTEN_MAX];
    unsigned listener_count;
    bool accepting;
    int64_t accept_again_ms; // 0, or when listening goes on after a pause
    struct gn_half_open *half_open[GN_HALF_OPEN_MAX];
    unsigned half_open_count;
    struct gn_served *sessions;
    unsigned session_count;
    uint32_t last_session;
    struct gn_spare *spares;
    unsigned spare_count;
    int64_t spawn_again_ms; // 0, or when a spare is tried again after a failure
    uint64_t refused;
    int64_t started_ms;
    struct gn_store_fds store; // the content store; -1: none
    struct gn_store *store_view; // for its counts, or NULL
    struct gn_child saver;       // writes it to disk; pid 0: none
    int64_t saver_again_ms;      // when it may be started
    bool stopping;
    int64_t stop_at_ms; // when sessions that are left are killed
    struct gn_control_socket *control;
};

int64_t gn_now_ms(void); // monotonic

// Runs until a signal ends it. The exit status of the program.
int gn_front_run(const struct gn_server_config *config);

// front.c, for front_hello.c
void gn_front_pause(struct gn_front *front, int64_t until_ms);
const char *gn_front_name_peer(int fd, char *peer, size_t peer_bytes);

// front_hello.c
void gn_half_open_new(struct gn_front *front, int fd);
bool gn_half_open_room(struct gn_front *front,
                       int64_t now_ms); // makes some where one has idled; false: there is none
void gn_half_open_expire(struct gn_front *front, int64_t now_ms);
void gn_half_open_end_all(struct gn_front *front);
int64_t gn_half_open_deadline(const struct gn_front *front); // INT64_MAX: none
// Tells a client why it is refused; the descriptor stays the caller's.
void gn_front_refuse(struct gn_front *front, int fd, const char *peer, const char *program, int32_t status,
                     const char *reason);

// front_store.c
void gn_front_open_store(struct gn_front *front);
void gn_front_close_store(struct gn_front *front, int64_t until_ms);
void gn_front_start_saver(struct gn_front *front, int64_t now_ms); // where there is to be one and there is none
int64_t gn_front_saver_deadline(const struct gn_front *front);
bool gn_front_saver_ended(struct gn_front *front, pid_t pid, int status); // whether it was that
// Whose content a session's is: of the Unix user, of who knows the token, or of the address, in this order.
void gn_front_name_tenant(const struct gn_front *front, const struct gn_hello *hello, const char *peer, char tenant[GN_TENANT_BYTES]);

// front_session.c
// Takes the connection over. 0 or -errno: then it is still the caller's.
int gn_served_new(struct gn_front *front, int fd, const struct gn_hello *hello, uint32_t version,
                  const char *peer);
// A connection shows a session's key: its worker gets it as a lane. 0 or -errno; the descriptor stays the caller's too.
int gn_served_join(struct gn_front *front, const struct gn_lane_hello *hello, int fd);
unsigned gn_served_of_peer(const struct gn_front *front, const char *peer);
void gn_served_reap(struct gn_front *front);
void gn_served_expire(struct gn_front *front, int64_t now_ms);
void gn_served_kill_all(struct gn_front *front);
int64_t gn_served_deadline(const struct gn_front *front);
void gn_spares_fill(struct gn_front *front, int64_t now_ms);
void gn_spares_end(struct gn_front *front);

#endif
