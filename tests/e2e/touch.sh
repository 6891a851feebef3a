#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is a host buffer what it is with a local driver, whatever the program does with it (touch.c)? Locally, through a server without hints, with a
# sidecar that keeps every host copy at the server and names every upload by its content, and with each of these off.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
touch=$b/tests/e2e/touch stats=$lib_scratch/stats.json
few="read_bytes write_bytes overlaps source_changes written unmapped forked between_streams restored changed other_places random"
# Under the sanitizers a part: theirs is to find what is wrong in Genie, not in the cases.
case $variant in
asan) export E2E_TRIES=200; cases="$few piped dropped moved cloned raised together source_freed gated random_crowd" few="overlaps written restored" ;;
tsan) export E2E_TRIES=60; cases="overlaps written together apart same_source interrupted gated host_functions restored in_turn random_crowd" few="together apart" ;;
*) cases= ;;
esac
printf 'schema = 1\n[[region]]\nclass = "kv_cache"\nmatch = { size = ">= 1" }\nkeep = "remote"\ndedupe = true\n' >"$lib_scratch/keep.toml"
printf '[kept]\ndevice = 0\n' >"$lib_scratch/server.toml"
switches=$(sed -n 's/^ *X([A-Z]*, "\(hints\|content\|shadow\|unchanged\|proof\)").*/\1/p' interpose/options.h)
can_track=false
{ [ "$(id -u)" -eq 0 ] || [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1 ]; } && can_track=true

# shellcheck disable=SC2086 # lists
as_locally() { same 120 "$1" "$touch" $cases; } # NAME
# shellcheck disable=SC2086
few_as_locally() { same 60 "$1" "$touch" $few; }
# What is kept: bytes that did not come, and bytes that did not go.
keeps() { # NAME
    GENIE_STATS=$stats as_locally "$1" || return 1
    grep -E '"shadow"|"hints"' "$stats"
    ! "$can_track" || { [ "$(stat_of "$stats" shadow.downloads_kept_bytes)" -gt 1000000 ] && [ "$(stat_of "$stats" shadow.spilled_bytes)" -gt 1000000 ]; }
}

serve
check "without hints" as_locally plain
export GENIE_HINTS=$lib_scratch/keep.toml
check "with everything kept" keeps kept
for o in $switches; do
    GENIE_OPT=-$o check "with everything kept, but for -$o" few_as_locally "off.$o"
done
stop_server "$server_pid"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "with everything kept in host memory, over TCP" keeps tcp
GENIE_OPT=-uring check "over plain sockets" few_as_locally plain_sockets
GENIE_PROFILE=embedded check "in the embedded profile" few_as_locally embedded
tap_end
