#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where the kernel refuses io_uring, as containers' seccomp profiles do, plain sockets serve: same results, said once and no more, on either side
# and on both.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
deny=$b/tests/fault/deny_uring
[ "$variant" = release ] || export E2E_TRIES=4
export GENIE_OPT=-shm # else the Unix sockets here only open the way to shared memory
"$deny" "$(type -P true)" 2>"$lib_scratch/why" || { skip "io_uring is refused" "$(cat "$lib_scratch/why")"; tap_end; }

serve_refused() {
    start_server "$lib_scratch/server.log" 30 "$deny" "$b/genie-srv" --listen "unix:$lib_scratch/refused" --driver "$b/libgenie_mock.so" || return 1
    export GENIE_SERVER=$server_addr
}
denied() { LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so "$deny" "$@"; }
client_refused() { # PROGRAM
    locally timeout 60 "$1" >"$lib_scratch/local" || return 1
    GENIE_LOG=info denied "$1" >"$lib_scratch/remote" 2>"$lib_scratch/err" || { tail "$lib_scratch/remote" "$lib_scratch/err"; return 1; }
    cmp "$lib_scratch/local" "$lib_scratch/remote" || return 1
    [ "$(grep -c io_uring "$lib_scratch/err")" -eq 1 ] || { echo "not said once"; cat "$lib_scratch/err"; return 1; }
    denied "$b/tests/fault/work" once 2>"$lib_scratch/err" >/dev/null
    [ ! -s "$lib_scratch/err" ] || { echo "said without being asked"; cat "$lib_scratch/err"; return 1; }
}
serve
check "refused to the client: order" client_refused "$b/tests/e2e/order"
check "refused to the client: prints" client_refused "$b/tests/e2e/prints"
stop_server "$server_pid"
serve_refused || { cat "$lib_scratch/server.log"; echo "Bail out! the server does not start without io_uring"; exit 1; }
check "refused to the server: order" same 60 server "$b/tests/e2e/order"
check "refused to both: prints" client_refused "$b/tests/e2e/prints"
each_says_it_once() {
    grep -n io_uring "$lib_scratch/server.log"
    [ "$(grep -c io_uring "$lib_scratch/server.log")" -ge 1 ]
}
check "the server's log says it" each_says_it_once
tap_end
