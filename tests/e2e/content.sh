#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Uploads by content: does a second start send next to nothing, does one changed byte send one chunk, and does everything arrive as it is; with a
# small store, with none, switched off, and for somebody else? The figures come from GENIE_STATS, where they are exact.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cat >"$lib_scratch/hints.toml" <<'END'
schema = 1
[app]
name = "all"
match = { exe = "*" }
[[region]]
class = "weights"
match = { written_by = "host" }
dedupe = true
END
export GENIE_HINTS=$lib_scratch/hints.toml
chunk=524288

stat() { stat_of "$lib_scratch/$1.json" "$2"; }
run() { # NAME [ARGUMENT]: the program, equal to what it does locally
    local name=$1
    shift
    GENIE_STATS=$lib_scratch/$name.json same 60 "$name" "$b/tests/e2e/content" "$@"
}
part=500 # 0.2 %
[ "$variant" = tsan ] && part=100 # it uploads less; the PTX is what it is
second_start() {
    run whole_again whole && [ "$(stat whole_again content.saved_bytes)" -gt 0 ] || return 1
    echo "first: $(stat whole bytes_sent.payload) bytes of payload, second: $(stat whole_again bytes_sent.payload)"
    [ $((part * $(stat whole_again bytes_sent.payload))) -le "$(stat whole bytes_sent.payload)" ] && [ "$(stat whole_again content.offers)" -eq 1 ]
}
all_again() { # small parts travel, which are not worth a question; nothing is stored anew
    run second && echo "stored: $(stat second content.stored_bytes)" && [ "$(stat second content.stored_bytes)" -eq 0 ]
}
one_byte_changed() {
    run changed whole changed || return 1
    echo "stored: $(stat changed content.stored_bytes)"
    [ "$(stat changed content.stored_bytes)" -eq $chunk ]
}
no_offers() { # NAME
    run "$1" && [ "$(stat "$1" content.offers)" -eq 0 ] && [ "$(stat "$1" bytes_sent.payload)" -ge "$(stat first bytes_sent.payload)" ]
}
others_know_nothing() { # through the Unix socket: a user, not an address
    GENIE_SERVER=unix:$lib_scratch/other run other || return 1
    echo "stored: $(stat other content.stored_bytes), by the first: $(stat first content.stored_bytes)"
    [ "$(stat other content.stored_bytes)" -ge $(($(stat first content.stored_bytes) - 8 * 1024 * 1024)) ]
}
without_a_store() { # one question, and then as ever
    run without && [ "$(stat without content.offers)" -le 4 ] && [ "$(stat without content.saved_bytes)" -eq 0 ]
}
same_tokens() { # the main job, three starts
    same 120 llm "$b/llm_decode" --model tiny --prompt-tokens 4 --steps 2 --seed 3 --print-tokens >/dev/null
    grep '^tokens' "$lib_scratch/llm.out" >"$lib_scratch/tokens" || return 1
    for i in 1 2; do
        remotely "$b/llm_decode" --model tiny --prompt-tokens 4 --steps 2 --seed 3 --print-tokens 2>&1 | grep '^tokens' | diff "$lib_scratch/tokens" - || return 1
    done
}

serve 127.0.0.1:0 --listen "unix:$lib_scratch/other"
check "a first start stores what it uploads" run whole whole
check "a second start sends at most 0.2 % of it, and asks once" second_start
check "one byte changed: one chunk travels, and the result is right" one_byte_changed
check "uploads in every way" run first
check "and all of them again" all_again
GENIE_OPT=-content check "switched off, nothing is asked and all of it travels" no_offers off
check "another tenant learns nothing" others_know_nothing
[ "$variant" = release ] && check "the main job gives the same tokens at every start" same_tokens
stop_server "$server_pid"
# What genie-ctl tells of such a session: layers that come again are copied on the device, from the third time on, or the second where another
# session has uploaded them.
on_device() { # NAME BYTES: at least, and no more than the program uploads
    local client tries told
    mkfifo "$lib_scratch/$1.in"
    GENIE_STATS=$lib_scratch/$1.json remotely "$b/tests/e2e/content" swapped wait <"$lib_scratch/$1.in" >"$lib_scratch/$1.out" 2>&1 &
    client=$!
    exec 8>"$lib_scratch/$1.in"
    for ((tries = 600; tries > 0; tries--)); do
        grep -q 'layers in turn' "$lib_scratch/$1.out" && break
        sleep 0.05
    done
    "$b/genie-ctl" --socket "$lib_scratch/control" status --json >"$lib_scratch/$1.status"
    "$b/genie-ctl" --socket "$lib_scratch/control" status >"$lib_scratch/$1.table"
    exec 8>&-
    wait "$client" || return 1
    told=$(grep -o '"resident_copied_bytes": [0-9]*' "$lib_scratch/$1.status" | grep -o '[0-9]*$')
    echo "copied on the device: $told bytes, at least $2"
    grep 'of content copied' "$lib_scratch/$1.table"
    [ "$told" -ge "$2" ] && [ "$told" -le $((20 * layer)) ]
}
layer=$((2 << 20))
[ "$variant" = tsan ] && layer=$((600 << 10))
control() { printf '[server]\nlog = "warn"\ncontrol = "%s/control"\n%s\n' "$lib_scratch" "$1" >"$lib_scratch/control.toml"; }
control ''
serve 127.0.0.1:0 --config "$lib_scratch/control.toml"
check "one buffer for many layers" run swapped swapped
check "layers that come again are copied on the device" on_device again $((10 * layer))
stop_server "$server_pid"
control $'[kept]\ncontent = false'
serve 127.0.0.1:0 --config "$lib_scratch/control.toml"
check "switched off, from the store" run swapped_off swapped
check "and not on the device" on_device off 0
check "at all" [ "$(grep -c '"resident_copied_bytes": 0' "$lib_scratch/off.status")" -eq 1 ]
stop_server "$server_pid"
printf '[store]\nmemory = "6MiB"\npromised = "2MiB"\n' >"$lib_scratch/small.toml"
serve 127.0.0.1:0 --config "$lib_scratch/small.toml"
check "a store that is too small does no harm" run small
check "nor at a second start" run small_again
stop_server "$server_pid"
printf '[store]\nmemory = 0\n' >"$lib_scratch/none.toml"
serve 127.0.0.1:0 --config "$lib_scratch/none.toml"
check "a server without a store is asked once" without_a_store
tap_end
