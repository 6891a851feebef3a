#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the PTX that is committed beside a .cu, and checks that a committed one belongs to its source.
#
#   make_ptx.sh FILE.cu > FILE.ptx           needs nvcc and ptxas (PATH, or ${CUDA_HOME:-/usr/local/cuda}/bin)
#   make_ptx.sh --verify FILE.cu FILE.ptx    needs neither; exit 1 and a reason when they do not belong together
#
# Why the version line is lowered: nvcc writes the newest PTX version it knows, and a driver refuses a version
# newer than itself, although code for sm_75 hardly ever uses anything new. So the line becomes 7.5 (CUDA 11.4,
# the oldest driver supported), and then ptxas is asked, which refuses an instruction, a directive or a pragma
# that the stated version does not have. The one thing known to pass it is looked for by name. The pragma
# used_bytes_mask (PTX 8.3), a mere hint which bytes of a vector load matter, is taken out.
#
# The first lines of the result name the digests of the source, of each file it includes by quotes, and of the
# text below them, so an edited source, an edited header and an edited PTX are all noticed.
set -eu

arch=sm_75
isa=7.5
me=${0##*/}

die() {
    printf '%s: %s\n' "$me" "$1" >&2
    exit 1
}

usage() {
    printf 'usage: %s FILE.cu > FILE.ptx\n       %s --verify FILE.cu FILE.ptx\n' "$me" "$me" >&2
    exit 2
}

digest() { sha256sum <"$1" | cut -d' ' -f1; }

# Prints FILE and every file that it includes by quotes, directly or not, each once; a name is looked for
# beside the file that includes it.
sources() {
    seen=
    queue=$1
    while [ -n "$queue" ]; do
        file=${queue%%
*}
        rest=${queue#"$file"}
        queue=${rest#
}
        case "
$seen" in *"
$file
"*) continue ;; esac
        seen="$seen$file
"
        for name in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file"); do
            [ -f "${file%/*}/$name" ] && queue="$queue${queue:+
}${file%/*}/$name"
        done
    done
    printf '%s' "$seen"
}

# One line for each source: its digest and its name relative to the .cu's folder.
source_lines() {
    folder=${1%/*}
    sources "$1" | while IFS= read -r file; do
        printf '// source-sha256: %s %s\n' "$(digest "$file")" "${file#"$folder"/}"
    done
}

with_folder() { case $1 in */*) printf '%s' "$1" ;; *) printf './%s' "$1" ;; esac; }

find_tool() {
    command -v "$1" 2>/dev/null && return
    tool=${CUDA_HOME:-/usr/local/cuda}/bin/$1
    [ -x "$tool" ] && printf '%s\n' "$tool" && return
    die "$1 not found: the CUDA toolkit is needed to make PTX (not to build or to --verify)"
}

# ptxas 13 takes these at any version; they came with PTX 8.6.
newer='fence\.(acquire|release)'

verify() {
    cu=$(with_folder "$1") ptx=$2
    [ -r "$cu" ] || die "cannot read $1"
    [ -r "$ptx" ] || die "cannot read $2"
    want=$(source_lines "$cu")
    have=$(sed -n '/^\/\/ source-sha256: /p' "$ptx")
    [ -n "$have" ] || die "$ptx has no source-sha256 line: it was not made by $me"
    [ "$want" = "$have" ] || die "$ptx was made from another $1: make it again ($me $1 > $ptx)"
    body=$(sed '1,/^\/\/ body-sha256: /d' "$ptx" | sha256sum | cut -d' ' -f1)
    [ "$(sed -n 's/^\/\/ body-sha256: //p' "$ptx")" = "$body" ] || die "$ptx was edited after it was made"
}

make() {
    cu=$(with_folder "$1")
    [ -r "$cu" ] || die "cannot read $1"
    nvcc=$(find_tool nvcc)
    ptxas=$(find_tool ptxas)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # From inside its folder, so that no path of this machine gets into the text.
    (cd "${cu%/*}" && "$nvcc" -arch=$arch -O3 -ptx -o "$work/raw.ptx" "${cu##*/}") || die "nvcc refused $1"
    sed -e "s/^\\.version[[:space:]].*/.version $isa/" -e '/^[[:space:]]*\.pragma "used_bytes_mask [^"]*";$/d' \
        "$work/raw.ptx" >"$work/body.ptx"
    grep -q "^\\.version $isa\$" "$work/body.ptx" || die "nvcc wrote no .version line"
    if grep -nE "$newer" "$work/body.ptx" >"$work/newer"; then
        die "$1 needs PTX newer than $isa: line $(head -n 1 "$work/newer")"
    fi
    "$ptxas" -arch=$arch -o "$work/code.cubin" "$work/body.ptx" || die "ptxas refused $1 as PTX $isa"
    printf '// Made by %s (nvcc -arch=%s, version line lowered to %s); do not edit.\n' "$me" "$arch" "$isa"
    source_lines "$cu"
    printf '// body-sha256: %s\n' "$(digest "$work/body.ptx")"
    cat "$work/body.ptx"
}

case ${1-} in
--verify) [ $# -eq 3 ] || usage; verify "$2" "$3" ;;
'' | -*) usage ;;
*) [ $# -eq 1 ] || usage; make "$1" ;;
esac
