// SPDX-License-Identifier: Apache-2.0
// Are genie-bench's statistics right, do rows reach JSON and tables as they are, are targets judged by what
// they say, and are the programs that it starts given their own environment, heard, bounded and ended?
#include "bench/results.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "bench/child.h"

static const struct gn_network tcp = {"tcp", 0, 0}, slow = {"tcp", 1000, 10};

static void add(struct gn_results *r, const struct gn_network *n, const char *workload, const char *baseline,
                const char *metric, double v)
{
    gn_series_add(
        gn_results_series(r, n, workload, baseline, metric, !strcmp(metric, "bandwidth") ? "GB/s" : "us"), v);
}

static void statistics_are_of_all_values(void **state)
{
    (void)state;
    struct gn_results r = {0};
    for (int i = 100; i >= 1; i--)
        add(&r, &tcp, "w", "local", "time", i);
    struct gn_statistics t = gn_series_statistics(gn_results_find(&r, &tcp, "w", "local", "time"));
    assert_int_equal(t.n, 100);
    assert_true(t.median == 50.5 && t.p5 == 5 && t.p95 == 95 && t.p99 == 99);
    assert_true(fabs(t.mean - 50.5) < 1e-9);
    gn_results_free(&r);

    add(&r, &tcp, "w", "local", "time", 7); // one value is all of them
    t = gn_series_statistics(r.first);
    assert_true(t.median == 7 && t.p5 == 7 && t.p95 == 7 && t.n == 1);
    add(&r, &tcp, "w", "local", "time", 9);
    t = gn_series_statistics(r.first);
    assert_true(t.median == 8 && t.p5 == 7 && t.p95 == 9);
    gn_results_free(&r);
    struct gn_series none = {0};
    assert_int_equal(gn_series_statistics(&none).n, 0);
    gn_series_add(NULL, 1); // no memory for a series is no crash
}

static void series_are_told_apart(void **state)
{
    (void)state;
    struct gn_results r = {0};
    add(&r, &tcp, "w", "a", "time", 1);
    add(&r, &slow, "w", "a", "time", 2);
    add(&r, &tcp, "w", "b", "time", 3);
    add(&r, &tcp, "v", "a", "time", 4);
    add(&r, &tcp, "w", "a", "p99", 5);
    add(&r, &tcp, "w", "a", "time", 6);
    assert_int_equal(gn_results_find(&r, &tcp, "w", "a", "time")->count, 2);
    assert_int_equal(gn_results_find(&r, &slow, "w", "a", "time")->count, 1);
    assert_null(gn_results_find(&r, &slow, "w", "b", "time"));
    gn_results_free(&r);
}

static void rows_reach_json(void **state)
{
    (void)state;
    struct gn_results r = {0};
    char path[] = "/tmp/genie-rows-XXXXXX";
    int fd = mkstemp(path);
    add(&r, &slow, "launch_8", "local", "time", 0.25);
    struct gn_series *failed = gn_results_series(&r, &slow, "launch_8", "other", "time", "us");
    strcpy(failed->why, "it said \"no\"");
    assert_int_equal(gn_results_write_json(&r, path), 0);
    json_t *rows = json_load_file(path, 0, NULL), *row = json_array_get(rows, 0);
    assert_int_equal(json_array_size(rows), 2);
    assert_true(json_real_value(json_object_get(row, "median")) == 0.25);
    assert_true(json_real_value(json_object_get(row, "rtt_us")) == 1000 &&
                json_real_value(json_object_get(row, "gbit")) == 10);
    assert_int_equal(json_integer_value(json_object_get(row, "n")), 1);
    assert_null(json_object_get(row, "why"));
    row = json_array_get(rows, 1); // no value, but a reason
    assert_true(json_is_null(json_object_get(row, "median")));
    assert_string_equal(json_string_value(json_object_get(row, "why")), "it said \"no\"");
    json_decref(rows);
    close(fd);
    unlink(path);
    assert_int_not_equal(gn_results_write_json(&r, "/nonexistent/rows.json"), 0);
    gn_results_free(&r);
}

// What a printing function printed.
static const char *printed(const struct gn_results *r, bool targets)
{
    static char text[8192];
    FILE *f = fmemopen(text, sizeof text, "w");
    assert_non_null(f);
    if (targets)
        gn_results_print_targets(r, f);
    else
        gn_results_print(r, f, "local");
    fclose(f);
    return text;
}

// The line that begins with a word and has another in it.
static const char *line_with(const char *text, const char *begin, const char *word)
{
    static char line[512];
    for (; text && *text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
        if (!strncmp(line, begin, strlen(begin)) && strstr(line, word))
            return line;
    }
    return NULL;
}

