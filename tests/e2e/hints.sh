#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The sidecar: which rule meets which memory of hints.c, what `genie-ctl hints explain` says of it, how a sidecar is found, and that a bad one
# leaves one line in the log and a program that runs as ever.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/hints
ctl=$b/genie-ctl
good=$lib_scratch/good.toml
cat >"$good" <<'END'
schema = 1
[app]
match = { exe = "hints" }
[[region]]                                    # 1: fifty allocations, one after the other at the same address
class = "kv_cache"
match = { kernel = "fill", arg = 0, size = "128KiB" }
keep = "remote"
[[region]]                                    # 2: the second of them moves here from rule 4
class = "weights"
match = { written_by = "host", order = "before first launch" }
dedupe = true
[[region]]                                    # 3
class = "activation"
match = { written_by = "copy" }
[[region]]                                    # 4
class = "output"
match = { written_by = "kernel", size = "1..", order = "3..4" }
keep = "remote"
[[region]]                                    # 5
class = "input"
match = { size = "> 2MiB", order = "after first launch" }
[[region]]                                    # 6: four threads, twenty each
class = "scratch"
match = { kernel = "ad*", arg = [0], size = "32KiB" }
[[region]]                                    # 7: two contexts
class = "kv_cache"
match = { size = "96KiB", library = "hints" }
[[region]]                                    # 8, and from here on nothing
class = "kv_cache"
match = { kernel = "fil", arg = 0 }
[[region]]
class = "kv_cache"
match = { kernel = "add", arg = 1 }
[[region]]
class = "kv_cache"
match = { size = "7MiB" }
[[region]]
class = "kv_cache"
match = { size = "1MiB", written_by = "host" }
[[region]]
class = "kv_cache"
match = { env = "GENIE_TEST_NOT_SET=*" }
[[region]]
class = "kv_cache"
match = { library = "libnobody.so*" }
[[region]]
class = "kv_cache"
match = { kernel = "nothing_like_it" }
END

# said TEXT...: the last explanation has each as a piece of a line.
said() {
    local text bad=0
    for text in "$@"; do
        grep -qF -- "$text" "$lib_scratch/explained" || { echo "it does not say: $text"; bad=1; }
    done
    [ $bad -eq 0 ] || { cat "$lib_scratch/explained"; return 1; }
}
# rule NUMBER: what is said of it
rule() { sed -n "/^  rule $1 /,/^  rule $(($1 + 1)) /p" "$lib_scratch/explained" | sed '$d'; }
rule_says() { rule "$1" | grep -qF -- "$2" || { echo "rule $1 does not say: $2"; rule "$1"; return 1; }; }
explain() { LD_PRELOAD=$preload timeout 60 "$ctl" hints explain "$@" >"$lib_scratch/explained" 2>"$lib_scratch/explain.err"; }

explained() {
    explain --hints "$good" -- "$program" || { cat "$lib_scratch/explained" "$lib_scratch/explain.err"; return 1; }
    rule_says 1 "50 allocations, 6.2 MiB: 50 x 128.0 KiB" && rule_says 1 "fill: 54 launches, argument 0" &&
        rule_says 2 "2 allocations, 3.0 MiB" && rule_says 3 "1 allocation, 64.0 KiB" && rule_says 4 "1 allocation, 2.0 MiB" &&
        rule_says 5 "1 allocation, 3.0 MiB" && rule_says 6 "80 allocations, 2.5 MiB" && rule_says 6 "add: 80 launches, argument 0" &&
        rule_says 7 "2 allocations, 192.0 KiB" &&
        rule_says 8 'no kernel that ran matches "fil"; the nearest name is "fill"' && rule_says 9 "is no pointer of add" &&
        rule_says 10 "size fits none of the" && rule_says 11 "belongs to rules in front of it" && rule_says 12 "its env does not hold" &&
        rule_says 13 "library fits none of the" && rule_says 13 "their callers were hints" && said "no kernel that ran matches \"nothing_like_it\"" &&
        said "fill " "54 launches, 3 arguments; 0: "
}
without_sidecar() {
    GENIE_HINTS='' explain "$program" && said "none: GENIE_HINTS names no sidecar" "80 launches, 3 arguments; 0: 32.0 KiB"
}
not_a_cuda_program() {
    explain -- true && grep -q "left no report" "$lib_scratch/explain.err" && ! explain -- "$lib_scratch/nowhere" && ! explain &&
        explain -- sh -c 'exit 7'
    [ $? -eq 7 ] && [ -z "$(ls -d /tmp/genie-explain-* 2>/dev/null)" ]
}
counted() { # what GENIE_STATS says: RULES MATCHED ALLOCATIONS
    GENIE_STATS=$lib_scratch/stats.json remotely timeout 60 "$program" >"$lib_scratch/out" 2>"$lib_scratch/err" || { cat "$lib_scratch/err"; return 1; }
    local rules matched allocations
    rules=$(stat_of "$lib_scratch/stats.json" hints.rules) matched=$(stat_of "$lib_scratch/stats.json" hints.rules_matched)
    allocations=$(stat_of "$lib_scratch/stats.json" hints.allocations)
    [ "$rules $matched $allocations" = "$1 $2 $3" ] || { echo "$rules rules, $matched met $allocations allocations"; cat "$lib_scratch/err"; return 1; }
}

# told COUNT PATTERN NAME: the run NAME is as locally, and its log has so many lines, all with the pattern.
told() {
    same 60 "$3" "$program" || return 1
    [ "$(wc -l <"$lib_scratch/$3.err")" -eq "$1" ] && [ "$(grep -c -- "$2" "$lib_scratch/$3.err")" -eq "$1" ] && return
    cat "$lib_scratch/$3.err"
    return 1
}

