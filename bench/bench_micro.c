// SPDX-License-Identifier: Apache-2.0
// The micro benchmark: one genie-micro for each baseline, all alive, that take turns row by row and round by
// round.
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum {
    ROWS_MAX = 128,
    WORKERS_MAX = 24,
    TURN_MS = 300000,
    READY_MS = 120000,
    QUIT_MS = 10000,
    SMALL_BYTES = 1 << 20,
    STREAM_BYTES_MAX = 64 << 20 // a stream of this size has reached its speed
};

struct row {
    char name[64], unit[16];
    bool stamped, is_limit;
};

struct worker {
    struct gn_lane lane;
    struct gn_child child;
    char mock[256];
    bool ready;
    char why[256];
    bool failed[ROWS_MAX]; // rows that it does not try again
};

struct micro {
    struct gn_bench *bench;
    const struct gn_network *network;
    const char *const *only;
    unsigned only_count,
        limit_only_count; // patterns of rows; of limits: 0, which is all of them, or the same
    struct row rows[ROWS_MAX];
    unsigned row_count;
    struct worker *workers;
    unsigned worker_count;
};

static struct gn_series *series(struct micro *m, const struct worker *w, const char *workload,
                                const char *metric, const char *unit)
{
    return gn_results_series(&m->bench->results, m->network, workload, w->lane.baseline->name, metric, unit);
}

static void set_why(struct gn_series *s, const char *why)
{
    if (s && !s->count)
        snprintf(s->why, sizeof s->why, "%s", why);
}

// --- programs

static int start_program(struct micro *m, struct worker *w, struct gn_child *c, uint64_t bytes)
{
    struct gn_place *p = &m->bench->place;
    char program[600], size[32];
    bool limit = w->lane.baseline->kind == GN_BASELINE_LIMIT;
    if (limit && bytes > STREAM_BYTES_MAX)
        bytes = STREAM_BYTES_MAX;
    snprintf(program, sizeof program, "%s/%s", p->programs, limit ? "genie-limits" : "genie-micro");
    snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
    const char *args[] = {program, "@FD", size, limit ? "@ADDRESS" : NULL, limit ? m->network->transport : NULL, NULL};
    return gn_lane_start(p, &w->lane, c, GN_CHILD_TALKS, args, w->mock, NULL);
}

// Opens a worker's lane and starts its program.
static void open_worker(struct micro *m, struct worker *w, const struct gn_baseline *b, bool stamped)
{
    struct gn_place *p = &m->bench->place;
    const char *line;
    *w = (struct worker){.child.talk = -1};
    if (stamped)
        snprintf(w->mock, sizeof w->mock, "exec=off,stamp=%s/stamps%u", p->scratch, p->next++);
    else
        snprintf(w->mock, sizeof w->mock, "exec=off");
    gn_lane_open(p, &w->lane, b, m->network, w->mock);
    if (*w->lane.why) {
        snprintf(w->why, sizeof w->why, "%s", w->lane.why);
        return;
    }
    if (start_program(m, w, &w->child, m->bench->max_bytes)) {
        snprintf(w->why, sizeof w->why, "the program does not start");
        return;
    }
    line = gn_child_hear(&w->child, READY_MS);
    w->ready = line && !strncmp(line, "ready ", 6);
    if (!w->ready)
        snprintf(w->why, sizeof w->why, "%s",
                 line && !strncmp(line, "failed ", 7) ? line + 7 : "the program ended before it was ready");
}

static void close_worker(struct worker *w)
{
    if (w->child.pid && w->ready) {
        gn_child_say(&w->child, "quit");
        gn_child_wait(&w->child, QUIT_MS);
    }
    gn_child_end(&w->child);
    gn_lane_close(&w->lane);
}

