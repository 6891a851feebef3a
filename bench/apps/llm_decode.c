// SPDX-License-Identifier: Apache-2.0
// llm_decode: prefill and greedy decode of a GPT-2-shaped transformer, an ordinary program on the CUDA driver
// API; README.md says how to use it.
#include "bench/apps/llm_check.h"
#include "bench/apps/llm_options.h"
#include "bench/apps/llm_run.h"
#include "bench/apps/llm_touch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct result {
    double load_ms, prefill_ms, decode_ms; // decode: all steps together
    double median_ms, p95_ms;              // of one decode step; 0 without steps
    double prefill_tokens_per_s, decode_tokens_per_s;
    int32_t *tokens; // [step][sequence], the prefill's first: steps + 1 of them
    struct llm_run_stats stats;
    struct llm_touch touch;
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

__attribute__((noreturn)) static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "llm_decode: %s: %s\n", what, why);
    exit(1);
}

static void *need(void *memory)
{
    if (!memory)
        give_up("host memory", strerror(ENOMEM));
    return memory;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Sorts the steps' times and takes what is reported of them.
static void summarise(const struct llm_options *options, double *step_ms, struct result *result)
{
    uint32_t steps = options->steps;
    result->prefill_tokens_per_s = 1e3 * options->sequences * options->prompt_tokens / result->prefill_ms;
    if (!steps)
        return;
    qsort(step_ms, steps, sizeof *step_ms, by_size);
    result->median_ms = (step_ms[(steps - 1) / 2] + step_ms[steps / 2]) / 2;
    result->p95_ms =
        step_ms[((uint64_t)steps * 95 + 99) / 100 - 1]; // the least that 95 % of the steps do not exceed
    result->decode_tokens_per_s = 1e3 * options->sequences * steps / result->decode_ms;
}

// Compares what the device made of `count` tokens a sequence with the reference. Not part of any measured
// time.
static void check_step(const struct llm_run *run, struct llm_check *check, const int32_t *tokens,
                       uint32_t count, const int32_t *next)
{
    float *logits = need(malloc((size_t)check->sequences * check->vocab * sizeof *logits));
    llm_run_logits(run, logits);
    llm_check_step(check, tokens, count, logits, next);
    free(logits);
}

static void touch_step(const struct llm_options *options, const struct llm_run *run, struct llm_touch *touch)
{
    struct llm_host_state state;
    if (!options->touches)
        return;
    llm_run_host_state(run, &state);
    llm_touch_step(touch, &state);
    if (touch->steps == options->steps + 1)
        llm_touch_end(touch, &state);
}

// check: NULL unless asked for.
static void generate(const struct llm_options *options, struct llm_run *run, struct llm_check *check,
                     struct result *result)
{
    uint32_t sequences = options->sequences, count = options->prompt_tokens;
    int32_t *prompts = need(malloc((size_t)sequences * count * sizeof *prompts));
    double *step_ms = need(calloc(options->steps + 1, sizeof *step_ms));
    for (uint32_t s = 0; s < sequences; s++)
        llm_prompt(options->shape, options->seed, s, count, prompts + (size_t)s * count);

    llm_touch_begin(&result->touch, options->touch_seed);
    double start = now_ms();
    llm_run_prefill(run, prompts, result->tokens);
    result->prefill_ms = now_ms() - start;
    touch_step(options, run, &result->touch);
    if (check)
        check_step(run, check, prompts, count, result->tokens);
    for (uint32_t step = 0; step < options->steps; step++) {
        int32_t *before = result->tokens + (size_t)step * sequences, *next = before + sequences;
        start = now_ms();
        llm_run_decode(run, next);
        step_ms[step] = now_ms() - start;
        result->decode_ms += step_ms[step];
        touch_step(options, run, &result->touch);
        if (check)
            check_step(run, check, before, 1, next);
    }
    summarise(options, step_ms, result);
    free(step_ms);
    free(prompts);
}

// The new tokens of one sequence, as "1, 2, 3".
static void print_sequence(const struct llm_options *options, const struct result *result, uint32_t sequence)
{
    for (uint32_t step = 0; step <= options->steps; step++)
        printf("%s%d", step ? ", " : "", (int)result->tokens[(size_t)step * options->sequences + sequence]);
}

// A string of the driver's; only what is plain in JSON is let through.
static void print_plain(const char *text)
{
    for (; *text; text++)
        putchar(*text < ' ' || *text > '~' || *text == '"' || *text == '\\' ? '?' : *text);
}

static void print_json(const struct llm_options *options, const struct result *result,
                       const struct llm_check *check)
{
    const struct llm_run_stats *stats = &result->stats;
    printf("{\"model\": \"%s\", \"style\": \"%s\", \"weights\": \"%s\", \"parameters\": %llu, ",
           options->shape->name, options->style_name, options->weights_path ? "file" : "random",
           (unsigned long long)llm_parameters(options->shape));
    printf("\"host\": \"%s\", ", options->is_pageable ? "pageable" : "pinned");
    printf("\"batch\": %u, \"prompt_tokens\": %u, \"steps\": %u, \"seed\": %llu, \"device\": \"",
           options->sequences, options->prompt_tokens, options->steps, (unsigned long long)options->seed);
    print_plain(stats->device);
    printf("\", \"load_ms\": %.3f, \"fill_ms\": %.3f, \"upload_bytes\": %llu, ", result->load_ms,
           stats->fill_ms, (unsigned long long)stats->upload_bytes);
    printf("\"step_up_bytes\": %llu, \"step_down_bytes\": %llu, ", (unsigned long long)stats->step_up_bytes,
           (unsigned long long)stats->step_down_bytes);
    printf("\"prefill_ms\": %.3f, \"prefill_tokens_per_s\": %.1f, \"prefill_kernels\": %u, ",
           result->prefill_ms, result->prefill_tokens_per_s, stats->prefill_kernels);
    printf("\"decode_ms\": %.3f, \"decode_tokens_per_s\": %.2f, \"step_ms_median\": %.4f, \"step_ms_p95\": "
           "%.4f, ",
           result->decode_ms, result->decode_tokens_per_s, result->median_ms, result->p95_ms);
    printf("\"step_kernels\": %u, \"device_bytes_peak\": %llu", stats->decode_kernels,
           (unsigned long long)stats->device_bytes_peak);
    if (check) {
        printf(", \"check\": {\"passed\": %s, \"rows\": %u, \"worst_error\": %.3g, \"tolerance\": %g, ",
               llm_check_passed(check) ? "true" : "false", check->rows, check->worst_error,
               LLM_CHECK_TOLERANCE);
        printf("\"bad_rows\": %u, \"close_rows\": %u, \"bad_choices\": %u}", check->bad_rows,
               check->close_rows, check->bad_choices);
    }
    if (options->prompt_logits)
        printf(", \"prompt_logits\": \"%016llx\"", (unsigned long long)stats->prompt_checksum);
    if (options->touches)
        printf(", \"touched\": {\"reads\": %u, \"changes\": %u, \"checksum\": \"%016llx\"}",
               result->touch.reads, result->touch.changes, (unsigned long long)result->touch.checksum);
    for (uint32_t s = 0; s < options->sequences && options->print_tokens; s++) {
        fputs(s ? "], [" : ", \"tokens\": [[", stdout);
        print_sequence(options, result, s);
    }
    puts(options->print_tokens ? "]]}" : "}");
}

static void print_text(const struct llm_options *options, const struct result *result,
                       const struct llm_check *check)
{
    const struct llm_run_stats *stats = &result->stats;
    for (uint32_t s = 0; s < options->sequences && options->print_tokens; s++) {
        printf("tokens %u: ", s);
        print_sequence(options, result, s);
        putchar('\n');
    }
    if (options->prompt_logits)
        printf("logits   of the prompt's last token: checksum %016llx\n",
               (unsigned long long)stats->prompt_checksum);
    if (options->touches)
        printf("touched  %u reads, %u changes, checksum %016llx\n", result->touch.reads,
               result->touch.changes, (unsigned long long)result->touch.checksum);
    printf("model    %s, %.1f M parameters, %s; batch %u\n", options->shape->name,
           (double)llm_parameters(options->shape) / 1e6,
           options->weights_path ? options->weights_path : "random weights", options->sequences);
    printf("device   %s, %.1f MB allocated at most\n", stats->device, (double)stats->device_bytes_peak / 1e6);
    printf("load     %.1f MB of weights in %.1f ms\n", (double)stats->upload_bytes / 1e6, result->load_ms);
    printf("prefill  %u tokens in %.3f ms, %.1f tokens/s, %u kernels\n",
           options->sequences * options->prompt_tokens, result->prefill_ms, result->prefill_tokens_per_s,
           stats->prefill_kernels);
    if (options->steps)
        printf("decode   %u steps, %.2f tokens/s, %.3f ms a step (median), %.3f ms (p95), %u kernels\n",
               options->steps, result->decode_tokens_per_s, result->median_ms, result->p95_ms,
               stats->decode_kernels);
    if (options->style != LLM_STATEFUL)
        printf("style    %s, %s host memory: %.1f MB up and %.1f MB down a step\n", options->style_name,
               options->is_pageable ? "pageable" : "pinned", (double)stats->step_up_bytes / 1e6,
               (double)stats->step_down_bytes / 1e6);
    if (!check)
        return;
    printf("check    %s: %u rows, worst error %.2g of the largest logit (tolerance %g)\n",
           llm_check_passed(check) ? "passed" : "FAILED", check->rows, check->worst_error,
           LLM_CHECK_TOLERANCE);
    printf("         %u rows outside the tolerance, %u wrong choices, %u close calls\n", check->bad_rows,
           check->bad_choices, check->close_rows);
}

int main(int argc, char **argv)
{
    struct llm_options options;
    struct llm_weights weights;
    struct st_error error;
    struct llm_check check;
    struct llm_run *run;
    struct result result = {0};
    llm_options_parse(argc, argv, &options);

    if (llm_weights_open(options.shape, options.weights_path, options.seed, &weights, &error)) {
        fprintf(stderr, "llm_decode: %s: %s", options.weights_path, error.text);
        if (error.offset_bytes)
            fprintf(stderr, " (at byte %llu of the header)", (unsigned long long)error.offset_bytes);
        fputc('\n', stderr);
        return 1;
    }
    result.tokens = need(calloc((size_t)(options.steps + 1) * options.sequences, sizeof *result.tokens));
    double start = now_ms();
    if (llm_run_open(&weights, &options, &run, &error))
        give_up(options.weights_path ? options.weights_path : "weights", error.text);
    result.load_ms = now_ms() - start;
    if (options.check) {
        int status =
            llm_check_open(&weights, options.sequences, options.prompt_tokens + options.steps, &check);
        if (status)
            give_up("reference", strerror(-status));
    }
    generate(&options, run, options.check ? &check : NULL, &result);
    llm_run_stats_get(run, &result.stats);
    (options.json ? print_json : print_text)(&options, &result, options.check ? &check : NULL);
    if (fflush(stdout))
        give_up("standard output", strerror(errno));

    bool failed = options.check && !llm_check_passed(&check);
    if (options.check)
        llm_check_close(&check);
    llm_run_close(run);
    llm_weights_close(&weights);
    free(result.tokens);
    return failed;
}
