// SPDX-License-Identifier: Apache-2.0
// What apigen writes for both sides of the wire: argument and result structures, their encoders and decoders, and a digest of the layout.
//
// Layout of a body: the payload's length (u64) where there is payload, then the 8-byte fields, then the 4-byte ones, then a u32 length for
// each blob, zeros up to a multiple of 8, then the blobs, each padded to 8. Results have the same layout.
#include "remoting/apigen/apigen.h"

#include <stdint.h>
#include <string.h>

enum side { IN, OUT };

// A field of the request (IN) or the reply (OUT). A new handle is named by the client, so it travels in the request.
static bool belongs(const struct arg *a, enum side side)
{
    return side == OUT ? a->out && a->kind != NEW : !a->out || a->kind == NEW;
}

static bool has_side(const struct entry *e, enum side side)
{
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side))
            return true;
    return false;
}

static const char *field_type(const struct entry *e, const struct arg *a, enum side side)
{
    static char type[128];
    if (side == OUT && a->kind == VAL && e->is_call) { // TYPE * of the call: the field is a TYPE
        snprintf(type, sizeof type, "%s", a->type);
        size_t n = strlen(type);
        while (n && (type[n - 1] == '*' || type[n - 1] == ' '))
            type[--n] = 0;
        return type;
    }
    if (!strcmp(a->type, "i32"))
        return "int32_t";
    return a->bytes == 8 ? "uint64_t" : "uint32_t";
}

static void write_struct(FILE *f, const struct entry *e, enum side side)
{
    fprintf(f, "struct gn_%s_%s {\n", side == IN ? "args" : "out", e->name);
    int fields = 0;
    for (int i = 0; i < e->arg_count; i++) {
        const struct arg *a = &e->args[i];
        if (!belongs(a, side))
            continue;
        fields++;
        if (a->kind == BLOB || a->kind == BULK)
            fprintf(f, "    const void *%s;\n    uint%d_t %s_bytes;\n", a->name, a->kind == BULK ? 64 : 32, a->name);
        else
            fprintf(f, "    %s %s;\n", field_type(e, a, side), a->name);
    }
    if (!fields)
        fprintf(f, "    char none;\n");
    fprintf(f, "};\n");
}

void write_wire_h(FILE *f)
{
    fprintf(f, "#ifndef GN_API_WIRE_H\n#define GN_API_WIRE_H\n#include \"api_ids.h\"\n#include \"core/cursor.h\"\n#include \"remoting/cuda_types.h\"\n\n");
    for (int i = 0; i < entry_count; i++)
        if (is_wired(&entries[i])) {
            write_struct(f, &entries[i], IN);
            write_struct(f, &entries[i], OUT);
        }
    fprintf(f, "\n// The codec of one op. Decoders leave blobs in place: they point into the frame. encode fails (the cursor is bad) when the frame\n"
               "// is too small; decode returns false on a body that is too short, too long, or has lengths beyond it.\n"
               "struct gn_codec {\n    size_t (*size)(const void *args); // of the encoded arguments\n    size_t (*size_out)(const void *out);\n    void (*encode)(struct gn_cursor *, const void *args);\n    bool (*decode)(struct gn_cursor *, void *args);\n"
               "    void (*encode_out)(struct gn_cursor *, const void *out);\n    bool (*decode_out)(struct gn_cursor *, void *out);\n"
               "    uint16_t args_bytes, out_bytes;\n    bool payload;\n};\n"
               "extern const struct gn_codec gn_codecs[GN_OPS]; // encode is NULL where an op has no command\n"
               "extern const uint64_t gn_wire_digest;           // of all layouts: equal at both ends, or they do not understand each other\n\n");
    size_t most = 0;
    for (int i = 0; i < entry_count; i++)
        most = (size_t)entries[i].arg_count > most ? (size_t)entries[i].arg_count : most;
    fprintf(f, "enum { GN_ARGS_BYTES_MAX = %zu }; // of any args or out structure\n#endif\n", 16 * most + 16);
}

