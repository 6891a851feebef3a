// SPDX-License-Identifier: Apache-2.0
// Initialising the driver, at a session's beginning or ahead of it.
#include "server/worker/prepare.h"

#include <stdio.h>
#include <string.h>

#include "server/front/welcome.h"
#include "server/log.h"

// Of this process, by its only thread at that time.
static struct {
    bool done;
    char path[4096];
    struct gn_driver driver;
    struct gn_welcome welcome;
    struct gn_device_snapshot devices[GN_DEVICES_MAX];
} ahead;

static CUresult open_driver(struct gn_driver *driver, const char *path, const struct gn_limits *limits,
                            struct gn_welcome *welcome)
{
    if (gn_driver_open(driver, path, welcome->text, sizeof welcome->text) == 0) {
        gn_welcome_fill(driver, limits, welcome); // calls cuInit, and says what the driver refuses
        return (CUresult)welcome->status;
    }
    welcome->status = CUDA_ERROR_NO_DEVICE;
    gn_log(GN_LOG_ERROR, "%s", welcome->text);
    return CUDA_ERROR_NO_DEVICE;
}

bool gn_prepare(const char *path)
{
    static const struct gn_limits none;
    ahead.welcome.devices = ahead.devices;
    ahead.done = snprintf(ahead.path, sizeof ahead.path, "%s", path) < (int)sizeof ahead.path &&
                 open_driver(&ahead.driver, path, &none, &ahead.welcome) == CUDA_SUCCESS;
    if (!ahead.done)
        gn_log(GN_LOG_INFO, "a spare worker cannot use the driver yet; sessions will try for themselves");
    return ahead.done;
}

CUresult gn_prepared_take(struct gn_worker *w, const char *path, struct gn_welcome *welcome)
{
    if (!ahead.done || strcmp(ahead.path, path))
        return open_driver(&w->driver, path, &w->limits, welcome);
    w->driver = ahead.driver;
    welcome->status = 0;
    welcome->text[0] = 0;
    welcome->driver_version = ahead.welcome.driver_version;
    welcome->window_bytes = w->limits.window_bytes;
    welcome->chunk_bytes = w->limits.chunk_bytes;
    welcome->device_count = ahead.welcome.device_count;
    memcpy(welcome->devices, ahead.devices, welcome->device_count * sizeof ahead.devices[0]);
    return CUDA_SUCCESS;
}
