#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs test programs that print TAP, counts what they say, prints what failed. Called by test.sh when everything is built.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1
fuzz_seconds=${FUZZ_SECONDS:-20}
passed=0 failed=0 skipped=0
logs=build/tests
mkdir -p "$logs"

# count LABEL STATUS LOG: adds what a finished program said.
count() {
    local label=$1 status=$2 log=$3 ok skip bad
    skip=$(grep -cE '^ok .*# SKIP' "$log")
    ok=$(($(grep -cE '^ok ' "$log") - skip))
    bad=$(grep -cE '^not ok ' "$log")
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
        printf '\n'
        grep -E '^ok .*# SKIP' "$log" | sed 's/^ok [0-9]* */    skipped: /'
    fi
}

# tap LABEL COMMAND...
tap() {
    local label=$1 log
    shift
    log=$logs/${label//[^a-zA-Z0-9_.-]/_}.log
    timeout -k 5 "${TEST_TIMEOUT:-300}" "$@" >"$log" 2>&1 </dev/null
    count "$label" $? "$log"
}

group_rules() {
    for t in tests/rules/*.sh; do tap "rules: $(basename "$t" .sh)" bash "$t"; done
}

group_unit() {
    local v t
    for v in build build/asan build/tsan; do
        for t in "$v"/tests/unit/test_*; do
            [ -x "$t" ] && [ ! -d "$t" ] && case $t in *.o | *.d) ;; *) tap "unit: ${t#build/}" "$t" ;; esac
        done
    done
}

group_golden() {
    for t in tests/golden/*.sh; do tap "golden: $(basename "$t" .sh)" bash "$t"; done
}

group_fault() {
    for t in tests/fault/*.sh; do tap "fault: $(basename "$t" .sh)" bash "$t"; done
}

group_e2e() {
    local t v
    for t in tests/e2e/*.sh; do
        for v in release asan tsan; do tap "e2e: $(basename "$t" .sh) $v" bash "$t" "$v"; done
    done
}

group_compat() { tap "compat: quick" bash tests/compat/run.sh --quick; }

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
[ ${#groups[@]} -eq 0 ] && groups=(rules unit golden fault e2e compat fuzz)
for g in "${groups[@]}"; do
    declare -F "group_$g" >/dev/null || { echo "run.sh: there is no group '$g'" >&2; exit 2; }
    "group_$g"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
