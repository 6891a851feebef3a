# SPDX-License-Identifier: Apache-2.0
# What the scripts about hostile clients share, on top of tests/e2e/lib.sh: a misuse whose answer and log are looked at, who is served next, and
# whether anything is left behind. To be sourced by bash; a script that calls `misuse` sets `raw` to the program that commits it.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

# misuse NAME ANSWER [LOG]: the answer matches, the log says why within three seconds, the server lives.
misuse() {
    local answer tries
    : >"$lib_scratch/server.log"
    answer=$(timeout 100 "$raw" "$GENIE_SERVER" "$1" 2>&1)
    echo "$1: $answer"
    grep -qE -- "$2" <<<"$answer" || { cat "$lib_scratch/server.log"; return 1; }
    for ((tries = 60; tries > 0; tries--)); do
        [ -z "${3:-}" ] || grep -qE -- "$3" "$lib_scratch/server.log" && break
        sleep 0.05
    done
    [ "$tries" -gt 0 ] || { echo "not in the log: $3"; cat "$lib_scratch/server.log"; return 1; }
    kill -0 "$server_pid"
}
next_is_fine() { remotely timeout 60 "$b/tests/fault/work" once; }
# Workers end with their sessions: within three seconds there is the spare one at most.
few_workers() {
    local tries
    for ((tries = 60; tries > 0; tries--)); do
        [ "$(ps -o pid= --ppid "$server_pid" | wc -l)" -le 1 ] && return 0
        sleep 0.05
    done
    ps -o pid,stat,args --ppid "$server_pid"
    return 1
}
