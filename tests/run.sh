#!/bin/bash
# run.sh - runs every test and says how it went; called by `make test` with BUILD, CC and MAKE.
#
# A test program is a Check program ($BUILD/tests/check_*), a stress or fuzz program in its short form, a shell test
# (tests/test_*.sh), the README's examples or the models. Each prints a line in Check's form ("%: Checks: N, Failures: F,
# Errors: E") or "model: N configurations ok, M failed", or nothing: then it is one test, and its exit status says how it
# went. What cannot run on this machine says "skip NAME: reason", or ends with 77 and the reason as its last line.
#
# Two programs run at a time, the longest ones first. Each gets a line when it has ended, and if it failed its output in
# full. The last line of all is "N tests run, M failed, K skipped"; exit status 1 when M > 0.
#
# Everything temporary is made below one folder, which goes at the end, also on ^C. Programs that are still running then
# are told to end and waited for; shared memory that a killed daemon left is found by the ids that the programs note in
# that folder (tests/support.c).
set -u

cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
work=$(mktemp -d /tmp/ringd-test-XXXXXX) && chmod 755 "$work" || exit 1 # others are tried too
logs=$work/logs
mkdir "$logs" || exit 1
export BUILD TMPDIR=$work

run=0 failed=0 skipped=0

finish() {
    local running file
    trap '' INT TERM HUP
    mapfile -t running < <(jobs -rp)
    [ ${#running[@]} -eq 0 ] || kill "${running[@]}" 2>/dev/null
    wait
    for file in "$work"/*/id-*; do
        [ -e "$file" ] && rm -f "/dev/shm/ringd-${file##*/id-}"-*
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Of this build only: what is left from sources that are gone is not run.
built() {
    local source
    for source in "$@"; do
        [ -e "$source" ] && echo "$BUILD/tests/$(basename "$source" .c)"
    done
}

programs() {
    echo 'tests/model/run.sh quick'
    built tests/check_survival.c tests/check_steps.c
    built tests/fuzz_*.c tests/stress_*.c
    built tests/check_*.c | grep -v -e '/check_steps$' -e '/check_survival$'
    ls tests/test_*.sh
    echo tests/examples.sh
}

name_of() {
    local name=${1%% *}
    case $name in
        tests/model/*) echo model ;;
        *) basename "$name" .sh ;;
    esac
}

# Runs one program; its status is written last. Told to end, it passes that on: `timeout` tells the program's whole
# process group.
start() {
    local name pid status begun=$SECONDS
    name=$(name_of "$1")
    # shellcheck disable=SC2086 # a program and its argument
    timeout -k 10 900 $1 >"$logs/$name.log" 2>&1 </dev/null &
    pid=$!
    trap 'kill "$pid"; wait "$pid"; exit 130' TERM
    wait "$pid"
    status=$?
    echo "$status $((SECONDS - begun))" >"$logs/$name.part"
    mv "$logs/$name.part" "$logs/$name.status"
}

# sum LOG EXPRESSION: the sum of the numbers that a sed expression finds.
sum() {
    sed -n "$2" "$1" | awk '{ n += $1 } END { print n + 0 }'
}

# Sets ran, bad, left (out) and seconds from a program's log and status.
count() {
    local log=$logs/$1.log status
    read -r status seconds <"$logs/$1.status"
    ran=$(sum "$log" 's/.*%: Checks: \([0-9]*\),.*/\1/p; s/^model: \([0-9]*\) configurations ok,.*/\1/p')
    bad=$(sum "$log" 's/.*%: Checks: .*Failures: \([0-9]*\),.*/\1/p; s/^model: .* ok, \([0-9]*\) failed.*/\1/p')
    ran=$((ran + $(sum "$log" 's/^model: .* ok, \([0-9]*\) failed.*/\1/p')))
    bad=$((bad + $(sum "$log" 's/.*%: Checks: .*Errors: \([0-9]*\).*/\1/p')))
    if [ "$status" -eq 77 ]; then
        echo "skip $1: $(tail -n 1 "$log")" >>"$log"
        ran=0 bad=0
    elif [ "$ran" -eq 0 ]; then
        ran=1
    fi
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ "$bad" -eq 0 ]; then
        bad=1
        echo "(ended with status $status)" >>"$log"
    fi
    left=$(grep -c '^skip ' "$log")
}

report() {
    local name=$1 ran bad left seconds
    count "$name"
    run=$((run + ran)) failed=$((failed + bad)) skipped=$((skipped + left))
    printf '%-24s %4d run, %d failed, %d skipped, %d s\n' "$name" "$ran" "$bad" "$left" "$seconds"
    sed -n 's/^skip /skipped: /p' "$logs/$name.log"
    [ "$bad" -eq 0 ] || sed "s/^/$name | /" "$logs/$name.log"
    mv "$logs/$name.status" "$logs/$name.reported"
}

# Waits until fewer than so many are running, and reports those that have ended.
wait_below() {
    local file
    while [ "$(jobs -rp | wc -l)" -ge "$1" ]; do wait -n; done
    for file in "$logs"/*.status; do
        [ -e "$file" ] && report "$(basename "$file" .status)"
    done
}

mapfile -t all < <(programs)
for program in "${all[@]}"; do
    start "$program" &
    wait_below 2
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait_below "$(jobs -rp | wc -l)"; done
wait_below 1
for program in "${all[@]}"; do
    [ -e "$logs/$(name_of "$program").reported" ] && continue
    echo "$(name_of "$program"): was not run to its end"
    failed=$((failed + 1))
done
echo "$run tests run, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
