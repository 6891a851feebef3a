// SPDX-License-Identifier: Apache-2.0
// TOML values written without quotes: numbers, dates and times, booleans, inf and nan.
#include "core/toml/toml_parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct word { // the characters up to the next that no such value contains
    const char *at, *end;
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_part(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
           c == '_' || c == '.' || c == ':';
}

static bool word_is(const struct word *w, const char *text)
{
    return strlen(text) == (size_t)(w->end - w->at) && memcmp(w->at, text, strlen(text)) == 0;
}

static int fail_value(struct gn_toml_parser *p, const struct word *w)
{
    char shown[GN_TOML_SHOWN_BYTES];
    return gn_toml_fail(p, -EINVAL,
                        "\"%s\" is no value; a number, date, true, false or a quoted string is expected",
                        gn_toml_show(w->at, (uint32_t)(w->end - w->at), shown));
}

// --- dates and times

// Exactly `digits` digits, from low to high.
static bool take_field(struct word *w, unsigned digits, unsigned low, unsigned high, unsigned *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++, w->at++) {
        if (w->at == w->end || !is_digit(*w->at))
            return false;
        *value = *value * 10 + (unsigned)(*w->at - '0');
    }
    return *value >= low && *value <= high;
}

static bool take(struct word *w, char c)
{
    if (w->at == w->end || *w->at != c)
        return false;
    w->at++;
    return true;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct word *w, struct gn_toml_time *time)
{
    unsigned year, month, day;
    if (!take_field(w, 4, 0, 9999, &year) || !take(w, '-') || !take_field(w, 2, 1, 12, &month) ||
        !take(w, '-') || !take_field(w, 2, 1, month_days(year, month), &day))
        return false;
    time->year = (uint16_t)year;
    time->month = (uint8_t)month;
    time->day = (uint8_t)day;
    return true;
}

static bool take_time(struct word *w, struct gn_toml_time *time)
{
    unsigned hour, minute, second;
    if (!take_field(w, 2, 0, 23, &hour) || !take(w, ':') || !take_field(w, 2, 0, 59, &minute) ||
        !take(w, ':') || !take_field(w, 2, 0, 60, &second))
        return false;
    time->hour = (uint8_t)hour;
    time->minute = (uint8_t)minute;
    time->second = (uint8_t)second;
    if (!take(w, '.'))
        return true;
    const char *digits = w->at;
    for (uint32_t unit = 100000000; w->at < w->end && is_digit(*w->at); w->at++, unit /= 10)
        time->nanosecond += (uint32_t)(*w->at - '0') * unit;
    return w->at > digits;
}

static bool take_offset(struct word *w, struct gn_toml_time *time)
{
    unsigned hour, minute;
    if (take(w, 'Z') || take(w, 'z'))
        return true;
    bool west = w->at < w->end && *w->at == '-';
    if (!(west ? take(w, '-') : take(w, '+')) || !take_field(w, 2, 0, 23, &hour) || !take(w, ':') ||
        !take_field(w, 2, 0, 59, &minute))
        return false;
    int minutes = (int)(hour * 60 + minute);
    time->offset_minutes = (int16_t)(west ? -minutes : minutes);
    return true;
}

// A date may be parted from its time by one blank, which ends a word otherwise.
static void extend_over_time(const struct gn_toml_parser *p, struct word *w)
{
    const char *at = w->end;
    if (w->end - w->at != 10 || p->end - at < 4 || at[0] != ' ' || !is_digit(at[1]) || !is_digit(at[2]) ||
        at[3] != ':')
        return;
    for (at++; at < p->end && is_part(*at); at++)
        w->end = at + 1;
}

