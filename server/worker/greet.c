// SPDX-License-Identifier: Apache-2.0
// Welcoming the client, and agreeing on a link.
#include "server/worker/greet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link_shm.h"
#include "remoting/session/pass.h"
#include "server/log.h"

// `memory`: a descriptor to go beside the first byte, or -1.
static int send_all(int fd, const uint8_t *data, size_t size_bytes, int memory)
{
    for (size_t at = 0; at < size_bytes;) {
        ssize_t n = gn_pass_send(fd, data + at, size_bytes - at, &memory, at == 0 && memory >= 0);
        if (n <= 0)
            return n ? (int)n : -EPIPE;
        at += (size_t)n;
    }
    return 0;
}

static int send_welcome(int fd, const struct gn_welcome *welcome, int memory)
{
    void *buffer = malloc(GN_WELCOME_BYTES_MAX);
    int size = buffer ? gn_welcome_encode(buffer, GN_WELCOME_BYTES_MAX, welcome) : -ENOMEM;
    int error = size < 0 ? size : send_all(fd, buffer, (size_t)size, memory);
    free(buffer);
    return error;
}

// Shared memory, when the client wants it and this end of its connection allows it; -1: the session stays on the socket.
static int make_memory(const struct gn_worker_start *start, const struct gn_welcome *welcome)
{
    const struct gn_session_start *s = start->session;
    if (welcome->status || !s->shm_bytes || !(s->hello.wants & GN_WANTS_SHM) || !gn_shm_possible(start->fd))
        return -1;
    int memory = gn_shm_create(s->shm_bytes);
    if (memory < 0)
        gn_log(GN_LOG_INFO, "no memory can be shared (%s); the socket serves", strerror(-memory));
    return memory < 0 ? -1 : memory;
}

// Whether the client has taken the memory. A relay between two Unix sockets brings it no descriptor, so it has to say.
static int hear_answer(int fd, uint64_t *answer)
{
    for (size_t at = 0; at < sizeof *answer;) {
        ssize_t n = recv(fd, (uint8_t *)answer + at, sizeof *answer - at, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ECONNRESET;
        at += (size_t)n;
    }
    return *answer == GN_SHM_TAKEN || *answer == GN_SHM_DECLINED ? 0 : -EPROTO;
}

static int open_over_socket(const struct gn_worker_start *start, struct gn_link **link)
{
    int fell_back, error = gn_link_open(link, start->fd, start->session->plain, &fell_back);
    if (!error && fell_back)
        gn_log(GN_LOG_INFO, "io_uring is refused (%s); plain sockets serve", strerror(fell_back));
    return error;
}

int gn_greet(const struct gn_worker_start *start, struct gn_welcome *welcome, struct gn_link **link)
{
    int memory = make_memory(start, welcome);
    uint64_t answer = GN_SHM_DECLINED;
    welcome->shm_bytes = memory >= 0 ? start->session->shm_bytes : 0;
    if (!welcome->status && memory < 0) // through memory there is nothing to gain
        welcome->lanes = start->session->lanes;
    if (welcome->lanes || (!welcome->status && start->session->fetch))
        memcpy(welcome->lane_key, start->session->lane_key, sizeof welcome->lane_key);
    int error = send_welcome(start->fd, welcome, memory);
    if (!error && memory >= 0)
        error = hear_answer(start->fd, &answer);
    if (!error && !welcome->status)
        error = answer == GN_SHM_TAKEN ? gn_link_shm_new(link, start->fd, memory, welcome->shm_bytes, true) : open_over_socket(start, link);
    if (memory >= 0)
        close(memory);
    return error;
}
