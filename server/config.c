// SPDX-License-Identifier: Apache-2.0
// Reading server.toml.
#include "server/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/frame.h"
#include "remoting/link/link_shm.h"
#include "remoting/spin.h"

#define KiB 1024ll
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)
#define TiB (1024 * GiB)

enum { CHUNK_GRAIN_BYTES = 4096 }; // staging slots are pages

static const char *const log_levels[] = {"off", "error", "warn", "info", "debug", NULL};
_Static_assert(sizeof log_levels / sizeof *log_levels == GN_LOG_LEVELS + 1, "one name a level");

static const char *set_text(void *target, const struct gn_config_key *key,
                            const struct gn_config_value *value)
{
    size_t n = strlen(value->string);
    if (n >= key->field_bytes)
        return "it is too long";
    memcpy((char *)target + key->field_offset, value->string, n + 1);
    return NULL;
}

static const char *set_control(void *target, const struct gn_config_key *key,
                               const struct gn_config_value *value)
{
    ((struct gn_server_config *)target)->control_by_default = false;
    return set_text(target, key, value);
}

static const char *set_listen(void *target, const struct gn_config_key *key,
                              const struct gn_config_value *value)
{
    struct gn_server_config *config = target;
    (void)key;
    if (!value->strings.count || value->strings.count > GN_LISTEN_MAX)
        return "there must be 1 to 16 addresses";
    config->listen_count = 0;
    for (const struct gn_toml_node *n = value->strings.first; n; n = n->next) {
        if (n->text_bytes >= GN_ADDRESS_BYTES)
            return "an address is too long";
        snprintf(config->listen[config->listen_count++], GN_ADDRESS_BYTES, "%s", n->text);
    }
    return NULL;
}

#define FIELD(name) GN_CONFIG_FIELD(struct gn_server_config, name)

