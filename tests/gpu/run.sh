#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# On a machine with an NVIDIA GPU: runs the main job (llm_decode) and the nvcc programs on the real driver and
# through genie-srv on the same driver, compares what they print, and prints a table in Markdown; then what
# genie-bench measures there. 77 where there is no GPU.
#
# It takes everything from a pack (tests/gpu/pack.sh), which it looks for around itself, and needs no network.

usage() {
    cat <<'END'
usage: run.sh [options] [PROGRAM...]      (PROGRAM: llm, errors, bench, or a name in the pack's compat folders)
  --pack DIR       the pack (default: this script's folder, gpu-pack beside it, or the repository's build/gpu-pack)
  --results DIR    keep the outputs of runs that differ, and statistics, in DIR
  --listen ADDR    where genie-srv listens (default a Unix socket; 127.0.0.1:0 for TCP)
  --timeout S      seconds for one run (default 180)
  --models LIST    models of the main job (default tiny,124m)
  --rounds N       rounds of the benchmark (default 11)
GENIE_DRIVER is the driver's full path; without it, the libcuda.so.1 that ldconfig knows.
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pack='' results='' listen='' seconds=180 models=tiny,124m rounds=11 names=()
while [ $# -gt 0 ]; do
    case $1 in
    --pack | --results | --listen | --timeout | --models | --rounds)
        [ $# -gt 1 ] || { usage >&2; exit 2; }
        case $1 in
        --pack) pack=$2 ;;
        --results) results=$2 ;;
        --listen) listen=$2 ;;
        --timeout) seconds=$2 ;;
        --models) models=$2 ;;
        --rounds) rounds=$2 ;;
        esac
        shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) names+=("$1") ;;
    esac
    shift
done

# --- the driver and the device

known_driver() {
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | sed -n 's/.*libcuda\.so\.1 .*x86-64.* => //p' | head -n 1
}

driver=${GENIE_DRIVER:-$(known_driver)}
if [ -z "$driver" ] || [ ! -e "$driver" ]; then
    echo "run.sh: no CUDA driver here (no libcuda.so.1${driver:+ at $driver}): skipped"
    echo "0 passed, 0 failed, 0 skipped"
    exit 77
fi
driver=$(readlink -f "$driver")
if [ -z "${GENIE_DRIVER:-}" ] && ! compgen -G '/dev/nvidia[0-9]*' >/dev/null && [ ! -e /dev/dxg ]; then
    echo "run.sh: a CUDA driver ($driver) but no NVIDIA GPU here: skipped"
    echo "0 passed, 0 failed, 0 skipped"
    exit 77
fi

# --- the pack

for d in "$pack" "$here" "$here/gpu-pack" "$here/../../build/gpu-pack"; do
    [ -n "$d" ] && [ -f "$d/genie-pack" ] || continue
    pack=$(cd "$d" && pwd)
    break
done
if [ -z "$pack" ] || [ ! -f "$pack/lib.sh" ]; then
    echo "run.sh: no pack found: make one with tests/gpu/pack.sh" >&2
    exit 2
fi
. "$pack/lib.sh"

lib_begin
unset LD_PRELOAD GENIE_SERVER GENIE_MODE GENIE_DRIVER
out=${results:-$lib_scratch/out}
mkdir -p "$out" "$lib_scratch/driver"
ln -s "$driver" "$lib_scratch/driver/libcuda.so.1" # for the local runs, whatever the driver's file is called
start_server "$out/genie-srv.log" 60 env LD_LIBRARY_PATH="$pack/lib" \
    "$pack/bin/genie-srv" --listen "${listen:-unix:$lib_scratch/srv}" --driver "$driver" || {
    echo "run.sh: genie-srv does not start:"
    tail -n 20 "$out/genie-srv.log"
    exit 1
}

too_old='cudaError(InsufficientDriver|NoDevice|NoKernelImageForDevice|UnsupportedPtxVersion)'
passed=0 failed=0 skipped=0 rows=() notes=() rates=()

# timed STEM COMMAND...: runs a command; its output to STEM.out and STEM.err, its time to `took`, its exit
# code back.
timed() {
    local stem=$1 start=$EPOCHREALTIME code
    shift
    bounded "$seconds" "$stem.out" "$stem.err" "$@"
    code=$?
    took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
    return "$code"
}

