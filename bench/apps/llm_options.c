// SPDX-License-Identifier: Apache-2.0
// The command line of llm_decode.
#include "bench/apps/llm_options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES_MAX = 256 }; // above, one step's tokens and logits are no longer small beside the weights

static const char help[] =
    "usage: llm_decode [options]\n"
    "Prefill and greedy decode of a GPT-2-shaped transformer through the CUDA driver API.\n"
    "  --model NAME         tiny (4 M parameters), 124m (GPT-2) or xl (GPT-2 XL, 1.5 B); default tiny\n"
    "  --batch N            sequences that are processed together, 1 to 256; default 1\n"
    "  --prompt-tokens N    tokens of each prompt; default 16\n"
    "  --steps N            decode steps after the prefill, which gives the first new token; default 16\n"
    "  --seed N             of the prompts and of random weights; default 1\n"
    "  --weights FILE       safetensors with GPT-2's tensor names (F32, F16, BF16); default: random weights\n"
    "  --style NAME         where state lives between steps; default stateful\n"
    "                       stateful: weights and KV cache on the device\n"
    "                       stateless: both on the host; weights and cache go up before each step, cache "
    "and\n"
    "                       logits come down after it\n"
    "                       offload: weights on the device, cache on the host; each layer's goes up before "
    "its\n"
    "                       attention and comes down after it\n"
    "  --host NAME          memory of the two latter on the host: pinned (from the driver, copied in stream\n"
    "                       order) or pageable (plain memory, copied at once); default pinned\n"
    "  --touch-kv SEED      read or change the cache on the host after random steps; prints a checksum\n"
    "  --nudge-weight N     flip the lowest bit of the N-th weight: other weights, by one byte\n"
    "  --prompt-logits      copy the logits of every token of the prompts to the host, and read those of the "
    "last\n"
    "  --print-tokens       print the new tokens\n"
    "  --json               print one line of JSON and nothing else\n"
    "  --check              compare all logits with a forward pass on the CPU\n"
    "  --help               print this\n"
    "Exit code: 0 done; 1 a driver call failed, a file is bad or --check found a difference; 2 bad "
    "options.\n";

static const struct {
    const char *name;
    enum llm_style style;
} styles[] = {{"stateful", LLM_STATEFUL}, {"stateless", LLM_STATELESS}, {"offload", LLM_OFFLOAD}};

__attribute__((noreturn, format(printf, 1, 2))) static void refuse(const char *format, ...)
{
    va_list args;
    fputs("llm_decode: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs(" (--help lists the options)\n", stderr);
    exit(2);
}

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    bool is_bad = !*text;
    for (const char *c = text; *c && !is_bad; c++)
        is_bad = *c < '0' || *c > '9' || __builtin_mul_overflow(value, 10u, &value) ||
                 __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value);
    if (is_bad || value < min || value > max)
        refuse("--%s %s: expected a whole number from %llu to %llu", option, text, (unsigned long long)min,
               (unsigned long long)max);
    return value;
}

static const struct llm_shape *shape_named(const char *name)
{
    const struct llm_shape *shape = llm_shape_find(name);
    if (!shape)
        refuse("--model %s: expected tiny, 124m or xl", name);
    return shape;
}

static void set_style(struct llm_options *options, const char *name)
{
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        if (strcmp(name, styles[i].name) == 0) {
            options->style = styles[i].style;
            options->style_name = styles[i].name;
            return;
        }
    }
    refuse("--style %s: expected stateful, stateless or offload", name);
}

static void set_host(struct llm_options *options, const char *name)
{
    options->is_pageable = strcmp(name, "pageable") == 0;
    if (!options->is_pageable && strcmp(name, "pinned") != 0)
        refuse("--host %s: expected pinned or pageable", name);
}

