// SPDX-License-Identifier: Apache-2.0
// The options: one table of names, and where their values come from.
#include "interpose/options.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "interpose/options_file.h"

struct gn_options gn_options;

// --- one setter a kind of value

static int set_text(char *to, size_t room_bytes, const char *value, char *why)
{
    if (strlen(value) >= room_bytes) {
        snprintf(why, GN_WHY_BYTES, "is longer than %zu bytes", room_bytes - 1);
        return -EINVAL;
    }
    strcpy(to, value);
    return 0;
}

#define TEXT_SETTER(field)                                                                                   \
    static int set_##field(struct gn_options *o, const char *value, char *why)                               \
    {                                                                                                        \
        return set_text(o->field, sizeof o->field, value, why);                                              \
    }
TEXT_SETTER(server)
TEXT_SETTER(token)
TEXT_SETTER(trace)
TEXT_SETTER(stats)
TEXT_SETTER(hints)
TEXT_SETTER(explain)

static int set_driver(struct gn_options *o, const char *value, char *why)
{
    if (*value && *value != '/') { // by name the loader would find the shim again
        snprintf(why, GN_WHY_BYTES, "must be an absolute path");
        return -EINVAL;
    }
    return set_text(o->driver, sizeof o->driver, value, why);
}

static int set_mode(struct gn_options *o, const char *value, char *why)
{
    o->local = !strcmp(value, "local");
    if (o->local || !strcmp(value, "remote"))
        return 0;
    snprintf(why, GN_WHY_BYTES, "must be remote or local");
    return -EINVAL;
}

// What follows from the profile and from what was asked for beside it, in whichever order.
static void settle(struct gn_options *o)
{
    unsigned base = o->embedded ? GN_OPT_ALL & ~GN_OPT_NOT_EMBEDDED : GN_OPT_ALL;
    o->optimisations = (base & ~o->asked_off) | o->asked_on;
    o->ring_bytes = o->asked_ring_bytes ? o->asked_ring_bytes : o->embedded ? GN_RING_BYTES_MIN : GN_RING_BYTES;
    o->receive_bytes = o->embedded ? GN_RECEIVE_BYTES_EMBEDDED : GN_RECEIVE_BYTES;
}

static int set_profile(struct gn_options *o, const char *value, char *why)
{
    bool embedded = !strcmp(value, "embedded");
    if (!embedded && strcmp(value, "default")) {
        snprintf(why, GN_WHY_BYTES, "must be default or embedded");
        return -EINVAL;
    }
    o->embedded = embedded;
    settle(o);
    return 0;
}

static int set_log(struct gn_options *o, const char *value, char *why)
{
    const char *path;
    if (gn_log_parse(value, &o->log_level, &path)) {
        snprintf(why, GN_WHY_BYTES, "must be off, warn, info or debug, with :FILE behind it if need be");
        return -EINVAL;
    }
    return set_text(o->log_path, sizeof o->log_path, path ? path : "", why);
}

int gn_options_set_ring(struct gn_options *o, uint64_t bytes, char *why)
{
    if (bytes < GN_RING_BYTES_MIN || bytes > GN_RING_BYTES_MAX || bytes & (bytes - 1)) {
        snprintf(why, GN_WHY_BYTES, "must be a power of two from 64K to 256M");
        return -EINVAL;
    }
    o->asked_ring_bytes = bytes;
    settle(o);
    return 0;
}

static int set_ring(struct gn_options *o, const char *value, char *why)
{
    uint64_t bytes = 0; // which is refused
    if (gn_config_parse_size(value, &bytes))
        bytes = 0;
    return gn_options_set_ring(o, bytes, why);
}

int gn_options_set_lanes(struct gn_options *o, uint64_t connections, char *why)
{
    if (connections < 1 || connections > GN_LANES_MAX + 1) {
        snprintf(why, GN_WHY_BYTES, "must be from 1 to %d, or auto", GN_LANES_MAX + 1);
        return -EINVAL;
    }
    o->connections = (unsigned)connections;
    return 0;
}

static int set_lanes(struct gn_options *o, const char *value, char *why)
{
    if (!strcmp(value, "auto")) {
        o->connections = 0;
        return 0;
    }
    char *end;
    long n = strtol(value, &end, 10);
    return gn_options_set_lanes(o, *end || n < 0 ? 0 : (uint64_t)n, why);
}

