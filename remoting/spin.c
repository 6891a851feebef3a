// SPDX-License-Identifier: Apache-2.0
// Looking before sleeping.
#include "remoting/spin.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#include "remoting/lock.h"

enum {
    SHORT_NS = 100000, // a sleep that looking on both sides might have avoided
    SHORT_COUNTS = 8,  // as so many others
    RETRY_FACTOR = 3,  // so much longer is a look that is tried again: the peer may have to wake up first, to find that looking pays
    EARLY_MAX = 4,     // receives in a row that found nothing at once: as after a question. Then it gives way first, except
    EARLY_EVERY = 16,  // for each so manyth
    REST_GROWTH = 4,   // each time that the core is lost
    REST_DECAY = 64,   // with each hit by such a part
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void count(_Atomic uint64_t *counter) // one thread at a time receives
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

void gn_spin_init(struct gn_spin *spin, uint32_t limit_ns)
{
    cpu_set_t cores;
    bool alone = sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) < 2;
    spin->limit_ns = alone ? 0 : limit_ns < GN_SPIN_NS_MAX ? limit_ns : GN_SPIN_NS_MAX;
    spin->rest_ns = GN_SPIN_REST_NS;
}

static uint32_t rest_of(const struct gn_spin *spin) { return spin->rest > GN_SPIN_RETRY ? spin->rest : GN_SPIN_RETRY; }

bool gn_spin_pays(const struct gn_spin *spin)
{
    return spin->limit_ns && (spin->failures < GN_SPIN_FAILURES || spin->skipped >= rest_of(spin));
}

uint64_t gn_spin_look_ns(const struct gn_spin *spin)
{
    return (uint64_t)spin->limit_ns * (spin->failures < GN_SPIN_FAILURES ? 1 : RETRY_FACTOR);
}

void gn_spin_judge(struct gn_spin *spin, enum gn_look look)
{
    spin->skipped = 0;
    count(&spin->looks);
    if (look == GN_LOOK_HIT) {
        count(&spin->hits);
        spin->failures = 0;
        spin->hits_since += spin->hits_since < GN_SPIN_LONE_HITS;
        spin->rest = rest_of(spin) - rest_of(spin) / REST_DECAY; // the neighbour may have gone; but one good look does not prove it
    } else if (look == GN_LOOK_LOST) {
        spin->failures = GN_SPIN_FAILURES;
        if (spin->hits_since < GN_SPIN_LONE_HITS)
            spin->rest = rest_of(spin) < GN_SPIN_REST_MAX / REST_GROWTH ? rest_of(spin) * REST_GROWTH : GN_SPIN_REST_MAX;
        spin->hits_since = 0;
    } else if (spin->failures < GN_SPIN_FAILURES) {
        spin->failures++;
    }
    if (spin->failures == GN_SPIN_FAILURES)
        spin->given_up_ns = now_ns();
}

// A sleep that was short was perhaps only so long because of the wake-ups: then looking is tried again sooner.
void gn_spin_slept(struct gn_spin *spin, uint64_t slept_ns)
{
    spin->skipped += slept_ns < SHORT_NS && rest_of(spin) == GN_SPIN_RETRY ? SHORT_COUNTS : 1;
    if (spin->rest_ns && spin->skipped < rest_of(spin) && now_ns() - spin->given_up_ns >= spin->rest_ns)
        spin->skipped = rest_of(spin);
}

static ssize_t sleep_for(struct gn_spin *spin, struct gn_link *link, const struct iovec *pieces, int count_of_pieces)
{
    if (!spin->limit_ns)
        return link->ops->recv(link, pieces, count_of_pieces, 1);
    uint64_t begin = now_ns();
    ssize_t n = link->ops->recv(link, pieces, count_of_pieces, 1);
    gn_spin_slept(spin, now_ns() - begin);
    return n;
}

ssize_t gn_spin_recv(struct gn_spin *spin, struct gn_link *link, const struct iovec *pieces, int count_of_pieces)
{
    if (link->ops->looks) {
        ssize_t n = link->ops->recv(link, pieces, count_of_pieces, 1);
        atomic_store_explicit(&spin->looks, atomic_load_explicit(&link->looks, memory_order_relaxed), memory_order_relaxed);
        atomic_store_explicit(&spin->hits, atomic_load_explicit(&link->look_hits, memory_order_relaxed), memory_order_relaxed);
        return n;
    }
    if (!gn_spin_pays(spin))
        return sleep_for(spin, link, pieces, count_of_pieces);
    ssize_t n = -EAGAIN;
    if (spin->early < EARLY_MAX || ++spin->waits % EARLY_EVERY == 0) {
        n = link->ops->recv(link, pieces, count_of_pieces, 0);
        spin->early = n == -EAGAIN ? spin->early + (spin->early < EARLY_MAX) : 0;
        if (n != -EAGAIN) // no look was needed; this says nothing about whether one pays
            return n;
    }
    uint64_t begin = now_ns(), last = begin, now = begin;
    uint64_t limit_ns = gn_spin_look_ns(spin);
    bool lost = false;
    while (n == -EAGAIN && now - begin < limit_ns) {
        sched_yield(); // the peer, or the thread that sends to it, may wait for this very core
        n = link->ops->recv(link, pieces, count_of_pieces, 0);
        now = now_ns();
        lost = lost || now - last > GN_SPIN_LOST_NS;
        last = now;
    }
    gn_spin_judge(spin, lost ? GN_LOOK_LOST : n != -EAGAIN ? GN_LOOK_HIT : GN_LOOK_MISS);
    return n != -EAGAIN ? n : sleep_for(spin, link, pieces, count_of_pieces);
}
