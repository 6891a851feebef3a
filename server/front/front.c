// SPDX-License-Identifier: Apache-2.0
// The front door's frame: listening, signals, the loop, the end.
#include "server/front/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "remoting/link/link.h"
#include "server/control.h"

enum {
    ACCEPTS_MAX = 16,     // a round: in between, those that are there are read
    ACCEPT_PAUSE_MS = 50, // when no place or descriptor is free
};

int64_t gn_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *gn_front_name_peer(int fd, char *peer, size_t peer_bytes)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    struct ucred who;
    socklen_t who_bytes = sizeof who;
    snprintf(peer, peer_bytes, "?");
    if (getpeername(fd, (struct sockaddr *)&at, &size))
        return peer;
    if (at.ss_family == AF_UNIX && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes))
        snprintf(peer, peer_bytes, "uid %u", who.uid);
    else if (at.ss_family == AF_INET || at.ss_family == AF_INET6)
        getnameinfo((struct sockaddr *)&at, size, peer, (socklen_t)peer_bytes, NULL, 0, NI_NUMERICHOST);
    return peer;
}

// Only processes of this machine can reach it.
static bool is_local(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size))
        return false;
    if (at.ss_family == AF_INET)
        return ntohl(((struct sockaddr_in *)&at)->sin_addr.s_addr) >> 24 == 127;
    if (at.ss_family == AF_INET6) {
        const struct in6_addr *a = &((struct sockaddr_in6 *)&at)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
    }
    return at.ss_family == AF_UNIX;
}

// --- listening

static void set_accepting(struct gn_front *front, bool on)
{
    for (unsigned i = 0; front->accepting != on && i < front->listener_count; i++)
        if (on)
            gn_loop_watch(front->loop, &front->listeners[i].watch);
        else
            gn_loop_unwatch(front->loop, &front->listeners[i].watch);
    front->accepting = on;
}

void gn_front_pause(struct gn_front *front, int64_t until_ms)
{
    set_accepting(front, false);
    front->accept_again_ms = until_ms;
}

static void listener_ready(struct gn_watch *watch, short events)
{
    struct gn_front *front = ((struct gn_listener *)watch)->front;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int64_t now_ms = gn_now_ms();
        if (!gn_half_open_room(front, now_ms)) {
            gn_front_pause(front, now_ms + ACCEPT_PAUSE_MS);
            return;
        }
        int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            gn_half_open_new(front, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            gn_log(GN_LOG_WARN, "no connection can be accepted for now: %s", strerror(errno));
            gn_front_pause(front, now_ms + ACCEPT_PAUSE_MS);
            return;
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return; // EAGAIN: that was all
    }
}

static int listen_at(struct gn_front *front, const char *address)
{
    struct gn_listener *l = &front->listeners[front->listener_count];
    char why[256] = "";
    int fd = gn_link_listen(address, l->address, sizeof l->address, why, sizeof why);
    if (fd < 0) {
        gn_log(GN_LOG_ERROR, "cannot listen on %s: %s", address, why);
        return fd;
    }
    l->front = front;
    l->watch = (struct gn_watch){.fd = fd, .events = POLLIN, .ready = listener_ready};
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    front->listener_count++; // from here on it is closed with the others
    if (!is_local(fd) && !front->config->token[0] && !front->config->insecure) {
        gn_log(GN_LOG_ERROR,
               "%s can be reached from other machines: set server.token_file, or server.insecure = true to "
               "let everybody in",
               l->address);
        return -EPERM;
    }
    return 0;
}

static void stop_listening(struct gn_front *front)
{
    set_accepting(front, false);
    front->accept_again_ms = 0;
    for (unsigned i = 0; i < front->listener_count; i++) {
        close(front->listeners[i].watch.fd);
        if (!strncmp(front->listeners[i].address, "unix:", 5))
            unlink(front->listeners[i].address + 5);
    }
    front->listener_count = 0;
}

// --- signals and the end

static void stop(struct gn_front *front, int signal_number)
{
    if (front->stopping) {
        gn_log(GN_LOG_WARN, "%s again: %u sessions are ended now", strsignal(signal_number),
               front->session_count);
        front->stop_at_ms = gn_now_ms();
        return;
    }
    gn_log(GN_LOG_INFO, "%s: no new sessions; %u go on for at most %u s", strsignal(signal_number),
           front->session_count, front->config->shutdown_s);
    front->stopping = true;
    front->stop_at_ms = gn_now_ms() + 1000 * (int64_t)front->config->shutdown_s;
    stop_listening(front);
    gn_half_open_end_all(front);
    gn_spares_end(front);
}

