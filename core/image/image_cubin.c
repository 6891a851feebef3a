// SPDX-License-Identifier: Apache-2.0
// Cubins: ELF64 files for the CUDA machine, read field by field at checked offsets: their size, kernels,
// parameters and resources.
//
// How a cubin hangs together: .nv.info.<kernel> names with sh_info the section .text.<kernel>; that one's
// sh_info holds the kernel's symbol (low 24 bits); .nv.shared.<kernel> names the .text section with its
// sh_info, too. So everything is found by index, no names are searched for. Tried on 270,000 kernels of the
// CUDA 13.0 libraries.
#include "core/image/image.h"

#include <errno.h>
#include <string.h>

#include "core/image/image_bytes.h"

enum {
    HEADER_BYTES = 64,
    PROGRAM_BYTES = 56,
    SECTION_BYTES = 64,
    SYMBOL_BYTES = 24,
    MACHINE_CUDA = 190,
    RESERVED_SHARED_BYTES = 1024,
    OSABI_BY_SECOND_BYTE = 0x41, // e_flags keep the SM in their second byte; before (0x33) it was the first

    INDEX_IN_SECTION_0 = 0xffff, // e_shstrndx, when it does not fit
    TYPE_NULL = 0,
    TYPE_SYMBOLS = 2,
    TYPE_STRINGS = 3,
    TYPE_NO_BITS = 8,
    TYPE_INFO = 0x70000000,
    FILE_RELOCATABLE = 1,
    SYMBOL_FUNCTION = 2,       // low 4 bits of st_info
    SYMBOL_OTHER_ENTRY = 0x10, // st_other: a kernel, not a device function
};

// Attributes of .nv.info sections. A record is {u8 format, u8 attribute, u16 value}; in the sized format the
// value is a length and so many bytes follow.
enum {
    FORMAT_SIZED = 4,
    ATTRIBUTE_MAX_THREADS = 0x05,    // u32 x, y, z
    ATTRIBUTE_PARAM_BLOCK = 0x0a,    // u32 symbol, u16 offset, u16 size
    ATTRIBUTE_REQUIRED_BLOCK = 0x10, // u32 x, y, z
    ATTRIBUTE_FRAME = 0x11,          // u32 symbol, u32 bytes
    ATTRIBUTE_PARAM = 0x17,          // u32 index, u16 ordinal, u16 offset, u32 with the size above bit 18
    ATTRIBUTE_PARAM_BYTES = 0x19,    // the value
    ATTRIBUTE_REGISTERS = 0x2f,      // u32 symbol, u32 count
    ATTRIBUTE_PARAM_LARGE = 0x45,    // as PARAM, size in the low 24 bits
};

static const char info_prefix[] = ".nv.info.", shared_prefix[] = ".nv.shared.",
                  reserved_prefix[] = ".nv.shared.reserved.";

struct section {
    uint32_t type, link, info;
    uint64_t name, at, size_bytes;
};

static int refuse(struct gn_image_error *error, int code, uint64_t offset_bytes, const char *reason)
{
    *error = (struct gn_image_error){.reason = reason, .offset_bytes = offset_bytes};
    return code;
}

static struct section load_section(const uint8_t *at)
{
    return (struct section){
        .name = gn_load_u32(at),
        .type = gn_load_u32(at + 4),
        .at = gn_load_u64(at + 24),
        .size_bytes = gn_load_u64(at + 32),
        .link = gn_load_u32(at + 40),
        .info = gn_load_u32(at + 44),
    };
}

static bool has_contents(const struct section *s) { return s->type != TYPE_NULL && s->type != TYPE_NO_BITS; }

struct tables { // where the two header tables are, checked against the limit
    uint64_t programs_at, sections_at;
    uint64_t programs_end, sections_end; // 0 when there is none
    uint32_t section_count, names_index;
};

