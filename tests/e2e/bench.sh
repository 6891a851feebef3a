#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does genie-bench run what it says, on every transport and through the relay: each row is there with values, its JSON parses, round trips are
# counted, tokens are the same, a peer from a configuration runs, and what cannot run says why? No time is asserted.
# by default: release
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if [ "$variant" != release ]; then # its programs are only built as a release: they time
    skip "genie-bench" "only the release is measured"
    tap_end
fi
bench=$b/genie-bench rows=$lib_scratch/rows
baselines=local,capture_only,local_remote,no_semantics

# value WORKLOAD BASELINE METRIC: the row's median in the run that read_rows has read; nothing when there is no such row.
declare -A medians
value() { printf '%s\n' "${medians[$1 $2 $3]-}"; }
read_rows() {
    local key median
    medians=()
    while read -r key median; do medians[${key//,/ }]=$median; done < <(tr -d '\n' <"$rows.json" | sed 's/}/}\n/g' |
        sed -n 's/.*"workload": "\([^"]*\)".*"baseline": "\([^"]*\)".*"metric": "\([^"]*\)".*"median": \([^,]*\),.*/\1,\2,\3 \4/p')
}
is_number() { [[ $1 =~ ^[0-9.e+-]+$ ]] || { echo "'$1' is no number: $2"; return 1; }; }

runs() { # runs NAME ARGUMENT...
    timeout 100 "$bench" "${@:2}" --json "$rows.json" >"$rows.out" 2>"$rows.err" || { cat "$rows.out" "$rows.err"; return 1; }
    "$b/tests/e2e/check_json" "$rows.json" && read_rows
}
micro_rows="launch_0 launch_8 launch_32 launch_sync sync_idle step_300 threads_1 threads_4 threads_16 malloc_free malloc_free_1MiB malloc free
    event_cycle event_query_ready event_query_busy stream_query_ready stream_query_busy device_attribute function_attribute
    occupancy pointer_attribute mem_info context_current module_warm lone_launch first_call module_cold
    htod_pageable_4B htod_pinned_4B dtoh_pageable_4B dtoh_pinned_4B htod_pageable_64KiB dtoh_pinned_64KiB"
all_there() {
    local w r
    read_rows
    for w in $micro_rows; do
        for r in ${baselines//,/ }; do
            is_number "$(value "$w" "$r" time)" "$w of $r" || return 1
        done
    done
    for w in pingpong pingpong_look step_bare pingpong_futex; do is_number "$(value $w limit time)" "$w" || return 1; done
    for w in stream stream_copy memcpy; do is_number "$(value $w limit bandwidth)" "$w" || return 1; done
    is_number "$(value cpu_launch no_semantics cpu_client)" cpu_client && is_number "$(value cpu_launch no_semantics cpu_server)" cpu_server &&
        is_number "$(value memory no_semantics peak_client)" peak_client && is_number "$(value memory no_semantics peak_server)" peak_server &&
        is_number "$(value lone_launch no_semantics p99)" p99
}
counted() { # a copy back waits once; without optimisations every launch waits as well
    read_rows
    [ "$(value step_300 no_semantics round_trips)" = 1.0 ] && [ "$(value step_300 local_remote round_trips)" = 301.0 ] && return 0
    echo "round trips of 300 launches and a copy: $(value step_300 no_semantics round_trips), $(value step_300 local_remote round_trips)"
    return 1
}
check "micro runs" runs micro micro --rounds 2 --warm-up 1 --max-bytes 64KiB --baselines $baselines
check "every row of every baseline has a value" all_there
check "round trips are counted" counted

small="--rounds 2 --warm-up 1 --max-bytes 64KiB --only launch_8,sync_idle,htod_pageable_4B --baselines local,no_semantics"
on_transports() {
    local t
    for t in unix shm; do
        runs "$t" micro $small --transport $t && is_number "$(value launch_8 no_semantics time)" "launch_8 over $t" || return 1
    done
}
check "Unix sockets and shared memory" on_transports
through_relay() {
    runs relay micro $small --rtt 400 --gbit 2 || return 1
    is_number "$(value sync_idle no_semantics time)" sync_idle || return 1
    awk -v t="$(value sync_idle no_semantics time)" 'BEGIN { exit !(t >= 400) }' # never below the round trip that was asked
}
check "through the relay, no synchronise is faster than the round trip" through_relay

cat >"$lib_scratch/peer.toml" <<END
[[peer]]
name = "another"
server = ["$b/genie-srv", "--listen", "{address}", "--driver", "{driver}"]
ready = "listening on"
env = ["LD_PRELOAD=$b/libgenie_shim.so", "GENIE_SERVER=127.0.0.1:{port}"]
[[peer]]
name = "broken"
server = ["/nonexistent/server"]
ready = "never"
env = []
END
peers() {
    runs peers micro --rounds 2 --warm-up 1 --max-bytes 64KiB --only launch_8 --config "$lib_scratch/peer.toml" --baselines local,another,broken &&
        is_number "$(value launch_8 another time)" another && [ "$(value launch_8 broken time)" = null ] &&
        grep -q "broken .*did not run: the peer's server did not say 'never'" "$rows.out"
}
check "a peer of a configuration runs; one that does not start says so" peers
bad_config() {
    printf '[[peer]]\nname = "x"\nserver = []\nenv = []\n' >"$lib_scratch/bad.toml"
    ! "$bench" micro --config "$lib_scratch/bad.toml" 2>"$rows.err" && grep -q 'bad.toml:1' "$rows.err" &&
        ! "$bench" micro --rounds 0 2>/dev/null && ! "$bench" nothing 2>/dev/null && ! "$bench" micro --baselines nobody 2>"$rows.err" &&
        grep -q 'no baseline nobody' "$rows.err"
}
check "bad options and configurations are refused" bad_config

interrupted() { # what there is so far is printed and written, and nothing is left behind
    local pid status tries
    mkdir "$lib_scratch/own"
    TMPDIR=$lib_scratch/own "$bench" micro --rounds 1000 --max-bytes 64KiB --only launch_8,sync_idle --baselines local,no_semantics --json "$rows.json" >"$rows.out" 2>"$rows.err" &
    pid=$!
    for ((tries = 200; tries > 0; tries--)); do
        grep -q 'left' "$rows.err" && break
        sleep 0.05
    done
    kill -INT "$pid"
    wait "$pid"
    status=$?
    [ "$status" -eq 130 ] || { echo "status $status"; cat "$rows.err"; return 1; }
    "$b/tests/e2e/check_json" "$rows.json" && grep -q '^launch_8 .*no_semantics' "$rows.out" && [ -z "$(ls -A "$lib_scratch/own")" ]
}
check "a run that is interrupted prints what it has" interrupted

apps() {
    local r
    runs apps apps --quick --rounds 1 --only llm_decode_tiny,llm_decode_paced --baselines $baselines || return 1
    for r in ${baselines//,/ }; do is_number "$(value llm_decode_tiny "$r" step)" "$r" && is_number "$(value llm_decode_paced "$r" tokens_per_s)" "$r" || return 1; done
}
check "llm_decode runs with the same tokens in every row" apps
decode() {
    local r
    runs decode decode --quick --rounds 1 --only tiny_stateless --targets || return 1
    for r in local naive no_semantics; do is_number "$(value tiny_stateless $r step)" "$r" || return 1; done
    is_number "$(value tiny_stateless naive second_first_token)" "second start" || return 1
    [ "$(value tiny_stateless naive payload_up)" = 19191816.0 ] && [ "$(value tiny_stateless naive payload_down)" = 2113540.0 ] || return 1
    grep -qE '^tiny +tokens identical.* met$' "$rows.out" || return 1
    if grep -q '^optimisations.* hints' "$rows.out"; then
        is_number "$(value tiny_stateless full step)" "full" && is_number "$(value tiny_stateless full payload_up)" "payload"
    else
        grep -qE '^tiny_stateless +full +did not run: this build takes no hints' "$rows.out"
    fi
}
check "a stateless program has the same tokens in every row" decode
ablation() {
    runs ablation ablation --quick --rounds 1 --warm-up 1 --max-bytes 64KiB --only launch_8,step_300,llm_decode_paced || return 1
    local o
    for o in $(sed -n 's/^optimisations of the client: //p' "$rows.out"); do
        is_number "$(value launch_8 "no_semantics-$o" time)" "$o" || return 1
        is_number "$(value llm_decode_paced "no_semantics-$o" step)" "$o" || return 1
    done
    grep -qE '^step_300 +round_trips +1 .*\+300' "$rows.out" # what posting brings
}
check "the ablation has a column for each optimisation" ablation
tap_end
