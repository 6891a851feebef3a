#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs test programs that print TAP, counts what they say, prints what failed. Called by test.sh when everything is built.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1
fuzz_seconds=${FUZZ_SECONDS:-10}
passed=0 failed=0 skipped=0
logs=build/tests
mkdir -p "$logs"

# count LABEL STATUS LOG [SECONDS]: adds what a finished program said.
count() {
    local label=$1 status=$2 log=$3 ok skip bad
    skip=$(grep -cE '^(not )?ok .*# SKIP' "$log") # cmocka writes "not ok N # SKIP name"
    ok=$(grep -E '^ok ' "$log" | grep -cv '# SKIP')
    bad=$(grep -E '^not ok ' "$log" | grep -cv '# SKIP')
    if [ "$status" -eq 77 ]; then
        skip=$((skip + 1))
    elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    elif [ "$status" -eq 0 ] && [ $((ok + skip + bad)) -eq 0 ]; then
        bad=1
        echo "a test that says nothing has not run" >>"$log"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    if [ "$bad" -gt 0 ]; then
        echo "FAILED $label: $bad of $((ok + skip + bad)) (exit status $status)"
        grep -vE '^ok ' "$log" | tail -n 40 | sed 's/^/    /'
    else
        printf '%-44s %4d passed' "$label" "$ok"
        [ "$skip" -gt 0 ] && printf ', %d skipped' "$skip"
        [ "${4:-0}" -ge 10 ] && printf ' (%d s)' "$4"
        printf '\n'
        grep -E '^(not )?ok .*# SKIP' "$log" | sed -E 's/^(not )?ok [0-9]* *-? */    skipped: /'
    fi
}

# tap LABEL COMMAND...: runs it when one of two places is free. settle: waits for all of them, counts them in their order.
labels=()
tap() {
    local label=$1 log
    shift
    log=$logs/${label//[^a-zA-Z0-9_.-]/_}
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    rm -f "$log.rc"
    {
        local began=$SECONDS
        timeout -k 5 "${TEST_TIMEOUT:-300}" "$@" >"$log.log" 2>&1 </dev/null
        echo "$? $((SECONDS - began))" >"$log.rc"
    } &
    labels+=("$label")
}
settle() {
    local label log status seconds
    wait
    for label in ${labels[@]+"${labels[@]}"}; do
        log=$logs/${label//[^a-zA-Z0-9_.-]/_}
        read -r status seconds <"$log.rc" || status=1 seconds=0
        count "$label" "$status" "$log.log" "$seconds"
    done
    labels=()
}

group_rules() {
    for t in tests/rules/*.sh; do tap "rules: $(basename "$t" .sh)" bash "$t"; done
}

# Under the thread sanitizer what has threads; under the address sanitizer all but the cubin reader's, which tries every truncation (the fuzz
# target of the same reader has that sanitizer too).
threaded='hints_match|connect|session|marks|link|server_[a-z]*|mock_(driver|module|stream)|contexts|guest|reports|ptx_run'
group_unit() {
    local v t
    for v in build build/asan build/tsan; do
        for t in "$v"/tests/unit/test_*; do
            case $t in *.o | *.d | build/asan/*/test_image_cubin) continue ;; esac
            [ "$v" != build/tsan ] || [[ ${t##*/test_} =~ ^($threaded)$ ]] || continue
            [ -x "$t" ] && tap "unit: ${t#build/}" "$t"
        done
    done
}

group_fault() {
    local t v
    for t in tests/fault/*.sh; do
        for v in release asan tsan; do tap "fault: $(basename "$t" .sh) $v" bash "$t" "$v"; done
    done
}

group_e2e() {
    local t v
    for t in tests/e2e/*.sh; do
        [ "${t##*/}" = lib.sh ] && continue # what they share
        for v in release asan tsan; do tap "e2e: $(basename "$t" .sh) $v" bash "$t" "$v"; done
    done
}

group_errors() {
    local v
    for v in release asan; do tap "errors: $v" bash tests/errors/run.sh "$v"; done
}

group_differential() {
    local v
    for v in release asan tsan; do tap "differential: $v" bash tests/differential/run.sh "$v"; done
}

group_compat() {
    tap "compat: quick" bash tests/compat/run.sh --quick
    tap "compat: libraries" bash tests/compat/libraries.sh
}

# Two at a time: the seconds are the budget, the machine has two cores.
group_fuzz() {
    local t n=0 names=() pids=() logs_of=()
    fuzz_wait() {
        local i
        for i in "${!pids[@]}"; do
            wait "${pids[$i]}"
            local status=$?
            if [ "$status" -eq 0 ]; then
                echo "ok 1 - $(grep -oE 'stat::number_of_executed_units: *[0-9]+|Done [0-9]+ runs.*' "${logs_of[$i]}" | tail -n 1)" >>"${logs_of[$i]}"
            else
                echo "not ok 1 - ${names[$i]}" >>"${logs_of[$i]}"
            fi
            count "fuzz: ${names[$i]}" "$status" "${logs_of[$i]}"
        done
        names=() pids=() logs_of=()
    }
    for t in build/fuzz/tests/fuzz/fuzz_*; do
        case $t in *.o | *.d) continue ;; esac
        n=$(basename "$t")
        n=${n#fuzz_}
        mkdir -p "build/fuzz/corpus/$n" "tests/fuzz/corpus/$n"
        "$t" -max_total_time="$fuzz_seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
            -artifact_prefix="build/fuzz/finding-$n-" "build/fuzz/corpus/$n" "tests/fuzz/corpus/$n" >"$logs/fuzz_$n.log" 2>&1 </dev/null &
        pids+=($!) names+=("$n") logs_of+=("$logs/fuzz_$n.log")
        [ ${#pids[@]} -eq 2 ] && fuzz_wait
    done
    fuzz_wait
}

groups=("$@")
[ ${#groups[@]} -eq 0 ] && groups=(rules unit fault e2e errors differential compat fuzz)
for g in "${groups[@]}"; do
    declare -F "group_$g" >/dev/null || { echo "run.sh: there is no group '$g'" >&2; exit 2; }
    "group_$g"
    settle
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
