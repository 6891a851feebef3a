// SPDX-License-Identifier: Apache-2.0
// The in-process link of the tests.
#include "remoting/link/link_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIPE_BYTES = 64 << 10 };

struct pipe {
    uint8_t bytes[PIPE_BYTES];
    size_t head, tail; // bytes written and read so far
    bool closed;
};

struct channel { // shared by both ends
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct pipe pipes[2];
    struct gn_link_faults faults;
    uint64_t moved_bytes;
    uint32_t random;
    int ends;
};

struct end {
    struct gn_link link;
    struct channel *channel;
    int side; // writes pipes[side], reads pipes[!side]
    bool woken;
};

static struct end *self(struct gn_link *link) { return (struct end *)link; }

// How many of `most` bytes this transfer moves. Called with the lock.
static size_t portion(struct channel *c, size_t most)
{
    if (!c->faults.split_seed || most < 2)
        return most;
    c->random = c->random * 1664525u + 1013904223u;
    size_t limit = c->faults.split_bytes_max && c->faults.split_bytes_max < most ? c->faults.split_bytes_max : most;
    return 1 + (c->random >> 8) % limit;
}

static void moved(struct channel *c, size_t n)
{
    c->moved_bytes += n;
    if (c->faults.drop_after_bytes && c->moved_bytes >= c->faults.drop_after_bytes)
        c->pipes[0].closed = c->pipes[1].closed = true;
    pthread_cond_broadcast(&c->changed);
}

static ssize_t memory_send(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct end *e = self(link);
    struct channel *c = e->channel;
    struct pipe *p = &c->pipes[e->side];
    ssize_t done = 0;
    if (c->faults.delay_us)
        usleep(c->faults.delay_us);
    pthread_mutex_lock(&c->lock);
    while (wait && p->head - p->tail == PIPE_BYTES && !p->closed)
        pthread_cond_wait(&c->changed, &c->lock);
    size_t left = p->closed ? 0 : portion(c, PIPE_BYTES - (p->head - p->tail));
    if (p->closed)
        done = -EPIPE;
    else if (!left)
        done = -EAGAIN;
    for (int i = 0; i < count && left; i++)
        for (size_t k = 0; k < pieces[i].iov_len && left; k++, left--, done++)
            p->bytes[p->head++ % PIPE_BYTES] = ((const uint8_t *)pieces[i].iov_base)[k];
    if (done > 0)
        moved(c, (size_t)done);
    pthread_mutex_unlock(&c->lock);
    return done;
}

static ssize_t memory_recv(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct end *e = self(link);
    struct channel *c = e->channel;
    struct pipe *p = &c->pipes[!e->side];
    ssize_t done = 0;
    pthread_mutex_lock(&c->lock);
    while (wait && p->head == p->tail && !p->closed)
        pthread_cond_wait(&c->changed, &c->lock);
    size_t left = portion(c, p->head - p->tail);
    if (!left && !p->closed)
        done = -EAGAIN;
    for (int i = 0; i < count && left; i++)
        for (size_t k = 0; k < pieces[i].iov_len && left; k++, left--, done++)
            ((uint8_t *)pieces[i].iov_base)[k] = p->bytes[p->tail++ % PIPE_BYTES];
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return done;
}

static int memory_watch(struct gn_link *link)
{
    struct end *e = self(link);
    struct channel *c = e->channel;
    pthread_mutex_lock(&c->lock);
    while (!e->woken && !c->pipes[!e->side].closed)
        pthread_cond_wait(&c->changed, &c->lock);
    int hung_up = c->pipes[!e->side].closed;
    e->woken = false;
    pthread_mutex_unlock(&c->lock);
    return hung_up;
}

static void memory_wake(struct gn_link *link)
{
    struct channel *c = self(link)->channel;
    pthread_mutex_lock(&c->lock);
    self(link)->woken = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void memory_shut(struct gn_link *link)
{
    struct channel *c = self(link)->channel;
    pthread_mutex_lock(&c->lock);
    c->pipes[0].closed = c->pipes[1].closed = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void memory_close(struct gn_link *link)
{
    struct channel *c = self(link)->channel;
    memory_shut(link);
    pthread_mutex_lock(&c->lock);
    bool last = --c->ends == 0;
    pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}

static void memory_abandon(struct gn_link *link) { (void)link; }

static const struct gn_link_ops memory_ops = {
    .name = "in-process",
    .send = memory_send,
    .recv = memory_recv,
    .watch = memory_watch,
    .wake = memory_wake,
    .shut = memory_shut,
    .close = memory_close,
    .abandon = memory_abandon,
};

int gn_link_memory_pair(struct gn_link **a, struct gn_link **b, const struct gn_link_faults *faults)
{
    struct channel *c = calloc(1, sizeof *c);
    struct end *x = calloc(1, sizeof *x), *y = calloc(1, sizeof *y);
    if (!c || !x || !y) {
        free(c);
        free(x);
        free(y);
        return -ENOMEM;
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    if (faults)
        c->faults = *faults;
    c->random = c->faults.split_seed;
    c->ends = 2;
    *x = (struct end){.link.ops = &memory_ops, .channel = c, .side = 0};
    *y = (struct end){.link.ops = &memory_ops, .channel = c, .side = 1};
    *a = &x->link;
    *b = &y->link;
    return 0;
}
