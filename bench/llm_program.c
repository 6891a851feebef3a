// SPDX-License-Identifier: Apache-2.0
// One run of llm_decode in a lane.
#include "bench/llm_program.h"

#include <math.h>
#include <string.h>

enum { RUN_MS = 600000 };

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void read_stats(const struct gn_place *p, struct gn_llm_run *run)
{
    char path[128];
    snprintf(path, sizeof path, "%s/stats", p->scratch);
    json_t *stats = json_load_file(path, 0, NULL);
    const json_t *sent = json_object_get(stats, "bytes_sent"),
                 *received = json_object_get(stats, "bytes_received");
    run->counted = stats && sent && received;
    run->round_trips = number(stats, "round_trips");
    run->commands_up = number(sent, "commands");
    run->commands_down = number(received, "commands");
    run->payload_up = number(sent, "payload");
    run->payload_down = number(received, "payload");
    json_decref(stats);
    remove(path);
}

void gn_llm_run(struct gn_place *p, struct gn_lane *lane, const char *mock, const char *const *args,
                struct gn_llm_run *run)
{
    char program[600], stats[160];
    const char *words[GN_LLM_ARGS_MAX + 4] = {program, "--json", "--print-tokens"}, *line;
    struct gn_child c = {.talk = -1};
    *run = (struct gn_llm_run){0};
    snprintf(program, sizeof program, "%s/llm_decode", p->programs);
    snprintf(stats, sizeof stats, "GENIE_STATS=%s/stats", p->scratch);
    for (unsigned i = 0; args[i] && i < GN_LLM_ARGS_MAX; i++)
        words[3 + i] = args[i];
    if (*lane->why) {
        snprintf(run->why, sizeof run->why, "%.190s", lane->why);
        return;
    }
    if (gn_lane_start(p, lane, &c, GN_CHILD_PRINTS, words, mock, stats)) {
        snprintf(run->why, sizeof run->why, "llm_decode does not start");
        return;
    }
    while ((line = gn_child_hear(&c, RUN_MS)))
        if (*line == '{' && !run->said)
            run->said = json_loads(line, 0, NULL);
    int status = gn_child_wait(&c, RUN_MS);
    read_stats(p, run);
    if (status || !gn_llm_tokens(run))
        snprintf(run->why, sizeof run->why, "llm_decode ended with status %d", status);
}

void gn_llm_run_free(struct gn_llm_run *run)
{
    json_decref(run->said);
    run->said = NULL;
}

double gn_llm_number(const struct gn_llm_run *run, const char *key)
{
    const json_t *value = json_object_get(run->said, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const json_t *gn_llm_tokens(const struct gn_llm_run *run) { return json_object_get(run->said, "tokens"); }
