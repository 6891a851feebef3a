// SPDX-License-Identifier: Apache-2.0
// llm_decode through each baseline: run after run in turn, the tokens compared with the first row's.
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/llm_program.h"

enum { LANES_MAX = 24, SHORT_STEPS = 8 };

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

static void run_app(struct gn_bench *b, struct gn_lane *lane, const struct app *app, unsigned steps,
                    struct gn_llm_run *run)
{
    char count[16];
    snprintf(count, sizeof count, "%u", steps);
    const char *args[] = {"--model", app->model, "--prompt-tokens", "16", "--steps", count, NULL};
    gn_llm_run(&b->place, lane, app->mock, args, run);
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

static bool same_tokens(struct apps *a, struct gn_llm_run *run)
{
    json_t *tokens = (json_t *)gn_llm_tokens(run);
    if (!a->tokens)
        a->tokens = json_incref(tokens);
    if (json_equal(a->tokens, tokens))
        return true;
    snprintf(run->why, sizeof run->why, "its tokens are not those of the first row");
    return false;
}

// false: this row is not tried again.
static bool one_turn(struct apps *a, struct gn_lane *lane, unsigned steps, bool record)
{
    struct gn_llm_run run;
    run_app(a->bench, lane, a->app, steps, &run);
    if (!*run.why && same_tokens(a, &run) && record) {
        gn_series_add(series(a, lane, "step", "ms"), gn_llm_number(&run, "step_ms_median"));
        gn_series_add(series(a, lane, "tokens_per_s", "tokens/s"), gn_llm_number(&run, "decode_tokens_per_s"));
        gn_series_add(series(a, lane, "step_p95", "ms"), gn_llm_number(&run, "step_ms_p95"));
        gn_series_add(series(a, lane, "prefill", "ms"), gn_llm_number(&run, "prefill_ms"));
        gn_series_add(series(a, lane, "load", "ms"), gn_llm_number(&run, "load_ms"));
    }
    gn_llm_run_free(&run);
    if (!*run.why)
        return true;
    struct gn_series *s = series(a, lane, "step", "ms");
    if (s)
        snprintf(s->why, sizeof s->why, "%s", run.why);
    fprintf(stderr, "genie-bench: %s, %s: %s\n", a->app->workload, lane->baseline->name, run.why);
    snprintf(lane->why, sizeof lane->why, "%s", run.why);
    return false;
}

static double sent(const struct gn_llm_run *run) { return run->commands_up + run->payload_up; }
static double received(const struct gn_llm_run *run) { return run->commands_down + run->payload_down; }

// What one more token costs: the difference of a long and a short run, so that what is done once does not
// count.
static void count_token(struct apps *a, struct gn_lane *lane, unsigned steps)
{
    struct gn_llm_run runs[2];
    if (*lane->why || lane->baseline->kind != GN_BASELINE_REMOTE || steps <= SHORT_STEPS)
        return;
    for (int i = 0; i < 2; i++)
        run_app(a->bench, lane, a->app, i ? steps : SHORT_STEPS, &runs[i]);
    double tokens = steps - SHORT_STEPS;
    if (runs[0].counted && runs[1].counted) {
        gn_series_add(series(a, lane, "round_trips", "a token"),
                      (runs[1].round_trips - runs[0].round_trips) / tokens);
        gn_series_add(series(a, lane, "bytes_sent", "B a token"), (sent(&runs[1]) - sent(&runs[0])) / tokens);
        gn_series_add(series(a, lane, "bytes_received", "B a token"),
                      (received(&runs[1]) - received(&runs[0])) / tokens);
    }
    for (int i = 0; i < 2; i++)
        gn_llm_run_free(&runs[i]);
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
