// SPDX-License-Identifier: Apache-2.0
// What all families of instructions share when they are lowered: the opcode table, modifiers, operands as
// values.
#include "ptx_lower.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ptx_opcode *const families[] = {ptx_opcodes_int, ptx_opcodes_bits, ptx_opcodes_float,
                                                    ptx_opcodes_cvt, ptx_opcodes_mem,  ptx_opcodes_sync,
                                                    ptx_opcodes_flow};
enum { OPCODES_MAX = 256 };
static const struct ptx_opcode *by_name[OPCODES_MAX];
static size_t by_name_count;
static pthread_once_t sorted_once = PTHREAD_ONCE_INIT;

static int compare(const void *a, const void *b)
{
    return strcmp((*(const struct ptx_opcode *const *)a)->name, (*(const struct ptx_opcode *const *)b)->name);
}

static void sort_opcodes(void)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct ptx_opcode *o = families[i]; o->name && by_name_count < OPCODES_MAX; o++)
            by_name[by_name_count++] = o;
    qsort(by_name, by_name_count, sizeof *by_name, compare);
}

const struct ptx_opcode *ptx_opcode_find(const char *name, size_t size)
{
    pthread_once(&sorted_once, sort_opcodes);
    size_t low = 0, high = by_name_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strncmp(name, by_name[mid]->name, size);
        if (!order && by_name[mid]->name[size])
            order = -1;
        if (!order)
            return by_name[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

void ptx_lower_fail(struct ptx_parser *p, const struct ptx_stmt *s, const char *format, ...)
{
    char name[120], text[PTX_ERROR_BYTES];
    size_t at = (size_t)snprintf(name, sizeof name, "%.*s", s->op_size > 40 ? 40 : (int)s->op_size, s->op);
    for (uint32_t i = 0; i < s->mod_count && at + s->mods[i].size + 2 < sizeof name; i++)
        at += (size_t)snprintf(name + at, sizeof name - at, ".%.*s", (int)s->mods[i].size, s->mods[i].text);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ptx_fail(p, -EINVAL, s->line, s->column, "%s: %.130s", name, text);
}

bool ptx_take(struct ptx_stmt *s, const char *text)
{
    size_t size = strlen(text);
    for (uint32_t i = 0; i < s->mod_count; i++)
        if (!s->mods[i].taken && s->mods[i].size == size && !memcmp(s->mods[i].text, text, size))
            return s->mods[i].taken = true;
    return false;
}

int ptx_take_one(struct ptx_stmt *s, const char *const *names, int otherwise)
{
    for (int i = 0; names[i]; i++)
        if (ptx_take(s, names[i]))
            return i;
    return otherwise;
}

enum ptx_type ptx_take_type_maybe(struct ptx_stmt *s)
{
    for (uint32_t i = 0; i < s->mod_count; i++) {
        enum ptx_type type = s->mods[i].taken ? PT_NONE : ptx_type_named(s->mods[i].text, s->mods[i].size);
        if (type != PT_NONE) {
            s->mods[i].taken = true;
            return type;
        }
    }
    return PT_NONE;
}

enum ptx_type ptx_take_type(struct ptx_parser *p, struct ptx_stmt *s)
{
    enum ptx_type type = ptx_take_type_maybe(s);
    if (type == PT_NONE)
        ptx_lower_fail(p, s, "a type is missing");
    return type;
}

// --- operands ---

static uint64_t float_bits(const struct ptx_item *item, enum ptx_type type)
{
    double d;
    float f;
    uint64_t out = 0;
    if (item->is_single) {
        uint32_t bits = (uint32_t)item->number ^ (item->negated ? 0x80000000u : 0);
        if (type != PT_F64)
            return bits;
        memcpy(&f, &bits, 4);
        d = f;
    } else {
        uint64_t bits = item->number ^ (item->negated ? (uint64_t)1 << 63 : 0);
        if (ptx_types[type].bytes == 8)
            return bits;
        memcpy(&d, &bits, 8);
        f = (float)d;
        memcpy(&out, &f, 4);
        return out;
    }
    memcpy(&out, &d, 8);
    return out;
}

static uint32_t dynamic_special(struct ptx_parser *p, const struct ptx_stmt *s, uint32_t id)
{
    bool wide = id == PS_CLOCK64 || id == PS_GLOBALTIMER || id == PS_GRIDID;
    uint32_t temp = ptx_temp(p, id == PS_EXPLICIT_CLUSTER ? PT_PRED : wide ? PT_U64 : PT_U32);
    struct ptx_insn *in = ptx_emit_bare(p, s->line,
                                        id == PS_EXPLICIT_CLUSTER ? OP_EXPLICIT_CLUSTER
                                        : wide                    ? OP_SREG64
                                                                  : OP_SREG32);
    in->sub = (uint16_t)id;
    ptx_ref(p, PTX_F_D, temp, true);
    return temp;
}

// The address of a variable of the function's frame, or of a kernel parameter, as a register.
static uint32_t frame_address(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                              enum ptx_type type)
{
    if (!item->var)
        return ptx_const_literal(p, ptx_class_of(type), item->number); // parameter space begins at 0
    uint32_t temp = ptx_temp(p, type);
    struct ptx_insn *in =
        ptx_emit_bare(p, s->line, ptx_types[type].bytes == 8 ? OP_FRAME_ADDR64 : OP_FRAME_ADDR32);
    in->imm = (int64_t)(item->var->offset + item->number);
    ptx_ref(p, PTX_F_D, temp, true);
    ptx_ref(p, PTX_F_A, PTX_ID_SPECIAL | PS_FRAME, false);
    return temp;
}

static uint32_t symbol_value(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                             enum ptx_type type)
{
    enum ptx_class cls = ptx_class_of(type);
    bool small_space = item->kind == OK_VARADDR && (!item->var || item->var->space >= PV_SHARED);
    if (cls != PC_64 && !(cls == PC_32 && small_space)) {
        ptx_lower_fail(p, s, "an address does not fit .%s", ptx_types[type].name);
        return PTX_ID_CONST;
    }
    if (item->kind == OK_FUNC) {
        if (item->func->is_entry) {
            ptx_lower_fail(p, s, "the address of a kernel is not supported");
            return PTX_ID_CONST;
        }
        return ptx_const_symbol(p, NULL, item->func, cls, 0);
    }
    if (!item->var || item->var->space >= PV_LOCAL)
        return frame_address(p, s, item, type);
    return ptx_const_symbol(p, item->var, NULL, cls, item->number);
}

static uint32_t any_value(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                          enum ptx_type type)
{
    unsigned bytes = ptx_types[type].bytes;
    switch (item->kind) {
    case OK_VALUE: return item->id;
    case OK_DYNAMIC: return dynamic_special(p, s, item->id);
    case OK_VARADDR:
    case OK_FUNC: return symbol_value(p, s, item, type);
    case OK_IMM:
        if (ptx_types[type].kind == PK_FLOAT && bytes >= 4 && type != PT_F16X2 && type != PT_BF16X2 &&
            item->number) {
            ptx_lower_fail(p, s, "an integer where .%s is wanted", ptx_types[type].name);
            return PTX_ID_CONST;
        }
        if (type == PT_PRED)
            return ptx_const_literal(p, PC_PRED, item->number ? PTX_FULL : 0);
        return ptx_const_literal(p, ptx_class_of(type),
                                 bytes == 8 ? item->number : item->number & (((uint64_t)1 << bytes * 8) - 1));
    case OK_FLOAT:
        if (bytes < 4 || (ptx_types[type].kind != PK_FLOAT && ptx_types[type].kind != PK_BITS)) {
            ptx_lower_fail(p, s, "a floating-point number where .%s is wanted", ptx_types[type].name);
            return PTX_ID_CONST;
        }
        return ptx_const_literal(p, ptx_class_of(type), float_bits(item, type));
    default:
        ptx_lower_fail(p, s, "%.*s is not a value", item->size > 60 ? 60 : (int)item->size,
                       item->text ? item->text : "an operand");
        return PTX_ID_CONST;
    }
}

uint32_t ptx_value(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                   enum ptx_type type)
{
    if (p->failed)
        return PTX_ID_CONST;
    uint32_t id = any_value(p, s, item, type);
    if (!p->failed && (item->negated && item->kind == OK_VALUE))
        ptx_lower_fail(p, s, "a negated operand is not supported here");
    if (!p->failed && ptx_class_of_id(p, id) != ptx_class_of(type))
        ptx_lower_fail(p, s, "%.*s has another width than .%s", item->size > 60 ? 60 : (int)item->size,
                       item->text ? item->text : "an operand", ptx_types[type].name);
    return id;
}

uint32_t ptx_value_wide(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                        enum ptx_type type, enum ptx_class *cls)
{
    *cls = PC_32;
    if (p->failed)
        return PTX_ID_CONST;
    uint32_t id = any_value(p, s, item, type);
    if (p->failed)
        return id;
    *cls = ptx_class_of_id(p, id);
    if (*cls == PC_PRED || *cls < ptx_class_of(type))
        ptx_lower_fail(p, s, "%.*s is narrower than .%s", item->size > 60 ? 60 : (int)item->size,
                       item->text ? item->text : "an operand", ptx_types[type].name);
    return id;
}

static bool writable(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item)
{
    if (item->kind == OK_VALUE && !(item->id & (PTX_ID_SPECIAL | PTX_ID_CONST)) && !item->negated)
        return true;
    ptx_lower_fail(p, s, "the destination is not a register");
    return false;
}

uint32_t ptx_dest(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                  enum ptx_type type)
{
    if (p->failed)
        return 0;
    if (item->kind == OK_SINK)
        return ptx_temp(p, type);
    if (writable(p, s, item) && ptx_class_of_id(p, item->id) != ptx_class_of(type))
        ptx_lower_fail(p, s, "%.*s has another width than .%s", item->size > 60 ? 60 : (int)item->size,
                       item->text, ptx_types[type].name);
    return item->id;
}

uint32_t ptx_dest_wide(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                       enum ptx_type type, enum ptx_class *cls)
{
    *cls = ptx_class_of(type);
    if (p->failed)
        return 0;
    if (item->kind == OK_SINK)
        return ptx_temp(p, type);
    if (!writable(p, s, item))
        return 0;
    *cls = ptx_class_of_id(p, item->id);
    if (*cls == PC_PRED || *cls < ptx_class_of(type))
        ptx_lower_fail(p, s, "%.*s is narrower than .%s", item->size > 60 ? 60 : (int)item->size, item->text,
                       ptx_types[type].name);
    return item->id;
}

uint32_t ptx_pred(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_item *item)
{
    if (p->failed)
        return PTX_ID_CONST;
    uint32_t id = any_value(p, s, item, PT_PRED);
    if (p->failed)
        return id;
    if (ptx_class_of_id(p, id) != PC_PRED) {
        ptx_lower_fail(p, s, "a predicate is wanted");
        return id;
    }
    if (!item->negated)
        return id;
    uint32_t temp = ptx_temp(p, PT_PRED);
    ptx_emit_bare(p, s->line, OP_NOT_PRED);
    ptx_ref(p, PTX_F_D, temp, true);
    ptx_ref(p, PTX_F_A, id, false);
    return temp;
}

struct ptx_insn *ptx_emit_alu(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_op op, enum ptx_type d,
                              enum ptx_type a, enum ptx_type b, enum ptx_type c)
{
    const enum ptx_type types[3] = {a, b, c};
    uint32_t ids[3], count = a == PT_NONE ? 0 : b == PT_NONE ? 1 : c == PT_NONE ? 2 : 3;
    if (s->opd_count < count + 1) {
        ptx_lower_fail(p, s, "%u operands", s->opd_count);
        return ptx_emit(p, s, op);
    }
    for (uint32_t i = 0; i <= count; i++)
        if (s->opd[i].has_pair || s->opd[i].kind == OK_VECTOR || s->opd[i].kind == OK_ADDRESS)
            ptx_lower_fail(p, s, "operand %u is not a plain value", i + 1);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = types[i] == PT_PRED ? ptx_pred(p, s, &s->opd[i + 1].one)
                                     : ptx_value(p, s, &s->opd[i + 1].one, types[i]);
    uint32_t dest = ptx_dest(p, s, &s->opd[0].one, d);
    struct ptx_insn *in = ptx_emit(p, s, op);
    ptx_ref(p, PTX_F_D, dest, true);
    for (uint32_t i = 0; i < count; i++)
        ptx_ref(p, (uint8_t)(PTX_F_A + i), ids[i], false);
    return in;
}
