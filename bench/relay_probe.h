// SPDX-License-Identifier: Apache-2.0
// What a relay adds by itself: ping-pongs with an echo in this process, without a relay and through one.
#ifndef GN_BENCH_RELAY_PROBE_H
#define GN_BENCH_RELAY_PROBE_H

#include "bench/relay_loop.h"

struct gn_relay_probe {
    double direct_us, p99_direct_us; // a 64-byte round trip, median
    double base_us, p99_base_us;     // through a relay without delay
    double asked_us, p99_asked_us;   // through one with the delay that is asked
};

// Uses the kind of address that settings->listen has. 0 or -errno.
int gn_relay_probe(const struct gn_relay_settings *settings, struct gn_relay_probe *result);

#endif
