// SPDX-License-Identifier: Apache-2.0
// apigen: reads remoting/cuda.api, checks it, and has each writer put its file into the output folder.
//   apigen CUDA.API SYMBOLS|- OUTDIR      SYMBOLS: the list of exported symbols that the table must cover exactly
#include "remoting/apigen/apigen.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct entry entries[ENTRIES_MAX];
int entry_count;
const char *const class_names[CLASSES] = {"local", "cached", "posted", "sync", "alias", "unsupported"};

static const char *input_path;

static _Noreturn void __attribute__((format(printf, 2, 3))) fail(int line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "%s:%d: ", input_path, line);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    exit(1);
}

const struct entry *entry_of(const char *name)
{
    for (int i = 0; i < entry_count; i++)
        if (!strcmp(entries[i].name, name))
            return &entries[i];
    return NULL;
}

bool has_payload(const struct entry *e)
{
    for (int i = 0; i < e->arg_count; i++)
        if (e->args[i].kind == BULK)
            return true;
    return false;
}

static char *word(char **at)
{
    char *s = *at;
    while (*s == ' ' || *s == '\t')
        s++;
    char *begin = s;
    bool quoted = false;
    for (; *s && (quoted || !isspace((unsigned char)*s)); s++)
        if (*s == '"')
            quoted = !quoted;
    if (*s)
        *s++ = 0;
    *at = s;
    return *begin ? begin : NULL;
}

static const char *copy(const char *s) { return s ? strdup(s) : NULL; }