// What the program can do, as it says itself; those that are wanted.
static void collect_rows(struct micro *m, struct worker *w)
{
    const char *line;
    bool limit = w->lane.baseline->kind == GN_BASELINE_LIMIT;
    gn_child_say(&w->child, "rows");
    while ((line = gn_child_hear(&w->child, READY_MS)) && strcmp(line, "end")) {
        struct row r = {.is_limit = limit};
        int stamped;
        if (m->row_count == ROWS_MAX || sscanf(line, "row %63s %15s %d", r.name, r.unit, &stamped) != 3)
            continue;
        r.stamped = stamped;
        if (gn_bench_wanted(r.name, m->only, limit ? m->limit_only_count : m->only_count))
            m->rows[m->row_count++] = r;
    }
}

// --- turns

struct costs {
    uint64_t client_ns, server_ns;
};

static struct costs costs_of(const struct worker *w)
{
    return (struct costs){gn_child_cpu_ns(w->child.pid),
                          w->lane.server.pid ? gn_child_cpu_ns(w->lane.server.pid) : 0};
}

static struct gn_series *main_series(struct micro *m, const struct worker *w, const struct row *row)
{
    if (!strcmp(row->unit, "calls"))
        return series(m, w, row->name, "cpu_client", "us");
    return series(m, w, row->name, strcmp(row->unit, "us") ? "bandwidth" : "time", row->unit);
}

static void take_values(struct micro *m, struct worker *w, const struct row *row, const char *line,
                        const struct costs *before)
{
    char *at;
    unsigned long long calls = strtoull(line, &at, 10);
    if (!strcmp(row->unit, "calls")) {
        struct costs after = costs_of(w);
        gn_series_add(series(m, w, row->name, "cpu_client", "us"),
                      (double)(after.client_ns - before->client_ns) / 1e3 / (double)calls);
        if (w->lane.server.pid)
            gn_series_add(series(m, w, row->name, "cpu_server", "us"),
                          (double)(after.server_ns - before->server_ns) / 1e3 / (double)calls);
        return;
    }
    struct gn_series *s = main_series(m, w, row);
    for (char *end; *at; at = end) {
        double value = strtod(at, &end);
        if (end == at)
            break;
        gn_series_add(s, value);
    }
}

static void fail_row(struct micro *m, struct worker *w, const struct row *row, const char *why)
{
    w->failed[row - m->rows] = true;
    set_why(main_series(m, w, row), why);
}

// false: the program is lost.
static void run_turn(struct micro *m, struct worker *w, const struct row *row, bool record)
{
    char say[80];
    struct costs before = {0};
    if (row->is_limit != (w->lane.baseline->kind == GN_BASELINE_LIMIT) || w->failed[row - m->rows])
        return;
    if (!w->ready) {
        fail_row(m, w, row, w->why);
        return;
    }
    if (!strcmp(row->unit, "calls"))
        before = costs_of(w);
    snprintf(say, sizeof say, "run %s", row->name);
    gn_child_say(&w->child, say);
    const char *line = gn_child_hear(&w->child, TURN_MS);
    if (!line) {
        w->ready = false;
        snprintf(w->why, sizeof w->why, "the program ended, or hung, in %s", row->name);
        fail_row(m, w, row, w->why);
    } else if (!strncmp(line, "failed ", 7)) {
        fail_row(m, w, row, line + 7);
    } else if (record && !strncmp(line, "values ", 7)) {
        take_values(m, w, row, line + 7, &before);
    }
}

struct counts {
    long long round_trips, commands, sent, received;
};

static bool ask_counts(struct worker *w, struct counts *c)
{
    gn_child_say(&w->child, "counts");
    const char *line = gn_child_hear(&w->child, TURN_MS);
    return line && sscanf(line, "counts %lld %lld %lld %lld", &c->round_trips, &c->commands, &c->sent,
                          &c->received) == 4;
}