int gn_options_set_timeout(struct gn_options *o, uint64_t ns, char *why)
{
    uint64_t ms = ns / 1000000;
    if (ms < 1 || ms > GN_TIMEOUT_MS_MAX) {
        snprintf(why, GN_WHY_BYTES, "must be a time from 1ms to 1h (a plain number counts seconds)");
        return -EINVAL;
    }
    o->connect_timeout_ms = (int)ms;
    return 0;
}

static int set_timeout(struct gn_options *o, const char *value, char *why)
{
    uint64_t ns = 0;
    if (gn_config_parse_duration(value, &ns))
        ns = 0;
    return gn_options_set_timeout(o, ns, why);
}

// --- optimisations: "all", "-all", "-name", "name", with commas between

static const struct {
    const char *name;
    unsigned opts;
} optimisations[] = {
#define X(symbol, name) {name, GN_OPT_##symbol},
    GN_OPTIMISATIONS(X)
#undef X
        {"all", GN_OPT_ALL},
};
enum { OPTIMISATIONS = sizeof optimisations / sizeof *optimisations };

static int switch_one(unsigned *on, unsigned *off, const char *word, size_t word_bytes)
{
    bool minus = word_bytes && *word == '-';
    word += minus;
    word_bytes -= minus;
    for (int i = 0; i < OPTIMISATIONS; i++)
        if (strlen(optimisations[i].name) == word_bytes &&
            !strncmp(optimisations[i].name, word, word_bytes)) {
            unsigned *to = minus ? off : on, *from = minus ? on : off;
            *to |= optimisations[i].opts;
            *from &= ~optimisations[i].opts;
            return 0;
        }
    return -EINVAL;
}

static int set_opt(struct gn_options *o, const char *value, char *why)
{
    unsigned on = 0, off = 0;
    while (*value) {
        size_t n = strcspn(value, ",");
        if (switch_one(&on, &off, value, n)) {
            int at = snprintf(why, GN_WHY_BYTES, "knows no optimisation '%.*s'; there are",
                              n > 100 ? 100 : (int)n, value);
            for (int i = 0; i < OPTIMISATIONS; i++)
                at += snprintf(why + at, GN_WHY_BYTES - (size_t)at, " %s", optimisations[i].name);
            return -EINVAL;
        }
        value += n + (value[n] == ',');
    }
    o->asked_on = on;
    o->asked_off = off;
    settle(o);
    return 0;
}

// --- the table

static const struct {
    const char *name, *variable;
    int (*set)(struct gn_options *o, const char *value, char *why);
} options[] = {
    {"server", "GENIE_SERVER", set_server}, {"profile", "GENIE_PROFILE", set_profile}, {"token", "GENIE_TOKEN", set_token},
    {"mode", "GENIE_MODE", set_mode},       {"driver", "GENIE_DRIVER", set_driver},
    {"opt", "GENIE_OPT", set_opt},          {"trace", "GENIE_TRACE", set_trace},
    {"stats", "GENIE_STATS", set_stats},    {"log", "GENIE_LOG", set_log},
    {"ring", "GENIE_RING", set_ring},       {"timeout", "GENIE_TIMEOUT", set_timeout},
    {"lanes", "GENIE_LANES", set_lanes},    {"hints", "GENIE_HINTS", set_hints},
    {"explain", "GENIE_EXPLAIN", set_explain},
};
enum { OPTIONS = sizeof options / sizeof *options };

int gn_options_set(struct gn_options *o, const char *name, const char *value, char *why)
{
    char reason[GN_WHY_BYTES];
    for (int i = 0; i < OPTIONS; i++)
        if (!strcmp(options[i].name, name)) {
            int error = options[i].set(o, value, reason);
            if (error)
                snprintf(why, GN_WHY_BYTES, "%.200s %.300s", name, reason);
            return error;
        }
    int at = snprintf(why, GN_WHY_BYTES, "there is no option '%.100s'; there are", name);
    for (int i = 0; i < OPTIONS; i++)
        at += snprintf(why + at, GN_WHY_BYTES - (size_t)at, " %s", options[i].name);
    return -EINVAL;
}

static void set_defaults(struct gn_options *o)
{
    *o = (struct gn_options){
        .log_level = GN_LOG_WARN,
        .connect_timeout_ms = 10000,
    };
    settle(o);
}

static int read_environment(struct gn_options *o, char *(*get)(const char *name), char *why)
{
    char reason[GN_WHY_BYTES];
    for (int i = 0; i < OPTIONS; i++) {
        const char *value = get(options[i].variable);
        if (value && *value && options[i].set(o, value, reason)) {
            snprintf(why, GN_WHY_BYTES, "%s %.400s", options[i].variable, reason);
            return -EINVAL;
        }
    }
    return 0;
}

