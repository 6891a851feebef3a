#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building and testing need on Debian 12, when it is missing. Prints nothing when all is there.
set -eu

packages=(gcc ninja-build pkg-config liburing-dev libelf-dev libxxhash-dev liblz4-dev libzstd-dev libjansson-dev libcmocka-dev)
[ "${1:-}" = --tests ] && packages+=(clang libclang-rt-14-dev strace)

missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing: ${missing[*]}"
run=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "setup: these packages are missing and only root can install them: ${missing[*]}" >&2
        exit 1
    }
    run=sudo
fi
install=($run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
"${install[@]}" >/tmp/genie-apt.$$ 2>&1 || { $run apt-get update -q >>/tmp/genie-apt.$$ 2>&1 && "${install[@]}" >>/tmp/genie-apt.$$ 2>&1; } || {
    tail -n 20 /tmp/genie-apt.$$ >&2
    rm -f /tmp/genie-apt.$$
    exit 1
}
rm -f /tmp/genie-apt.$$
