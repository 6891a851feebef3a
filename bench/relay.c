// SPDX-License-Identifier: Apache-2.0
// genie-relay: stands between a program and its server and makes the network between them slower, narrower or
// less reliable; then says how well it did that. Options, signals and the report.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/relay_loop.h"
#include "bench/relay_probe.h"
#include "core/config.h"

enum { ADDRESS_BYTES = 160, WHY_BYTES = 256, DELAY_S_MAX = 60, GBIT_MAX = 1000, PIECES_BYTES_MAX = 1 << 20 };
static const size_t queue_bytes_min = 4096, queue_bytes_max = (size_t)1 << 30;

struct options {
    struct gn_relay_settings settings;
    bool probe, json;
};

// --- options: this table is the help

static int take_listen(struct options *o, const char *v)
{
    o->settings.listen = v;
    return 0;
}
static int take_server(struct options *o, const char *v)
{
    o->settings.server = v;
    return 0;
}

static int number(const char *text, double min, double max, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end == text || *end || !(*value >= min && *value <= max) ? -EINVAL : 0;
}

static int take_delay(struct options *o, const char *v)
{
    double us;
    int error = number(v, 0, DELAY_S_MAX * 1e6, &us);
    o->settings.delay_ns = error ? 0 : (uint64_t)(us * 1e3 + 0.5);
    return error;
}
static int take_rtt(struct options *o, const char *v)
{
    int error = take_delay(o, v);
    o->settings.delay_ns /= 2;
    return error;
}
static int take_gbit(struct options *o, const char *v)
{
    char first[32];
    size_t n = strcspn(v, ",");
    snprintf(first, sizeof first, "%.*s", (int)(n < sizeof first ? n : sizeof first - 1), v);
    int error = number(first, 0, GBIT_MAX, &o->settings.gbit[0]);
    return error ? error : number(v[n] ? v + n + 1 : first, 0, GBIT_MAX, &o->settings.gbit[1]);
}
static int take_queue(struct options *o, const char *v)
{
    uint64_t bytes = 0;
    int error = gn_config_parse_size(v, &bytes);
    o->settings.queue_bytes = bytes;
    return error ? -EINVAL : bytes < queue_bytes_min || bytes > queue_bytes_max ? -EINVAL : 0;
}
static int take_cut_bytes(struct options *o, const char *v)
{
    return gn_config_parse_size(v, &o->settings.cut_bytes) ? -EINVAL : 0;
}
static int take_cut_ms(struct options *o, const char *v)
{
    double ms;
    int error = number(v, 0.001, 1e9, &ms);
    o->settings.cut_ns = error ? 0 : (uint64_t)(ms * 1e6);
    return error;
}
static int take_cut_count(struct options *o, const char *v)
{
    double count;
    int error = number(v, 0, 1e9, &count);
    o->settings.cut_count = error ? 0 : (unsigned)count;
    return error;
}
static int take_cut_politely(struct options *o, const char *v)
{
    (void)v;
    o->settings.cut_politely = true;
    return 0;
}
static int take_pieces(struct options *o, const char *v)
{
    double bytes;
    int error = number(v, 1, PIECES_BYTES_MAX, &bytes);
    o->settings.pieces_bytes = error ? 0 : (unsigned)bytes;
    return error;
}
static int take_seed(struct options *o, const char *v)
{
    char *end;
    o->settings.seed = strtoull(v, &end, 0);
    return *end || end == v ? -EINVAL : 0;
}
static int take_spin(struct options *o, const char *v)
{
    double us;
    int error = number(v, 0, 1000, &us);
    o->settings.spin_ns = error ? 0 : (uint64_t)(us * 1e3);
    return error;
}
static int take_probe(struct options *o, const char *v)
{
    (void)v;
    o->probe = true;
    return 0;
}
static int take_json(struct options *o, const char *v)
{
    (void)v;
    o->json = true;
    return 0;
}

