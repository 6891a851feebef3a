// SPDX-License-Identifier: Apache-2.0
// Receiving with a short look around first: a peer that answers within some microseconds is heard without going to sleep, which saves the
// wake-up, half the time of a round trip.
//
// Looking only pays while the peer runs, on another core or when this one is left to it: a look ends with giving way (sched_yield). So it is given
// up after GN_SPIN_FAILURES looks in vain, and tried again at every GN_SPIN_RETRY-th receive only. A thread that loses its core to somebody
// else while it looks gives up at once, and for four times as long when that happens again soon: beside busy neighbours there is next to no looking
// left.
#ifndef GN_REMOTING_SPIN_H
#define GN_REMOTING_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "remoting/link/link.h"

enum {
    GN_SPIN_NS = 30000,  // two round trips of a local network's: who has not answered then does something longer
    GN_SPIN_NS_MAX = 1000000,
    GN_SPIN_FAILURES = 3,
    GN_SPIN_RETRY = 64,
    GN_SPIN_REST_MAX = 4096, // beside a neighbour that never rests a look costs three milliseconds, that many sleeps a quarter of a second
    GN_SPIN_REST_NS = 100000000, // nor for longer than this: a program that goes on to something else finds that looking pays again. Beside such a
                                 // neighbour that is three in a hundred
    GN_SPIN_LONE_HITS = 64, // looks that found something before the core was lost: that was somebody who passed by
    GN_SPIN_LOST_NS = 500000, // so long between two looks: a neighbour had the core. The peer, on the same core, needs it for less
};

struct gn_spin { // of one direction of one link; used by the thread that receives
    uint32_t limit_ns; // 0: sleeps at once
    uint32_t rest_ns;  // looking that was given up is tried again after so long; 0: after so many receives only
    uint64_t given_up_ns; // when
    uint32_t failures, skipped;
    uint32_t rest; // once given up: so many receives without looking; 0: GN_SPIN_RETRY
    uint32_t hits_since; // the core was last lost
    uint32_t early, waits; // first looks in vain, in a row; receives since these are left out
    _Atomic uint64_t looks, hits; // for statistics
};

// limit_ns, or 0 where there is only one core: nobody could answer while this thread looks.
void gn_spin_init(struct gn_spin *spin, uint32_t limit_ns);

// For those who look for something else than bytes, or by themselves: whether to look this time, and how it went. Who does not look says so by gn_spin_slept.
bool gn_spin_pays(const struct gn_spin *spin);
uint64_t gn_spin_look_ns(const struct gn_spin *spin); // and for how long at most
enum gn_look { GN_LOOK_HIT, GN_LOOK_MISS, GN_LOOK_LOST }; // lost: the core, to somebody else
void gn_spin_judge(struct gn_spin *spin, enum gn_look look);
void gn_spin_slept(struct gn_spin *spin, uint64_t slept_ns);

// As recv of the link with wait = 1.
ssize_t gn_spin_recv(struct gn_spin *spin, struct gn_link *link, const struct iovec *pieces, int count);

#endif
