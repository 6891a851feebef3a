// SPDX-License-Identifier: Apache-2.0
// Reading a sidecar: the tables of its keys, and how each value is taken.
#include "core/hints/hints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/hints/glob.h"

const char *const gn_hint_class_names[GN_CLASSES + 1] = {"none", "weights", "kv_cache", "activation", "input", "output", "scratch", NULL};

static const char *const evict_names[] = {"normal", "first", "last", "never", NULL};
static const char *const keep_names[] = {"local", "remote", NULL};
static const char *const writer_names[] = {"host", "kernel", "copy", NULL}; // each one below its enum gn_hint_writer
static const char *const goal_names[] = {"throughput", "latency", NULL};    // likewise

struct reading { // what a setter gets as its target
    struct gn_hints *hints;
    char *into;            // the structure that the key belongs to: gn_hints itself, or an element of a list
    struct reading *inner; // of the document: what elements get
};

#define FIELD(type, field) .field_offset = offsetof(struct type, field), .field_bytes = sizeof(((struct type *)0)->field)

static const char *const full = "the names and globs of this file take more than 16 KiB";

static const char *keep_text(struct gn_hints *h, const char *text, const char **kept)
{
    size_t bytes = strlen(text) + 1;
    if (bytes > sizeof h->text - h->text_bytes)
        return full;
    *kept = memcpy(h->text + h->text_bytes, text, bytes);
    h->text_bytes += (uint32_t)bytes;
    return NULL;
}

static struct gn_hint_place place_of(const struct gn_config_value *v) { return (struct gn_hint_place){v->line, v->column}; }

// --- setters for any structure

static const char *set_name(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct reading *r = target;
    if (!*value->string)
        return "is empty";
    return keep_text(r->hints, value->string, (const char **)(r->into + key->field_offset));
}

static const char *set_glob(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    const char *reason = gn_glob_check(value->string);
    return reason ? reason : set_name(target, key, value);
}

static const char *set_count(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct reading *r = target;
    return gn_hints_parse_range(value->string, false, (struct gn_hint_range *)(r->into + key->field_offset));
}

static const char *add_env(struct gn_hints *h, struct gn_hint_envs *envs, const char *text)
{
    char name[GN_GLOB_BYTES_MAX + 1];
    const char *equals = strchr(text, '='), *reason;
    size_t bytes = equals ? (size_t)(equals - text) : 0;
    if (!bytes || bytes >= sizeof name)
        return "must be \"NAME=glob\", or an array of such; \"NAME=*\" wants it set to anything";
    if (*equals && equals[1] && (reason = gn_glob_check(equals + 1)))
        return reason;
    if (envs->count == GN_HINTS_ENV_MAX)
        return "names more than 8 variables";
    memcpy(name, text, bytes);
    name[bytes] = 0;
    struct gn_hint_env *e = &envs->list[envs->count++];
    reason = keep_text(h, name, &e->name);
    return reason ? reason : keep_text(h, equals + 1, &e->glob);
}

static const char *set_env(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct reading *r = target;
    const struct gn_toml_node *n = value->strings.first;
    const char *reason = value->strings.count ? NULL : "names no variable";
    for (uint32_t i = 0; !reason && i < value->strings.count; i++, n = n->next)
        reason = add_env(r->hints, (struct gn_hint_envs *)(r->into + key->field_offset), n->text);
    return reason;
}

static const char *set_flag(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    *(bool *)(((struct reading *)target)->into + key->field_offset) = value->boolean;
    return NULL;
}

// --- the program

static const char *app_is_said(struct reading *r, const struct gn_config_value *value, const char *reason)
{
    if (!reason && !r->hints->app.at.line)
        r->hints->app.at = place_of(value);
    return reason;
}

static const char *set_app_glob(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    return app_is_said(target, value, set_glob(target, key, value));
}

static const char *set_app_env(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    return app_is_said(target, value, set_env(target, key, value));
}

static const char *set_app_argv(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct reading *r = target;
    struct gn_hint_app *app = &r->hints->app;
    const struct gn_toml_node *n = value->strings.first;
    const char *reason = value->strings.count ? NULL : "has no glob";
    (void)key;
    for (uint32_t i = 0; !reason && i < value->strings.count; i++, n = n->next) {
        reason = gn_glob_check(n->text);
        if (!reason && app->argv_count == GN_HINTS_WORDS_MAX)
            reason = "has more than 8 globs";
        if (!reason)
            reason = keep_text(r->hints, n->text, &app->argv[app->argv_count++]);
    }
    return app_is_said(r, value, reason);
}

