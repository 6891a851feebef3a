#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The reference of the sidecar is the reader's own table, its example and the sidecars that come along are good. Prints TAP.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
n=0
say() { # say STATUS NAME LOG
    n=$((n + 1))
    [ "$1" -eq 0 ] && echo "ok $n - $2" && return
    echo "not ok $n - $2"
    head -n 20 "$3" | sed 's/^/# /'
}
sed -n '/^<!-- genie-ctl hints keys/,/^<!-- end -->/p' docs/sidecar.md | sed '1d;$d' | diff - <(build/genie-ctl hints keys) >"$scratch/log"
say $? "docs/sidecar.md lists the keys as the reader knows them (else: genie-ctl hints keys)" "$scratch/log"
for page in docs/sidecar.md docs/semantics.md; do
    [ -f "$page" ] || continue
    awk -v out="$scratch/${page##*/}" '/^```toml/ {inside = 1; file = out "." ++count; next} /^```/ {inside = 0} inside {print >file}' "$page"
done
for file in "$scratch"/*.md.* configs/hints.d/*.toml; do
    grep -q '^schema' "$file" 2>/dev/null || continue # a fragment
    build/genie-ctl hints check "$file" >"$scratch/log" 2>&1
    say $? "$(basename "$file") is good" "$scratch/log"
done
echo "1..$n"
