// SPDX-License-Identifier: Apache-2.0
// Sessions: a connection, the process that serves it, and the certainty that neither outlives the other.
//
// The front door keeps the client's socket open beside the worker, only to see it hang up. A worker that has
// not ended within GN_HANGUP_GRACE_MS of that is killed: a kernel that never ends keeps it in the driver.
// When a worker ends, for whatever reason, the socket is shut down here, so the client learns of it.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/front/front.h"

enum { SPAWN_PAUSE_MS = 1000 }; // before a spare is tried again when one could not be started, or died unused

static void hung_up(struct gn_watch *watch, short events)
{
    struct gn_served *s = (struct gn_served *)watch;
    if (!(events & (POLLRDHUP | POLLHUP | POLLERR)))
        return;
    gn_loop_unwatch(s->front->loop, watch);
    s->kill_at_ms = gn_now_ms() + GN_HANGUP_GRACE_MS;
}

static void kill_worker(struct gn_served *s)
{
    if (!s->killed)
        kill(s->child.pid, SIGKILL);
    s->killed = true;
}

// The first spare, or a process started now.
static int take_worker(struct gn_front *front, struct gn_child *child)
{
    struct gn_spare *spare = front->spares;
    if (!spare)
        return gn_spawn(child, front->config->driver, false, &front->store);
    front->spares = spare->next;
    front->spare_count--;
    *child = spare->child;
    free(spare);
    return 0;
}

static int getrandom_all(uint8_t key[GN_LANE_KEY_BYTES])
{
    return getrandom(key, GN_LANE_KEY_BYTES, 0) == GN_LANE_KEY_BYTES ? 0 : -EIO;
}

int gn_served_join(struct gn_front *front, const struct gn_lane_hello *hello, int fd)
{
    static const uint8_t nobody[GN_LANE_KEY_BYTES];
    struct gn_served *s = front->sessions;
    while (s && s->start.session != hello->session)
        s = s->next;
    bool fetches = hello->purpose == GN_LANE_FETCH;
    if (!gn_lane_key_right(s ? s->start.lane_key : nobody, hello->key) || !s || !(fetches ? s->start.fetch : s->start.lanes))
        return -EACCES;
    if (fetches ? s->fetches_joined >= GN_FETCH_JOINS_MAX || hello->lane
                : !hello->lane || hello->lane > s->start.lanes || s->lanes_joined >> hello->lane & 1)
        return -EEXIST;
    if (s->killed)
        return -EEXIST;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); // for the worker, who shares this setting
    int error = gn_spawn_give_lane(&s->child, hello, fd);
    if (!error && fetches)
        s->fetches_joined++;
    else if (!error)
        s->lanes_joined |= 1u << hello->lane;
    return error;
}

int gn_served_new(struct gn_front *front, int fd, const struct gn_hello *hello, uint32_t version,
                  const char *peer)
{
    struct gn_served *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->front = front;
    s->since_ms = gn_now_ms();
    s->watch = (struct gn_watch){.fd = fd, .events = POLLRDHUP, .ready = hung_up};
    s->start.hello = *hello;
    s->start.contents = (struct gn_contents_start){.on = front->store.index >= 0, .promised_bytes = front->config->store.promised_bytes};
    gn_front_name_tenant(front, hello, peer, s->start.contents.tenant);
    snprintf(s->start.contents.directory, sizeof s->start.contents.directory, "%s", front->config->store.directory);
    memset(s->start.hello.token, 0, sizeof s->start.hello.token); // nobody needs it any more
    s->start.limits = front->config->limits;
    s->start.session = front->last_session + 1;
    s->start.version = version;
    s->start.plain = !front->config->io_uring;
    s->start.shm_bytes = front->config->shm_bytes;
    bool keyed = hello->wants & (GN_WANTS_LANES | GN_WANTS_FETCH) && !getrandom_all(s->start.lane_key);
    s->start.lanes = keyed && hello->wants & GN_WANTS_LANES ? front->config->lanes : 0;
    s->start.fetch = keyed && hello->wants & GN_WANTS_FETCH && front->config->limits.kept_host_bytes;
    s->start.log_level = front->config->log;
    snprintf(s->start.peer, sizeof s->start.peer, "%s", peer);
    snprintf(s->start.driver, sizeof s->start.driver, "%s", front->config->driver);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); // for the worker, who shares this setting
    int error = take_worker(front, &s->child);
    if (!error && (error = gn_spawn_give(&s->child, &s->start, fd)) == -EPIPE) { // a spare that had just died
        gn_spawn_release(&s->child);
        error = gn_spawn(&s->child, front->config->driver, false, &front->store);
        error = error ? error : gn_spawn_give(&s->child, &s->start, fd);
    }
    if (!error && (error = gn_loop_watch(front->loop, &s->watch)))
        kill(s->child.pid, SIGKILL);
    if (error) {
        if (s->child.pid)
            gn_spawn_release(&s->child); // the worker sees its end of the pair close
        free(s);
        return error;
    }
    front->last_session++;
    struct gn_served **end = &front->sessions; // in the order of their numbers
    while (*end)
        end = &(*end)->next;
    *end = s;
    front->session_count++;
    gn_log(GN_LOG_INFO, "session %u: %s (pid %u) from %s, worker %d", s->start.session,
           *hello->program ? hello->program : "?", hello->process_id, peer, s->child.pid);
    return 0;
}

unsigned gn_served_of_peer(const struct gn_front *front, const char *peer)
{
    unsigned n = 0;
    for (const struct gn_served *s = front->sessions; s; s = s->next)
        n += !strcmp(s->start.peer, peer);
    return n;
}

