// SPDX-License-Identifier: Apache-2.0
// The kernels of a PTX text and the layout of their parameters.
//
// A scanner, not a parser: outside of braces it looks for .entry and reads the parameter list behind it;
// bodies are skipped by counting braces. One pass, each byte is looked at a fixed number of times, whatever
// the text.
#include "core/image/image.h"

#include <errno.h>
#include <string.h>

struct scan {
    const char *start, *at, *end;
    struct gn_image_error *error;
};

struct token {
    const char *at;
    uint32_t length; // 0 at the end of the text
};

static int refuse(const struct scan *s, int code, const char *at, const char *reason)
{
    *s->error = (struct gn_image_error){.reason = reason, .offset_bytes = (uint64_t)(at - s->start)};
    return code;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

// Steps over blanks and comments. A comment may end with the text.
static void skip_blanks(struct scan *s)
{
    while (s->at < s->end) {
        uint64_t left = (uint64_t)(s->end - s->at);
        if (is_blank(*s->at)) {
            s->at++;
        } else if (left >= 2 && s->at[0] == '/' && s->at[1] == '/') {
            const char *newline = memchr(s->at, '\n', left);
            s->at = newline ? newline + 1 : s->end;
        } else if (left >= 2 && s->at[0] == '/' && s->at[1] == '*') {
            const char *p = s->at + 2;
            while (s->end - p >= 2 && !(p[0] == '*' && p[1] == '/'))
                p++;
            s->at = s->end - p >= 2 ? p + 2 : s->end;
        } else {
            return;
        }
    }
}

// The next token: a word, a directive with its dot, a whole string, or one other character.
static int next_token(struct scan *s, struct token *t)
{
    skip_blanks(s);
    const char *p = s->at;
    *t = (struct token){.at = p};
    if (p == s->end)
        return 0;
    if (*p == '"') {
        for (p++; p < s->end && *p != '"'; p++) {
            if (*p == '\\' && p + 1 < s->end)
                p++;
        }
        if (p == s->end)
            return refuse(s, -EINVAL, t->at, "string without an end");
        p++;
    } else {
        bool word = *p == '.' || *p == '%' || is_word(*p);
        p++;
        while (word && p < s->end && is_word(*p))
            p++;
    }
    if (p - t->at > UINT32_MAX)
        return refuse(s, -EINVAL, t->at, "token longer than any text");
    t->length = (uint32_t)(p - t->at);
    s->at = p;
    return 0;
}

static bool is(const struct token *t, const char *text)
{
    return strlen(text) == t->length && memcmp(t->at, text, t->length) == 0;
}

// Behind an opening brace: steps behind its partner.
static int skip_block(struct scan *s, const char *opening)
{
    uint64_t depth = 1;
    struct token t;
    while (depth) {
        int rc = next_token(s, &t);
        if (rc < 0)
            return rc;
        if (!t.length)
            return refuse(s, -EINVAL, opening, "brace without its partner");
        depth += is(&t, "{");
        depth -= is(&t, "}");
    }
    return 0;
}

static const struct type {
    const char *name;
    uint32_t size_bytes;
} types[] = {
    {".b8", 1},    {".u8", 1},     {".s8", 1},      {".b16", 2},        {".u16", 2}, {".s16", 2},
    {".f16", 2},   {".bf16", 2},   {".b32", 4},     {".u32", 4},        {".s32", 4}, {".f32", 4},
    {".f16x2", 4}, {".bf16x2", 4}, {".b64", 8},     {".u64", 8},        {".s64", 8}, {".f64", 8},
    {".b128", 16}, {".texref", 8}, {".surfref", 8}, {".samplerref", 8}, // references are passed as handles
};

static uint32_t type_bytes(const struct token *t)
{
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        if (is(t, types[i].name))
            return types[i].size_bytes;
    }
    return 0;
}

// A number as PTX writes it, decimal, octal or hexadecimal with an optional U; anything above the largest
// parameter is refused alike.
static bool read_number(const struct token *t, uint32_t *value)
{
    const char *p = t->at, *end = t->at + t->length;
    uint32_t base = 10;
    if (end - p > 1 && end[-1] == 'U')
        end--;
    if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
    } else if (end - p > 1 && p[0] == '0') {
        base = 8;
    }
    *value = 0;
    for (; p < end; p++) {
        uint32_t digit = is_digit(*p)             ? (uint32_t)(*p - '0')
                         : *p >= 'a' && *p <= 'f' ? (uint32_t)(*p - 'a' + 10)
                         : *p >= 'A' && *p <= 'F' ? (uint32_t)(*p - 'A' + 10)
                                                  : 99;
        if (digit >= base)
            return false;
        *value = *value * base + digit;
        if (*value > GN_IMAGE_PARAM_BYTES_MAX)
            return false;
    }
    return t->length > 0;
}

