// SPDX-License-Identifier: Apache-2.0
// Globs over bytes: * any bytes, ? any byte, [a-z_] one of a set, [!a-z] one outside of it, \x that very x.
//
// Matching takes no memory and at most as many steps as pattern and text have bytes, multiplied; a pattern of GN_GLOB_BYTES_MAX and a name
// of a few kilobytes stay far below a millisecond, whatever they say.
#ifndef GN_CORE_GLOB_H
#define GN_CORE_GLOB_H

#include <stdbool.h>

enum { GN_GLOB_BYTES_MAX = 255 }; // the longest names worth writing out are mangled C++ ones; a glob shortens them

// NULL, or why this is no pattern (static): a set that does not end or is empty, a lone backslash at the end, too long.
const char *gn_glob_check(const char *pattern);

// Whether all of the text matches. A pattern that gn_glob_check refuses matches nothing or something, but does no harm.
bool gn_glob_match(const char *pattern, const char *text);

#endif