checks() {
    "$ctl" hints check "$good" >"$lib_scratch/checked" 2>&1 && grep -q "good: 14 rules, 0 phases, 0 breakpoints" "$lib_scratch/checked" || return 1
    printf 'schema = 1\n[[region]]\nclass = "weight"\nmatch = { kernl = "a" }\nkeep = 3\n' >"$lib_scratch/bad.toml"
    ! "$ctl" hints check "$good" "$lib_scratch/bad.toml" "$lib_scratch/missing.toml" >"$lib_scratch/checked" 2>&1 || return 1
    grep -q 'bad.toml:3:9: class cannot be "weight"' "$lib_scratch/checked" && grep -q 'bad.toml:4:11: unknown key "kernl"' "$lib_scratch/checked" &&
        grep -q 'bad.toml:5:8: keep must be' "$lib_scratch/checked" && grep -q 'bad.toml: 3 problems' "$lib_scratch/checked" &&
        grep -q 'missing.toml: No such file' "$lib_scratch/checked" && grep -q 'good.toml: good' "$lib_scratch/checked" || { cat "$lib_scratch/checked"; return 1; }
}

serve
check "check tells every problem" checks
check "explain: what each rule met, and why not" explained
check "explain without a sidecar" without_sidecar
check "explain of what is no CUDA program" not_a_cuda_program
export GENIE_HINTS=$good
check "as locally, with nothing in the log" told 0 . plain
check "the statistics" counted 14 7 137
[ "$variant" = tsan ] && tap_end # what follows is about files
GENIE_OPT=-all,hints check "the same with all else off" counted 14 7 137
GENIE_OPT=-hints check "switched off" counted 0 0 0
GENIE_PROFILE=embedded check "as locally with the embedded profile" told 0 . embedded
unset GENIE_HINTS

# --- sidecars that are none
broken=$lib_scratch/broken
mkdir "$broken"
printf 'schema = 1\n[[region]]\nclass = "kv"\n' >"$broken/class"
printf 'schema = 2\n' >"$broken/schema"
head -c 3000 /dev/urandom >"$broken/noise"
: >"$broken/empty"
{ echo 'schema = 1'; yes '# much' | head -c 300000; } >"$broken/large"
mkfifo "$broken/pipe"
printf 'schema = 1\n[app]\nmatch = { exe = "another" }\n' >"$broken/another"
printf 'schema = 1\n[[region]]\nclass = "weights"\nmatch = { size = 1 }\nkeep = "remote"\n' >"$broken/contradiction"
for file in "$broken"/*; do
    GENIE_HINTS=$file check "as locally with a sidecar that is ${file##*/}" told 1 "no hints: " "${file##*/}"
done
GENIE_HINTS=$broken/missing check "as locally with none where one should be" told 1 "no hints: .*No such file" missing
GENIE_HINTS=/dev/null check "as locally with a device for a sidecar" told 1 "no hints: " device

[ "$variant" = asan ] && tap_end # what follows finds files, of which nothing new is read
# --- folders
mkdir "$lib_scratch/folder" "$lib_scratch/bare"
cp "$broken/another" "$lib_scratch/folder/10-other.toml"
cp "$good" "$lib_scratch/folder/50-good.toml"
printf 'schema = 1\n' >"$lib_scratch/folder/20-nobody.toml"
cp "$broken/noise" "$lib_scratch/folder/noise.txt"
cp "$broken/noise" "$lib_scratch/folder/.hidden.toml"
export GENIE_HINTS=$lib_scratch/folder
check "the one of a folder that is for the program" counted 14 7 137
check "and that goes without saying" told 0 . folder
cp "$broken/class" "$lib_scratch/folder/30-class.toml"
check "a broken one is left out" told 1 "a sidecar is left out: .*30-class.toml:3:9" broken_one
rm "$lib_scratch/folder/30-class.toml"
printf 'schema = 1\n[app]\nmatch = { env = "GENIE_HINTS=*" }\n' >"$lib_scratch/folder/60-too.toml"
check "of two, the first by name" told 1 "60-too.toml is for this program too; .*50-good.toml comes first" two
check "which counts" counted 14 7 137
GENIE_HINTS=$lib_scratch/bare check "an empty folder" told 0 . bare
unset GENIE_HINTS
printf 'hints = "%s"\n' "$good" >"$lib_scratch/client.toml"
GENIE_CONFIG=$lib_scratch/client.toml check "named by the settings" counted 14 7 137

# --- conditions on the program
matches() { # MATCH YES|NO
    printf 'schema = 1\n[app]\nmatch = { %s }\n[[region]]\nclass = "input"\nmatch = { size = ">= 1" }\n' "$1" >"$lib_scratch/app.toml"
    if [ "$2" = yes ]; then GENIE_HINTS=$lib_scratch/app.toml counted 1 1 "$(($3))"; else GENIE_HINTS=$lib_scratch/app.toml counted 0 0 0; fi
}
id=$(file -b "$program" 2>/dev/null | sed -n 's/.*BuildID\[[a-z0-9]*\]=\([0-9a-f]*\).*/\1/p')
check "by environment" matches 'env = ["HOME=*", "GENIE_SERVER=*"]' yes 137
check "another environment" matches 'env = "GENIE_TEST_NOT_SET=*"' no
check "other arguments" matches 'argv = "*--style*"' no
check "another build" matches 'image = "0123456789abcdef"' no
if [ -n "$id" ]; then check "this build" matches "image = \"${id:0:12}\"" yes 137; else skip "this build" "file does not tell its id"; fi
tap_end