static const char *set_app_image(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    size_t bytes = strlen(value->string);
    if (bytes < 8 || bytes > 128 || strspn(value->string, "0123456789abcdef") != bytes)
        return "must be the program's build id or its beginning: 8 digits or more, in lower case (file PROGRAM shows it)";
    return app_is_said(target, value, set_name(target, key, value));
}

// --- regions

static struct gn_hint_region *region_of(void *target) { return (struct gn_hint_region *)((struct reading *)target)->into; }

static const char *matched(void *target, const struct gn_config_value *value, const char *reason)
{
    if (!region_of(target)->match_at.line)
        region_of(target)->match_at = place_of(value);
    return reason;
}

static const char *set_class(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    region_of(target)->class = (enum gn_hint_class)(value->index + 1);
    region_of(target)->at = place_of(value);
    return NULL;
}

static const char *set_size(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct gn_hint_range *size = &region_of(target)->match.size;
    const char *reason = gn_hints_parse_range(value->string, true, size);
    (void)key;
    size->low += !size->low; // no allocation is smaller: so that ranges which mean the same are the same
    return matched(target, value, reason ? reason : size->low <= size->high ? NULL : "is 0, and no allocation is");
}

static const char *set_order(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    struct gn_hint_match *m = &region_of(target)->match;
    return matched(target, value, gn_hints_parse_order(value->string, &m->when, &m->number));
}

static const char *set_writer(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    region_of(target)->match.writer = (enum gn_hint_writer)(value->index + 1);
    return matched(target, value, NULL);
}

static const char *set_match_glob(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    return matched(target, value, set_glob(target, key, value));
}

static const char *set_match_env(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    return matched(target, value, set_env(target, key, value));
}

static const char *set_args(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    struct gn_hint_match *m = &region_of(target)->match;
    const struct gn_toml_node *n = value->integers.first;
    region_of(target)->arg_at = place_of(value);
    if (!value->integers.count)
        return "names no argument; left out, it means any";
    for (uint32_t i = 0; i < value->integers.count; i++, n = n->next) {
        if (m->arg_count == GN_HINTS_ARGS_MAX)
            return "names more than 16 arguments";
        for (uint32_t k = 0; k < m->arg_count; k++)
            if (m->args[k] == n->integer)
                return "names an argument twice";
        m->args[m->arg_count++] = (uint16_t)n->integer;
    }
    return matched(target, value, NULL);
}

static const char *set_keep(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    region_of(target)->keep = (enum gn_hint_keep)value->index;
    region_of(target)->keep_at = place_of(value);
    return NULL;
}

static const char *set_evict(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    region_of(target)->evict = (enum gn_hint_evict)value->index;
    region_of(target)->evict_at = place_of(value);
    return NULL;
}

static const char *set_session(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    const char *reason = gn_hints_check_session(value->string);
    region_of(target)->session_at = place_of(value);
    return reason ? reason : set_name(target, key, value);
}

static const struct gn_config_key region_keys[] = {
    {"", "class", GN_CONFIG_ENUM, .required = true, .names = gn_hint_class_names + 1, .set = set_class, .doc = "What the memory is."},
    {"match", "size", GN_CONFIG_TEXT, .set = set_size,
     .doc = "Bytes of the allocation: \"64KiB\", \"> 1MiB\", \"<= 4K\", \"4KiB..2MiB\" (both ends in it), \"1G..\"."},
    {"match", "order", GN_CONFIG_TEXT, .set = set_order,
     .doc = "When it was allocated: \"before first launch\", \"after first launch\", \"3rd allocation\", or numbers like \"2..5\", counted from 1."},
    {"match", "written_by", GN_CONFIG_ENUM, .names = writer_names, .set = set_writer,
     .doc = "host, copy: the first copy into it came from the host, from device memory. kernel: a kernel got it before any copy was made into it."},
    {"match", "kernel", GN_CONFIG_STRING, FIELD(gn_hint_region, match.kernel), .set = set_match_glob,
     .doc = "A glob on the name of a kernel that is launched with it as an argument."},
    {"match", "arg", GN_CONFIG_INTEGERS, .max = GN_HINTS_ARG_MAX, .set = set_args,
     .doc = "Which argument, counted from 0, or several: [3, 4]. Without it: any."},
    {"match", "library", GN_CONFIG_STRING, FIELD(gn_hint_region, match.caller), .set = set_match_glob,
     .doc = "A glob on the file name of the library, or program, whose code allocated it; Genie and the CUDA runtime do not count."},
    {"match", "env", GN_CONFIG_WORDS, FIELD(gn_hint_region, match.env), .set = set_match_env,
     .doc = "\"NAME=glob\", or several: the rule counts only with these in the environment."},
    {"", "dedupe", GN_CONFIG_BOOL, FIELD(gn_hint_region, dedupe), .set = set_flag,
     .doc = "Uploads go by content: what the server has already is not sent."},
    {"", "keep", GN_CONFIG_ENUM, .names = keep_names, .set = set_keep,
     .doc = "remote: copies to the host stay at the server until the program touches them. local: as without a rule."},
    {"", "evict", GN_CONFIG_ENUM, .names = evict_names, .set = set_evict,
     .doc = "What leaves when memory is short: first, then normal, then last; never stays."},
    {"", "session", GN_CONFIG_STRING, FIELD(gn_hint_region, session), .set = set_session,
     .doc = "The key under which a later run finds it again, with ${NAME} for a variable of the environment. Checked, not acted on yet."},
};
static const struct gn_config_schema region_schema = {region_keys, sizeof region_keys / sizeof *region_keys};

