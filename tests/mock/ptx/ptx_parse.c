// SPDX-License-Identifier: Apache-2.0
// The parser of a module: directives, functions, and the texts one after the other.
#include "ptx_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ptx_type_info ptx_types[PT_COUNT] = {
    [PT_NONE] = {"", 0, PK_BITS},         [PT_PRED] = {"pred", 0, PK_PRED},
    [PT_B8] = {"b8", 1, PK_BITS},         [PT_U8] = {"u8", 1, PK_UNSIGNED},
    [PT_S8] = {"s8", 1, PK_SIGNED},       [PT_B16] = {"b16", 2, PK_BITS},
    [PT_U16] = {"u16", 2, PK_UNSIGNED},   [PT_S16] = {"s16", 2, PK_SIGNED},
    [PT_F16] = {"f16", 2, PK_FLOAT},      [PT_BF16] = {"bf16", 2, PK_FLOAT},
    [PT_B32] = {"b32", 4, PK_BITS},       [PT_U32] = {"u32", 4, PK_UNSIGNED},
    [PT_S32] = {"s32", 4, PK_SIGNED},     [PT_F32] = {"f32", 4, PK_FLOAT},
    [PT_F16X2] = {"f16x2", 4, PK_FLOAT},  [PT_BF16X2] = {"bf16x2", 4, PK_FLOAT},
    [PT_TF32] = {"tf32", 4, PK_BITS},     [PT_U16X2] = {"u16x2", 4, PK_UNSIGNED},
    [PT_S16X2] = {"s16x2", 4, PK_SIGNED}, [PT_B64] = {"b64", 8, PK_BITS},
    [PT_U64] = {"u64", 8, PK_UNSIGNED},   [PT_S64] = {"s64", 8, PK_SIGNED},
    [PT_F64] = {"f64", 8, PK_FLOAT},      [PT_B128] = {"b128", 16, PK_BITS},
    [PT_E4M3X2] = {"e4m3x2", 2, PK_BITS}, [PT_E5M2X2] = {"e5m2x2", 2, PK_BITS},
};

enum ptx_class ptx_class_of(enum ptx_type type)
{
    switch (ptx_types[type].bytes) {
    case 0: return PC_PRED;
    case 1:
    case 2: return PC_16;
    case 4: return PC_32;
    default: return PC_64;
    }
}

enum ptx_type ptx_type_named(const char *text, size_t size)
{
    for (int t = PT_PRED; t < PT_COUNT; t++)
        if (strlen(ptx_types[t].name) == size && !memcmp(ptx_types[t].name, text, size))
            return (enum ptx_type)t;
    return PT_NONE;
}

static void fail_va(struct ptx_parser *p, int error, unsigned line, unsigned column, const char *format,
                    va_list args)
{
    if (p->failed)
        return;
    p->failed = error;
    p->error->unit = p->unit;
    p->error->line = line;
    p->error->column = column;
    vsnprintf(p->error->text, sizeof p->error->text, format, args);
}

void ptx_fail(struct ptx_parser *p, int error, unsigned line, unsigned column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_va(p, error, line, column, format, args);
    va_end(args);
}

void ptx_fail_here(struct ptx_parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_va(p, -EINVAL, p->lex.now.line, p->lex.now.column, format, args);
    va_end(args);
}

void *ptx_keep(struct ptx_parser *p, size_t size_bytes)
{
    void *memory = ptx_arena_alloc(p->m->arena, size_bytes);
    if (!memory)
        ptx_fail(p, -ENOMEM, p->lex.now.line, p->lex.now.column, "no memory for the module");
    return memory;
}

void ptx_next(struct ptx_parser *p)
{
    ptx_lex_next(&p->lex);
    if (p->lex.now.kind == TK_BAD)
        ptx_fail_here(p, "%s", p->lex.now.reason);
}

bool ptx_accept(struct ptx_parser *p, unsigned punct)
{
    if (p->failed || !ptx_is_punct(&p->lex.now, punct))
        return false;
    ptx_next(p);
    return true;
}

