#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the nvcc programs of this folder (static and shared CUDA runtime) and runs each on the mock driver
# directly and through genie-srv on the mock driver; both must succeed with the same exit code and the same
# output, byte for byte. Prints TAP. 77 where there is no nvcc.
#
# A program's first lines may say: `// nvcc: FLAGS` (extra flags), `// with: FILES` (further sources) and, any
# number of times, `// also LABEL: FLAGS` (build it once more, as NAME.LABEL). Binaries are kept under
# build/compat/ and rebuilt when the digest of sources, flags and compiler changes.

usage() {
    cat <<'END'
usage: tests/compat/run.sh [options] [NAME...]    (NAME: a program, or program.label of one of its builds)
  --quick           a handful of programs, static runtime only
  --list            print the builds and stop
  --build-only      build, run nothing
  --cudart KINDS    static,shared (default both)
  --modes MODES     of mock,server,tcp,local (default mock,server, and tcp for a few; mock is always run)
  --variant V       use the libraries and the server of build/V: asan or tsan
  --jobs N          programs at a time (default 2)
  --timeout S       seconds for one run (default 120; 600 with a variant)
GENIE_MOCK reaches the mock on both ways; without it the mock has two devices. NVCC names the compiler.
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/lib.sh"

quick_set="int_wide float_ops shared_static warp_shuffle atomic_int stream_order host_function copy_2d device_printf"
quick_set+=" struct_arguments"
tcp_set=" $quick_set large_copies pinned_chain many_launches host_threads error_sticky "
quick= list= build_only= kinds=static,shared modes= variant= jobs=2 seconds= names=()

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --list) list=1 ;;
    --build-only) build_only=1 ;;
    --cudart | --modes | --variant | --jobs | --timeout)
        [ $# -gt 1 ] || { usage >&2; exit 2; }
        case $1 in
        --cudart) kinds=$2 ;;
        --modes) modes=$2 ;;
        --variant) variant=$2 ;;
        --jobs) jobs=$2 ;;
        --timeout) seconds=$2 ;;
        esac
        shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) names+=("$1") ;;
    esac
    shift
