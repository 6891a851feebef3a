// SPDX-License-Identifier: Apache-2.0
// The client's configuration file: the keys of the options table, as TOML.
#include "interpose/options_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"

enum { FILE_BYTES_MAX = 64 << 10 }; // ten keys and their comments; a larger file is not ours

struct target {
    struct gn_options *options;
    char why[GN_WHY_BYTES];
};

// The reasons name the key, which the reader of the file sees already: they start behind it.
static const char *reason(struct target *t, const struct gn_config_key *key)
{
    size_t n = strlen(key->key);
    return !strncmp(t->why, key->key, n) && t->why[n] == ' ' ? t->why + n + 1 : t->why;
}

static const char *set_text(void *target, const struct gn_config_key *key,
                            const struct gn_config_value *value)
{
    struct target *t = target;
    return gn_options_set(t->options, key->key, value->string, t->why) ? reason(t, key) : NULL;
}

static const char *set_words(void *target, const struct gn_config_key *key,
                             const struct gn_config_value *value)
{
    struct target *t = target;
    char words[GN_WHY_BYTES];
    size_t at = 0;
    words[0] = 0;
    for (const struct gn_toml_node *n = value->strings.first; n; n = n->next) {
        int more = snprintf(words + at, sizeof words - at, "%s%s", at ? "," : "", n->text);
        if (more < 0 || at + (size_t)more >= sizeof words)
            return "is too long";
        at += (size_t)more;
    }
    return gn_options_set(t->options, key->key, words, t->why) ? reason(t, key) : NULL;
}

static const char *set_ring(void *target, const struct gn_config_key *key,
                            const struct gn_config_value *value)
{
    (void)key;
    struct target *t = target;
    return gn_options_set_ring(t->options, value->size_bytes, t->why) ? t->why : NULL;
}

static const char *set_timeout(void *target, const struct gn_config_key *key,
                               const struct gn_config_value *value)
{
    (void)key;
    struct target *t = target;
    return gn_options_set_timeout(t->options, value->duration_ns, t->why) ? t->why : NULL;
}

static const struct gn_config_key keys[] = {
    {.section = "",
     .key = "server",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "Where the server listens."},
    {.section = "", .key = "profile", .type = GN_CONFIG_STRING, .set = set_text, .doc = "default or embedded."},
    {.section = "",
     .key = "token",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "What the server asks for."},
    {.section = "", .key = "mode", .type = GN_CONFIG_STRING, .set = set_text, .doc = "remote or local."},
    {.section = "",
     .key = "driver",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "The driver of the local mode."},
    {.section = "",
     .key = "opt",
     .type = GN_CONFIG_STRINGS,
     .set = set_words,
     .doc = "Optimisations to switch off."},
    {.section = "",
     .key = "trace",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "A file for every call."},
    {.section = "",
     .key = "stats",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "A file for figures at exit."},
    {.section = "",
     .key = "hints",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "The sidecar, or a folder of sidecars."},
    {.section = "",
     .key = "explain",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "A file for what its rules met, at exit."},
    {.section = "",
     .key = "log",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "Level and file of the log."},
    {.section = "",
     .key = "ring",
     .type = GN_CONFIG_SIZE,
     .set = set_ring,
     .doc = "Command bytes under way."},
    {.section = "",
     .key = "lanes",
     .type = GN_CONFIG_STRING,
     .set = set_text,
     .doc = "Connections of the session."},
    {.section = "",
     .key = "timeout",
     .type = GN_CONFIG_DURATION,
     .set = set_timeout,
     .doc = "Time to connect."},
};

const struct gn_config_schema gn_options_schema = {keys, sizeof keys / sizeof *keys};

// The whole file in memory of its own, with its length; or -errno.
static int read_all(const char *path, char **text, size_t *text_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = 0;
    size_t at = 0;
    ssize_t n = 1;
    char *room = malloc(FILE_BYTES_MAX + 1);
    if (!room)
        error = -ENOMEM;
    while (!error && n && at <= FILE_BYTES_MAX) {
        n = read(fd, room + at, FILE_BYTES_MAX + 1 - at);
        if (n < 0 && errno != EINTR)
            error = -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (!error && at > FILE_BYTES_MAX)
        error = -EFBIG;
    if (error) {
        free(room);
        return error;
    }
    *text = room;
    *text_bytes = at;
    return 0;
}

int gn_options_file(struct gn_options *options, const char *path, char *why)
{
    struct target t = {.options = options};
    struct gn_config_error wrong;
    char *text = NULL;
    size_t text_bytes = 0;
    int error = read_all(path, &text, &text_bytes);
    if (error) {
        snprintf(why, GN_WHY_BYTES, "%.300s: %s", path, strerror(-error));
        return -EINVAL;
    }
    size_t arena_bytes = GN_TOML_ARENA_BYTES(text_bytes);
    void *arena = malloc(arena_bytes);
    if (!arena)
        snprintf(wrong.text, sizeof wrong.text, "%.300s: out of memory", path);
    if (!arena ||
        gn_config_read(&gn_options_schema, path, text, text_bytes, arena, arena_bytes, &t, &wrong)) {
        snprintf(why, GN_WHY_BYTES, "%s", wrong.text);
        error = -EINVAL;
    }
    free(arena);
    free(text);
    return error;
}
