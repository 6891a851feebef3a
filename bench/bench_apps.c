// SPDX-License-Identifier: Apache-2.0
// llm_decode through each baseline: run after run in turn, the tokens compared with the first row's.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { LANES_MAX = 24, RUN_MS = 600000, SHORT_STEPS = 8 };

static const struct app {
    const char *workload, *model, *mock; // mock: what GENIE_MOCK is
    unsigned steps;
    const char *about;
} apps[] = {
    {"llm_decode_tiny", "tiny", "", 32, "4 M parameters, executed"},
    {"llm_decode_paced", "tiny", "exec=off,kernel_us=20", 200,
     "its shape, nothing computed, each kernel takes 20 us"},
    {"llm_decode_124m", "124m", "exec=off,kernel_us=20", 64,
     "124 M parameters, nothing computed, each kernel takes 20 us"},
};
enum { APPS = sizeof apps / sizeof *apps };

// What a run says of itself.
struct run {
    double tokens_per_s, step_ms, step_p95_ms, prefill_ms, load_ms;
    json_t *tokens;
    bool counted;
    double round_trips, sent, received;
    char why[200];
};

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void read_stats(const struct gn_place *p, struct run *run)
{
    char path[128];
    snprintf(path, sizeof path, "%s/stats", p->scratch);
    json_t *stats = json_load_file(path, 0, NULL);
    const json_t *sent = json_object_get(stats, "bytes_sent"),
                 *received = json_object_get(stats, "bytes_received");
    run->counted = stats && sent && received;
    run->round_trips = number(stats, "round_trips");
    run->sent = number(sent, "commands") + number(sent, "payload");
    run->received = number(received, "commands") + number(received, "payload");
    json_decref(stats);
    remove(path);
}

// Takes the program's line of JSON.
static void read_line(struct run *run, const char *line)
{
    json_t *said = json_loads(line, 0, NULL);
    run->tokens = json_incref(json_object_get(said, "tokens"));
    run->tokens_per_s = number(said, "decode_tokens_per_s");
    run->step_ms = number(said, "step_ms_median");
    run->step_p95_ms = number(said, "step_ms_p95");
    run->prefill_ms = number(said, "prefill_ms");
    run->load_ms = number(said, "load_ms");
    json_decref(said);
}

static void run_app(struct gn_bench *b, struct gn_lane *lane, const struct app *app, unsigned steps,
                    struct run *run)
{
    char program[600], count[16], stats[160];
    struct gn_child c = {.talk = -1};
    *run = (struct run){0};
    snprintf(program, sizeof program, "%s/llm_decode", b->place.programs);
    snprintf(count, sizeof count, "%u", steps);
    snprintf(stats, sizeof stats, "GENIE_STATS=%s/stats", b->place.scratch);
    const char *args[] = {program,   "--model", app->model,       "--prompt-tokens", "16",
                          "--steps", count,     "--print-tokens", "--json",          NULL};
    const char *line;
    if (*lane->why) {
        snprintf(run->why, sizeof run->why, "%.190s", lane->why);
        return;
    }
    if (gn_lane_start(&b->place, lane, &c, GN_CHILD_PRINTS, args, app->mock, stats)) {
        snprintf(run->why, sizeof run->why, "llm_decode does not start");
        return;
    }
    while ((line = gn_child_hear(&c, RUN_MS)))
        if (*line == '{')
            read_line(run, line);
    int status = gn_child_wait(&c, RUN_MS);
    read_stats(&b->place, run);
    if (status || !run->tokens)
        snprintf(run->why, sizeof run->why, "llm_decode ended with status %d", status);
}

struct apps {
    struct gn_bench *bench;
    const struct app *app;
    const struct gn_network *network;
    struct gn_lane lanes[LANES_MAX];
    unsigned count;
    json_t *tokens; // of the first run; all others must have the same
};

static struct gn_series *series(struct apps *a, const struct gn_lane *lane, const char *metric,
                                const char *unit)
{
    return gn_results_series(&a->bench->results, a->network, a->app->workload, lane->baseline->name, metric,
                             unit);
}

static bool same_tokens(struct apps *a, struct run *run)
{
    if (!a->tokens)
        a->tokens = json_incref(run->tokens);
    if (json_equal(a->tokens, run->tokens))
        return true;
    snprintf(run->why, sizeof run->why, "its tokens are not those of the first row");
    return false;
}

// false: this row is not tried again.
static bool one_turn(struct apps *a, struct gn_lane *lane, unsigned steps, bool record)
{
    struct run run;
    run_app(a->bench, lane, a->app, steps, &run);
    if (!*run.why && same_tokens(a, &run) && record) {
        gn_series_add(series(a, lane, "step", "ms"), run.step_ms);
        gn_series_add(series(a, lane, "tokens_per_s", "tokens/s"), run.tokens_per_s);
        gn_series_add(series(a, lane, "step_p95", "ms"), run.step_p95_ms);
        gn_series_add(series(a, lane, "prefill", "ms"), run.prefill_ms);
        gn_series_add(series(a, lane, "load", "ms"), run.load_ms);
    }
    json_decref(run.tokens);
    if (!*run.why)
        return true;
    struct gn_series *s = series(a, lane, "step", "ms");
    if (s)
        snprintf(s->why, sizeof s->why, "%s", run.why);
    fprintf(stderr, "genie-bench: %s, %s: %s\n", a->app->workload, lane->baseline->name, run.why);
    snprintf(lane->why, sizeof lane->why, "%s", run.why);
    return false;
}