static int expect_number(struct scan *s, uint32_t *value)
{
    struct token t;
    int rc = next_token(s, &t);
    if (rc < 0)
        return rc;
    if (!read_number(&t, value) || !*value)
        return refuse(s, -EINVAL, t.at, "number from 1 to the largest parameter expected");
    return 0;
}

struct declared { // one parameter as it is written
    uint32_t element_bytes, align_bytes;
    uint64_t size_bytes;
};

// Between .param and the name: type, vector width, alignment; behind .ptr they are the pointee's. *name gets
// the first word without a dot.
static int read_attributes(struct scan *s, struct declared *d, struct token *name)
{
    bool pointee = false;
    uint32_t width = 1, align;
    for (;;) {
        int rc = next_token(s, name);
        if (rc < 0)
            return rc;
        if (!name->length || *name->at != '.')
            break;
        if (is(name, ".align")) {
            rc = expect_number(s, &align);
            if (rc < 0)
                return rc;
            if (align & (align - 1))
                return refuse(s, -EINVAL, name->at, "alignment that is not a power of two");
            if (!pointee)
                d->align_bytes = align;
        } else if (is(name, ".ptr")) {
            pointee = true;
        } else if (is(name, ".v2") || is(name, ".v4")) {
            width = (uint32_t)(name->at[2] - '0');
        } else if (type_bytes(name)) {
            if (d->element_bytes)
                return refuse(s, -EINVAL, name->at, "parameter with two types");
            d->element_bytes = type_bytes(name);
        } else if (!pointee || !(is(name, ".global") || is(name, ".const") || is(name, ".shared") ||
                                 is(name, ".local"))) {
            return refuse(s, -EINVAL, name->at, "unknown attribute of a parameter");
        }
    }
    if (!d->element_bytes)
        return refuse(s, -EINVAL, name->at, "parameter without a type");
    d->element_bytes *= width;
    d->size_bytes = d->element_bytes;
    if (!d->align_bytes)
        d->align_bytes = d->element_bytes;
    return 0;
}

// One parameter behind its .param; *t gets the token behind it.
static int read_param(struct scan *s, struct declared *d, struct token *t)
{
    *d = (struct declared){0};
    int rc = read_attributes(s, d, t);
    if (rc < 0)
        return rc;
    if (!t->length || !(is_word(*t->at) || *t->at == '%'))
        return refuse(s, -EINVAL, t->at, "name of a parameter expected");
    for (;;) {
        uint32_t count;
        rc = next_token(s, t);
        if (rc < 0 || !is(t, "["))
            return rc;
        rc = expect_number(s, &count);
        if (rc < 0)
            return rc;
        d->size_bytes *= count;
        if (d->size_bytes > GN_IMAGE_PARAM_BYTES_MAX)
            return refuse(s, -E2BIG, t->at, "parameter larger than a parameter block");
        rc = next_token(s, t);
        if (rc < 0)
            return rc;
        if (!is(t, "]"))
            return refuse(s, -EINVAL, t->at, "] expected");
    }
}

// Behind the opening parenthesis of an entry.
static int read_params(struct scan *s, struct gn_ptx_entry *entry, struct gn_image_param *params,
                       uint32_t max)
{
    struct token t;
    int rc = next_token(s, &t);
    if (rc < 0)
        return rc;
    if (is(&t, ")"))
        return 0;
    for (;;) {
        struct declared d;
        if (!is(&t, ".param"))
            return refuse(s, -EINVAL, t.at, ".param expected");
        const char *at = t.at;
        rc = read_param(s, &d, &t);
        if (rc < 0)
            return rc;
        uint64_t offset = ((uint64_t)entry->param_bytes + d.align_bytes - 1) & ~((uint64_t)d.align_bytes - 1);
        if (offset + d.size_bytes > GN_IMAGE_PARAM_BYTES_MAX)
            return refuse(s, -E2BIG, at, "more parameter bytes than a kernel may have");
        if (params && entry->param_count >= max)
            return refuse(s, -ENOSPC, at, "more parameters than the caller has room for");
        if (params)
            params[entry->param_count] = (struct gn_image_param){(uint32_t)offset, (uint32_t)d.size_bytes};
        entry->param_count++;
        entry->param_bytes = (uint32_t)(offset + d.size_bytes);
        if (is(&t, ")"))
            return 0;
        if (!is(&t, ","))
            return refuse(s, -EINVAL, t.at, ", or ) expected");
        rc = next_token(s, &t);
        if (rc < 0)
            return rc;
    }
}