static int read_tables(const uint8_t *data, uint64_t limit, struct tables *t, struct gn_image_error *error)
{
    *t = (struct tables){.programs_at = gn_load_u64(data + 32), .sections_at = gn_load_u64(data + 40)};
    uint64_t program_bytes = (uint64_t)gn_load_u16(data + 56) * PROGRAM_BYTES;
    if (program_bytes && gn_load_u16(data + 54) != PROGRAM_BYTES)
        return refuse(error, -EINVAL, 54, "ELF program headers of an unknown size");
    if (!gn_span_within(limit, t->programs_at, program_bytes))
        return refuse(error, -EINVAL, 32, "ELF program headers lie outside the file");
    t->programs_end = program_bytes ? t->programs_at + program_bytes : 0;

    uint64_t count = gn_load_u16(data + 60);
    t->names_index = gn_load_u16(data + 62);
    if (!t->sections_at)
        return count ? refuse(error, -EINVAL, 40, "ELF section headers without a place") : 0;
    if (gn_load_u16(data + 58) != SECTION_BYTES)
        return refuse(error, -EINVAL, 58, "ELF section headers of an unknown size");
    if (!gn_span_within(limit, t->sections_at, SECTION_BYTES))
        return refuse(error, -EINVAL, 40, "ELF section headers lie outside the file");
    struct section first = load_section(data + t->sections_at); // holds what does not fit into the header
    if (!count)
        count = first.size_bytes;
    if (t->names_index == INDEX_IN_SECTION_0)
        t->names_index = first.link;
    if (count > GN_CUBIN_SECTIONS_MAX)
        return refuse(error, -E2BIG, 60, "more ELF sections than any cubin has");
    if (!gn_span_within(limit, t->sections_at, count * SECTION_BYTES))
        return refuse(error, -EINVAL, 40, "ELF section headers lie outside the file");
    t->section_count = (uint32_t)count;
    t->sections_end = t->sections_at + count * SECTION_BYTES;
    return 0;
}

static int check_header(const uint8_t *data, uint64_t limit, struct gn_image_error *error)
{
    if (limit < HEADER_BYTES)
        return refuse(error, -EINVAL, limit, "ELF header is cut off");
    if (gn_load_u32(data) != 0x464c457f)
        return refuse(error, -EINVAL, 0, "not an ELF file");
    if (data[4] != 2 || data[5] != 1 || data[6] != 1)
        return refuse(error, -EINVAL, 4, "not a 64-bit little-endian ELF file of version 1");
    if (gn_load_u16(data + 18) != MACHINE_CUDA)
        return refuse(error, -EINVAL, 18, "ELF file for a machine other than CUDA");
    return 0;
}

int gn_elf_size(const uint8_t *data, uint64_t avail_bytes, uint64_t *size_bytes, struct gn_image_error *error)
{
    uint64_t limit = avail_bytes < GN_IMAGE_SIZE_MAX ? avail_bytes : GN_IMAGE_SIZE_MAX;
    struct tables t;
    int rc = check_header(data, limit, error);
    if (rc == 0)
        rc = read_tables(data, limit, &t, error);
    if (rc < 0)
        return rc;

    uint64_t end = HEADER_BYTES;
    end = end < t.programs_end ? t.programs_end : end;
    end = end < t.sections_end ? t.sections_end : end;
    for (uint32_t i = 0; i < t.section_count; i++) {
        uint64_t header_at = t.sections_at + (uint64_t)i * SECTION_BYTES;
        struct section s = load_section(data + header_at);
        if (!has_contents(&s))
            continue;
        if (!gn_span_within(limit, s.at, s.size_bytes))
            return refuse(error, -EINVAL, header_at, "ELF section lies outside the file");
        if (s.size_bytes && end < s.at + s.size_bytes)
            end = s.at + s.size_bytes;
    }
    *size_bytes = end;
    return 0;
}

static struct section section_at(const struct gn_cubin *c, uint32_t index)
{
    return load_section(c->data + c->sections_at + (uint64_t)index * SECTION_BYTES);
}

// A string of a table, or NULL when it does not lie in it with its NUL, or is longer than any name.
static const char *string_at(const struct gn_cubin *c, uint64_t table_at, uint64_t table_bytes,
                             uint64_t offset)
{
    if (offset >= table_bytes)
        return NULL;
    const char *text = (const char *)c->data + table_at + offset;
    uint64_t most = table_bytes - offset < GN_IMAGE_NAME_MAX ? table_bytes - offset : GN_IMAGE_NAME_MAX;
    return memchr(text, 0, most) ? text : NULL;
}

static bool section_has_name(const struct gn_cubin *c, const struct section *s, const char *name,
                             uint64_t bytes)
{
    return gn_span_within(c->names_bytes, s->name, bytes) &&
           memcmp(c->data + c->names_at + s->name, name, bytes) == 0;
}

