#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Collects what tests/gpu/run.sh needs into one plain folder for a machine with a GPU, without a network and
# without our libraries: the server, the shim, the main job, the nvcc programs, and the shared libraries
# beside them. Stays below 50 MiB.
#
# All programs go along with the shared CUDA runtime (small), and a choice of them with the static one (0.7
# MiB each).

usage() {
    cat <<'END'
usage: tests/gpu/pack.sh [--to DIR] [--no-compat]
  --to DIR       where to (default build/gpu-pack; emptied first if it is a pack)
  --no-compat    without the nvcc programs (there is no nvcc here)
END
}

set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
to=$root/build/gpu-pack
compat=1
size_max_kib=$((50 * 1024))
static_set="app_attention app_sort atomic_wide constants coop_grid device_printf device_reset error_launch
error_sticky event_graph float_math function_attributes globals half_ops host_function host_threads huge_parameters
int_wide large_copies launch_extended many_launches pinned_chain pointer_attributes reduce_block scan separate_main
stream_legacy stream_order templates virtual_functions"

while [ $# -gt 0 ]; do
    case $1 in
    --to) [ $# -gt 1 ] || { usage >&2; exit 2; }; to=$2; shift ;;
    --no-compat) compat= ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

build=$root/build
bench="genie-bench genie-micro genie-limits genie-relay"
for f in genie-srv libgenie_shim.so llm_decode tests/errors/errors $bench; do
    [ -e "$build/$f" ] || { echo "pack.sh: $build/$f is not there: build it first" >&2; exit 1; }
done
if [ -e "$to" ] && [ ! -f "$to/genie-pack" ]; then
    echo "pack.sh: $to is there and no pack" >&2
    exit 1
fi
rm -rf "$to"
mkdir -p "$to/bin" "$to/lib" "$to/compat/static" "$to/compat/shared"
: >"$to/genie-pack"
cp "$here/run.sh" "$root/tests/compat/lib.sh" "$to/"
cp "$build/genie-srv" "$build/llm_decode" "$build/tests/errors/errors" "$to/bin/"
for f in $bench; do cp "$build/$f" "$to/bin/"; done
[ ! -e "$build/genie-ctl" ] || cp "$build/genie-ctl" "$to/bin/"
cp "$build/libgenie_shim.so" "$to/lib/"

# What every Linux system with a driver has (the C and C++ run-time libraries) stays away; the rest goes
# along.
for f in "$to"/bin/* "$to/lib/libgenie_shim.so"; do
    ldd "$f" | sed -n 's/^[[:space:]]*[^ ]* => \(\/[^ ]*\) .*/\1/p'
done | sort -u | while read -r library; do
    case ${library##*/} in
    libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.* | ld-linux*) ;;
    libgcc_s.so.* | libstdc++.so.* | libcuda.so.*) ;;
    *) cp -L "$library" "$to/lib/" ;;
    esac
done

if [ -n "$compat" ]; then
    "$root/tests/compat/run.sh" --build-only --jobs "${JOBS:-2}" >"$to/build.log" || {
        grep -v '^ok' "$to/build.log" >&2
        echo "pack.sh: the nvcc programs do not build (--no-compat leaves them out)" >&2
        exit 1
    }
    rm "$to/build.log"
    for name in $("$root/tests/compat/run.sh" --list); do
        cp "$build/compat/bin/$name.shared" "$to/compat/shared/$name"
    done
    for name in $static_set; do
        cp "$build/compat/bin/$name.static" "$to/compat/static/$name"
    done
    nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
    cp -L "$(dirname "$(readlink -f "$nvcc")")"/../lib64/libcudart.so.1? "$to/lib/"
fi
find "$to/bin" "$to/lib" "$to/compat" -type f -exec strip --strip-unneeded {} +

size_kib=$(du -s --apparent-size -k "$to" | cut -f 1)
echo "$to: $((size_kib / 1024)) MiB, $(find "$to/compat" -type f | wc -l) nvcc programs"
[ "$size_kib" -lt "$size_max_kib" ] || {
    echo "pack.sh: that is more than $((size_max_kib / 1024)) MiB" >&2
    exit 1
}
