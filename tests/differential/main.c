// SPDX-License-Identifier: Apache-2.0
// The differential tester: random programs of driver calls on two drivers, which have to answer the same.
//
//   differential --local DRIVER --remote DRIVER [--seed N] [--count N] [--ops N] [--threads N] [--kinds +a,-b,...] [--keep DIRECTORY] [FILE...]
//
// With files, it runs those programs instead of random ones. Exit status: 0 no difference; 1 a difference, which is then printed as a small
// program; 2 it could not run.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/differential/pair.h"
#include "tests/differential/shrink.h"

struct options {
    struct pair_settings pair;
    struct settings programs;
    uint64_t seed, count;
    unsigned shrink_seconds, seconds, repeat;
    const char *keep;
    bool list, all;
};

static struct program found;
static uint64_t operations, differences;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_side(const char *name, const struct record *r)
{
    fprintf(stderr, "    %-6s %s code %d values %llx %llx %llx\n", name, r->done ? "returned" : "NOT REACHED", r->code,
            (unsigned long long)r->values[0], (unsigned long long)r->values[1], (unsigned long long)r->values[2]);
}

static void print_difference(unsigned index)
{
    const struct program *p = &pair_programs()[index];
    int at = pair_difference(index);
    if (at < 0) {
        fprintf(stderr, "the small program did not differ in its last runs: a matter of timing\n");
        return;
    }
    fprintf(stderr, "operation %d differs: ", at);
    op_print_c(&p->ops[at], stderr);
    fputc('\n', stderr);
    for (unsigned side = 0; side < 2; side++) {
        print_side(side ? "remote" : "local", &pair_outcome(side, index)->records[at]);
        if (pair_fate(side, index))
            fprintf(stderr, "    the %s process %s\n", side ? "remote" : "local", pair_fate(side, index));
    }
}

static void keep(const struct options *o, const struct program *p)
{
    char path[512];
    if (!o->keep)
        return;
    snprintf(path, sizeof path, "%s/%llu.txt", o->keep, (unsigned long long)p->seed);
    FILE *f = fopen(path, "w");
    if (!f)
        return;
    program_write(p, f);
    fclose(f);
    fprintf(stderr, "kept as %s\n", path);
}

static void report(const struct options *o, unsigned index)
{
    found = pair_programs()[index];
    fprintf(stderr, "DIFFERENCE: seed %llu, %u operations\n", (unsigned long long)found.seed, found.count);
    print_difference(index);
    if (!o->shrink_seconds)
        return;
    shrink(&found, o->shrink_seconds);
    fprintf(stderr, "shrunk to %u operations\n", found.count);
    for (unsigned i = 0; i < BATCH; i++) // one of the last runs, if it is there
        if (pair_difference(i) >= 0 && !memcmp(&pair_programs()[i], &found, sizeof found)) {
            print_difference(i);
            break;
        }
    program_write(&found, stderr);
    program_print_c(&found, stdout);
    fflush(stdout);
    keep(o, &found);
}

static int run_batch(const struct options *o, unsigned count)
{
    int r = pair_run(count);
    if (r) {
        fprintf(stderr, "a driver's process does not start again: %s\n", strerror(-r));
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        operations += pair_programs()[i].count;
        if (pair_difference(i) < 0)
            continue;
        differences++;
        if (!o->all) {
            report(o, i);
            return 1;
        }
        fprintf(stderr, "seed %llu: ", (unsigned long long)pair_programs()[i].seed);
        print_difference(i);
    }
    return 0;
}

static int run_random(const struct options *o)
{
    double start = seconds_now();
    uint64_t done = 0;
    int r = 0;
    while (!r && done < o->count && (!o->seconds || seconds_now() - start < o->seconds)) {
        unsigned count = o->count - done < BATCH ? (unsigned)(o->count - done) : BATCH;
        for (unsigned i = 0; i < count; i++)
            program_generate(&pair_programs()[i], o->seed + done + i, &o->programs);
        r = run_batch(o, count);
        done += count;
    }
    double took = seconds_now() - start;
    fprintf(stderr, "%llu programs from seed %llu, %llu operations, %s, %.1f s, %.0f programs/s\n",
            (unsigned long long)done, (unsigned long long)o->seed, (unsigned long long)operations,
            r ? "STOPPED" : differences ? "DIFFERENCES" : "no difference", took, (double)done / took);
    return r ? r : differences > 0;
}