int gn_options_read(struct gn_options *o, const char *path, char *(*get)(const char *name), char *why)
{
    set_defaults(o);
    int error = path ? gn_options_file(o, path, why) : 0;
    return error ? error : read_environment(o, get, why);
}

// --- of this process

enum { OVERRIDES_MAX = 32 }; // genie_set_option, a few for each name

static struct {
    const char *name;
    char *value;
} overrides[OVERRIDES_MAX];
static unsigned override_count;
static _Atomic enum { UNREAD, GOOD, BAD } loaded; // written with the lock
static char load_error[GN_WHY_BYTES];
static pthread_mutex_t options_lock = PTHREAD_MUTEX_INITIALIZER; // everything of this section

int gn_options_override(const char *name, const char *value, char *why)
{
    static struct gn_options trial; // only to see whether the value is good
    int error = 0;
    pthread_mutex_lock(&options_lock);
    set_defaults(&trial);
    char *copy = NULL;
    if (loaded != UNREAD) {
        snprintf(why, GN_WHY_BYTES, "options are set before cuInit");
        error = -EBUSY;
    } else if (!(error = gn_options_set(&trial, name, value, why))) {
        if (override_count == OVERRIDES_MAX || !(copy = strdup(value))) {
            snprintf(why, GN_WHY_BYTES, "too many options");
            error = -ENOSPC;
        }
    }
    for (int i = 0; !error && i < OPTIONS; i++)
        if (!strcmp(options[i].name, name))
            overrides[override_count].name = options[i].name;
    if (!error)
        overrides[override_count++].value = copy;
    pthread_mutex_unlock(&options_lock);
    return error;
}

// The file that holds this user's or this machine's settings, or NULL; `named`: the user says so, and then it
// must be there.
static const char *find_file(char *path, size_t path_bytes, bool *named)
{
    const char *config = getenv("GENIE_CONFIG"), *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    *named = config && *config;
    if (*named)
        return config;
    int n = base && *base == '/'   ? snprintf(path, path_bytes, "%s/genie/client.toml", base)
            : home && *home == '/' ? snprintf(path, path_bytes, "%s/.config/genie/client.toml", home)
                                   : -1;
    if (n > 0 && (size_t)n < path_bytes && !access(path, R_OK))
        return path;
    snprintf(path, path_bytes, "/etc/genie/client.toml");
    return access(path, R_OK) ? NULL : path;
}

bool gn_options_loaded(void)
{
    // Acquire: pairs with the release in gn_options_load, so that the options are seen.
    return atomic_load_explicit(&loaded, memory_order_acquire) == GOOD;
}

bool gn_options_early_local(void)
{
    const char *mode = getenv("GENIE_MODE");
    pthread_mutex_lock(&options_lock);
    for (unsigned i = 0; i < override_count; i++)
        if (!strcmp(overrides[i].name, "mode"))
            mode = overrides[i].value;
    bool local = mode && !strcmp(mode, "local");
    pthread_mutex_unlock(&options_lock);
    return local;
}

static int load(char *why)
{
    char path[PATH_MAX];
    bool named;
    int error = gn_options_read(&gn_options, find_file(path, sizeof path, &named), getenv, why);
    for (unsigned i = 0; !error && i < override_count; i++)
        error = gn_options_set(&gn_options, overrides[i].name, overrides[i].value, why);
    return error;
}

int gn_options_load(char *why)
{
    pthread_mutex_lock(&options_lock);
    if (loaded == UNREAD)
        atomic_store_explicit(&loaded, load(load_error) ? BAD : GOOD, memory_order_release);
    bool bad = loaded == BAD;
    pthread_mutex_unlock(&options_lock);
    if (bad)
        memcpy(why, load_error, sizeof load_error);
    return bad ? -EINVAL : 0;
}

int gn_options_path(const char *path, char *out, size_t out_bytes)
{
    size_t at = 0;
    while (*path) {
        char number[16] = {*path};
        bool process = path[0] == '%' && path[1] == 'p';
        if (process)
            snprintf(number, sizeof number, "%d", (int)getpid());
        size_t n = strlen(number);
        if (at + n >= out_bytes)
            return -ENAMETOOLONG;
        memcpy(out + at, number, n);
        at += n;
        path += 1 + process;
    }
    if (at >= out_bytes)
        return -ENAMETOOLONG;
    out[at] = 0;
    return 0;
}
