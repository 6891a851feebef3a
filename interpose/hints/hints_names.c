// SPDX-License-Identifier: Apache-2.0
// The kernels and callers that were met, by name: what a report needs to say why a rule matched nothing.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/hints/glob.h"
#include "interpose/hints/hints_rules.h"
#include "interpose/module/layout.h"

enum { ALIKE_BYTES = 3 }; // fewer common letters at the beginning make no names alike

// Guards the lists; nothing is called under it.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gn_hint_kernel kernels[GN_HINT_KERNELS_MAX];
static uint32_t kernel_count;
static char *libraries[GN_HINT_LIBRARIES_MAX];
static uint32_t library_count;

static void describe(struct gn_hint_kernel *k, uint64_t rules, const struct gn_layout *layout)
{
    k->rules = rules;
    k->arguments = layout->count;
    for (uint32_t i = 0; i < layout->count && i < GN_HINT_ARGUMENTS_MAX; i++)
        k->args[i].pointer = layout->params[i].size_bytes == 8;
}

struct gn_hint_kernel *gn_hint_kernel_named(const char *name, uint64_t rules, const struct gn_layout *layout)
{
    struct gn_hint_kernel *k = NULL;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < kernel_count && !k; i++)
        k = strcmp(kernels[i].name, name) ? NULL : &kernels[i];
    if (!k && kernel_count < GN_HINT_KERNELS_MAX && (kernels[kernel_count].name = strdup(name))) {
        k = &kernels[kernel_count++];
        describe(k, rules, layout);
    }
    pthread_mutex_unlock(&lock);
    return k;
}

uint32_t gn_hint_kernels(struct gn_hint_kernel **first)
{
    pthread_mutex_lock(&lock);
    uint32_t count = kernel_count;
    pthread_mutex_unlock(&lock);
    *first = kernels;
    return count;
}

void gn_hint_count_library(const char *name)
{
    bool known = false;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < library_count; i++)
        known |= !strcmp(libraries[i], name);
    if (!known && library_count < GN_HINT_LIBRARIES_MAX && (libraries[library_count] = strdup(name)))
        library_count++;
    pthread_mutex_unlock(&lock);
}

void gn_hints_forked(void) { pthread_mutex_init(&lock, NULL); }

// --- why a rule matched nothing

// The kernel whose name is nearest to a glob: by its letters without the wildcards, else by how far they begin alike.
static const char *nearest_kernel(const char *glob)
{
    static const char *names[GN_HINT_KERNELS_MAX];
    char letters[GN_GLOB_BYTES_MAX + 1];
    size_t n = 0, best = 0;
    for (const char *at = glob; *at && n + 1 < sizeof letters; at++)
        if (*at != '*' && *at != '?')
            letters[n++] = *at;
    letters[n] = 0;
    for (uint32_t i = 0; i < kernel_count; i++)
        names[i] = kernels[i].name;
    const char *near = gn_config_nearest(letters, n, names, kernel_count), *alike = NULL;
    for (uint32_t i = 0; i < kernel_count; i++) {
        size_t same = 0;
        while (same < n && names[i][same] == letters[same])
            same++;
        if (same > best && same >= ALIKE_BYTES) {
            best = same;
            alike = names[i];
        }
    }
    return near ? near : alike;
}

static void why_no_kernel(const struct gn_hint_match *m, char why[GN_HINT_WHY_BYTES])
{
    const char *near = kernel_count ? nearest_kernel(m->kernel) : NULL;
    if (near)
        snprintf(why, GN_HINT_WHY_BYTES, "no kernel that ran matches \"%.100s\"; the nearest name is \"%.100s\"", m->kernel, near);
    else
        snprintf(why, GN_HINT_WHY_BYTES, kernel_count ? "no kernel that ran matches \"%.100s\"" : "no kernel ran, and the rule names \"%.100s\"",
                 m->kernel);
}

static void why_no_allocation(uint32_t index, const struct gn_hint_match *m, char why[GN_HINT_WHY_BYTES])
{
    static const char *const conditions[GN_MISSES] = {"size", "order", "library"};
    const struct gn_hint_counts *c = &gn_hint_counts[index + 1];
    int worst = 0;
    for (int i = 1; i < GN_MISSES; i++)
        if (c->missed[i] > c->missed[worst])
            worst = i;
    uint64_t all = gn_hint_counts[0].allocations, missed = c->missed[0] + c->missed[1] + c->missed[2];
    if (!all) {
        snprintf(why, GN_HINT_WHY_BYTES, "there was no allocation");
    } else if (missed >= all) {
        size_t n = (size_t)snprintf(why, GN_HINT_WHY_BYTES, "%s fits none of the %llu allocations", conditions[worst], (unsigned long long)all);
        for (uint32_t i = 0; worst == GN_MISS_LIBRARY && i < library_count && n + 1 < GN_HINT_WHY_BYTES; i++)
            n += (size_t)snprintf(why + n, GN_HINT_WHY_BYTES - n, "%s%.60s", i ? ", " : "; their callers were ", libraries[i]);
    } else {
        static const char *const lacks[] = {[GN_WRITER_ANY] = "got into the argument that it names",
                                            [GN_WRITER_HOST] = "had its first copy from the host",
                                            [GN_WRITER_KERNEL] = "was a kernel's before any copy",
                                            [GN_WRITER_COPY] = "had its first copy from device memory"};
        snprintf(why, GN_HINT_WHY_BYTES, "none of the %llu allocations that it fits %s", (unsigned long long)(all - missed), lacks[m->writer]);
    }
}

void gn_hint_unmatched(uint32_t index, char why[GN_HINT_WHY_BYTES])
{
    const struct gn_hint_match *m = &gn_hint_rules.hints->regions[index].match;
    const struct gn_hint_counts *c = &gn_hint_counts[index + 1];
    bool ran = !m->kernel;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < kernel_count; i++)
        ran |= kernels[i].rules >> index & 1;
    if (!(gn_hint_rules.all >> index & 1))
        snprintf(why, GN_HINT_WHY_BYTES, "its env does not hold");
    else if (c->taken)
        snprintf(why, GN_HINT_WHY_BYTES, "all that it matches belongs to rules in front of it");
    else if (!ran)
        why_no_kernel(m, why);
    else if (m->kernel && c->no_pointer)
        snprintf(why, GN_HINT_WHY_BYTES, "an argument that it names is no pointer of %.100s, or that has fewer; they count from 0", c->no_pointer);
    else if (m->kernel && !c->missed[0] && !c->missed[1] && !c->missed[2])
        snprintf(why, GN_HINT_WHY_BYTES, "the arguments that it names pointed to no allocation");
    else
        why_no_allocation(index, m, why);
    pthread_mutex_unlock(&lock);
}
