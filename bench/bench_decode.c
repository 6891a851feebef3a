// SPDX-License-Identifier: Apache-2.0
// genie-bench decode: llm_decode in each style of keeping its state, through each baseline: what a token
// costs, what the first start of the program costs and what the second, and whether the tokens are the same
// everywhere.
//
// A row has a server of its own. The first run in it is the cold start, the second finds what the server
// kept, and the others, which the rows take in turn, are longer: what a token costs in bytes and round trips
// is the difference of a long run and the second.
#include "bench/bench_decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/llm_program.h"

enum { ROWS_MAX = 16, HASHED_STEPS = 4 };

static const struct shape {
    const char *name, *model, *mock, *prompt, *about; // mock: what GENIE_MOCK is
    unsigned short_steps, long_steps;
    bool is_timed; // its times are those of a device, not of this machine's interpreter
} shapes[] = {
    {"tiny", "tiny", "", "16", "4 M parameters, executed", 4, 16, false},
    {"124m", "124m", "", "4", "124 M parameters, executed", 2, 6, false},
    {"124m_h200", "124m", "exec=off,time=h200,moves=off", "16",
     "124 M parameters; nothing is computed, the device takes the time of an H200", 4, 64, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

const char *const gn_decode_styles[] = {"stateless", "offload", "stateful", NULL};

struct decode {
    struct gn_bench *bench;
    const struct gn_network *network;
    const struct shape *shape;
    const char *style;
    char workload[64];
    const struct gn_baseline *baselines;
    struct gn_lane lanes[ROWS_MAX];
    struct gn_llm_run second[ROWS_MAX];
    unsigned count;
    json_t *tokens; // the longest list so far, of any style: all others must begin, or go on, as it does
};

static struct gn_series *series(struct decode *d, unsigned row, const char *metric, const char *unit)
{
    return gn_results_series(&d->bench->results, d->network, d->workload, d->baselines[row].name, metric,
                             unit);
}

static void add(struct decode *d, unsigned row, const char *metric, const char *unit, double value)
{
    gn_series_add(series(d, row, metric, unit), value);
}

// All state travels at every step: few steps say as much as many.
static bool is_heavy(const struct decode *d, unsigned row)
{
    const struct gn_baseline *b = &d->baselines[row];
    return strcmp(d->style, "stateful") && b->kind != GN_BASELINE_LOCAL && strcmp(b->name, "full");
}

static unsigned long_steps(const struct decode *d, unsigned row)
{
    return is_heavy(d, row) || d->bench->quick ? d->shape->short_steps + 2 : d->shape->long_steps;
}

static const char *run(struct decode *d, unsigned row, unsigned steps, const char *prompt, const char *option,
                       const char *value, struct gn_llm_run *out)
{
    char count[16];
    snprintf(count, sizeof count, "%u", steps);
    const char *args[] = {"--model", d->shape->model, "--style", d->style, "--prompt-tokens",
                          prompt,    "--steps",       count,     option,   value,
                          NULL};
    gn_llm_run(&d->bench->place, &d->lanes[row], d->shape->mock, args, out);
    return *out->why ? out->why : NULL;
}

static bool begins_alike(const json_t *a, const json_t *b)
{
    size_t n = json_array_size(a) < json_array_size(b) ? json_array_size(a) : json_array_size(b);
    bool alike = n > 0;
    for (size_t i = 0; i < n; i++)
        alike = alike && json_equal(json_array_get(a, i), json_array_get(b, i));
    return alike;
}

// 32 bits of the first tokens, the same number of them in every row.
static double hash_of(const json_t *tokens)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i <= HASHED_STEPS && i < json_array_size(tokens); i++)
        hash = (hash ^ (uint32_t)json_integer_value(json_array_get(tokens, i))) * 16777619u;
    return hash;
}

static bool same_tokens(struct decode *d, unsigned row, struct gn_llm_run *run)
{
    json_t *tokens = json_array_get(gn_llm_tokens(run), 0);
    if (d->tokens && !begins_alike(d->tokens, tokens)) {
        snprintf(run->why, sizeof run->why, "its tokens are not those of the first row");
        return false;
    }
    if (json_array_size(tokens) > json_array_size(d->tokens)) {
        json_decref(d->tokens);
        d->tokens = json_incref(tokens);
    }
    if (json_array_size(tokens) > HASHED_STEPS)
        add(d, row, "tokens_hash", "", hash_of(tokens));
    return true;
}

