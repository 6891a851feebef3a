// SPDX-License-Identifier: Apache-2.0
// Queues of data for lanes, and their writers.
#include "server/worker/lanes_out.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "remoting/lane.h"
#include "server/worker/staging.h"

struct piece {
    struct piece *next;
    struct gn_lane_data head;
    int slot;
};

struct lane {
    struct gn_lanes_out *lanes;
    int fd; // -1: nobody has joined
    bool writes, over;
    uint32_t number; // of the next piece
    uint64_t queued_bytes; // the piece being written included
    struct piece *first, **last;
    pthread_cond_t changed;
};

struct gn_lanes_out {
    struct gn_worker *worker;
    pthread_mutex_t lock; // guards the lanes; not held over a write
    unsigned turn;        // the lane after the one last chosen is asked first
    struct lane lanes[GN_LANES_MAX];
};

int gn_lanes_out_open(struct gn_lanes_out **lanes, struct gn_worker *w)
{
    struct gn_lanes_out *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->worker = w;
    pthread_mutex_init(&l->lock, NULL);
    for (unsigned i = 0; i < GN_LANES_MAX; i++) {
        struct lane *lane = &l->lanes[i];
        lane->lanes = l;
        lane->fd = -1;
        lane->last = &lane->first;
        pthread_cond_init(&lane->changed, NULL);
    }
    *lanes = l;
    return 0;
}

void gn_lanes_out_join(struct gn_lanes_out *l, unsigned number, int fd)
{
    pthread_mutex_lock(&l->lock);
    l->lanes[number - 1].fd = fd;
    pthread_mutex_unlock(&l->lock);
}

// Until the process ends, or the lane cannot be written to: then what waits goes nowhere, and the lane's reader finds it shut.
static void *write_lane(void *arg)
{
    struct lane *lane = arg;
    struct gn_lanes_out *l = lane->lanes;
    struct gn_staging *staging = l->worker->staging;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!lane->first)
            pthread_cond_wait(&lane->changed, &l->lock);
        struct piece *p = lane->first;
        lane->first = p->next;
        if (!lane->first)
            lane->last = &lane->first;
        bool over = lane->over;
        pthread_mutex_unlock(&l->lock);
        if (!over && gn_lane_write(lane->fd, &p->head, sizeof p->head, gn_staging_data(staging, p->slot), p->head.size_bytes)) {
            over = true;
            shutdown(lane->fd, SHUT_RDWR);
        }
        gn_staging_release(staging, p->slot);
        pthread_mutex_lock(&l->lock);
        lane->over = over;
        lane->queued_bytes -= p->head.size_bytes;
        free(p);
    }
    return NULL;
}

// With the lock: the one that has least to send, or NULL.
static struct lane *choose(struct gn_lanes_out *l)
{
    struct lane *best = NULL;
    uint64_t least = 0;
    for (unsigned i = 1; i <= GN_LANES_MAX; i++) {
        struct lane *lane = &l->lanes[(l->turn + i) % GN_LANES_MAX];
        if (lane->fd < 0 || lane->over)
            continue;
        uint64_t bytes = lane->queued_bytes + (uint64_t)gn_lane_unsent(lane->fd);
        if (!best || bytes < least) {
            best = lane;
            least = bytes;
        }
    }
    if (best)
        l->turn = (unsigned)(best - l->lanes);
    return best;
}

// With the lock. A writer that cannot be started leaves its lane without data to the client.
static bool has_writer(struct lane *lane)
{
    pthread_t thread;
    if (!lane->writes && !pthread_create(&thread, NULL, write_lane, lane)) {
        pthread_detach(thread);
        lane->writes = true;
    }
    return lane->writes;
}

bool gn_lanes_out_push(struct gn_lanes_out *l, uint64_t transfer, uint64_t offset, uint64_t size_bytes, int slot)
{
    if (!l || size_bytes < GN_LANE_BYTES_MIN)
        return false;
    struct piece *p = malloc(sizeof *p);
    pthread_mutex_lock(&l->lock);
    struct lane *lane = p ? choose(l) : NULL;
    if (!lane || !has_writer(lane)) {
        pthread_mutex_unlock(&l->lock);
        free(p);
        return false;
    }
    *p = (struct piece){.head = {transfer, offset, (uint32_t)size_bytes, lane->number++}, .slot = slot};
    *lane->last = p;
    lane->last = &p->next;
    lane->queued_bytes += size_bytes;
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&l->lock);
    atomic_fetch_add_explicit(&l->worker->status->lane_sends, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->worker->status->payload_out_bytes, size_bytes, memory_order_relaxed);
    return true;
}
