// SPDX-License-Identifier: Apache-2.0
// Sidecars that say the wrong thing, by seed, and programs that must not notice: each program runs once with the driver of the device, then
// with each sidecar through Genie, and has to print the same.
//
//   wrong_hints --print SEED                       the sidecar of a seed
//   wrong_hints --program SEED                     a random program of copies, fills and kernels
//   wrong_hints --local LIB --remote LIB --scratch DIR [--seed S] [--count N] [--programs FILE]
//                                                  N sidecars from seed S on; FILE has further programs, a line each
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hints/hints.h"
#include "core/toml/toml.h"
#include "tests/e2e/e2e.h"

enum {
    TEXT_BYTES = 300 << 10, // a little more than a sidecar may have
    OUTPUT_BYTES = 256 << 10,
    PROGRAMS_MAX = 16,
    OWN_PROGRAMS = 24, // random programs of this file's
    ARGS_MAX = 24,
};

extern char **environ;

struct random {
    uint64_t state;
};

static uint32_t next(struct random *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u; // splitmix64
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((x ^ x >> 31) >> 16);
}
static uint32_t below(struct random *r, uint32_t limit) { return next(r) % limit; }
static bool chance(struct random *r, unsigned of_100) { return below(r, 100) < of_100; }
#define PICK(r, list) ((list)[below((r), sizeof(list) / sizeof *(list))])

// --- sidecars

struct text {
    char *at;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    int n = vsnprintf(t->at + t->length, TEXT_BYTES - t->length, format, args);
    __builtin_va_end(args);
    if (n > 0 && t->length + (size_t)n < TEXT_BYTES)
        t->length += (size_t)n;
}

static const char *const kernels[] = {"*",        "fill",        "add",        "copy",      "kv_append",    "attention_*", "attention_decode",
                                      "matmul_*", "layernorm_*", "lm_head",    "argmax_*",  "embed_tokens", "?*",          "[a-m]*",
                                      "[!a]*",    "*d*",         "no_such_*",  "*_*",       "????",         "*\\\\*",      "f*l"};
static const char *const sizes[] = {">= 1",      "> 0",       "< 64KiB",       "<= 4096",    ">= 1MiB", "4096..65536", "1..1099511627776",
                                    "65536",     "4KiB..2MiB", "> 16TiB",      "1",          "1G..",    "4097..8191",  "3"};
static const char *const orders[] = {"before first launch", "after first launch", "1st allocation", "2nd allocation", "3rd allocation", "1..3", "2..5", "4..1000"};

static void region(struct text *t, struct random *r, bool everything)
{
    static const char *const classes[] = {"weights", "kv_cache", "activation", "input", "output", "scratch"};
    static const char *const writers[] = {"host", "kernel", "copy"};
    static const char *const evictions[] = {"normal", "first", "last", "never"};
    const char *class = PICK(r, classes);
    bool kept = strchr("kao", *class); // what may be kept: kv_cache, activation, output
    put(t, "[[region]]\nclass = \"%s\"\nmatch = { ", class);
    if (everything) {
        put(t, "size = \">= 1\"");
    } else {
        const char *comma = "";
        if (chance(r, 40)) {
            put(t, "kernel = \"%s\"", PICK(r, kernels));
            if (chance(r, 60))
                put(t, chance(r, 50) ? ", arg = %u" : ", arg = [0, %u]", 1 + below(r, 5));
            comma = ", ";
        }
        if (chance(r, 40) || !*comma) {
            put(t, "%ssize = \"%s\"", comma, PICK(r, sizes));
            comma = ", ";
        }
        if (chance(r, 20))
            put(t, "%sorder = \"%s\"", comma, PICK(r, orders));
        if (chance(r, 20))
            put(t, ", written_by = \"%s\"", PICK(r, writers));
        if (chance(r, 5))
            put(t, ", library = \"*\"");
    }
    put(t, " }\n");
    if (kept && chance(r, 85))
        put(t, "keep = \"remote\"\n");
    if (chance(r, 60))
        put(t, "dedupe = true\n");
    if (chance(r, 40))
        put(t, "evict = \"%s\"\n", *class == 's' ? "first" : PICK(r, evictions));
}

// A few bytes of it are others, or missing, or there is more of it than there may be.
static void damage(struct text *t, struct random *r)
{
    switch (below(r, 5)) {
    case 0: t->length = below(r, (uint32_t)t->length + 1); break;
    case 1: t->at[below(r, (uint32_t)t->length)] = (char)next(r); break;
    case 2: put(t, "unknown = 1\n"); break;
    case 3:
        while (t->length < TEXT_BYTES - 64)
            put(t, "# more and more\n");
        break;
    default:
        for (unsigned i = 0; i < 200; i++)
            put(t, "[[region]]\nclass = \"output\"\nmatch = { size = \"%u\" }\n", i + 1);
        break;
    }
}

