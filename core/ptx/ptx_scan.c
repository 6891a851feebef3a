// SPDX-License-Identifier: Apache-2.0
// PTX text in tokens.
#include "core/ptx/ptx_scan.h"

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void skip_blanks(struct gn_ptx_scan *s)
{
    while (s->at < s->end) {
        uint64_t left = (uint64_t)(s->end - s->at);
        if (is_blank(*s->at)) {
            s->at++;
        } else if (left >= 2 && s->at[0] == '/' && s->at[1] == '/') {
            gn_ptx_skip_line(s);
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

static const char *behind_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && p + 1 < end)
            p++;
    return p < end ? p + 1 : end;
}

static const char *behind_word(const char *p, const char *end, bool parts)
{
    while (p < end && gn_ptx_is_name(*p))
        p++;
    while (parts) { // of an opcode
        while (p < end && (gn_ptx_is_name(*p) || *p == '.'))
            p++;
        if (end - p < 3 || p[0] != ':' || p[1] != ':' || !gn_ptx_is_name(p[2])) // a single one ends a label
            return p;
        p += 2;
    }
    return p;
}

struct gn_ptx_token gn_ptx_token(struct gn_ptx_scan *s)
{
    skip_blanks(s);
    const char *p = s->at;
    struct gn_ptx_token t = {.at = p};
    if (p == s->end)
        return t;
    if (*p == '"') {
        t.kind = GN_PTX_STRING;
        p = behind_string(p, s->end);
    } else if (*p == '.' || gn_ptx_is_name(*p)) {
        t.kind = *p == '.' ? GN_PTX_DIRECTIVE : gn_ptx_is_digit(*p) ? GN_PTX_NUMBER : GN_PTX_WORD;
        p = behind_word(p + 1, s->end, t.kind == GN_PTX_WORD);
    } else {
        t.kind = GN_PTX_OTHER;
        p++;
    }
    t.length = p - t.at > UINT32_MAX ? UINT32_MAX : (uint32_t)(p - t.at);
    s->at = p;
    return t;
}

bool gn_ptx_skip_block(struct gn_ptx_scan *s)
{
    for (uint64_t depth = 1; depth;) {
        struct gn_ptx_token t = gn_ptx_token(s);
        if (t.kind == GN_PTX_END)
            return false;
        depth += gn_ptx_is_char(&t, '{');
        depth -= gn_ptx_is_char(&t, '}');
    }
    return true;
}

void gn_ptx_skip_line(struct gn_ptx_scan *s)
{
    const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));
    s->at = newline ? newline + 1 : s->end;
}

void gn_ptx_skip_statement(struct gn_ptx_scan *s)
{
    struct gn_ptx_token t;
    do
        t = gn_ptx_token(s);
    while (t.kind != GN_PTX_END && !gn_ptx_is_char(&t, ';'));
}
