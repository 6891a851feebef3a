// SPDX-License-Identifier: Apache-2.0
// What the client learns of the devices in the first exchange: a snapshot with the attributes that Genie can
// carry.
#ifndef GN_SERVER_WELCOME_H
#define GN_SERVER_WELCOME_H

#include "remoting/hello.h"
#include "server/driver.h"
#include "server/worker/worker.h"

// Initialises the driver (cuInit) and fills the welcome; welcome->devices is the caller's array of
// GN_DEVICES_MAX. The caller sets version and worker_id. Where the driver refuses, status is its code and
// text says which call it was.
void gn_welcome_fill(const struct gn_driver *driver, const struct gn_limits *limits,
                     struct gn_welcome *welcome);

// The value that the client is told for an attribute whose value on the server is `value`.
int gn_attribute_shown(int attribute, int value);

#endif