static void sidecar(struct text *t, uint64_t seed)
{
    struct random r = {seed};
    unsigned count = chance(&r, 40) ? 1 : chance(&r, 90) ? 1 + below(&r, 6) : 1 + below(&r, 64);
    t->length = 0;
    put(t, "schema = 1\n");
    if (chance(&r, 20))
        put(t, "[app]\nname = \"anything\"\nmatch = { exe = \"%s\" }\n", chance(&r, 80) ? "*" : "none_of_these");
    for (unsigned i = 0; i < count; i++)
        region(t, &r, i + 1 == count && chance(&r, 60));
    if (chance(&r, 10))
        put(t, "[[phase]]\nname = \"p\"\nmatch = { kernel = \"%s\", grid_x = \"> 1\" }\n", PICK(&r, kernels));
    if (chance(&r, 8))
        damage(t, &r);
}

static bool is_good(const struct text *t)
{
    static char arena[GN_TOML_ARENA_BYTES(TEXT_BYTES)];
    static struct gn_hints hints;
    struct gn_config_error error;
    return t->length <= GN_HINTS_FILE_BYTES_MAX &&
           !gn_hints_read(&hints, "", t->at, t->length, arena, GN_TOML_ARENA_BYTES(t->length), &error, NULL);
}

// --- the random program: one thread, whose results depend on nothing but the seed

enum { DEVICES = 4, HOSTS = 4, BYTES_MAX = 256 << 10, OPERATIONS = 60 };

static struct memory {
    size_t size_bytes;
    CUdeviceptr device;
    uint8_t *host;
    int kind; // of host memory: 0 pages, 1 the heap's, 2 pinned
} devices[DEVICES], hosts[HOSTS];

static size_t some_size(struct random *r)
{
    size_t size_bytes = (size_t)1 << (12 + below(r, 7));
    return chance(r, 50) ? size_bytes : size_bytes - below(r, 4000);
}