static const struct gn_config_key keys[] = {
    {.section = "server",
     .key = "listen",
     .type = GN_CONFIG_STRINGS,
     .set = set_listen,
     .doc = "Addresses to listen on: \"host:port\", \"[v6]:port\", \"unix:/path\"; port 0 is any free one."},
    {.section = "server",
     .key = "driver",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     FIELD(driver),
     .doc = "The CUDA driver library, by path or by name."},
    {.section = "server",
     .key = "log",
     .type = GN_CONFIG_ENUM,
     .names = log_levels,
     FIELD(log),
     .doc = "How much is logged."},
    {.section = "server",
     .key = "log_file",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     FIELD(log_file),
     .doc = "Where the log goes instead of stderr; it is appended to."},
    {.section = "server",
     .key = "control",
     .type = GN_CONFIG_STRING,
     .set = set_control,
     FIELD(control),
     .doc = "Path of the socket that genie-ctl asks; empty for none."},
    {.section = "server",
     .key = "token_file",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     FIELD(token_file),
     .doc = "A file with the token that every client must present."},
    {.section = "server",
     .key = "insecure",
     .type = GN_CONFIG_BOOL,
     FIELD(insecure),
     .doc = "Listen on addresses that other machines reach although no token is asked for."},
    {.section = "server",
     .key = "io_uring",
     .type = GN_CONFIG_BOOL,
     FIELD(io_uring),
     .doc = "Use io_uring where the kernel has it; false: plain sockets."},
    {.section = "server",
     .key = "shared_memory",
     .type = GN_CONFIG_SIZE,
     .min = 0,
     .max = GN_SHM_RING_BYTES_MAX,
     FIELD(shm_bytes),
     .doc = "Clients over Unix sockets go on through two rings of this size in shared memory; 0: through the socket."},
    {.section = "server",
     .key = "shutdown_s",
     .type = GN_CONFIG_INTEGER,
     .min = 0,
     .max = 86400,
     FIELD(shutdown_s),
     .doc = "Seconds that sessions may go on after SIGTERM."},
    {.section = "server",
     .key = "spare_workers",
     .type = GN_CONFIG_INTEGER,
     .min = 0,
     .max = GN_SPARE_WORKERS_MAX,
     FIELD(spare_workers),
     .doc = "Processes started ahead of the sessions that they will serve."},
    {.section = "server",
     .key = "spare_init",
     .type = GN_CONFIG_BOOL,
     FIELD(spare_init),
     .doc = "They initialise the driver ahead too; false: only with their session."},
    {.section = "transport",
     .key = "spin_us",
     .type = GN_CONFIG_INTEGER,
     .min = 0,
     .max = GN_SPIN_NS_MAX / 1000,
     FIELD(limits.spin_us),
     .doc = "How long a worker looks for commands before it sleeps; 0: not at all."},
    {.section = "limits",
     .key = "sessions",
     .type = GN_CONFIG_INTEGER,
     .min = 1,
     .max = GN_SESSIONS_MAX,
     FIELD(sessions),
     .doc = "Sessions at a time."},
    {.section = "limits",
     .key = "sessions_per_peer",
     .type = GN_CONFIG_INTEGER,
     .min = 0,
     .max = GN_SESSIONS_MAX,
     FIELD(sessions_per_peer),
     .doc = "Sessions of one host, or of one user over a Unix socket; 0 for no limit of its own."},
    {.section = "limits",
     .key = "memory",
     .type = GN_CONFIG_SIZE,
     .min = 0,
     .max = 1024 * TiB,
     FIELD(limits.memory_bytes),
     .doc = "Device memory of one session; 0 for what the device has."},
    {.section = "limits",
     .key = "images",
     .type = GN_CONFIG_SIZE,
     .min = 1 * MiB,
     .max = 64 * GiB,
     FIELD(limits.image_bytes),
     .doc = "Module images of one session on their way to the driver."},
    {.section = "limits",
     .key = "window",
     .type = GN_CONFIG_SIZE,
     .min = 64 * KiB,
     .max = 4 * GiB,
     FIELD(limits.window_bytes),
     .doc = "Payload of one session under way: pinned memory of the server."},
    {.section = "limits",
     .key = "chunk",
     .type = GN_CONFIG_SIZE,
     .min = 64 * KiB,
     .max = GN_PAYLOAD_BYTES_MAX,
     FIELD(limits.chunk_bytes),
     .doc = "Payload that is handed to the device at once."},
    {.section = "limits",
     .key = "handles",
     .type = GN_CONFIG_INTEGER,
     .min = 64,
     .max = GN_HANDLE_CHUNKS_MAX * GN_HANDLE_CHUNK_SLOTS,
     FIELD(limits.handles),
     .doc = "Streams, events, modules, functions and contexts of one session."},
    {.section = "limits",
     .key = "lanes",
     .type = GN_CONFIG_INTEGER,
     .min = 0,
     .max = GN_LANES_MAX,
     FIELD(lanes),
     .doc = "Further connections that one session may open for large copies."},
    {.section = "kept",
     .key = "device",
     .type = GN_CONFIG_INTEGER,
     .min = 0,
     .max = 90,
     FIELD(limits.kept_percent),
     .doc = "Percent of a device's memory that what one session has kept may take; 0: it is kept in host memory."},
    {.section = "kept",
     .key = "content",
     .type = GN_CONFIG_BOOL,
     FIELD(limits.kept_content),
     .doc = "Content that a session uploads again and again is kept on the device, within the same part of it."},
    {.section = "kept",
     .key = "host",
     .type = GN_CONFIG_SIZE,
     .min = 0,
     .max = 16 * TiB,
     FIELD(limits.kept_host_bytes),
     .doc = "All that one session may have kept, on a device or not: it must fit into host memory. 0: nothing is kept."},
    {.section = "limits",
     .key = "hello_s",
     .type = GN_CONFIG_INTEGER,
     .min = 1,
     .max = 300,
     FIELD(hello_s),
     .doc = "Seconds in which a connection must say who it is."},
    {.section = "store",
     .key = "memory",
     .type = GN_CONFIG_SIZE,
     .min = 0,
     .max = 4 * TiB,
     FIELD(store.memory_bytes),
     .doc = "Memory for content that sessions upload, so that the next ones need not; 0: none is kept."},
    {.section = "store",
     .key = "promised",
     .type = GN_CONFIG_SIZE,
     .min = 0,
     .max = 4 * TiB,
     FIELD(store.promised_bytes),
     .doc = "What of it one session may hold at a time."},
    {.section = "store",
     .key = "directory",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     FIELD(store.directory),
     .doc = "A folder that it is kept in too, for after a restart; empty: it is not."},
    {.section = "store",
     .key = "disk",
     .type = GN_CONFIG_SIZE,
     .min = 1 * MiB,
     .max = 1024 * TiB,
     FIELD(store.disk_bytes),
     .doc = "What it may take there."},
};

const struct gn_config_schema gn_server_schema = {.keys = keys, .count = sizeof keys / sizeof *keys};

void gn_control_default_path(char *path, size_t path_bytes)
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    int n = folder && folder[0] == '/' ? snprintf(path, path_bytes, "%s/genie/control.sock", folder) : -1;
    if (n < 0 || (size_t)n >= path_bytes)
        path[0] = 0;
}

