// SPDX-License-Identifier: Apache-2.0
// Device printf and the message of a failed assertion: formats with arguments that lie in the memory of a
// kernel.
#include "ptx_ops.h"
#include "ptx_run.h"

#include <ctype.h>
#include <stdio.h>

enum {
    FORMAT_MAX = 1 << 16,
    RECORD_MAX = 1 << 16,
    STRING_MAX = 1 << 15,
    ARGS_MAX = 32 /* the language's */,
    PRECISION_MAX = 4096,
    WIDTH_MAX = 4096
};

// One byte of the kernel's memory; false at the end of what can be read, without a fault.
static bool peek(struct ptx_warp *w, const struct ptx_insn *in, uint32_t lane, uint64_t address, char *c)
{
    uint8_t *host = ptx_resolve(w, in, PTX_A_GENERIC, address, 1, false, lane);
    if (!host)
        return false;
    *c = (char)*host;
    return true;
}

static bool copy_string(struct ptx_warp *w, const struct ptx_insn *in, uint32_t lane, uint64_t address,
                        char *out, size_t size)
{
    size_t n = 0;
    for (; n < size - 1; n++) {
        if (!peek(w, in, lane, address + n, &out[n]))
            return false;
        if (!out[n])
            return true;
    }
    out[n] = 0;
    return true;
}

struct record {
    char *text;
    size_t size;
    int args; // read so far
};

static void append(struct record *r, const char *text, size_t size)
{
    if (size > RECORD_MAX - r->size)
        size = RECORD_MAX - r->size;
    memcpy(r->text + r->size, text, size);
    r->size += size;
}

struct conversion { // %[flags][width][.precision][length]letter
    char flags[8];
    int width, precision; // -1: none
    char length;          // 0, h, H (hh), l, L (ll)
    char letter;
};

struct source {
    struct ptx_warp *w;
    const struct ptx_insn *in;
    uint32_t lane;
    uint64_t args, offset;
    bool failed;
};

// The next argument: 4 bytes in an aligned place, or 8.
static uint64_t argument(struct source *s, uint32_t bytes)
{
    s->offset = (s->offset + bytes - 1) / bytes * bytes;
    uint64_t v = 0;
    uint8_t *host = ptx_resolve(s->w, s->in, PTX_A_GENERIC, s->args + s->offset, bytes, false, s->lane);
    s->offset += bytes;
    if (!host)
        s->failed = true;
    else
        memcpy(&v, host, bytes);
    return v;
}

static int number(struct source *s, const char **f, int most)
{
    int v = 0;
    if (**f == '*') {
        (*f)++;
        v = (int32_t)argument(s, 4);
        return v > most ? most : v < -most ? -most : v;
    }
    while (isdigit((unsigned char)**f)) {
        v = v * 10 + (**f - '0');
        v = v > most ? most : v;
        (*f)++;
    }
    return v;
}

static const char *parse(struct source *s, const char *f, struct conversion *c)
{
    *c = (struct conversion){.width = -1, .precision = -1};
    size_t flags = 0;
    while (*f && strchr("-+ #0", *f)) {
        if (flags < sizeof c->flags - 2)
            c->flags[flags++] = *f;
        f++;
    }
    if (isdigit((unsigned char)*f) || *f == '*')
        c->width = number(s, &f, WIDTH_MAX);
    if (c->width < -1 || (c->width == -1 && f[-1] == '*')) { // a negative * is a flag
        c->flags[flags < sizeof c->flags - 1 ? flags : flags - 1] = '-';
        c->width = -c->width;
    }
    if (*f == '.') {
        f++;
        c->precision = number(s, &f, PRECISION_MAX);
        if (c->precision < 0)
            c->precision = -1;
    }
    for (; *f && strchr("hlLjzt", *f); f++)
        c->length = *f == 'h' ? (c->length == 'h' ? 'H' : 'h') : 'l'; // every long kind has 8 bytes
    c->letter = *f;
    return *f ? f + 1 : f;
}

