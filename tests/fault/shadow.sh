#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Host buffers whose bytes are at the server only, and what they need goes wrong: the server or the worker is killed, connections are cut, the kernel
# refuses, limits are reached. Pages that nobody has any more are a bus error (or an error of the call that uses them), with a line in the log; the
# rest is as ever, and nothing hangs.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
shadowed=$b/tests/fault/shadowed touch=$b/tests/e2e/touch
said=$lib_scratch/said errors=$lib_scratch/errors stats=$lib_scratch/stats.json
cat >"$lib_scratch/keep.toml" <<'END'
schema = 1
[[region]]
class = "kv_cache"
match = { size = ">= 1" }
keep = "remote"
END
[ "$variant" = release ] || export E2E_TRIES=20

# begin WHAT: the program in the background, up to where it waits. Sets $client and $worker.
begin() {
    local tries
    : >"$said"
    rm -f "$lib_scratch/in"
    mkfifo "$lib_scratch/in" && exec 9<>"$lib_scratch/in"
    GENIE_HINTS=$lib_scratch/keep.toml LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so timeout -k 1 60 "$shadowed" "$@" <&9 >"$said" 2>"$errors" &
    client=$!
    for ((tries = 400; tries > 0; tries--)); do
        grep -q ready "$said" && break
        kill -0 "$client" 2>/dev/null || break
        sleep 0.05
    done
    grep -q ready "$said" || { echo "the program is not ready"; cat "$said" "$errors"; return 1; }
    worker=$(sed -n "s/.*(pid [0-9]*) from .*, worker \([0-9]*\)$/\1/p" "$lib_scratch/server.log" | tail -n 1)
    [ -n "$worker" ] || { echo "no worker in the log"; cat "$lib_scratch/server.log"; return 1; }
}
# ends CODE [SECONDS]: the program goes on, and ends with the code.
ends() {
    local wanted=$1 began=$SECONDS code
    echo >&9
    wait "$client"
    code=$?
    cat "$said" "$errors"
    [ "$code" -eq "$wanted" ] || { echo "exit status $code, not $wanted"; return 1; }
    [ $((SECONDS - began)) -le "${2:-20}" ] || { echo "it took $((SECONDS - began)) s"; return 1; }
}
# The pages that were away are lost, and that is said, once.
lost_and_said() { grep -q lost "$said" && [ "$(grep -c genie "$errors")" -ge 1 ] && [ "$(grep -c genie "$errors")" -le 3 ]; }

worker_killed() { # WHAT
    begin "$1" || return 1
    kill -KILL "$worker"
    sleep 0.2
    ends 3 && lost_and_said
}
server_killed() { # WHAT
    serve "unix:$lib_scratch/own.$1" || return 1
    begin "$1" || return 1
    kill -KILL "$server_pid" "$worker"
    sleep 0.2
    ends 3 && lost_and_said
}
dies() {
    begin die || return 1
    kill -KILL "$worker"
    local code=$((128 + 7)) # a sanitizer catches it, and exits
    case $variant in asan) code=1 ;; tsan) code=66 ;; esac
    ends "$code" && grep -q genie "$errors"
}
ends_quietly() {
    begin end || return 1
    kill -KILL "$worker"
    ends 0
}
# A server that answers late is waited for.
stopped() {
    begin late || return 1
    kill -STOP "$worker"
    echo >&9
    sleep 0.5
    kill -0 "$client" && ! grep -q right "$said" || { kill -CONT "$worker"; return 1; }
    kill -CONT "$worker"
    ends 0 && grep -q right "$said" && ! grep -q lost "$said"
}
at_exit() { begin atexit && ends 0; }
context_lost() { begin error && ends 0; }
cut_alone() { begin cut && ends 0 && grep -q right "$said" && ! grep -q lost "$said" && ! grep -q '^0 conn' "$errors"; }
cut_all() { begin cutall && ends 3; }
runs() { # WHAT: by itself
    GENIE_HINTS=$lib_scratch/keep.toml GENIE_STATS=$stats remotely timeout 60 "$shadowed" "$@" </dev/null >"$said" 2>"$errors"
    local code=$?
    cat "$said" "$errors"
    [ "$code" -eq 0 ]
}

