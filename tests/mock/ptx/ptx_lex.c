// SPDX-License-Identifier: Apache-2.0
// The lexer of PTX.
#include "ptx_lex.h"

#include <stdlib.h>
#include <string.h>

static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_alpha(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_follow(int c) { return is_alpha(c) || is_digit(c) || c == '_' || c == '$'; }

static int hex_value(int c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int peek(const struct ptx_lex *lex, size_t ahead)
{
    return (size_t)(lex->end - lex->at) > ahead ? (unsigned char)lex->at[ahead] : -1;
}

static void bad(struct ptx_lex *lex, const char *reason)
{
    lex->now.kind = TK_BAD;
    lex->now.reason = reason;
    lex->at = lex->end; // nothing can follow
}

// Blanks, line ends and both kinds of comment. False: a comment does not end.
static bool skip_blank(struct ptx_lex *lex)
{
    while (lex->at < lex->end) {
        char c = *lex->at;
        if (c == '\n') {
            lex->line++;
            lex->line_start = ++lex->at;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
            lex->at++;
        } else if (c == '/' && peek(lex, 1) == '/') {
            const char *nl = memchr(lex->at, '\n', (size_t)(lex->end - lex->at));
            lex->at = nl ? nl : lex->end;
        } else if (c == '/' && peek(lex, 1) == '*') {
            lex->at += 2;
            for (;; lex->at++) {
                if (lex->end - lex->at < 2)
                    return false;
                if (*lex->at == '\n') {
                    lex->line++;
                    lex->line_start = lex->at + 1;
                } else if (lex->at[0] == '*' && lex->at[1] == '/') {
                    lex->at += 2;
                    break;
                }
            }
        } else {
            break;
        }
    }
    return true;
}

// 0f + 8 or 0d + 16 hexadecimal digits: the bits of a float or double.
static bool float_bits(struct ptx_lex *lex, int digits)
{
    uint64_t bits = 0;
    for (int i = 0; i < digits; i++) {
        int v = hex_value(peek(lex, (size_t)i + 2));
        if (v < 0)
            return false;
        bits = bits << 4 | (unsigned)v;
    }
    if (hex_value(peek(lex, (size_t)digits + 2)) >= 0)
        return false;
    lex->now.kind = TK_FLOAT;
    lex->now.is_single = digits == 8;
    lex->now.number = bits; // kept as single bits: converting a signalling NaN to double would quiet it
    lex->at += digits + 2;
    return true;
}

static void decimal_float(struct ptx_lex *lex)
{
    char copy[64];
    size_t n = 0;
    const char *p = lex->at;
    while (p < lex->end && n < sizeof copy - 1 &&
           (is_digit(*p) || *p == '.' || *p == 'e' || *p == 'E' ||
            ((*p == '+' || *p == '-') && (p[-1] == 'e' || p[-1] == 'E'))))
        copy[n++] = *p++;
    copy[n] = 0;
    char *stop;
    double d = strtod(copy, &stop);
    if (stop != copy + n || n == sizeof copy - 1) {
        bad(lex, "a number that is not one");
        return;
    }
    lex->now.kind = TK_FLOAT;
    memcpy(&lex->now.number, &d, 8);
    lex->at = p;
}

static void number(struct ptx_lex *lex)
{
    int c1 = peek(lex, 1);
    if (*lex->at == '0' && (c1 == 'f' || c1 == 'F') && float_bits(lex, 8))
        return;
    if (*lex->at == '0' && (c1 == 'd' || c1 == 'D') && float_bits(lex, 16))
        return;
    unsigned base = 10;
    const char *p = lex->at;
    if (*p == '0' && (c1 == 'x' || c1 == 'X')) {
        base = 16;
        p += 2;
    } else if (*p == '0' && (c1 == 'b' || c1 == 'B')) {
        base = 2;
        p += 2;
    } else {
        const char *q = p;
        while (q < lex->end && is_digit(*q))
            q++;
        if (q < lex->end && ((*q == '.' && q + 1 < lex->end && is_digit(q[1])) || *q == 'e' || *q == 'E')) {
            decimal_float(lex);
            return;
        }
        if (*p == '0' && q - p > 1)
            base = 8;
    }
    const char *first = p;
    uint64_t v = 0;
    for (; p < lex->end; p++) {
        int digit = hex_value(*p);
        if (digit < 0 || (unsigned)digit >= base)
            break;
        if (v > (UINT64_MAX - (unsigned)digit) / base) {
            bad(lex, "an integer above 64 bits");
            return;
        }
        v = v * base + (unsigned)digit;
    }
    if (p == first) {
        bad(lex, "a number without digits");
        return;
    }
    if (p < lex->end && (*p == 'U' || *p == 'u')) {
        lex->now.is_unsigned = true;
        p++;
    }
    if (p < lex->end && is_follow((unsigned char)*p)) {
        bad(lex, "a number that is not one");
        return;
    }
    lex->now.kind = TK_INT;
    lex->now.number = v;
    lex->at = p;
}

static void string(struct ptx_lex *lex)
{
    const char *p = ++lex->at;
    while (p < lex->end && *p != '"' && *p != '\n')
        p += *p == '\\' && lex->end - p > 1 && p[1] != '\n' ? 2 : 1;
    if (p >= lex->end || *p != '"') {
        bad(lex, "a string that does not end on its line");
        return;
    }
    lex->now.kind = TK_STRING;
    lex->now.text = lex->at;
    lex->now.size = (uint32_t)(p - lex->at);
    lex->at = p + 1;
}

static void dotted(struct ptx_lex *lex)
{
    const char *p = lex->at + 1;
    while (p < lex->end) {
        if (is_follow((unsigned char)*p))
            p++;
        else if (*p == ':' && lex->end - p > 2 && p[1] == ':' && is_follow((unsigned char)p[2]))
            p += 2;
        else
            break;
    }
    if (p == lex->at + 1) {
        bad(lex, "a dot without a name");
        return;
    }
    lex->now.kind = TK_DOT;
    lex->now.text = lex->at + 1;
    lex->now.size = (uint32_t)(p - lex->at - 1);
    lex->at = p;
}

static void punct(struct ptx_lex *lex)
{
    static const char pairs[][3] = {"<<", ">>", "<=", ">=", "==", "!=", "&&", "||"};
    int c = (unsigned char)*lex->at, c1 = peek(lex, 1);
    lex->now.kind = TK_PUNCT;
    lex->now.punct = (unsigned)c;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i][0] == c && pairs[i][1] == c1) {
            lex->now.punct = PTX_PUNCT2(c, c1);
            lex->at += 2;
            return;
        }
    if (!strchr("()[]{}<>,;:=+-*/%&|^~!?@#", c) || !c) {
        bad(lex, "a character that PTX does not know");
        return;
    }
    lex->at++;
}