// How many bytes a number of this type takes on the wire.
static int type_bytes(const char *type)
{
    static const char *const wide[] = {"size_t", "CUdeviceptr", "cuuint64_t", "unsigned long long", "u64", "CUtexObject",
                                       "CUsurfObject", "CUmemGenericAllocationHandle", "CUgraphConditionalHandle"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (!strcmp(type, wide[i]))
            return 8;
    return 4;
}

static void set_flag(struct entry *e, char *w)
{
    struct {
        const char *name;
        bool *flag;
    } flags[] = {{"noinit", &e->noinit}, {"ctx", &e->ctx},       {"async", &e->async},      {"books", &e->books},
                 {"check", &e->check},   {"blocks", &e->blocks}, {"hand", &e->hand}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(w, flags[i].name)) {
            *flags[i].flag = true;
            return;
        }
    char *value = strchr(w, '=');
    if (!value)
        fail(e->line, "unknown flag '%s'", w);
    *value++ = 0;
    if (!strcmp(w, "since"))
        e->since = atoi(value);
    else if (!strcmp(w, "ptds") || !strcmp(w, "ptsz"))
        e->variant = copy(w), e->variant_since = atoi(value);
    else if (!strcmp(w, "uses"))
        e->uses = copy(value);
    else if (!strcmp(w, "of"))
        e->of = copy(value);
    else if (!strcmp(w, "why") && *value == '"' && strlen(value) > 2)
        value[strlen(value) - 1] = 0, e->why = copy(value + 1);
    else
        fail(e->line, "unknown flag '%s='", w);
}

static void parse_entry(int line, bool is_call, char *rest)
{
    if (entry_count == ENTRIES_MAX)
        fail(line, "more than %d entries", ENTRIES_MAX);
    struct entry *e = &entries[entry_count];
    e->line = line;
    e->is_call = is_call;
    char *id = word(&rest), *name = word(&rest), *class = word(&rest);
    if (!class)
        fail(line, "expected: %s ID NAME CLASS", is_call ? "call" : "wire");
    e->id = (int)strtol(id, NULL, 16);
    e->name = copy(name);
    int c = 0;
    while (c < CLASSES && strcmp(class, class_names[c]))
        c++;
    if (c == CLASSES)
        fail(line, "%s: unknown class '%s'", name, class);
    e->class = (enum class)c;
    for (char *w; (w = word(&rest));)
        set_flag(e, w);
    for (int i = 0; i < entry_count; i++) {
        if (entries[i].id == e->id)
            fail(line, "%s: id 0x%04x is taken by %s", name, e->id, entries[i].name);
        if (!strcmp(entries[i].name, e->name))
            fail(line, "%s stands in line %d already", name, entries[i].line);
    }
    entry_count++;
}

static void parse_arg(int line, char *rest)
{
    if (!entry_count)
        fail(line, "an argument before any entry");
    struct entry *e = &entries[entry_count - 1];
    if (e->arg_count == ARGS_MAX)
        fail(line, "%s: more than %d arguments", e->name, ARGS_MAX);
    struct arg *a = &e->args[e->arg_count++];
    char *dir = word(&rest), *kind = word(&rest);
    if (!dir || !kind || (strcmp(dir, "in") && strcmp(dir, "out")))
        fail(line, "expected: in|out KIND TYPE NAME");
    a->out = !strcmp(dir, "out");
    static const char *const names[] = {"val", "ptr", "handle", "new", "blob", "bulk"};
    char *object = strchr(kind, ':');
    if (object)
        *object++ = 0;
    int k = 0;
    while (k < 6 && strcmp(kind, names[k]))
        k++;
    if (k == 6)
        fail(line, "%s: unknown kind '%s'", e->name, kind);
    a->kind = (enum kind)k;
    if ((a->kind == HANDLE || a->kind == NEW) != !!object)
        fail(line, "%s: handle and new take an object kind, the others none", e->name);
    if (object && strchr(object, '=')) {
        *strchr(object, '=') = 0;
        a->keep = copy(object + strlen(object) + 1);
    }
    a->object = copy(object);
    while (isspace((unsigned char)*rest))
        rest++;
    for (size_t n = strlen(rest); n && isspace((unsigned char)rest[n - 1]);)
        rest[--n] = 0;
    size_t at = strlen(rest);
    while (at && (isalnum((unsigned char)rest[at - 1]) || rest[at - 1] == '_'))
        at--;
    a->name = copy(rest + at);
    bool pointer = at && rest[at - 1] == '*';
    while (at && rest[at - 1] == ' ')
        at--;
    rest[at] = 0;
    a->type = copy(rest);
    if (a->kind == VAL && !a->out && (pointer || strchr(rest, '*')))
        fail(line, "%s: %s is a pointer; 'val' is for numbers", e->name, a->name);
    if (a->kind == BLOB || a->kind == BULK)
        return;
    if (!*rest)
        fail(line, "%s: %s has no type", e->name, a->name);
    a->bytes = a->kind == PTR ? 0 : a->kind == HANDLE || a->kind == NEW ? 8 : type_bytes(rest);
    if (e->is_call && a->kind == VAL && a->out) { // TYPE * of a required result
        char *pointee = strdup(rest);
        pointee[strlen(pointee) - 1] = 0;
        while (*pointee && pointee[strlen(pointee) - 1] == ' ')
            pointee[strlen(pointee) - 1] = 0;
        a->bytes = type_bytes(pointee);
    }
}

static void parse(FILE *f)
{
    char text[1024];
    for (int line = 1; fgets(text, sizeof text, f); line++) {
        if (!strchr(text, '\n') && !feof(f))
            fail(line, "longer than %zu bytes", sizeof text - 2);
        if (*text == '\t') {
            parse_arg(line, text + 1);
            continue;
        }
        char *rest = text, *w = word(&rest);
        if (!w || *w == '#')
            continue;
        if (strcmp(w, "call") && strcmp(w, "wire"))
            fail(line, "expected 'call' or 'wire', not '%s'", w);
        parse_entry(line, *w == 'c', rest);
    }
}

static void check_entry(const struct entry *e)
{
    if (e->is_call && !e->since)
        fail(e->line, "%s: since= is missing", e->name);
    if ((e->class == UNSUPPORTED) != !!e->why)
        fail(e->line, "%s: unsupported calls, and only they, say why=", e->name);
    if ((e->class == ALIAS) != !!e->of || (e->of && !entry_of(e->of)))
        fail(e->line, "%s: an alias names an entry with of=", e->name);
    if (!e->is_call && e->class != POSTED && e->class != SYNC)
        fail(e->line, "%s: a private command is posted or sync", e->name);
    if (e->uses) {
        char *list = strdup(e->uses);
        for (char *u = strtok(list, ","); u; u = strtok(NULL, ","))
            if (strcmp(u, "hello") && (!entry_of(u) || !is_wired(entry_of(u))))
                fail(e->line, "%s: uses=%s is no command", e->name, u);
    }
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        if (is_wired(e) && a->kind == PTR)
            fail(e->line, "%s: %s is host memory; a call with 'ptr' needs uses=", e->name, a->name);
        if (is_wired(e) && e->class == POSTED && a->out && a->kind != NEW)
            fail(e->line, "%s: posted, but %s comes back", e->name, a->name);
        if (a->kind == BULK && i != e->arg_count - 1)
            fail(e->line, "%s: bulk comes last", e->name);
        if (e->is_call && (a->kind == BLOB || a->kind == BULK))
            fail(e->line, "%s: blob and bulk are for private commands", e->name);
        bool found = !a->keep;
        for (int k = 0; k < e->arg_count; k++)
            found = found || !strcmp(e->args[k].name, a->keep);
        if (!found)
            fail(e->line, "%s: there is no argument %s to keep", e->name, a->keep);
    }
}

