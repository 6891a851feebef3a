# SPDX-License-Identifier: Apache-2.0
# Shell helpers of the whole-path scripts: a server that is started, waited for and always stopped, and
# bounded runs. To be sourced by bash. The sourcing script sets `root` (the repository, or a pack laid out
# like it) beforehand.

lib_pids=()
lib_child=
lib_scratch=

# A directory of this run's own, removed at exit. Socket paths have to be short, so it lies in /tmp.
lib_begin() {
    lib_scratch=$(mktemp -d "${TMPDIR:-/tmp}/genie-XXXXXX") || exit 1
    trap lib_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

lib_end() {
    trap - EXIT
    local pid
    for pid in $(jobs -p); do
        kill "$pid" 2>/dev/null
    done
    for pid in "${lib_pids[@]}"; do
        stop_server "$pid"
    done
    rm -rf "$lib_scratch"
}

# start_server LOG SECONDS COMMAND...: starts the server in the background and waits for its ready line. Sets
# server_pid and server_addr. 1 when it ended or stayed silent; LOG then says why.
start_server() {
    local log=$1 seconds=$2 tries
    shift 2
    : >"$log"
    "$@" >>"$log" 2>&1 </dev/null &
    server_pid=$!
    lib_pids+=("$server_pid")
    for ((tries = seconds * 100; tries > 0; tries--)); do
        server_addr=$(sed -n 's/^.*genie-srv: listening on //p' "$log" | head -n 1)
        [ -n "$server_addr" ] && return 0
        kill -0 "$server_pid" 2>/dev/null || break
        sleep 0.01
    done
    stop_server "$server_pid"
    return 1
}

# Asks a server to end and makes it so after five seconds.
stop_server() {
    local pid=$1 tries
    kill -TERM "$pid" 2>/dev/null || return 0
    for ((tries = 500; tries > 0; tries--)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    kill -KILL "$pid" 2>/dev/null || : # it has gone already
    wait "$pid" 2>/dev/null || :
    return 0
}

# bounded SECONDS OUT ERR COMMAND...: runs a command with its output in files; 124 when it ran over its time.
# The command is a child that a signal to this shell takes along.
bounded() {
    local seconds=$1 out=$2 err=$3 code
    shift 3
    timeout -k 5 "$seconds" "$@" >"$out" 2>"$err" </dev/null &
    lib_child=$!
    wait "$lib_child"
    code=$?
    lib_child=
    return "$code"
}

# The sanitizer's runtime has to come before a preloaded library that was built with it. Prints it for a
# variant, or nothing.
sanitizer_runtime() {
    case $1 in
    asan) gcc -print-file-name=libasan.so ;;
    tsan) gcc -print-file-name=libtsan.so ;;
    esac
}