static void describe(const struct ptx_token *t, char *out, size_t size)
{
    if (t->kind == TK_END)
        snprintf(out, size, "the end of the text");
    else if (t->kind == TK_PUNCT)
        snprintf(out, size, "'%c'", t->punct > 255 ? (int)(t->punct >> 8) : (int)t->punct);
    else
        snprintf(out, size, "%s%.*s", t->kind == TK_DOT ? "." : "", t->size > 60 ? 60 : (int)t->size,
                 t->kind >= TK_INT ? "a number or string" : t->text);
    if (t->kind == TK_INT || t->kind == TK_FLOAT)
        snprintf(out, size, "a number");
    if (t->kind == TK_STRING)
        snprintf(out, size, "a string");
}

bool ptx_expect(struct ptx_parser *p, unsigned punct)
{
    if (ptx_accept(p, punct))
        return true;
    char found[96];
    describe(&p->lex.now, found, sizeof found);
    ptx_fail_here(p, "'%c' is missing before %s", (int)punct, found);
    return false;
}

bool ptx_accept_dot(struct ptx_parser *p, const char *text)
{
    if (p->failed || !ptx_token_is(&p->lex.now, TK_DOT, text))
        return false;
    ptx_next(p);
    return true;
}

bool ptx_expect_name(struct ptx_parser *p, struct ptx_token *name)
{
    *name = p->lex.now;
    if (!p->failed && name->kind == TK_NAME) {
        if (name->size > PTX_NAME_BYTES_MAX) {
            ptx_fail_here(p, "a name of %u bytes", name->size);
            return false;
        }
        ptx_next(p);
        return !p->failed;
    }
    char found[96];
    describe(name, found, sizeof found);
    ptx_fail_here(p, "a name is missing before %s", found);
    return false;
}

static uint32_t small_int(struct ptx_parser *p, uint32_t max)
{
    int64_t v = 0;
    if (ptx_const_expr(p, &v) && (v < 0 || v > max))
        ptx_fail_here(p, "%lld is out of range", (long long)v);
    return (uint32_t)v;
}

static void three(struct ptx_parser *p, uint32_t out[3], uint32_t max)
{
    out[0] = small_int(p, max);
    out[1] = out[2] = 1;
    if (ptx_accept(p, ','))
        out[1] = small_int(p, max);
    if (ptx_accept(p, ','))
        out[2] = small_int(p, max);
}

// .version 7.5: the lexer reads 7.5 as a number, so the text is looked at again.
static void version(struct ptx_parser *p)
{
    struct ptx_token t = p->lex.now;
    if (t.kind != TK_FLOAT || t.is_single) {
        ptx_fail_here(p, ".version wants major.minor");
        return;
    }
    unsigned major = 0, minor = 0;
    const char *s = t.text;
    while (s < p->lex.end && *s >= '0' && *s <= '9' && major < 100)
        major = major * 10 + (unsigned)(*s++ - '0');
    if (s < p->lex.end && *s == '.')
        s++;
    while (s < p->lex.end && *s >= '0' && *s <= '9' && minor < 100)
        minor = minor * 10 + (unsigned)(*s++ - '0');
    p->m->version = major * 10 + minor;
    ptx_next(p);
}

static void target(struct ptx_parser *p, unsigned device_sm)
{
    do {
        struct ptx_token t;
        if (!ptx_expect_name(p, &t))
            return;
        if (t.size > 3 && !memcmp(t.text, "sm_", 3)) {
            unsigned sm = 0;
            for (uint32_t i = 3; i < t.size && t.text[i] >= '0' && t.text[i] <= '9' && sm < 10000; i++)
                sm = sm * 10 + (unsigned)(t.text[i] - '0');
            p->m->target_sm = sm;
            if (sm > device_sm)
                ptx_fail(p, -EINVAL, t.line, t.column, "the module is for sm_%u, the device is sm_%u", sm,
                         device_sm);
        }
    } while (ptx_accept(p, ','));
}

