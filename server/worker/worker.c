// SPDX-License-Identifier: Apache-2.0
// A worker's life: the driver, the welcome, the commands, the end.
#include "server/worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/front/spawn.h"
#include "server/kept/kept.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/store/contents.h"
#include "server/worker/commands.h"
#include "server/worker/gate.h"
#include "server/worker/greet.h"
#include "server/worker/host.h"
#include "server/worker/lanes.h"
#include "server/worker/lanes_out.h"
#include "server/worker/marks.h"
#include "server/worker/output.h"
#include "server/worker/prepare.h"
#include "server/worker/print.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"

static int open_parts(struct gn_worker *w, struct gn_link *link, const struct gn_hello *hello)
{
    int error = gn_output_open(&w->output, w, link, hello->wants & GN_WANTS_PACKED);
    error = error ? error : gn_staging_open(&w->staging, w);
    error = error ? error : gn_waiters_open(&w->waiters, w);
    error = error ? error : gn_marks_open(&w->marks, w);
    error = error ? error : gn_gates_open(&w->gates, w);
    error = error ? error : gn_pulls_open(&w->pulls);
    error = error ? error : gn_kepts_open(&w->kepts, w);
    error = error ? error : gn_commands_open(&w->commands, w, link, hello->ring_bytes);
    return error;
}

int gn_worker_main(const struct gn_worker_start *start)
{
    enum { CONTENTS_WAIT_MS = 1000 };   // within GN_HANGUP_GRACE_MS
    enum { RING_BYTES_MAX = 64 << 20 }; // parked commands: what a client may have unacknowledged
    static struct gn_worker worker;     // other threads may use it until the process ends
    static struct gn_device_snapshot devices[GN_DEVICES_MAX];
    struct gn_worker *w = &worker;
    struct gn_link *link;
    struct gn_welcome welcome = {.version = start->session->version, .worker_id = start->session->session, .devices = devices};
    w->limits = start->session->limits;
    w->status = start->status;
    CUresult r = gn_prepared_take(w, start->session->driver, &welcome);
    if (r == CUDA_SUCCESS && start->session->hello.ring_bytes > RING_BYTES_MAX) {
        welcome.status = CUDA_ERROR_INVALID_VALUE;
        snprintf(welcome.text, sizeof welcome.text, "a ring of more than %d MiB is refused", RING_BYTES_MAX >> 20);
    }
    int error = gn_greet(start, &welcome, &link);
    if (error)
        return error == -EPROTO ? GN_EXIT_PROTOCOL : GN_EXIT_LINK;
    if (welcome.status)
        return GN_EXIT_DRIVER;
    snprintf(w->status->transport, sizeof w->status->transport, "%s", link->ops->name);
    if (gn_print_open())
        gn_log(GN_LOG_WARN, "what kernels print will not reach the client");
    if (open_parts(w, link, &start->session->hello))
        return GN_EXIT_START;
    if (welcome.lanes && start->session->hello.wants & GN_WANTS_LANES_BACK && gn_lanes_out_open(&w->lanes_out, w))
        return GN_EXIT_START;
    if ((welcome.lanes || start->session->fetch) && gn_lanes_in_open(&w->lanes, w, start->front_fd, start->fd, (unsigned)welcome.lanes))
        return GN_EXIT_START;
    if (start->session->contents.on && start->store.index >= 0 && gn_contents_open(&w->contents, w, &start->session->contents, &start->store))
        return GN_EXIT_START;
    atomic_store(&w->status->ready, 1);
    int result = gn_commands_run(w->commands);
    // Nobody waits for the client any more. What the driver still runs ends with the process: that frees every context, allocation and
    // handle, also where a kernel never ends.
    gn_gates_stop(w);
    gn_staging_stop(w->staging);
    gn_kepts_stop(w->kepts);
    link->ops->shut(link);
    if (w->contents)
        gn_contents_finish(w->contents, CONTENTS_WAIT_MS);
    return result == 0 ? GN_EXIT_OVER : result == -EPROTO ? GN_EXIT_PROTOCOL : GN_EXIT_LINK;
}