static const struct {
    const char *name, *value, *help;
    int (*take)(struct options *o, const char *value);
} options[] = {
    {"--listen", "ADDR", "where programs connect: host:port (port 0: any), [v6]:port or unix:/path",
     take_listen},
    {"--server", "ADDR", "where their bytes go", take_server},
    {"--delay-us", "US", "one-way delay, both ways the same; 0.001 us is the finest", take_delay},
    {"--rtt-us", "US", "the same as twice the delay", take_rtt},
    {"--gbit", "G[,G]", "bandwidth to the server and to the client; 0: no limit", take_gbit},
    {"--queue", "SIZE", "bytes under way in each direction at most; default: what delay and bandwidth need",
     take_queue},
    {"--cut-bytes", "SIZE", "ends a connection after so many bytes, both directions together",
     take_cut_bytes},
    {"--cut-ms", "MS", "ends a connection after so long", take_cut_ms},
    {"--cut-count", "N", "only the first N connections", take_cut_count},
    {"--cut-politely", NULL, "by closing, not by a reset", take_cut_politely},
    {"--pieces", "N", "sends 1 to N bytes at a time", take_pieces},
    {"--seed", "N", "of the pieces' sizes", take_seed},
    {"--spin-us", "US", "polls for the last part of a wait, at most so long; default 40", take_spin},
    {"--probe", NULL, "first measures what the relay adds to a ping-pong", take_probe},
    {"--json", NULL, "reports are lines of JSON", take_json},
};
enum { OPTIONS = sizeof options / sizeof *options };

static int usage(FILE *f, int status)
{
    fprintf(f, "usage: genie-relay --listen ADDR --server ADDR [OPTION]...\n\n");
    for (int i = 0; i < OPTIONS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value ? options[i].value : "");
        fprintf(f, "  %-18s %s\n", left, options[i].help);
    }
    fprintf(f, "\nReports its own error on SIGUSR1, and when SIGTERM or SIGINT ends it.\n");
    return status;
}

static int parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int k = 0;
        while (k < OPTIONS && strcmp(options[k].name, argv[i]))
            k++;
        if (k == OPTIONS) {
            fprintf(stderr, "genie-relay: %s is not understood\n", argv[i]);
            return -EINVAL;
        }
        const char *value = options[k].value ? argv[++i] : NULL;
        if (options[k].value && (!value || options[k].take(o, value))) {
            fprintf(stderr, "genie-relay: %s %s: not a value of it\n", options[k].name, value ? value : "");
            return -EINVAL;
        }
        if (!options[k].value)
            options[k].take(o, NULL);
    }
    return o->settings.listen && o->settings.server ? 0 : -EINVAL;
}

// Twice what fits into the line, and what a socket takes at once.
static size_t default_queue(const struct gn_relay_settings *s)
{
    double gbit = s->gbit[0] > s->gbit[1] ? s->gbit[0] : s->gbit[1];
    if (!s->gbit[0] || !s->gbit[1])
        gbit = 40; // more than the relay carries
    double bytes = 2 * gbit / 8 * (double)s->delay_ns + (1 << 20);
    return bytes > (double)queue_bytes_max ? queue_bytes_max
                                           : (size_t)bytes / queue_bytes_min * queue_bytes_min;
}

// --- the report

static bool report_json; // set before the loop

static double full_gbit(const struct gn_relay_counts *c, int way)
{
    return c->full_ns[way] ? 8.0 * (double)c->full_bytes[way] / (double)c->full_ns[way] : 0;
}

