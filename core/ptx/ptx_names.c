// SPDX-License-Identifier: Apache-2.0
// Names in PTX and what their values may be made of: one table with open addressing. Names of a function are of its generation, so that
// forgetting them is a number; those of the module stay.
#include "core/ptx/ptx_writes_parts.h"

enum {
    EMPTY = 0,
    MODULE = 1,     // generations of functions begin behind it
    PROBES_MAX = 64 // names that fall on one place: a text that makes more do so is not worth the time
};

static uint32_t hash_of(const char *name, uint32_t length)
{
    uint32_t h = 0x811c9dc5u; // FNV-1a
    for (uint32_t i = 0; i < length; i++)
        h = (h ^ (uint8_t)name[i]) * 0x01000193u;
    return h ^ h >> 15;
}

// The name's cell, or the one that it would get (*found false), or NULL.
static struct gn_ptx_cell *place_of(struct gn_ptx_walk *walk, const char *name, uint32_t length, uint32_t hash, bool *found)
{
    *found = false;
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        struct gn_ptx_cell *cell = &walk->cells[(hash + i) & (walk->cell_count - 1)];
        if (cell->generation != MODULE && cell->generation != walk->generation)
            return cell;
        if (cell->hash == hash && cell->length == length && memcmp(cell->name, name, length) == 0) {
            *found = true;
            return cell;
        }
    }
    return NULL;
}

struct gn_ptx_cell *gn_ptx_find(struct gn_ptx_walk *walk, const char *name, uint32_t length)
{
    bool found;
    struct gn_ptx_cell *cell = place_of(walk, name, length, hash_of(name, length), &found);
    return found ? cell : NULL;
}

struct gn_ptx_cell *gn_ptx_name(struct gn_ptx_walk *walk, const char *name, uint32_t length, uint8_t kind, bool module)
{
    bool found;
    uint32_t hash = hash_of(name, length);
    struct gn_ptx_cell *cell = place_of(walk, name, length, hash, &found);
    if (!cell)
        return NULL;
    if (found) { // two declarations in two scopes: it may be either
        cell->kind |= kind;
        return cell;
    }
    if (walk->used >= walk->cell_count - walk->cell_count / 4)
        return NULL;
    walk->used++;
    *cell = (struct gn_ptx_cell){.name = name, .length = length, .hash = hash, .kind = kind,
                                 .generation = module ? MODULE : walk->generation};
    if (module)
        walk->module_used = walk->used;
    return cell;
}

void gn_ptx_forget_names(struct gn_ptx_walk *walk)
{
    walk->generation++;
    walk->used = walk->module_used;
}

struct gn_ptx_cell *gn_ptx_operand(struct gn_ptx_walk *walk, const char *name, uint32_t length)
{
    const char *dot = memchr(name, '.', length);
    if (dot)
        length = (uint32_t)(dot - name);
    struct gn_ptx_cell *cell = gn_ptx_find(walk, name, length);
    if (cell && cell->kind & GN_NAME_REGISTER)
        return cell;
    uint32_t stem = length;
    while (stem && gn_ptx_is_digit(name[stem - 1]))
        stem--;
    const struct gn_ptx_cell *range = stem && stem < length ? gn_ptx_find(walk, name, stem) : NULL;
    if (range && range->kind & GN_NAME_RANGE)
        return gn_ptx_name(walk, name, length, GN_NAME_REGISTER, false);
    return cell && cell->kind & ~GN_NAME_RANGE ? cell : NULL;
}

// Special registers that hold 32 bits, or count: no part of an address.
static bool is_harmless_special(const struct gn_ptx_token *t)
{
    static const char *const stems[] = {"%tid",       "%ntid",          "%ctaid",  "%nctaid", "%laneid", "%warpid",
                                        "%nwarpid",   "%smid",          "%nsmid",  "%gridid", "%clock",  "%clock_hi",
                                        "%clusterid", "%nclusterid",    "%cluster_ctaid", "%cluster_nctaid",
                                        "%cluster_ctarank", "%cluster_nctarank", "%dynamic_smem_size", "%total_smem_size",
                                        "%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt"};
    const char *dot = memchr(t->at, '.', t->length);
    struct gn_ptx_token stem = {.at = t->at, .length = dot ? (uint32_t)(dot - t->at) : t->length};
    for (unsigned i = 0; i < sizeof stems / sizeof *stems; i++)
        if (gn_ptx_is(&stem, stems[i]))
            return true;
    return gn_ptx_is(&stem, "WARP_SZ");
}

uint64_t gn_ptx_value(const struct gn_ptx_cell *cell, const struct gn_ptx_token *t)
{
    if (!cell)
        return is_harmless_special(t) ? 0 : GN_SET_UNKNOWN;
    if (!(cell->kind & GN_NAME_REGISTER))
        return cell->set | GN_SET_OBJECT;
    return cell->kind & ~(GN_NAME_REGISTER | GN_NAME_RANGE) ? GN_SET_UNKNOWN : cell->set; // one name for two things
}
