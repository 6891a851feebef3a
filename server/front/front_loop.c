// SPDX-License-Identifier: Apache-2.0
// The front door's event loop.
//
// On io_uring every watch is a poll request that fires once and is made again after its call: so a lasting
// event is told again, as with poll(2). A request carries its place and the place's generation; what comes
// late for a place used again is dropped.
#include "server/front/front_loop.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

enum { RING_ENTRIES = 256 };

struct place {
    struct gn_watch *watch; // NULL: free
    uint32_t generation;
};

struct gn_loop {
    bool plain;
    struct io_uring ring;
    struct place *places; // [0] is never used
    struct pollfd *polls; // plain only, as many
    uint32_t place_count;
};

#define TO_NOBODY UINT64_MAX // completions of requests that end others

static uint64_t tag_of(const struct gn_loop *loop, uint32_t place)
{
    return (uint64_t)loop->places[place].generation << 32 | place;
}

static struct io_uring_sqe *entry(struct gn_loop *loop)
{
    struct io_uring_sqe *e = io_uring_get_sqe(&loop->ring);
    if (!e && io_uring_submit(&loop->ring) >= 0)
        e = io_uring_get_sqe(&loop->ring);
    return e;
}

static int arm(struct gn_loop *loop, const struct gn_watch *watch)
{
    struct io_uring_sqe *e = entry(loop);
    if (!e)
        return -ENOMEM;
    io_uring_prep_poll_add(e, watch->fd, (unsigned)(unsigned short)watch->events);
    io_uring_sqe_set_data64(e, tag_of(loop, watch->place));
    return 0;
}

int gn_loop_open(struct gn_loop **out, bool plain, int *fell_back)
{
    struct gn_loop *loop = calloc(1, sizeof *loop);
    *fell_back = 0;
    if (!loop)
        return -ENOMEM;
    loop->plain = plain;
    if (!plain) {
        int error = -io_uring_queue_init(RING_ENTRIES, &loop->ring, 0);
        if (!error && !(loop->ring.features & IORING_FEAT_EXT_ARG)) { // waiting with a time limit
            io_uring_queue_exit(&loop->ring);
            error = ENOSYS;
        }
        *fell_back = error;
        loop->plain = error;
    }
    *out = loop;
    return 0;
}

void gn_loop_close(struct gn_loop *loop)
{
    if (!loop->plain)
        io_uring_queue_exit(&loop->ring);
    free(loop->places);
    free(loop->polls);
    free(loop);
}

static int grow(struct gn_loop *loop)
{
    uint32_t count = loop->place_count ? 2 * loop->place_count : 64;
    struct place *places = realloc(loop->places, count * sizeof *places);
    if (!places)
        return -ENOMEM;
    loop->places = places;
    struct pollfd *polls = realloc(loop->polls, count * sizeof *polls);
    if (!polls)
        return -ENOMEM;
    loop->polls = polls;
    for (uint32_t i = loop->place_count; i < count; i++) {
        places[i] = (struct place){0};
        polls[i] = (struct pollfd){.fd = -1};
    }
    loop->place_count = count;
    return 0;
}

int gn_loop_watch(struct gn_loop *loop, struct gn_watch *watch)
{
    uint32_t place = 1;
    while (place < loop->place_count && loop->places[place].watch)
        place++;
    if (place >= loop->place_count && grow(loop))
        return -ENOMEM;
    loop->places[place].watch = watch;
    loop->places[place].generation++;
    watch->place = place;
    if (!loop->plain && arm(loop, watch)) {
        loop->places[place].watch = NULL;
        watch->place = 0;
        return -ENOMEM;
    }
    return 0;
}

void gn_loop_unwatch(struct gn_loop *loop, struct gn_watch *watch)
{
    if (!watch->place)
        return;
    struct io_uring_sqe *e = loop->plain ? NULL : entry(loop);
    if (e) {
        io_uring_prep_poll_remove(e, tag_of(loop, watch->place));
        io_uring_sqe_set_data64(e, TO_NOBODY);
        io_uring_submit(
            &loop->ring); // the request holds the file: without this a close would not hang up yet
    }
    loop->places[watch->place].watch = NULL;
    watch->place = 0;
}

static void call(struct gn_loop *loop, uint64_t tag, int result)
{
    uint32_t place = (uint32_t)tag;
    if (tag == TO_NOBODY || place >= loop->place_count || tag_of(loop, place) != tag ||
        !loop->places[place].watch)
        return;
    struct gn_watch *watch = loop->places[place].watch;
    if (result != -ECANCELED)
        watch->ready(watch, result < 0 ? POLLERR : (short)result);
    // Only if it is still the same watch: the call may have ended it, and somebody else may be in its place.
    if (loop->places[place].watch == watch && tag_of(loop, place) == tag && arm(loop, watch))
        loop->places[place].watch = NULL;
}

static int wait_uring(struct gn_loop *loop, int timeout_ms)
{
    struct __kernel_timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    struct io_uring_cqe *cqe;
    int n = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, timeout_ms < 0 ? NULL : &limit, NULL);
    if (n < 0 && n != -ETIME && n != -EINTR && n != -EAGAIN)
        return n;
    // Only what is there now: what the calls make ready is for the next wait, so that the caller's clock is
    // looked at in between.
    for (unsigned ready = io_uring_cq_ready(&loop->ring); ready && !io_uring_peek_cqe(&loop->ring, &cqe);
         ready--) {
        uint64_t tag = io_uring_cqe_get_data64(cqe);
        int result = cqe->res;
        io_uring_cqe_seen(&loop->ring, cqe);
        call(loop, tag, result);
    }
    return 0;
}

static int wait_plain(struct gn_loop *loop, int timeout_ms)
{
    uint32_t count = loop->place_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct gn_watch *w = loop->places[i].watch;
        loop->polls[i] = (struct pollfd){.fd = w ? w->fd : -1, .events = w ? w->events : 0};
    }
    int n = poll(loop->polls, count, timeout_ms);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (uint32_t i = 1; i < count && n; i++) {
        const struct pollfd p = loop->polls[i];
        struct gn_watch *watch = loop->places[i].watch;
        if (!p.revents)
            continue;
        n--;
        if (watch && watch->fd == p.fd && watch->events == p.events)
            watch->ready(watch, p.revents);
    }
    return 0;
}

int gn_loop_wait(struct gn_loop *loop, int timeout_ms)
{
    return loop->plain ? wait_plain(loop, timeout_ms) : wait_uring(loop, timeout_ms);
}