// What one more token costs: the difference of a long and a short run, so that what is done once does not
// count.
static void count_token(struct apps *a, struct gn_lane *lane, unsigned steps)
{
    struct run runs[2];
    if (*lane->why || lane->baseline->kind != GN_BASELINE_REMOTE || steps <= SHORT_STEPS)
        return;
    for (int i = 0; i < 2; i++)
        run_app(a->bench, lane, a->app, i ? steps : SHORT_STEPS, &runs[i]);
    double tokens = steps - SHORT_STEPS;
    if (runs[0].counted && runs[1].counted) {
        gn_series_add(series(a, lane, "round_trips", "a token"),
                      (runs[1].round_trips - runs[0].round_trips) / tokens);
        gn_series_add(series(a, lane, "bytes_sent", "B a token"), (runs[1].sent - runs[0].sent) / tokens);
        gn_series_add(series(a, lane, "bytes_received", "B a token"),
                      (runs[1].received - runs[0].received) / tokens);
    }
    for (int i = 0; i < 2; i++)
        json_decref(runs[i].tokens);
}

// What the network takes, as any program sees it: the relay's delay and the wake-ups at both ends. Once a
// round, for it changes with what else the machine does.
static void measure_round_trip(struct apps *a)
{
    static const char *const limits[] = {"pingpong"};
    struct gn_bench *b = a->bench;
    unsigned rounds = b->rounds, warm_up = b->warm_up;
    double started_s = b->started_s;
    unsigned long done = b->done, planned = b->planned;
    if (!(a->network->rtt_us > 0))
        return;
    b->rounds = b->warm_up = 1;
    gn_bench_micro_network(b, a->network, NULL, 0, limits, 1, true);
    b->rounds = rounds;
    b->warm_up = warm_up;
    b->started_s = started_s;
    b->done = done;
    b->planned = planned;
}

static int run_workload(struct apps *a, const struct gn_baseline *baselines, unsigned count)
{
    struct gn_bench *b = a->bench;
    unsigned steps = b->quick ? SHORT_STEPS : a->app->steps, good = 0;
    unsigned warm_up = b->quick || b->warm_up < 1 ? 0 : 1;
    a->count = count;
    for (unsigned i = 0; i < count; i++)
        gn_lane_open(&b->place, &a->lanes[i], &baselines[i], a->network, a->app->mock);
    gn_bench_plan(b, (unsigned long)(b->rounds + warm_up) * count);
    for (unsigned n = 0; n < b->rounds + warm_up && !gn_bench_stopped(); n++) {
        measure_round_trip(a);
        for (unsigned i = 0; i < count && !gn_bench_stopped(); i++) {
            struct gn_lane *lane = &a->lanes[i];
            if (n == 0 || !*lane->why)
                one_turn(a, lane, steps, n >= warm_up);
            gn_bench_step(b, a->app->workload);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        good += !*a->lanes[i].why;
        if (!gn_bench_stopped())
            count_token(a, &a->lanes[i], steps);
        gn_bench_relay(b, &a->lanes[i]);
        gn_lane_close(&a->lanes[i]);
    }
    json_decref(a->tokens);
    return good ? 0 : 1;
}

int gn_bench_apps_network(struct gn_bench *b, const struct gn_network *network,
                          const struct gn_baseline *baselines, unsigned count, const char *const *only,
                          unsigned only_count)
{
    struct apps *a = malloc(sizeof *a);
    int status = 0;
    if (!a || count > LANES_MAX) {
        fprintf(stderr, "genie-bench: %s\n", a ? "too many baselines at once" : "no memory");
        free(a);
        return 1;
    }
    for (int i = 0; i < APPS && !gn_bench_stopped(); i++) {
        if (!gn_bench_wanted(apps[i].workload, only, only_count))
            continue;
        // A real driver computes, whatever is asked: these two would be the same.
        if (!b->place.mock && !strcmp(apps[i].workload, "llm_decode_paced"))
            continue;
        *a = (struct apps){.bench = b, .app = &apps[i], .network = network};
        fprintf(stderr, "genie-bench: %s: %s\n", apps[i].workload,
                b->place.mock ? apps[i].about : apps[i].model);
        status |= run_workload(a, baselines, count);
    }
    free(a);
    return status;
}

static int run_network(struct gn_bench *b, const struct gn_network *network)
{
    struct gn_baseline baselines[GN_BENCH_LIST_MAX];
    int count = gn_bench_baselines(b, baselines, GN_BENCH_LIST_MAX);
    return count < 0 ? 2
                     : gn_bench_apps_network(b, network, baselines, (unsigned)count, b->only, b->only_count);
}

int gn_bench_apps(struct gn_bench *b) { return gn_bench_networks(b, run_network); }
