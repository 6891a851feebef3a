#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Large copies (bulk.c): where there is no network nothing is packed; through a narrow relay what shrinks is, in both directions, and nothing with
# GENIE_OPT=-lz4. What arrives is the same.
# by default: release tsan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

on_the_same_machine() { # OPT
    GENIE_OPT=$1 GENIE_STATS=$lib_scratch/here.json same 60 here "$b/tests/e2e/bulk" || return 1
    [ "$(stat_of "$lib_scratch/here.json" packed.before)" = 0 ] || { grep packed "$lib_scratch/here.json"; return 1; }
}
serve
check "nothing is packed on the same machine" on_the_same_machine all
[ "$variant" = tsan ] || check "nor over a Unix socket" on_the_same_machine -shm
stop_server "$server_pid"
serve 127.0.0.1:0

# relay OPTION...: stands in front of the server from now on.
relay() {
    "$root/build/genie-relay" --listen 127.0.0.1:0 --server "$server_addr" "$@" >"$lib_scratch/relay.log" 2>&1 &
    lib_pids+=("$!")
    local tries
    for ((tries = 100; tries > 0; tries--)); do
        GENIE_SERVER=$(sed -n 's/^genie-relay: listening on //p' "$lib_scratch/relay.log")
        [ -n "$GENIE_SERVER" ] && return 0
        sleep 0.05
    done
    return 1
}

# packed_between LOW HIGH OPT: the program is right, and between so many bytes of its payload were packed.
packed_between() {
    local file=$lib_scratch/slow$3.json before after
    GENIE_OPT=$3 GENIE_STATS=$file same 120 "slow$3" "$b/tests/e2e/bulk" || return 1
    before=$(stat_of "$file" packed.before) after=$(stat_of "$file" packed.after)
    echo "packed: $before bytes to $after"
    [ "$before" -ge "$1" ] && [ "$before" -le "$2" ] && [ "$after" -le $((before / 2)) ]
}
relay --gbit 0.4 --queue 256K || { cat "$lib_scratch/relay.log"; echo "Bail out! no relay"; exit 1; }
# 2 x 16 MiB and rows of text go either way; what the sockets take before anything is known passes as it is.
check "through a narrow relay text is packed" packed_between 16000000 72000000 all
check "not when it is switched off" packed_between 0 0 -lz4
tap_end
