// SPDX-License-Identifier: Apache-2.0
// The front door's part in the content store: it makes the memory, says whose a session's content is, and has a process that writes it to disk.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "remoting/digest.h"
#include "server/front/front.h"

enum {
    SAVER_PAUSE_MS = 1000, // before it is started again when it has died
    SAVER_END_MS = 500,    // what it has to end in any case
};

static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789.:-";

void gn_front_name_tenant(const struct gn_front *front, const struct gn_hello *hello, const char *peer, char tenant[GN_TENANT_BYTES])
{
    if (!strncmp(peer, "uid ", 4)) {
        snprintf(tenant, GN_TENANT_BYTES, "uid-%s", peer + 4);
    } else if (front->config->token[0]) { // the token itself stands in no name of a file
        struct gn_content name = gn_content_of(hello->token, strlen(hello->token));
        snprintf(tenant, GN_TENANT_BYTES, "token-%016llx%016llx", (unsigned long long)name.high, (unsigned long long)name.low);
    } else {
        snprintf(tenant, GN_TENANT_BYTES, "open-%.*s", GN_TENANT_BYTES - 8, peer);
    }
    for (char *c = tenant; *c; c++) // it names a folder
        if (!strchr(plain, *c))
            *c = '_';
}

// Without it everything works as well, only slower.
void gn_front_open_store(struct gn_front *front)
{
    uint64_t memory_bytes = front->config->store.memory_bytes;
    int error = memory_bytes ? gn_store_make(&front->store, memory_bytes) : 0;
    if (!error && memory_bytes && (error = gn_store_open(&front->store_view, &front->store))) {
        close(front->store.index);
        close(front->store.data);
        front->store = (struct gn_store_fds){-1, -1};
    }
    if (error)
        gn_log(GN_LOG_WARN, "there is no content store: %s", strerror(-error));
    gn_front_start_saver(front, gn_now_ms());
}

static bool wants_saver(const struct gn_front *front) { return front->store_view && front->config->store.directory[0]; }

void gn_front_start_saver(struct gn_front *front, int64_t now_ms)
{
    if (!wants_saver(front) || front->saver.pid || front->stopping || now_ms < front->saver_again_ms)
        return;
    int error = gn_spawn_saver(&front->saver, &front->store, front->config->store.directory, front->config->store.disk_bytes);
    front->saver_again_ms = now_ms + SAVER_PAUSE_MS;
    if (error)
        gn_log(GN_LOG_WARN, "the process that writes the content store cannot be started: %s", strerror(-error));
}

int64_t gn_front_saver_deadline(const struct gn_front *front)
{
    return wants_saver(front) && !front->saver.pid && !front->stopping ? front->saver_again_ms : INT64_MAX;
}

bool gn_front_saver_ended(struct gn_front *front, pid_t pid, int status)
{
    if (!front->saver.pid || front->saver.pid != pid)
        return false;
    gn_spawn_release(&front->saver);
    front->saver_again_ms = gn_now_ms() + SAVER_PAUSE_MS;
    if (!front->stopping)
        gn_log(GN_LOG_WARN, "the process that writes the content store has ended (status 0x%x); another one goes on", status);
    return true;
}

// It writes what is left, and is waited for, within what is left of shutdown_s, or for a moment.
void gn_front_close_store(struct gn_front *front, int64_t until_ms)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    int64_t least_ms = gn_now_ms() + SAVER_END_MS;
    until_ms = until_ms > least_ms ? until_ms : least_ms;
    int status;
    if (front->saver.pid) {
        close(front->saver.front_fd);
        front->saver.front_fd = -1;
        pid_t ended = 0;
        while (!(ended = waitpid(front->saver.pid, &status, WNOHANG)) && gn_now_ms() < until_ms)
            nanosleep(&moment, NULL);
        if (!ended) {
            gn_log(GN_LOG_WARN, "not all of the content store could be written within shutdown_s");
            kill(front->saver.pid, SIGKILL);
            waitpid(front->saver.pid, NULL, 0);
        }
        gn_spawn_release(&front->saver);
    }
    if (front->store_view)
        gn_store_close(front->store_view);
    front->store_view = NULL;
}
