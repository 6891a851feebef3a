// SPDX-License-Identifier: Apache-2.0
// Starting servers, relays and programs.
#include "bench/lane.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link.h"

enum { READY_MS = 60000, REPORT_MS = 3000, PEER_TRIES_MS = 60000, WORD_BYTES = 1024, WHY_BYTES = 256 };

// Words and environment entries that are put together for one start.
struct words {
    const char *list[GN_CHILD_ARGS_MAX + 1];
    char room[GN_CHILD_ARGS_MAX][WORD_BYTES];
    int count;
};

__attribute__((format(printf, 2, 3))) static void put(struct words *w, const char *format, ...)
{
    va_list args;
    if (w->count == GN_CHILD_ARGS_MAX)
        return;
    va_start(args, format);
    vsnprintf(w->room[w->count], WORD_BYTES, format, args);
    va_end(args);
    w->list[w->count] = w->room[w->count];
    w->list[++w->count] = NULL;
}

// Takes a peer's word with its places filled in.
static void put_filled(struct words *w, const struct gn_place *p, const char *word, const char *address)
{
    const char *port = strrchr(address, ':');
    const struct {
        const char *name, *value;
    } places[] = {{"{port}", port ? port + 1 : ""},
                  {"{address}", address},
                  {"{driver}", p->driver},
                  {"{scratch}", p->scratch}};
    char text[WORD_BYTES];
    size_t at = 0;
    while (*word && at + 1 < sizeof text) {
        const char *value = NULL;
        for (size_t i = 0; i < sizeof places / sizeof *places && !value; i++)
            if (!strncmp(word, places[i].name, strlen(places[i].name))) {
                value = places[i].value;
                word += strlen(places[i].name);
            }
        if (value)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s", value);
        else
            text[at++] = *word++;
    }
    text[at < sizeof text ? at : sizeof text - 1] = 0;
    put(w, "%s", text);
}

static void put_mock(struct words *env, const struct gn_place *p, const char *mock)
{
    if (p->mock && mock && *mock)
        put(env, "GENIE_MOCK=%s", mock);
}

static void put_library_path(struct words *env, const struct gn_place *p, bool with_driver)
{
    const char *inherited = getenv("LD_LIBRARY_PATH");
    put(env, "LD_LIBRARY_PATH=%s%s%s%s%s", with_driver ? p->scratch : p->libraries, with_driver ? ":" : "",
        with_driver ? p->libraries : "", inherited ? ":" : "", inherited ? inherited : "");
}

// --- baselines

bool gn_place_has_opt(const struct gn_place *p, const char *name)
{
    for (unsigned i = 0; i < p->opt_count; i++)
        if (!strcmp(p->opts[i], name))
            return true;
    return false;
}

bool gn_baseline_find(const struct gn_place *p, const char *name, struct gn_baseline *b)
{
    static const struct {
        const char *name;
        enum gn_baseline_kind kind;
        const char *opt;
        bool hinted;
    } known[] = {{"local", GN_BASELINE_LOCAL, "", false},
                 {"capture_only", GN_BASELINE_CAPTURE, "", false},
                 {"local_remote", GN_BASELINE_REMOTE, "-all", false},
                 {"naive", GN_BASELINE_REMOTE, "-all", false},
                 {"no_semantics", GN_BASELINE_REMOTE, "", false},
                 {"full", GN_BASELINE_REMOTE, "", true}};
    const char *dash = strchr(name, '-');
    *b = (struct gn_baseline){0};
    snprintf(b->name, sizeof b->name, "%s", name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) {
            b->kind = known[i].kind;
            strcpy(b->opt, known[i].opt);
            b->hinted = known[i].hinted;
            return true;
        }
    b->hinted = !strncmp(name, "full-", 5);
    if (dash && (b->hinted || !strncmp(name, "no_semantics-", 13)) && gn_place_has_opt(p, dash + 1)) {
        b->kind = GN_BASELINE_REMOTE;
        snprintf(b->opt, sizeof b->opt, "%s", dash);
        return true;
    }
    for (unsigned i = 0; i < p->peer_count; i++)
        if (!strcmp(p->peers[i].name, name)) {
            b->kind = GN_BASELINE_PEER;
            b->peer = &p->peers[i];
            return true;
        }
    return false;
}

// --- lanes