void gn_server_config_defaults(struct gn_server_config *config)
{
    *config = (struct gn_server_config){
        .listen = {"127.0.0.1:4720"},
        .listen_count = 1,
        .driver = "libcuda.so.1",
        .log = GN_LOG_INFO,
        .control_by_default = true,
        .io_uring = true,
        .shm_bytes = 2 * MiB,
        .lanes = GN_LANES_MAX,
        .shutdown_s = 10,
        .hello_s = 5,
        .spare_workers = 1,
        .spare_init = true,
        .sessions = 64,
        .limits = {.image_bytes = 4 * GiB,
                   .window_bytes = 32 * MiB,
                   .chunk_bytes = 512 * KiB,
                   .handles = 262144,
                   .kept_percent = 25, // weights and KV cache of a model that has the device for itself otherwise; it goes when the program needs it
                   .kept_host_bytes = 8 * GiB,
                   .kept_content = true,
                   .spin_us = GN_SPIN_NS / 1000},
        .store = {.memory_bytes = 1 * GiB, .promised_bytes = 512 * MiB, .disk_bytes = 20 * GiB},
    };
    gn_control_default_path(config->control, sizeof config->control);
}

// What no single key can tell.
static int check_together(const struct gn_server_config *config, const char *name, char *why,
                          size_t why_bytes)
{
    if (config->limits.chunk_bytes % CHUNK_GRAIN_BYTES) {
        snprintf(why, why_bytes, "%s: limits.chunk must be a multiple of %d", name, CHUNK_GRAIN_BYTES);
        return -EINVAL;
    }
    if (config->shm_bytes && !gn_shm_ring_fits(config->shm_bytes)) {
        snprintf(why, why_bytes, "%s: server.shared_memory must be 0 or a power of two from 64KiB to 16MiB", name);
        return -EINVAL;
    }
    if (config->limits.window_bytes < config->limits.chunk_bytes) {
        snprintf(why, why_bytes, "%s: limits.window must be at least limits.chunk", name);
        return -EINVAL;
    }
    return 0;
}

int gn_server_config_parse(struct gn_server_config *config, const char *name, const char *text,
                           size_t text_bytes, char *why, size_t why_bytes)
{
    struct gn_config_error error = {0};
    size_t arena_bytes = GN_TOML_ARENA_BYTES(text_bytes);
    void *arena = malloc(arena_bytes); // nothing of the configuration points into it
    int result =
        arena ? gn_config_read(&gn_server_schema, name, text, text_bytes, arena, arena_bytes, config, &error)
              : -ENOMEM;
    free(arena);
    if (result) {
        snprintf(why, why_bytes, "%s", error.text[0] ? error.text : strerror(-result));
        return result;
    }
    return check_together(config, name, why, why_bytes);
}

// A whole small file, with a NUL behind it. Its bytes or -errno.
static ssize_t read_file(const char *path, size_t most_bytes, char **text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t got = 0;
    ssize_t n = -1;
    char *buffer = malloc(most_bytes + 1);
    while (buffer && got <= most_bytes && (n = read(fd, buffer + got, most_bytes + 1 - got)) > 0)
        got += (size_t)n;
    int error = !buffer ? ENOMEM : n < 0 ? errno : got > most_bytes ? EFBIG : 0;
    close(fd);
    if (error) {
        free(buffer);
        return -error;
    }
    buffer[got] = 0;
    *text = buffer;
    return (ssize_t)got;
}

int gn_server_config_read(struct gn_server_config *config, const char *path, char *why, size_t why_bytes)
{
    char *text;
    ssize_t bytes = read_file(path, GN_CONFIG_BYTES_MAX, &text);
    if (bytes < 0) {
        snprintf(why, why_bytes, "%s: %s", path, strerror((int)-bytes));
        return (int)bytes;
    }
    int result = gn_server_config_parse(config, path, text, (size_t)bytes, why, why_bytes);
    free(text);
    return result;
}

int gn_server_config_finish(struct gn_server_config *config, char *why, size_t why_bytes)
{
    char *text;
    config->token[0] = 0;
    if (!config->token_file[0])
        return 0;
    ssize_t bytes = read_file(config->token_file, 4096, &text);
    if (bytes < 0) {
        snprintf(why, why_bytes, "%s: %s", config->token_file, strerror((int)-bytes));
        return (int)bytes;
    }
    while (bytes && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r' || text[bytes - 1] == ' '))
        text[--bytes] = 0;
    int result = 0;
    if (!bytes || bytes >= GN_TOKEN_BYTES || strlen(text) != (size_t)bytes) {
        snprintf(why, why_bytes, "%s: a token is one line of 1 to %d bytes", config->token_file,
                 GN_TOKEN_BYTES - 1);
        result = -EINVAL;
    } else {
        memcpy(config->token, text, (size_t)bytes + 1);
    }
    explicit_bzero(text, (size_t)bytes);
    free(text);
    struct stat st;
    if (!result && !stat(config->token_file, &st) && (st.st_mode & (S_IRWXG | S_IRWXO)))
        gn_log(GN_LOG_WARN, "%s can be read by others than its owner", config->token_file);
    return result;
}