static int adopt_symbols(struct gn_cubin *c, const struct section *s, uint64_t header_at)
{
    if (c->symbol_count)
        return refuse(&c->error, -EINVAL, header_at, "ELF file with two symbol tables");
    if (s->link >= c->section_count)
        return refuse(&c->error, -EINVAL, header_at, "ELF symbol table without its strings");
    struct section strings = section_at(c, s->link);
    if (strings.type != TYPE_STRINGS)
        return refuse(&c->error, -EINVAL, header_at, "ELF symbol table without its strings");
    c->symbols_at = s->at;
    c->symbol_count = (uint32_t)(s->size_bytes / SYMBOL_BYTES); // the file is below 4 GiB
    c->strings_at = strings.at;
    c->strings_bytes = strings.size_bytes;
    return 0;
}

int gn_cubin_open(struct gn_cubin *cubin, const void *data, uint64_t size_bytes)
{
    struct tables t;
    uint64_t ignored;
    *cubin = (struct gn_cubin){.data = data, .size_bytes = size_bytes, .bytes_left = 2 * size_bytes};
    struct gn_image_error *error = &cubin->error;
    if (size_bytes > GN_IMAGE_SIZE_MAX)
        return refuse(error, -E2BIG, GN_IMAGE_SIZE_MAX, "larger than any image may be");
    // From here on every section with contents is known to lie in the file.
    int rc = gn_elf_size(cubin->data, size_bytes, &ignored, error);
    if (rc == 0)
        rc = read_tables(cubin->data, size_bytes, &t, error);
    if (rc < 0)
        return rc;
    uint32_t flags = gn_load_u32(cubin->data + 48);
    cubin->sm = cubin->data[7] == OSABI_BY_SECOND_BYTE ? flags >> 8 & 0xff : flags & 0xff;
    cubin->is_relocatable = gn_load_u16(cubin->data + 16) == FILE_RELOCATABLE;
    cubin->sections_at = t.sections_at;
    cubin->section_count = t.section_count;
    if (!t.section_count)
        return 0;
    if (t.names_index >= t.section_count)
        return refuse(error, -EINVAL, 62, "ELF section names are missing");
    struct section names = section_at(cubin, t.names_index);
    if (names.type != TYPE_STRINGS)
        return refuse(error, -EINVAL, 62, "ELF section names are missing");
    cubin->names_at = names.at;
    cubin->names_bytes = names.size_bytes;

    for (uint32_t i = 0; i < t.section_count && rc == 0; i++) {
        struct section s = section_at(cubin, i);
        if (s.type == TYPE_SYMBOLS)
            rc = adopt_symbols(cubin, &s, cubin->sections_at + (uint64_t)i * SECTION_BYTES);
        else if (s.type == TYPE_INFO && section_has_name(cubin, &s, ".nv.info", sizeof ".nv.info"))
            cubin->info_section = i;
        else if (section_has_name(cubin, &s, reserved_prefix, sizeof reserved_prefix - 1))
            cubin->reserves_shared = true;
    }
    return rc;
}

struct record {
    uint8_t format, attribute;
    uint16_t value;
    const uint8_t *payload; // value bytes in the sized format, else NULL
    uint64_t at;            // in the file
};

// Reads the record at *at of a section that ends at `end`. 1, 0 at the end, -EINVAL.
static int next_record(struct gn_cubin *c, uint64_t *at, uint64_t end, struct record *r)
{
    if (*at == end)
        return 0;
    if (end - *at < 4)
        return refuse(&c->error, -EINVAL, *at, ".nv.info record is cut off");
    const uint8_t *bytes = c->data + *at;
    *r = (struct record){
        .format = bytes[0], .attribute = bytes[1], .value = gn_load_u16(bytes + 2), .at = *at};
    *at += 4;
    if (r->format != FORMAT_SIZED)
        return 1;
    if (end - *at < r->value)
        return refuse(&c->error, -EINVAL, r->at, ".nv.info record reaches beyond its section");
    r->payload = bytes + 4;
    *at += r->value;
    return 1;
}

static bool is_param(const struct record *r)
{
    return r->attribute == ATTRIBUTE_PARAM || r->attribute == ATTRIBUTE_PARAM_LARGE;
}

