// SPDX-License-Identifier: Apache-2.0
// PTX text in tokens, for the readers of whole bodies. Private to core/ptx/.
#ifndef GN_CORE_PTX_SCAN_H
#define GN_CORE_PTX_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum gn_ptx_token_kind {
    GN_PTX_END,
    GN_PTX_WORD,      // add.s64, %rd1, %tid.x, $L__BB0_1, shared::cta: dots and double colons within are part of it
    GN_PTX_DIRECTIVE, // .reg
    GN_PTX_NUMBER,
    GN_PTX_STRING,
    GN_PTX_OTHER, // one character
};

struct gn_ptx_token {
    const char *at;
    uint32_t length;
    enum gn_ptx_token_kind kind;
};

struct gn_ptx_scan {
    const char *at, *end;
};

static inline bool gn_ptx_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool gn_ptx_is_name(char c)
{
    return gn_ptx_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%';
}

static inline bool gn_ptx_is(const struct gn_ptx_token *t, const char *text)
{
    return strlen(text) == t->length && memcmp(t->at, text, t->length) == 0;
}
static inline bool gn_ptx_is_char(const struct gn_ptx_token *t, char c)
{
    return t->kind == GN_PTX_OTHER && *t->at == c;
}

// The next token; GN_PTX_END at the end of the text. What is cut off ends with the text.
struct gn_ptx_token gn_ptx_token(struct gn_ptx_scan *s);

// Steps behind the brace that closes the one just read. False: there is none.
bool gn_ptx_skip_block(struct gn_ptx_scan *s);

// Steps over the rest of the line, or to behind the next semicolon (braces in between are part of it).
void gn_ptx_skip_line(struct gn_ptx_scan *s);
void gn_ptx_skip_statement(struct gn_ptx_scan *s);

#endif