// --- phases

static const char *set_phase_name(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    ((struct gn_hint_phase *)((struct reading *)target)->into)->at = place_of(value);
    return set_name(target, key, value);
}

static const char *set_goal(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    ((struct gn_hint_phase *)((struct reading *)target)->into)->goal = (enum gn_hint_goal)(value->index + 1);
    return NULL;
}

static const struct gn_config_key phase_keys[] = {
    {"", "name", GN_CONFIG_STRING, FIELD(gn_hint_phase, name), .required = true, .set = set_phase_name, .doc = "What you call it."},
    {"match", "kernel", GN_CONFIG_STRING, FIELD(gn_hint_phase, kernel), .required = true, .set = set_glob,
     .doc = "A glob on the name of a kernel whose launch begins it."},
    {"match", "grid_x", GN_CONFIG_TEXT, FIELD(gn_hint_phase, grid_x), .set = set_count,
     .doc = "Blocks in x of that launch: 1, \"> 1\", \"2..8\"."},
    {"", "goal", GN_CONFIG_ENUM, .names = goal_names, .set = set_goal, .doc = "What it is to be good at."},
    {"", "repeat", GN_CONFIG_BOOL, FIELD(gn_hint_phase, repeat), .set = set_flag, .doc = "Its launches recur at every step."},
};
static const struct gn_config_schema phase_schema = {phase_keys, sizeof phase_keys / sizeof *phase_keys};

// --- breakpoints

static const char *set_breakpoint_name(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    ((struct gn_hint_breakpoint *)((struct reading *)target)->into)->at = place_of(value);
    return set_name(target, key, value);
}

static const char *set_nth(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    ((struct gn_hint_breakpoint *)((struct reading *)target)->into)->nth = (uint32_t)value->integer;
    return NULL;
}

static const char *set_save(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct gn_hint_breakpoint *b = (struct gn_hint_breakpoint *)((struct reading *)target)->into;
    (void)key;
    for (const struct gn_toml_node *n = value->strings.first; n; n = n->next) {
        uint32_t class;
        if (gn_config_parse_enum(n->text, gn_hint_class_names + 1, &class))
            return "must hold classes: weights, kv_cache, activation, input, output or scratch";
        b->save |= 2u << class;
    }
    return NULL;
}

static const struct gn_config_key breakpoint_keys[] = {
    {"", "name", GN_CONFIG_STRING, FIELD(gn_hint_breakpoint, name), .required = true, .set = set_breakpoint_name, .doc = "What you call it."},
    {"after", "kernel", GN_CONFIG_STRING, FIELD(gn_hint_breakpoint, kernel), .required = true, .set = set_glob,
     .doc = "A glob on the name of the kernel behind which the stream is held."},
    {"after", "nth", GN_CONFIG_INTEGER, .min = 1, .max = GN_HINTS_NTH_MAX, .set = set_nth, .doc = "Which launch of it within a step, from 1."},
    {"", "save", GN_CONFIG_STRINGS, .set = set_save, .doc = "Classes of memory whose content is saved there."},
};
static const struct gn_config_schema breakpoint_schema = {breakpoint_keys, sizeof breakpoint_keys / sizeof *breakpoint_keys};

// --- the document

static void *begin_element(void *target, void *element, bool room, const char *few, const char **reason)
{
    struct reading *r = target;
    *reason = few;
    if (!room)
        return NULL;
    r->inner->into = element;
    return r->inner;
}

