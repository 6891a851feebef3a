// SPDX-License-Identifier: Apache-2.0
// The model of remoting/cuda.api that apigen's writers share. A host tool: it exits on the first error, and the system frees its memory.
#ifndef GN_REMOTING_APIGEN_H
#define GN_REMOTING_APIGEN_H

#include <stdbool.h>
#include <stdio.h>

enum { ENTRIES_MAX = 1024, ARGS_MAX = 24 };

enum class { LOCAL, CACHED, POSTED, SYNC, ALIAS, UNSUPPORTED, CLASSES };
enum kind { VAL, PTR, HANDLE, NEW, BLOB, BULK };

struct arg {
    bool out;
    enum kind kind;
    const char *object; // of HANDLE and NEW: stream, event, ...
    const char *keep;   // of NEW: the argument kept with the handle, or NULL
    const char *type;   // as in C; of a wire command u32, u64, i32
    const char *name;
    int bytes;          // on the wire: 4 or 8; 0 for PTR, BLOB, BULK
};

struct entry {
    int line, id;
    bool is_call; // else a private command
    const char *name;
    enum class class;
    int since, variant_since;
    const char *variant; // "ptds", "ptsz" or NULL
    bool noinit, ctx, async, check, blocks, hand, books;
    const char *uses, *of, *why;
    struct arg args[ARGS_MAX];
    int arg_count;
};

extern struct entry entries[ENTRIES_MAX];
extern int entry_count;
extern const char *const class_names[CLASSES];

// Has a command of its own on the wire.
static inline bool is_wired(const struct entry *e)
{
    return !e->is_call || ((e->class == CACHED || e->class == POSTED || e->class == SYNC) && !e->uses);
}
static inline bool is_implemented(const struct entry *e) { return e->class != UNSUPPORTED && e->class != ALIAS; }
const struct entry *entry_of(const char *name); // NULL when there is none
bool has_payload(const struct entry *e);

// Writes `TYPE name, TYPE name` (with types) or `name, name`; streams of a per-thread variant are mapped in the latter.
void write_params(FILE *f, const struct entry *e);
void write_arguments(FILE *f, const struct entry *e, bool per_thread);

void write_ids(FILE *f);          // api_ids.h
// "event" -> "EVENT", as in enum gn_kind.
static inline const char *kind_name(const char *object)
{
    static char name[32];
    size_t n = 0;
    for (; object[n] && n + 1 < sizeof name; n++)
        name[n] = (char)(object[n] >= 'a' && object[n] <= 'z' ? object[n] - 'a' + 'A' : object[n]);
    name[n] = 0;
    return name;
}

void write_calls(FILE *f);        // api_calls.h
void write_entries(FILE *f);      // api_entry.c
void write_proc(FILE *f);         // api_proc.c
void write_map(FILE *f);          // cuda.map
void write_cuda_h(FILE *f);       // include/cuda.h
void write_prototypes_h(FILE *f); // include/cuda_prototypes.h: every symbol under its own name
void write_wire_h(FILE *f);       // api_wire.h
void write_wire_c(FILE *f);       // api_wire.c
void write_driver_h(FILE *f);     // api_driver.h
void write_driver_c(FILE *f);     // api_driver.c
void write_run_h(FILE *f);        // api_run.h
void write_dispatch(FILE *f);     // api_dispatch.c
void write_mock_h(FILE *f);       // api_mock.h
void write_mock(FILE *f);         // api_mock.c
void write_coverage(FILE *f);     // COVERAGE.md
void write_signatures(FILE *f);   // api_signatures.c, compiled only where cuda.h is installed

#endif
