// SPDX-License-Identifier: Apache-2.0
// genie-bench: command line, progress, and what comes out.
#include "bench/bench.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "core/config.h"

enum { ROUNDS_MAX = 1000, RTT_US_MAX = 10000000, GBIT_MAX = 1000, PROGRESS_S = 5, LIST_BYTES = 512, DECODE_ROUNDS = 3 };

static _Atomic int stopped;

bool gn_bench_stopped(void) { return atomic_load(&stopped); }

static void on_signal(int number)
{
    (void)number;
    if (atomic_exchange(&stopped, 1))
        _exit(130); // asked twice
}

// --- options: this table is the help

static int take_words(const char *v, const char **list, unsigned *count)
{
    char *copy = strdup(v), *state = NULL; // lives as long as the program
    *count = 0;
    for (char *word = copy ? strtok_r(copy, ",", &state) : NULL; word; word = strtok_r(NULL, ",", &state)) {
        if (*count == GN_BENCH_LIST_MAX)
            return -EINVAL;
        list[(*count)++] = word;
    }
    return *count ? 0 : -EINVAL;
}

static int take_numbers(const char *v, double max, double *list, unsigned *count)
{
    const char *words[GN_BENCH_LIST_MAX];
    int error = take_words(v, words, count);
    for (unsigned i = 0; i < *count && !error; i++) {
        char *end;
        list[i] = strtod(words[i], &end);
        error = *end || !(list[i] >= 0 && list[i] <= max) ? -EINVAL : 0;
    }
    return error;
}

static int take_count(const char *v, unsigned min, unsigned *to)
{
    char *end;
    unsigned long n = strtoul(v, &end, 10);
    *to = (unsigned)n;
    return *end || end == v || n < min || n > ROUNDS_MAX ? -EINVAL : 0;
}

static int take_baselines(struct gn_bench *b, const char *v)
{
    b->baselines_given = true;
    return take_words(v, b->baselines, &b->baseline_count);
}
static int take_only(struct gn_bench *b, const char *v) { return take_words(v, b->only, &b->only_count); }
static int take_rtt(struct gn_bench *b, const char *v)
{
    return take_numbers(v, RTT_US_MAX, b->rtts_us, &b->rtt_count);
}
static int take_gbit(struct gn_bench *b, const char *v)
{
    return take_numbers(v, GBIT_MAX, b->gbits, &b->gbit_count);
}
static int take_rounds(struct gn_bench *b, const char *v)
{
    b->rounds_given = true;
    return take_count(v, 1, &b->rounds);
}
static int take_warm_up(struct gn_bench *b, const char *v) { return take_count(v, 0, &b->warm_up); }
static int take_transport(struct gn_bench *b, const char *v)
{
    int error = take_words(v, b->transports, &b->transport_count);
    for (unsigned i = 0; i < b->transport_count && !error; i++)
        if (strcmp(b->transports[i], "tcp") && strcmp(b->transports[i], "unix") &&
            strcmp(b->transports[i], "shm"))
            error = -EINVAL;
    return error;
}
static int take_bytes(struct gn_bench *b, const char *v)
{
    return gn_config_parse_size(v, &b->max_bytes) || b->max_bytes < 4096 || b->max_bytes > (uint64_t)1 << 30
               ? -EINVAL
               : 0;
}
#define TEXT_TAKER(name, field)                                                                              \
    static int take_##name(struct gn_bench *b, const char *v)                                                \
    {                                                                                                        \
        b->field = v;                                                                                        \
        return 0;                                                                                            \
    }
TEXT_TAKER(json, json)
TEXT_TAKER(config, config)
TEXT_TAKER(driver, driver)
TEXT_TAKER(against, against)
TEXT_TAKER(hints, hints)
static int take_targets(struct gn_bench *b, const char *v)
{
    (void)v;
    b->targets = true;
    return 0;
}
static int take_quick(struct gn_bench *b, const char *v)
{
    (void)v;
    b->quick = true;
    return 0;
}