// The payload size that an attribute we read must have at least; 0 for those that we pass over.
static uint16_t payload_least(uint8_t attribute)
{
    switch (attribute) {
    case ATTRIBUTE_MAX_THREADS:
    case ATTRIBUTE_REQUIRED_BLOCK:
    case ATTRIBUTE_PARAM:
    case ATTRIBUTE_PARAM_LARGE: return 12;
    case ATTRIBUTE_PARAM_BLOCK:
    case ATTRIBUTE_FRAME:
    case ATTRIBUTE_REGISTERS: return 8;
    default: return 0;
    }
}

static int check_payload(struct gn_cubin *c, const struct record *r)
{
    uint16_t least = payload_least(r->attribute);
    if (least && (!r->payload || r->value < least))
        return refuse(&c->error, -EINVAL, r->at, ".nv.info record is too short for its attribute");
    return 0;
}

static uint32_t block_threads(const uint32_t block[3])
{
    uint64_t threads = 1;
    for (unsigned i = 0; i < 3; i++)
        threads = threads * block[i] > UINT32_MAX ? UINT32_MAX : threads * block[i];
    return (uint32_t)threads;
}

static void take_record(const struct record *r, struct gn_cubin_kernel *kernel)
{
    uint32_t block[3] = {0};
    switch (r->attribute) {
    case ATTRIBUTE_PARAM:
    case ATTRIBUTE_PARAM_LARGE: kernel->param_count++; break;
    case ATTRIBUTE_PARAM_BYTES: kernel->param_bytes = r->value; break;
    case ATTRIBUTE_PARAM_BLOCK:
        if (!kernel->param_bytes) // the same number; the only one where 0x19 is missing
            kernel->param_bytes = gn_load_u16(r->payload + 6);
        break;
    case ATTRIBUTE_MAX_THREADS:
    case ATTRIBUTE_REQUIRED_BLOCK:
        for (unsigned i = 0; i < 3; i++)
            block[i] = gn_load_u32(r->payload + 4 * i);
        kernel->max_threads = block_threads(block);
        if (r->attribute == ATTRIBUTE_REQUIRED_BLOCK)
            memcpy(kernel->required_block, block, sizeof block);
        break;
    default: break;
    }
}

static int read_info(struct gn_cubin *c, struct gn_cubin_kernel *kernel)
{
    uint64_t at = kernel->info_at, end = at + kernel->info_bytes;
    struct record r;
    int rc;
    while ((rc = next_record(c, &at, end, &r)) > 0) {
        rc = check_payload(c, &r);
        if (rc < 0)
            return rc;
        take_record(&r, kernel);
    }
    if (rc < 0)
        return rc;
    if (kernel->param_bytes > GN_IMAGE_PARAM_BYTES_MAX || kernel->param_count > kernel->param_bytes)
        return refuse(&c->error, -EINVAL, kernel->info_at, "kernel with impossible parameters");
    return 0;
}

// Takes a .nv.info.<kernel> section. 1 = *kernel is filled; 0 = it is of a device function.
static int read_kernel(struct gn_cubin *c, const struct section *info, struct gn_cubin_kernel *kernel)
{
    uint64_t header_at = c->sections_at + (uint64_t)(c->section_at - 1) * SECTION_BYTES;
    if (info->info == 0 || info->info >= c->section_count)
        return refuse(&c->error, -EINVAL, header_at, ".nv.info section of no code section");
    struct section text = section_at(c, info->info);
    uint32_t symbol = text.info & 0xffffff;
    if (symbol >= c->symbol_count)
        return refuse(&c->error, -EINVAL, c->sections_at + (uint64_t)info->info * SECTION_BYTES,
                      "code section of no symbol");
    const uint8_t *entry = c->data + c->symbols_at + (uint64_t)symbol * SYMBOL_BYTES;
    if ((entry[4] & 0xf) != SYMBOL_FUNCTION || !(entry[5] & SYMBOL_OTHER_ENTRY))
        return 0;
    *kernel = (struct gn_cubin_kernel){
        .name = string_at(c, c->strings_at, c->strings_bytes, gn_load_u32(entry)),
        .text_section = info->info,
        .symbol = symbol,
        .info_at = info->at,
        .info_bytes = info->size_bytes,
    };
    if (!kernel->name || !*kernel->name)
        return refuse(&c->error, -EINVAL, c->symbols_at + (uint64_t)symbol * SYMBOL_BYTES,
                      "kernel without a name");
    kernel->name_bytes = strlen(kernel->name);
    uint64_t cost = kernel->info_bytes + kernel->name_bytes;
    if (cost > c->bytes_left)
        return refuse(&c->error, -E2BIG, header_at, "kernels share their sections or names");
    c->bytes_left -= cost;
    int rc = read_info(c, kernel);
    return rc < 0 ? rc : 1;
}