static const char *reason_of(const struct gn_served *s, int status, char *text, size_t text_bytes)
{
    static const char *const words[] = {
        [GN_EXIT_OVER] = "over",
        [GN_EXIT_PROTOCOL] = "the client broke the protocol",
        [GN_EXIT_DRIVER] = "the driver could not be used",
        [GN_EXIT_LINK] = "the connection failed",
        [GN_EXIT_START] = "the worker was not started rightly",
    };
    if (WIFSIGNALED(status) && s->killed)
        snprintf(text, text_bytes, "killed: the worker did not end by itself");
    else if (WIFSIGNALED(status))
        snprintf(text, text_bytes, "the worker died of signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if ((size_t)WEXITSTATUS(status) < sizeof words / sizeof *words && words[WEXITSTATUS(status)])
        snprintf(text, text_bytes, "%s", words[WEXITSTATUS(status)]);
    else
        snprintf(text, text_bytes, "the worker ended with status %d", WEXITSTATUS(status));
    return text;
}

static unsigned long long read_count(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void ended(struct gn_served *s, int status)
{
    char text[128];
    static const struct gn_status none;
    const struct gn_status *t = s->child.status ? s->child.status : &none;
    bool normal = WIFEXITED(status) && WEXITSTATUS(status) == GN_EXIT_OVER;
    gn_log(normal ? GN_LOG_INFO : GN_LOG_WARN,
           "session %u ended: %s; %.1f s, %llu commands, %llu launches, %llu bytes received (%llu payload), "
           "%llu sent (%llu payload)",
           s->start.session, reason_of(s, status, text, sizeof text),
           (double)(gn_now_ms() - s->since_ms) / 1000.0, read_count(&t->commands), read_count(&t->launches),
           read_count(&t->received_bytes), read_count(&t->payload_in_bytes), read_count(&t->sent_bytes),
           read_count(&t->payload_out_bytes));
    gn_loop_unwatch(s->front->loop, &s->watch);
    shutdown(s->watch.fd, SHUT_RDWR);
    close(s->watch.fd);
    gn_spawn_release(&s->child);
    s->front->session_count--;
    free(s);
}

// A spare can die at the very moment it is given a session. As long as it has not taken it, the client has
// noticed nothing.
static bool start_again(struct gn_served *s)
{
    struct gn_child child;
    if (gn_spawn_taken(&s->child) || s->again || s->killed || s->kill_at_ms ||
        gn_spawn(&child, s->front->config->driver, false, &s->front->store))
        return false;
    gn_spawn_release(&s->child);
    s->child = child;
    s->again = true;
    gn_log(GN_LOG_WARN, "session %u: its worker died before it began; another one serves it",
           s->start.session);
    return gn_spawn_give(&s->child, &s->start, s->watch.fd) == 0;
}

static void child_ended(struct gn_front *front, pid_t pid, int status)
{
    if (gn_front_saver_ended(front, pid, status))
        return;
    for (struct gn_served **at = &front->sessions; *at; at = &(*at)->next)
        if ((*at)->child.pid == pid) {
            struct gn_served *s = *at;
            if (start_again(s))
                return;
            *at = s->next;
            ended(s, status);
            return;
        }
    for (struct gn_spare **at = &front->spares; *at; at = &(*at)->next)
        if ((*at)->child.pid == pid) {
            struct gn_spare *spare = *at;
            *at = spare->next;
            front->spare_count--;
            gn_spawn_release(&spare->child);
            free(spare);
            front->spawn_again_ms = gn_now_ms() + SPAWN_PAUSE_MS;
            if (!front->stopping)
                gn_log(GN_LOG_WARN, "a spare worker died before it had a session (status 0x%x)", status);
            return;
        }
}

void gn_served_reap(struct gn_front *front)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        child_ended(front, pid, status);
}

void gn_served_expire(struct gn_front *front, int64_t now_ms)
{
    for (struct gn_served *s = front->sessions; s; s = s->next)
        if (s->kill_at_ms && s->kill_at_ms <= now_ms && !s->killed) {
            gn_log(GN_LOG_WARN,
                   "session %u: the client has gone and the worker has not ended in %d ms: it is killed",
                   s->start.session, GN_HANGUP_GRACE_MS);
            kill_worker(s);
        }
}

void gn_served_kill_all(struct gn_front *front)
{
    for (struct gn_served *s = front->sessions; s; s = s->next)
        kill_worker(s);
}

int64_t gn_served_deadline(const struct gn_front *front)
{
    int64_t least = INT64_MAX;
    for (const struct gn_served *s = front->sessions; s; s = s->next)
        if (s->kill_at_ms && !s->killed && s->kill_at_ms < least)
            least = s->kill_at_ms;
    return least;
}

void gn_spares_fill(struct gn_front *front, int64_t now_ms)
{
    while (!front->stopping && front->spare_count < front->config->spare_workers &&
           now_ms >= front->spawn_again_ms) {
        struct gn_spare *spare = calloc(1, sizeof *spare);
        int error = spare ? gn_spawn(&spare->child, front->config->driver, front->config->spare_init, &front->store) : -ENOMEM;
        if (error) {
            free(spare);
            front->spawn_again_ms = now_ms + SPAWN_PAUSE_MS;
            gn_log(GN_LOG_WARN, "a spare worker cannot be started: %s", strerror(-error));
            return;
        }
        spare->next = front->spares;
        front->spares = spare;
        front->spare_count++;
    }
}

void gn_spares_end(struct gn_front *front)
{
    for (struct gn_spare *spare; (spare = front->spares); front->spare_count--) {
        front->spares = spare->next;
        kill(spare->child.pid, SIGKILL);
        waitpid(spare->child.pid, NULL, 0);
        gn_spawn_release(&spare->child);
        free(spare);
    }
}