static void signals_ready(struct gn_watch *watch, short events)
{
    struct gn_front *front = (struct gn_front *)((char *)watch - offsetof(struct gn_front, signals));
    struct signalfd_siginfo info;
    (void)events;
    while (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            gn_served_reap(front);
        else
            stop(front, (int)info.ssi_signo);
    }
}

static int open_signals(struct gn_front *front)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    front->signals = (struct gn_watch){.fd = fd, .events = POLLIN, .ready = signals_ready};
    return gn_loop_watch(front->loop, &front->signals);
}

// --- the loop

static int time_left(const struct gn_front *front, int64_t now_ms)
{
    const int64_t deadlines[] = {
        gn_half_open_deadline(front),
        gn_served_deadline(front),
        gn_control_deadline(front),
        gn_front_saver_deadline(front),
        front->accept_again_ms ? front->accept_again_ms : INT64_MAX,
        front->stopping ? front->stop_at_ms : INT64_MAX,
        !front->stopping && front->spare_count < front->config->spare_workers ? front->spawn_again_ms
                                                                              : INT64_MAX,
    };
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++)
        least = deadlines[i] < least ? deadlines[i] : least;
    if (least == INT64_MAX)
        return -1;
    return least <= now_ms ? 0 : least - now_ms > 60000 ? 60000 : (int)(least - now_ms);
}

static int serve(struct gn_front *front)
{
    bool killed = false;
    while (!front->stopping || front->session_count) {
        int64_t now_ms = gn_now_ms();
        gn_spares_fill(front, now_ms);
        gn_front_start_saver(front, now_ms);
        // Once they are killed there is nothing more to wait for but their ends.
        int error = gn_loop_wait(front->loop, killed ? -1 : time_left(front, gn_now_ms()));
        if (error) {
            gn_log(GN_LOG_ERROR, "the event loop failed: %s", strerror(-error));
            return 1;
        }
        now_ms = gn_now_ms();
        gn_half_open_expire(front, now_ms);
        gn_served_expire(front, now_ms);
        gn_control_expire(front, now_ms);
        if (front->accept_again_ms && front->accept_again_ms <= now_ms) {
            front->accept_again_ms = 0;
            set_accepting(front, true);
        }
        if (front->stopping && front->stop_at_ms <= now_ms && !killed) {
            if (front->session_count)
                gn_log(GN_LOG_WARN, "%u sessions are killed", front->session_count);
            gn_served_kill_all(front);
            killed = true;
        }
    }
    return 0;
}

static int open_all(struct gn_front *front)
{
    const struct gn_server_config *config = front->config;
    char why[256] = "";
    int fell_back, error = gn_loop_open(&front->loop, !config->io_uring, &fell_back);
    if (error)
        return error;
    if (fell_back)
        gn_log(GN_LOG_WARN, "io_uring is refused here (%s): plain sockets serve instead",
               strerror(fell_back));
    if ((error = open_signals(front)))
        return error;
    gn_front_open_store(front);
    for (unsigned i = 0; i < config->listen_count; i++)
        if ((error = listen_at(front, config->listen[i])))
            return error;
    if (config->control[0] && (error = gn_control_open(front, config->control, why, sizeof why))) {
        gn_log(config->control_by_default ? GN_LOG_WARN : GN_LOG_ERROR, "no control socket at %s: %s",
               config->control, why);
        if (!config->control_by_default)
            return error;
    }
    return 0;
}

int gn_front_run(const struct gn_server_config *config)
{
    static struct gn_front front;
    front = (struct gn_front){.config = config, .started_ms = gn_now_ms(), .signals.fd = -1, .store = {-1, -1}};
    int status = 1;
    if (!open_all(&front)) {
        set_accepting(&front, true);
        gn_spares_fill(&front, gn_now_ms());
        for (unsigned i = 0; i < front.listener_count; i++)
            printf("genie-srv: listening on %s\n", front.listeners[i].address);
        fflush(stdout);
        gn_log(GN_LOG_INFO, "serving %s, at most %u sessions", config->driver, config->sessions);
        status = serve(&front);
    }
    gn_control_close(&front);
    gn_half_open_end_all(&front);
    stop_listening(&front);
    gn_spares_end(&front);
    if (front.signals.fd >= 0)
        close(front.signals.fd);
    if (front.loop)
        gn_loop_close(front.loop);
    gn_front_close_store(&front, front.stopping ? front.stop_at_ms : 0);
    if (!status)
        gn_log(GN_LOG_INFO, "ended");
    return status;
}