// One more turn, between two looks at the client's counters: exact figures, whatever the clock says.
static void count_turn(struct micro *m, struct worker *w, const struct row *row)
{
    struct counts a, b;
    char say[80];
    if (!w->ready || row->is_limit || w->failed[row - m->rows] ||
        w->lane.baseline->kind != GN_BASELINE_REMOTE || !ask_counts(w, &a))
        return;
    snprintf(say, sizeof say, "run %s", row->name);
    gn_child_say(&w->child, say);
    const char *line = gn_child_hear(&w->child, TURN_MS);
    double calls = line && !strncmp(line, "values ", 7) ? strtod(line + 7, NULL) : 0;
    if (!calls || !ask_counts(w, &b))
        return;
    gn_series_add(series(m, w, row->name, "round_trips", "a call"),
                  (double)(b.round_trips - a.round_trips) / calls);
    gn_series_add(series(m, w, row->name, "bytes_sent", "B a call"), (double)(b.sent - a.sent) / calls);
    gn_series_add(series(m, w, row->name, "bytes_received", "B a call"),
                  (double)(b.received - a.received) / calls);
}

// --- rows that need a process of their own each time

static void first_turn(struct micro *m, struct worker *w, bool record)
{
    struct gn_child c = {.talk = -1};
    double first_us, module_us;
    long long round_trips;
    if (w->lane.baseline->kind == GN_BASELINE_LIMIT)
        return;
    if (!w->ready) {
        set_why(series(m, w, "first_call", "time", "us"), w->why);
        return;
    }
    const char *line = start_program(m, w, &c, SMALL_BYTES) ? NULL : gn_child_hear(&c, READY_MS);
    if (!line || sscanf(line, "ready %lf %lld %lf", &first_us, &round_trips, &module_us) != 3) {
        set_why(series(m, w, "first_call", "time", "us"), line ? line : "the program ended");
    } else if (record) {
        gn_series_add(series(m, w, "first_call", "time", "us"), first_us);
        if (round_trips >= 0)
            gn_series_add(series(m, w, "first_call", "round_trips", "a call"), (double)round_trips);
        gn_series_add(series(m, w, "module_cold", "time", "us"), module_us);
    }
    gn_child_say(&c, "quit");
    gn_child_wait(&c, QUIT_MS);
}

static void first_round(struct micro *m, bool record)
{
    if (!gn_bench_wanted("first_call", m->only, m->only_count) &&
        !gn_bench_wanted("module_cold", m->only, m->only_count))
        return;
    for (unsigned i = 0; i < m->worker_count && !gn_bench_stopped(); i++)
        first_turn(m, &m->workers[i], record);
}

// --- one network

static void round_of(struct micro *m, unsigned number, bool record)
{
    for (unsigned r = 0; r < m->row_count; r++) {
        // Whoever goes first meets other caches: that rotates.
        for (unsigned i = 0; i < m->worker_count && !gn_bench_stopped(); i++)
            run_turn(m, &m->workers[(i + number) % m->worker_count], &m->rows[r], record);
        gn_bench_step(m->bench, m->rows[r].name);
    }
}

static void measure_memory(struct micro *m)
{
    if (!gn_bench_wanted("memory", m->only, m->only_count))
        return;
    for (unsigned i = 0; i < m->worker_count; i++) {
        struct worker *w = &m->workers[i];
        if (w->lane.baseline->kind == GN_BASELINE_LIMIT || !w->ready)
            continue;
        gn_series_add(series(m, w, "memory", "peak_client", "MiB"),
                      (double)gn_child_peak_bytes(w->child.pid) / 1048576);
        if (w->lane.server.pid)
            gn_series_add(series(m, w, "memory", "peak_server", "MiB"),
                          (double)gn_child_peak_bytes(w->lane.server.pid) / 1048576);
    }
}

// Those who have no process that lives know their p99 only now.
static void add_p99(struct micro *m)
{
    for (unsigned i = 0; i < m->worker_count; i++)
        for (unsigned r = 0; r < m->row_count; r++) {
            const struct gn_series *s = gn_results_find(&m->bench->results, m->network, m->rows[r].name,
                                                        m->workers[i].lane.baseline->name, "time");
            if (s && s->count)
                gn_series_add(series(m, &m->workers[i], m->rows[r].name, "p99", "us"),
                              gn_series_statistics(s).p99);
        }
}

