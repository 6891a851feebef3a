// SPDX-License-Identifier: Apache-2.0
// The walk over a PTX module: its names, its device functions in the order of the text (one that calls another comes behind it, or
// the call is unknown), and its kernels.
#include "core/ptx/ptx_writes.h"

#include <errno.h>

#include "core/ptx/ptx_writes_parts.h"

struct header { // of a function or kernel, up to its body
    struct gn_ptx_token name;
    uint32_t formal_count;
    bool has_body, strange;
};

void gn_ptx_writes_begin(struct gn_ptx_walk *walk, const char *text, uint64_t size_bytes, struct gn_ptx_cell *cells,
                         uint32_t cell_count)
{
    memset(cells, 0, cell_count * sizeof *cells);
    walk->text = text;
    walk->size_bytes = strnlen(text, size_bytes);
    walk->at_bytes = 0;
    walk->cells = cells;
    walk->cell_count = cell_count;
    walk->used = walk->module_used = walk->func_count = 0;
    walk->generation = 2; // behind those of no name and of the module's
    walk->lost = false;
}

static uint8_t scalar_bytes(const struct gn_ptx_token *t)
{
    static const char *const wide[] = {".b64", ".u64", ".s64", ".f64", ".texref", ".surfref", ".samplerref"};
    for (unsigned i = 0; i < sizeof wide / sizeof *wide; i++)
        if (gn_ptx_is(t, wide[i]))
            return 8;
    return 0;
}

// A list of parameters or results, behind its parenthesis.
static void read_list(struct gn_ptx_body *body, struct gn_ptx_scan *s, struct header *h, uint8_t kind)
{
    struct gn_ptx_walk *walk = body->walk;
    unsigned brackets = 0;
    uint8_t scalar = 0;
    struct gn_ptx_formal *formal = NULL;
    for (;;) {
        struct gn_ptx_token t = gn_ptx_token(s);
        if (t.kind == GN_PTX_END || gn_ptx_is_char(&t, ')'))
            return;
        if (gn_ptx_is_char(&t, '[')) {
            brackets++;
            if (formal)
                formal->scalar_bytes = 0;
        } else if (gn_ptx_is_char(&t, ']')) {
            brackets -= brackets > 0;
        } else if (gn_ptx_is_char(&t, ',') && !brackets) {
            scalar = 0;
            formal = NULL;
        } else if (t.kind == GN_PTX_DIRECTIVE) {
            h->strange |= gn_ptx_is(&t, ".reg");
            if (scalar_bytes(&t))
                scalar = scalar_bytes(&t);
        } else if (t.kind == GN_PTX_WORD && !brackets) {
            struct gn_ptx_cell *cell = gn_ptx_name(walk, t.at, t.length, (uint8_t)(GN_NAME_SYMBOL | kind), false);
            uint32_t *count = kind == GN_NAME_FORMAL ? &h->formal_count : &body->return_count;
            uint32_t most = kind == GN_NAME_FORMAL ? GN_PTX_PARAMS_MAX : GN_PTX_RETURNS_MAX;
            if (!cell || formal || *count >= most) {
                h->strange = true;
                continue;
            }
            (*count)++;
            if (kind == GN_NAME_RETURN) {
                body->returns[*count - 1] = cell;
                continue;
            }
            cell->index = (uint16_t)(*count - 1);
            formal = &walk->formals[*count - 1];
            *formal = (struct gn_ptx_formal){.scalar_bytes = scalar};
        }
    }
}

// From behind .entry or .func to behind the brace that opens the body, or the semicolon of a declaration.
static struct header read_header(struct gn_ptx_body *body, struct gn_ptx_scan *s)
{
    struct header h = {0};
    for (;;) {
        struct gn_ptx_token t = gn_ptx_token(s);
        if (t.kind == GN_PTX_END || gn_ptx_is_char(&t, ';'))
            return h;
        if (gn_ptx_is_char(&t, '{')) {
            h.has_body = true;
            return h;
        }
        if (t.kind == GN_PTX_WORD && !h.name.at)
            h.name = t;
        else if (gn_ptx_is_char(&t, '('))
            read_list(body, s, &h, h.name.at ? GN_NAME_FORMAL : GN_NAME_RETURN);
    }
}

// Over the body until nothing changes, and once more for the writes.
static void analyse(struct gn_ptx_body *body, struct gn_ptx_scan text)
{
    unsigned passes = 0;
    do {
        body->changed = false;
        gn_ptx_pass(body, text);
    } while (body->changed && ++passes < GN_PTX_PASSES_MAX);
    if (body->changed)
        gn_ptx_give_up(body);
    body->settled = true;
    gn_ptx_pass(body, text);
}

// Where a kernel's parameters lie.
static bool lay_out(struct gn_ptx_walk *walk, uint64_t at_bytes, const struct header *h)
{
    struct gn_ptx_iter it;
    struct gn_ptx_entry entry;
    gn_ptx_begin(&it, walk->text, walk->size_bytes);
    it.at_bytes = at_bytes;
    if (gn_ptx_next(&it, &entry, walk->params, GN_PTX_PARAMS_MAX) != 1 || entry.name != h->name.at ||
        entry.param_count != h->formal_count)
        return false;
    for (uint32_t i = 0; i < h->formal_count; i++)
        walk->formals[i].offset_bytes = (uint16_t)walk->params[i].offset_bytes;
    return true;
}