static void report(const struct gn_relay *relay)
{
    static const char *const ways[] = {"to the server", "to the client"};
    const struct gn_relay_counts *c = gn_relay_counts(relay);
    const struct gn_relay_settings *s = gn_relay_settings(relay);
    double late[3], at[] = {0.5, 0.99, 1};
    for (int i = 0; i < 3; i++)
        late[i] = (double)gn_histogram_at(&c->late, at[i]) / 1e3;
    if (report_json) {
        printf("{\"connections\": %llu, \"cut\": %llu, \"refused\": %llu, \"bytes\": [%llu, %llu], "
               "\"sends\": %llu, ",
               (unsigned long long)c->connections, (unsigned long long)c->cut, (unsigned long long)c->refused,
               (unsigned long long)c->bytes[0], (unsigned long long)c->bytes[1],
               (unsigned long long)c->late.count);
        printf("\"delay_us\": %.3f, \"late_us_median\": %.3f, \"late_us_p99\": %.3f, \"late_us_max\": %.3f, ",
               (double)s->delay_ns / 1e3, late[0], late[1], late[2]);
        printf("\"gbit\": [%g, %g], \"gbit_full\": [%.4f, %.4f]}\n", s->gbit[0], s->gbit[1], full_gbit(c, 0),
               full_gbit(c, 1));
        fflush(stdout);
        return;
    }
    printf("genie-relay: %llu connections (%llu cut, %llu refused), %llu bytes to the server, %llu to the "
           "client\n",
           (unsigned long long)c->connections, (unsigned long long)c->cut, (unsigned long long)c->refused,
           (unsigned long long)c->bytes[0], (unsigned long long)c->bytes[1]);
    printf("genie-relay: delay %.1f us asked; later than that by %.1f us (median), %.1f us (p99), %.1f us "
           "(worst) of %llu sends\n",
           (double)s->delay_ns / 1e3, late[0], late[1], late[2], (unsigned long long)c->late.count);
    for (int way = 0; way < 2; way++)
        if (s->gbit[way] > 0 && c->full_ns[way])
            printf("genie-relay: %s %.3f Gbit/s asked, %.3f carried in the %.1f ms in which it was full\n",
                   ways[way], s->gbit[way], full_gbit(c, way), (double)c->full_ns[way] / 1e6);
    fflush(stdout);
}

static int probe(const struct gn_relay_settings *settings)
{
    struct gn_relay_probe p;
    int error = gn_relay_probe(settings, &p);
    if (error) {
        fprintf(stderr, "genie-relay: the probe failed: %s\n", strerror(-error));
        return error;
    }
    if (report_json)
        printf("{\"probe\": {\"direct_us\": %.2f, \"direct_us_p99\": %.2f, \"base_us\": %.2f, "
               "\"base_us_p99\": %.2f, \"asked_us\": %.2f, "
               "\"asked_us_p99\": %.2f}}\n",
               p.direct_us, p.p99_direct_us, p.base_us, p.p99_base_us, p.asked_us, p.p99_asked_us);
    else
        printf("genie-relay: round trip of 64 bytes: %.1f us direct, %.1f us through the relay without delay "
               "(it adds %.1f us each way), "
               "%.1f us with %.1f us each way (p99 %.1f, %.1f, %.1f)\n",
               p.direct_us, p.base_us, (p.base_us - p.direct_us) / 2, p.asked_us,
               (double)settings->delay_ns / 1e3, p.p99_direct_us, p.p99_base_us, p.p99_asked_us);
    return 0;
}

// --- the whole

static _Atomic int stop, asked;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        atomic_store(&asked, 1);
    else
        atomic_store(&stop, 1);
}

int main(int argc, char **argv)
{
    struct options o = {.settings.spin_ns = 40000};
    struct gn_relay *relay;
    char bound[ADDRESS_BYTES], why[WHY_BYTES] = "";
    struct sigaction act = {.sa_handler = on_signal};
    if (argc == 2 && !strcmp(argv[1], "--help"))
        return usage(stdout, 0);
    if (parse(&o, argc, argv))
        return usage(stderr, 2);
    if (!o.settings.queue_bytes)
        o.settings.queue_bytes = default_queue(&o.settings);
    report_json = o.json;
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
    if (o.probe && probe(&o.settings))
        return 1;
    int error = gn_relay_open(&relay, &o.settings, bound, sizeof bound, why, sizeof why);
    if (error) {
        fprintf(stderr, "genie-relay: %s: %s\n", o.settings.listen, why);
        return 1;
    }
    printf("genie-relay: listening on %s\n", bound);
    fflush(stdout);
    error = gn_relay_run(relay, &stop, &asked, report);
    report(relay);
    gn_relay_close(relay);
    if (!strncmp(bound, "unix:", 5))
        remove(bound + 5);
    return error ? 1 : 0;
}
