#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happens to the others when one of the three processes dies: a killed client's worker is gone within 2 s, also when its kernel hangs; a
# program that has lost its worker or its server gets an error at the call it is in and at every later one, and never hangs.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
export GENIE_MOCK=hang=5
work=$b/tests/fault/work
said=$lib_scratch/said errors=$lib_scratch/errors

# begin ARGUMENT...: the program in the background, in the state that it was asked for. Sets $client and $worker.
begin() {
    local tries
    : >"$said"
    rm -f "$lib_scratch/in"
    mkfifo "$lib_scratch/in" && exec 9<>"$lib_scratch/in"
    LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so "$work" "$@" <&9 >"$said" 2>"$errors" &
    client=$!
    for ((tries = 400; tries > 0; tries--)); do
        grep -q ready "$said" && break
        kill -0 "$client" 2>/dev/null || break
        sleep 0.05
    done
    grep -q ready "$said" || { echo "the program is not ready"; cat "$said" "$errors"; return 1; }
    worker=$(sed -n "s/.*(pid $client) from .*, worker \([0-9]*\)$/\1/p" "$lib_scratch/server.log" | tail -n 1)
    [ -n "$worker" ] || { echo "no worker in the log"; cat "$lib_scratch/server.log"; return 1; }
}
gone_within() { # MILLISECONDS PID
    local until=$(($(date +%s%3N) + $1))
    while kill -0 "$2" 2>/dev/null && [ "$(ps -o stat= -p "$2" | cut -c 1)" != Z ]; do
        [ "$(date +%s%3N)" -lt "$until" ] || { echo "process $2 is still there after $1 ms"; ps -o pid,ppid,stat,etime,args -p "$2"; return 1; }
        sleep 0.02
    done
}
# The program ends by itself, with the code for a lost connection, and its own checks hold.
ends_lost() {
    gone_within 10000 "$client" || { kill -KILL "$client"; return 1; }
    wait "$client"
    local code=$?
    cat "$said" "$errors"
    [ "$code" -eq 3 ] && grep -q "lost: CUDA_ERROR_DEVICE_UNAVAILABLE" "$said" && [ "$(wc -l <"$errors")" -eq 1 ]
}
next_is_fine() { remotely timeout 60 "$work" once; }

client_killed() { # STATE
    begin "$1" || return 1
    kill -KILL "$client"
    wait "$client" 2>/dev/null
    gone_within 2000 "$worker" && next_is_fine
}
worker_killed() { # STATE
    begin "$1" || return 1
    kill -KILL "$worker"
    [ "$1" != idle ] || { sleep 0.3; echo >&9; }
    ends_lost && next_is_fine
}
server_killed() { # STATE
    serve "unix:$lib_scratch/own.$1" || return 1
    begin "$1" || return 1
    local children child
    children=$(ps -o pid= --ppid "$server_pid") # the spare workers too
    kill -KILL "$server_pid"
    [ "$1" != idle ] || { sleep 0.3; echo >&9; }
    ends_lost || return 1
    for child in $children; do
        gone_within 2000 "$child" || return 1
    done
}

serve
for state in forever hang idle; do
    check "the client is killed ($state): its worker goes" client_killed $state
done
for state in forever hang hangs idle; do
    check "the worker is killed ($state): the program is told" worker_killed $state
done
check "the server still serves" next_is_fine
for state in forever hang idle; do
    check "the server is killed ($state): the program is told" server_killed $state
done

# SIGTERM: what runs goes on to its end, nobody new is let in, and then the server is gone.
terminated() {
    serve "unix:$lib_scratch/ending" || return 1
    begin seconds 2 || return 1
    kill -TERM "$server_pid"
    sleep 0.3
    kill -0 "$server_pid" || { echo "the server has not waited"; return 1; }
    if remotely timeout 20 "$work" once >"$lib_scratch/late" 2>&1; then
        echo "a program was let in after SIGTERM"
        return 1
    fi
    wait "$client" || { echo "the program was not let finish:"; cat "$said" "$errors"; return 1; }
    gone_within 3000 "$server_pid" && [ ! -s "$errors" ] && ! grep -q lost "$said"
}
GENIE_MOCK= check "SIGTERM lets a program finish" terminated
# A program that does not end is killed after shutdown_s.
outstays() {
    printf '[server]\nshutdown_s = 1\n' >"$lib_scratch/server.toml"
    serve "unix:$lib_scratch/short" --config "$lib_scratch/server.toml" || return 1
    begin hang || return 1
    kill -TERM "$server_pid"
    gone_within 4000 "$server_pid" && ends_lost && gone_within 2000 "$worker"
}
check "SIGTERM does not wait for ever" outstays
tap_end
