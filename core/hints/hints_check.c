// SPDX-License-Identifier: Apache-2.0
// Contradictions: what each key may say by itself, and all of them together may not.
#include <stdio.h>
#include <string.h>

#include "core/hints/hints.h"

enum { TEXT_BYTES = 320 };

struct checker {
    const struct gn_hints *hints;
    void (*tell)(void *context, struct gn_hint_place at, const char *text);
    void *context;
    uint32_t count;
};

static void say(struct checker *c, struct gn_hint_place at, const char *text)
{
    c->count++;
    c->tell(c->context, at, text);
}

// --- one region

static bool keeps_what_leaves(const struct gn_hint_region *r)
{
    return r->class != GN_CLASS_WEIGHTS && r->class != GN_CLASS_SCRATCH && r->class != GN_CLASS_INPUT;
}

static void check_region(struct checker *c, const struct gn_hint_region *r)
{
    char text[TEXT_BYTES];
    const struct gn_hint_match *m = &r->match;
    const char *class = gn_hint_class_names[r->class];
    if (!r->match_at.line)
        say(c, r->at, "match says nothing, so it is not known which memory this is; size = \">= 1\" would take every allocation");
    if (m->arg_count && !m->kernel)
        say(c, r->arg_at, "arg needs a kernel: it counts the arguments of the one that kernel names");
    if (r->keep == GN_KEEP_REMOTE && !keeps_what_leaves(r)) {
        snprintf(text, sizeof text, "keep = \"remote\" holds back copies to the host, and %s %s; %s", class,
                 r->class == GN_CLASS_INPUT ? "comes from there" : "is not copied there",
                 r->class == GN_CLASS_SCRATCH ? "leave it out" : "dedupe = true is what saves uploads");
        say(c, r->keep_at, text);
    }
    if (r->evict == GN_EVICT_NEVER && r->session)
        say(c, r->evict_at, "evict = \"never\" and a session contradict each other: what waits for a client that may not come back has to leave "
                            "when memory is short; \"last\" is the most there is");
    if (r->evict == GN_EVICT_NEVER && r->class == GN_CLASS_SCRATCH)
        say(c, r->evict_at, "evict = \"never\" makes no sense for scratch, whose content nobody needs");
    if (m->when == GN_WHEN_AFTER_LAUNCH && r->class == GN_CLASS_WEIGHTS && m->writer == GN_WRITER_KERNEL)
        say(c, r->match_at, "weights are written by the host, not by a kernel");
    if (r->session && r->class != GN_CLASS_KV_CACHE && r->class != GN_CLASS_ACTIVATION) {
        snprintf(text, sizeof text, "session is for what a conversation leaves at the server (kv_cache, activation), not for %s", class);
        say(c, r->session_at, text);
    }
}

// --- two regions: does the earlier one take all that the later one could?

static bool same_or_all(const char *wide, const char *narrow) // globs
{
    return !wide || (narrow && (!strcmp(wide, "*") || !strcmp(wide, narrow)));
}
static bool holds_all(const struct gn_hint_range *wide, const struct gn_hint_range *narrow)
{
    return wide->low <= narrow->low && wide->high >= narrow->high;
}

static bool args_within(const struct gn_hint_match *wide, const struct gn_hint_match *narrow)
{
    if (!wide->arg_count)
        return true;
    for (uint32_t i = 0; i < narrow->arg_count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < wide->arg_count; k++)
            found |= wide->args[k] == narrow->args[i];
        if (!found)
            return false;
    }
    return narrow->arg_count;
}

static bool envs_within(const struct gn_hint_envs *wide, const struct gn_hint_envs *narrow)
{
    for (uint32_t i = 0; i < wide->count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < narrow->count; k++)
            found |= !strcmp(wide->list[i].name, narrow->list[k].name) && !strcmp(wide->list[i].glob, narrow->list[k].glob);
        if (!found)
            return false;
    }
    return true;
}

static bool takes_all(const struct gn_hint_match *a, const struct gn_hint_match *b)
{
    bool when = a->when == GN_WHEN_ANY || (a->when == b->when && holds_all(&a->number, &b->number));
    bool writer = a->writer == GN_WRITER_ANY || a->writer == b->writer;
    bool kernel = same_or_all(a->kernel, b->kernel) && (!a->kernel || args_within(a, b));
    return holds_all(&a->size, &b->size) && when && writer && kernel && same_or_all(a->caller, b->caller) && envs_within(&a->env, &b->env);
}

static void check_pairs(struct checker *c)
{
    const struct gn_hint_region *r = c->hints->regions;
    char text[TEXT_BYTES];
    for (uint32_t i = 1; i < c->hints->region_count; i++)
        for (uint32_t k = 0; k < i; k++) {
            if (!takes_all(&r[k].match, &r[i].match))
                continue;
            bool equal = takes_all(&r[i].match, &r[k].match);
            snprintf(text, sizeof text, "this rule never applies: the one of line %u, for %s, matches %s and comes first%s", r[k].at.line,
                     gn_hint_class_names[r[k].class], equal ? "the same" : "all that this one does",
                     equal && r[k].class != r[i].class ? "; which of the two is it?" : equal ? "" : "; put the narrower one in front");
            say(c, r[i].at, text);
            break;
        }
}

// --- phases and breakpoints

static void check_names(struct checker *c)
{
    const struct gn_hints *h = c->hints;
    char text[TEXT_BYTES];
    for (uint32_t i = 1; i < h->phase_count; i++)
        for (uint32_t k = 0; k < i; k++) {
            const struct gn_hint_phase *a = &h->phases[k], *b = &h->phases[i];
            snprintf(text, sizeof text, "there is a phase \"%.64s\" in line %u already", a->name, a->at.line);
            if (!strcmp(a->name, b->name))
                say(c, b->at, text);
            snprintf(text, sizeof text, "this phase and \"%.64s\" of line %u match the same launches", a->name, a->at.line);
            if (!strcmp(a->kernel, b->kernel) && a->grid_x.low == b->grid_x.low && a->grid_x.high == b->grid_x.high)
                say(c, b->at, text);
        }
    for (uint32_t i = 1; i < h->breakpoint_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (!strcmp(h->breakpoints[k].name, h->breakpoints[i].name)) {
                snprintf(text, sizeof text, "there is a breakpoint \"%.64s\" in line %u already", h->breakpoints[k].name, h->breakpoints[k].at.line);
                say(c, h->breakpoints[i].at, text);
                break;
            }
}

// What a breakpoint saves must be named by some rule.
static void check_saves(struct checker *c)
{
    uint32_t known = 0;
    char text[TEXT_BYTES];
    for (uint32_t i = 0; i < c->hints->region_count; i++)
        known |= 1u << c->hints->regions[i].class;
    for (uint32_t i = 0; i < c->hints->breakpoint_count; i++) {
        const struct gn_hint_breakpoint *b = &c->hints->breakpoints[i];
        for (uint32_t class = 1; class < GN_CLASSES; class++)
            if (b->save & ~known & 1u << class) {
                snprintf(text, sizeof text, "breakpoint \"%.64s\" saves %s, and no [[region]] says what that is", b->name, gn_hint_class_names[class]);
                say(c, b->at, text);
            }
    }
}

uint32_t gn_hints_contradictions(const struct gn_hints *hints, void (*tell)(void *context, struct gn_hint_place at, const char *text),
                                 void *context)
{
    struct checker c = {.hints = hints, .tell = tell, .context = context};
    for (uint32_t i = 0; i < hints->region_count; i++)
        check_region(&c, &hints->regions[i]);
    check_pairs(&c);
    check_names(&c);
    check_saves(&c);
    return c.count;
}
