// SPDX-License-Identifier: Apache-2.0
// The lexer of PTX: one token at a time out of a text that need not end with a NUL.
#ifndef GN_TESTS_MOCK_PTX_LEX_H
#define GN_TESTS_MOCK_PTX_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ptx_token_kind {
    TK_END,
    TK_NAME, // identifiers, %registers, $labels
    TK_DOT,  // .directive or .modifier: text without the dot, "shared::cta" whole
    TK_INT,
    TK_FLOAT,  // number is the bits of a double, or of a float when is_single
    TK_STRING, // text between the quotes, escapes not resolved
    TK_PUNCT,  // one character in `punct`, or two as PTX_PUNCT2
    TK_BAD,
};
#define PTX_PUNCT2(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

struct ptx_token {
    uint8_t kind;
    bool is_single; // TK_FLOAT written as 0f...
    bool is_unsigned;
    unsigned punct;
    const char *text;
    uint32_t size;
    unsigned line, column;
    uint64_t number;
    const char *reason; // TK_BAD
};

struct ptx_lex {
    const char *at, *end, *line_start;
    unsigned line;
    struct ptx_token now; // the token to be read next
};

void ptx_lex_start(struct ptx_lex *lex, const char *text, size_t size_bytes);
void ptx_lex_next(struct ptx_lex *lex); // moves to the next token

static inline bool ptx_is_punct(const struct ptx_token *t, unsigned c)
{
    return t->kind == TK_PUNCT && t->punct == c;
}
bool ptx_token_is(const struct ptx_token *t, enum ptx_token_kind kind, const char *text);

#endif
