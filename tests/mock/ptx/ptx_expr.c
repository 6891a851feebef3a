// SPDX-License-Identifier: Apache-2.0
// Constant expressions: 64-bit integers with C's operators and precedence.
#include "ptx_parse.h"

#include <errno.h>

struct operator
{
    unsigned punct;
    int level;
};
static const struct operator operators[] = {{PTX_PUNCT2('|', '|'), 1},
                                            {PTX_PUNCT2('&', '&'), 2},
                                            {'|', 3},
                                            {'^', 4},
                                            {'&', 5},
                                            {PTX_PUNCT2('=', '='), 6},
                                            {PTX_PUNCT2('!', '='), 6},
                                            {'<', 7},
                                            {'>', 7},
                                            {PTX_PUNCT2('<', '='), 7},
                                            {PTX_PUNCT2('>', '='), 7},
                                            {PTX_PUNCT2('<', '<'), 8},
                                            {PTX_PUNCT2('>', '>'), 8},
                                            {'+', 9},
                                            {'-', 9},
                                            {'*', 10},
                                            {'/', 10},
                                            {'%', 10}};

static int level_of(const struct ptx_token *t)
{
    if (t->kind == TK_PUNCT)
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
            if (operators[i].punct == t->punct)
                return operators[i].level;
    return 0;
}

static bool apply(struct ptx_parser *p, unsigned op, uint64_t a, uint64_t b, uint64_t *out)
{
    int64_t sa = (int64_t)a, sb = (int64_t)b;
    switch (op) {
    case '|': *out = a | b; break;
    case '^': *out = a ^ b; break;
    case '&': *out = a & b; break;
    case '+': *out = a + b; break;
    case '-': *out = a - b; break;
    case '*': *out = a * b; break;
    case '<': *out = sa < sb; break;
    case '>': *out = sa > sb; break;
    case PTX_PUNCT2('|', '|'): *out = a || b; break;
    case PTX_PUNCT2('&', '&'): *out = a && b; break;
    case PTX_PUNCT2('=', '='): *out = a == b; break;
    case PTX_PUNCT2('!', '='): *out = a != b; break;
    case PTX_PUNCT2('<', '='): *out = sa <= sb; break;
    case PTX_PUNCT2('>', '='): *out = sa >= sb; break;
    case PTX_PUNCT2('<', '<'): *out = b < 64 ? a << b : 0; break;
    case PTX_PUNCT2('>', '>'): *out = b < 64 ? (uint64_t)(sa >> b) : (sa < 0 ? UINT64_MAX : 0); break;
    default:
        if (!b || (sb == -1 && sa == INT64_MIN)) {
            ptx_fail_here(p, "a constant division by zero");
            return false;
        }
        *out = (uint64_t)(op == '/' ? sa / sb : sa % sb);
    }
    return true;
}

static bool expr(struct ptx_parser *p, int level, unsigned nest, uint64_t *out);

static bool unary(struct ptx_parser *p, unsigned nest, uint64_t *out)
{
    if (nest > PTX_NEST_DEPTH_MAX) {
        ptx_fail_here(p, "an expression nested more than %d deep", PTX_NEST_DEPTH_MAX);
        return false;
    }
    struct ptx_token t = p->lex.now;
    if (t.kind == TK_INT) {
        *out = t.number;
        ptx_next(p);
        return !p->failed;
    }
    if (ptx_token_is(&t, TK_NAME, "WARP_SZ")) {
        *out = PTX_LANES;
        ptx_next(p);
        return !p->failed;
    }
    static const char prefixes[] = "-~!+";
    for (const char *c = prefixes; *c; c++)
        if (ptx_accept(p, (unsigned)*c)) {
            if (!unary(p, nest + 1, out))
                return false;
            *out = *c == '-' ? 0 - *out : *c == '~' ? ~*out : *c == '!' ? !*out : *out;
            return true;
        }
    if (ptx_accept(p, '(')) {
        if (ptx_accept_dot(p, "s64") || ptx_accept_dot(p, "u64")) // a cast changes nothing in 64 bits
            return ptx_expect(p, ')') && unary(p, nest + 1, out);
        return expr(p, 0, nest + 1, out) && ptx_expect(p, ')');
    }
    ptx_fail_here(p, "a constant is missing");
    return false;
}

static bool expr(struct ptx_parser *p, int level, unsigned nest, uint64_t *out)
{
    if (!unary(p, nest + 1, out))
        return false;
    for (;;) {
        int next = level_of(&p->lex.now);
        if (!next || next <= level)
            break;
        unsigned op = p->lex.now.punct;
        uint64_t right;
        ptx_next(p);
        if (p->failed || !expr(p, next, nest + 1, &right) || !apply(p, op, *out, right, out))
            return false;
    }
    if (!level && ptx_accept(p, '?')) {
        uint64_t yes, no;
        if (!expr(p, 0, nest + 1, &yes) || !ptx_expect(p, ':') || !expr(p, 0, nest + 1, &no))
            return false;
        *out = *out ? yes : no;
    }
    return !p->failed;
}

bool ptx_const_expr(struct ptx_parser *p, int64_t *value)
{
    uint64_t v = 0;
    bool ok = !p->failed && expr(p, 0, 0, &v);
    *value = (int64_t)v;
    return ok;
}
