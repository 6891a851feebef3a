// SPDX-License-Identifier: Apache-2.0
// The last lines of demo.sh: are the tokens of the two runs identical, how fast was each, what went over the wire.
//   demo_report LOCAL REMOTE STATS.json     LOCAL, REMOTE: what llm_decode --print-tokens --json printed
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
    char *tokens;    // the lines that begin with "tokens"
    json_t *metrics; // the JSON line
};

static char *append(char *text, const char *line)
{
    size_t n = text ? strlen(text) : 0;
    text = realloc(text, n + strlen(line) + 1);
    if (!text)
        exit(1);
    strcpy(text + n, line);
    return text;
}

static struct run read_run(const char *path)
{
    struct run run = {0};
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(1);
    }
    while (getline(&line, &room, f) > 0) {
        if (!strncmp(line, "tokens", 6))
            run.tokens = append(run.tokens, line);
        else if (line[0] == '{' && !run.metrics)
            run.metrics = json_loads(line, 0, NULL);
    }
    free(line);
    fclose(f);
    if (!run.tokens || !run.metrics) {
        fprintf(stderr, "demo_report: %s holds no tokens or no metrics\n", path);
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
    struct run local = read_run(argv[1]), remote = read_run(argv[2]);
    json_error_t error;
    json_t *stats = json_load_file(argv[3], 0, &error);
    if (!stats) {
        fprintf(stderr, "demo_report: %s: %s\n", argv[3], error.text);
        return 1;
    }
    bool same = !strcmp(local.tokens, remote.tokens);
    double steps = number(remote.metrics, "steps");
    printf("%s", remote.tokens);
    printf("\n%-10s %16s %16s %22s %22s\n", "", "decode, tokens/s", "prefill, ms", "round trips a token", "bytes a token");
    printf("%-10s %16.1f %16.1f %22s %22s\n", "local", number(local.metrics, "decode_tokens_per_s"), number(local.metrics, "prefill_ms"), "-", "-");
    double sent = number(stats, "bytes_sent_commands") + number(stats, "bytes_sent_payload");
    double received = number(stats, "bytes_received_commands") + number(stats, "bytes_received_payload");
    printf("%-10s %16.1f %16.1f %22.2f %22.0f\n", "remote", number(remote.metrics, "decode_tokens_per_s"), number(remote.metrics, "prefill_ms"),
           number(stats, "round_trips") / steps, (sent + received) / steps);
    printf("(round trips and bytes are those of the whole run, start and weights included, divided by its %.0f steps)\n", steps);
    printf("\ntokens identical: %s\n", same ? "yes" : "NO");
    return same ? 0 : 1;
}
