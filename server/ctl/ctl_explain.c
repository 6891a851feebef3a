// SPDX-License-Identifier: Apache-2.0
// genie-ctl hints explain: runs a program under the shim and shows its report (interpose/hints/hints_explain.c) as tables.
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/ctl/ctl.h"

enum { REPORTS_MAX = 64, STATUS_NOT_RUN = 127 }; // processes of one program whose reports are shown

// --- reading a report

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}
static unsigned long long number_of(const json_t *o, const char *key) { return (unsigned long long)json_integer_value(json_object_get(o, key)); }

static const char *bytes_of(unsigned long long bytes)
{
    static char texts[4][32]; // as many as one line shows
    static int next;
    next = (next + 1) % 4;
    return gn_ctl_bytes((double)bytes, texts[next], sizeof texts[0]);
}

// "6 (17.1 MiB): 1 x 4.3 MiB, 4 x 3.0 MiB"
static void show_memory(const json_t *o)
{
    size_t i;
    const json_t *size;
    unsigned long long others = number_of(o, "other_sizes");
    printf("%llu allocation%s, %s", number_of(o, "allocations"), number_of(o, "allocations") == 1 ? "" : "s", bytes_of(number_of(o, "bytes")));
    json_array_foreach(json_object_get(o, "sizes"), i, size)
        printf("%s%llu x %s", i ? ", " : ": ", number_of(size, "count"), bytes_of(number_of(size, "bytes")));
    if (others)
        printf(", %llu of other sizes", others);
    printf("\n");
}

static bool has(const json_t *array, unsigned long long number)
{
    size_t i;
    const json_t *value;
    json_array_foreach(array, i, value)
        if ((unsigned long long)json_integer_value(value) == number)
            return true;
    return false;
}

static void show_kernels_of(const json_t *kernels, unsigned long long rule)
{
    size_t i, k;
    const json_t *kernel, *memory;
    json_array_foreach(kernels, i, kernel) {
        if (!has(json_object_get(kernel, "rules"), rule))
            continue;
        printf("        %s: %llu launch%s, argument", text_of(kernel, "name"), number_of(kernel, "launches"),
               number_of(kernel, "launches") == 1 ? "" : "es");
        bool any = false;
        json_array_foreach(json_object_get(kernel, "memory"), k, memory)
            if (has(json_object_get(memory, "rules"), rule)) {
                printf(" %llu", number_of(memory, "arg"));
                any = true;
            }
        printf("%s\n", any ? "" : ": none of this memory");
    }
}

static const struct {
    const char *key, *text;
} savings[] = {
    {"content", "not uploaded, the server had it"},
    {"shadow_down", "not brought to the host"},
    {"shadow_up", "uploaded from what the server keeps"},
    {"unchanged", "not uploaded again, unchanged"},
    {"proven", "not even copied, proven to be there"},
};
enum { SAVINGS = sizeof savings / sizeof *savings };

static bool show_brought(const json_t *o, const char *indent)
{
    bool any = false;
    size_t i;
    const json_t *why;
    for (int k = 0; k < SAVINGS; k++) {
        unsigned long long bytes = number_of(json_object_get(o, "saved"), savings[k].key);
        if (bytes)
            printf("%ssaved %s: %s\n", indent, bytes_of(bytes), savings[k].text);
        any |= bytes != 0;
    }
    json_array_foreach(json_object_get(o, "why"), i, why) {
        printf("%sdid not act %llu time%s: %s\n", indent, number_of(why, "count"), number_of(why, "count") == 1 ? "" : "s", text_of(why, "reason"));
        any = true;
    }
    return any;
}

static void show_rule(const json_t *root, const json_t *rule)
{
    bool dedupe = json_is_true(json_object_get(rule, "dedupe")), remote = json_is_true(json_object_get(rule, "keep_remote"));
    printf("  rule %llu (line %llu) %s%s%s\n", number_of(rule, "rule"), number_of(rule, "line"), text_of(rule, "class"), dedupe ? ", dedupe" : "",
           remote ? ", keep remote" : "");
    if (!number_of(rule, "allocations")) {
        printf("        matched nothing: %s\n", text_of(rule, "unmatched"));
        return;
    }
    printf("        ");
    show_memory(rule);
    show_kernels_of(json_object_get(root, "kernels"), number_of(rule, "rule"));
    if (!show_brought(rule, "        ") && (dedupe || remote))
        printf("        saved nothing\n");
}

// All kernels with the memory in their arguments: what one needs to write a rule.
static void show_kernels(const json_t *kernels)
{
    size_t i, k;
    const json_t *kernel, *memory;
    json_array_foreach(kernels, i, kernel) {
        printf("  %-32s %8llu launches, %llu arguments;", text_of(kernel, "name"), number_of(kernel, "launches"), number_of(kernel, "arguments"));
        json_array_foreach(json_object_get(kernel, "memory"), k, memory) {
            printf("%s %llu: %s", k ? "," : "", number_of(memory, "arg"), bytes_of(number_of(memory, "bytes")));
            if (number_of(memory, "rule"))
                printf(" (rule %llu)", number_of(memory, "rule"));
        }
        printf("\n");
    }
}