void ptx_lex_next(struct ptx_lex *lex)
{
    lex->now = (struct ptx_token){.kind = TK_END};
    bool ok = skip_blank(lex);
    lex->now.line = lex->line;
    lex->now.column = (unsigned)(lex->at - lex->line_start) + 1;
    lex->now.text = lex->at;
    if (!ok) {
        bad(lex, "a comment that does not end");
        return;
    }
    if (lex->at >= lex->end)
        return;
    int c = (unsigned char)*lex->at, c1 = peek(lex, 1);
    if (is_alpha(c) || ((c == '_' || c == '$' || c == '%') && is_follow(c1)) || c == '_') {
        const char *p = lex->at + 1;
        while (p < lex->end && is_follow((unsigned char)*p))
            p++;
        lex->now.kind = TK_NAME;
        lex->now.size = (uint32_t)(p - lex->at);
        lex->at = p;
    } else if (is_digit(c)) {
        number(lex);
    } else if (c == '"') {
        string(lex);
    } else if (c == '.') {
        dotted(lex);
    } else {
        punct(lex);
    }
}

void ptx_lex_start(struct ptx_lex *lex, const char *text, size_t size_bytes)
{
    *lex = (struct ptx_lex){.at = text, .end = text + size_bytes, .line_start = text, .line = 1};
    ptx_lex_next(lex);
}

bool ptx_token_is(const struct ptx_token *t, enum ptx_token_kind kind, const char *text)
{
    return t->kind == kind && strlen(text) == t->size && !memcmp(t->text, text, t->size);
}
