// SPDX-License-Identifier: Apache-2.0
// What apigen writes for the program's side: ids, prototypes, entry points, the cuGetProcAddress table, the export map, cuda.h.
#include "remoting/apigen/apigen.h"

#include <stdlib.h>
#include <string.h>

static void symbol_name(char *out, size_t size, const struct entry *e, bool variant)
{
    snprintf(out, size, variant ? "%s_%s" : "%s", e->name, e->variant);
}

// cuMemAlloc of cuMemAlloc_v2: the name that cuGetProcAddress and source code use.
static const char *base_name(const struct entry *e)
{
    static char base[256];
    snprintf(base, sizeof base, "%s", e->name);
    size_t n = strlen(base);
    if (n > 3 && base[n - 3] == '_' && base[n - 2] == 'v')
        base[n - 3] = 0;
    return base;
}

static const struct entry *target(const struct entry *e) { return e->of ? entry_of(e->of) : e; }

void write_ids(FILE *f)
{
    int last = 0;
    fprintf(f, "#ifndef GN_API_IDS_H\n#define GN_API_IDS_H\n#include <stdint.h>\n\nenum gn_op {\n");
    for (int i = 0; i < entry_count; i++) {
        fprintf(f, "    GN_OP_%s = 0x%04x,\n", entries[i].name, entries[i].id);
        last = entries[i].id > last ? entries[i].id : last;
    }
    fprintf(f, "    GN_OPS = 0x%04x, // one more than the largest\n};\n\nenum gn_symbol {\n", last + 1);
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < entry_count; i++)
            if (entries[i].is_call && (!v || entries[i].variant)) {
                char name[300];
                symbol_name(name, sizeof name, &entries[i], v);
                fprintf(f, "    GN_SYMBOL_%s,\n", name);
            }
    fprintf(f, "    GN_SYMBOLS,\n};\n\nenum gn_class { GN_LOCAL = 1, GN_CACHED, GN_POSTED, GN_SYNC, GN_ALIAS, GN_UNSUPPORTED };\n"
               "enum gn_api_flags { GN_API_NOINIT = 1, GN_API_CTX = 2, GN_API_ASYNC = 4, GN_API_BLOCKS = 8, GN_API_WIRED = 16,\n"
               "                    GN_API_BOOKS = 32 };\n\n"
               "struct gn_api { // one op; name is NULL where the id is free\n    const char *name, *why;\n    uint8_t class, flags;\n};\n"
               "extern const struct gn_api gn_api[GN_OPS];\nextern const char *const gn_symbol_names[GN_SYMBOLS];\n\n#endif\n");
}

void write_calls(FILE *f)
{
    fprintf(f, "#ifndef GN_API_CALLS_H\n#define GN_API_CALLS_H\n#include \"remoting/cuda_types.h\"\nstruct gn_call;\n\n"
               "// Written by hand in interpose/.\n");
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (!e->is_call || !is_implemented(e) || (is_wired(e) && !e->check))
            continue;
        fprintf(f, "CUresult gn_%s%s(struct gn_call *c%s", is_wired(e) ? "check_" : "", e->name, e->arg_count ? ", " : "");
        if (e->arg_count)
            write_params(f, e);
        fprintf(f, ");\n");
    }
    fprintf(f, "\n#endif\n");
}

