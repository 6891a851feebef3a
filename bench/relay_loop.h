// SPDX-License-Identifier: Apache-2.0
// The relay's connections: sockets on both sides of two delay lines each, served by one thread.
#ifndef GN_BENCH_RELAY_LOOP_H
#define GN_BENCH_RELAY_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/histogram.h"

enum { GN_RELAY_CONNECTIONS_MAX = 1024 }; // two descriptors each; more is a mistake of whoever runs it

struct gn_relay_settings {
    const char *listen, *server;
    uint64_t delay_ns;     // one way
    double gbit[2];        // to the server, to the client; 0: no limit
    size_t queue_bytes;    // of each direction
    uint64_t cut_bytes;    // a connection ends after so many bytes, both directions together; 0: never
    uint64_t cut_ns;       // or so long after it was accepted; 0: never
    unsigned cut_count;    // only so many connections are cut; 0: all
    bool cut_politely;     // by a FIN, not a reset
    unsigned pieces_bytes; // each send takes 1 to so many bytes; 0: whatever is due
    uint64_t seed;         // of the pieces
    uint64_t spin_ns;      // the last part of a wait, at most so long, is spent polling
};

// What the relay knows of its own error.
struct gn_relay_counts {
    uint64_t connections, cut, refused, bytes[2];
    struct gn_histogram late; // from when bytes were due to when the kernel got them, while the receiver was
                              // not the one that held them up
    // Of the times in which a line with a bandwidth had more to carry than it could.
    uint64_t full_bytes[2], full_ns[2];
};

struct gn_relay;

// Listens. *bound gets the address with the real port. 0 or -errno with a sentence in `why`.
int gn_relay_open(struct gn_relay **relay, const struct gn_relay_settings *settings, char *bound,
                  size_t bound_bytes, char *why, size_t why_bytes);
// Forwards until *stop; calls report whenever *asked is set, and clears it. Signals end waits that they
// interrupt.
int gn_relay_run(struct gn_relay *relay, const _Atomic int *stop, _Atomic int *asked,
                 void (*report)(const struct gn_relay *));
const struct gn_relay_counts *gn_relay_counts(const struct gn_relay *relay);
const struct gn_relay_settings *gn_relay_settings(const struct gn_relay *relay);
void gn_relay_close(struct gn_relay *relay);

#endif