static void report(const struct gn_ptx_body *body, const struct header *h, struct gn_ptx_writes *writes)
{
    *writes = (struct gn_ptx_writes){.name = h->name.at, .name_bytes = h->name.length,
                                     .unknown = body->writes & GN_SET_UNKNOWN};
    for (uint32_t i = 0; !writes->unknown && i < body->word_count; i++)
        if (body->writes >> i & 1)
            writes->word_bytes[writes->word_count++] = body->word_bytes[i];
}

// The effects of a device function, for who calls it later.
static void remember(struct gn_ptx_walk *walk, const struct gn_ptx_body *body, const struct header *h)
{
    struct gn_ptx_func func = {.writes = body->writes, .param_count = h->formal_count};
    for (uint32_t i = 0; i < body->return_count; i++)
        func.returns |= body->returns[i]->set | (body->returns[i]->kind & GN_NAME_PIECES ? GN_SET_UNKNOWN : 0);
    gn_ptx_forget_names(walk);
    struct gn_ptx_cell *cell = gn_ptx_name(walk, h->name.at, h->name.length, GN_NAME_SYMBOL, true);
    if (!cell) {
        walk->lost = true;
        return;
    }
    bool again = cell->kind & GN_NAME_FUNCTION;
    if (again) { // defined twice
        walk->funcs[cell->index].writes = walk->funcs[cell->index].returns = GN_SET_UNKNOWN;
    } else if (walk->func_count < GN_PTX_FUNCS_MAX) {
        cell->kind |= GN_NAME_FUNCTION;
        cell->index = (uint16_t)walk->func_count;
        walk->funcs[walk->func_count++] = func;
    }
}

// A function or kernel, from behind its directive. 1: a kernel, with *writes; 0: something else.
static int read_function(struct gn_ptx_walk *walk, struct gn_ptx_scan *s, bool is_entry, bool is_extern,
                         struct gn_ptx_writes *writes)
{
    struct gn_ptx_body body = {.walk = walk, .is_entry = is_entry};
    uint64_t at_bytes = (uint64_t)(s->at - walk->text) - strlen(".entry");
    gn_ptx_forget_names(walk);
    struct header h = read_header(&body, s);
    if (!h.has_body || !h.name.at) {
        gn_ptx_forget_names(walk);
        uint8_t kind = (uint8_t)(GN_NAME_SYMBOL | (is_extern ? GN_NAME_EXTERN : 0));
        walk->lost |= h.name.at && !gn_ptx_name(walk, h.name.at, h.name.length, kind, true);
        return h.has_body && !gn_ptx_skip_block(s) ? -EINVAL : 0;
    }
    struct gn_ptx_scan text = *s;
    if (!gn_ptx_skip_block(s))
        return -EINVAL;
    text.end = s->at - 1;
    if (walk->lost || h.strange || (is_entry && !lay_out(walk, at_bytes, &h)))
        gn_ptx_give_up(&body);
    analyse(&body, text);
    if (is_entry)
        report(&body, &h, writes);
    else
        remember(walk, &body, &h);
    gn_ptx_forget_names(walk);
    return is_entry;
}

// What is not a function: names of variables, and what is stepped over.
static int read_other(struct gn_ptx_walk *walk, struct gn_ptx_scan *s, const struct gn_ptx_token *t)
{
    static const char *const variables[] = {".global", ".const", ".shared", ".local", ".tex"};
    if (gn_ptx_is(t, ".file") || gn_ptx_is(t, ".loc")) {
        gn_ptx_skip_line(s);
        return 0;
    }
    if (gn_ptx_is(t, ".reg")) // of every function
        walk->lost = true;
    if (gn_ptx_is_char(t, '{'))
        return gn_ptx_skip_block(s) ? 0 : -EINVAL;
    for (unsigned i = 0; i < sizeof variables / sizeof *variables; i++)
        if (gn_ptx_is(t, variables[i]))
            walk->lost |= !gn_ptx_declare(walk, s, GN_NAME_SYMBOL, true);
    return 0;
}

int gn_ptx_writes_next(struct gn_ptx_walk *walk, struct gn_ptx_writes *writes)
{
    struct gn_ptx_scan s = {walk->text + walk->at_bytes, walk->text + walk->size_bytes};
    bool is_extern = false;
    int r = 0;
    while (r == 0) {
        struct gn_ptx_token t = gn_ptx_token(&s);
        if (t.kind == GN_PTX_END)
            break;
        bool is_entry = gn_ptx_is(&t, ".entry");
        if (is_entry || gn_ptx_is(&t, ".func"))
            r = read_function(walk, &s, is_entry, is_extern, writes);
        else
            r = read_other(walk, &s, &t);
        is_extern = gn_ptx_is(&t, ".extern");
    }
    walk->at_bytes = (uint64_t)(s.at - walk->text);
    return r;
}