static const struct {
    const char *name, *value, *help;
    int (*take)(struct gn_bench *b, const char *value);
} options[] = {
    {"--baselines", "A,B",
     "rows: local, capture_only, local_remote (or naive), no_semantics, full, peers; -OPTIMISATION behind the two last",
     take_baselines},
    {"--transport", "T,T", "tcp, unix, shm; default tcp", take_transport},
    {"--rtt", "US,US", "round trips of the network, by the relay; 0 (default): without it", take_rtt},
    {"--gbit", "G,G", "bandwidths of the network; 0 (default): no limit", take_gbit},
    {"--rounds", "N", "rounds that are counted; default 11", take_rounds},
    {"--warm-up", "N", "rounds before them; default 2", take_warm_up},
    {"--only", "P,P", "workloads whose names match one of the patterns", take_only},
    {"--max-bytes", "SIZE", "the largest copy; default 64MiB, at most 1GiB", take_bytes},
    {"--against", "ROW", "ratios are to this row; default local", take_against},
    {"--targets", NULL, "says which targets are met", take_targets},
    {"--json", "FILE", "all rows, as JSON", take_json},
    {"--config", "FILE", "other systems to compare with (docs/bench.md)", take_config},
    {"--driver", "PATH", "the CUDA driver; default: the mock, with kernels that do nothing", take_driver},
    {"--hints", "PATH", "the sidecar of full, or a folder of them; default: configs/hints.d", take_hints},
    {"--quick", NULL, "apps, decode: fewer and smaller runs", take_quick},
};
enum { OPTIONS = sizeof options / sizeof *options };

static const struct {
    const char *name, *help;
    int (*run)(struct gn_bench *b);
} commands[] = {
    {"micro", "what each kind of call costs, beside the limits of the machine", gn_bench_micro},
    {"apps", "llm_decode: tokens, latency, bytes and round trips", gn_bench_apps},
    {"decode", "llm_decode with its state at the host or on the device, without and with hints", gn_bench_decode},
    {"ablation", "each optimisation off in turn", gn_bench_ablation},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int usage(FILE *f, int status)
{
    fprintf(f, "usage: genie-bench COMMAND [OPTION]...\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(f, "\n");
    for (int i = 0; i < OPTIONS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value ? options[i].value : "");
        fprintf(f, "  %-18s %s\n", left, options[i].help);
    }
    return status;
}

static int parse(struct gn_bench *b, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        int k = 0;
        while (k < OPTIONS && strcmp(options[k].name, argv[i]))
            k++;
        if (k == OPTIONS) {
            fprintf(stderr, "genie-bench: %s is not understood\n", argv[i]);
            return -EINVAL;
        }
        const char *value = options[k].value ? argv[++i] : "";
        if (!value || options[k].take(b, value)) {
            fprintf(stderr, "genie-bench: %s %s: not a value of it\n", options[k].name, value ? value : "");
            return -EINVAL;
        }
    }
    return 0;
}

// --- shared by the commands

bool gn_bench_wanted(const char *name, const char *const *patterns, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!fnmatch(patterns[i], name, 0))
            return true;
    return !count;
}

int gn_bench_baselines(struct gn_bench *b, struct gn_baseline *list, unsigned room)
{
    unsigned n = 0;
    for (; n < b->baseline_count && n < room; n++)
        if (!gn_baseline_find(&b->place, b->baselines[n], &list[n])) {
            fprintf(stderr, "genie-bench: there is no baseline %s\n", b->baselines[n]);
            return -1;
        }
    return (int)n;
}

int gn_bench_networks(struct gn_bench *b, int (*run)(struct gn_bench *b, const struct gn_network *network))
{
    int status = 0;
    for (unsigned t = 0; t < b->transport_count; t++)
        for (unsigned r = 0; r < b->rtt_count; r++)
            for (unsigned g = 0; g < b->gbit_count && !gn_bench_stopped() && status < 2; g++) {
                struct gn_network network = {b->transports[t], b->rtts_us[r], b->gbits[g]};
                int one = run(b, &network);
                status = one > status ? one : status;
            }
    return status;
}

