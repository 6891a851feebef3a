// SPDX-License-Identifier: Apache-2.0
// The relay's loop. One thread, because a second one would take the core from the programs that are measured.
//
// It sleeps in epoll until shortly before the next byte is due, and polls for the rest: a wake-up has an
// error of its own. Bytes that are due at once (no delay) go on in the turn in which they came.
#include "bench/relay_loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/relay_line.h"
#include "remoting/link/link.h"

enum { EVENTS = 64, RECV_BYTES = 256 << 10, CONNECT_TIMEOUT_MS = 10000 };
static const uint64_t idle_ns = 1000000000;

struct end { // one socket
    int fd;
    bool to_server;
    bool closed;  // nothing more comes from it
    bool shut;    // nothing more goes to it
    bool blocked; // it takes no more for now
    bool hung_up; // epoll would tell so again and again; it is no longer asked
    uint32_t watched;
    uint64_t taking_since_ns; // when it last ceased to be blocked
    struct conn *conn;
};

struct conn {
    struct gn_relay *relay;
    struct end ends[2];      // the client's, the server's
    struct gn_line lines[2]; // to the server: from ends[0] to ends[1]; to the client
    uint64_t sent_ns[2];     // the last send
    uint64_t forwarded_bytes, cut_at_ns;
    bool may_cut, dead;
};

struct gn_relay {
    struct gn_relay_settings settings;
    struct gn_relay_counts counts;
    int listener, epoll;
    unsigned conn_count;
    uint64_t random, margin_ns;
    struct conn *conns[GN_RELAY_CONNECTIONS_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(uint64_t *state) // splitmix64
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// --- what is watched

static void watch(struct end *end)
{
    struct conn *c = end->conn;
    uint8_t *at;
    if (end->hung_up)
        return;
    bool room = gn_line_room(&c->lines[end == &c->ends[1]], &at) > 0;
    uint32_t events = (!end->closed && room ? EPOLLIN : 0) | (end->blocked ? EPOLLOUT : 0);
    if (events == end->watched)
        return;
    struct epoll_event event = {.events = events, .data.ptr = end};
    epoll_ctl(c->relay->epoll, EPOLL_CTL_MOD, end->fd, &event);
    end->watched = events;
}

static void tune(int fd)
{
    static const char congestion[] =
        "cubic"; // others pace their packets, also between two ends of one machine
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof congestion - 1);
}

// --- connections

static void conn_free(struct conn *c)
{
    struct gn_relay *r = c->relay;
    for (int i = 0; i < 2; i++) {
        if (c->ends[i].fd >= 0)
            close(c->ends[i].fd);
        gn_line_close(&c->lines[i]);
    }
    for (unsigned i = 0; i < r->conn_count; i++)
        if (r->conns[i] == c) {
            r->conns[i] = r->conns[--r->conn_count];
            break;
        }
    free(c);
}

static int conn_watch(struct conn *c)
{
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &c->ends[i]};
        tune(c->ends[i].fd);
        c->ends[i].watched = EPOLLIN;
        if (epoll_ctl(c->relay->epoll, EPOLL_CTL_ADD, c->ends[i].fd, &event))
            return -errno;
    }
    return 0;
}

static struct conn *conn_new(struct gn_relay *r, int client, int server)
{
    const struct gn_relay_settings *s = &r->settings;
    uint64_t now = now_ns();
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->relay = r;
    c->ends[0] = (struct end){.fd = client, .conn = c};
    c->ends[1] = (struct end){.fd = server, .conn = c, .to_server = true};
    c->may_cut = !s->cut_count || r->counts.connections < s->cut_count;
    c->cut_at_ns = s->cut_ns && c->may_cut ? now + s->cut_ns : UINT64_MAX;
    for (int i = 0; i < 2; i++)
        if (gn_line_open(&c->lines[i], s->delay_ns, s->gbit[i], s->queue_bytes)) {
            c->ends[0].fd = c->ends[1].fd = -1; // the caller's still
            conn_free(c);
            return NULL;
        }
    // A real connection needs a round trip before its first byte.
    c->lines[0].free_ns = now + 2 * s->delay_ns;
    return c;
}

