// SPDX-License-Identifier: Apache-2.0
// What instructions of PTX do to the sets of names, and where they write.
#include "core/ptx/ptx_writes_parts.h"

// Sorted. What is not here may do anything: new instructions come with new architectures.
static const struct {
    const char *name;
    enum gn_ptx_class class;
} table[] = {
    {"abs", GN_PTX_COMPUTE},
    {"activemask", GN_PTX_COMPUTE},
    {"add", GN_PTX_COMPUTE},
    {"addc", GN_PTX_COMPUTE},
    {"and", GN_PTX_COMPUTE},
    {"applypriority", GN_PTX_NOTHING},
    {"atom", GN_PTX_ATOMIC},
    {"bar", GN_PTX_COMPUTE}, // bar.red has a result
    {"barrier", GN_PTX_COMPUTE},
    {"bfe", GN_PTX_COMPUTE},
    {"bfi", GN_PTX_COMPUTE},
    {"bfind", GN_PTX_COMPUTE},
    {"bmsk", GN_PTX_COMPUTE},
    {"bra", GN_PTX_NOTHING},
    {"brev", GN_PTX_COMPUTE},
    {"brkpt", GN_PTX_NOTHING},
    {"brx", GN_PTX_NOTHING},
    {"call", GN_PTX_CALL},
    {"clz", GN_PTX_COMPUTE},
    {"cnot", GN_PTX_COMPUTE},
    {"copysign", GN_PTX_COMPUTE},
    {"cos", GN_PTX_COMPUTE},
    {"cp", GN_PTX_COPY},
    {"createpolicy", GN_PTX_COMPUTE},
    {"cvt", GN_PTX_COMPUTE},
    {"cvta", GN_PTX_COMPUTE},
    {"div", GN_PTX_COMPUTE},
    {"dp2a", GN_PTX_COMPUTE},
    {"dp4a", GN_PTX_COMPUTE},
    {"elect", GN_PTX_COMPUTE},
    {"ex2", GN_PTX_COMPUTE},
    {"exit", GN_PTX_NOTHING},
    {"fence", GN_PTX_NOTHING},
    {"fma", GN_PTX_COMPUTE},
    {"fns", GN_PTX_COMPUTE},
    {"getctarank", GN_PTX_COMPUTE},
    {"griddepcontrol", GN_PTX_NOTHING},
    {"isspacep", GN_PTX_COMPUTE},
    {"ld", GN_PTX_LOAD},
    {"ldmatrix", GN_PTX_LOAD},
    {"ldu", GN_PTX_LOAD},
    {"lg2", GN_PTX_COMPUTE},
    {"lop3", GN_PTX_COMPUTE},
    {"mad", GN_PTX_COMPUTE},
    {"mad24", GN_PTX_COMPUTE},
    {"madc", GN_PTX_COMPUTE},
    {"mapa", GN_PTX_COMPUTE},
    {"match", GN_PTX_COMPUTE},
    {"max", GN_PTX_COMPUTE},
    {"mbarrier", GN_PTX_COMPUTE},
    {"membar", GN_PTX_NOTHING},
    {"min", GN_PTX_COMPUTE},
    {"mma", GN_PTX_COMPUTE},
    {"mov", GN_PTX_COMPUTE},
    {"movmatrix", GN_PTX_COMPUTE},
    {"mul", GN_PTX_COMPUTE},
    {"mul24", GN_PTX_COMPUTE},
    {"nanosleep", GN_PTX_NOTHING},
    {"neg", GN_PTX_COMPUTE},
    {"not", GN_PTX_COMPUTE},
    {"or", GN_PTX_COMPUTE},
    {"pmevent", GN_PTX_NOTHING},
    {"popc", GN_PTX_COMPUTE},
    {"prefetch", GN_PTX_NOTHING},
    {"prefetchu", GN_PTX_NOTHING},
    {"prmt", GN_PTX_COMPUTE},
    {"rcp", GN_PTX_COMPUTE},
    {"red", GN_PTX_STORE},
    {"redux", GN_PTX_COMPUTE},
    {"rem", GN_PTX_COMPUTE},
    {"ret", GN_PTX_NOTHING},
    {"rsqrt", GN_PTX_COMPUTE},
    {"sad", GN_PTX_COMPUTE},
    {"selp", GN_PTX_COMPUTE},
    {"set", GN_PTX_COMPUTE},
    {"setmaxnreg", GN_PTX_NOTHING},
    {"setp", GN_PTX_COMPUTE},
    {"shf", GN_PTX_COMPUTE},
    {"shfl", GN_PTX_COMPUTE},
    {"shl", GN_PTX_COMPUTE},
    {"shr", GN_PTX_COMPUTE},
    {"sin", GN_PTX_COMPUTE},
    {"slct", GN_PTX_COMPUTE},
    {"sqrt", GN_PTX_COMPUTE},
    {"st", GN_PTX_STORE},
    {"stmatrix", GN_PTX_STORE},
    {"sub", GN_PTX_COMPUTE},
    {"subc", GN_PTX_COMPUTE},
    {"szext", GN_PTX_COMPUTE},
    {"tanh", GN_PTX_COMPUTE},
    {"testp", GN_PTX_COMPUTE},
    {"tex", GN_PTX_LOAD},
    {"tld4", GN_PTX_LOAD},
    {"trap", GN_PTX_NOTHING},
    {"vote", GN_PTX_COMPUTE},
    {"wgmma", GN_PTX_COMPUTE},
    {"wmma", GN_PTX_COMPUTE}, // wmma.store is looked at where it is applied
    {"xor", GN_PTX_COMPUTE},
};

