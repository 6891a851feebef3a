// SPDX-License-Identifier: Apache-2.0
// Serving fetch channels.
#include "server/kept/fetch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/fetch.h"
#include "remoting/lane.h"
#include "server/kept/kept.h"
#include "server/log.h"

struct channel {
    struct gn_worker *worker;
    int fd;
    uint8_t buffer[GN_FETCH_BYTES_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static unsigned threads;
static int latest = -1; // descriptor of the channel that serves

static int answer(struct channel *ch, uint32_t number)
{
    struct gn_worker *w = ch->worker;
    struct gn_fetch_request r;
    int error = gn_lane_read(ch->fd, &r, sizeof r);
    if (error)
        return error;
    if (!gn_fetch_request_right(&r, number)) {
        gn_log(GN_LOG_WARN, "a fetch channel is closed: a request out of order, or of an impossible size");
        return -EPROTO;
    }
    const struct gn_kept_read read = {.kept = r.kept, .offset_bytes = r.offset_bytes, .size_bytes = r.size_bytes, .fills = r.fills};
    CUresult code = gn_kept_read(w, &read, ch->buffer);
    const struct gn_fetch_answer a = {.number = number, .code = (int32_t)code, .size_bytes = code ? 0 : r.size_bytes};
    error = gn_lane_write(ch->fd, &a, sizeof a, ch->buffer, a.size_bytes);
    if (!error && w->status)
        atomic_fetch_add_explicit(&w->status->fetched_bytes, a.size_bytes, memory_order_relaxed);
    return error;
}

static void *serve(void *arg)
{
    struct channel *ch = arg;
    uint64_t said = GN_FETCH_MAGIC;
    int error = gn_lane_write(ch->fd, &said, sizeof said, ch->buffer, 0);
    for (uint32_t number = 0; !error; number++)
        error = answer(ch, number);
    pthread_mutex_lock(&lock);
    threads--;
    if (latest == ch->fd)
        latest = -1;
    shutdown(ch->fd, SHUT_RDWR); // the front door may still hold a descriptor of it
    close(ch->fd);
    free(ch);
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
    return NULL;
}

void gn_fetches_wait(void)
{
    pthread_mutex_lock(&lock);
    while (threads)
        pthread_cond_wait(&ended, &lock);
    pthread_mutex_unlock(&lock);
}

void gn_fetches_join(struct gn_worker *w, int fd)
{
    pthread_t thread;
    int one = 1;
    struct channel *ch = malloc(sizeof *ch); // its pages come with the first use
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // a Unix socket refuses, and needs it not
    pthread_mutex_lock(&lock);
    if (latest >= 0)
        shutdown(latest, SHUT_RDWR);
    bool served = ch && threads < GN_FETCH_THREADS_MAX;
    if (served) {
        ch->worker = w;
        ch->fd = fd;
        served = !pthread_create(&thread, NULL, serve, ch);
    }
    if (served) {
        pthread_detach(thread);
        threads++;
        latest = fd;
    }
    pthread_mutex_unlock(&lock);
    if (served)
        return;
    free(ch);
    shutdown(fd, SHUT_RDWR);
    close(fd);
}
