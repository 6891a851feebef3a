// SPDX-License-Identifier: Apache-2.0
// What apigen writes for the server's side: the table of driver functions and the dispatch of each command.
#include "remoting/apigen/apigen.h"

#include <string.h>

void write_driver_h(FILE *f)
{
    fprintf(f, "#ifndef GN_API_DRIVER_H\n#define GN_API_DRIVER_H\n#include \"remoting/cuda_types.h\"\n\n"
               "// A driver's functions, NULL where it lacks one.\nstruct gn_driver_calls {\n");
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call) {
            fprintf(f, "    CUresult (*%s)(", entries[i].name);
            write_params(f, &entries[i]);
            fprintf(f, ");\n");
        }
    fprintf(f, "};\n\nstruct gn_driver_symbol {\n    const char *name;\n    size_t offset_bytes;\n};\n"
               "extern const struct gn_driver_symbol gn_driver_symbols[];\nextern const unsigned gn_driver_symbol_count;\n#endif\n");
}

void write_driver_c(FILE *f)
{
    fprintf(f, "#include \"api_driver.h\"\n\nconst struct gn_driver_symbol gn_driver_symbols[] = {\n");
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call)
            fprintf(f, "    {\"%s\", offsetof(struct gn_driver_calls, %s)},\n", entries[i].name, entries[i].name);
    fprintf(f, "};\nconst unsigned gn_driver_symbol_count = sizeof gn_driver_symbols / sizeof *gn_driver_symbols;\n");
}

// A call that is generated whole: find the handles, call the driver, keep what it made.
static void write_plain_dispatch(FILE *f, const struct entry *e)
{
    fprintf(f, "    CUresult r = CUDA_ERROR_NOT_SUPPORTED;\n");
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        if (a->kind == HANDLE)
            fprintf(f, "    %s %s;\n    if (!gn_find_%s(w, q, a.%s, &%s))\n        return gn_request_dropped(w, q);\n", a->type, a->name, a->object, a->name, a->name);
        else if (a->kind == NEW)
            fprintf(f, "    void *made_%s = NULL;\n", a->name);
    }
    fprintf(f, "    if (w->driver.calls.%s)\n        r = w->driver.calls.%s(", e->name, e->name);
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        fprintf(f, "%s", i ? ", " : "");
        if (a->kind == NEW)
            fprintf(f, "(%s)(void *)&made_%s", a->type, a->name);
        else if (a->kind == HANDLE)
            fprintf(f, "%s", a->name);
        else if (a->out)
            fprintf(f, "&o.%s", a->name);
        else
            fprintf(f, "(%s)a.%s", a->type, a->name);
    }
    fprintf(f, ");\n");
    for (int i = 0; i < e->arg_count; i++)
        if (e->args[i].kind == NEW)
            fprintf(f, "    r = gn_keep(w, q, GN_KIND_%s, a.%s, r ? NULL : made_%s, r);\n", kind_name(e->args[i].object), e->args[i].name, e->args[i].name);
}

// The commands whose server part is written by hand.
void write_run_h(FILE *f)
{
    fprintf(f, "#ifndef GN_API_RUN_H\n#define GN_API_RUN_H\n#include \"server/worker/dispatch.h\"\n#include \"api_wire.h\"\n\n");
    for (int i = 0; i < entry_count; i++)
        if (entries[i].hand)
            fprintf(f, "CUresult gn_run_%s(struct gn_worker *w, struct gn_request *q, const struct gn_args_%s *a, struct gn_out_%s *o);\n",
                    entries[i].name, entries[i].name, entries[i].name);
    fprintf(f, "#endif\n");
}

void write_dispatch(FILE *f)
{
    fprintf(f, "#include \"api_run.h\"\n");
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (!is_wired(e))
            continue;
        fprintf(f, "\nstatic int run_%s(struct gn_worker *w, struct gn_request *q, struct gn_cursor *body)\n{\n    struct gn_args_%s a;\n    struct gn_out_%s o = {0};\n"
                   "    if (!gn_codecs[GN_OP_%s].decode(body, &a))\n        return gn_request_malformed(w, q);\n", e->name, e->name, e->name, e->name);
        if (e->hand)
            fprintf(f, "    CUresult r = gn_run_%s(w, q, &a, &o);\n", e->name);
        else
            write_plain_dispatch(f, e);
        fprintf(f, "    return gn_request_finish(w, q, r, &o);\n}\n");
    }
    fprintf(f, "\nint (*const gn_dispatch[GN_OPS])(struct gn_worker *, struct gn_request *, struct gn_cursor *) = {\n");
    for (int i = 0; i < entry_count; i++)
        if (is_wired(&entries[i]))
            fprintf(f, "    [GN_OP_%s] = run_%s,\n", entries[i].name, entries[i].name);
    fprintf(f, "};\n");
}

// The mock: every symbol enters through one gate (initialisation, context, faults on demand) and goes on to mock_SYMBOL.
void write_mock_h(FILE *f)
{
    fprintf(f, "#ifndef GN_API_MOCK_H\n#define GN_API_MOCK_H\n#include \"remoting/cuda_types.h\"\n\n");
    for (int i = 0; i < entry_count; i++)
        if (entries[i].is_call && is_implemented(&entries[i])) {
            fprintf(f, "CUresult mock_%s(", entries[i].name);
            write_params(f, &entries[i]);
            fprintf(f, ");\n");
        }
    fprintf(f, "#endif\n");
}

void write_mock(FILE *f)
{
    fprintf(f, "#include \"tests/mock/mock.h\"\n#include \"api_mock.h\"\n#include \"include/cuda_prototypes.h\"\n");
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i], *t = e->of ? entry_of(e->of) : e;
        for (int v = 0; v < 1 + !!e->variant && e->is_call; v++) {
            fprintf(f, "\nGN_EXPORT CUresult %s%s%s(", e->name, v ? "_" : "", v ? e->variant : "");
            write_params(f, e);
            fprintf(f, ")\n{\n    CUresult r = mock_enter(GN_OP_%s, %s);\n    if (r == CUDA_SUCCESS)\n        r = ", t->name,
                    v ? "CU_STREAM_PER_THREAD" : "CU_STREAM_LEGACY");
            if (t->class == UNSUPPORTED) {
                fprintf(f, "CUDA_ERROR_NOT_SUPPORTED;\n");
                for (int k = 0; k < e->arg_count; k++)
                    fprintf(f, "    (void)%s;\n", e->args[k].name);
            } else {
                fprintf(f, "mock_%s(", t->name);
                write_arguments(f, e, v);
                fprintf(f, ");\n");
            }
            fprintf(f, "    return mock_leave(GN_OP_%s, r);\n}\n", t->name);
        }
    }
}