static int compare(const char *op, uint32_t length, const char *name)
{
    uint32_t name_length = (uint32_t)strlen(name), both = length < name_length ? length : name_length;
    int order = memcmp(op, name, both);
    return order ? order : (int)length - (int)name_length;
}

enum gn_ptx_class gn_ptx_class_of(const char *op, uint32_t length)
{
    const char *dot = memchr(op, '.', length);
    uint32_t stem = dot ? (uint32_t)(dot - op) : length;
    unsigned low = 0, high = sizeof table / sizeof *table;
    if (stem > 32)
        return GN_PTX_STRANGE;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = compare(op, stem, table[middle].name);
        if (!order)
            return table[middle].class;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return GN_PTX_STRANGE;
}

// Does the opcode have this part (with its dot, or a part that goes on with ::, as shared::cta)?
static bool has(const struct gn_ptx_token *op, const char *part)
{
    size_t length = strlen(part);
    const char *end = op->at + op->length;
    for (const char *p = op->at; (p = memchr(p, '.', (size_t)(end - p))); p++)
        if ((size_t)(end - p) >= length && !memcmp(p, part, length) &&
            ((size_t)(end - p) == length || p[length] == '.' || p[length] == ':'))
            return true;
    return false;
}

static bool is_64_bit_integer(const struct gn_ptx_token *op)
{
    return has(op, ".u64") || has(op, ".s64") || has(op, ".b64") || has(op, ".wide");
}

static bool has_room_for_address(const struct gn_ptx_token *op)
{
    return is_64_bit_integer(op) || has(op, ".f64") || has(op, ".b128");
}

static bool is_stem(const struct gn_ptx_token *op, const char *stem)
{
    size_t length = strlen(stem);
    return op->length >= length && !memcmp(op->at, stem, length) && (op->length == length || op->at[length] == '.');
}

void gn_ptx_assign(struct gn_ptx_body *body, struct gn_ptx_cell *cell, uint64_t set)
{
    if (cell && (cell->set | set) != cell->set) {
        cell->set |= set;
        body->changed = true;
    }
}

void gn_ptx_give_up(struct gn_ptx_body *body) { body->writes |= GN_SET_UNKNOWN; }

