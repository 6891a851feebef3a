// SPDX-License-Identifier: Apache-2.0
// genie-ctl hints: checking sidecars, and what may stand in one.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hints/hints.h"
#include "server/ctl/ctl.h"

// --- check

static void show_problem(void *context, const char *text)
{
    ++*(unsigned *)context;
    fprintf(stderr, "%s\n", text);
}

// The file's text, NUL-terminated, which the caller frees; or NULL with errno.
static char *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(GN_HINTS_FILE_BYTES_MAX + 2) : NULL;
    if (!text) {
        int error = f ? ENOMEM : errno;
        if (f)
            fclose(f);
        errno = error;
        return NULL;
    }
    *bytes = fread(text, 1, GN_HINTS_FILE_BYTES_MAX + 1, f);
    int error = ferror(f) ? errno : *bytes > GN_HINTS_FILE_BYTES_MAX ? EFBIG : 0;
    fclose(f);
    if (error) {
        free(text);
        text = NULL;
    }
    errno = error;
    return text;
}

static const char *plural(uint32_t count) { return count == 1 ? "" : "s"; }

static int check_file(const char *path)
{
    static struct gn_hints hints;
    struct gn_config_error error;
    unsigned problems = 0;
    const struct gn_config_listener listener = {.tell = show_problem, .context = &problems};
    size_t bytes = 0;
    char *text = read_file(path, &bytes);
    if (!text) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    void *arena = malloc(GN_TOML_ARENA_BYTES(bytes));
    int rc = arena ? gn_hints_read(&hints, path, text, bytes, arena, GN_TOML_ARENA_BYTES(bytes), &error, &listener) : -ENOMEM;
    if (rc && !problems)
        fprintf(stderr, "%s: %s\n", path, strerror(-rc));
    if (problems)
        fprintf(stderr, "%s: %u problem%s%s\n", path, problems, plural(problems),
                problems >= GN_CONFIG_PROBLEMS_MAX ? ", and perhaps more" : "");
    if (!rc)
        printf("%s: good: %u rule%s, %u phase%s, %u breakpoint%s\n", path, hints.region_count, plural(hints.region_count), hints.phase_count,
               plural(hints.phase_count), hints.breakpoint_count, plural(hints.breakpoint_count));
    free(arena);
    free(text);
    return rc ? 1 : 0;
}

static int run_check(int argc, char **argv)
{
    int status = argc ? 0 : gn_ctl_hints_usage(2);
    for (int i = 0; i < argc; i++)
        status |= check_file(argv[i]);
    return status;
}

// --- keys

static const char *type_name(const struct gn_config_key *key)
{
    static const char *const names[] = {
        [GN_CONFIG_STRING] = "string", [GN_CONFIG_BOOL] = "true, false", [GN_CONFIG_INTEGER] = "integer", [GN_CONFIG_SIZE] = "size",
        [GN_CONFIG_DURATION] = "duration", [GN_CONFIG_TEXT] = "string or integer", [GN_CONFIG_STRINGS] = "array of strings",
        [GN_CONFIG_WORDS] = "string or array of them", [GN_CONFIG_INTEGERS] = "integer or array of them", [GN_CONFIG_TABLES] = "tables",
    };
    return key->type < sizeof names / sizeof *names && names[key->type] ? names[key->type] : "?";
}

static void show_type(const struct gn_config_key *key)
{
    if (key->type != GN_CONFIG_ENUM)
        printf("%s", type_name(key));
    for (const char *const *name = key->type == GN_CONFIG_ENUM ? key->names : NULL; name && *name; name++)
        printf("%s`%s`", name == key->names ? "" : ", ", *name);
}

static void show_keys(const struct gn_config_schema *schema, const char *outer)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct gn_config_key *key = &schema->keys[i];
        const char *open = *outer || key->type == GN_CONFIG_TABLES ? "[[" : "[", *close = open[1] ? "]]" : "]";
        bool tables = key->type == GN_CONFIG_TABLES, top = !*outer && !*key->section && !tables;
        printf("| ");
        if (!top)
            printf("`%s%s%s%s%s` ", open, tables ? key->key : outer, *outer && *key->section ? "." : "", key->section, close);
        if (!tables)
            printf("`%s`", key->key);
        printf(" | ");
        show_type(key);
        printf(" | %s%s |\n", key->doc, key->required ? " Required." : "");
        if (tables)
            show_keys(key->elements, key->key);
    }
}

static int run_keys(int argc, char **argv)
{
    (void)argv;
    if (argc)
        return gn_ctl_hints_usage(2);
    printf("| key | value | meaning |\n|---|---|---|\n");
    show_keys(&gn_hints_schema, "");
    return 0;
}

// --- the table

static const struct {
    const char *name, *usage, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"check", "check FILE...", "what is wrong in sidecars, with line and column; exit status 1 when something is", run_check},
    {"explain", "explain [--hints FILE] [--shim FILE] [--] PROGRAM [ARGUMENT...]",
     "runs a program and shows which rule met which memory, what that saved, and what did not match", gn_ctl_hints_explain},
    {"keys", "keys", "all that may stand in a sidecar, as a table", run_keys},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

int gn_ctl_hints_usage(int status)
{
    FILE *f = status ? stderr : stdout;
    fprintf(f, "usage:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(f, "  genie-ctl hints %s\n      %s\n", commands[i].usage, commands[i].help);
    return status;
}

int gn_ctl_hints(int argc, char **argv)
{
    if (argc && !strcmp(argv[0], "--help"))
        return gn_ctl_hints_usage(0);
    for (int i = 0; argc && i < COMMANDS; i++)
        if (!strcmp(commands[i].name, argv[0]))
            return commands[i].run(argc - 1, argv + 1);
    if (argc)
        fprintf(stderr, "genie-ctl: hints has no command %s\n", argv[0]);
    return gn_ctl_hints_usage(2);
}