static void the_table_has_ratios_and_reasons(void **state)
{
    (void)state;
    struct gn_results r = {0};
    add(&r, &tcp, "pingpong", "limit", "time", 10);
    add(&r, &tcp, "sync_idle", "local", "time", 2);
    add(&r, &tcp, "sync_idle", "no_semantics", "time", 5);
    add(&r, &tcp, "sync_idle", "no_semantics", "round_trips", 1);
    struct gn_series *failed = gn_results_series(&r, &tcp, "sync_idle", "other", "time", "us");
    strcpy(failed->why, "not installed");
    const char *text = printed(&r, false), *line = line_with(text, "sync_idle", "no_semantics");
    assert_non_null(line);
    assert_non_null(strstr(line, " 2.500 ")); // of local
    assert_non_null(strstr(line, " 0.500 ")); // of the limit
    assert_non_null(line_with(text, "sync_idle", "did not run: not installed"));
    assert_null(line_with(text, "sync_idle", "round_trips")); // a column, not a line
    gn_results_free(&r);
}

static void targets_are_judged(void **state)
{
    (void)state;
    struct gn_results r = {0};
    add(&r, &tcp, "pingpong", "limit", "time", 10);
    add(&r, &tcp, "sync_idle", "no_semantics", "time", 11.6); // of 11.5
    add(&r, &tcp, "launch_8", "no_semantics", "time", 0.1);
    add(&r, &tcp, "launch_8", "local", "time", 99); // nobody's target
    add(&r, &tcp, "stream_copy", "limit", "bandwidth", 4);
    add(&r, &tcp, "htod_pageable_64MiB", "no_semantics", "bandwidth", 3.7);
    add(&r, &tcp, "dtoh_pageable_64MiB", "no_semantics", "bandwidth", 3.5);
    const char *text = printed(&r, true);
    assert_non_null(line_with(text, "sync_idle", "NOT MET"));
    assert_non_null(line_with(text, "launch_8", "  met"));
    assert_non_null(line_with(text, "htod_pageable_64MiB", "  met"));
    assert_non_null(line_with(text, "dtoh_pageable_64MiB", "NOT MET"));
    assert_null(line_with(text, "step_300", ""));
    gn_results_free(&r);

    add(&r, &tcp, "sync_idle", "no_semantics", "time", 1); // without its limit there is no verdict
    assert_non_null(line_with(printed(&r, true), "sync_idle", "unknown"));
    gn_results_free(&r);
}

// --- programs

static const char log_path[] = "/dev/null";

static void a_child_talks_and_ends(void **state)
{
    (void)state;
    struct gn_child c;
    const char *const args[] = {
        "/bin/bash", "-c", "echo ready >&$0; while read -r l <&$0; do echo \"got $l\" >&$0; done; exit 7",
        "@FD", NULL};
    const char *const env[] = {NULL};
    assert_int_equal(gn_child_start(&c, GN_CHILD_TALKS, args, env, log_path), 0);
    assert_string_equal(gn_child_hear(&c, 5000), "ready");
    assert_true(gn_child_say(&c, "this"));
    assert_string_equal(gn_child_hear(&c, 5000), "got this");
    assert_null(gn_child_hear(&c, 20)); // it has nothing to say: that is bounded
    assert_true(gn_child_cpu_ns(c.pid) > 0);
    assert_true(gn_child_peak_bytes(c.pid) > 100000);
    gn_child_end(&c);
    assert_int_equal(c.pid, 0);
    assert_false(gn_child_say(&c, "gone"));
    gn_child_end(&c); // twice is once
}

static void a_childs_environment_is_its_own(void **state)
{
    (void)state;
    struct gn_child c;
    const char *const args[] = {"/bin/sh", "-c", "echo \"$GENIE_SERVER,$GENIE_OPT,$MINE,$INHERITED\"; exit 3",
                                NULL};
    const char *const env[] = {"GENIE_OPT=-post", "MINE=a=b", NULL};
    setenv("GENIE_SERVER", "a.foreign.one:1", 1);
    setenv("INHERITED", "yes", 1);
    assert_int_equal(gn_child_start(&c, GN_CHILD_PRINTS, args, env, log_path), 0);
    assert_string_equal(gn_child_hear(&c, 5000), ",-post,a=b,yes");
    assert_null(gn_child_hear(&c, 5000));
    assert_int_equal(gn_child_wait(&c, 5000), 3);
    unsetenv("GENIE_SERVER");
}

static void a_child_that_hangs_is_killed(void **state)
{
    (void)state;
    struct gn_child c;
    const char *const args[] = {"/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done", NULL},
                      *const env[] = {NULL};
    assert_int_equal(gn_child_start(&c, GN_CHILD_PRINTS, args, env, log_path), 0);
    assert_int_equal(gn_child_wait(&c, 50), -1);
    assert_int_equal(c.pid, 0);
    const char *const nothing[] = {"/nonexistent/program", NULL};
    assert_int_equal(gn_child_start(&c, GN_CHILD_PRINTS, nothing, env, log_path), 0);
    assert_null(gn_child_hear(&c, 5000));
    assert_int_equal(gn_child_wait(&c, 5000), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_are_of_all_values),
        cmocka_unit_test(series_are_told_apart),
        cmocka_unit_test(rows_reach_json),
        cmocka_unit_test(the_table_has_ratios_and_reasons),
        cmocka_unit_test(targets_are_judged),
        cmocka_unit_test(a_child_talks_and_ends),
        cmocka_unit_test(a_childs_environment_is_its_own),
        cmocka_unit_test(a_child_that_hangs_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
