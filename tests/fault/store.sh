#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The content store and what can go wrong with it: the server restarts, orderly or not; files are altered, cut or in the way; the disk is full or
# not to be written; workers die in the middle. Each time the program's results are right, and what can be saved is.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
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
folder=$lib_scratch/kept

stat() { stat_of "$lib_scratch/$1.json" "$2"; }
store() { "$b/genie-ctl" --socket "$lib_scratch/control" status --json 2>/dev/null | sed -n 's/.*"store": {[^}]*"'"$1"'": \([0-9]*\).*/\1/p'; }
run() { # NAME: uploads one buffer of 20 MiB
    local name=$1
    GENIE_STATS=$lib_scratch/$name.json same 60 "$name" "$b/tests/e2e/content" whole
}
begin() { # [LINE...]: a server with these settings of [store]
    { printf '[server]\ncontrol = "%s"\n[store]\n' "$lib_scratch/control"; printf '%s\n' "$@"; } >"$lib_scratch/server.toml"
    serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
}
saved() { # NAME: next to nothing travelled
    echo "stored: $(stat "$1" content.stored_bytes), saved: $(stat "$1" content.saved_bytes)"
    [ "$(stat "$1" content.stored_bytes)" -eq 0 ] && [ "$(stat "$1" content.saved_bytes)" -ge 3000000 ]
}
within() { # SECONDS COMMAND...: it becomes true
    local until=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$until" ] || { echo "not within the time: $*"; cat "$lib_scratch/server.log"; return 1; }
        sleep 0.05
    done
}
files() { find "$folder" -name '*-*' -type f | wc -l; }
a_file() { find "$folder" -name '*-524288' -type f | sort | head -n 1; }

folder_is_whole() { # MINIMUM
    echo "files: $(files)"
    [ "$(files)" -ge "$1" ] && [ -z "$(find "$folder" -name '.new-*')" ] && [ "$(/usr/bin/stat -c %a "$folder")" = 700 ]
}
again() { run again && saved again && [ "$(store disk_loaded)" -ge 6 ] && run more && saved more; }
hard() { run hard && saved hard && within 5 test ! -e "$half"; }
altered() {
    run altered || return 1
    echo "stored: $(stat altered content.stored_bytes), dropped: $(store disk_dropped)"
    [ "$(stat altered content.stored_bytes)" -eq $((3 * 524288)) ] && [ "$(store disk_dropped)" -eq 2 ] &&
        grep -q "was not what its name says" "$lib_scratch/server.log"
}
mended() { [ "$(files)" -eq "$before" ] && run mended && saved mended; }
bounded() {
    local bytes
    bytes=$(find "$folder" -name '*-*' -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}')
    echo "bytes: $bytes"
    [ "$bytes" -le $((2 << 20)) ] && [ "$bytes" -gt $((1 << 20)) ]
}
no_folder() { run nowhere && run nowhere_again && saved nowhere_again && within 5 grep -q "cannot be written" "$lib_scratch/server.log" && [ "$(store disk_failures)" -ge 1 ]; }
full_disk() { run full && run full_again && saved full_again && within 5 grep -q "cannot be written" "$lib_scratch/server.log" && [ "$(files)" -eq 0 ]; }
worker_killed() { # in the midst of uploads, ten times: the store goes on
    local i worker
    run whole || return 1
    for i in 1 2 3 4 5 6 7 8 9 10; do
        remotely timeout 60 "$b/tests/e2e/content" changed >/dev/null 2>&1 &
        sleep "0.0$i"
        worker=$("$b/genie-ctl" --socket "$lib_scratch/control" status --json | sed -n 's/.*"worker_pid": \([0-9]*\).*/\1/p')
        [ -n "$worker" ] && kill -KILL "$worker"
        wait $!
    done
    run after && saved after && GENIE_STATS=$lib_scratch/changed.json same 60 changed "$b/tests/e2e/content" changed
}

begin "directory = \"$folder\""
check "a first start" run first
stop_server "$server_pid"
check "what was uploaded is on disk when the server has ended" folder_is_whole 6
begin "directory = \"$folder\""
check "a server that starts again has it" again

kill -KILL "$server_pid"
wait "$server_pid" 2>/dev/null
half=$(dirname "$(a_file)")/.new-0123456789abcdef0123456789abcdef-4096.1
echo torn >"$half"
begin "directory = \"$folder\""
check "also one that was killed; what was half written is taken away" hard
stop_server "$server_pid"

before=$(files)
three=($(find "$folder" -name '*-524288' -type f | sort | head -n 3))
printf x | dd of="${three[0]}" bs=1 seek=1000 conv=notrunc status=none
truncate -s 1000 "${three[1]}"
rm "${three[2]}" && ln -s /dev/zero "${three[2]}"
begin "directory = \"$folder\""
check "files that were altered, cut or replaced are dropped and sent again" altered
stop_server "$server_pid"
begin "directory = \"$folder\""
check "and written anew" mended
stop_server "$server_pid"

begin "directory = \"$folder\"" 'disk = "2MiB"'
stop_server "$server_pid"
check "the folder is kept within its limit" bounded

begin 'directory = "/proc/nowhere"'
check "a folder that cannot be made is said, and memory serves" no_folder
stop_server "$server_pid"
rm -rf "$folder"
begin "directory = \"$folder\""
if command -v prlimit >/dev/null && saver=$(ps -o pid=,comm= --ppid "$server_pid" | awk '$2 == "genie-store" {print $1}') && [ -n "$saver" ]; then
    prlimit --pid "$saver" --fsize=4095 # its files may have less than the smallest content
    check "so does it when the disk takes nothing" full_disk
else
    skip "so does it when the disk takes nothing" "no prlimit"
fi
stop_server "$server_pid"
begin
check "workers that die over it leave a store that works" worker_killed
tap_end
