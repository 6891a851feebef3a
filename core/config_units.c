// SPDX-License-Identifier: Apache-2.0
// Sizes, durations and names as users write them, and the nearest known name to a mistyped one.
#include "core/config.h"

#include <errno.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},           {"B", 1},
    {"K", 1ull << 10}, {"KiB", 1ull << 10},
    {"M", 1ull << 20}, {"MiB", 1ull << 20},
    {"G", 1ull << 30}, {"GiB", 1ull << 30},
    {"T", 1ull << 40}, {"TiB", 1ull << 40},
};

static const struct unit duration_units[] = {
    {"", 1000000000},     {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"min", 60000000000},
    {"h", 3600000000000},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct unit *find_unit(const struct unit *units, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    }
    return NULL;
}

static int read_digits(const char **at, uint64_t *value)
{
    const char *start = *at;
    int rc = 0;
    *value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            rc = -ERANGE;
        else
            *value = *value * 10 + digit;
    }
    return *at == start ? -EINVAL : rc;
}

int gn_config_parse_size(const char *text, uint64_t *size_bytes)
{
    uint64_t value;
    int rc = read_digits(&text, &value);
    if (rc == -EINVAL)
        return rc;
    const struct unit *unit = find_unit(size_units, COUNT(size_units), text);
    if (!unit)
        return -EINVAL;
    if (rc < 0 || value > UINT64_MAX / unit->factor)
        return -ERANGE;
    *size_bytes = value * unit->factor;
    return 0;
}

int gn_config_parse_duration(const char *text, uint64_t *duration_ns)
{
    enum {
        FRACTION_DIGITS = 9
    }; // finer than a nanosecond for every unit but hours; further digits are cut off
    uint64_t value, fraction = 0, scale = 1;
    int rc = read_digits(&text, &value);
    if (rc == -EINVAL)
        return rc;
    if (*text == '.') {
        text++;
        if (*text < '0' || *text > '9')
            return -EINVAL;
        for (unsigned digits = 0; *text >= '0' && *text <= '9'; text++, digits++) {
            if (digits < FRACTION_DIGITS) {
                fraction = fraction * 10 + (uint64_t)(*text - '0');
                scale *= 10;
            }
        }
    }
    const struct unit *unit = find_unit(duration_units, COUNT(duration_units), text);
    if (!unit)
        return -EINVAL;
    if (rc < 0 || value > UINT64_MAX / unit->factor)
        return -ERANGE;
    // fraction < 1e9 and factor < 4e12: the product fits into 128 bits only.
    uint64_t part = (uint64_t)((unsigned __int128)fraction * unit->factor / scale);
    if (value * unit->factor > UINT64_MAX - part)
        return -ERANGE;
    *duration_ns = value * unit->factor + part;
    return 0;
}

int gn_config_parse_enum(const char *text, const char *const *names, uint32_t *index)
{
    for (uint32_t i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *index = i;
            return 0;
        }
    }
    return -EINVAL;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '-' ? '_' : c; }

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

// How many letters must be put in, left out, changed or swapped with their neighbour to make one word of the
// other; case and - for _ are free. Three rows of the usual table.
static unsigned distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    unsigned rows[3][GN_CONFIG_NEAR_BYTES + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_bytes; j++)
        last[j] = before[j] = (unsigned)j;
    for (size_t i = 1; i <= a_bytes; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_bytes; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            now[j] = least(last[j - 1] + (x != y), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_bytes];
}

const char *gn_config_nearest(const char *word, size_t word_bytes, const char *const *names, uint32_t count)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    if (!word_bytes || word_bytes > GN_CONFIG_NEAR_BYTES)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = strlen(names[i]);
        if (!bytes || bytes > GN_CONFIG_NEAR_BYTES)
            continue;
        unsigned far = distance(word, word_bytes, names[i], bytes);
        unsigned limit = bytes < 3 ? 1 : (unsigned)(bytes / 3);
        if (far <= limit && far < bytes && (!best || far < best_distance)) {
            best = names[i];
            best_distance = far;
        }
    }
    return best;
}
