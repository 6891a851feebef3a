// SPDX-License-Identifier: Apache-2.0
// Connecting: the socket, hello and welcome, the link, the session. Everything here is done with the socket
// itself, blocking and with a time limit, until the session takes over.
#include "interpose/connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "interpose/log.h"
#include "interpose/options.h"
#include "remoting/link/link_shm.h"
#include "remoting/session/pass.h"
#include "remoting/spin.h"

static void limit_time(int fd, int timeout_ms)
{
    struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static int move_all(int fd, void *data, size_t size_bytes, bool sending)
{
    for (uint8_t *at = data; size_bytes;) {
        ssize_t n = sending ? send(fd, at, size_bytes, MSG_NOSIGNAL) : recv(fd, at, size_bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -ECONNRESET : errno == EAGAIN ? -ETIMEDOUT : -errno;
        at += n;
        size_bytes -= (size_t)n;
    }
    return 0;
}

static bool wants_lanes(void) { return gn_options_on(GN_OPT_LANES) && gn_options_on(GN_OPT_THREADS) && gn_options.connections != 1; }

// How many lanes to open beside this connection. Automatically: some where the server is so far away that one stream's window may not fill the way.
static unsigned lanes_to_open(int fd, const struct gn_welcome *welcome)
{
    enum { FAR_US = 1000, FAR_LANES = 3 };
    struct tcp_info info;
    socklen_t size = sizeof info;
    unsigned most = welcome->shm_bytes ? 0 : (unsigned)welcome->lanes, wanted = gn_options.connections;
    if (!wanted) // loopback is never so far, nor is a Unix socket, which does not know
        wanted = !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) && info.tcpi_rtt >= FAR_US ? 1 + FAR_LANES : 1;
    return wanted - 1 < most ? wanted - 1 : most;
}

static int say_hello(int fd)
{
    uint8_t buffer[GN_HELLO_BYTES_MAX];
    struct gn_hello hello = {
        .version_low = GN_WIRE_VERSION,
        .version_high = GN_WIRE_VERSION,
        .wire_digest = gn_wire_digest,
        .ring_bytes = gn_options.ring_bytes,
        .process_id = (uint32_t)getpid(),
    };
    if (gn_options_on(GN_OPT_SHM) && gn_shm_possible(fd))
        hello.wants |= GN_WANTS_SHM;
    if (gn_options_on(GN_OPT_LZ4))
        hello.wants |= GN_WANTS_PACKED;
    if (gn_options_on(GN_OPT_THREADS)) // who fetches is a thread of the shim's
        hello.wants |= GN_WANTS_FETCH;
    if (wants_lanes())
        hello.wants |= GN_WANTS_LANES | GN_WANTS_LANES_BACK;
    snprintf(hello.program, sizeof hello.program, "%s", program_invocation_short_name);
    memcpy(hello.token, gn_options.token, sizeof hello.token);
    int size = gn_hello_encode(buffer, sizeof buffer, &hello);
    return size < 0 ? size : move_all(fd, buffer, (size_t)size, true);
}

// *memory: the descriptor that came along, or -1.
static int hear_welcome(int fd, struct gn_welcome *welcome, int *memory)
{
    uint8_t prefix[GN_PREFIX_BYTES];
    int count = 1;
    ssize_t n = gn_pass_receive(fd, prefix, sizeof prefix, memory, &count);
    *memory = count ? *memory : -1;
    if (n <= 0)
        return n == 0 ? -ECONNRESET : n == -EAGAIN ? -ETIMEDOUT : (int)n;
    int error = move_all(fd, prefix + n, sizeof prefix - (size_t)n, false);
    if (error)
        return error;
    int64_t size = gn_prefix_decode(prefix, GN_WELCOME_BYTES_MAX);
    if (size < 0)
        return (int)size;
    uint8_t *body = malloc((size_t)size + 1);
    if (!body)
        return -ENOMEM;
    error = move_all(fd, body, (size_t)size, false);
    if (!error)
        error = gn_welcome_decode(body, (size_t)size, welcome);
    free(body);
    return error;
}

static const char *why_not(int error)
{
    switch (error) {
    case -EPROTO: return "what listens there is no Genie server";
    case -EMSGSIZE:
    case -EBADMSG: return "its answer makes no sense; client and server are of different versions";
    case -ECONNRESET: return "it closed the connection";
    case -ETIMEDOUT: return "it does not answer";
    default: return strerror(-error);
    }
}

static int introduce(int fd, struct gn_welcome *welcome, int *memory, char *why, size_t why_bytes)
{
    int error = say_hello(fd);
    if (!error)
        error = hear_welcome(fd, welcome, memory);
    if (error) {
        snprintf(why, why_bytes, "%s", why_not(error));
        return -1;
    }
    if (welcome->status) {
        snprintf(why, why_bytes, "it refuses: %s", *welcome->text ? welcome->text : "no reason given");
        return -1;
    }
    if (welcome->version != GN_WIRE_VERSION) {
        snprintf(why, why_bytes, "it chose protocol version %u, this client speaks %u", welcome->version,
                 GN_WIRE_VERSION);
        return -1;
    }
    return 0;
}

// The socket is the link's then; on failure it is closed.
static int open_over_socket(int fd, struct gn_link **link)
{
    int fell_back = 0, error = gn_link_open(link, fd, !gn_options_on(GN_OPT_URING), &fell_back);
    if (error)
        close(fd);
    else if (fell_back)
        gn_log(GN_LOG_INFO, "io_uring is refused here (%s): plain sockets serve",
               strerror(fell_back < 0 ? -fell_back : fell_back));
    return error;
}

// The server offers shared memory: takes it, or declines where it did not come along or is not what it should be.
static int answer_offer(int fd, struct gn_link **link, uint64_t shm_bytes, int memory)
{
    int refused = memory < 0 ? -ENOENT : gn_link_shm_new(link, fd, memory, shm_bytes, false);
    uint64_t answer = refused ? GN_SHM_DECLINED : GN_SHM_TAKEN;
    if (refused)
        gn_log(GN_LOG_INFO, "the server's shared memory cannot be used (%s): the socket serves",
               memory < 0 ? "it did not come along" : strerror(-refused));
    int error = move_all(fd, &answer, sizeof answer, true);
    if (!error)
        return refused ? open_over_socket(fd, link) : 0;
    if (refused) {
        close(fd);
    } else {
        (*link)->ops->close(*link);
        gn_link_free(*link);
    }
    return error;
}

static int open_session(int fd, int memory, struct gn_session **session, const struct gn_welcome *welcome,
                        const struct gn_session_events *events, char *why, size_t why_bytes)
{
    struct gn_link *link;
    struct gn_lanes *opened;
    unsigned lanes = wants_lanes() ? lanes_to_open(fd, welcome) : 0;
    int error = welcome->shm_bytes ? answer_offer(fd, &link, welcome->shm_bytes, memory) : open_over_socket(fd, &link);
    if (error) {
        snprintf(why, why_bytes, "%s", strerror(-error));
        return -1;
    }
    const struct gn_session_config config = {
        .ring_bytes = gn_options.ring_bytes,
        .receive_bytes = gn_options.receive_bytes,
        .threads = gn_options_on(GN_OPT_THREADS),
        .packs = gn_options_on(GN_OPT_LZ4),
        .spin_ns = gn_options_on(GN_OPT_SPIN) ? GN_SPIN_NS : 0,
        .confirm_posts = !gn_options_on(GN_OPT_POST),
        .single = !gn_options_on(GN_OPT_BATCH),
        .events = *events,
    };
    error = gn_session_open(session, link, &config, welcome);
    if (!error && lanes && !gn_lanes_open(&opened, gn_options.server, gn_options.connect_timeout_ms, welcome->worker_id, welcome->lane_key, lanes, gn_session_lane, *session))
        gn_session_use_lanes(*session, opened);
    if (error) {
        link->ops->close(link);
        gn_link_free(link);
        snprintf(why, why_bytes, "%s", strerror(-error));
    }
    return error ? -1 : 0;
}

int gn_connect(struct gn_session **session, struct gn_welcome *welcome,
               const struct gn_session_events *events, char *why, size_t why_bytes)
{
    char reason[GN_WHY_BYTES] = "";
    if (!*gn_options.server) {
        snprintf(why, why_bytes,
                 "no server is named; set GENIE_SERVER to its address, such as gpu-host:41234 or unix:/path");
        return -1;
    }
    int fd = gn_link_connect(gn_options.server, gn_options.connect_timeout_ms, reason, sizeof reason);
    if (fd < 0) {
        snprintf(why, why_bytes,
                 "no connection to the server at %.200s: %.200s; is genie-srv running there? (GENIE_SERVER "
                 "names it)",
                 gn_options.server, reason);
        return -1;
    }
    int memory = -1;
    struct gn_device_snapshot *devices = calloc(GN_DEVICES_MAX, sizeof *devices);
    welcome->devices = devices;
    limit_time(fd, gn_options.connect_timeout_ms);
    if (!devices || introduce(fd, welcome, &memory, reason, sizeof reason)) {
        close(fd);
    } else {
        limit_time(fd, 0);
        if (!open_session(fd, memory, session, welcome, events, reason, sizeof reason)) {
            void *fitting =
                realloc(devices, (welcome->device_count + 1) * sizeof *devices); // 64 of them would be much
            welcome->devices = fitting ? fitting : devices;
            if (memory >= 0)
                close(memory);
            return 0;
        }
    }
    if (memory >= 0)
        close(memory);
    free(devices);
    welcome->devices = NULL;
    welcome->device_count = 0;
    snprintf(why, why_bytes, "no session with the server at %.200s: %.300s", gn_options.server,
             devices ? reason : "out of memory");
    return -1;
}
