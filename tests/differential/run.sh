#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do random programs of driver calls get the same answers and bytes from a server as from the driver itself?
#
#   run.sh [release|asan|tsan]                        bounded: the kept programs, random ones, and whether the tester finds known defects
#   run.sh VARIANT --programs N [--seed S]            N programs in each configuration from seed S on (1), and how many there were
#   run.sh VARIANT --only NAME --programs N ...       in one configuration: on, tcp, slow, chopped, hinted, embedded, -OPTIMISATION
#
# Everything that GENIE_OPT can switch is in the list: the names come from the shim's own table.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/../e2e/lib.sh"
shift
programs=0 seed=1 only=
while [ $# -gt 0 ]; do
    case $1 in
    --programs) programs=$2 ;;
    --seed) seed=$2 ;;
    --only) only=$2 ;;
    *) echo "run.sh: $1?" >&2; exit 2 ;;
    esac
    shift 2
done
tester=$b/tests/differential/differential
optimisations=$(sed -n '/define GN_OPTIMISATIONS/,/^$/s/^ *X([A-Z_0-9]*, "\([a-z_0-9]*\)").*/\1/p' interpose/options.h)
[ -n "$optimisations" ] || { echo "Bail out! the shim's table of optimisations is not found"; exit 1; }
# A lost device is part of the programs: what the shim says about it is not news.
export GENIE_LOG=off

kinds=()
differ() { "$tester" --local "$b/libgenie_mock.so" --remote "$b/libgenie_shim.so" "${kinds[@]}" "$@"; }

# Every copy to the host stays at the server, every upload is named by its content: as wrong as a sidecar can be for programs like these.
printf 'schema = 1\n[[region]]\nclass = "kv_cache"\nmatch = { size = ">= 1" }\nkeep = "remote"\ndedupe = true\n' >"$lib_scratch/keep.toml"

# configuration NAME: sets up GENIE_OPT and the path to the server. The second server listens on TCP, for what only comes that way.
configuration() {
    kinds=()
    export GENIE_OPT= GENIE_PROFILE= GENIE_SERVER=$unix_server GENIE_MOCK= GENIE_HINTS=
    case $1 in
    on) ;;
    tcp) GENIE_SERVER=$tcp_server ;;
    slow) GENIE_SERVER=$slow_server GENIE_MOCK=$slow_device ;;
    hinted) GENIE_HINTS=$lib_scratch/keep.toml kinds=(--may-lose) ;;
    chopped*) GENIE_SERVER=$chopped_server ;;
    # There a host function runs in a thread that waits: one that stands still until this thread opens its gate would stand for ever.
    embedded) GENIE_PROFILE=embedded GENIE_SERVER=$chopped_server kinds=(--kinds -host) ;;
    *) GENIE_OPT=$1 ;;
    esac
}

serve "unix:$lib_scratch/socket"
unix_server=$GENIE_SERVER
start_server "$lib_scratch/tcp.log" 30 "$b/genie-srv" --listen 127.0.0.1:0 --driver "$b/libgenie_mock.so" || exit 1
tcp_server=$server_addr
# A device whose work takes its time, so that much of it is under way when the next call comes.
slow_device=kernel_us=30,copy_gbps=0.5
GENIE_MOCK=$slow_device start_server "$lib_scratch/slow.log" 30 "$b/genie-srv" --listen "unix:$lib_scratch/slow" --driver "$b/libgenie_mock.so" || exit 1
slow_server=$server_addr
"$b/tests/differential/chopper" "${tcp_server%:*}" "${tcp_server##*:}" 40 "$seed" >"$lib_scratch/chopper" &
for _ in $(seq 100); do
    chopped_server=$(sed -n 's/^chopper: listening on //p' "$lib_scratch/chopper")
    [ -n "$chopped_server" ] && break
    sleep 0.05
done

names="on tcp slow chopped hinted embedded"
for o in $optimisations; do names="$names -$o"; done
names="$names -all"
[ -z "$only" ] || names=$only

# --- many programs

if [ "$programs" -gt 0 ]; then
    total=0 bad=0
    for name in $names; do
        configuration "$name"
        if differ --seed "$seed" --count "$programs" --keep "$lib_scratch" >"$lib_scratch/program.c" 2>"$lib_scratch/report"; then
            total=$((total + programs))
        else
            bad=1
            cat "$lib_scratch/report" "$lib_scratch/program.c"
        fi
        echo "$name: $(tail -n 1 "$lib_scratch/report")"
        seed=$((seed + programs))
    done
    echo "$total programs without a difference"
    exit $bad
fi

# --- bounded

case $variant in
release) seconds=1 each=1000000 ;;
*) seconds=3 each=400 names="on -all chopped hinted embedded" ;;
esac

kept() { differ --repeat 2 "$here"/corpus/*.txt; }
random() {
    configuration "$1"
    differ --seed "$seed" --seconds "$seconds" --count "$each"
}
# The tester is right to trust only if it finds what is wrong: drivers with a known defect, each made from the mock.
finds() {
    "$tester" --local "$b/libgenie_mock.so" --remote "$b/libgenie_mock.so" --seed 1 --count 3000 --shrink 6 --defect "$1" \
        >"$lib_scratch/program.c" 2>"$lib_scratch/report"
    [ $? -eq 1 ] || { cat "$lib_scratch/report"; echo "not found"; return 1; }
    local ops
    ops=$(sed -n 's/^shrunk to \([0-9]*\) operations/\1/p' "$lib_scratch/report")
    echo "found, and shrunk to ${ops:-?} operations"
    [ "${ops:-99}" -le 40 ] || { cat "$lib_scratch/report"; return 1; }
    gcc -Wall -Werror -Wno-unused-function -Wno-unused-variable -fsyntax-only -I. -Ibuild/gen/include "$lib_scratch/program.c"
}

configuration on
check "programs that have differed once do not any more" kept
for name in $names; do
    check "random programs from seed $seed, $name" random "$name"
    seed=$((seed + 1000000))
done
if [ "$variant" = release ]; then
    check "the two sides are the same when both are the same driver" \
        "$tester" --local "$b/libgenie_mock.so" --remote "$b/libgenie_mock.so" --seconds 1 --count 100000
    for defect in stale_pinned short_copy lost_code overtaking no_wait never_ready forgotten crash; do
        check "a driver with a known defect is found: $defect" finds "$defect"
    done
fi
tap_end