// Bytes of the fixed part of a body: payload length, fields, blob lengths, zeros.
static size_t fixed_bytes(const struct entry *e, enum side side)
{
    size_t fixed = side == IN && has_payload(e) ? 8 : 0, words = 0;
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side)) {
            fixed += e->args[i].bytes == 8 ? 8 : 0;
            words += e->args[i].bytes == 4 || e->args[i].kind == BLOB;
        }
    return fixed + (words + 1) / 2 * 8;
}

// The fixed part is bounded once and then written at known places: on the path of every launch a check for each field would cost more than
// the rest of the encoding.
static void write_encode(FILE *f, const struct entry *e, enum side side)
{
    const char *what = side == IN ? "args" : "out";
    size_t fixed = fixed_bytes(e, side), at = 0, words = 0;
    fprintf(f, "\nstatic void encode_%s_%s(struct gn_cursor *c, const void *from)\n{\n    const struct gn_%s_%s *a = from;\n", what, e->name, what, e->name);
    if (fixed)
        fprintf(f, "    uint8_t *at = gn_cursor_take(c, %zu);\n    if (!at)\n        return;\n", fixed);
    if (side == IN && has_payload(e)) {
        fprintf(f, "    gn_store_u64(at, a->%s_bytes);\n", e->args[e->arg_count - 1].name);
        at += 8;
    }
    for (size_t size = 8; size >= 4; size -= 4)
        for (int i = 0; i < e->arg_count; i++) {
            const struct arg *a = &e->args[i];
            if (!belongs(a, side) || (size_t)a->bytes != size)
                continue;
            words += size == 4;
            if (side == OUT && size == 4)
                fprintf(f, "    memcpy(at + %zu, &a->%s, 4);\n", at, a->name);
            else
                fprintf(f, "    gn_store_u%zu(at + %zu, (uint%zu_t)a->%s);\n", size * 8, at, size * 8, a->name);
            at += size;
        }
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side) && e->args[i].kind == BLOB) {
            fprintf(f, "    gn_store_u32(at + %zu, a->%s_bytes);\n", at, e->args[i].name);
            at += 4;
            words++;
        }
    if (words % 2)
        fprintf(f, "    gn_store_u32(at + %zu, 0);\n", at);
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side) && e->args[i].kind == BLOB)
            fprintf(f, "    gn_put_bytes(c, a->%s, a->%s_bytes);\n", e->args[i].name, e->args[i].name);
    if (!has_side(e, side))
        fprintf(f, "    (void)a, (void)c;\n");
    fprintf(f, "}\n");
}

static void write_decode(FILE *f, const struct entry *e, enum side side)
{
    const char *what = side == IN ? "args" : "out";
    size_t fixed = fixed_bytes(e, side), at = 0;
    fprintf(f, "\nstatic bool decode_%s_%s(struct gn_cursor *c, void *to)\n{\n    struct gn_%s_%s *a = to;\n", what, e->name, what, e->name);
    if (fixed)
        fprintf(f, "    const uint8_t *at = gn_cursor_take(c, %zu);\n    if (!at) {\n        memset(a, 0, sizeof *a);\n        return false;\n    }\n", fixed);
    if (side == IN && has_payload(e)) {
        const char *name = e->args[e->arg_count - 1].name;
        fprintf(f, "    a->%s = NULL;\n    a->%s_bytes = gn_load_u64(at);\n", name, name);
        at += 8;
    }
    for (size_t size = 8; size >= 4; size -= 4)
        for (int i = 0; i < e->arg_count; i++) {
            const struct arg *a = &e->args[i];
            if (!belongs(a, side) || (size_t)a->bytes != size)
                continue;
            if (side == OUT && size == 4)
                fprintf(f, "    memcpy(&a->%s, at + %zu, 4);\n", a->name, at);
            else
                fprintf(f, "    a->%s = (%s)gn_load_u%zu(at + %zu);\n", a->name, field_type(e, a, side), size * 8, at);
            at += size;
        }
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side) && e->args[i].kind == BLOB) {
            fprintf(f, "    a->%s_bytes = gn_load_u32(at + %zu);\n", e->args[i].name, at);
            at += 4;
        }
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side) && e->args[i].kind == BLOB)
            fprintf(f, "    a->%s = gn_get_bytes(c, a->%s_bytes);\n", e->args[i].name, e->args[i].name);
    if (!has_side(e, side))
        fprintf(f, "    a->none = 0;\n");
    fprintf(f, "    return !c->bad && c->at == c->end;\n}\n");
}