void gn_bench_relay(struct gn_bench *b, struct gn_lane *lane)
{
    double late, p99;
    if (!gn_lane_relay_error(lane, &late, &p99))
        return;
    const char *name = lane->baseline->name;
    gn_series_add(gn_results_series(&b->results, &lane->network, "relay", name, "late", "us"), late);
    gn_series_add(gn_results_series(&b->results, &lane->network, "relay", name, "late_p99", "us"), p99);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void gn_bench_plan(struct gn_bench *b, unsigned long steps)
{
    b->started_s = now_s();
    b->done = 0;
    b->planned = steps;
}

void gn_bench_step(struct gn_bench *b, const char *what)
{
    static double said_s;
    double now = now_s(), each = (now - b->started_s) / (double)++b->done;
    bool terminal = isatty(STDERR_FILENO);
    if (b->done < b->planned && now - said_s < (terminal ? 0.2 : PROGRESS_S))
        return;
    said_s = now;
    fprintf(stderr, "%s%3lu %% %-28s %5.0f s left%s",
            terminal ? "\r" : "genie-bench: ", 100 * b->done / (b->planned ? b->planned : 1), what,
            each * (double)(b->planned > b->done ? b->planned - b->done : 0),
            terminal && b->done < b->planned ? "" : "\n");
    fflush(stderr);
}

static void print_machine(const struct gn_bench *b)
{
    printf("%ld cores, %s; medians of %u rounds after %u to warm up; p5 and p95 of all values; rows take "
           "turns\n",
           sysconf(_SC_NPROCESSORS_ONLN), b->place.mock ? "mock driver" : b->place.driver, b->rounds,
           b->warm_up);
    printf("optimisations of the client:");
    for (unsigned i = 0; i < b->place.opt_count; i++)
        printf(" %s", b->place.opts[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    static struct gn_bench b = {
        .baselines = {"local", "capture_only", "local_remote", "no_semantics"},
        .baseline_count = 4,
        .transports = {"tcp"},
        .transport_count = 1,
        .rtt_count = 1,
        .gbit_count = 1,
        .rounds = 11,
        .warm_up = 2,
        .max_bytes = 64 << 20,
        .against = "local",
    };
    char why[GN_BENCH_WHY_BYTES];
    int command = 0, status = 1;
    if (argc > 1 && !strcmp(argv[1], "--help"))
        return usage(stdout, 0);
    while (argc > 1 && command < COMMANDS && strcmp(commands[command].name, argv[1]))
        command++;
    if (argc < 2 || command == COMMANDS || parse(&b, argc, argv))
        return usage(stderr, 2);
    if (b.config && gn_bench_config(&b.place, b.config, why, sizeof why)) {
        fprintf(stderr, "genie-bench: %s\n", why);
        return 2;
    }
    if (commands[command].run == gn_bench_decode) { // whole runs, whose first ones are measured as such
        b.rounds = b.rounds_given ? b.rounds : DECODE_ROUNDS;
        b.warm_up = 0;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (gn_place_open(&b.place, b.driver)) {
        print_machine(&b);
        if (b.hints)
            snprintf(b.place.hints, sizeof b.place.hints, "%s", b.hints);
        status = commands[command].run(&b);
        bool own = commands[command].run == gn_bench_ablation || commands[command].run == gn_bench_decode; // tables
        if (!own)
            gn_results_print(&b.results, stdout, b.against);
        if (b.targets && !own)
            gn_results_print_targets(&b.results, stdout);
        if (status)
            gn_place_show_log(&b.place);
    }
    int error = b.json ? gn_results_write_json(&b.results, b.json) : 0;
    if (error)
        fprintf(stderr, "genie-bench: %s: %s\n", b.json, strerror(-error));
    gn_place_close(&b.place);
    gn_results_free(&b.results);
    return status ? status : error ? 1 : gn_bench_stopped() ? 130 : 0;
}
