#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom (docs/architecture.md), and what the core may call. Reads the sources and the built core; prints TAP.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
n=0
say() { # say STATUS NAME [DETAILS]
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else
        echo "not ok $n - $2"
        printf '%s\n' "$3" | sed 's/^/# /'
    fi
}

# allowed FOLDER REGEX: every #include "..." of the folder's sources matches.
allowed() {
    local bad
    bad=$(grep -rnE '^#include "' --include='*.[ch]' "$1" | grep -vE "#include \"($2)\"")
    say $((${#bad} > 0)) "$1 includes only what it may" "$bad"
}
generated='api_[a-z_]+\.h|include/cuda_prototypes\.h'
allowed core 'core/[a-z_0-9/]+\.h'
allowed remoting "(core|remoting)/[a-z_0-9/]+\.h|$generated"
allowed interpose "(core|remoting|interpose)/[a-z_0-9/]+\.h|$generated"
allowed server "(core|remoting|server)/[a-z_0-9/]+\.h|$generated"

bad=$(grep -nE '#include <(unistd|pthread|time|sys/|fcntl|errno_|elf|libelf|liburing|cuda)' -r --include='*.[ch]' core | grep -v 'sys/types.h')
say $((${#bad} > 0)) "core includes libc headers without I/O, clock and threads" "$bad"

# What the core's objects ask of others: pure functions of libc, nothing that allocates, blocks or tells the time.
pure='__udivti3|strcpy|strtod|mem(cpy|move|set|cmp|chr|rchr|mem)|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|tod|toll|toull)|__(memcpy|memset|memmove)_chk|snprintf|vsnprintf|__(v)?snprintf_chk|isnan|isinf|floor|ldexp|pow|fabs|__errno_location|__stack_chk_fail|__assert_fail|abort|qsort|bsearch|__ctype_b_loc|__isoc99_sscanf'
bad=$(nm -u build/libgncore.a 2>/dev/null | awk '$1 == "U" {print $2}' | sort -u |
    grep -vxE "gn_.*|_GLOBAL_OFFSET_TABLE_|$pure")
[ -f build/libgncore.a ] || bad="build/libgncore.a is not built"
say $((${#bad} > 0)) "core calls nothing that allocates, does I/O or waits" "$bad"

bad=$(grep -nE '\b(dlopen|dlsym)\(' -r --include='*.c' server | grep -v '^server/driver.c:')
say $((${#bad} > 0)) "only server/driver.c opens a driver" "$bad"

bad=$(for f in $(git ls-files '*.c' '*.h' '*.cu' '*.sh' '*.ninja' 2>/dev/null); do head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"; done)
say $((${#bad} > 0)) "every source names its licence" "$bad"

bad=$(grep -nE '\b(exit|abort|_exit)\(|\b(printf|puts|perror)\(' -r --include='*.c' interpose | grep -vE 'vsnprintf|snprintf|pthread_exit')
say $((${#bad} > 0)) "the shim never ends or prints on its own" "$bad"

# interpose/writes/writes.h: whoever sends past gn_post and gn_ask tells what was written; images are written nowhere that has a version.
bad=$(for f in $(grep -lE 'gn_session_(post_payload|write_pull)\(' -r --include='*.c' interpose | grep -v module_image.c); do
    awk -v f="$f" '/gn_session_(post_payload|write_pull)\(/ {at = NR} /gn_writes_sent\(/ {at = 0} at && NR > at + 4 {print f ":" at; at = 0}' "$f"
done)
say $((${#bad} > 0)) "what is sent past gn_post is told to the versions of allocations" "$bad"
echo "1..$n"