// The generated body of a call that needs no hand-written part.
static void write_body(FILE *f, const struct entry *e)
{
    bool outs = false;
    fprintf(f, "\nstatic CUresult gn_%s(struct gn_call *c%s", e->name, e->arg_count ? ", " : "");
    if (e->arg_count)
        write_params(f, e);
    fprintf(f, ")\n{\n    struct gn_args_%s a = {0};\n    CUresult r;\n", e->name);
    if (e->check) {
        fprintf(f, "    if ((r = gn_check_%s(c%s", e->name, e->arg_count ? ", " : "");
        write_arguments(f, e, false);
        fprintf(f, ")))\n        return r;\n");
    }
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        if (a->out)
            fprintf(f, "    if (!%s)\n        return CUDA_ERROR_INVALID_VALUE;\n", a->name);
        else if (a->kind == HANDLE)
            fprintf(f, "    if ((r = gn_id_%s(c, %s, &a.%s)))\n        return r;\n", a->object, a->name, a->name);
        else
            fprintf(f, "    a.%s = (uint%d_t)%s;\n", a->name, a->bytes * 8, a->name);
        outs = outs || (a->out && a->kind == VAL);
    }
    for (int i = 0; i < e->arg_count; i++)
        if (e->args[i].kind == NEW)
            fprintf(f, "    if ((r = gn_handle_new_here(c, GN_KIND_%s, %s%s, &a.%s)))\n        return r;\n", kind_name(e->args[i].object),
                    e->args[i].keep ? "(uint64_t)" : "0", e->args[i].keep ? e->args[i].keep : "", e->args[i].name);
    if (e->class == POSTED)
        fprintf(f, "    r = gn_post(c, GN_OP_%s, &a);\n", e->name);
    else
        fprintf(f, "    struct gn_out_%s o = {0};\n    r = gn_ask(c, GN_OP_%s, &a, &o);\n", e->name, e->name);
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        if (a->kind == NEW)
            fprintf(f, "    if (r)\n        gn_handle_drop(a.%s);\n    else\n        gn_handle_give(%s, a.%s);\n", a->name, a->name, a->name);
        else if (a->out)
            fprintf(f, "    if (!r)\n        *%s = o.%s;\n", a->name, a->name);
    }
    (void)outs;
    fprintf(f, "    return r;\n}\n");
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static void write_trace(FILE *f, const struct entry *e)
{
    fprintf(f, "    if (c.traced) {\n        gn_trace_begin(&c);\n");
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        size_t n = strlen(a->type);
        bool pointer = a->type[n - 1] == '*';
        bool callback = ends_with(a->type, "Fn") || ends_with(a->type, "allback") || ends_with(a->type, "B2DSize");
        if (a->out && pointer && !strstr(a->type, "void *") && !strstr(a->type, "CUDA_") && !ends_with(a->type, "**") &&
            strncmp(a->type, "char", 4) && e->class != UNSUPPORTED)
            fprintf(f, "        gn_trace_result(&c, r, \"%s\", %s, sizeof *%s);\n", a->name, a->name, a->name);
        else if (!strcmp(a->type, "const char *"))
            fprintf(f, "        gn_trace_text(&c, \"%s\", %s);\n", a->name, a->name);
        else if (pointer || callback)
            fprintf(f, "        gn_trace_pointer(&c, \"%s\", (const void *)(uintptr_t)%s);\n", a->name, a->name);
        else if (!strcmp(a->type, "CUmemLocation") || !strcmp(a->type, "CUipcMemHandle") || !strcmp(a->type, "CUipcEventHandle"))
            fprintf(f, "        gn_trace_pointer(&c, \"%s\", &%s);\n", a->name, a->name);
        else if (a->type[0] == 'C' && a->type[1] == 'U' && strcmp(a->type, "CUdevice") && strcmp(a->type, "CUdevice_attribute"))
            fprintf(f, "        gn_trace_handle(&c, \"%s\", (uint64_t)%s);\n", a->name, a->name);
        else
            fprintf(f, "        gn_trace_number(&c, \"%s\", (long long)%s);\n", a->name, a->name);
    }
    fprintf(f, "        gn_trace_end(&c, r);\n    }\n");
}

static void write_entry(FILE *f, const struct entry *e, bool variant)
{
    const struct entry *t = target(e);
    char name[300];
    symbol_name(name, sizeof name, e, variant);
    fprintf(f, "\nGN_EXPORT CUresult %s(", name);
    write_params(f, e);
    fprintf(f, ")\n{\n    struct gn_call c;\n    CUresult r = gn_enter(&c, GN_OP_%s, GN_SYMBOL_%s, %s);\n    if (c.local)\n        r = ((CUresult(*)(",
            t->name, name, variant ? "CU_STREAM_PER_THREAD" : "CU_STREAM_LEGACY");
    write_params(f, e);
    fprintf(f, "))c.local)(");
    write_arguments(f, e, false);
    fprintf(f, ");\n    else if (r == CUDA_SUCCESS)\n        r = ");
    if (t->class == UNSUPPORTED) {
        fprintf(f, "gn_unsupported(&c);\n");
    } else {
        fprintf(f, "gn_%s(&c%s", t->name, e->arg_count ? ", " : "");
        write_arguments(f, e, variant);
        fprintf(f, ");\n");
    }
    write_trace(f, e);
    fprintf(f, "    return gn_leave(&c, r);\n}\n");
}