int gn_cubin_next(struct gn_cubin *cubin, struct gn_cubin_kernel *kernel)
{
    int rc = cubin->error.reason ? -EINVAL : 0;
    *kernel = (struct gn_cubin_kernel){0};
    while (rc == 0 && cubin->section_at < cubin->section_count) {
        struct section s = section_at(cubin, cubin->section_at++);
        if (s.type == TYPE_INFO && section_has_name(cubin, &s, info_prefix, sizeof info_prefix - 1))
            rc = read_kernel(cubin, &s, kernel);
    }
    return rc;
}

int gn_cubin_params(struct gn_cubin *cubin, const struct gn_cubin_kernel *kernel,
                    struct gn_image_param *params, uint32_t max)
{
    uint64_t at = kernel->info_at, end = at + kernel->info_bytes;
    struct record r;
    int rc;
    if (max < kernel->param_count)
        return -ENOSPC;
    memset(params, 0, kernel->param_count * sizeof *params);
    while ((rc = next_record(cubin, &at, end, &r)) > 0) {
        if (!is_param(&r))
            continue;
        rc = check_payload(cubin, &r);
        if (rc < 0)
            return rc;
        uint32_t index = gn_load_u16(r.payload + 4), offset = gn_load_u16(r.payload + 6),
                 size = gn_load_u32(r.payload + 8);
        size = r.attribute == ATTRIBUTE_PARAM ? size >> 18 : size & 0xffffff;
        if (index >= kernel->param_count || params[index].size_bytes)
            return refuse(&cubin->error, -EINVAL, r.at, "parameter doubled or missing before another");
        if (!size || !gn_span_within(kernel->param_bytes, offset, size))
            return refuse(&cubin->error, -EINVAL, r.at, "parameter lies outside the parameter block");
        params[index] = (struct gn_image_param){offset, size};
    }
    // As many records as indices below param_count, none doubled: so none is missing.
    for (uint32_t i = 1; rc == 0 && i < kernel->param_count; i++) {
        if (params[i].offset_bytes < params[i - 1].offset_bytes + params[i - 1].size_bytes)
            rc = refuse(&cubin->error, -EINVAL, kernel->info_at, "parameters overlap");
    }
    return rc;
}

// Registers and stack frame: records of .nv.info that name the kernel's symbol.
static int read_symbol_records(struct gn_cubin *c, uint32_t symbol, struct gn_cubin_resources *resources)
{
    if (!c->info_section)
        return 0;
    struct section s = section_at(c, c->info_section);
    uint64_t at = s.at, end = s.at + s.size_bytes;
    struct record r;
    int rc;
    while ((rc = next_record(c, &at, end, &r)) > 0) {
        if (r.attribute != ATTRIBUTE_FRAME && r.attribute != ATTRIBUTE_REGISTERS)
            continue;
        rc = check_payload(c, &r);
        if (rc < 0)
            return rc;
        if (gn_load_u32(r.payload) != symbol)
            continue;
        uint32_t value = gn_load_u32(r.payload + 4);
        if (r.attribute == ATTRIBUTE_FRAME)
            resources->local_bytes = value;
        else
            resources->registers = value;
    }
    return rc;
}

int gn_cubin_resources(struct gn_cubin *cubin, const struct gn_cubin_kernel *kernel,
                       struct gn_cubin_resources *resources)
{
    *resources = (struct gn_cubin_resources){0};
    for (uint32_t i = 0; i < cubin->section_count; i++) {
        struct section s = section_at(cubin, i);
        if (s.info != kernel->text_section ||
            !section_has_name(cubin, &s, shared_prefix, sizeof shared_prefix - 1))
            continue;
        if (s.size_bytes > UINT32_MAX)
            return refuse(&cubin->error, -EINVAL, cubin->sections_at + (uint64_t)i * SECTION_BYTES,
                          "kernel with impossible shared memory");
        uint32_t reserved = cubin->reserves_shared ? RESERVED_SHARED_BYTES : 0;
        resources->static_shared_bytes = s.size_bytes > reserved ? (uint32_t)s.size_bytes - reserved : 0;
        break;
    }
    return read_symbol_records(cubin, kernel->symbol, resources);
}