__attribute__((format(printf, 2, 3))) static void fail(struct gn_lane *lane, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(lane->why, sizeof lane->why, format, args);
    va_end(args);
}

// Waits for "... listening on ADDRESS".
static bool hear_address(struct gn_child *c, char *address, size_t room)
{
    static const char says[] = "listening on ";
    const char *line;
    while ((line = gn_child_hear(c, READY_MS)))
        if (strstr(line, says)) {
            snprintf(address, room, "%s", strstr(line, says) + sizeof says - 1);
            return true;
        }
    return false;
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof at) &&
        !getsockname(fd, (struct sockaddr *)&at, &size))
        port = ntohs(at.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static void wanted_address(struct gn_place *p, const struct gn_network *network, char *address, size_t room)
{
    if (!strcmp(network->transport, "tcp"))
        snprintf(address, room, "127.0.0.1:0");
    else
        snprintf(address, room, "unix:%s/%u", p->scratch, p->next++);
}

static void start_genie(struct gn_place *p, struct gn_lane *lane, const char *mock, bool limits)
{
    static struct words args, env;
    char listen[160];
    args.count = env.count = 0;
    env.list[0] = NULL;
    wanted_address(p, &lane->network, listen, sizeof listen);
    put(&args, "%s/%s", p->programs, limits ? "genie-limits" : "genie-srv");
    put(&args, "%s", limits ? "serve" : "--listen");
    put(&args, "%s", listen);
    if (!limits)
        put(&args, "--driver");
    put(&args, "%s", p->driver);
    put_mock(&env, p, mock);
    put_library_path(&env, p, false);
    if (gn_child_start(&lane->server, GN_CHILD_PRINTS, args.list, env.list, p->log) ||
        !hear_address(&lane->server, lane->address, sizeof lane->address))
        fail(lane, "%s does not start", limits ? "genie-limits" : "genie-srv");
}

static void start_peer(struct gn_place *p, struct gn_lane *lane, const char *mock)
{
    static struct words args, env;
    const struct gn_peer *peer = lane->baseline->peer;
    const char *line;
    char why[WHY_BYTES];
    args.count = env.count = 0;
    env.list[0] = NULL;
    if (strcmp(lane->network.transport, "tcp")) {
        fail(lane, "peers are run over TCP");
        return;
    }
    snprintf(lane->address, sizeof lane->address, "127.0.0.1:%d", free_port());
    for (int i = 0; peer->server[i]; i++)
        put_filled(&args, p, peer->server[i], lane->address);
    for (int i = 0; peer->server_env[i]; i++)
        put_filled(&env, p, peer->server_env[i], lane->address);
    put_mock(&env, p, mock);
    if (gn_child_start(&lane->server, GN_CHILD_PRINTS, args.list, env.list, p->log)) {
        fail(lane, "the peer's server does not start");
        return;
    }
    if (peer->ready) {
        while ((line = gn_child_hear(&lane->server, READY_MS)) && !strstr(line, peer->ready))
            ;
        if (!line)
            fail(lane, "the peer's server did not say '%.60s'", peer->ready);
        return;
    }
    int fd = -ECONNREFUSED;
    for (int ms = 0; ms < PEER_TRIES_MS && fd == -ECONNREFUSED; ms += 20) {
        fd = gn_link_connect(lane->address, 1000, why, sizeof why);
        if (fd < 0)
            poll(NULL, 0, 20);
    }
    if (fd < 0)
        fail(lane, "the peer's server takes no connections");
    else
        close(fd);
}

static void start_relay(struct gn_place *p, struct gn_lane *lane)
{
    static struct words args, env;
    char listen[160];
    args.count = env.count = 0;
    env.list[0] = NULL;
    wanted_address(p, &lane->network, listen, sizeof listen);
    put(&args, "%s/genie-relay", p->programs);
    put(&args, "--json");
    put(&args, "--listen");
    put(&args, "%s", listen);
    put(&args, "--server");
    put(&args, "%s", lane->address);
    put(&args, "--rtt-us");
    put(&args, "%g", lane->network.rtt_us);
    put(&args, "--gbit");
    put(&args, "%g", lane->network.gbit);
    put_library_path(&env, p, false);
    if (gn_child_start(&lane->relay, GN_CHILD_PRINTS, args.list, env.list, p->log) ||
        !hear_address(&lane->relay, lane->address, sizeof lane->address))
        fail(lane, "genie-relay does not start");
}

void gn_lane_open(struct gn_place *p, struct gn_lane *lane, const struct gn_baseline *b,
                  const struct gn_network *network, const char *mock)
{
    bool relayed = network->rtt_us > 0 || network->gbit > 0, shm = !strcmp(network->transport, "shm");
    *lane = (struct gn_lane){.baseline = b, .network = *network, .server.talk = -1, .relay.talk = -1};
    if (b->kind == GN_BASELINE_LOCAL || b->kind == GN_BASELINE_CAPTURE)
        return;
    if (shm && relayed)
        fail(lane, "shared memory has no network in between");
    else if (shm && b->kind == GN_BASELINE_REMOTE && !gn_place_has_opt(p, "shm"))
        fail(lane, "this build has no shared-memory transport");
    else if (b->hinted && !gn_place_has_opt(p, "hints"))
        fail(lane, "this build takes no hints");
    else if (b->hinted && !*p->hints)
        fail(lane, "there is no sidecar");
    else if (b->kind == GN_BASELINE_PEER)
        start_peer(p, lane, mock);
    else
        start_genie(p, lane, mock, b->kind == GN_BASELINE_LIMIT);
    if (!*lane->why && relayed)
        start_relay(p, lane);
    if (*lane->why)
        gn_lane_close(lane);
}

bool gn_lane_relay_error(struct gn_lane *lane, double *late_us, double *late_p99_us)
{
    static const char median[] = "\"late_us_median\": ", p99[] = "\"late_us_p99\": ";
    if (!lane->relay.pid || kill(lane->relay.pid, SIGUSR1))
        return false;
    const char *line = gn_child_hear(&lane->relay, REPORT_MS), *at = line ? strstr(line, median) : NULL;
    const char *at99 = at ? strstr(at, p99) : NULL;
    if (!at99)
        return false;
    *late_us = strtod(at + sizeof median - 1, NULL);
    *late_p99_us = strtod(at99 + sizeof p99 - 1, NULL);
    return true;
}

void gn_lane_close(struct gn_lane *lane)
{
    gn_child_end(&lane->relay);
    gn_child_end(&lane->server);
}

static void put_genie_options(struct words *env, const struct gn_place *p, const struct gn_lane *lane)
{
    // The same address serves both: what tells them apart is the optimisation.
    bool without_shm = !strcmp(lane->network.transport, "unix") && gn_place_has_opt(p, "shm");
    const char *opt = lane->baseline->opt;
    put(env, "GENIE_SERVER=%s", lane->address);
    if (lane->baseline->hinted)
        put(env, "GENIE_HINTS=%s", p->hints);
    if (*opt || without_shm)
        put(env, "GENIE_OPT=%s%s%s", opt, *opt && without_shm ? "," : "", without_shm ? "-shm" : "");
}

int gn_lane_start(struct gn_place *p, struct gn_lane *lane, struct gn_child *c, enum gn_child_kind kind,
                  const char *const *args, const char *mock, const char *extra)
{
    static struct words words, env;
    const struct gn_baseline *b = lane->baseline;
    bool on_driver = b->kind == GN_BASELINE_LOCAL || b->kind == GN_BASELINE_CAPTURE;
    words.count = env.count = 0;
    env.list[0] = NULL;
    for (; *args; args++)
        put(&words, "%s", strcmp(*args, "@ADDRESS") ? *args : lane->address);
    put_library_path(&env, p, b->kind == GN_BASELINE_LOCAL);
    // The program's own stamps are the server's: it must know their file too.
    put_mock(&env, p, mock);
    if (b->kind == GN_BASELINE_CAPTURE || b->kind == GN_BASELINE_REMOTE)
        put(&env, "LD_PRELOAD=%s/libgenie_shim.so", p->libraries);
    if (b->kind == GN_BASELINE_CAPTURE) {
        put(&env, "GENIE_MODE=local");
        put(&env, "GENIE_DRIVER=%s", p->driver);
    }
    if (b->kind == GN_BASELINE_REMOTE)
        put_genie_options(&env, p, lane);
    for (int i = 0; b->kind == GN_BASELINE_PEER && b->peer->env[i]; i++)
        put_filled(&env, p, b->peer->env[i], lane->address);
    if (extra && !on_driver)
        put(&env, "%s", extra);
    return gn_child_start(c, kind, words.list, env.list, p->log);
}
