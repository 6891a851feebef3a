// SPDX-License-Identifier: Apache-2.0
// What server.toml says. configs/server.toml describes every key.
#ifndef GN_SERVER_CONFIG_H
#define GN_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "remoting/hello.h"
#include "server/log.h"
#include "server/worker/worker.h"

enum {
    GN_LISTEN_MAX = 16, // addresses
    GN_ADDRESS_BYTES = 256,
    GN_SESSIONS_MAX = 4096, // worker processes: far above what devices of one machine serve
    GN_SPARE_WORKERS_MAX = 64,
    GN_CONFIG_BYTES_MAX = 1 << 20, // of the file
};

struct gn_store_config {
    uint64_t memory_bytes;   // 0: there is none
    uint64_t promised_bytes; // of one session
    char directory[4096];    // where it is kept on disk too; empty: it is not
    uint64_t disk_bytes;
};

struct gn_server_config {
    char listen[GN_LISTEN_MAX][GN_ADDRESS_BYTES];
    unsigned listen_count;
    char driver[4096]; // a path or a SONAME
    enum gn_log_level log;
    char log_file[4096];     // empty: stderr
    char control[4096];      // path of the control socket; empty: none
    bool control_by_default; // nobody asked for it by name: the server also runs without
    char token_file[4096];
    char token[GN_TOKEN_BYTES]; // what token_file holds; empty: none is asked for
    bool insecure;              // other than loopback addresses without a token
    bool io_uring;
    uint32_t lanes;     // further connections of one session
    uint64_t shm_bytes; // of a ring of shared memory, for clients over Unix sockets; 0: none
    uint32_t shutdown_s, hello_s;
    uint32_t spare_workers;
    bool spare_init; // they initialise the driver
    uint32_t sessions, sessions_per_peer; // the second 0: no limit of its own
    struct gn_limits limits;              // of each session
    struct gn_store_config store;
};

// The values without a file.
void gn_server_config_defaults(struct gn_server_config *config);

// Reads a file over the defaults. 0, or -EINVAL or -errno, and `why` has "FILE:LINE:COLUMN: what is wrong"
// (at least 512 bytes).
int gn_server_config_read(struct gn_server_config *config, const char *path, char *why, size_t why_bytes);
// The same from text; `name` stands for the file in messages.
int gn_server_config_parse(struct gn_server_config *config, const char *name, const char *text,
                           size_t text_bytes, char *why, size_t why_bytes);
// What is behind the values: reads token_file. 0 or -errno and why.
int gn_server_config_finish(struct gn_server_config *config, char *why, size_t why_bytes);

// $XDG_RUNTIME_DIR/genie/control.sock, or "" where that is not set.
void gn_control_default_path(char *path, size_t path_bytes);

// The table of the keys.
extern const struct gn_config_schema gn_server_schema;

#endif