static void *begin_region(void *target, const struct gn_config_key *key, uint32_t index, const char **reason)
{
    struct gn_hints *h = ((struct reading *)target)->hints;
    bool room = index < GN_HINTS_REGIONS_MAX;
    struct gn_hint_region *r = &h->regions[room ? index : 0];
    (void)key;
    if (room) {
        r->match.size = r->match.number = (struct gn_hint_range){1, UINT64_MAX};
        h->region_count = index + 1;
    }
    return begin_element(target, r, room, "there may be 64 rules", reason);
}

static void *begin_phase(void *target, const struct gn_config_key *key, uint32_t index, const char **reason)
{
    struct gn_hints *h = ((struct reading *)target)->hints;
    bool room = index < GN_HINTS_PHASES_MAX;
    struct gn_hint_phase *p = &h->phases[room ? index : 0];
    (void)key;
    if (room) {
        p->grid_x = (struct gn_hint_range){0, UINT64_MAX};
        h->phase_count = index + 1;
    }
    return begin_element(target, p, room, "there may be 32 phases", reason);
}

static void *begin_breakpoint(void *target, const struct gn_config_key *key, uint32_t index, const char **reason)
{
    struct gn_hints *h = ((struct reading *)target)->hints;
    bool room = index < GN_HINTS_BREAKPOINTS_MAX;
    struct gn_hint_breakpoint *b = &h->breakpoints[room ? index : 0];
    (void)key;
    if (room) {
        b->nth = 1;
        h->breakpoint_count = index + 1;
    }
    return begin_element(target, b, room, "there may be 64 breakpoints", reason);
}

static const char *set_schema(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    (void)key;
    ((struct reading *)target)->hints->schema = value->integer;
    return value->integer == 1 ? NULL : "is not 1, the only one that this version knows";
}

static const struct gn_config_key keys[] = {
    {"", "schema", GN_CONFIG_INTEGER, .required = true, .min = 1, .max = INT32_MAX, .set = set_schema, .doc = "1: the version of this format."},
    {"app", "name", GN_CONFIG_STRING, FIELD(gn_hints, app.name), .set = set_name, .doc = "What you call the program."},
    {"app.match", "exe", GN_CONFIG_STRING, FIELD(gn_hints, app.exe), .set = set_app_glob, .doc = "A glob on the program's file name."},
    {"app.match", "argv", GN_CONFIG_WORDS, .set = set_app_argv,
     .doc = "A glob on its arguments, joined with single spaces, or several that all must match: \"*--style stateless*\"."},
    {"app.match", "env", GN_CONFIG_WORDS, FIELD(gn_hints, app.env), .set = set_app_env, .doc = "\"NAME=glob\", or several: its environment."},
    {"app.match", "image", GN_CONFIG_STRING, FIELD(gn_hints, app.image), .set = set_app_image,
     .doc = "Its build id, or the first digits of that: this very build and no other."},
    {"", "region", GN_CONFIG_TABLES, .elements = &region_schema, .begin = begin_region, .doc = "A rule: what some memory is. The first that matches counts."},
    {"", "phase", GN_CONFIG_TABLES, .elements = &phase_schema, .begin = begin_phase, .doc = "A part of the program's work. Checked, not acted on yet."},
    {"", "breakpoint", GN_CONFIG_TABLES, .elements = &breakpoint_schema, .begin = begin_breakpoint,
     .doc = "A place to stop at. Checked, not acted on yet."},
};
const struct gn_config_schema gn_hints_schema = {keys, sizeof keys / sizeof *keys};

// --- together

struct telling {
    const char *file_name;
    struct gn_config_error *error;
    const struct gn_config_listener *listener;
    uint32_t count;
};

static void tell(void *context, struct gn_hint_place at, const char *text)
{
    struct telling *t = context;
    struct gn_config_error other, *to = t->count++ ? &other : t->error;
    snprintf(to->text, sizeof to->text, "%.128s:%u:%u: %s", t->file_name, at.line, at.column, text);
    if (t->listener && t->count <= GN_CONFIG_PROBLEMS_MAX)
        t->listener->tell(t->listener->context, to->text);
}

int gn_hints_read(struct gn_hints *hints, const char *file_name, const char *text, size_t text_bytes, void *arena, size_t arena_bytes,
                  struct gn_config_error *error, const struct gn_config_listener *listener)
{
    struct reading inner = {.hints = hints}, document = {.hints = hints, .into = (char *)hints, .inner = &inner};
    struct telling t = {.file_name = file_name, .error = error, .listener = listener};
    *hints = (struct gn_hints){0};
    int rc = gn_config_read_all(&gn_hints_schema, file_name, text, text_bytes, arena, arena_bytes, &document, error, listener);
    if (rc)
        return rc;
    return gn_hints_contradictions(hints, tell, &t) ? -EINVAL : 0;
}
