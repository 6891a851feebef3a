#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One fuzz target for so many seconds, from what earlier runs have found and the committed seeds on; says TAP.
#   run.sh TARGET SECONDS
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
target=$1 seconds=$2 name=${1##*/fuzz_}
mkdir -p "build/fuzz/corpus/$name"
seeds=("build/fuzz/corpus/$name")
[ -d "tests/fuzz/corpus/$name" ] && seeds+=("tests/fuzz/corpus/$name")
words=$(mktemp)
trap 'rm -f "$words"' EXIT
"$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="build/fuzz/finding-$name-" "${seeds[@]}" \
    >"$words" 2>&1
status=$?
tail -n 60 "$words"
runs=$(grep -oE 'stat::number_of_executed_units: *[0-9]+' "$words" | grep -oE '[0-9]+$')
[ "$status" -eq 0 ] && echo "ok 1 - ${runs:-no} runs of $name" || echo "not ok 1 - $name"
exit $status