static void give_up(struct decode *d, unsigned row, const char *why)
{
    struct gn_series *s = series(d, row, "step", "ms");
    if (s)
        snprintf(s->why, sizeof s->why, "%.250s", why);
    fprintf(stderr, "genie-bench: %s, %s: %s\n", d->workload, d->baselines[row].name, why);
    if (why != d->lanes[row].why)
        snprintf(d->lanes[row].why, sizeof d->lanes[row].why, "%.250s", why);
}

// --- the runs of a row

// From cuInit to the first token; making random weights is no part of it.
static double first_token_ms(const struct gn_llm_run *run)
{
    return gn_llm_number(run, "load_ms") - gn_llm_number(run, "fill_ms") + gn_llm_number(run, "prefill_ms");
}

static void start_twice(struct decode *d, unsigned row)
{
    static const char *const names[2][2] = {{"cold_up", "cold_first_token"},
                                            {"second_up", "second_first_token"}};
    for (int i = 0; i < 2 && !*d->lanes[row].why && !gn_bench_stopped(); i++) {
        struct gn_llm_run *r = &d->second[row];
        gn_llm_run_free(r);
        if (run(d, row, d->shape->short_steps, d->shape->prompt, NULL, NULL, r) || !same_tokens(d, row, r)) {
            give_up(d, row, r->why);
            return;
        }
        if (r->counted)
            add(d, row, names[i][0], "B", r->payload_up);
        add(d, row, names[i][1], "ms", first_token_ms(r));
        gn_bench_step(d->bench, d->workload);
    }
}

static void one_turn(struct decode *d, unsigned row, bool first)
{
    struct gn_llm_run r;
    unsigned steps = long_steps(d, row);
    const struct gn_llm_run *before = &d->second[row];
    if (*d->lanes[row].why)
        return;
    if (run(d, row, steps, d->shape->prompt, NULL, NULL, &r) || !same_tokens(d, row, &r)) {
        give_up(d, row, r.why);
        gn_llm_run_free(&r);
        return;
    }
    add(d, row, "step", "ms", gn_llm_number(&r, "step_ms_median"));
    add(d, row, "tokens_per_s", "tokens/s", 1e3 / gn_llm_number(&r, "step_ms_median"));
    if (first && r.counted && before->counted) {
        double more = steps - d->shape->short_steps;
        add(d, row, "commands", "B a token",
            (r.commands_up + r.commands_down - before->commands_up - before->commands_down) / more);
        add(d, row, "payload_up", "B a token", (r.payload_up - before->payload_up) / more);
        add(d, row, "payload_down", "B a token", (r.payload_down - before->payload_down) / more);
        add(d, row, "round_trips", "a token", (r.round_trips - before->round_trips) / more);
    }
    gn_llm_run_free(&r);
}

// --- runs beside the others: a weight that changed, and the logits of a whole prompt, of which one row is
// read

static bool same_results(const struct gn_llm_run *a, const struct gn_llm_run *b)
{
    const json_t *x = json_object_get(a->said, "prompt_logits"),
                 *y = json_object_get(b->said, "prompt_logits");
    return json_equal(gn_llm_tokens(a), gn_llm_tokens(b)) && ((!x && !y) || json_equal(x, y));
}

// The same run locally and with hints must say the same; what it brought is the latter's.
static void beside(struct decode *d, unsigned local, unsigned full, const char *prompt, const char *option,
                   const char *value, const char *metric)
{
    struct gn_llm_run a, b;
    const char *why = run(d, local, 2, prompt, option, value, &a);
    if (!why)
        why = run(d, full, 2, prompt, option, value, &b);
    else
        b = (struct gn_llm_run){0};
    struct gn_series *s = series(d, full, metric, "B");
    if (!why && !same_results(&a, &b))
        why = "its results are not those of the local run";
    if (!why && b.counted)
        gn_series_add(s, strcmp(metric, "logits_down") ? b.payload_up : b.payload_down);
    else if (why && s)
        snprintf(s->why, sizeof s->why, "%.250s", why);
    gn_llm_run_free(&a);
    gn_llm_run_free(&b);
}