static void write_size(FILE *f, const struct entry *e, enum side side)
{
    const char *what = side == IN ? "args" : "out";
    fprintf(f, "\nstatic size_t size_%s_%s(const void *from)\n{\n    const struct gn_%s_%s *a = from;\n    (void)a;\n    return %zu", what, e->name,
            what, e->name, fixed_bytes(e, side));
    for (int i = 0; i < e->arg_count; i++)
        if (belongs(&e->args[i], side) && e->args[i].kind == BLOB)
            fprintf(f, " + gn_pad8(a->%s_bytes)", e->args[i].name);
    fprintf(f, ";\n}\n");
}

// FNV-1a over what the layout depends on.
static uint64_t layout_digest(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (!is_wired(e))
            continue;
        char text[256];
        snprintf(text, sizeof text, "%s %d %d", e->name, e->id, e->class);
        for (int k = -1; k < e->arg_count; k++) {
            if (k >= 0)
                snprintf(text, sizeof text, "%s %d %d %d", e->args[k].name, e->args[k].out, e->args[k].kind, e->args[k].bytes);
            for (const char *s = text; *s; s++)
                hash = (hash ^ (uint8_t)*s) * 0x100000001b3u;
        }
    }
    return hash;
}

void write_wire_c(FILE *f)
{
    fprintf(f, "#include \"api_wire.h\"\n\nconst uint64_t gn_wire_digest = 0x%016llxull;\n\nconst struct gn_api gn_api[GN_OPS] = {\n",
            (unsigned long long)layout_digest());
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        fprintf(f, "    [GN_OP_%s] = {\"%s\", %s%s%s, %d, %d},\n", e->name, e->name, e->why ? "\"" : "", e->why ? e->why : "0", e->why ? "\"" : "",
                e->class + 1, e->noinit * 1 + e->ctx * 2 + e->async * 4 + e->blocks * 8 + is_wired(e) * 16 + e->books * 32);
    }
    fprintf(f, "};\n\nconst char *const gn_symbol_names[GN_SYMBOLS] = {\n");
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < entry_count; i++)
            if (entries[i].is_call && (!v || entries[i].variant))
                fprintf(f, "    \"%s%s%s\",\n", entries[i].name, v ? "_" : "", v ? entries[i].variant : "");
    fprintf(f, "};\n");
    for (int i = 0; i < entry_count; i++)
        if (is_wired(&entries[i]))
            for (enum side side = IN; side <= OUT; side++) {
                write_size(f, &entries[i], side);
                write_encode(f, &entries[i], side);
                write_decode(f, &entries[i], side);
            }
    fprintf(f, "\nconst struct gn_codec gn_codecs[GN_OPS] = {\n");
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (is_wired(e))
            fprintf(f, "    [GN_OP_%s] = {size_args_%s, size_out_%s, encode_args_%s, decode_args_%s, encode_out_%s, decode_out_%s,\n        sizeof(struct gn_args_%s), sizeof(struct gn_out_%s), %s},\n",
                    e->name, e->name, e->name, e->name, e->name, e->name, e->name, e->name, e->name, has_payload(e) ? "true" : "false");
    }
    fprintf(f, "};\n");
    for (int i = 0; i < entry_count; i++)
        if (is_wired(&entries[i]))
            fprintf(f, "_Static_assert(sizeof(struct gn_args_%s) <= GN_ARGS_BYTES_MAX && sizeof(struct gn_out_%s) <= GN_ARGS_BYTES_MAX, \"bound\");\n", entries[i].name, entries[i].name);
}