static int read_time(struct gn_toml_parser *p, struct gn_toml_node *node, bool has_date)
{
    struct word w = {p->at, p->at};
    while (w.end < p->end && is_part(*w.end))
        w.end++;
    if (has_date)
        extend_over_time(p, &w);
    const struct word whole = w;
    struct gn_toml_time time = {0};
    enum gn_toml_kind kind = has_date ? GN_TOML_LOCAL_DATE : GN_TOML_LOCAL_TIME;
    bool good = has_date ? take_date(&w, &time) : take_time(&w, &time);
    if (good && has_date && w.at < w.end) {
        good = (take(&w, 'T') || take(&w, 't') || take(&w, ' ')) && take_time(&w, &time);
        kind = w.at < w.end ? GN_TOML_OFFSET_DATETIME : GN_TOML_LOCAL_DATETIME;
        if (good && kind == GN_TOML_OFFSET_DATETIME)
            good = take_offset(&w, &time);
    }
    if (!good || w.at != w.end) {
        char shown[GN_TOML_SHOWN_BYTES];
        return gn_toml_fail(
            p, -EINVAL, "\"%s\" is no date or time; 1979-05-27, 07:32:00 or 1979-05-27T07:32:00Z is expected",
            gn_toml_show(whole.at, (uint32_t)(whole.end - whole.at), shown));
    }
    time.text = p->arena_at;
    int rc = gn_toml_put(p, whole.at, (size_t)(whole.end - whole.at));
    if (rc == 0)
        rc = gn_toml_put(p, "", 1);
    node->kind = kind;
    node->time = time;
    p->at = whole.end;
    return rc;
}

// --- numbers

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

// One or more digits of a base, each underscore between two of them. Steps over them and copies them without
// underscores to *to.
static bool take_digits(struct word *w, int base, char **to)
{
    const char *start = w->at;
    for (; w->at < w->end; w->at++) {
        if (digit_value(*w->at) < base)
            *(*to)++ = *w->at;
        else if (*w->at != '_' || w->at == start || w->at[-1] == '_' || w->end - w->at < 2 ||
                 digit_value(w->at[1]) >= base)
            break;
    }
    return w->at > start;
}