static void host_new(struct random *r, struct memory *m)
{
    void *at = NULL;
    if (m->kind == 0 && m->host)
        munmap(m->host, m->size_bytes);
    if (m->kind == 1)
        free(m->host);
    if (m->kind == 2 && m->host)
        CU(cuMemFreeHost(m->host));
    *m = (struct memory){.size_bytes = some_size(r), .kind = (int)below(r, 3)};
    if (m->kind == 0)
        at = mmap(NULL, m->size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else if (m->kind == 1)
        at = malloc(m->size_bytes);
    else
        CU(cuMemAllocHost(&at, m->size_bytes));
    if (!at || at == MAP_FAILED)
        exit(2);
    m->host = at;
    memset(m->host, (int)next(r), m->size_bytes);
}

static void device_new(struct random *r, struct memory *m)
{
    if (m->device)
        CU(cuMemFree(m->device));
    *m = (struct memory){.size_bytes = some_size(r)};
    CU(cuMemAlloc(&m->device, m->size_bytes));
    CU(cuMemsetD8(m->device, (unsigned char)next(r), m->size_bytes));
}

static uint64_t digest_of(const uint8_t *bytes, size_t size_bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size_bytes; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

struct range {
    size_t at, other, size_bytes; // in two memories
};

// Mostly all of it, as programs do; sometimes a part.
static struct range some_range(struct random *r, size_t a_bytes, size_t b_bytes)
{
    size_t most = a_bytes < b_bytes ? a_bytes : b_bytes;
    if (chance(r, 70))
        return (struct range){0, 0, most};
    struct range x = {.size_bytes = 1 + below(r, (uint32_t)most)};
    x.at = below(r, (uint32_t)(a_bytes - x.size_bytes) + 1);
    x.other = below(r, (uint32_t)(b_bytes - x.size_bytes) + 1);
    return x;
}

static void operate(struct random *r, CUfunction fill, CUfunction copy, CUstream stream)
{
    struct memory *d = &devices[below(r, DEVICES)], *e = &devices[below(r, DEVICES)], *h = &hosts[below(r, HOSTS)];
    struct range x = some_range(r, d->size_bytes, h->size_bytes);
    unsigned words = (unsigned)(d->size_bytes / 4), value = next(r);
    bool later = chance(r, 50);
    switch (below(r, 16)) {
    case 0:
    case 1:
    case 2: CU(later ? cuMemcpyHtoDAsync(d->device + x.at, h->host + x.other, x.size_bytes, stream) : cuMemcpyHtoD(d->device + x.at, h->host + x.other, x.size_bytes)); break;
    case 3:
    case 4:
    case 5: CU(later ? cuMemcpyDtoHAsync(h->host + x.other, d->device + x.at, x.size_bytes, stream) : cuMemcpyDtoH(h->host + x.other, d->device + x.at, x.size_bytes)); break;
    case 6:
    case 7: // there and back: what a stateless program does
        CU(cuMemcpyDtoH(h->host + x.other, d->device + x.at, x.size_bytes));
        if (later)
            e2e_fill(fill, NULL, d->device, words / 2, value);
        CU(cuMemcpyHtoD(d->device + x.at, h->host + x.other, x.size_bytes));
        break;
    case 8: e2e_fill(fill, later ? stream : NULL, d->device, words, value); break;
    case 9:
        words = words < e->size_bytes / 4 ? words : (unsigned)(e->size_bytes / 4);
        if (d != e)
            e2e_launch(copy, stream, words, (void *[]){&d->device, &e->device, &words});
        break;
    case 10: CU(cuMemsetD8Async(d->device + x.at, (unsigned char)value, x.size_bytes, stream)); break;
    case 11:
        if (d != e)
            CU(cuMemcpyDtoD(d->device, e->device, d->size_bytes < e->size_bytes ? d->size_bytes : e->size_bytes));
        break;
    case 12: memset(h->host + x.other, (int)value, x.size_bytes); break;
    case 13: printf("%016llx\n", (unsigned long long)digest_of(h->host + x.other, x.size_bytes)); break;
    case 14: later ? device_new(r, d) : host_new(r, h); break;
    default: CU(cuCtxSynchronize()); break;
    }
    if (later) // what is on its way is not touched
        CU(cuStreamSynchronize(stream));
}

static int program(uint64_t seed)
{
    struct random r = {seed};
    CUstream stream;
    e2e_open(0);
    CUfunction fill = e2e_kernel("fill"), copy = e2e_kernel("copy");
    CU(cuStreamCreate(&stream, below(&r, 2)));
    for (int i = 0; i < DEVICES; i++)
        device_new(&r, &devices[i]);
    for (int i = 0; i < HOSTS; i++)
        host_new(&r, &hosts[i]);
    CU(cuCtxSynchronize());
    for (int i = 0; i < OPERATIONS; i++) {
        operate(&r, fill, copy, stream);
        CU(cuStreamSynchronize(stream)); // the streams take turns
        CU(cuStreamSynchronize(NULL));
    }
    static uint8_t all[BYTES_MAX];
    for (int i = 0; i < DEVICES; i++) {
        CU(cuMemcpyDtoH(all, devices[i].device, devices[i].size_bytes));
        printf("device %d: %016llx\n", i, (unsigned long long)digest_of(all, devices[i].size_bytes));
    }
    for (int i = 0; i < HOSTS; i++)
        printf("host %d: %016llx\n", i, (unsigned long long)digest_of(hosts[i].host, hosts[i].size_bytes));
    return e2e_finish();
}

// --- the runs

struct settings {
    const char *self, *local, *remote, *scratch;
    uint64_t seed, count;
    char *programs[PROGRAMS_MAX]; // command lines
    unsigned program_count;
};

static char expected[PROGRAMS_MAX + OWN_PROGRAMS][OUTPUT_BYTES], got[OUTPUT_BYTES];
static bool is_known[PROGRAMS_MAX + OWN_PROGRAMS];

// The command line of a program by its number: those of the file, then our own.
static void words_of(const struct settings *s, unsigned number, char *line, size_t line_bytes, char **argv)
{
    if (number < s->program_count)
        snprintf(line, line_bytes, "%s", s->programs[number]);
    else
        snprintf(line, line_bytes, "%s --program %u", s->self, number - s->program_count + 1);
    unsigned n = 0;
    for (char *word = strtok(line, " \n"); word && n + 1 < ARGS_MAX; word = strtok(NULL, " \n"))
        argv[n++] = word;
    argv[n] = NULL;
}

// What it printed, without the lines that tell the time; 0 or what became of it.
static int run(char **argv, const char *library, char *output)
{
    int ends[2], status = -1;
    pid_t child;
    size_t length = 0, kept = 0;
    posix_spawn_file_actions_t actions;
    setenv("LD_PRELOAD", library, 1);
    if (pipe2(ends, O_CLOEXEC))
        exit(2);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    int error = posix_spawn(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    unsetenv("LD_PRELOAD");
    close(ends[1]);
    for (ssize_t n; !error && length < OUTPUT_BYTES - 1 && (n = read(ends[0], output + length, OUTPUT_BYTES - 1 - length)) > 0;)
        length += (size_t)n;
    close(ends[0]);
    output[length] = 0;
    if (!error)
        waitpid(child, &status, 0);
    if (!strstr(argv[0], "llm_decode"))
        return status;
    for (char *line = output, *end; *line; line = end) {
        end = strchr(line, '\n');
        end = end ? end + 1 : line + strlen(line);
        if (!strncmp(line, "tokens", 6) || !strncmp(line, "touched", 7)) {
            memmove(output + kept, line, (size_t)(end - line));
            kept += (size_t)(end - line);
        }
    }
    output[kept] = 0;
    return status;
}

static bool one(const struct settings *s, uint64_t seed, unsigned number, uint64_t *good)
{
    static char memory[TEXT_BYTES];
    struct text t = {memory, 0};
    char path[600], line[1024], *argv[ARGS_MAX];
    sidecar(&t, seed);
    *good += is_good(&t);
    snprintf(path, sizeof path, "%s/%llu.toml", s->scratch, (unsigned long long)seed);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(t.at, 1, t.length, f) != t.length || fclose(f))
        exit(2);
    words_of(s, number, line, sizeof line, argv);
    if (!is_known[number]) {
        unsetenv("GENIE_HINTS");
        if (run(argv, s->local, expected[number])) {
            printf("locally, %s fails:\n%s", argv[0], expected[number]);
            exit(2);
        }
        is_known[number] = true;
        words_of(s, number, line, sizeof line, argv);
    }
    setenv("GENIE_HINTS", path, 1);
    int status = run(argv, s->remote, got);
    if (!status && !strcmp(got, expected[number])) {
        unlink(path);
        return true;
    }
    printf("DIFFERENCE: sidecar %llu, program %u (%s), status %x; the sidecar is kept as %s\n", (unsigned long long)seed, number, argv[0], (unsigned)status, path);
    size_t at = 0;
    while (got[at] && got[at] == expected[number][at])
        at++;
    while (at && got[at - 1] != '\n')
        at--;
    printf("  expected: %.120s\n  got:      %.120s\n", expected[number] + at, got + at);
    return false;
}

static void read_programs(struct settings *s, const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    while (f && s->program_count < PROGRAMS_MAX && fgets(line, sizeof line, f))
        s->programs[s->program_count++] = strdup(line);
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"print", 1, NULL, 'p'},  {"program", 1, NULL, 'P'}, {"local", 1, NULL, 'l'},
                                            {"remote", 1, NULL, 'r'}, {"scratch", 1, NULL, 'd'}, {"seed", 1, NULL, 's'},
                                            {"count", 1, NULL, 'n'},  {"programs", 1, NULL, 'f'}, {0}};
    static char memory[TEXT_BYTES];
    struct settings s = {.self = argv[0], .seed = 1, .count = 1};
    struct text t = {memory, 0};
    uint64_t good = 0, bad = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case 'p':
            sidecar(&t, strtoull(optarg, NULL, 0));
            fwrite(t.at, 1, t.length, stdout);
            return is_good(&t) ? 0 : 1;
        case 'P': return program(strtoull(optarg, NULL, 0));
        case 'l': s.local = optarg; break;
        case 'r': s.remote = optarg; break;
        case 'd': s.scratch = optarg; break;
        case 's': s.seed = strtoull(optarg, NULL, 0); break;
        case 'n': s.count = strtoull(optarg, NULL, 0); break;
        case 'f': read_programs(&s, optarg); break;
        default: return 2;
        }
    if (!s.local || !s.remote || !s.scratch)
        return 2;
    for (uint64_t i = 0; i < s.count; i++) { // each program of the file once in sixteen; our own are quick
        struct random r = {(s.seed + i) * 77};
        unsigned number = s.program_count && chance(&r, 6) ? below(&r, s.program_count) : s.program_count + below(&r, OWN_PROGRAMS);
        bad += !one(&s, s.seed + i, number, &good);
    }
    for (unsigned i = 0; i < s.program_count; i++)
        free(s.programs[i]);
    printf("%llu sidecars, %llu of them good; %llu differences\n", (unsigned long long)s.count, (unsigned long long)good, (unsigned long long)bad);
    return bad != 0;
}
