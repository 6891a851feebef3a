// SPDX-License-Identifier: Apache-2.0
// Statements of a PTX body: labels, scopes, declarations, and the operands of instructions.
#include <stdlib.h>

#include "core/ptx/ptx_writes_parts.h"

bool gn_ptx_declare(struct gn_ptx_walk *walk, struct gn_ptx_scan *s, uint8_t kind, bool module)
{
    struct gn_ptx_cell *last = NULL;
    unsigned brackets = 0;
    for (;;) {
        struct gn_ptx_token t = gn_ptx_token(s);
        if (t.kind == GN_PTX_END || gn_ptx_is_char(&t, ';'))
            return true;
        brackets += gn_ptx_is_char(&t, '[');
        if (brackets && gn_ptx_is_char(&t, ']'))
            brackets--;
        if (gn_ptx_is_char(&t, '<') && last) // %r<9>: the name itself is none then, and all of its numbers are taken for names
            last->kind |= GN_NAME_RANGE;
        if (t.kind != GN_PTX_WORD || brackets)
            continue;
        if (!(last = gn_ptx_name(walk, t.at, t.length, kind, module))) {
            gn_ptx_skip_statement(s);
            return false;
        }
    }
}

// A number as PTX writes it. What is no integer, or has more than 64 bits, is as large as can be.
static uint64_t number_of(const struct gn_ptx_token *t)
{
    const char *p = t->at, *end = t->at + t->length;
    uint64_t base = 10, value = 0;
    if (end - p > 1 && end[-1] == 'U')
        end--;
    if (end - p > 1 && p[0] == '0') {
        base = p[1] == 'x' || p[1] == 'X' ? 16 : p[1] == 'b' || p[1] == 'B' ? 2 : 8;
        p += base == 8 ? 1 : 2;
    }
    for (; p < end; p++) {
        uint64_t digit = gn_ptx_is_digit(*p)        ? (uint64_t)(*p - '0')
                         : *p >= 'a' && *p <= 'f' ? (uint64_t)(*p - 'a' + 10)
                         : *p >= 'A' && *p <= 'F' ? (uint64_t)(*p - 'A' + 10)
                                                  : 99;
        if (digit >= base || __builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
            return UINT64_MAX;
    }
    return value;
}

// 0f3F800000: the bits of a float, of 32 of them.
static bool is_float32(const struct gn_ptx_token *t) { return t->length == 10 && t->at[0] == '0' && (t->at[1] | 32) == 'f'; }

struct operands { // where in the operands the reader stands
    unsigned number, depth, addresses; // depth: of braces and parentheses
    bool in_address, minus, plus;
};

static void take_name(struct gn_ptx_body *body, struct gn_ptx_statement *st, const struct operands *at,
                      const struct gn_ptx_token *t)
{
    bool sink = t->length == 1 && *t->at == '_';
    struct gn_ptx_cell *cell = sink ? NULL : gn_ptx_operand(body->walk, t->at, t->length);
    uint64_t set = sink ? 0 : gn_ptx_value(cell, t);
    if (at->in_address) {
        if (at->addresses <= 2)
            st->address_set[at->addresses - 1] |= set;
        if (at->addresses == 1 && !st->in_first++)
            st->base = cell;
        if (at->number)
            st->source_set |= set;
    } else if (at->number == 0) {
        st->target_set |= set;
        if (st->target_count < GN_PTX_TARGETS_MAX)
            st->targets[st->target_count++] = cell;
        else
            st->strange = true;
        st->strange |= !cell && !sink;
    } else {
        st->source_set |= set;
    }
}

static void take_number(struct gn_ptx_statement *st, const struct operands *at, const struct gn_ptx_token *t)
{
    uint64_t value = is_float32(t) ? 0 : number_of(t);
    if (at->in_address) {
        if (at->addresses == 1 && st->offset_bytes == 0 && value <= GN_IMAGE_PARAM_BYTES_MAX && !at->minus)
            st->offset_bytes = (int64_t)value;
        else if (at->addresses == 1)
            st->odd_address = true;
    } else if (at->number) {
        st->has_number = true;
        if (!at->minus && value > st->number)
            st->number = value;
    }
}

static void take_character(struct gn_ptx_statement *st, struct operands *at, char c)
{
    switch (c) {
    case '[':
        at->in_address = true;
        at->addresses++;
        st->address_count++;
        break;
    case ']': at->in_address = false; break;
    case '{':
        if (at->number && !at->in_address)
            st->braced_source = true; // fall through
        at->depth++;
        break;
    case '(': at->depth++; break;
    case '}':
    case ')': at->depth -= at->depth > 0; break;
    case ',':
        if (at->in_address)
            st->odd_address |= at->addresses == 1;
        else if (!at->depth)
            at->number++;
        break;
    default: break; // + | ! : and what stands in constant expressions
    }
    at->minus = c == '-';
}

// The operands of an instruction, up to and with the semicolon.
static void read_operands(struct gn_ptx_body *body, struct gn_ptx_scan *s, struct gn_ptx_statement *st)
{
    struct operands at = {0};
    for (;;) {
        struct gn_ptx_token t = gn_ptx_token(s);
        if (t.kind == GN_PTX_END || gn_ptx_is_char(&t, ';'))
            return;
        if (t.kind == GN_PTX_OTHER) {
            take_character(st, &at, *t.at);
            continue;
        }
        if (t.kind == GN_PTX_WORD)
            take_name(body, st, &at, &t);
        else if (t.kind == GN_PTX_NUMBER)
            take_number(st, &at, &t);
        at.minus = false;
    }
}

static void instruction(struct gn_ptx_body *body, struct gn_ptx_scan *s, const struct gn_ptx_token *op)
{
    struct gn_ptx_statement st;
    memset(&st, 0, offsetof(struct gn_ptx_statement, targets));
    memset(&st.target_set, 0, sizeof st - offsetof(struct gn_ptx_statement, target_set));
    st.op = *op;
    st.class = gn_ptx_class_of(op->at, op->length);
    if (st.class == GN_PTX_CALL) {
        gn_ptx_call(body, s);
    } else if (st.class == GN_PTX_NOTHING) {
        gn_ptx_skip_statement(s);
    } else {
        read_operands(body, s, &st);
        gn_ptx_apply(body, &st);
    }
}

static void directive(struct gn_ptx_body *body, struct gn_ptx_scan *s, const struct gn_ptx_token *t)
{
    static const char *const variables[] = {".param", ".local", ".shared", ".global", ".const"};
    if (gn_ptx_is(t, ".loc")) {
        gn_ptx_skip_line(s);
        return;
    }
    uint8_t kind = gn_ptx_is(t, ".reg") ? GN_NAME_REGISTER : 0;
    for (unsigned i = 0; i < sizeof variables / sizeof *variables; i++)
        kind |= gn_ptx_is(t, variables[i]) ? GN_NAME_SYMBOL : 0;
    if (!kind)
        gn_ptx_skip_statement(s);
    else if (!gn_ptx_declare(body->walk, s, kind, false))
        gn_ptx_give_up(body);
}

void gn_ptx_pass(struct gn_ptx_body *body, struct gn_ptx_scan s)
{
    while (!(body->writes & GN_SET_UNKNOWN)) {
        struct gn_ptx_token t = gn_ptx_token(&s);
        if (t.kind == GN_PTX_END)
            return;
        if (t.kind == GN_PTX_DIRECTIVE) {
            directive(body, &s, &t);
        } else if (gn_ptx_is_char(&t, '@')) { // the predicate of an instruction
            t = gn_ptx_token(&s);
            if (gn_ptx_is_char(&t, '!'))
                gn_ptx_token(&s);
        } else if (t.kind == GN_PTX_WORD) {
            struct gn_ptx_scan behind = s;
            struct gn_ptx_token next = gn_ptx_token(&behind);
            if (gn_ptx_is_char(&next, ':'))
                s = behind; // a label
            else
                instruction(body, &s, &t);
        } else if (!gn_ptx_is_char(&t, '{') && !gn_ptx_is_char(&t, '}') && !gn_ptx_is_char(&t, ';')) {
            gn_ptx_give_up(body);
        }
    }
}
