#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Host buffers whose bytes stay at the server: what travels, counted exactly; with each mechanism off; where the kernel or the server does not
# offer what it takes; and when the session ends.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
bin=$b/tests/e2e/shadow
stats=$lib_scratch/stats.json
mib=$((1 << 20))
cat >"$lib_scratch/keep.toml" <<'END'
schema = 1
[[region]]
class = "kv_cache"
keep = "remote"
match = { size = ">= 1" }
END

serve
export GENIE_HINTS=$lib_scratch/keep.toml

# of WAY [pinned]: runs it as locally; its counters are then in $stats
of() {
    GENIE_STATS=$stats same 60 "shadow.$1.${2:-pageable}" "$bin" "$@" || return 1
    sed -n 's/.*"shadow": /shadow: /p; s/.*"bytes_/bytes_/p' "$stats"
}
is() { # KEY VALUE
    local got
    got=$(stat_of "$stats" "$1")
    [ "$got" = "$2" ] || { echo "$1 is $got, not $2"; return 1; }
}
below() { # KEY VALUE
    local got
    got=$(stat_of "$stats" "$1")
    [ "$got" -lt "$2" ] || { echo "$1 is $got, not below $2"; return 1; }
}

possible=yes
of untouched >/dev/null 2>&1
[ "$(stat_of "$stats" shadow.downloads_kept_bytes)" != 0 ] || possible=
if [ -z "$possible" ]; then
    skip "what stays at the server" "no userfaultfd that serves the kernel's faults"
else
    for memory in "" pinned; do
        untouched() { of untouched $memory && is shadow.downloads_kept_bytes $((10 * mib)) && is shadow.spilled_bytes $((10 * mib)) &&
            is shadow.fetched_bytes 0 && is shadow.dirty_bytes 0 && is shadow.ranges 1 && below bytes_received.payload 4096 && below bytes_sent.payload 16384; }
        check "untouched: nothing travels${memory:+, $memory}" untouched
        one_page() { of one_page $memory && is shadow.downloads_kept_bytes $((10 * mib)) && is shadow.fetched_bytes $((10 * 16384)) && is shadow.faults 10; }
        check "one page read: 16 KiB a copy${memory:+, $memory}" one_page
        one_byte() { GENIE_OPT=-proof of one_byte $memory && is shadow.dirty_bytes $((10 * 4096)) && is shadow.spilled_bytes $((20 * mib - 10 * 4096)) && below bytes_sent.payload $((14 * 4096)); }
        check "one byte written: its page travels once${memory:+, $memory}" one_byte
    done
    in_order() { of in_order && is shadow.fetched_bytes $mib && below shadow.faults 9; }
    check "read in order: few fetches" in_order
    all_read() { of all_read && is shadow.rested 17 && is shadow.downloads_kept_bytes $((3 * mib)); }
    check "all of it read: copied as usual for a while" all_read
    again() { GENIE_OPT=-proof of again && is shadow.ranges 1 && is shadow.dirty_bytes $((mib + 4096)) && is shadow.spilled_bytes $((9 * mib - 4096)) && below bytes_sent.payload $((2 * mib + 20480)); }
    check "uploaded again: its second upload is the last that travels" again
    proven() { of again && is shadow.spilled_bytes 0 && is shadow.proven_bytes $((9 * mib - 4096)) && of one_byte && is shadow.spilled_bytes $((10 * mib - 10 * 4096)) && is shadow.proven_bytes $((10 * mib)); }
    check "what the device has is not even copied there" proven
    edges() { of edges && below bytes_sent.payload $((2 * mib + 8 * 8192 + 16384)) && GENIE_OPT=-proof of edges; }
    check "the ends of an upload that fill no page: compared, not sent again" edges
    off() { GENIE_OPT=-shadow of untouched && is shadow.downloads_kept_bytes 0 && is shadow.fetched_bytes 0 &&
        GENIE_OPT=-unchanged of again && is shadow.spilled_bytes 0 && is shadow.ranges 0 && GENIE_OPT=-hints of untouched && is shadow.ranges 0; }
    check "switched off" off
    over() { # with the server, whose workers are its children
        # shellcheck disable=SC2016 # for the program
        SHADOW_END='kill -KILL $(cat /proc/'$server_pid/task/$server_pid/children') '$server_pid remotely timeout 30 "$bin" over >"$lib_scratch/over" 2>"$lib_scratch/over.err"
        cat "$lib_scratch/over" "$lib_scratch/over.err"
        grep -q SIGBUS "$lib_scratch/over" && grep -q "all as expected" "$lib_scratch/over" && grep -q "cannot be had" "$lib_scratch/over.err"
    }
    check "a server that ends: what was not fetched is SIGBUS" over
fi
stop_server "$server_pid" 2>/dev/null

serve 127.0.0.1:0
without() { # the privilege
    setpriv --reuid=65534 --clear-groups --bounding-set=-all --inh-caps=-all true 2>/dev/null || { echo "cannot be tried"; return 0; }
    local out=$lib_scratch/without
    mkdir -p "$out" && chmod 777 "$out" "$lib_scratch" && chmod a+r "$GENIE_HINTS"
    LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so GENIE_STATS=$out/stats.json setpriv --reuid=65534 --clear-groups --bounding-set=-all --inh-caps=-all \
        timeout 60 "$bin" untouched >"$out/out" 2>"$out/err"
    cat "$out/out" "$out/err"
    grep -q "all as expected" "$out/out" || return 1
    [ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null)" = 1 ] || { grep -q "not tracked" "$out/err" && stats=$out/stats.json is shadow.ranges 0; }
}
check "without a userfaultfd for the kernel: copied as usual, and said" without
check "over TCP" same 60 shadow.tcp "$bin" one_byte
stop_server "$server_pid"

printf '[kept]\nhost = "3MiB"\n' >"$lib_scratch/small.toml"
serve "unix:$lib_scratch/small" --config "$lib_scratch/small.toml"
crowd() { of crowd && { [ -z "$possible" ] || { is shadow.ranges 3 && below shadow.refused 20; }; }; }
check "more buffers than the server keeps: some of them, and right" crowd
tap_end