static void format_of(const struct conversion *c, const char *length, char letter, char *out, size_t size)
{
    int n = snprintf(out, size, "%%%s", c->flags);
    if (c->width >= 0)
        n += snprintf(out + n, size - (size_t)n, "%d", c->width);
    if (c->precision >= 0)
        n += snprintf(out + n, size - (size_t)n, ".%d", c->precision);
    snprintf(out + n, size - (size_t)n, "%s%c", length, letter);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void convert(struct record *r, struct source *s, const struct conversion *c)
{
    char format[48], out[WIDTH_MAX + PRECISION_MAX + 512];
    int n = 0;
    switch (c->letter) {
    case 'd':
    case 'i': {
        int64_t v = c->length == 'l' ? (int64_t)argument(s, 8) : (int32_t)argument(s, 4);
        v = c->length == 'h' ? (int16_t)v : c->length == 'H' ? (int8_t)v : v;
        format_of(c, "ll", 'd', format, sizeof format);
        n = snprintf(out, sizeof out, format, (long long)v);
        break;
    }
    case 'u':
    case 'o':
    case 'x':
    case 'X': {
        uint64_t v = c->length == 'l' ? argument(s, 8) : argument(s, 4);
        v = c->length == 'h' ? (uint16_t)v : c->length == 'H' ? (uint8_t)v : v;
        format_of(c, "ll", c->letter, format, sizeof format);
        n = snprintf(out, sizeof out, format, (unsigned long long)v);
        break;
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A': {
        uint64_t bits = argument(s, 8);
        double v;
        memcpy(&v, &bits, 8);
        format_of(c, "", c->letter, format, sizeof format);
        n = snprintf(out, sizeof out, format, v);
        break;
    }
    case 'c':
        format_of(c, "", 'c', format, sizeof format);
        n = snprintf(out, sizeof out, format, (int)argument(s, 4));
        break;
    case 'p': {
        struct conversion hex = *c;
        uint64_t v = argument(s, 8);
        hex.flags[0] = strchr(c->flags, '-') ? '-' : 0; // "0x" comes from the '#'
        hex.flags[hex.flags[0] != 0] = '#';
        hex.flags[1 + (hex.flags[0] == '-')] = 0;
        format_of(&hex, "ll", 'x', format, sizeof format);
        n = v ? snprintf(out, sizeof out, format, (unsigned long long)v) : snprintf(out, sizeof out, "(nil)");
        break;
    }
    default: return;
    }
    if (n > 0)
        append(r, out, (size_t)n < sizeof out ? (size_t)n : sizeof out - 1);
}
#pragma GCC diagnostic pop

static void convert_string(struct record *r, struct source *s, const struct conversion *c)
{
    char text[STRING_MAX], pad[WIDTH_MAX];
    uint64_t address = argument(s, 8);
    size_t most = c->precision >= 0 ? (size_t)c->precision + 1 : sizeof text;
    if (!address)
        strcpy(text, "(null)");
    else if (s->failed ||
             !copy_string(s->w, s->in, s->lane, address, text, most < sizeof text ? most : sizeof text)) {
        s->failed = true;
        return;
    }
    size_t size = strlen(text), fill = c->width > 0 && (size_t)c->width > size ? (size_t)c->width - size : 0;
    memset(pad, ' ', sizeof pad);
    bool left = strchr(c->flags, '-');
    if (!left)
        append(r, pad, fill < sizeof pad ? fill : sizeof pad);
    append(r, text, size);
    if (left)
        append(r, pad, fill < sizeof pad ? fill : sizeof pad);
}

static bool one_record(struct ptx_warp *w, const struct ptx_insn *in, uint32_t lane, uint64_t format,
                       uint64_t args, struct record *r, char *text)
{
    struct source s = {.w = w, .in = in, .lane = lane, .args = args};
    if (!copy_string(w, in, lane, format, text, FORMAT_MAX))
        return false;
    for (const char *f = text; *f && !s.failed;) {
        const char *percent = strchr(f, '%');
        append(r, f, percent ? (size_t)(percent - f) : strlen(f));
        if (!percent)
            break;
        if (percent[1] == '%') {
            append(r, "%", 1);
            f = percent + 2;
            continue;
        }
        struct conversion c;
        f = parse(&s, percent + 1, &c);
        if (!c.letter || !strchr("diouxXeEfFgGaAcpsn", c.letter) || r->args >= ARGS_MAX) {
            append(r, percent, (size_t)(f - percent)); // not a conversion: printed as it is
            continue;
        }
        r->args++;
        if (c.letter == 's')
            convert_string(r, &s, &c);
        else if (c.letter == 'n')
            argument(&s, 8); // ignored, as on a device
        else
            convert(r, &s, &c);
    }
    return !s.failed;
}

const struct ptx_insn *ptx_vprintf(struct ptx_warp *w, const struct ptx_insn *in, const uint64_t *format,
                                   const uint64_t *args, uint32_t *result)
{
    char text[FORMAT_MAX], out[RECORD_MAX];
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        struct record r = {.text = out};
        if (!one_record(w, in, lane, format[lane], args[lane], &r, text))
            return NULL;
        result[lane] = (uint32_t)r.args;
        if (w->k->memory->print)
            w->k->memory->print(w->k->memory->ctx, r.text, r.size);
    }
    return PTX_NEXT(in);
}

void ptx_print_assert(struct ptx_warp *w, const struct ptx_insn *in, uint32_t lane, uint64_t message,
                      uint64_t file, uint32_t line, uint64_t function)
{
    char texts[3][1024], out[4096];
    const uint64_t addresses[3] = {file, function, message};
    for (int i = 0; i < 3; i++)
        if (!addresses[i] || !copy_string(w, in, lane, addresses[i], texts[i], sizeof texts[i]))
            strcpy(texts[i], "?");
    uint32_t t[3];
    ptx_thread_of(w, lane, t);
    const uint32_t *b = w->block->ctaid;
    int n =
        snprintf(out, sizeof out, "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n",
                 texts[0], line, texts[1], b[0], b[1], b[2], t[0], t[1], t[2], texts[2]);
    if (n > 0 && w->k->memory->print)
        w->k->memory->print(w->k->memory->ctx, out, (size_t)n < sizeof out ? (size_t)n : sizeof out - 1);
}
