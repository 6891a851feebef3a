// SPDX-License-Identifier: Apache-2.0
// Lanes: joining, reading ahead, handing over.
#include "server/worker/lanes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cursor.h"
#include "core/frame.h"
#include "remoting/lane.h"
#include "remoting/session/pass.h"
#include "server/front/spawn.h"
#include "server/kept/fetch.h"
#include "server/log.h"
#include "server/worker/commands.h"
#include "server/worker/lanes_out.h"
#include "server/worker/staging.h"

struct piece {
    struct piece *next;
    int slot;
    uint64_t size_bytes;
};

struct lane {
    struct gn_lanes_in *lanes;
    int fd; // -1: nobody has joined
    unsigned number;
    struct piece *first, **last;
    bool over;
};

struct gn_lanes_in {
    struct gn_worker *worker;
    int front_fd, client_fd;
    unsigned most;
    pthread_mutex_t lock; // guards the lanes
    pthread_cond_t changed;
    struct lane lanes[GN_LANES_MAX];
};

// The session ends with its lane: for a reason of the client's, or because the client has gone.
static void end(struct lane *lane, int result, const char *why)
{
    struct gn_lanes_in *l = lane->lanes;
    pthread_mutex_lock(&l->lock);
    lane->over = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    gn_commands_end(l->worker, result, why);
    shutdown(l->client_fd, SHUT_RD); // who reads commands looks up
}

// One piece into a slot of its own. 0, or -errno when the lane is over; *why is set for a violation.
static int read_piece(struct lane *lane, uint32_t number, const char **why)
{
    struct gn_lanes_in *l = lane->lanes;
    struct gn_lane_piece head;
    uint8_t padding[8];
    int error = gn_lane_read(lane->fd, &head, sizeof head);
    if (error)
        return error;
    *why = "a lane's piece out of order, or of an impossible size";
    if (!gn_lane_piece_right(&head, number, l->worker->limits.chunk_bytes))
        return -EPROTO;
    struct piece *p = calloc(1, sizeof *p);
    *why = "more payload on lanes than the window allows";
    if (!p || (p->slot = gn_staging_take(l->worker->staging, GN_SLOT_LARGE)) < 0) {
        free(p);
        return -EPROTO;
    }
    *why = NULL;
    p->size_bytes = head.size_bytes;
    error = gn_lane_read(lane->fd, gn_staging_data(l->worker->staging, p->slot), p->size_bytes);
    error = error ? error : gn_lane_read(lane->fd, padding, gn_pad8(p->size_bytes) - p->size_bytes);
    if (error) {
        free(p);
        return error;
    }
    pthread_mutex_lock(&l->lock);
    *lane->last = p;
    lane->last = &p->next;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static void *read_lane(void *arg)
{
    struct lane *lane = arg;
    const char *why = NULL;
    uint64_t said = lane->number;
    int error = send(lane->fd, &said, sizeof said, MSG_NOSIGNAL) == sizeof said ? 0 : -EPIPE;
    if (!error && lane->lanes->worker->lanes_out)
        gn_lanes_out_join(lane->lanes->worker->lanes_out, lane->number, lane->fd);
    for (uint32_t number = 0; !error; number++)
        error = read_piece(lane, number, &why);
    end(lane, why ? -EPROTO : 0, why ? why : "a lane has gone");
    return NULL;
}

static void join(struct gn_lanes_in *l, unsigned number, int fd)
{
    pthread_t thread;
    struct lane *lane = number >= 1 && number <= l->most ? &l->lanes[number - 1] : NULL;
    if (!lane || lane->fd >= 0) {
        close(fd);
        return;
    }
    pthread_mutex_lock(&l->lock);
    lane->fd = fd;
    pthread_mutex_unlock(&l->lock);
    atomic_fetch_add(&l->worker->status->lanes, 1);
    if (pthread_create(&thread, NULL, read_lane, lane)) {
        shutdown(fd, SHUT_RDWR); // the client sees that it does not get ready
        return;
    }
    pthread_detach(thread);
}

// Until the front door is gone: then so is this process, soon.
static void *listen_for_lanes(void *arg)
{
    struct gn_lanes_in *l = arg;
    for (;;) {
        struct gn_lane_handover message = {0};
        int fd = -1, count = 1;
        ssize_t n = gn_pass_receive(l->front_fd, &message, sizeof message, &fd, &count);
        if (n <= 0)
            return NULL;
        if (n == sizeof message && message.magic == GN_LANE_HANDOVER && count == 1)
            join(l, message.lane, fd);
        else if (n == sizeof message && message.magic == GN_FETCH_HANDOVER && count == 1)
            gn_fetches_join(l->worker, fd);
        else if (count)
            close(fd);
    }
}

int gn_lanes_in_open(struct gn_lanes_in **lanes, struct gn_worker *w, int front_fd, int client_fd, unsigned most)
{
    struct gn_lanes_in *l = calloc(1, sizeof *l);
    pthread_t thread;
    if (!l)
        return -ENOMEM;
    l->worker = w;
    l->front_fd = front_fd;
    l->client_fd = client_fd;
    l->most = most;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    for (unsigned i = 0; i < GN_LANES_MAX; i++) {
        struct lane *lane = &l->lanes[i];
        lane->lanes = l;
        lane->fd = -1;
        lane->number = i + 1;
        lane->last = &lane->first;
    }
    *lanes = l; // before the thread: a lane may end the session at once
    int error = pthread_create(&thread, NULL, listen_for_lanes, l);
    if (error) {
        *lanes = NULL;
        free(l);
        return -error;
    }
    pthread_detach(thread);
    return 0;
}

int gn_lanes_in_take(struct gn_lanes_in *l, unsigned number, uint64_t size_bytes)
{
    if (!l || !number || number > l->most || size_bytes <= GN_SMALL_PAYLOAD_BYTES)
        return -EPROTO;
    struct lane *lane = &l->lanes[number - 1];
    pthread_mutex_lock(&l->lock);
    while (lane->fd >= 0 && !lane->first && !lane->over)
        pthread_cond_wait(&l->changed, &l->lock);
    struct piece *p = lane->first;
    int slot = p ? p->slot : lane->over ? -ECONNRESET : -EPROTO;
    bool fits = p && p->size_bytes == size_bytes;
    if (p) {
        lane->first = p->next;
        if (!lane->first)
            lane->last = &lane->first;
    }
    pthread_mutex_unlock(&l->lock);
    if (p && !fits) {
        gn_staging_release(l->worker->staging, slot);
        slot = -EPROTO;
    }
    free(p);
    return slot;
}
