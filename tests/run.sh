#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs test programs that print TAP, counts what they say, prints what failed. Called by test.sh when everything is built.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1:atexit_sleep_ms=0 # each child of a test would sleep for a second at its end
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

# tap LABEL COMMAND...: a program to run, which says TAP, for $limit seconds at most. settle: runs them all, $places at a time, those first that
# take long, and counts them in the order in which they were named, each as soon as those before it are counted.
places=${TEST_PLACES:-2} # the tests are written for two cores
labels=() commands=()
tap() {
    local command
    printf -v command '%q ' timeout -k 5 "${limit:-${TEST_TIMEOUT:-300}}" "${@:2}"
    labels+=("$1") commands+=("$command")
}
log_of() { printf '%s\n' "$logs/${1//[^a-zA-Z0-9_.-]/_}"; }
run_one() { # LABEL COMMAND
    local log began=$SECONDS status
    log=$(log_of "$1")
    eval "$2" >"$log.log" 2>&1 </dev/null
    status=$?
    echo "$status $((SECONDS - began))" >"$log.new"
    mv "$log.new" "$log.rc"
}
# What is begun late and takes long leaves a core idle at the end. How long each has taken here the last time is known; where it is not, the
# whole-path tests under sanitizers are taken to be the longest, then the rest of them.
in_order() {
    local i label status seconds
    for i in "${!labels[@]}"; do
        label=${labels[$i]}
        if ! read -r status seconds 2>/dev/null <"$(log_of "$label").rc"; then
            case $label in
            *lanes* | *kept* | *touch* | *bulk* | *memory* | *bench* | differential:* | compat:*) seconds=40 ;;
            e2e:*tsan) seconds=20 ;;
            e2e:* | fault:* | differential:* | compat:* | *server_front) seconds=10 ;;
            *) seconds=1 ;;
            esac
        fi
        echo "$seconds $i"
    done | sort -k1,1nr -k2,2n | cut -d ' ' -f 2
}
# Those that mostly sleep, until limits of a second or more have passed, would leave a core idle. They run one after the other beside the rest.
sleeps() { [[ $1 =~ (server_front|server_admission|hostile.*)$ ]]; }
settle() {
    local i log next=0 order begun='' beside
    order=$(in_order)
    for i in "${!labels[@]}"; do rm -f "$(log_of "${labels[$i]}").rc"; done
    for i in $order; do
        ! sleeps "${labels[$i]}" || run_one "${labels[$i]}" "${commands[$i]}"
    done &
    beside=$!
    for i in $order; do
        ! sleeps "${labels[$i]}" || continue
        while [ "$(jobs -rp | grep -cvx "$beside")" -ge "$places" ]; do
            wait -n
            count_done
        done
        run_one "${labels[$i]}" "${commands[$i]}" &
    done
    begun=all
    while [ "$next" -lt ${#labels[@]} ]; do
        wait -n
        count_done
    done
    labels=() commands=()
}
count_done() { # those whose turn it is
    local label status seconds
    while [ "$next" -lt ${#labels[@]} ]; do
        label=${labels[$next]}
        log=$(log_of "$label")
        if ! read -r status seconds 2>/dev/null <"$log.rc"; then
            [ "$begun" = all ] && [ -z "$(jobs -rp)" ] || return 0 # it is still to end, or to begin
            status=1 seconds=0
        fi
        count "$label" "$status" "$log.log" "$seconds"
        next=$((next + 1))
    done
}

group_rules() {
    for t in tests/rules/*.sh; do tap "rules: $(basename "$t" .sh)" bash "$t"; done
}

# The build knows which unit tests a variant has (tests/build.ninja): what is listed there is built and run.
unit_tests() { # TARGET: the programs that it stands for
    local input
    for input in $(ninja -t query "$1" | sed -n '/^  input:/,/^  outputs:/s/^    //p'); do
        case $input in */unit/test_*) echo "$input" ;; *) unit_tests "$input" ;; esac
    done
}
group_unit() {
    local v t
    for v in build build/asan build/tsan; do
        for t in $(unit_tests "$v/tests" | sort); do tap "unit: ${t#build/}" "$t"; done
    done
}

# scripts FOLDER: each script in its variants. A script that runs long names those that add most ("# by default: release tsan"); TEST_VARIANTS=all
# runs it in all of them.
scripts() {
    local t v variants
    for t in tests/"$1"/*.sh; do
        [ "${t##*/}" = lib.sh ] && continue # what they share
        variants=$(sed -n 's/^# by default: //p' "$t")
        [ -n "$variants" ] && [ "${TEST_VARIANTS:-}" != all ] || variants="release asan tsan"
        for v in $variants; do tap "$1: $(basename "$t" .sh) $v" bash "$t" "$v"; done
    done
}
group_fault() { scripts fault; }
group_e2e() { scripts e2e; }

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

# Each target gets its share of the seconds; FUZZ_SECONDS is what each of them gets.
fuzz_all_seconds=40
group_fuzz() {
    local t targets=() each limit
    for t in build/fuzz/tests/fuzz/fuzz_*; do
        case $t in *.o | *.d) continue ;; esac
        targets+=("$t")
    done
    each=${FUZZ_SECONDS:-$((fuzz_all_seconds / (${#targets[@]} + 1) + 1))}
    limit=$((each + 60))
    for t in "${targets[@]}"; do tap "fuzz: ${t##*/fuzz_}" bash tests/fuzz/run.sh "$t" "$each"; done
}

groups=("$@")
[ ${#groups[@]} -eq 0 ] && groups=(rules unit fault e2e errors differential compat fuzz)
for g in "${groups[@]}"; do
    declare -F "group_$g" >/dev/null || { echo "run.sh: there is no group '$g'" >&2; exit 2; }
    before=${#labels[@]}
    "group_$g"
    [ ${#labels[@]} -gt "$before" ] || { echo "run.sh: the group '$g' has no test" >&2; exit 2; }
done
settle
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
