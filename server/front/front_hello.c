// SPDX-License-Identifier: Apache-2.0
// Connections that have not said who they are yet: reading their hello within bounds, and admitting or
// refusing them.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "server/front/front.h"

enum {
    IDLE_MS = 250
}; // when all places are taken, one that has not spoken for so long makes room: an honest hello comes at once

static void drop(struct gn_half_open *h, bool close_it)
{
    struct gn_front *front = h->front;
    gn_loop_unwatch(front->loop, &h->watch);
    if (close_it) {
        shutdown(h->watch.fd, SHUT_RDWR);
        close(h->watch.fd);
    }
    for (unsigned i = 0; i < front->half_open_count; i++)
        if (front->half_open[i] == h)
            front->half_open[i] = front->half_open[--front->half_open_count];
    free(h);
}

static void give_up(struct gn_half_open *h, const char *reason)
{
    gn_log(GN_LOG_WARN, "connection from %s ended: %s", h->peer, reason);
    h->front->refused++;
    drop(h, true);
}

void gn_front_refuse(struct gn_front *front, int fd, const char *peer, const char *program, int32_t status,
                     const char *reason)
{
    uint8_t bytes[1024];
    struct gn_welcome welcome = {.status = status, .version = GN_WIRE_VERSION};
    snprintf(welcome.text, sizeof welcome.text, "%s", reason);
    int n = gn_welcome_encode(bytes, sizeof bytes, &welcome);
    if (n > 0 && send(fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
        gn_log(GN_LOG_DEBUG, "the refusal did not reach %s", peer);
    gn_log(GN_LOG_WARN, "%s from %s is refused: %s", program && *program ? program : "a client", peer,
           reason);
    front->refused++;
}

// Takes the same time wherever the difference is: all bytes of both are looked at.
static bool token_right(const char *asked, const char *given)
{
    char a[GN_TOKEN_BYTES] = "", b[GN_TOKEN_BYTES] = "";
    unsigned different = 0;
    memcpy(a, asked, strnlen(asked, sizeof a - 1));
    memcpy(b, given, strnlen(given, sizeof b - 1));
    for (size_t i = 0; i < sizeof a; i++)
        different |= (unsigned)(a[i] ^ b[i]);
    return !different;
}

// Why the client is not admitted, or NULL.
static const char *objection(struct gn_front *front, const struct gn_hello *hello, const char *peer,
                             int32_t *status)
{
    const struct gn_server_config *config = front->config;
    *status = CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    if (hello->version_low > GN_WIRE_VERSION || hello->version_high < GN_WIRE_VERSION ||
        hello->version_low > hello->version_high)
        return "client and server speak different versions of the protocol";
    if (hello->wire_digest != gn_wire_digest)
        return "client and server are of different builds: their commands differ";
    *status = CUDA_ERROR_NOT_PERMITTED;
    if (config->token[0] && !token_right(config->token, hello->token))
        return hello->token[0] ? "the token is not the server's" : "this server asks for a token";
    *status = CUDA_ERROR_DEVICE_UNAVAILABLE;
    if (front->stopping)
        return "the server is shutting down";
    if (front->session_count >= config->sessions)
        return "the server has as many sessions as it may (limits.sessions)";
    if (config->sessions_per_peer && gn_served_of_peer(front, peer) >= config->sessions_per_peer)
        return "this peer has as many sessions as it may (limits.sessions_per_peer)";
    return NULL;
}

static void admit(struct gn_half_open *h)
{
    struct gn_front *front = h->front;
    struct gn_hello hello;
    int32_t status;
    if (gn_hello_decode(h->bytes + GN_PREFIX_BYTES, h->want_bytes - GN_PREFIX_BYTES, &hello)) {
        give_up(h, "its hello is malformed");
        return;
    }
    const char *reason = objection(front, &hello, h->peer, &status);
    int fd = h->watch.fd;
    if (!reason) {
        gn_loop_unwatch(front->loop, &h->watch);
        int error = gn_served_new(front, fd, &hello, GN_WIRE_VERSION, h->peer);
        if (!error) {
            drop(h, false);
            return;
        }
        gn_log(GN_LOG_ERROR, "a worker cannot be started: %s", strerror(-error));
        reason = "the server cannot start a worker";
        status = CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    gn_front_refuse(front, fd, h->peer, hello.program, status, reason);
    drop(h, true);
}

// The connection is to be a lane of a session that there is. Who has not the key learns nothing more than that.
static void join(struct gn_half_open *h)
{
    struct gn_lane_hello hello;
    int fd = h->watch.fd;
    gn_lane_hello_decode(h->bytes, &hello);
    int error = gn_served_join(h->front, &hello, fd);
    if (error) {
        give_up(h, error == -EACCES ? "a lane or fetch channel without the key of a session" : "a lane that its session does not have, or has already");
        return;
    }
    drop(h, false);
    close(fd); // the worker has it
}

static void ready(struct gn_watch *watch, short events)
{
    struct gn_half_open *h = (struct gn_half_open *)watch;
    (void)events;
    for (;;) {
        ssize_t n = recv(watch->fd, h->bytes + h->got_bytes, h->want_bytes - h->got_bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            if (h->got_bytes)
                give_up(h, n < 0 ? strerror(errno) : "it closed within its hello");
            else
                drop(h, true); // somebody looked whether we are there
            return;
        }
        h->got_bytes += (size_t)n;
        if (h->got_bytes < h->want_bytes)
            continue;
        if (h->want_bytes > GN_PREFIX_BYTES) {
            (gn_lane_prefix(h->bytes) ? join : admit)(h);
            return;
        }
        if (gn_lane_prefix(h->bytes)) {
            h->want_bytes = GN_LANE_HELLO_BYTES;
            continue;
        }
        int64_t more = gn_prefix_decode(h->bytes, GN_HELLO_BYTES_MAX);
        if (more <= 0) {
            give_up(h, more == -EMSGSIZE ? "its hello is too long" : "it does not speak Genie's protocol");
            return;
        }
        h->want_bytes += (size_t)more;
    }
}

bool gn_half_open_room(struct gn_front *front, int64_t now_ms)
{
    struct gn_half_open *oldest = NULL;
    if (front->half_open_count < GN_HALF_OPEN_MAX)
        return true;
    for (unsigned i = 0; i < front->half_open_count; i++)
        if (!oldest || front->half_open[i]->since_ms < oldest->since_ms)
            oldest = front->half_open[i];
    if (now_ms - oldest->since_ms < IDLE_MS)
        return false;
    give_up(oldest, "it has not spoken, and others wait");
    return true;
}

void gn_half_open_new(struct gn_front *front, int fd)
{
    struct gn_half_open *h = calloc(1, sizeof *h);
    if (!h) {
        close(fd);
        return;
    }
    h->front = front;
    h->watch = (struct gn_watch){.fd = fd, .events = POLLIN, .ready = ready};
    h->since_ms = gn_now_ms();
    h->until_ms = h->since_ms + 1000 * (int64_t)front->config->hello_s;
    h->want_bytes = GN_PREFIX_BYTES;
    gn_front_name_peer(fd, h->peer, sizeof h->peer);
    if (gn_loop_watch(front->loop, &h->watch)) {
        close(fd);
        free(h);
        return;
    }
    front->half_open[front->half_open_count++] = h;
}

void gn_half_open_expire(struct gn_front *front, int64_t now_ms)
{
    for (unsigned i = front->half_open_count; i-- > 0;)
        if (front->half_open[i]->until_ms <= now_ms)
            give_up(front->half_open[i], "no hello in time (limits.hello_s)");
}

void gn_half_open_end_all(struct gn_front *front)
{
    while (front->half_open_count)
        drop(front->half_open[0], true);
}

int64_t gn_half_open_deadline(const struct gn_front *front)
{
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < front->half_open_count; i++)
        least = front->half_open[i]->until_ms < least ? front->half_open[i]->until_ms : least;
    return least;
}
