// SPDX-License-Identifier: Apache-2.0
// Parses GENIE_MOCK=key=value,... by a table of keys.
//
// A misspelt key must not silently give another device than the test asked for, so everything unknown is refused.
#include "tests/mock/mock_options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_ids.h"

struct parser {
    struct mock_options *options;
    char *error;
    size_t error_bytes;
    const char *key;
};

static int refuse(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct parser *p, const char *format, ...)
{
    va_list args;
    int used = snprintf(p->error, p->error_bytes, "GENIE_MOCK: %s: ", p->key);
    va_start(args, format);
    if (used >= 0 && (size_t)used < p->error_bytes)
        vsnprintf(p->error + used, p->error_bytes - (size_t)used, format, args);
    va_end(args);
    return -EINVAL;
}

// A whole number in [low, high]; `unit` allows K, M, G, T (powers of 1,024).
static int number(struct parser *p, const char *value, uint64_t low, uint64_t high, bool unit, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    unsigned shift = 0;
    if (unit && *end) {
        const char *units = "KMGT", *at = strchr(units, *end);
        if (!at)
            return refuse(p, "'%s' is not a size (bytes, or with K, M, G, T)", value);
        shift = 10 * (unsigned)(at - units + 1);
        end++;
    }
    if (*value < '0' || *value > '9' || *end || errno || n > UINT64_MAX >> shift)
        return refuse(p, "'%s' is not a whole number", value);
    n <<= shift;
    if (n < low || n > high)
        return refuse(p, "%s is outside %llu to %llu", value, (unsigned long long)low, (unsigned long long)high);
    *out = n;
    return 0;
}

static int small(struct parser *p, const char *value, unsigned low, unsigned high, unsigned *out)
{
    uint64_t n;
    int r = number(p, value, low, high, false, &n);
    if (!r)
        *out = (unsigned)n;
    return r;
}

static int real(struct parser *p, const char *value, double low, double high, double *out)
{
    char *end;
    double n = strtod(value, &end);
    if (end == value || *end || !(n >= low && n <= high))
        return refuse(p, "'%s' is not a number from %g to %g", value, low, high);
    *out = n;
    return 0;
}

static int choice(struct parser *p, const char *value, const char *no, const char *yes, bool *out)
{
    if (strcmp(value, no) && strcmp(value, yes))
        return refuse(p, "'%s' is neither %s nor %s", value, no, yes);
    *out = !strcmp(value, yes);
    return 0;
}

static int set_devices(struct parser *p, const char *v)
{
    return small(p, v, 0, MOCK_DEVICES_MAX, &p->options->devices);
}

static int set_mem(struct parser *p, const char *v)
{
    // 1 TiB is what each device's part of the reserved range holds.
    return number(p, v, 1 << 20, (uint64_t)1 << 40, true, &p->options->mem_bytes);
}

static int set_sms(struct parser *p, const char *v) { return small(p, v, 1, 1024, &p->options->sms); }

static int set_threads(struct parser *p, const char *v) { return small(p, v, 1, 256, &p->options->threads); }

static int set_sm(struct parser *p, const char *v)
{
    static const unsigned known[] = {75, 80, 86, 87, 89, 90};
    unsigned sm;
    int r = small(p, v, 75, 90, &sm);
    for (size_t i = 0; !r && i < sizeof known / sizeof *known; i++)
        if (known[i] == sm) {
            p->options->sm = sm;
            return 0;
        }
    return r ? r : refuse(p, "%s is none of 75, 80, 86, 87, 89, 90", v);
}

static int microseconds(struct parser *p, const char *v, int64_t *ns)
{
    double us = 0;
    int r = real(p, v, 0, 1e9, &us);
    if (!r)
        *ns = (int64_t)(us * 1e3 + 0.5);
    return r;
}

static int set_kernel_us(struct parser *p, const char *v) { return microseconds(p, v, &p->options->kernel_ns); }
static int set_copy_us(struct parser *p, const char *v) { return microseconds(p, v, &p->options->copy_ns); }

static int set_copy_gbps(struct parser *p, const char *v)
{
    return real(p, v, 1e-6, 1e6, &p->options->copy_bytes_per_ns); // 1 GB/s is a byte a nanosecond
}

static int set_memory_gbps(struct parser *p, const char *v)
{
    return real(p, v, 1e-6, 1e6, &p->options->memory_bytes_per_ns);
}

// The time of a known device. Keys after it change single values.
static int set_time(struct parser *p, const char *v)
{
    static const struct {
        const char *name;
        int64_t kernel_ns, copy_ns;
        double copy_bytes_per_ns, memory_bytes_per_ns;
    } devices[] = {
        // NVIDIA H200 SXM: 4.8 TB/s of HBM3e (data sheet). PCIe 5.0 x16: 64 GB/s a direction less its framing, of which copies from
        // pinned memory are commonly measured at 55 GB/s. From one small kernel of a stream to the next, and for starting a copy: 2.5 us,
        // the middle of the 2 to 3 us that launch benchmarks give.
        {"h200", 2500, 2500, 55, 4800},
    };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (!strcmp(v, devices[i].name)) {
            p->options->kernel_ns = devices[i].kernel_ns;
            p->options->copy_ns = devices[i].copy_ns;
            p->options->copy_bytes_per_ns = devices[i].copy_bytes_per_ns;
            p->options->memory_bytes_per_ns = devices[i].memory_bytes_per_ns;
            return 0;
        }
    return refuse(p, "'%s' is no device whose time is known (h200)", v);
}

