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
printf '[store]\nmemory = "6MiB"\npromised = "2MiB"\n' >"$lib_scratch/small.toml"
serve 127.0.0.1:0 --config "$lib_scratch/small.toml"
check "a store that is too small does no harm" run small
check "nor at a second start" run small_again
stop_server "$server_pid"
printf '[store]\nmemory = 0\n' >"$lib_scratch/none.toml"
serve 127.0.0.1:0 --config "$lib_scratch/none.toml"
check "a server without a store is asked once" without_a_store
tap_end