serve
for what in touch call threads; do
    check "the worker is killed: $what" worker_killed "$what"
done
check "the worker is killed: a program that does not expect it" dies
check "the worker is killed: a program that ends" ends_quietly
check "the worker is stopped for a while" stopped
check "the buffer is read when the program has ended" at_exit
check "the context is lost to an error of a kernel" context_lost
check "the connection for pages is cut" cut_alone
check "every connection is cut" cut_all
check "no descriptor is left" runs full
check "hardly a mapping is left" runs islands
check "the server is killed" server_killed touch
stop_server "$server_pid"

cases="overlaps many_buffers written forked restored changed random"
[ "$variant" != tsan ] || cases="overlaps many_buffers written restored in_turn random" # it knows nothing of children in the same memory
mkdir -m 777 "$lib_scratch/open" # another user writes there
chmod 755 "$lib_scratch"
stats=$lib_scratch/open/stats.json
kept_bytes() { stat_of "$stats" shadow.downloads_kept_bytes; }
# hinted NAME COMMAND...: the program under that command prints what it prints locally.
hinted() {
    local name=$lib_scratch/$1
    shift
    [ -f "$lib_scratch/plain.out" ] || same 60 plain "$touch" $cases || return 1
    rm -f "$stats"
    # shellcheck disable=SC2086 # a list
    GENIE_HINTS=$lib_scratch/keep.toml GENIE_STATS=$stats LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so timeout 60 "$@" "$touch" $cases >"$name.out" 2>"$name.err" ||
        { tail -n 5 "$name.out" "$name.err"; return 1; }
    grep '"shadow"' "$stats"
    cat "$name.err"
    diff "$lib_scratch/plain.out" "$name.out" | head -n 10
    cmp "$lib_scratch/plain.out" "$name.out"
}
nothing_kept() { [ "$(kept_bytes)" -eq 0 ] && [ "$(grep -c "not tracked" "$lib_scratch/$1.err")" -eq 1 ]; }
as_locally() { hinted kept && { [ "$(kept_bytes)" -gt 0 ] || ! "$can_track"; }; }
refused() { hinted refused "$b/tests/fault/deny_faults" && nothing_kept refused; }
other_user() { hinted other setpriv --reuid=65534 --regid=65534 --clear-groups && nothing_kept other; }

can_track=false
{ [ "$(id -u)" -eq 0 ] || [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1 ]; } && can_track=true
serve 127.0.0.1:0
check "as locally" as_locally
check "the kernel refuses userfaultfd" refused
if [ "$(id -u)" -eq 0 ] && [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] && [ "$variant" = release ]; then
    check "a user that may not handle faults of the kernel" other_user
else
    skip "a user that may not handle faults of the kernel" "it takes root, vm.unprivileged_userfaultfd = 0, and no sanitizer"
fi
stop_server "$server_pid"

# What the server may keep is used up, on the device and at all.
limited() { # NAME
    hinted "$1" || return 1
    ! "$can_track" || { [ "$(kept_bytes)" -gt 0 ] && [ "$(stat_of "$stats" shadow.refused)" -ge "$2" ]; }
}
for limits in 'device = 0' 'host = "640KiB"' 'host = "0"'; do
    name=kept.${limits//[^a-z0-9]/}
    printf '[kept]\n%s\n' "$limits" >"$lib_scratch/server.toml"
    serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
    case $limits in
    device*) check "kept with $limits" limited "$name" 0 ;;
    *640*) check "kept with $limits" limited "$name" 1 ;;
    *) check "kept with $limits" hinted "$name" ;;
    esac
    stop_server "$server_pid"
done
tap_end