done
case $variant in
'' | asan | tsan) ;;
*) echo "run.sh: --variant takes asan or tsan" >&2; exit 2 ;;
esac
if [ -n "$quick" ]; then
    kinds=static
    [ ${#names[@]} -gt 0 ] || read -ra names <<<"$quick_set"
fi
libs=$root/build${variant:+/$variant}
cache=$root/build/compat
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
seconds=${seconds:-$([ -n "$variant" ] && echo 600 || echo 120)}

# --- the programs

header() { sed -n "s|^// $2: *||p" "$here/$1.cu" | head -n 1; }

builds_of() { # a file that belongs to another one (with:) is no program
    local f name
    for f in "$here"/*.cu; do
        grep -q '^int main' "$f" || continue
        name=$(basename "$f" .cu)
        echo "$name"
        sed -n "s|^// also \([a-z0-9]*\): .*|$name.\1|p" "$f"
    done
}

all=$(builds_of)
if [ ${#names[@]} -eq 0 ]; then
    builds=$all
else
    builds=
    for n in "${names[@]}"; do
        found=$(grep -x -F -- "$n" <<<"$all") || { echo "run.sh: no program named $n" >&2; exit 2; }
        builds+="$found"$'\n'
    done
fi
if [ -n "$list" ]; then
    printf '%s\n' $builds
    exit 0
fi
if [ ! -x "$nvcc" ]; then
    echo "1..0 # SKIP no nvcc"
    exit 77
fi
compiler=$("$nvcc" --version | sha256sum)
warnings="-Werror all-warnings -Xcompiler -Wall,-Wextra"

# --- building

# build_one BUILD KIND: leaves $cache/bin/BUILD.KIND, or 1 with the compiler's words in $cache/log/BUILD.KIND.
build_one() {
    local build=$1 kind=$2 name=${1%%.*} bin=$cache/bin/$1.$2 log=$cache/log/$1.$2
    local label='' arch=-arch=sm_75 flags sources digest s object objects=()
    [ "$build" != "$name" ] && label=${build#*.}
    flags=$(header "$name" nvcc)
    [ -n "$label" ] && flags+=" $(header "$name" "also $label")"
    sources="$name.cu $(header "$name" with)"
    case $flags in *-gencode* | *-arch*) arch= ;; esac
    digest=$({ echo "$compiler $flags"; cd "$here" && cat $sources ./*.cuh; } | sha256sum | cut -d ' ' -f 1)
    [ -x "$bin" ] && [ "$(cat "$bin.digest" 2>/dev/null)" = "$digest" ] && return 0

    rm -f "$bin" "$bin.digest"
    : >"$log"
    for s in $sources; do # the object serves both kinds
        object=$cache/obj/$build.${s%.cu}.o
        objects+=("$object")
        [ -f "$object" ] && [ "$(cat "$object.digest" 2>/dev/null)" = "$digest" ] && continue
        (cd "$here" && timeout 600 "$nvcc" $arch $flags $warnings -std=c++17 -O2 -c "$s" -o "$object") >>"$log" 2>&1 ||
            return 1
        echo "$digest" >"$object.digest"
    done
    timeout 600 "$nvcc" $arch $flags -cudart "$kind" "${objects[@]}" -o "$bin" >>"$log" 2>&1 || return 1
    echo "$digest" >"$bin.digest"
    rm -f "$log"
}

# --- running

# run_in MODE BUILD KIND: runs the program one way; its output goes to $cache/out/BUILD.KIND.MODE.{out,err},
# its exit code back.
run_in() {
    local mode=$1 stem=$cache/out/$2.$3.$1 runtime settings=() library
    runtime=$(sanitizer_runtime "$variant")
    settings+=("$asan_options" LD_LIBRARY_PATH="$cudart_dir")
    case $mode in
    mock) library=$libs/libgenie_mock.so; settings+=(GENIE_MOCK="$mock_options") ;;
    server) library=$libs/libgenie_shim.so; settings+=(GENIE_SERVER="$unix_addr") ;;
    tcp) library=$libs/libgenie_shim.so; settings+=(GENIE_SERVER="$tcp_addr") ;;
    local)
        library=$libs/libgenie_shim.so
        settings+=(GENIE_MODE=local GENIE_DRIVER="$libs/libgenie_mock.so" GENIE_MOCK="$mock_options") ;;
    esac
    bounded "$seconds" "$stem.out" "$stem.err" \
        env "${settings[@]}" LD_PRELOAD="${runtime:+$runtime }$library" "$cache/bin/$2.$3"
}

say() { # verdict, description, and why not
    echo "$1 - $2"
    sed -n 's/^./# &/p' <<<"${3:-}"
}

# One build, every kind and mode; TAP lines without numbers.
run_build() {
    local build=$1 kind mode code mock_code stem why
    trap 'kill "$lib_child" 2>/dev/null; exit 143' TERM
    for kind in ${kinds//,/ }; do
        if ! build_one "$build" "$kind"; then
            say 'not ok' "$build $kind build" "$(head -n 20 "$cache/log/$build.$kind")"
            continue
        fi
        if [ -n "$build_only" ]; then
            say ok "$build $kind build"
            continue
        fi
        stem=$cache/out/$build.$kind
        rm -f "$stem".*
        run_in mock "$build" "$kind"
        mock_code=$?
        if [ "$mock_code" -eq 0 ] && [ "$(tail -n 1 "$stem.mock.out")" = "OK ${build%%.*}" ]; then
            say ok "$build $kind mock"
        else
            say 'not ok' "$build $kind mock" "exit code $mock_code
$(tail -n 8 "$stem.mock.out" "$stem.mock.err")"
        fi
        for mode in $(modes_of "$build" "$kind"); do
            run_in "$mode" "$build" "$kind"
            code=$?
            why=
            [ "$code" -eq "$mock_code" ] || why="exit code $code, on the mock $mock_code"$'\n'
            cmp -s "$stem.mock.out" "$stem.$mode.out" ||
                why+="the output differs:"$'\n'"$(diff "$stem.mock.out" "$stem.$mode.out" | head -n 8)"$'\n'
            if [ -z "$why" ] && [ "$mock_code" -eq 0 ]; then
                say ok "$build $kind $mode"
                rm -f "$stem.$mode".*
            else
                say 'not ok' "$build $kind $mode" "${why:-it fails just as on the mock}
$(tail -n 4 "$stem.$mode.err")"
            fi
        done
        # What a passing program printed is of no more use; what it is compared with stays beside a failure.
        compgen -G "$stem.[!m]*" >/dev/null || [ "$mock_code" -ne 0 ] || rm -f "$stem".mock.*
    done
}

modes_of() {
    if [ -n "$modes" ]; then
        local m
        for m in ${modes//,/ }; do
            [ "$m" = mock ] || echo "$m"
        done
        return
    fi
    echo server
    [ "$2" = static ] && [[ $tcp_set == *" ${1%%.*} "* ]] && [ -z "$quick" ] && echo tcp
}

# --- the whole

mkdir -p "$cache/bin" "$cache/obj" "$cache/log" "$cache/out"
lib_begin
mock_options=${GENIE_MOCK:-devices=2}
asan_options=ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-} # the programs leave things behind, as programs do
cudart_dir=$(dirname "$(readlink -f "$nvcc")")/../lib64
unset LD_PRELOAD GENIE_SERVER GENIE_MODE GENIE_DRIVER
unix_addr= tcp_addr=
if [ -z "$build_only" ]; then
    for f in libgenie_mock.so libgenie_shim.so genie-srv; do
        [ -e "$libs/$f" ] || { echo "Bail out! $libs/$f is not there: build it first"; exit 1; }
    done
    wanted=" ${modes//,/ } "
    [ -n "$modes" ] || wanted=" server $([ -n "$quick" ] || echo tcp) "
    serve() { # NAME LISTEN
        start_server "$cache/out/genie-srv.$1.log" "$variant_wait" \
            env GENIE_MOCK="$mock_options" "$asan_options" "$libs/genie-srv" --listen "$2" --driver "$libs/libgenie_mock.so" && return
        echo "Bail out! genie-srv does not start on $2:"
        tail -n 20 "$cache/out/genie-srv.$1.log" | sed 's/^/# /'
        exit 1
    }
    variant_wait=$([ -n "$variant" ] && echo 60 || echo 15)
    if [[ $wanted == *' server '* ]]; then
        serve unix "unix:$lib_scratch/srv"
        unix_addr=$server_addr
    fi
    if [[ $wanted == *' tcp '* ]]; then
        serve tcp 127.0.0.1:0
        tcp_addr=$server_addr
    fi
fi

number=0 failed=0
declare -A printed
flush() { # prints the results of the builds that are done
    local build line
    for build in $builds; do
        [ -z "${printed[$build]:-}" ] && [ -f "$lib_scratch/$build.done" ] || continue
        printed[$build]=1
        while IFS= read -r line; do
            case $line in
            'ok - '*)
                number=$((number + 1))
                echo "ok $number - ${line#ok - }" ;;
            'not ok - '*)
                number=$((number + 1)) failed=$((failed + 1))
                echo "not ok $number - ${line#not ok - }" ;;
            *) echo "$line" ;;
            esac
        done <"$lib_scratch/$build.done"
    done
}

workers=()
for build in $builds; do
    while [ ${#workers[@]} -ge "$jobs" ]; do
        wait -n "${workers[@]}"
        alive=()
        for pid in "${workers[@]}"; do
            kill -0 "$pid" 2>/dev/null && alive+=("$pid")
        done
        workers=("${alive[@]}")
        flush
    done
    (
        run_build "$build" >"$lib_scratch/$build.part"
        mv "$lib_scratch/$build.part" "$lib_scratch/$build.done"
    ) &
    workers+=($!)
done
[ ${#workers[@]} -eq 0 ] || wait "${workers[@]}"
flush

for pid in "${lib_pids[@]}"; do
    number=$((number + 1))
    if kill -0 "$pid" 2>/dev/null; then
        echo "ok $number - the server (process $pid) is still there"
    else
        failed=$((failed + 1))
        echo "not ok $number - the server (process $pid) is gone: see $cache/out"
    fi
done
echo "1..$number"
echo "# $((number - failed)) passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
