#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No server, no session: cuInit gives a code with which programs go on without a GPU, and one line says which address was tried and why it failed;
# GENIE_LOG rules that line.
# by default: release tsan
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
work=$b/tests/fault/work
said=$lib_scratch/said errors=$lib_scratch/errors

# refused WORD...: the program ends with an error at cuInit, and the one line on stderr has all the words.
refused() {
    remotely timeout 30 "$work" once >"$said" 2>"$errors"
    local code=$? word
    cat "$said" "$errors"
    [ "$code" -eq 1 ] || { echo "exit status $code"; return 1; }
    grep -q 'cuInit(0): CUDA_ERROR_NO_DEVICE' "$said" || return 1
    [ "$(wc -l <"$errors")" -eq 1 ] || { echo "not one line"; return 1; }
    for word in "$@"; do
        grep -qF -- "$word" "$errors" || { echo "'$word' is not said"; return 1; }
    done
}
silent() {
    refused "" && return 1
    [ ! -s "$errors" ]
}

unset GENIE_SERVER
check "no address" refused GENIE_SERVER
export GENIE_SERVER=127.0.0.1:1
check "nobody listens" refused 127.0.0.1:1 refused
GENIE_LOG=off check "nobody listens, GENIE_LOG=off" silent
quiet_file() {
    GENIE_LOG=warn:$lib_scratch/log silent && grep -q 127.0.0.1:1 "$lib_scratch/log"
}
check "nobody listens, the line goes to a file" quiet_file
GENIE_SERVER=unix:/nowhere/at/all check "no such socket" refused unix:/nowhere/at/all "No such file"
GENIE_SERVER=nonsense check "an address that is none" refused nonsense
GENIE_SERVER=127.0.0.1:99999 check "a port that is none" refused 127.0.0.1:99999
GENIE_RING=17 check "a setting that is none" refused GENIE_RING
GENIE_OPT=-nonsense check "an optimisation that is none" refused nonsense

printf 'open sesame\n' >"$lib_scratch/token"
chmod 600 "$lib_scratch/token"
printf '[server]\ntoken_file = "%s"\nlisten = ["127.0.0.1:0"]\n[limits]\nsessions = 1\n' "$lib_scratch/token" >"$lib_scratch/server.toml"
serve "unix:$lib_scratch/guarded" --config "$lib_scratch/server.toml"
check "a token is asked for" refused "asks for a token"
GENIE_TOKEN=guessed check "a wrong token" refused "token is not the server's"
export GENIE_TOKEN="open sesame"
check "the right token" remotely timeout 60 "$work" once
# A session counts until its worker has ended.
all_ended() {
    local tries log=$lib_scratch/server.log
    for ((tries = 100; tries > 0; tries--)); do
        [ "$(grep -cE 'session [0-9]+: ' "$log")" -eq "$(grep -cE 'session [0-9]+ ended' "$log")" ] && return
        sleep 0.05
    done
    cat "$log"
    return 1
}
crowded() {
    all_ended || return 1
    : >"$lib_scratch/first"
    remotely timeout 60 "$work" seconds 1.5 >"$lib_scratch/first" 2>&1 &
    local first=$! tries
    for ((tries = 100; tries > 0; tries--)); do
        grep -q ready "$lib_scratch/first" && break
        sleep 0.05
    done
    refused limits.sessions || { kill "$first"; cat "$lib_scratch/first"; return 1; }
    wait "$first"
}
check "one session too many" crowded
and_then() { all_ended && remotely timeout 60 "$work" once; }
check "and when it is over, the next" and_then
no_secrets() { ! grep -q -e guessed -e sesame "$lib_scratch/server.log"; }
check "no token is in the server's log" no_secrets

# A listener that is no Genie server, and one that never answers.
stranger() { # what it answers
    coproc listener { exec "$b/tests/fault/raw" listen "$@"; }
    read -r GENIE_SERVER <&"${listener[0]}"
    export GENIE_SERVER
    refused "$GENIE_SERVER"
    local code=$?
    kill "$listener_PID" 2>/dev/null
    return $code
}
GENIE_TIMEOUT=1s check "a listener of another kind" stranger HTTP # that then waits, as the client does
GENIE_TIMEOUT=500ms check "a listener that says nothing" stranger
tap_end