static void show_report(const json_t *root)
{
    size_t i;
    const json_t *rule, *rules = json_object_get(root, "rules"), *kernels = json_object_get(root, "kernels");
    printf("\nprogram  %s\nsidecar  %s%s\nmemory   ", text_of(root, "program"), *text_of(root, "sidecar") ? text_of(root, "sidecar") : "none: ",
           *text_of(root, "sidecar") ? "" : text_of(root, "why"));
    show_memory(json_object_get(root, "all"));
    if (*text_of(root, "sidecar") && *text_of(root, "why"))
        printf("note     %s\n", text_of(root, "why"));
    if (json_array_size(rules))
        printf("\nrules\n");
    json_array_foreach(rules, i, rule) show_rule(root, rule);
    show_brought(json_object_get(root, "all"), "without a rule: ");
    if (json_array_size(kernels))
        printf("\nkernels that ran, with the memory in their arguments\n");
    show_kernels(kernels);
}

// --- running

struct explain {
    const char *hints, *shim;
    char folder[64], shim_found[PATH_MAX], libraries[PATH_MAX];
};

static int find_shim(struct explain *e)
{
    char own[PATH_MAX - 64];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    char *slash = NULL;
    if (n > 0) {
        own[n] = 0;
        slash = strrchr(own, '/');
    }
    if (slash) {
        *slash = 0;
        snprintf(e->shim_found, sizeof e->shim_found, "%s/libgenie_shim.so", own);
        snprintf(e->libraries, sizeof e->libraries, "%s/shim", own); // for programs that open libcuda.so by name
        if (access(e->libraries, X_OK))
            e->libraries[0] = 0;
    }
    if (!e->shim)
        e->shim = e->shim_found;
    if (!access(e->shim, R_OK))
        return 0;
    fprintf(stderr, "genie-ctl: %s: %s; --shim FILE says where libgenie_shim.so is\n", *e->shim ? e->shim : "libgenie_shim.so", strerror(errno));
    return -1;
}

// Behind what the variable has: a sanitizer's runtime wants to be the first of LD_PRELOAD.
static void append(const char *variable, const char *value)
{
    char all[2 * PATH_MAX];
    const char *before = getenv(variable);
    int n = before && *before ? snprintf(all, sizeof all, "%s:%s", before, value) : snprintf(all, sizeof all, "%s", value);
    if (n > 0 && n < (int)sizeof all)
        setenv(variable, all, 1);
}

static int run_program(struct explain *e, char **argv)
{
    char report[128];
    int status = 0;
    snprintf(report, sizeof report, "%s/%%p.json", e->folder);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setenv("GENIE_EXPLAIN", report, 1);
        if (e->hints)
            setenv("GENIE_HINTS", e->hints, 1);
        append("LD_PRELOAD", e->shim);
        if (*e->libraries)
            append("LD_LIBRARY_PATH", e->libraries);
        execvp(argv[0], argv);
        fprintf(stderr, "genie-ctl: %s: %s\n", argv[0], strerror(errno));
        _exit(STATUS_NOT_RUN);
    }
    if (child < 0) {
        fprintf(stderr, "genie-ctl: %s\n", strerror(errno));
        return STATUS_NOT_RUN;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "genie-ctl: %s was ended by signal %d\n", argv[0], WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Shows and removes what the processes of the program have written. How many.
static int show_reports(const struct explain *e)
{
    struct dirent **entries;
    char path[PATH_MAX];
    int shown = 0, count = scandir(e->folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        json_error_t error;
        size_t n = strlen(entries[i]->d_name);
        bool report = n > 5 && !strcmp(entries[i]->d_name + n - 5, ".json");
        snprintf(path, sizeof path, "%s/%.200s", e->folder, entries[i]->d_name);
        free(entries[i]);
        json_t *root = report && shown < REPORTS_MAX ? json_load_file(path, 0, &error) : NULL;
        if (root) {
            show_report(root);
            shown++;
        }
        json_decref(root);
        if (report)
            unlink(path);
    }
    if (count >= 0)
        free(entries);
    return shown;
}

int gn_ctl_hints_explain(int argc, char **argv)
{
    struct explain e = {.folder = "/tmp/genie-explain-XXXXXX"};
    int i = 0;
    for (; i < argc && argv[i][0] == '-'; i++) {
        bool last = !strcmp(argv[i], "--");
        if (!strcmp(argv[i], "--hints") && i + 1 < argc)
            e.hints = argv[++i];
        else if (!strcmp(argv[i], "--shim") && i + 1 < argc)
            e.shim = argv[++i];
        else if (!last) {
            fprintf(stderr, "genie-ctl: %s is not understood\n", argv[i]);
            return gn_ctl_hints_usage(2);
        }
        if (last) {
            i++;
            break;
        }
    }
    if (i == argc)
        return gn_ctl_hints_usage(2);
    if (find_shim(&e))
        return STATUS_NOT_RUN;
    if (!mkdtemp(e.folder)) {
        fprintf(stderr, "genie-ctl: %s: %s\n", e.folder, strerror(errno));
        return STATUS_NOT_RUN;
    }
    int status = run_program(&e, argv + i);
    if (!show_reports(&e) && status != STATUS_NOT_RUN)
        fprintf(stderr, "genie-ctl: %s left no report: it made no session with a server, or ended without its exit handlers\n", argv[i]);
    rmdir(e.folder);
    return status;
}
