// SPDX-License-Identifier: Apache-2.0
// The configuration of genie-bench: other systems to compare with, where they are installed. docs/bench.md
// describes it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "core/config.h"

enum { FILE_BYTES_MAX = 64 << 10 }; // a few peers with their commands

static const char *set_words(void *target, const struct gn_config_key *key,
                             const struct gn_config_value *value)
{
    const char **to = (const char **)((char *)target + key->field_offset);
    unsigned n = 0;
    if (value->strings.count > GN_PEER_WORDS_MAX)
        return "has too many words";
    for (const struct gn_toml_node *w = value->strings.first; w; w = w->next)
        to[n++] = w->text;
    to[n] = NULL;
    return NULL;
}

static void *begin_peer(void *target, const struct gn_config_key *key, uint32_t index, const char **reason)
{
    struct gn_place *place = target;
    (void)key;
    if (index >= GN_PEERS_MAX) {
        *reason = "there are too many peers";
        return NULL;
    }
    place->peer_count = index + 1;
    return &place->peers[index];
}

static const char *end_peer(void *target, void *element)
{
    static const char *const ours[] = {"local", "capture_only", "local_remote", "no_semantics", "limit"};
    const struct gn_place *place = target;
    const struct gn_peer *peer = element;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcmp(peer->name, ours[i]))
            return "its name is that of a row of our own";
    for (unsigned i = 0; &place->peers[i] != peer; i++)
        if (!strcmp(place->peers[i].name, peer->name))
            return "another peer has its name";
    return peer->server[0] ? NULL : "its server has no words";
}

static const struct gn_config_key peer_keys[] = {
    {.section = "",
     .key = "name",
     .type = GN_CONFIG_STRING,
     .required = true,
     GN_CONFIG_FIELD(struct gn_peer, name),
     .doc = "of its rows"},
    {.section = "",
     .key = "server",
     .type = GN_CONFIG_STRINGS,
     .required = true,
     .set = set_words,
     .field_offset = offsetof(struct gn_peer, server),
     .doc = "the command that starts its server"},
    {.section = "",
     .key = "server_env",
     .type = GN_CONFIG_STRINGS,
     .set = set_words,
     .field_offset = offsetof(struct gn_peer, server_env),
     .doc = "NAME=value for the server"},
    {.section = "",
     .key = "ready",
     .type = GN_CONFIG_STRING,
     GN_CONFIG_FIELD(struct gn_peer, ready),
     .doc = "what the server prints when it is ready"},
    {.section = "",
     .key = "env",
     .type = GN_CONFIG_STRINGS,
     .required = true,
     .set = set_words,
     .field_offset = offsetof(struct gn_peer, env),
     .doc = "NAME=value for the program"},
};
static const struct gn_config_schema peer_schema = {peer_keys, sizeof peer_keys / sizeof *peer_keys};
static const struct gn_config_key keys[] = {
    {.section = "",
     .key = "peer",
     .type = GN_CONFIG_TABLES,
     .elements = &peer_schema,
     .begin = begin_peer,
     .end = end_peer,
     .doc = "another system"},
};
static const struct gn_config_schema schema = {keys, sizeof keys / sizeof *keys};

int gn_bench_config(struct gn_place *place, const char *path, char *why, size_t why_bytes)
{
    static char text[FILE_BYTES_MAX]; // these two live as long as the peers' words
    static _Alignas(16) char arena[GN_TOML_ARENA_BYTES(FILE_BYTES_MAX)];
    struct gn_config_error error;
    FILE *f = fopen(path, "re");
    if (!f) {
        snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
        return -ENOENT;
    }
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    if (n == sizeof text) {
        snprintf(why, why_bytes, "%s: is longer than %d bytes", path, FILE_BYTES_MAX - 1);
        return -E2BIG;
    }
    int r = gn_config_read(&schema, path, text, n, arena, sizeof arena, place, &error);
    if (r)
        snprintf(why, why_bytes, "%s", error.text);
    return r;
}