// Behind .entry. 1 = a definition was read and skipped, 0 = only a declaration.
static int read_entry(struct scan *s, struct gn_ptx_entry *entry, struct gn_image_param *params, uint32_t max)
{
    struct token t;
    int rc = next_token(s, &t);
    if (rc < 0)
        return rc;
    if (!t.length || !(is_word(*t.at) || *t.at == '%'))
        return refuse(s, -EINVAL, t.at, "name of an entry expected");
    *entry = (struct gn_ptx_entry){.name = t.at, .name_bytes = t.length};
    rc = next_token(s, &t);
    if (rc == 0 && is(&t, "(")) {
        rc = read_params(s, entry, params, max);
        if (rc == 0)
            rc = next_token(s, &t);
    }
    // Performance directives (.maxntid, .pragma) stand between the parameters and the body.
    while (rc == 0 && t.length && !is(&t, "{") && !is(&t, ";"))
        rc = next_token(s, &t);
    if (rc < 0)
        return rc;
    if (!t.length)
        return refuse(s, -EINVAL, entry->name, "entry without a body or a semicolon");
    if (is(&t, ";"))
        return 0;
    rc = skip_block(s, t.at);
    return rc < 0 ? rc : 1;
}

void gn_ptx_begin(struct gn_ptx_iter *it, const char *text, uint64_t size_bytes)
{
    *it = (struct gn_ptx_iter){.text = text, .size_bytes = strnlen(text, size_bytes)};
}

static struct scan scan_from(struct gn_ptx_iter *it)
{
    return (struct scan){.start = it->text,
                         .at = it->text + it->at_bytes,
                         .end = it->text + it->size_bytes,
                         .error = &it->error};
}

int gn_ptx_next(struct gn_ptx_iter *it, struct gn_ptx_entry *entry, struct gn_image_param *params,
                uint32_t max)
{
    struct scan s = scan_from(it);
    struct token t;
    *entry = (struct gn_ptx_entry){0};
    if (it->error.reason)
        return -EINVAL;
    int rc;
    do {
        rc = next_token(&s, &t);
        if (rc < 0 || !t.length)
            break;
        if (is(&t, "{"))
            rc = skip_block(&s, t.at);
        else if (is(&t, "}"))
            rc = refuse(&s, -EINVAL, t.at, "brace without its partner");
        else if (is(&t, ".entry"))
            rc = read_entry(&s, entry, params, max);
    } while (rc == 0);
    it->at_bytes = (uint64_t)(s.at - s.start);
    return rc;
}

bool gn_ptx_is_text(const char *text, uint64_t size_bytes)
{
    struct gn_image_error ignored;
    struct scan s = {.start = text, .at = text, .end = text + size_bytes, .error = &ignored};
    struct token t;
    return next_token(&s, &t) == 0 && is(&t, ".version");
}

uint32_t gn_ptx_target(const char *text, uint64_t size_bytes)
{
    struct gn_ptx_iter it;
    gn_ptx_begin(&it, text, size_bytes);
    struct scan s = scan_from(&it);
    struct token t;
    while (next_token(&s, &t) == 0 && t.length && !is(&t, "{")) {
        if (!is(&t, ".target"))
            continue;
        uint32_t sm = 0;
        if (next_token(&s, &t) < 0 || t.length < 4 || memcmp(t.at, "sm_", 3) != 0)
            return 0;
        for (uint32_t i = 3; i < t.length && is_digit(t.at[i]) && sm < 1000; i++)
            sm = sm * 10 + (uint32_t)(t.at[i] - '0');
        return sm;
    }
    return 0;
}

int gn_image_params_ptx(const char *text, uint64_t size_bytes, const char *name,
                        struct gn_image_param *params, uint32_t max, struct gn_ptx_entry *entry,
                        struct gn_image_error *error)
{
    struct gn_ptx_iter it;
    int rc;
    gn_ptx_begin(&it, text, size_bytes);
    // Other entries are only counted, so that one with more parameters than the caller has room for is no
    // obstacle.
    for (;;) {
        uint64_t before = it.at_bytes;
        rc = gn_ptx_next(&it, entry, NULL, 0);
        if (rc <= 0) {
            rc = rc == 0 ? -ENOENT : rc;
            break;
        }
        if (strlen(name) == entry->name_bytes && memcmp(name, entry->name, entry->name_bytes) == 0) {
            it.at_bytes = before;
            rc = gn_ptx_next(&it, entry, params, max);
            rc = rc > 0 ? 0 : rc;
            break;
        }
    }
    if (error)
        *error = it.error;
    return rc;
}