static void run_beside(struct decode *d)
{
    unsigned local = ROWS_MAX, full = ROWS_MAX;
    for (unsigned i = 0; i < d->count; i++) {
        local = !strcmp(d->baselines[i].name, "local") && !*d->lanes[i].why ? i : local;
        full = !strcmp(d->baselines[i].name, "full") && !*d->lanes[i].why ? i : full;
    }
    if (strcmp(d->style, "stateful") || local == ROWS_MAX || full == ROWS_MAX || gn_bench_stopped())
        return;
    beside(d, local, full, d->shape->prompt, "--nudge-weight", "3000000", "changed_up");
    if (!strcmp(d->shape->model, "tiny") || *d->shape->mock) // an interpreter takes minutes for a long prompt
        beside(d, local, full, "128", "--prompt-logits", NULL, "logits_down");
}

// --- all of it

static int run_style(struct decode *d)
{
    struct gn_bench *b = d->bench;
    unsigned good = 0;
    snprintf(d->workload, sizeof d->workload, "%s_%s", d->shape->name, d->style);
    fprintf(stderr, "genie-bench: %s: %s\n", d->workload, d->shape->about);
    gn_bench_plan(b, (unsigned long)(b->rounds + 2) * d->count);
    for (unsigned i = 0; i < d->count; i++) {
        d->second[i] = (struct gn_llm_run){0};
        gn_lane_open(&b->place, &d->lanes[i], &d->baselines[i], d->network, d->shape->mock);
        if (*d->lanes[i].why)
            give_up(d, i, d->lanes[i].why);
        start_twice(d, i);
    }
    for (unsigned n = 0; n < b->rounds && !gn_bench_stopped(); n++)
        for (unsigned i = 0; i < d->count && !gn_bench_stopped(); i++) {
            if (!n || !is_heavy(d, i))
                one_turn(d, i, !n);
            gn_bench_step(b, d->workload);
        }
    run_beside(d);
    for (unsigned i = 0; i < d->count; i++) {
        good += !*d->lanes[i].why;
        gn_llm_run_free(&d->second[i]);
        gn_lane_close(&d->lanes[i]);
    }
    return good ? 0 : 1;
}

static int run_network(struct gn_bench *b, const struct gn_network *network)
{
    static struct gn_baseline baselines[GN_BENCH_LIST_MAX];
    int count = gn_bench_baselines(b, baselines, ROWS_MAX), status = 0;
    struct decode *d = calloc(1, sizeof *d);
    if (count < 0 || !d) {
        free(d);
        return 2;
    }
    for (int i = 0; i < SHAPES; i++) {
        *d = (struct decode){.bench = b,
                             .network = network,
                             .shape = &shapes[i],
                             .baselines = baselines,
                             .count = (unsigned)count};
        // A real driver computes and takes its own time, whatever is asked.
        if (!b->place.mock && shapes[i].is_timed)
            continue;
        for (int s = 0; gn_decode_styles[s] && !gn_bench_stopped(); s++) {
            char name[64];
            snprintf(name, sizeof name, "%s_%s", shapes[i].name, gn_decode_styles[s]);
            if (!gn_bench_wanted(name, b->only, b->only_count))
                continue;
            d->style = gn_decode_styles[s];
            status |= run_style(d);
        }
        json_decref(d->tokens);
    }
    free(d);
    return status;
}

int gn_bench_decode(struct gn_bench *b)
{
    static const char *const rows[] = {"local", "naive", "no_semantics", "full"};
    if (!b->baselines_given) {
        b->baseline_count = sizeof rows / sizeof *rows;
        memcpy(b->baselines, rows, sizeof rows);
    }
    int status = gn_bench_networks(b, run_network);
    gn_decode_print(&b->results, stdout);
    if (b->targets)
        gn_decode_print_targets(&b->results, stdout);
    return status;
}
