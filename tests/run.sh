#!/bin/bash
# run.sh - runs every test and says how it went; called by `make test` with BUILD, CC and MAKE.
#
# A test program is a Check program ($BUILD/tests/check_*), a stress or fuzz program in its short form, a shell test
# (tests/test_*.sh), the README's examples or the models. Each prints a line in Check's form ("%: Checks: N, Failures: F,
# Errors: E"), "model: N configurations ok, M failed", or nothing, then it counts as one test by its exit status. What
# cannot run on this machine says "skip NAME: reason", or ends with 77 and the reason as its last line.
#
# The output of a failed program is shown in full, of the others one line. The last line of all is
# "N tests run, M failed, K skipped".
set -u

cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
export BUILD
logs=$(mktemp -d)
jobs=()
run=0 failed=0 skipped=0

finish() {
    for pid in "${jobs[@]}"; do kill "$pid" 2>/dev/null; done
    rm -rf "$logs"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The programs of this build only: what is left from sources that are gone is not run.
programs() {
    local source
    for source in tests/check_*.c; do [ -e "$source" ] && echo "$BUILD/tests/$(basename "$source" .c)"; done
    for source in tests/stress_*.c tests/fuzz_*.c; do [ -e "$source" ] && echo "$BUILD/tests/$(basename "$source" .c)"; done
    for source in tests/test_*.sh; do [ -e "$source" ] && echo "$source"; done
    echo tests/examples.sh
    echo 'tests/model/run.sh quick'
}

name_of() { basename "${1%% *}" .sh | sed "s/^run$/model/"; }

start() {
    # shellcheck disable=SC2086 # a program and its argument
    timeout -k 10 600 $1 >"$logs/$(name_of "$1").log" 2>&1
    echo $? >"$logs/$(name_of "$1").status"
}

# Sets ran, bad and left out from one program's log and status.
count() {
    local log=$logs/$1.log status
    status=$(cat "$logs/$1.status" 2>/dev/null || echo 1)
    left=$(grep -c '^skip ' "$log")
    ran=$(sed -n 's/.*%: Checks: \([0-9]*\), Failures: .*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    bad=$(sed -n 's/.*%: Checks: .*Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2/p' "$log" |
        awk '{ n += $1 + $2 } END { print n + 0 }')
    if grep -q '^model: ' "$log"; then
        ran=$(sed -n 's/^model: \([0-9]*\) configurations ok, \([0-9]*\) failed/\1 \2/p' "$log" | awk '{ print $1 + $2 }')
        bad=$(sed -n 's/^model: .* ok, \([0-9]*\) failed/\1/p' "$log")
    elif [ "$status" -eq 77 ]; then
        ran=0 bad=0 left=1
        echo "skip $1: $(tail -n 1 "$log")" >>"$log"
    elif [ "$ran" -eq 0 ]; then
        ran=1
    fi
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || [ "$bad" -gt 0 ] || bad=1
}

report() {
    local name ran bad left
    name=$(name_of "$1")
    count "$name"
    run=$((run + ran)) failed=$((failed + bad)) skipped=$((skipped + left))
    printf '%-24s %4d run, %d failed, %d skipped\n' "$name" "$ran" "$bad" "$left"
    sed -n 's/^skip /skipped: /p' "$logs/$name.log"
    [ "$bad" -eq 0 ] || { echo "---- $name"; cat "$logs/$name.log"; echo "----"; }
}

mapfile -t all < <(programs)
for program in "${all[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    start "$program" &
    jobs+=($!)
done
wait
for program in "${all[@]}"; do report "$program"; done
echo "$run tests run, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