static void accept_one(struct gn_relay *r)
{
    char why[256];
    int client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    int server = r->conn_count < GN_RELAY_CONNECTIONS_MAX
                     ? gn_link_connect(r->settings.server, CONNECT_TIMEOUT_MS, why, sizeof why)
                     : -EMFILE;
    struct conn *c = server >= 0 ? conn_new(r, client, server) : NULL;
    if (!c) {
        r->counts.refused++;
        close(client);
        if (server >= 0)
            close(server);
        return;
    }
    r->conns[r->conn_count++] = c;
    r->counts.connections++;
    c->dead = conn_watch(c) != 0;
}

// Both sides see the connection break off.
static void cut(struct conn *c)
{
    struct linger at_once = {.l_onoff = 1};
    for (int i = 0; i < 2 && !c->relay->settings.cut_politely; i++)
        setsockopt(c->ends[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    c->relay->counts.cut++;
    c->dead = true;
}

// --- forwarding

// Receives what there is room for.
static void take_in(struct conn *c, int way)
{
    struct end *from = &c->ends[way];
    uint8_t *at;
    size_t room = gn_line_room(&c->lines[way], &at);
    if (from->closed || !room)
        return;
    ssize_t n = recv(from->fd, at, room < RECV_BYTES ? room : RECV_BYTES, MSG_DONTWAIT);
    if (n > 0)
        gn_line_put(&c->lines[way], (size_t)n, now_ns());
    else if (!n)
        from->closed = true;
    else if (errno != EAGAIN && errno != EINTR)
        c->dead = true;
}

static size_t send_limit(struct conn *c)
{
    const struct gn_relay_settings *s = &c->relay->settings;
    size_t limit = s->pieces_bytes ? 1 + next_random(&c->relay->random) % s->pieces_bytes : SIZE_MAX;
    if (s->cut_bytes && c->may_cut && s->cut_bytes - c->forwarded_bytes < limit)
        limit = (size_t)(s->cut_bytes - c->forwarded_bytes);
    return limit;
}

// Lateness and bandwidth, as far as they are the relay's own doing: not while the receiver takes nothing.
static void count_sent(struct conn *c, int way, const struct gn_line_piece *first, size_t sent_bytes,
                       uint64_t now)
{
    struct gn_relay_counts *counts = &c->relay->counts;
    const struct end *to = &c->ends[!way];
    uint64_t before = c->sent_ns[way];
    c->sent_ns[way] = now;
    c->forwarded_bytes += sent_bytes;
    counts->bytes[way] += sent_bytes;
    if (first->due_ns < to->taking_since_ns)
        return;
    gn_histogram_add(&counts->late, now - first->due_ns);
    if (first->follows && before >= to->taking_since_ns) {
        counts->full_bytes[way] += sent_bytes;
        counts->full_ns[way] += now - before;
    }
}

// Sends what is due.
static void put_out(struct conn *c, int way)
{
    struct end *to = &c->ends[!way];
    struct gn_line *line = &c->lines[way];
    const struct gn_relay_settings *s = &c->relay->settings;
    struct gn_line_piece first;
    uint8_t *at;
    while (!c->dead && !to->blocked) {
        uint64_t now = now_ns(); // of the hand-over to the kernel: what sending takes is the network's below
        size_t n = gn_line_due(line, now, send_limit(c), &at, &first);
        if (!n)
            break;
        ssize_t sent = send(to->fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            to->blocked = errno == EAGAIN;
            c->dead = errno != EAGAIN && errno != EINTR;
            break;
        }
        gn_line_take(line, (size_t)sent);
        count_sent(c, way, &first, (size_t)sent, now);
        if (c->may_cut && s->cut_bytes && c->forwarded_bytes >= s->cut_bytes)
            cut(c);
    }
    if (c->ends[way].closed && line->head == line->tail && !to->shut) {
        shutdown(to->fd, SHUT_WR);
        to->shut = true;
    }
}

static void serve_event(struct gn_relay *r, const struct epoll_event *event)
{
    struct end *end = event->data.ptr;
    if (!end) {
        accept_one(r);
        return;
    }
    struct conn *c = end->conn;
    if (event->events & (EPOLLERR | EPOLLHUP)) {
        epoll_ctl(r->epoll, EPOLL_CTL_DEL, end->fd, NULL);
        end->hung_up = true;
    }
    if (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && end->blocked) {
        end->blocked = false;
        end->taking_since_ns = now_ns();
    }
    if (event->events & EPOLLIN)
        take_in(c, end->to_server);
}

// Everything that is due, of every connection.
static void serve_lines(struct gn_relay *r)
{
    for (unsigned i = r->conn_count; i-- > 0;) {
        struct conn *c = r->conns[i];
        for (int way = 0; way < 2 && !c->dead; way++) {
            if (c->ends[way].hung_up) // what it sent before is still to be had
                take_in(c, way);
            put_out(c, way);
        }
        if (!c->dead && c->cut_at_ns != UINT64_MAX && now_ns() >= c->cut_at_ns)
            cut(c);
        if (c->dead || (c->ends[0].shut && c->ends[1].shut)) {
            conn_free(c);
            continue;
        }
        watch(&c->ends[0]);
        watch(&c->ends[1]);
    }
}

static uint64_t next_ns(const struct gn_relay *r)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < r->conn_count; i++) {
        const struct conn *c = r->conns[i];
        if (c->cut_at_ns < next)
            next = c->cut_at_ns;
        for (int way = 0; way < 2; way++) {
            uint64_t due = c->ends[!way].blocked ? UINT64_MAX : gn_line_next_ns(&c->lines[way]);
            if (due < next)
                next = due;
        }
    }
    return next;
}

