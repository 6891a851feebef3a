// SPDX-License-Identifier: Apache-2.0
// A lane: one baseline on one network, with its server, its relay and its measured program, all of them its
// own. Lanes live side by side and take turns.
#ifndef GN_BENCH_LANE_H
#define GN_BENCH_LANE_H

#include "bench/child.h"
#include "bench/results.h"

enum { GN_PEER_WORDS_MAX = 24, GN_PEERS_MAX = 8, GN_OPT_NAMES_MAX = 32 };

enum gn_baseline_kind {
    GN_BASELINE_LIMIT,   // the machine itself (genie-limits)
    GN_BASELINE_LOCAL,   // the program on the driver
    GN_BASELINE_CAPTURE, // the shim in between, which forwards to a local driver
    GN_BASELINE_REMOTE,  // through genie-srv
    GN_BASELINE_PEER,    // through another system, which the configuration names
};

struct gn_peer { // words may have {port}, {address}, {driver} and {scratch} in them
    const char *name;
    const char *server[GN_PEER_WORDS_MAX + 1], *env[GN_PEER_WORDS_MAX + 1],
        *server_env[GN_PEER_WORDS_MAX + 1];
    const char *ready; // what the server prints when it is ready; NULL: when its port takes connections
};

struct gn_baseline {
    char name[64];
    enum gn_baseline_kind kind;
    char opt[128]; // GENIE_OPT
    bool hinted;   // with a sidecar
    const struct gn_peer *peer;
};

// What all lanes share.
struct gn_place {
    char programs[512], libraries[512]; // where genie-srv and the shim are
    char driver[512];
    char hints[512]; // a sidecar, or a folder of them; "": there is none
    char scratch[64], log[128];
    bool mock;                       // the driver is the mock
    char opts[GN_OPT_NAMES_MAX][32]; // the shim's optimisations
    unsigned opt_count;
    struct gn_peer peers[GN_PEERS_MAX];
    unsigned peer_count;
    unsigned next; // socket names
};

struct gn_lane {
    const struct gn_baseline *baseline;
    struct gn_network network;
    struct gn_child server, relay;
    char address[160]; // the program's way to its server
    char why[256];     // why it does not run; "": it does
};

// Finds programs, driver and optimisations, and leaves the peers alone. driver NULL: the mock beside this
// program. false: said why on stderr.
bool gn_place_open(struct gn_place *p, const char *driver);
void gn_place_close(struct gn_place *p);
bool gn_place_has_opt(const struct gn_place *p, const char *name);

// Baselines by name: local, capture_only, local_remote (also called naive), no_semantics, full, or a peer's;
// "no_semantics-X" and "full-X" are these with the optimisation X off. false: there is none.
bool gn_baseline_find(const struct gn_place *p, const char *name, struct gn_baseline *b);

// Starts server and relay. mock: what GENIE_MOCK shall be. A lane that does not start says why, and stays
// closed.
void gn_lane_open(struct gn_place *p, struct gn_lane *lane, const struct gn_baseline *b,
                  const struct gn_network *network, const char *mock);
void gn_lane_close(struct gn_lane *lane);
// How much later than asked the lane's relay was so far, as it says itself; false: there is none.
bool gn_lane_relay_error(struct gn_lane *lane, double *late_us, double *late_p99_us);
// Starts a program in it. args: "@FD" and "@ADDRESS" stand for what they say. extra: one more environment
// entry, or NULL. 0 or -errno.
int gn_lane_start(struct gn_place *p, struct gn_lane *lane, struct gn_child *c, enum gn_child_kind kind,
                  const char *const *args, const char *mock, const char *extra);
// The last lines of the log, for messages.
void gn_place_show_log(const struct gn_place *p);

#endif
