// SPDX-License-Identifier: Apache-2.0
// Fuzzes the sidecar's reader, globs and expansion. Beyond not crashing: what is refused has a place and a text, and is refused with and without a
// listener; what is taken keeps the bounds that core/hints/hints.h names, points into itself, and reads the same again.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/hints/glob.h"
#include "core/hints/hints.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint32_t told;
static void tell(void *context, const char *text)
{
    (void)context;
    require(strncmp(text, "f.toml:", 7) == 0 && strlen(text) < GN_CONFIG_ERROR_BYTES);
    told++;
}

static const char *variable(const char *name) { return strlen(name) % 2 ? "value of it" : NULL; }

static void check_text(const struct gn_hints *h, const char *text, bool glob)
{
    if (!text)
        return;
    require(text >= h->text && text < h->text + h->text_bytes && strlen(text) < GN_HINTS_TEXT_BYTES);
    if (glob) {
        require(!gn_glob_check(text) || !*text);
        gn_glob_match(text, "attention_decode");
    }
}

static void check_envs(const struct gn_hints *h, const struct gn_hint_envs *e)
{
    require(e->count <= GN_HINTS_ENV_MAX);
    for (uint32_t i = 0; i < e->count; i++) {
        check_text(h, e->list[i].name, false);
        check_text(h, e->list[i].glob, true);
    }
    gn_hints_env_holds(e, variable);
}

static void check_region(const struct gn_hints *h, const struct gn_hint_region *r)
{
    char out[64];
    require(r->class > GN_CLASS_NONE && r->class < GN_CLASSES && r->at.line && r->match_at.line);
    require(r->match.size.low >= 1 && r->match.size.low <= r->match.size.high && r->match.number.low <= r->match.number.high);
    require(r->match.arg_count <= GN_HINTS_ARGS_MAX && (r->match.kernel || !r->match.arg_count));
    for (uint32_t i = 0; i < r->match.arg_count; i++)
        require(r->match.args[i] <= GN_HINTS_ARG_MAX);
    check_text(h, r->match.kernel, true);
    check_text(h, r->match.caller, true);
    check_text(h, r->session, false);
    check_envs(h, &r->match.env);
    if (r->session) {
        int rc = gn_hints_expand(r->session, variable, out, sizeof out);
        require(rc == -ENOENT || rc == -ENAMETOOLONG || (rc == 0 && strlen(out) < sizeof out));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gn_hints hints, again;
    const struct gn_config_listener listener = {.tell = tell};
    struct gn_config_error error = {""}, second = {""};
    size_t arena_bytes = GN_TOML_ARENA_BYTES(size);
    void *arena = malloc(arena_bytes);
    told = 0;
    int rc = gn_hints_read(&hints, "f.toml", (const char *)data, size, arena, arena_bytes, &error, &listener);
    int rc_again = gn_hints_read(&again, "f.toml", (const char *)data, size, arena, arena_bytes, &second, NULL);
    free(arena);
    require(rc == rc_again && (rc == 0 || rc == -EINVAL) && (rc == 0) == !told && (rc == 0) == !error.text[0]);
    require(!strcmp(error.text, second.text)); // the first problem is the first either way
    if (rc)
        return 0;
    require(hints.schema == 1 && hints.text_bytes <= GN_HINTS_TEXT_BYTES && hints.text_bytes == again.text_bytes);
    require(hints.region_count <= GN_HINTS_REGIONS_MAX && hints.phase_count <= GN_HINTS_PHASES_MAX &&
            hints.breakpoint_count <= GN_HINTS_BREAKPOINTS_MAX && hints.app.argv_count <= GN_HINTS_WORDS_MAX);
    for (uint32_t i = 0; i < hints.region_count; i++)
        check_region(&hints, &hints.regions[i]);
    for (uint32_t i = 0; i < hints.phase_count; i++)
        check_text(&hints, hints.phases[i].kernel, true);
    for (uint32_t i = 0; i < hints.breakpoint_count; i++)
        require(hints.breakpoints[i].nth >= 1 && hints.breakpoints[i].nth <= GN_HINTS_NTH_MAX);
    check_envs(&hints, &hints.app.env);
    const struct gn_hint_program program = {"llm_decode", "--style stateless", "0123456789", variable};
    gn_hints_app_differs(&hints, &program, true);
    return 0;
}