void gn_ptx_write(struct gn_ptx_body *body, uint64_t address_set)
{
    if (!body->settled)
        return;
    if (!address_set || address_set & GN_SET_UNKNOWN) // made of numbers alone: who knows what they mean
        gn_ptx_give_up(body);
    body->writes |= address_set & GN_SET_WORDS;
}

static void assign_all(struct gn_ptx_body *body, const struct gn_ptx_statement *s, uint64_t set)
{
    for (uint32_t i = 0; i < s->target_count; i++)
        gn_ptx_assign(body, s->targets[i], set);
}

// --- results

// An address that was taken to pieces of at most 32 bits travels without its set; here is where pieces become a whole again.
static bool makes_whole(const struct gn_ptx_statement *s)
{
    enum { SHIFT_LEAST = 24 };                   // by less it takes an address three shifts and two sums
    const uint64_t factor_least = (uint64_t)1 << 31; // also of a constant that is one by itself
    const uint64_t round = 0xffff; // a division by a constant multiplies by what is no round number
    const struct gn_ptx_token *op = &s->op;
    if (!is_64_bit_integer(op))
        return false;
    if (is_stem(op, "mov"))
        return s->braced_source || s->number >= factor_least;
    if (is_stem(op, "shl"))
        return !s->has_number || s->number >= SHIFT_LEAST;
    if (is_stem(op, "cvt"))
        return has(op, ".f16") || has(op, ".bf16") || has(op, ".f32") || has(op, ".f64");
    if (has(op, ".wide"))
        return s->number >> SHIFT_LEAST && !(s->number & round);
    if (is_stem(op, "and") || is_stem(op, "setp") || is_stem(op, "set") || has(op, ".hi"))
        return false;
    return is_stem(op, "bfi") || s->number >= factor_least;
}

static uint64_t bit_of(uint32_t index) { return index < GN_PTX_WORDS_MAX ? (uint64_t)1 << index : GN_SET_UNKNOWN; }

// The bit of a word of a kernel's parameters.
static uint64_t word_at(struct gn_ptx_body *body, uint64_t offset_bytes)
{
    for (uint32_t i = 0; i < body->word_count; i++)
        if (body->word_bytes[i] == offset_bytes)
            return bit_of(i);
    if (body->word_count == GN_PTX_WORDS_MAX || offset_bytes > UINT16_MAX)
        return GN_SET_UNKNOWN;
    body->word_bytes[body->word_count] = (uint16_t)offset_bytes;
    return bit_of(body->word_count++);
}

// An address may have been put there half by half.
static uint64_t pieces(const struct gn_ptx_cell *cell) { return cell->kind & GN_NAME_PIECES ? GN_SET_UNKNOWN : 0; }

static void load_param(struct gn_ptx_body *body, const struct gn_ptx_statement *s)
{
    const struct gn_ptx_token *op = &s->op;
    const struct gn_ptx_cell *base = s->base;
    bool plain = s->in_first == 1 && !s->odd_address && base && !(base->kind & GN_NAME_REGISTER);
    if (!plain) {
        assign_all(body, s, has_room_for_address(op) ? GN_SET_UNKNOWN : 0);
        return;
    }
    if (!(base->kind & GN_NAME_FORMAL)) { // the result of a call, or what was stored there
        assign_all(body, s, base->set | (has_room_for_address(op) ? pieces(base) : 0));
        return;
    }
    const struct gn_ptx_formal *formal = &body->walk->formals[base->index];
    if (!has_room_for_address(op)) { // half of an address, where it may be one
        assign_all(body, s, formal->scalar_bytes == 8 ? GN_SET_UNKNOWN : 0);
        return;
    }
    for (uint32_t i = 0; i < s->target_count; i++) {
        uint64_t at = formal->offset_bytes + (uint64_t)s->offset_bytes + 8 * (uint64_t)i;
        gn_ptx_assign(body, s->targets[i],
                      has(op, ".b128") ? GN_SET_UNKNOWN : body->is_entry ? word_at(body, at) : bit_of(base->index));
    }
}

