// SPDX-License-Identifier: Apache-2.0
// Matching globs: one walk along the text that remembers the last star only. Going back to an earlier one could never help: what stands
// between two stars may as well match as early as possible.
#include "core/hints/glob.h"

#include <stddef.h>
#include <string.h>

// The end of the set that begins behind '[': its ']', or NULL. A ']' in the first place is a member.
static const char *set_end(const char *at)
{
    at += *at == '!';
    if (*at == ']')
        at++;
    while (*at && *at != ']')
        at += at[0] == '\\' && at[1] ? 2 : 1;
    return *at ? at : NULL;
}

static unsigned char member(const char **at)
{
    *at += **at == '\\' && (*at)[1];
    return (unsigned char)*(*at)++;
}

static bool in_set(const char *at, const char *end, unsigned char c)
{
    bool out = *at == '!', found = false;
    for (at += out; at < end;) {
        unsigned char low = member(&at), high = low;
        if (at[0] == '-' && at + 1 < end) {
            at++;
            high = member(&at);
        }
        found |= low <= c && c <= high;
    }
    return found != out;
}

// Whether one byte matches the token at *pattern, which is no star; *next: behind it.
static bool one(const char *pattern, unsigned char c, const char **next)
{
    const char *end;
    *next = pattern + 1;
    switch (*pattern) {
    case 0: return false;
    case '?': return true;
    case '\\':
        *next += pattern[1] != 0;
        return (unsigned char)(pattern[1] ? pattern[1] : '\\') == c;
    case '[':
        if (!(end = set_end(pattern + 1)))
            return c == '[';
        *next = end + 1;
        return in_set(pattern + 1, end, c);
    default: return (unsigned char)*pattern == c;
    }
}

bool gn_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL, *next; // behind the last star; where in the text it was tried to end
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (one(pattern, (unsigned char)*text, &next)) {
            pattern = next;
            text++;
        } else if (star) {
            pattern = star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

const char *gn_glob_check(const char *pattern)
{
    if (!*pattern)
        return "matches nothing: a pattern of no characters";
    if (strnlen(pattern, GN_GLOB_BYTES_MAX + 1) > GN_GLOB_BYTES_MAX)
        return "is longer than 255 bytes; * may stand for much of it";
    for (const char *at = pattern; *at; at++) {
        if (*at == '\\' && !*++at)
            return "ends with a backslash; \\\\ is one";
        if (*at != '[')
            continue;
        const char *end = set_end(at + 1);
        if (!end)
            return "has a [ without its ]; \\[ is the character";
        for (const char *m = at + 1 + (at[1] == '!'); m < end;) {
            unsigned char low = member(&m);
            if (m[0] == '-' && m + 1 < end && (m++, member(&m)) < low)
                return "has a range in [...] whose end comes before its beginning";
        }
        at = end;
    }
    return NULL;
}