static int set_moves(struct parser *p, const char *v) { return choice(p, v, "off", "on", &p->options->moves); }

static int set_exec(struct parser *p, const char *v) { return choice(p, v, "off", "on", &p->options->exec); }

static int set_sass(struct parser *p, const char *v)
{
    return choice(p, v, "error", "skip", &p->options->sass_skip);
}

static int set_leaks(struct parser *p, const char *v) { return choice(p, v, "0", "1", &p->options->leaks); }

static int set_verbose(struct parser *p, const char *v) { return choice(p, v, "0", "1", &p->options->verbose); }

static int set_novmm(struct parser *p, const char *v) { return choice(p, v, "0", "1", &p->options->novmm); }

static int set_hang(struct parser *p, const char *v)
{
    return number(p, v, 1, UINT64_MAX, false, &p->options->hang_launch);
}

static int set_fall_off(struct parser *p, const char *v)
{
    return number(p, v, 1, UINT64_MAX, false, &p->options->fall_off_call);
}

static int file(struct parser *p, const char *v, char path[MOCK_OPTION_BYTES_MAX])
{
    if (!*v)
        return refuse(p, "a file name is missing");
    snprintf(path, MOCK_OPTION_BYTES_MAX, "%s", v);
    return 0;
}

static int set_log(struct parser *p, const char *v) { return file(p, v, p->options->log_path); }
static int set_stamp(struct parser *p, const char *v) { return file(p, v, p->options->stamp_path); }

static int set_fail(struct parser *p, const char *v)
{
    char name[MOCK_OPTION_BYTES_MAX], *nth, *code;
    struct mock_options *o = p->options;
    if (o->fault_count == MOCK_FAULTS_MAX)
        return refuse(p, "given more than %d times", MOCK_FAULTS_MAX);
    snprintf(name, sizeof name, "%s", v);
    nth = strchr(name, ':');
    code = nth ? strchr(nth + 1, ':') : NULL;
    if (!code)
        return refuse(p, "'%s' is not NAME:N:CODE", v);
    *nth++ = *code++ = '\0';
    struct mock_fault *f = &o->faults[o->fault_count];
    unsigned value;
    int r = number(p, nth, 1, UINT64_MAX, false, &f->call_index);
    if (r || (r = small(p, code, 1, 9999, &value)))
        return r;
    f->code = (int)value;
    f->seen = 0;
    for (f->op = 1; f->op < GN_OPS; f->op++)
        if (gn_api[f->op].name && !strcmp(gn_api[f->op].name, name)) {
            o->fault_count++;
            return 0;
        }
    return refuse(p, "no driver call has the name '%s'", name);
}

static const struct key {
    const char *name;
    int (*set)(struct parser *p, const char *value);
} keys[] = {
    {"devices", set_devices}, {"mem", set_mem},   {"sms", set_sms},   {"sm", set_sm},
    {"threads", set_threads}, {"exec", set_exec}, {"sass", set_sass}, {"kernel_us", set_kernel_us},
    {"copy_gbps", set_copy_gbps}, {"fail", set_fail}, {"hang", set_hang}, {"fall_off", set_fall_off},
    {"leaks", set_leaks},     {"log", set_log},   {"stamp", set_stamp}, {"verbose", set_verbose},
    {"novmm", set_novmm},     {"time", set_time}, {"copy_us", set_copy_us}, {"memory_gbps", set_memory_gbps},
    {"moves", set_moves},
};

static int pair(struct parser *p, char *text)
{
    char *value = strchr(text, '=');
    p->key = text;
    if (!value)
        return refuse(p, "'=' and a value are missing");
    *value++ = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(keys[i].name, text))
            return keys[i].set(p, value);
    return refuse(p, "no such key (devices, mem, sms, sm, threads, exec, sass, kernel_us, copy_gbps, fail, hang, "
                     "fall_off, leaks, log, stamp, verbose, novmm, time, copy_us, memory_gbps, moves)");
}

static void defaults(struct mock_options *o)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (struct mock_options){
        .devices = 1,
        .sms = 16,
        .sm = 90,
        .threads = online < 1 ? 1 : online > 256 ? 256 : (unsigned)online,
        .mem_bytes = (uint64_t)16 << 30,
        .kernel_ns = -1,
        .exec = true,
        .moves = true,
    };
}

int mock_options_parse(struct mock_options *options, const char *text, char *error, size_t error_bytes)
{
    struct parser p = {.options = options, .error = error, .error_bytes = error_bytes, .key = ""};
    defaults(options);
    if (error_bytes)
        error[0] = '\0';
    while (text && *text) {
        char one[MOCK_OPTION_BYTES_MAX];
        size_t length = strcspn(text, ",");
        if (length >= sizeof one)
            return refuse(&p, "an option is longer than %zu bytes", sizeof one - 1);
        memcpy(one, text, length);
        one[length] = '\0';
        text += length + (text[length] == ',');
        int r = *one ? pair(&p, one) : 0;
        if (r)
            return r;
    }
    p.key = "moves";
    if (!options->moves && options->exec) // kernels would compute on what was never copied
        return refuse(&p, "off is only for exec=off");
    options->is_virtual = options->kernel_ns >= 0 || options->copy_bytes_per_ns > 0 || options->memory_bytes_per_ns > 0;
    return 0;
}