static int run_phase(struct micro *m, const struct gn_baseline *baselines, unsigned count, bool stamped)
{
    unsigned ready = 0, kept = 0;
    m->worker_count = count;
    m->row_count = 0;
    for (unsigned i = 0; i < count && !gn_bench_stopped(); i++)
        open_worker(m, &m->workers[i], &baselines[i], stamped);
    bool rows_known[2] = {false, false};
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &m->workers[i];
        bool limit = w->lane.baseline->kind == GN_BASELINE_LIMIT;
        if (w->ready && !rows_known[limit]) {
            collect_rows(m, w);
            rows_known[limit] = true;
        }
        ready += w->ready && (!limit || count == 1);
        if (*w->why)
            fprintf(stderr, "genie-bench: %s: %s\n", baselines[i].name, w->why);
    }
    for (unsigned r = 0; r < m->row_count; r++)
        if (m->rows[r].stamped == stamped)
            m->rows[kept++] = m->rows[r];
    m->row_count = kept;
    for (unsigned r = 0; r < kept; r++) // in this order they are printed
        for (unsigned i = 0; i < count; i++)
            if (m->rows[r].is_limit == (baselines[i].kind == GN_BASELINE_LIMIT))
                set_why(main_series(m, &m->workers[i], &m->rows[r]), "it had no turn");
    gn_bench_plan(m->bench, (unsigned long)kept * (m->bench->rounds + m->bench->warm_up));
    for (unsigned n = 0; n < m->bench->warm_up + m->bench->rounds && !gn_bench_stopped(); n++) {
        round_of(m, n, n >= m->bench->warm_up);
        if (!stamped)
            first_round(m, n >= m->bench->warm_up);
    }
    for (unsigned r = 0; r < m->row_count && !stamped; r++)
        for (unsigned i = 0; i < count && !gn_bench_stopped(); i++)
            count_turn(m, &m->workers[i], &m->rows[r]);
    if (stamped)
        add_p99(m);
    else
        measure_memory(m);
    for (unsigned i = 0; i < count; i++) {
        gn_bench_relay(m->bench, &m->workers[i].lane);
        close_worker(&m->workers[i]);
    }
    return ready ? 0 : 1;
}

int gn_bench_micro_network(struct gn_bench *b, const struct gn_network *network,
                           const struct gn_baseline *baselines, unsigned count, const char *const *only,
                           unsigned only_count, bool with_limits)
{
    struct micro m = {.bench = b, .network = network, .only = only, .only_count = only_count};
    struct gn_baseline *list = calloc(count + 1, sizeof *list);
    m.workers = calloc(WORKERS_MAX, sizeof *m.workers);
    if (!list || !m.workers || count + 1 > WORKERS_MAX) {
        fprintf(stderr, "genie-bench: %s\n",
                count + 1 > WORKERS_MAX ? "too many baselines at once" : "no memory");
        free(list);
        free(m.workers);
        return 1;
    }
    if (with_limits)
        list[0] = (struct gn_baseline){.name = "limit", .kind = GN_BASELINE_LIMIT};
    memcpy(list + with_limits, baselines, count * sizeof *list);
    m.limit_only_count = count ? 0 : only_count; // when nothing is set against them, only those asked for
    int status = run_phase(&m, list, count + with_limits, false);
    if (!gn_bench_stopped() && gn_bench_wanted("lone_launch", only, only_count))
        run_phase(&m, list + with_limits, count, true);
    free(m.workers);
    free(list);
    return status;
}

static int run_network(struct gn_bench *b, const struct gn_network *network)
{
    struct gn_baseline baselines[GN_BENCH_LIST_MAX];
    int count = gn_bench_baselines(b, baselines, GN_BENCH_LIST_MAX);
    return count < 0
               ? 2
               : gn_bench_micro_network(b, network, baselines, (unsigned)count, b->only, b->only_count, true);
}

int gn_bench_micro(struct gn_bench *b) { return gn_bench_networks(b, run_network); }
