// SPDX-License-Identifier: Apache-2.0
// Fuzzes the TOML parser and the settings reader. Beyond not crashing: an arena of GN_TOML_ARENA_BYTES is
// always enough, every member is found by its key, counts and chains agree, the same text gives the same
// answer in a smaller arena or -ENOMEM, errors have a place.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t check_node(const struct gn_toml_node *node, unsigned depth)
{
    uint64_t nodes = 1;
    uint32_t count = 0;
    require(depth <= GN_TOML_DEPTH_MAX + 1 && node->line >= 1 && node->column >= 1);
    if (node->kind == GN_TOML_STRING)
        require(node->text[node->text_bytes] == 0);
    if (node->kind != GN_TOML_TABLE && node->kind != GN_TOML_ARRAY)
        return nodes;
    for (const struct gn_toml_node *n = node->first; n; n = n->next, count++) {
        require(node->kind == GN_TOML_ARRAY ? !n->key : gn_toml_get(node, n->key, n->key_bytes) == n);
        require(n->next || n == node->last);
        nodes += check_node(n, depth + 1);
    }
    require(count == node->count);
    return nodes;
}

struct item {
    const char *name;
    uint64_t size_bytes;
};

struct settings {
    const char *text;
    bool flag;
    int16_t number;
    uint64_t size_bytes, wait_ns;
    uint8_t choice;
    struct gn_config_strings list;
    struct item items[4];
};

static const char *const choices[] = {"one", "two", "three", NULL};

static void *begin_item(void *target, const struct gn_config_key *key, uint32_t index, const char **reason)
{
    struct settings *s = target;
    (void)key;
    *reason = "too many";
    return index < 4 ? &s->items[index] : NULL;
}

static const struct gn_config_key item_keys[] = {
    {"", "name", GN_CONFIG_STRING, GN_CONFIG_FIELD(struct item, name), .required = true, .doc = "d"},
    {"a.b", "size", GN_CONFIG_SIZE, GN_CONFIG_FIELD(struct item, size_bytes), .doc = "d"},
};
static const struct gn_config_schema item_schema = {item_keys, 2};

static const struct gn_config_key keys[] = {
    {"", "text", GN_CONFIG_STRING, GN_CONFIG_FIELD(struct settings, text), .doc = "d"},
    {"", "item", GN_CONFIG_TABLES, .elements = &item_schema, .begin = begin_item, .doc = "d"},
    {"a", "flag", GN_CONFIG_BOOL, GN_CONFIG_FIELD(struct settings, flag), .doc = "d"},
    {"a", "number", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, number), .min = -9, .max = 99,
     .doc = "d"},
    {"a.b", "size", GN_CONFIG_SIZE, GN_CONFIG_FIELD(struct settings, size_bytes), .doc = "d"},
    {"a.b", "wait", GN_CONFIG_DURATION, GN_CONFIG_FIELD(struct settings, wait_ns), .doc = "d"},
    {"c", "choice", GN_CONFIG_ENUM, GN_CONFIG_FIELD(struct settings, choice), .names = choices, .doc = "d"},
    {"c", "list", GN_CONFIG_STRINGS, GN_CONFIG_FIELD(struct settings, list), .doc = "d"},
};
static const struct gn_config_schema schema = {keys, sizeof keys / sizeof *keys};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct gn_toml_node *root;
    struct gn_toml_error error = {0};
    struct gn_config_error config_error = {""};
    struct settings settings = {.text = NULL};
    size_t arena_bytes = GN_TOML_ARENA_BYTES(size);
    void *arena = malloc(arena_bytes);
    int rc = gn_toml_parse(text, size, arena, arena_bytes, &root, &error);
    require(rc == 0 || rc == -EINVAL);
    if (rc == 0)
        check_node(root, 0);
    else
        require(!root && error.line >= 1 && error.column >= 1 && error.text[0]);

    size_t less = size ? arena_bytes / (2 + data[0] % 8) : 0;
    int rc_less = gn_toml_parse(text, size, arena, less, &root, &error);
    require(rc_less == rc || rc_less == -ENOMEM);

    rc_less = gn_config_read(&schema, "f.toml", text, size, arena, arena_bytes, &settings, &config_error);
    require(rc_less == rc || (rc == 0 && rc_less == -EINVAL));
    require(rc_less == 0 ? !config_error.text[0] : strncmp(config_error.text, "f.toml:", 7) == 0);
    free(arena);
    return 0;
}
