// SPDX-License-Identifier: Apache-2.0
// Variables of a cubin: the data objects of its symbol table that lie in its global memory (.nv.global, .nv.global.init) or in the constant bank
// of its module (.nv.constant3; bank 0 is a kernel's, named after it).
#include "tests/mock/mock_cubin_vars.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image_bytes.h"

enum { SECTION_BYTES = 64, SYMBOL_BYTES = 24, TYPE_SYMBOLS = 2, TYPE_NO_BITS = 8, SYMBOL_OBJECT = 1, VARS_MAX = 1 << 20 };

struct file {
    const uint8_t *data;
    uint64_t size_bytes, sections_at;
    uint32_t section_count, names_index;
};

struct section {
    uint32_t name, type, link;
    uint64_t at, size_bytes;
};

static bool section(const struct file *f, uint32_t index, struct section *s)
{
    if (index >= f->section_count)
        return false;
    const uint8_t *at = f->data + f->sections_at + (uint64_t)index * SECTION_BYTES;
    *s = (struct section){.name = gn_load_u32(at), .type = gn_load_u32(at + 4), .link = gn_load_u32(at + 40),
                          .at = gn_load_u64(at + 24), .size_bytes = gn_load_u64(at + 32)};
    return s->type == TYPE_NO_BITS || gn_span_within(f->size_bytes, s->at, s->size_bytes);
}

// A text of a table of texts, or NULL when it does not end there.
static const char *text(const struct file *f, uint32_t table, uint64_t offset)
{
    struct section s;
    if (!section(f, table, &s) || s.type == TYPE_NO_BITS || offset >= s.size_bytes)
        return NULL;
    const char *start = (const char *)f->data + s.at + offset;
    return memchr(start, 0, s.size_bytes - offset) ? start : NULL;
}

static bool open_file(struct file *f, const uint8_t *data, uint64_t size_bytes)
{
    if (size_bytes < SECTION_BYTES) // the header has as many
        return false;
    *f = (struct file){.data = data, .size_bytes = size_bytes, .sections_at = gn_load_u64(data + 40),
                       .section_count = gn_load_u16(data + 60), .names_index = gn_load_u16(data + 62)};
    if (!gn_span_within(size_bytes, f->sections_at, SECTION_BYTES))
        return false;
    const uint8_t *first = data + f->sections_at; // holds what does not fit into the header
    if (!f->section_count && gn_load_u64(first + 32) <= UINT32_MAX)
        f->section_count = (uint32_t)gn_load_u64(first + 32);
    if (f->names_index == 0xffff)
        f->names_index = gn_load_u32(first + 40);
    return gn_span_within(size_bytes, f->sections_at, (uint64_t)f->section_count * SECTION_BYTES);
}

static bool holds_variables(const char *name, bool *is_constant)
{
    *is_constant = !strcmp(name, ".nv.constant3");
    return *is_constant || !strcmp(name, ".nv.global") || !strcmp(name, ".nv.global.init");
}

// What a symbol stands for. 0: no variable; 1; -EINVAL.
static int variable(const struct file *f, const struct section *symbols, const uint8_t *symbol, struct mock_cubin_var *var)
{
    struct section home;
    uint64_t value = gn_load_u64(symbol + 8);
    var->size_bytes = gn_load_u64(symbol + 16);
    if ((symbol[4] & 15) != SYMBOL_OBJECT || !var->size_bytes || !section(f, gn_load_u16(symbol + 6), &home))
        return 0;
    const char *where = text(f, f->names_index, home.name);
    if (!where || !holds_variables(where, &var->is_constant))
        return 0;
    var->name = text(f, symbols->link, gn_load_u32(symbol));
    if (!var->name || !gn_span_within(home.size_bytes, value, var->size_bytes))
        return -EINVAL;
    var->initial = home.type == TYPE_NO_BITS ? NULL : f->data + home.at + value;
    return 1;
}

int mock_cubin_vars(const uint8_t *data, uint64_t size_bytes, struct mock_cubin_var **vars, size_t *count)
{
    struct file f;
    struct section symbols;
    size_t room = 0;
    *vars = NULL;
    *count = 0;
    if (!open_file(&f, data, size_bytes))
        return -EINVAL;
    for (uint32_t i = 0; i < f.section_count; i++) {
        if (!section(&f, i, &symbols) || symbols.type != TYPE_SYMBOLS)
            continue;
        for (uint64_t at = 0; symbols.size_bytes - at >= SYMBOL_BYTES; at += SYMBOL_BYTES) {
            struct mock_cubin_var var;
            int r = variable(&f, &symbols, f.data + symbols.at + at, &var);
            if (r == 1 && *count == room) {
                room = room ? 2 * room : 16;
                struct mock_cubin_var *more = room > VARS_MAX ? NULL : realloc(*vars, room * sizeof *more);
                r = more ? 1 : -ENOMEM;
                *vars = more ? more : *vars;
            }
            if (r < 0) {
                free(*vars);
                *vars = NULL;
                *count = 0;
                return r;
            }
            if (r)
                (*vars)[(*count)++] = var;
        }
    }
    return 0;
}