void write_entries(FILE *f)
{
    fprintf(f, "#include \"interpose/call.h\"\n#include \"api_calls.h\"\n#include \"api_wire.h\"\n#include \"include/cuda_prototypes.h\"\n");
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call && is_implemented(&entries[i]) && is_wired(&entries[i]))
            write_body(f, &entries[i]);
    for (int i = 0; i < entry_count; i++)
        for (int v = 0; v < 1 + !!entries[i].variant && entries[i].is_call; v++)
            write_entry(f, &entries[i], v);
}

static int by_base(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    char base[256];
    snprintf(base, sizeof base, "%s", base_name(x));
    int order = strcmp(base, base_name(y));
    return order ? order : x->since - y->since;
}

void write_proc(FILE *f)
{
    const struct entry *sorted[ENTRIES_MAX];
    int n = 0;
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call)
            sorted[n++] = &entries[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_base);
    fprintf(f, "#include \"remoting/proc.h\"\n#include \"api_ids.h\"\n#include \"include/cuda_prototypes.h\"\n\n"
               "const struct gn_proc gn_procs[] = { // by name, then by version\n");
    for (int i = 0; i < n; i++) {
        const struct entry *e = sorted[i];
        fprintf(f, "    {\"%s\", %d, %d, (void *)%s, ", base_name(e), e->since, e->variant_since, e->name);
        if (e->variant)
            fprintf(f, "(void *)%s_%s},\n", e->name, e->variant);
        else
            fprintf(f, "0},\n");
    }
    fprintf(f, "};\nconst unsigned gn_proc_count = sizeof gn_procs / sizeof *gn_procs;\n");
}

void write_map(FILE *f)
{
    fprintf(f, "{\n  global:\n");
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call) {
            fprintf(f, "    %s;\n", entries[i].name);
            if (entries[i].variant)
                fprintf(f, "    %s_%s;\n", entries[i].name, entries[i].variant);
        }
    fprintf(f, "    genie_*;\n    mremap;\n  local:\n    *;\n};\n");
}

// The header keeps the plain name for the older call of these: the newer one takes one argument more, and is called by its full name.
static bool has_own_name(const struct entry *e)
{
    static const char *const names[] = {"cuCtxGetDevice_v2", "cuCtxSynchronize_v2", "cuStreamGetCtx_v2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(e->name, names[i]))
            return true;
    return false;
}

static const char *header_name(const struct entry *e) { return has_own_name(e) ? e->name : base_name(e); }

static bool is_newest(const struct entry *e)
{
    char base[256];
    snprintf(base, sizeof base, "%s", header_name(e));
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call && entries[i].since > e->since && !strcmp(header_name(&entries[i]), base))
            return false;
    return true;
}

static void write_prototypes(FILE *f, bool variants)
{
    for (int i = 0; i < entry_count; i++)
        for (int v = 0; v < 1 + (variants && entries[i].variant) && entries[i].is_call; v++) {
            char name[300];
            symbol_name(name, sizeof name, &entries[i], v);
            fprintf(f, "CUresult %s(", name);
            write_params(f, &entries[i]);
            fprintf(f, ");\n");
        }
}

// The driver API for programs that are built without the toolkit: the same names and macros as NVIDIA's header.
void write_cuda_h(FILE *f)
{
    fprintf(f, "#ifndef __cuda_cuda_h__\n#define __cuda_cuda_h__\n#define CUDA_VERSION 13000\n#define CUDAAPI\n#define CUDA_CB\n"
               "#include \"remoting/cuda_types.h\"\n");
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (!e->is_call || !is_newest(e))
            continue;
        const char *base = header_name(e);
        if (e->variant)
            fprintf(f, "#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM\n#define %s %s_%s\n", base, e->name, e->variant);
        if (e->variant && strcmp(base, e->name))
            fprintf(f, "#else\n#define %s %s\n", base, e->name);
        else if (!e->variant && strcmp(base, e->name))
            fprintf(f, "#define %s %s\n", base, e->name);
        if (e->variant)
            fprintf(f, "#endif\n");
    }
    fprintf(f, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    // A newest call under its plain name: the macro above gives it the right symbol. Older ones have the plain name no more.
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call && is_newest(&entries[i])) {
            fprintf(f, "CUresult %s(", header_name(&entries[i]));
            write_params(f, &entries[i]);
            fprintf(f, ");\n");
        }
    fprintf(f, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

void write_prototypes_h(FILE *f)
{
    fprintf(f, "#ifndef GN_CUDA_PROTOTYPES_H\n#define GN_CUDA_PROTOTYPES_H\n#include \"remoting/cuda_types.h\"\n");
    write_prototypes(f, true);
    fprintf(f, "#endif\n");
}