// The table covers exactly the symbols of the list.
static void check_symbols(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "apigen: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    char symbol[256], variant[300];
    int listed = 0, have = 0;
    while (fscanf(f, "%255s", symbol) == 1) {
        bool found = false;
        listed++;
        for (int i = 0; i < entry_count && !found; i++) {
            snprintf(variant, sizeof variant, "%s_%s", entries[i].name, entries[i].variant ? entries[i].variant : "");
            found = entries[i].is_call &&
                    (!strcmp(entries[i].name, symbol) || (entries[i].variant && !strcmp(variant, symbol)));
        }
        if (!found)
            fail(0, "%s is exported by the driver and has no entry", symbol);
    }
    fclose(f);
    for (int i = 0; i < entry_count; i++)
        have += entries[i].is_call ? 1 + !!entries[i].variant : 0;
    if (have != listed)
        fail(0, "%d symbols in the table, %d in %s", have, listed, path);
}

void write_params(FILE *f, const struct entry *e)
{
    for (int i = 0; i < e->arg_count; i++) {
        const char *type = e->args[i].type;
        fprintf(f, "%s%s%s%s", i ? ", " : "", type, type[strlen(type) - 1] == '*' ? "" : " ", e->args[i].name);
    }
    if (!e->arg_count)
        fprintf(f, "void");
}

void write_arguments(FILE *f, const struct entry *e, bool per_thread)
{
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        if (per_thread && !strcmp(a->type, "CUstream"))
            fprintf(f, "%s%s ? %s : CU_STREAM_PER_THREAD", i ? ", " : "", a->name, a->name);
        else
            fprintf(f, "%s%s", i ? ", " : "", a->name);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *file;
        void (*write)(FILE *);
    } writers[] = {
        {"api_ids.h", write_ids},           {"api_calls.h", write_calls},       {"api_entry.c", write_entries},
        {"api_proc.c", write_proc},         {"cuda.map", write_map},            {"include/cuda.h", write_cuda_h},
        {"include/cuda_prototypes.h", write_prototypes_h}, {"api_wire.h", write_wire_h},      {"api_wire.c", write_wire_c},       {"api_driver.h", write_driver_h},
        {"api_driver.c", write_driver_c},   {"api_run.h", write_run_h}, {"api_dispatch.c", write_dispatch}, {"api_mock.h", write_mock_h},
        {"api_mock.c", write_mock},         {"COVERAGE.md", write_coverage},    {"api_signatures.c", write_signatures},
    };
    if (argc != 4) {
        fprintf(stderr, "usage: apigen CUDA.API SYMBOLS|- OUTDIR\n");
        return 2;
    }
    input_path = argv[1];
    FILE *f = fopen(argv[1], "r");
    if (!f)
        fail(0, "%s", strerror(errno));
    parse(f);
    fclose(f);
    for (int i = 0; i < entry_count; i++)
        check_entry(&entries[i]);
    if (strcmp(argv[2], "-"))
        check_symbols(argv[2]);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/include", argv[3]);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/%s", argv[3], writers[i].file);
        f = fopen(path, "w");
        if (!f) {
            fprintf(stderr, "apigen: %s: %s\n", path, strerror(errno));
            return 1;
        }
        bool plain = strstr(path, ".map") || strstr(path, ".md");
        if (!plain)
            fprintf(f, "// Written by apigen from remoting/cuda.api. Change the table, not this file.\n");
        writers[i].write(f);
        if (fclose(f)) {
            fprintf(stderr, "apigen: %s: %s\n", path, strerror(errno));
            return 1;
        }
    }
    return 0;
}