static void load(struct gn_ptx_body *body, const struct gn_ptx_statement *s)
{
    if (is_stem(&s->op, "ld") && has(&s->op, ".param"))
        load_param(body, s);
    else
        assign_all(body, s, has_room_for_address(&s->op) ? GN_SET_UNKNOWN : 0);
}

// --- effects on memory

static bool is_on_chip(const struct gn_ptx_token *op) { return has(op, ".shared") || has(op, ".local"); }

static void fill_param(struct gn_ptx_body *body, struct gn_ptx_cell *cell, const struct gn_ptx_statement *s)
{
    bool second = s->offset_bytes || s->odd_address || has(&s->op, ".v2") || has(&s->op, ".v4");
    if (second && !has_room_for_address(&s->op) && !(cell->kind & GN_NAME_PIECES)) {
        cell->kind |= GN_NAME_PIECES;
        body->changed = true;
    }
    gn_ptx_assign(body, cell, s->source_set);
}

static void store(struct gn_ptx_body *body, const struct gn_ptx_statement *s)
{
    if (is_stem(&s->op, "st") && has(&s->op, ".param")) { // an argument of a call, or a result
        if (!s->base || s->base->kind & GN_NAME_REGISTER || s->in_first != 1)
            gn_ptx_give_up(body);
        else
            fill_param(body, (struct gn_ptx_cell *)s->base, s);
    } else if (!is_on_chip(&s->op) || (is_stem(&s->op, "red") && has(&s->op, ".async"))) {
        gn_ptx_write(body, s->address_count ? s->address_set[0] : GN_SET_UNKNOWN);
    }
}

// cp.async and its like bring data into shared memory; what goes out, or through a descriptor, is not told apart.
static void copy(struct gn_ptx_body *body, const struct gn_ptx_statement *s)
{
    const struct gn_ptx_token *op = &s->op;
    bool waits = has(op, ".commit_group") || has(op, ".wait_group") || has(op, ".wait_all") || has(op, ".mbarrier");
    bool brings = gn_ptx_is(op, "cp.async.ca.shared.global") || gn_ptx_is(op, "cp.async.cg.shared.global");
    static const char brings_into[] = "cp.async.c"; // .ca or .cg, with cache hints behind
    if (!brings && op->length > sizeof brings_into && !memcmp(op->at, brings_into, sizeof brings_into - 1)) {
        const char *space = memchr(op->at + sizeof brings_into, '.', op->length - sizeof brings_into);
        brings = space && op->at + op->length - space >= 7 && !memcmp(space, ".shared", 7);
    }
    if (!waits && !brings)
        gn_ptx_give_up(body);
}

void gn_ptx_apply(struct gn_ptx_body *body, const struct gn_ptx_statement *s)
{
    if (s->strange || s->class == GN_PTX_STRANGE) {
        gn_ptx_give_up(body);
        return;
    }
    switch (s->class) {
    case GN_PTX_LOAD: load(body, s); break;
    case GN_PTX_STORE: store(body, s); break;
    case GN_PTX_COPY: copy(body, s); break;
    case GN_PTX_ATOMIC:
        if (!is_on_chip(&s->op))
            gn_ptx_write(body, s->address_count ? s->address_set[0] : GN_SET_UNKNOWN);
        assign_all(body, s, has_room_for_address(&s->op) ? GN_SET_UNKNOWN : 0);
        break;
    default:
        if (is_stem(&s->op, "wmma") && !has(&s->op, ".mma") && !has(&s->op, ".load")) {
            if (!is_on_chip(&s->op))
                gn_ptx_write(body, s->address_count ? s->address_set[0] : GN_SET_UNKNOWN);
            break;
        }
        assign_all(body, s, makes_whole(s) ? GN_SET_UNKNOWN : s->source_set);
        if (is_stem(&s->op, "mbarrier") || (is_stem(&s->op, "wmma") && has(&s->op, ".f64")))
            assign_all(body, s, GN_SET_UNKNOWN);
    }
}

