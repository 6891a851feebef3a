// SPDX-License-Identifier: Apache-2.0
// genie.h.
#include "interpose/genie.h"

#include <errno.h>

#include "interpose/call.h"
#include "interpose/log.h"
#include "interpose/options.h"
#include "interpose/stats.h"

GN_EXPORT const char *genie_version(void) { return GENIE_VERSION; }

GN_EXPORT int genie_set_option(const char *name, const char *value)
{
    char why[GN_WHY_BYTES];
    if (!name || !value)
        return -EINVAL;
    int error = gn_options_override(name, value, why);
    if (error)
        gn_log(GN_LOG_WARN, "genie_set_option: %s", why);
    return error;
}

GN_EXPORT int genie_stats_write(const char *path) { return path ? gn_stats_write(path) : -EINVAL; }
