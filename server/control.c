// SPDX-License-Identifier: Apache-2.0
// The control socket: connections of genie-ctl.
#include "server/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remoting/link/link.h"

enum { QUESTION_BYTES = 64, TIME_LIMIT_MS = 2000 };

struct asker {
    struct gn_watch watch; // first
    struct gn_front *front;
    int64_t until_ms;
    char question[QUESTION_BYTES];
    size_t got_bytes;
    char *answer; // while it is sent
    size_t answer_bytes, sent_bytes;
};

struct gn_control_socket {
    struct gn_watch watch; // first
    struct gn_front *front;
    struct asker *askers[GN_CONTROL_MAX];
    char path[4096];
};

static void drop(struct asker *a)
{
    struct gn_control_socket *c = a->front->control;
    gn_loop_unwatch(a->front->loop, &a->watch);
    close(a->watch.fd);
    for (int i = 0; i < GN_CONTROL_MAX; i++)
        if (c->askers[i] == a)
            c->askers[i] = NULL;
    free(a->answer);
    free(a);
}

static void send_answer(struct asker *a)
{
    while (a->sent_bytes < a->answer_bytes) {
        ssize_t n = send(a->watch.fd, a->answer + a->sent_bytes, a->answer_bytes - a->sent_bytes,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return; // told when there is room
        if (n < 0)
            break;
        a->sent_bytes += (size_t)n;
    }
    drop(a);
}

static void asked(struct asker *a)
{
    a->answer = gn_control_answer(a->front, a->question);
    if (!a->answer) {
        drop(a);
        return;
    }
    a->answer_bytes = strlen(a->answer);
    gn_loop_unwatch(a->front->loop, &a->watch);
    a->watch.events = POLLOUT;
    if (gn_loop_watch(a->front->loop, &a->watch))
        drop(a);
}

static void asker_ready(struct gn_watch *watch, short events)
{
    struct asker *a = (struct asker *)watch;
    (void)events;
    if (a->answer) {
        send_answer(a);
        return;
    }
    ssize_t n =
        recv(watch->fd, a->question + a->got_bytes, sizeof a->question - 1 - a->got_bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        drop(a);
        return;
    }
    a->got_bytes += (size_t)n;
    char *end = memchr(a->question, '\n', a->got_bytes);
    if (!end && a->got_bytes < sizeof a->question - 1)
        return;
    a->question[end ? (size_t)(end - a->question) : a->got_bytes] = 0;
    asked(a);
}

// Only the server's own user and root may ask: the socket's mode says so too, but not on every system.
static int may_ask(int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) && (who.uid == geteuid() || who.uid == 0);
}

static void listener_ready(struct gn_watch *watch, short events)
{
    struct gn_control_socket *c = (struct gn_control_socket *)watch;
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), place = 0;
    if (fd < 0)
        return;
    while (place < GN_CONTROL_MAX && c->askers[place])
        place++;
    struct asker *a = place < GN_CONTROL_MAX && may_ask(fd) ? calloc(1, sizeof *a) : NULL;
    if (!a) {
        close(fd);
        return;
    }
    a->front = c->front;
    a->until_ms = gn_now_ms() + TIME_LIMIT_MS;
    a->watch = (struct gn_watch){.fd = fd, .events = POLLIN, .ready = asker_ready};
    c->askers[place] = a;
    if (gn_loop_watch(c->front->loop, &a->watch))
        drop(a);
}

// The folder of the default path is ours to make; any other must be there.
static void make_folder(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash && slash != folder) {
        *slash = 0;
        mkdir(folder, 0700);
    }
}

int gn_control_open(struct gn_front *front, const char *path, char *why, size_t why_bytes)
{
    char address[4096 + 8], bound[4096 + 8];
    struct gn_control_socket *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(why, why_bytes, "no memory");
        return -ENOMEM;
    }
    if (front->config->control_by_default)
        make_folder(path);
    snprintf(address, sizeof address, "unix:%s", path);
    snprintf(c->path, sizeof c->path, "%s", path);
    mode_t before = umask(0177);
    int fd = gn_link_listen(address, bound, sizeof bound, why, why_bytes);
    umask(before);
    c->front = front;
    c->watch = (struct gn_watch){.fd = fd, .events = POLLIN, .ready = listener_ready};
    int error = fd < 0 ? fd : gn_loop_watch(front->loop, &c->watch);
    if (error) {
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
        free(c);
        return error;
    }
    front->control = c;
    return 0;
}

void gn_control_close(struct gn_front *front)
{
    struct gn_control_socket *c = front->control;
    if (!c)
        return;
    for (int i = 0; i < GN_CONTROL_MAX; i++)
        if (c->askers[i])
            drop(c->askers[i]);
    gn_loop_unwatch(front->loop, &c->watch);
    close(c->watch.fd);
    unlink(c->path);
    free(c);
    front->control = NULL;
}

void gn_control_expire(struct gn_front *front, int64_t now_ms)
{
    for (int i = 0; front->control && i < GN_CONTROL_MAX; i++)
        if (front->control->askers[i] && front->control->askers[i]->until_ms <= now_ms)
            drop(front->control->askers[i]);
}

int64_t gn_control_deadline(const struct gn_front *front)
{
    int64_t least = INT64_MAX;
    for (int i = 0; front->control && i < GN_CONTROL_MAX; i++)
        if (front->control->askers[i] && front->control->askers[i]->until_ms < least)
            least = front->control->askers[i]->until_ms;
    return least;
}