// How early to wake for what is due: as much as wake-ups were late before, learned, up to spin_ns.
static void learn_margin(struct gn_relay *r, uint64_t due_ns, uint64_t woken_ns)
{
    if (woken_ns > due_ns)
        r->margin_ns += (woken_ns - due_ns) / 2;
    else
        r->margin_ns -= r->margin_ns / 64;
    if (r->margin_ns > r->settings.spin_ns)
        r->margin_ns = r->settings.spin_ns;
}

// Sleeps until something comes or is nearly due.
static int wait_events(struct gn_relay *r, struct epoll_event *events)
{
    uint64_t next = next_ns(r), now = now_ns(), wait = 0;
    if (next == UINT64_MAX)
        wait = idle_ns;
    else if (next > now + r->margin_ns)
        wait = next - now - r->margin_ns;
    struct timespec t = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    int n = epoll_pwait2(r->epoll, events, EVENTS, &t, NULL);
    if (!n && wait && next != UINT64_MAX)
        learn_margin(r, next, now_ns());
    return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

int gn_relay_run(struct gn_relay *r, const _Atomic int *stop, _Atomic int *asked,
                 void (*report)(const struct gn_relay *))
{
    struct epoll_event events[EVENTS];
    prctl(PR_SET_TIMERSLACK, 1UL); // else a wait may end 50 us late
    // A network does not queue for a core behind the programs that use it; where this is not permitted, the
    // report shows what it costs.
    const struct sched_param first = {.sched_priority = 1};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
    while (!atomic_load(stop)) {
        int n = wait_events(r, events);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++)
            serve_event(r, &events[i]);
        serve_lines(r);
        if (asked && atomic_exchange(asked, 0))
            report(r);
    }
    return 0;
}

// --- the whole

int gn_relay_open(struct gn_relay **relay, const struct gn_relay_settings *settings, char *bound,
                  size_t bound_bytes, char *why, size_t why_bytes)
{
    struct gn_relay *r = calloc(1, sizeof *r);
    struct epoll_event event = {.events = EPOLLIN};
    if (!r)
        return -ENOMEM;
    r->settings = *settings;
    r->random = settings->seed;
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->listener = gn_link_listen(settings->listen, bound, bound_bytes, why, why_bytes);
    if (r->listener < 0 || r->epoll < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->listener, &event)) {
        int error = r->listener < 0 ? r->listener : -errno;
        gn_relay_close(r);
        return error;
    }
    *relay = r;
    return 0;
}

const struct gn_relay_counts *gn_relay_counts(const struct gn_relay *r) { return &r->counts; }
const struct gn_relay_settings *gn_relay_settings(const struct gn_relay *r) { return &r->settings; }

void gn_relay_close(struct gn_relay *r)
{
    while (r->conn_count)
        conn_free(r->conns[r->conn_count - 1]);
    if (r->listener >= 0)
        close(r->listener);
    if (r->epoll >= 0)
        close(r->epoll);
    free(r);
}