enum {
    MODEL = 1,
    BATCH,
    PROMPT_TOKENS,
    STEPS,
    SEED,
    WEIGHTS,
    STYLE,
    HOST,
    TOUCH_KV,
    NUDGE_WEIGHT,
    PROMPT_LOGITS,
    PRINT_TOKENS,
    JSON,
    CHECK,
    HELP
};

static const struct option table[] = {
    {"model", required_argument, NULL, MODEL},
    {"batch", required_argument, NULL, BATCH},
    {"prompt-tokens", required_argument, NULL, PROMPT_TOKENS},
    {"steps", required_argument, NULL, STEPS},
    {"seed", required_argument, NULL, SEED},
    {"weights", required_argument, NULL, WEIGHTS},
    {"style", required_argument, NULL, STYLE},
    {"host", required_argument, NULL, HOST},
    {"touch-kv", required_argument, NULL, TOUCH_KV},
    {"nudge-weight", required_argument, NULL, NUDGE_WEIGHT},
    {"prompt-logits", no_argument, NULL, PROMPT_LOGITS},
    {"print-tokens", no_argument, NULL, PRINT_TOKENS},
    {"json", no_argument, NULL, JSON},
    {"check", no_argument, NULL, CHECK},
    {"help", no_argument, NULL, HELP},
    {0},
};

static void take(struct llm_options *options, int option, const char *value)
{
    switch (option) {
    case MODEL: options->shape = shape_named(value); break;
    case BATCH: options->sequences = (uint32_t)number("batch", value, 1, SEQUENCES_MAX); break;
    case PROMPT_TOKENS:
        options->prompt_tokens = (uint32_t)number("prompt-tokens", value, 1, UINT32_MAX);
        break;
    case STEPS: options->steps = (uint32_t)number("steps", value, 0, UINT32_MAX); break;
    case SEED: options->seed = number("seed", value, 0, UINT64_MAX); break;
    case WEIGHTS: options->weights_path = value; break;
    case STYLE: set_style(options, value); break;
    case HOST: set_host(options, value); break;
    case TOUCH_KV:
        options->touches = true;
        options->touch_seed = number("touch-kv", value, 0, UINT64_MAX / 4);
        break;
    case NUDGE_WEIGHT:
        options->nudges = true;
        options->nudged_weight = number("nudge-weight", value, 0, UINT64_MAX / 4);
        break;
    case PROMPT_LOGITS: options->prompt_logits = true; break;
    case PRINT_TOKENS: options->print_tokens = true; break;
    case JSON: options->json = true; break;
    case CHECK: options->check = true; break;
    case HELP: fputs(help, stdout); exit(0);
    default:
        fputs("llm_decode: --help lists the options\n", stderr);
        exit(2); // getopt has said what is wrong
    }
}

void llm_options_parse(int argc, char **argv, struct llm_options *options)
{
    *options = (struct llm_options){
        .shape = &llm_shapes[0],
        .sequences = 1,
        .prompt_tokens = 16,
        .steps = 16,
        .seed = 1,
        .style = styles[0].style,
        .style_name = styles[0].name,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
        take(options, option, optarg);
    if (optind < argc)
        refuse("%s: unexpected", argv[optind]);
    uint64_t tokens = (uint64_t)options->prompt_tokens + options->steps;
    if (tokens > options->shape->context)
        refuse("--prompt-tokens %u and --steps %u do not fit the model's context of %u tokens",
               options->prompt_tokens, options->steps, options->shape->context);
    if (options->nudges && options->nudged_weight >= llm_parameters(options->shape))
        refuse("--nudge-weight: the model has %llu weights",
               (unsigned long long)llm_parameters(options->shape));
    if (options->nudges && options->check)
        refuse("--nudge-weight and --check exclude each other: the reference's weights are not changed");
    if (options->touches && options->style == LLM_STATEFUL)
        refuse("--touch-kv: --style stateful has no KV cache on the host");
    if (options->touches && options->check)
        refuse("--touch-kv and --check exclude each other: the reference's cache is not changed");
}