static int read_integer(struct gn_toml_parser *p, struct gn_toml_node *node, const char *digits, int base,
                        bool negative)
{
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
    for (; *digits; digits++) {
        uint64_t digit = (uint64_t)digit_value(*digits);
        if (value > (limit - digit) / (uint64_t)base)
            return gn_toml_fail(p, -EINVAL, "the integer does not fit into 64 bits with a sign");
        value = value * (uint64_t)base + digit;
    }
    node->kind = GN_TOML_INTEGER;
    node->integer = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

// strtod wants the locale's decimal point, so it gets a text without one: all digits, and an exponent that
// says where the point was.
static int read_float(struct gn_toml_parser *p, struct gn_toml_node *node, char *digits, char *end,
                      long fraction_digits, long exponent, bool negative)
{
    int saved_errno = errno;
    long written = exponent - fraction_digits;
    *end++ = 'e';
    if (written < 0)
        *end++ = '-';
    char reversed[24];
    unsigned count = 0;
    unsigned long left = written < 0 ? 0UL - (unsigned long)written : (unsigned long)written;
    do
        reversed[count++] = (char)('0' + left % 10);
    while (left /= 10);
    while (count)
        *end++ = reversed[--count];
    *end = 0;
    double value = strtod(digits, NULL);
    errno = saved_errno;
    if (isinf(value))
        return gn_toml_fail(p, -EINVAL, "the float does not fit into 64 bits; the largest is about 1.8e308");
    node->kind = GN_TOML_FLOAT;
    node->number = negative ? -value : value;
    return 0;
}

// The exponent behind its e; one beyond any double's is as good as 100000.
static bool take_exponent(struct word *w, long *exponent)
{
    char digits[GN_TOML_NUMBER_BYTES_MAX + 1], *to = digits;
    bool negative = w->at < w->end && *w->at == '-';
    if (!negative)
        take(w, '+');
    else
        w->at++;
    if (!take_digits(w, 10, &to))
        return false;
    *exponent = 0;
    for (const char *c = digits; c < to && *exponent < 100000; c++)
        *exponent = *exponent * 10 + (*c - '0');
    if (negative)
        *exponent = -*exponent;
    return true;
}

static int read_decimal(struct gn_toml_parser *p, struct gn_toml_node *node, const struct word *whole,
                        struct word w, bool negative)
{
    char digits[GN_TOML_NUMBER_BYTES_MAX + 32], *to = digits; // room for the exponent
    long exponent = 0, fraction_digits = 0;
    bool is_float = false;
    if (!take_digits(&w, 10, &to))
        return fail_value(p, whole);
    if (digits[0] == '0' && to - digits > 1)
        return gn_toml_fail(p, -EINVAL,
                            "a decimal number cannot start with 0; 0x, 0o and 0b mark other bases");
    if (take(&w, '.')) {
        const char *point = to;
        is_float = true;
        if (!take_digits(&w, 10, &to))
            return gn_toml_fail(p, -EINVAL, "a digit is expected on both sides of a decimal point");
        fraction_digits = to - point;
    }
    if (take(&w, 'e') || take(&w, 'E')) {
        is_float = true;
        if (!take_exponent(&w, &exponent))
            return gn_toml_fail(p, -EINVAL, "digits are expected behind the e of a float");
    }
    if (w.at != w.end)
        return fail_value(p, whole);
    *to = 0;
    return is_float ? read_float(p, node, digits, to, fraction_digits, exponent, negative)
                    : read_integer(p, node, digits, 10, negative);
}

static int read_number(struct gn_toml_parser *p, struct gn_toml_node *node, const struct word *whole)
{
    struct word w = *whole;
    bool negative = take(&w, '-'), has_sign = negative || take(&w, '+');
    if (w.end - w.at > GN_TOML_NUMBER_BYTES_MAX)
        return gn_toml_fail(p, -EINVAL, "a number of more than %d characters", GN_TOML_NUMBER_BYTES_MAX);
    if (word_is(&w, "inf") || word_is(&w, "nan")) {
        double value = *w.at == 'i' ? (double)INFINITY : (double)NAN;
        node->kind = GN_TOML_FLOAT;
        node->number = negative ? -value : value;
        return 0;
    }
    int base = 10;
    if (!has_sign && w.end - w.at > 2 && w.at[0] == '0')
        base = w.at[1] == 'x' ? 16 : w.at[1] == 'o' ? 8 : w.at[1] == 'b' ? 2 : 10;
    if (base == 10)
        return read_decimal(p, node, whole, w, negative);
    char digits[GN_TOML_NUMBER_BYTES_MAX + 1], *to = digits;
    w.at += 2;
    if (!take_digits(&w, base, &to) || w.at != w.end)
        return gn_toml_fail(p, -EINVAL,
                            "digits of base %d, with single underscores between them, are expected", base);
    *to = 0;
    return read_integer(p, node, digits, base, false);
}

int gn_toml_plain(struct gn_toml_parser *p, struct gn_toml_node *node)
{
    struct word w = {p->at, p->at};
    while (w.end < p->end && is_part(*w.end))
        w.end++;
    if (w.end == w.at)
        return gn_toml_fail(p, -EINVAL, "a value is expected here");
    if (word_is(&w, "true") || word_is(&w, "false")) {
        node->kind = GN_TOML_BOOL;
        node->boolean = *w.at == 't';
        p->at = w.end;
        return 0;
    }
    size_t digits = 0, length = (size_t)(w.end - w.at);
    while (digits < 5 && digits < length && is_digit(w.at[digits]))
        digits++;
    if (digits == 4 && length > 4 && w.at[4] == '-')
        return read_time(p, node, true);
    if (digits == 2 && length > 2 && w.at[2] == ':')
        return read_time(p, node, false);
    int rc = read_number(p, node, &w);
    p->at = rc < 0 ? p->at : w.end;
    return rc;
}