# both NAME FILTER COMMAND...: locally, then through the server. FILTER (a sed script) leaves what has to be
# the same.
both() {
    local name=$1 filter=$2 stem=$out/${1//[ \/]/_} local_code genie_code local_took verdict f why
    shift 2
    timed "$stem.local" env LD_LIBRARY_PATH="$lib_scratch/driver:$pack/lib" "$@"
    local_code=$?
    local_took=$took
    # A driver older than the programs' runtime, or a device older than their code: nothing to compare.
    why=$(grep -h -o -E "$too_old" "$stem.local.out" "$stem.local.err" | head -n 1)
    if [ "$local_code" -ne 0 ] && [ -n "$why" ]; then
        skipped=$((skipped + 1))
        rows+=("| $name | - | - | skipped: $why |")
        return
    fi
    timed "$stem.genie" env LD_LIBRARY_PATH="$pack/lib" LD_PRELOAD="$pack/lib/libgenie_shim.so" \
        GENIE_SERVER="$server_addr" GENIE_STATS="$stem.stats.json" "$@"
    genie_code=$?
    for f in local genie; do
        sed -n "$filter" "$stem.$f.out" >"$stem.$f.same"
    done
    if [ "$local_code" -ne 0 ]; then
        verdict="no: exit code $local_code locally, $genie_code through Genie"
    elif [ "$genie_code" -ne 0 ]; then
        verdict="no: exit code $genie_code through Genie"
    elif ! cmp -s "$stem.local.same" "$stem.genie.same"; then
        verdict='no: the output differs'
    elif [ ! -s "$stem.local.same" ]; then
        verdict='no: it printed nothing'
    else
        verdict=yes
    fi
    rows+=("| $name | $local_took | $took | $verdict |")
    if [ "$verdict" = yes ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        notes+=("### $name" '```' "$(
            diff "$stem.local.same" "$stem.genie.same" | head -n 6
            for f in local genie; do
                tail -n 4 "$stem.$f.out" "$stem.$f.err" | sed -n "s/^[^=]/$f: &/p"
            done)" '```')
    fi
}

wanted() { # whether a program was asked for; all are when none is named
    local n
    [ ${#names[@]} -eq 0 ] && return 0
    for n in "${names[@]}"; do
        [ "$n" = "$1" ] && return 0
    done
    return 1
}

# --- the main job

rate() { sed -n 's/^decode .* \([0-9.]*\) tokens\/s.*/\1/p' "$1"; }

if wanted llm; then
    for model in ${models//,/ }; do
        both "llm_decode $model" '/^tokens /p' \
            "$pack/bin/llm_decode" --model "$model" --prompt-tokens 32 --steps 64 --print-tokens
        stem=$out/llm_decode_$model
        [ -f "$stem.genie.out" ] || continue
        rates+=("| $model | $(rate "$stem.local.out") | $(rate "$stem.genie.out") |")
    done
fi

# --- what each row of the table of error cases (docs/error-cases.md) gives on this driver: kept in errors.local.out

wanted errors && both errors p "$pack/bin/errors" --observe --real

# --- the nvcc programs

for kind in static shared; do
    for program in "$pack/compat/$kind"/*; do
        [ -f "$program" ] || continue
        wanted "${program##*/}" && both "${program##*/} ($kind)" p "$program"
    done
done

# --- the benchmark: it starts servers of its own

# bench COMMAND ARGUMENT...: its table goes to COMMAND.txt, its rows to COMMAND.json.
bench() {
    local code
    bounded $((seconds * 5)) "$out/$1.txt" "$out/$1.err" env LD_LIBRARY_PATH="$pack/lib" \
        "$pack/bin/genie-bench" "$@" --driver "$driver" --json "$out/$1.json"
    code=$?
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        notes+=("### genie-bench $1: exit code $code" '```' "$(tail -n 20 "$out/$1.err")" '```')
    fi
}

if wanted bench; then
    bench micro --rounds "$rounds" --targets
    bench apps --rounds 3 --only "llm_decode_${models//,/,llm_decode_}"
fi

if ! kill -0 "$server_pid" 2>/dev/null; then
    failed=$((failed + 1))
    notes+=("### genie-srv ended by itself" '```' "$(tail -n 20 "$out/genie-srv.log")" '```')
fi

echo "Driver: $driver; server at $server_addr; $(uname -m), $(nproc) cores."
! command -v nvidia-smi >/dev/null || nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
echo
echo "| program | local s | genie s | same? |"
echo "|---|---:|---:|---|"
printf '%s\n' "${rows[@]}"
if [ ${#rates[@]} -gt 0 ]; then
    echo
    echo "| model | local tokens/s | genie tokens/s |"
    echo "|---|---:|---:|"
    printf '%s\n' "${rates[@]}"
fi
for f in micro apps; do
    [ ! -s "$out/$f.txt" ] || { echo; echo "### genie-bench $f"; echo '```'; cat "$out/$f.txt"; echo '```'; }
done
[ ${#notes[@]} -eq 0 ] || { echo; printf '%s\n' "${notes[@]}"; }
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
