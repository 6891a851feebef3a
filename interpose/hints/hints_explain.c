// SPDX-License-Identifier: Apache-2.0
// GENIE_EXPLAIN: what the rules met, as JSON that `genie-ctl hints explain` shows as tables.
#include <errno.h>
#include <stdio.h>

#include "interpose/hints/hints_rules.h"
#include "interpose/options.h"
#include "interpose/stats.h"

static unsigned long long get(const _Atomic uint64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

static void put_name(FILE *f, const char *key, const char *text)
{
    fprintf(f, "\"%s\": ", key);
    gn_stats_put_text(f, text);
}

// The numbers of the bits of a set, from `first` on, as an array.
static void put_set(FILE *f, const char *key, uint64_t set, int first)
{
    fprintf(f, "\"%s\": [", key);
    for (const char *comma = ""; set; set &= set - 1, comma = ", ")
        fprintf(f, "%s%d", comma, __builtin_ctzll(set) + first);
    fprintf(f, "]");
}

static void put_sizes(FILE *f, const struct gn_hint_counts *c)
{
    const char *comma = "";
    fprintf(f, "\"allocations\": %llu, \"bytes\": %llu, \"other_sizes\": %llu, \"sizes\": [", get(&c->allocations), get(&c->bytes),
            get(&c->other_sizes));
    for (int i = 0; i < GN_HINT_SIZES_MAX; i++) {
        if (!get(&c->sizes[i].count)) // none yet, or they have all become another rule's
            continue;
        fprintf(f, "%s{\"bytes\": %llu, \"count\": %llu}", comma, get(&c->sizes[i].bytes), get(&c->sizes[i].count));
        comma = ", ";
    }
    fprintf(f, "]");
}

static void put_brought(FILE *f, const struct gn_hint_counts *c)
{
    static const char *const names[GN_SAVINGS] = {"content", "shadow_down", "shadow_up", "unchanged", "proven"};
    fprintf(f, "\"saved\": {");
    for (int i = 0; i < GN_SAVINGS; i++)
        fprintf(f, "%s\"%s\": %llu", i ? ", " : "", names[i], get(&c->saved[i]));
    fprintf(f, "}, \"why\": [");
    for (int i = 0; i < GN_HINT_REASONS_MAX; i++) {
        const char *text = atomic_load_explicit(&c->reasons[i].text, memory_order_relaxed);
        if (!text)
            break;
        fprintf(f, "%s{\"count\": %llu, ", i ? ", " : "", get(&c->reasons[i].count));
        put_name(f, "reason", text);
        fprintf(f, "}");
    }
    fprintf(f, "]");
}

static void put_rule(FILE *f, uint32_t index)
{
    const struct gn_hint_region *r = &gn_hint_rules.hints->regions[index];
    const struct gn_hint_counts *c = &gn_hint_counts[index + 1];
    char why[GN_HINT_WHY_BYTES] = "";
    fprintf(f, "%s\n    {\"rule\": %u, \"line\": %u, \"class\": \"%s\", \"dedupe\": %s, \"keep_remote\": %s, ", index ? "," : "", index + 1, r->at.line,
            gn_hint_class_names[r->class], r->dedupe ? "true" : "false", r->keep == GN_KEEP_REMOTE ? "true" : "false");
    put_sizes(f, c);
    fprintf(f, ", ");
    put_brought(f, c);
    if (!get(&c->allocations))
        gn_hint_unmatched(index, why);
    fprintf(f, ", ");
    put_name(f, "unmatched", why);
    fprintf(f, "}");
}

static void put_kernel(FILE *f, const struct gn_hint_kernel *k)
{
    fprintf(f, "{");
    put_name(f, "name", k->name);
    fprintf(f, ", \"launches\": %llu, \"arguments\": %u, ", get(&k->launches), k->arguments);
    put_set(f, "rules", k->rules, 1);
    fprintf(f, ", \"memory\": [");
    const char *comma = "";
    for (uint32_t i = 0; i < k->arguments && i < GN_HINT_ARGUMENTS_MAX; i++) {
        uint64_t last = get(&k->args[i].last);
        if (!k->args[i].pointer || !last)
            continue;
        fprintf(f, "%s{\"arg\": %u, \"bytes\": %llu, \"rule\": %u, ", comma, i, (unsigned long long)(last >> 8), (unsigned)(last & 255));
        put_set(f, "rules", get(&k->args[i].rules), 1);
        fprintf(f, "}");
        comma = ", ";
    }
    fprintf(f, "]}");
}

static void put_report(FILE *f)
{
    struct gn_hint_kernel *kernels;
    uint32_t kernel_count = gn_hint_kernels(&kernels);
    fprintf(f, "{\n  ");
    put_name(f, "program", program_invocation_short_name);
    fprintf(f, ",\n  ");
    put_name(f, "sidecar", gn_hint_rules.hints ? gn_hint_rules.path : "");
    fprintf(f, ",\n  ");
    put_name(f, "why", gn_hint_rules.hints || *gn_hint_rules.why ? gn_hint_rules.why : "there was no session with a server");
    fprintf(f, ",\n  \"all\": {");
    put_sizes(f, &gn_hint_counts[0]);
    fprintf(f, ", ");
    put_brought(f, &gn_hint_counts[0]);
    fprintf(f, "},\n  \"rules\": [");
    for (uint32_t i = 0; gn_hint_rules.hints && i < gn_hint_rules.hints->region_count; i++)
        put_rule(f, i);
    fprintf(f, "],\n  \"kernels\": [");
    for (uint32_t i = 0; i < kernel_count; i++) {
        fprintf(f, "%s\n    ", i ? "," : "");
        put_kernel(f, &kernels[i]);
    }
    fprintf(f, "]\n}\n");
}

int gn_hints_explain(const char *path)
{
    char expanded[PATH_MAX];
    int error = gn_options_path(path, expanded, sizeof expanded);
    FILE *f = error ? NULL : fopen(expanded, "we");
    if (!f)
        return error ? error : -errno;
    put_report(f);
    error = ferror(f) ? EIO : 0;
    if (fclose(f) && !error)
        error = errno;
    return -error;
}
