// SPDX-License-Identifier: Apache-2.0
// The last lines of demo.sh: are the tokens of the two runs identical, how fast was each, what went over the wire.
//   demo_report LOCAL REMOTE STATS.json     LOCAL, REMOTE: the line that llm_decode --print-tokens --json printed
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

// The one JSON line that llm_decode prints.
static json_t *read_run(const char *path)
{
    json_error_t error;
    json_t *run = json_load_file(path, JSON_DISABLE_EOF_CHECK, &error);
    if (!run || !json_is_array(json_object_get(run, "tokens"))) {
        fprintf(stderr, "demo_report: %s: %s\n", path, run ? "there are no tokens" : error.text);
        exit(1);
    }
    return run;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) {
        fprintf(stderr, "demo_report: there is no figure '%s'\n", key);
        exit(1);
    }
    return json_number_value(value);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: demo_report LOCAL REMOTE STATS.json\n");
        return 2;
    }
    json_t *local = read_run(argv[1]), *remote = read_run(argv[2]);
    json_error_t error;
    json_t *stats = json_load_file(argv[3], 0, &error);
    if (!stats) {
        fprintf(stderr, "demo_report: %s: %s\n", argv[3], error.text);
        return 1;
    }
    bool same = json_equal(json_object_get(local, "tokens"), json_object_get(remote, "tokens"));
    double steps = number(remote, "steps");
    char *tokens = json_dumps(json_object_get(remote, "tokens"), 0);
    printf("tokens: %s\n\n", tokens);
    printf("%-8s %18s %14s %22s %16s\n", "", "decode, tokens/s", "prefill, ms", "round trips a token", "bytes a token");
    printf("%-8s %18.1f %14.1f %22s %16s\n", "local", number(local, "decode_tokens_per_s"), number(local, "prefill_ms"), "0", "0");
    json_t *sent = json_object_get(stats, "bytes_sent"), *received = json_object_get(stats, "bytes_received");
    double bytes = number(sent, "commands") + number(received, "commands") + number(received, "payload");
    printf("%-8s %18.1f %14.1f %22.2f %16.0f\n", "remote", number(remote, "decode_tokens_per_s"), number(remote, "prefill_ms"),
           number(stats, "round_trips") / steps, bytes / steps);
    printf("\nRound trips and bytes are those of the whole run, its start included, over %.0f steps; beside them %.1f MB of weights went up once.\n",
           steps, number(sent, "payload") / 1e6);
    printf("\ntokens identical: %s\n", same ? "yes" : "NO");
    free(tokens);
    json_decref(local);
    json_decref(remote);
    json_decref(stats);
    return same ? 0 : 1;
}