static int run_file(const struct options *o, const char *path)
{
    static struct program p;
    char why[128] = "cannot be opened";
    FILE *f = fopen(path, "r");
    if (!f || program_read(&p, f, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", path, why);
        if (f)
            fclose(f);
        return 2;
    }
    fclose(f);
    if (o->list) {
        program_print_c(&p, stdout);
        return 0;
    }
    int r = 0;
    for (unsigned done = 0; !r && done < o->repeat;) {
        unsigned count = o->repeat - done < 8 ? o->repeat - done : 8;
        for (unsigned i = 0; i < count; i++)
            pair_programs()[i] = p;
        r = run_batch(o, count);
        done += count;
    }
    fprintf(stderr, "%s: %s\n", path, r ? "A DIFFERENCE" : "no difference");
    return r;
}

// "+launch,-fault": groups by name, to those that are used by default; "none" empties the set.
static bool set_groups(uint64_t *groups, char *text)
{
    char *save;
    for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        bool off = *word == '-', known = !strcmp(word, "none");
        if (known)
            *groups = 0;
        for (unsigned i = 0; i < GROUPS; i++)
            if (!strcmp(word + (*word == '-' || *word == '+'), group_names[i])) {
                *groups = off ? *groups & ~(1ull << i) : *groups | 1ull << i;
                known = true;
            }
        if (!known) {
            fprintf(stderr, "there is no kind '%s'\n", word);
            return false;
        }
    }
    return true;
}

static bool parse(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {{"local", 1, 0, 'l'},   {"remote", 1, 0, 'r'},  {"seed", 1, 0, 's'},
                                          {"count", 1, 0, 'c'},   {"ops", 1, 0, 'o'},     {"threads", 1, 0, 't'},
                                          {"kinds", 1, 0, 'k'},   {"keep", 1, 0, 'K'},    {"timeout", 1, 0, 'T'},
                                          {"shrink", 1, 0, 'S'},  {"defect", 1, 0, 'd'},  {"seconds", 1, 0, 'x'},
                                          {"repeat", 1, 0, 'R'},  {"print", 0, 0, 'p'},   {"all", 0, 0, 'a'},
                                          {"may-lose", 0, 0, 'm'},
                                          {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
        switch (c) {
        case 'l': o->pair.paths[0] = optarg; break;
        case 'r': o->pair.paths[1] = optarg; break;
        case 's': o->seed = strtoull(optarg, NULL, 0); break;
        case 'c': o->count = strtoull(optarg, NULL, 0); break;
        case 'o': o->programs.ops = (unsigned)atoi(optarg); break;
        case 't': o->programs.threads = (unsigned)atoi(optarg); break;
        case 'k':
            if (!set_groups(&o->programs.groups, optarg))
                return false;
            break;
        case 'K': o->keep = optarg; break;
        case 'T': o->pair.timeout_ms = (unsigned)atoi(optarg); break;
        case 'S': o->shrink_seconds = (unsigned)atoi(optarg); break;
        case 'd': o->pair.defect = optarg; break;
        case 'x': o->seconds = (unsigned)atoi(optarg); break;
        case 'R': o->repeat = (unsigned)atoi(optarg); break;
        case 'p': o->list = true; break;
        case 'a': o->all = true; break;
        case 'm': o->pair.may_lose = true; break;
        default: return false;
        }
    return o->list || (o->pair.paths[0] && o->pair.paths[1] && o->programs.threads >= 1 && o->programs.threads <= THREADS &&
                       o->programs.ops >= 1 && o->programs.ops <= OPS / 2);
}

int main(int argc, char **argv)
{
    struct options o = {.pair = {.timeout_ms = 20000}, .programs = {.groups = (1ull << GROUPS) - 1, .ops = 40, .threads = THREADS},
                        .seed = 1, .count = 1000, .shrink_seconds = 60, .repeat = 1};
    kinds_open();
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: differential --local DRIVER --remote DRIVER [--seed N] [--count N] [--seconds N] [--ops N]\n"
                        "    [--threads N] [--kinds +a,-b,...] [--timeout MS] [--may-lose] [--shrink SECONDS] [--keep DIRECTORY] [FILE...]\n");
        return 2;
    }
    if (!o.list && pair_open(&o.pair))
        return 2;
    int r = 0;
    if (optind == argc && o.list) {
        program_generate(&found, o.seed, &o.programs);
        program_write(&found, stdout);
    }
    if (optind == argc && !o.list)
        r = run_random(&o);
    for (int i = optind; i < argc && !r; i++)
        r = run_file(&o, argv[i]);
    if (!o.list && pair_close() && !r)
        r = 1;
    return r;
}