// .section .debug_info { ... } and @@DWARF lines: debug information, of no use here.
static void skip_section(struct ptx_parser *p)
{
    ptx_next(p);
    if (!ptx_expect(p, '{'))
        return;
    unsigned depth = 1;
    while (!p->failed && depth && p->lex.now.kind != TK_END) {
        depth += ptx_is_punct(&p->lex.now, '{');
        depth -= ptx_is_punct(&p->lex.now, '}');
        ptx_next(p);
    }
    if (depth)
        ptx_fail_here(p, "a section that does not end");
}

static void skip_line(struct ptx_parser *p, unsigned line)
{
    while (!p->failed && p->lex.now.kind != TK_END && p->lex.now.line == line)
        ptx_next(p);
}

static uint8_t builtin_named(const char *name)
{
    static const char *const names[] = {"", "vprintf", "__assertfail", "malloc", "free"};
    for (uint8_t i = 1; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return i;
    return PTX_BUILTIN_NONE;
}

static void performance_directives(struct ptx_parser *p, struct ptx_function *f)
{
    uint32_t unused[3];
    while (!p->failed && p->lex.now.kind == TK_DOT) {
        if (ptx_accept_dot(p, "maxntid")) {
            three(p, unused, 1u << 16);
            uint64_t total = (uint64_t)unused[0] * unused[1] * unused[2];
            f->max_threads = total && total < 1024 ? (uint32_t)total : 1024;
        } else if (ptx_accept_dot(p, "reqntid")) {
            three(p, f->reqntid, 1u << 16);
            uint64_t total = (uint64_t)f->reqntid[0] * f->reqntid[1] * f->reqntid[2];
            f->max_threads = total && total < 1024 ? (uint32_t)total : 1024;
        } else if (ptx_accept_dot(p, "reqnctapercluster")) {
            three(p, f->cluster, 1u << 16);
        } else if (ptx_accept_dot(p, "minnctapersm") || ptx_accept_dot(p, "maxnctapersm") ||
                   ptx_accept_dot(p, "maxnreg") || ptx_accept_dot(p, "maxclusterrank")) {
            small_int(p, UINT32_MAX);
        } else if (ptx_accept_dot(p, "noreturn") || ptx_accept_dot(p, "explicitcluster") ||
                   ptx_accept_dot(p, "blocksareclusters")) {
        } else if (ptx_accept_dot(p, "abi_preserve") || ptx_accept_dot(p, "abi_preserve_control")) {
            small_int(p, UINT32_MAX);
        } else if (ptx_accept_dot(p, "pragma")) {
            do
                ptx_next(p);
            while (ptx_accept(p, ','));
            ptx_expect(p, ';');
        } else {
            ptx_fail_here(p, "the directive .%.*s is not known here", (int)p->lex.now.size, p->lex.now.text);
        }
    }
}

// A function seen before by that name: a forward declaration to be completed, or a repetition to be checked.
static struct ptx_function *merge_function(struct ptx_parser *p, struct ptx_function *f,
                                           const struct ptx_token *name)
{
    struct ptx_name *known = ptx_names_find(&p->names, name->text, name->size);
    if (!known) {
        if (p->funcs.count >= PTX_FUNCS_MAX) {
            ptx_fail(p, -E2BIG, name->line, name->column, "more than %d functions", PTX_FUNCS_MAX);
            return NULL;
        }
        f->index = p->funcs.count;
        struct ptx_function **slot = ptx_vec_push(&p->funcs);
        known = slot ? ptx_names_add(&p->names, f->name, name->size, 0) : NULL;
        if (!known) {
            ptx_fail(p, -ENOMEM, name->line, name->column, "no memory for the module");
            return NULL;
        }
        *slot = f;
        known->kind = NK_FUNC;
        known->value = f;
        return f;
    }
    if (known->kind != NK_FUNC) {
        ptx_fail(p, -EINVAL, name->line, name->column, "%s is already a variable", f->name);
        return NULL;
    }
    struct ptx_function *old = known->value;
    if (!ptx_same_signature(old, f)) {
        ptx_fail(p, -EINVAL, name->line, name->column, "%s was declared with other parameters", f->name);
        return NULL;
    }
    f->has_linkage |= old->has_linkage;
    f->is_weak |= old->is_weak;
    if (old->is_defined) { // only its signature is needed from here on; a second body is looked at by the
                           // caller
        old->has_linkage = f->has_linkage;
        return old;
    }
    f->index = old->index;
    f->same_as = old->same_as;
    *old = *f;
    return old;
}

static void function(struct ptx_parser *p, bool is_entry, struct ptx_linkage l)
{
    struct ptx_func *holder = ptx_keep(p, sizeof *holder);
    if (!holder)
        return;
    struct ptx_function *f = &holder->f;
    f->module = p->m;
    f->is_entry = is_entry;
    f->has_linkage = l.visible || l.external || l.weak;
    f->is_extern = l.external;
    f->is_weak = l.weak;
    f->max_threads = 1024;
    ptx_build_reset(p, f);
    p->b.depth = 1;
    while (ptx_accept_dot(p, "attribute") || ptx_accept_dot(p, "noinline")) { // .attribute(.unified(...))
        if (ptx_accept(p, '('))
            while (!p->failed && !ptx_accept(p, ')') && p->lex.now.kind != TK_END)
                ptx_next(p);
    }
    if (!is_entry && ptx_accept(p, '('))
        ptx_param_list(p, f, true);
    struct ptx_token name;
    if (!ptx_expect_name(p, &name))
        return;
    f->at = (struct ptx_place){p->unit, name.line, name.column};
    f->name = ptx_arena_string(p->m->arena, name.text, name.size);
    if (!f->name)
        ptx_fail_here(p, "no memory for the module");
    if (!p->failed && ptx_accept(p, '('))
        ptx_param_list(p, f, false);
    performance_directives(p, f);
    if (p->failed)
        return;
    f = merge_function(p, f, &name);
    if (!f)
        return;
    if (ptx_accept(p, ';')) {
        if (l.external && !f->is_defined)
            f->builtin = builtin_named(f->name);
    } else if (l.external) {
        ptx_fail(p, -EINVAL, name.line, name.column, "%s is .extern and has a body", f->name);
    } else if (f->is_defined || f->same_as) {
        ptx_fail(p, -EINVAL, name.line, name.column, "%s is defined twice", f->name);
    } else {
        f->is_extern = false;
        f->is_defined = true;
        f->builtin = PTX_BUILTIN_NONE;
        ptx_body(p, f);
        if (is_entry && !p->failed) {
            struct ptx_function **slot = ptx_vec_push(&p->entries);
            if (slot)
                *slot = f;
            else
                ptx_fail_here(p, "no memory for the module");
        }
    }
    ptx_names_leave(&p->names, 1);
    p->b.depth = 0;
    p->b.f = NULL;
}

static void alias(struct ptx_parser *p)
{
    struct ptx_token name, of;
    if (!ptx_expect_name(p, &name) || !ptx_expect(p, ',') || !ptx_expect_name(p, &of) || !ptx_expect(p, ';'))
        return;
    struct ptx_name *to = ptx_names_find(&p->names, of.text, of.size);
    if (!to || to->kind != NK_FUNC) {
        ptx_fail(p, -EINVAL, of.line, of.column, ".alias of %.*s, which is no function", (int)of.size,
                 of.text);
        return;
    }
    struct ptx_name *from = ptx_names_find(&p->names, name.text, name.size);
    if (!from) {
        from = ptx_names_add(&p->names, name.text, name.size, 0);
        if (!from) {
            ptx_fail_here(p, "no memory for the module");
            return;
        }
        from->kind = NK_FUNC;
        from->value = to->value;
        return;
    }
    struct ptx_function *f = from->kind == NK_FUNC ? from->value : NULL;
    if (!f || f == to->value || f->is_defined || f->same_as)
        ptx_fail(p, -EINVAL, name.line, name.column, "%s cannot be an .alias: it is something already",
                 from->kind == NK_FUNC ? f->name : "a variable");
    else if (!ptx_same_signature(f, to->value))
        ptx_fail(p, -EINVAL, name.line, name.column, "%s was declared with other parameters", f->name);
    else
        f->same_as = to->value;
}

static void directive(struct ptx_parser *p, unsigned device_sm)
{
    struct ptx_linkage linkage = {0};
    for (;;) {
        if (ptx_accept_dot(p, "visible"))
            linkage.visible = true;
        else if (ptx_accept_dot(p, "extern"))
            linkage.external = true;
        else if (ptx_accept_dot(p, "weak"))
            linkage.weak = true;
        else if (ptx_accept_dot(p, "common"))
            linkage.common = true;
        else
            break;
    }
    struct ptx_token t = p->lex.now;
    if (p->failed)
        return;
    if (t.kind != TK_DOT) {
        ptx_fail_here(p, "a directive is missing");
        return;
    }
    ptx_next(p);
    static const struct {
        const char *name;
        enum ptx_var_space space;
    } spaces[] = {{"global", PV_GLOBAL}, {"const", PV_CONST}, {"shared", PV_SHARED}};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (ptx_token_is(&t, TK_DOT, spaces[i].name)) {
            ptx_decl_var(p, spaces[i].space, linkage);
            return;
        }
    if (ptx_token_is(&t, TK_DOT, "version"))
        version(p);
    else if (ptx_token_is(&t, TK_DOT, "target"))
        target(p, device_sm);
    else if (ptx_token_is(&t, TK_DOT, "address_size")) {
        if (small_int(p, 64) != 64)
            ptx_fail(p, -EINVAL, t.line, t.column, "only 64-bit addresses are supported");
    } else if (ptx_token_is(&t, TK_DOT, "entry"))
        function(p, true, linkage);
    else if (ptx_token_is(&t, TK_DOT, "func"))
        function(p, false, linkage);
    else if (ptx_token_is(&t, TK_DOT, "file") || ptx_token_is(&t, TK_DOT, "loc"))
        skip_line(p, t.line);
    else if (ptx_token_is(&t, TK_DOT, "section"))
        skip_section(p);
    else if (ptx_token_is(&t, TK_DOT, "alias"))
        alias(p);
    else if (ptx_token_is(&t, TK_DOT, "pragma")) {
        while (!p->failed && !ptx_accept(p, ';') && p->lex.now.kind != TK_END)
            ptx_next(p);
    } else
        ptx_fail(p, -EINVAL, t.line, t.column, "the directive .%.*s is not supported", (int)t.size, t.text);
}

static void parse_unit(struct ptx_parser *p, const struct ptx_text *text, unsigned device_sm)
{
    struct ptx_module *m = p->m;
    const unsigned version = m->version, target_sm = m->target_sm;
    const uint32_t funcs = p->funcs.count, vars = p->vars.count, shared = p->shared_all.count;
    size_t size_bytes = text->size_bytes;
    while (size_bytes && !text->text[size_bytes - 1]) // fatbins pad with NULs
        size_bytes--;
    m->version = m->target_sm = 0;
    ptx_lex_start(&p->lex, text->text, size_bytes);
    if (p->lex.now.kind == TK_BAD)
        ptx_fail_here(p, "%s", p->lex.now.reason);
    while (!p->failed && p->lex.now.kind != TK_END) {
        if (ptx_is_punct(&p->lex.now, '@')) // @@DWARF
            skip_line(p, p->lex.now.line);
        else if (ptx_accept(p, ';'))
            continue;
        else
            directive(p, device_sm);
    }
    if (!p->failed && !p->m->version)
        ptx_fail(p, -EINVAL, 1, 1, "the text has no .version");
    if (!p->failed && !p->m->target_sm)
        ptx_fail(p, -EINVAL, 1, 1, "the text has no .target");
    if (!p->failed && ptx_resolve_relocs(p, vars))
        ptx_unit_end(p, funcs, vars, shared);
    m->version = m->version > version ? m->version : version;
    m->target_sm = m->target_sm > target_sm ? m->target_sm : target_sm;
}

static void keep_lists(struct ptx_parser *p)
{
    bool no_memory = false;
    struct ptx_module *m = p->m;
    m->funcs = ptx_vec_keep(&p->funcs, m->arena, &no_memory);
    m->func_count = p->funcs.count;
    m->entries = ptx_vec_keep(&p->entries, m->arena, &no_memory);
    m->entry_count = p->entries.count;
    m->vars = ptx_vec_keep(&p->vars, m->arena, &no_memory);
    m->var_count = p->vars.count;
    if (no_memory)
        ptx_fail_here(p, "no memory for the module");
}

static int check_texts(const struct ptx_text *texts, size_t count, struct ptx_error *error)
{
    size_t left = PTX_TEXT_BYTES_MAX;
    if (!count || count > PTX_TEXTS_MAX) {
        snprintf(error->text, sizeof error->text, "%zu texts; a module has 1 to %d", count, PTX_TEXTS_MAX);
        return count ? -E2BIG : -EINVAL;
    }
    for (size_t i = 0; i < count; left -= texts[i++].size_bytes)
        if (texts[i].size_bytes > left) {
            error->unit = (unsigned)i;
            snprintf(error->text, sizeof error->text, "more than %d bytes of text", PTX_TEXT_BYTES_MAX);
            return -E2BIG;
        }
    return 0;
}

static int parser_init(struct ptx_parser *p, struct ptx_module *m, struct ptx_stmt *stmt,
                       struct ptx_error *error)
{
    p->m = m;
    p->error = error;
    p->stmt = stmt;
    p->funcs.item_bytes = p->entries.item_bytes = p->vars.item_bytes = p->shared_all.item_bytes =
        sizeof(void *);
    int r = ptx_names_init(&p->names, PTX_SCOPE_DEPTH_MAX + 2);
    r = r ? r : ptx_names_init(&p->exports, 1);
    return r ? r : ptx_build_init(&p->b);
}

static void parser_free(struct ptx_parser *p)
{
    ptx_names_free(&p->names);
    ptx_names_free(&p->exports);
    ptx_build_free(&p->b);
    ptx_vec_free(&p->funcs);
    ptx_vec_free(&p->entries);
    ptx_vec_free(&p->vars);
    ptx_vec_free(&p->shared_all);
}

int ptx_parse_many(const struct ptx_text *texts, size_t count, unsigned target_sm, struct ptx_module **out,
                   struct ptx_error *error)
{
    *out = NULL;
    *error = (struct ptx_error){0};
    int result = check_texts(texts, count, error);
    if (result)
        return result;
    struct ptx_arena *arena = ptx_arena_new(PTX_ARENA_BYTES_MAX);
    struct ptx_parser *p = calloc(1, sizeof *p);
    struct ptx_stmt *stmt = calloc(1, sizeof *stmt);
    struct ptx_module *m = arena ? ptx_arena_alloc(arena, sizeof *m) : NULL;
    result = -ENOMEM;
    if (m && p && stmt && !parser_init(p, m, stmt, error)) {
        m->arena = arena;
        for (p->unit = 0; p->unit < count && !p->failed; p->unit++)
            parse_unit(p, &texts[p->unit], target_sm);
        p->unit = (uint32_t)count - 1;
        if (!p->failed && ptx_units_join(p) && ptx_layout_module(p))
            keep_lists(p);
        result = p->failed;
    }
    for (int i = 0; stmt && i < PTX_OPERANDS_MAX; i++)
        ptx_vec_free(&stmt->opd[i].list);
    if (p)
        parser_free(p);
    free(stmt);
    free(p);
    if (result)
        ptx_arena_free(arena);
    else
        *out = m;
    return result;
}

int ptx_parse(const char *text, size_t size_bytes, unsigned target_sm, struct ptx_module **out,
              struct ptx_error *error)
{
    return ptx_parse_many(&(struct ptx_text){text, size_bytes}, 1, target_sm, out, error);
}

void ptx_free(struct ptx_module *module)
{
    if (module)
        ptx_arena_free(module->arena);
}