// --- calls

struct call {
    struct gn_ptx_cell *results[GN_PTX_RETURNS_MAX];
    uint64_t args[GN_PTX_ARGS_MAX];
    uint32_t result_count, arg_count, lists;
    struct gn_ptx_token callee;
    bool strange;
};

static void read_call(struct gn_ptx_body *body, struct gn_ptx_scan *s, struct call *call)
{
    bool inside = false;
    for (;;) {
        struct gn_ptx_token t = gn_ptx_token(s);
        if (t.kind == GN_PTX_END || gn_ptx_is_char(&t, ';'))
            return;
        if (gn_ptx_is_char(&t, '(')) {
            inside = true;
            call->lists++;
        } else if (gn_ptx_is_char(&t, ')')) {
            inside = false;
        } else if (t.kind == GN_PTX_NUMBER && inside && call->callee.at) {
            if (call->arg_count < GN_PTX_ARGS_MAX)
                call->args[call->arg_count++] = 0;
        } else if (t.kind == GN_PTX_WORD && !inside) {
            call->strange |= call->callee.at != NULL; // behind the arguments: the prototype of a call through a register
            call->callee = t;
        } else if (t.kind == GN_PTX_WORD) {
            bool sink = t.length == 1 && *t.at == '_';
            struct gn_ptx_cell *cell = sink ? NULL : gn_ptx_operand(body->walk, t.at, t.length);
            bool is_result = !call->callee.at;
            if (is_result && call->result_count < GN_PTX_RETURNS_MAX)
                call->results[call->result_count++] = cell;
            else if (!is_result && call->arg_count < GN_PTX_ARGS_MAX) // a parameter is passed by what was stored there
                call->args[call->arg_count++] =
                    !cell || cell->kind & GN_NAME_REGISTER ? gn_ptx_value(cell, &t) : cell->set | pieces(cell);
            else
                call->strange = true;
        }
    }
}

static uint64_t passed(const struct call *call, const struct gn_ptx_func *func, uint64_t set)
{
    uint64_t all = set & (GN_SET_OBJECT | GN_SET_UNKNOWN);
    for (uint32_t i = 0; i < func->param_count; i++)
        if (set & bit_of(i) & GN_SET_WORDS)
            all |= call->args[i];
    return all;
}

// They fill the device's print buffer and nothing else.
static bool prints(const struct gn_ptx_token *callee)
{
    return gn_ptx_is(callee, "vprintf") || gn_ptx_is(callee, "__assertfail");
}

void gn_ptx_call(struct gn_ptx_body *body, struct gn_ptx_scan *s)
{
    struct call call = {0};
    read_call(body, s, &call);
    const struct gn_ptx_cell *cell =
        call.callee.at ? gn_ptx_find(body->walk, call.callee.at, call.callee.length) : NULL;
    bool known = cell && cell->kind & GN_NAME_FUNCTION && !(cell->kind & GN_NAME_REGISTER);
    const struct gn_ptx_func *func = known ? &body->walk->funcs[cell->index] : NULL;
    if (call.strange || !call.callee.at) {
        gn_ptx_give_up(body);
    } else if (func && func->param_count == call.arg_count) {
        for (uint32_t i = 0; i < func->param_count; i++)
            if (func->writes & bit_of(i))
                gn_ptx_write(body, call.args[i]);
        if (func->writes & GN_SET_UNKNOWN)
            gn_ptx_give_up(body);
        for (uint32_t i = 0; i < call.result_count; i++)
            gn_ptx_assign(body, call.results[i], passed(&call, func, func->returns));
    } else if (!cell || !(cell->kind & GN_NAME_EXTERN) || !prints(&call.callee)) {
        gn_ptx_give_up(body);
    }
}
