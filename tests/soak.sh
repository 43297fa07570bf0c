#!/bin/bash
# soak.sh - hours of what `make test` does in seconds; called by `make soak` with BUILD.
#
#     BUILD=build SOAK_MINUTES=30 tests/soak.sh
#
# The programs that do random things run again and again, each time with another seed and each run longer than in
# `make test`, until SOAK_MINUTES have passed; then the deep models (tests/model/run.sh soak, up to an hour more;
# SEARCH_SECONDS bounds each search). One line for each run, with its seed: a failure is run again with
#
#     RINGD_SEED=N build/tests/PROGRAM
#
# The output of a failed run is shown, and the others go on. If the sanitizers' builds of `make sanitize` are there, the
# fuzzers run in those too. Exit: 0 nothing found, 1 something.
#
# Environment: BUILD, SOAK_MINUTES (30), RINGD_FUZZ_SECONDS (60, for one run of a fuzzer), SOAK_MODELS (yes; no leaves
# them out), SEARCH_SECONDS, RINGD_RESTARTS (1000, of a ringd under load, in each run of check_takeover), RINGD_KILLS (1000,
# of contexts under load, in each run of check_recovery), RINGD_SURVIVAL (all: every point, action and policy in check_survival)
set -u

cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
minutes=${SOAK_MINUTES:-30}
export RINGD_FUZZ_SECONDS=${RINGD_FUZZ_SECONDS:-60}
export RINGD_STRESS_SECONDS=${RINGD_STRESS_SECONDS:-60}
export RINGD_RESTARTS=${RINGD_RESTARTS:-1000}
export RINGD_KILLS=${RINGD_KILLS:-1000}
export RINGD_SURVIVAL=${RINGD_SURVIVAL:-all}
work=$(mktemp -d)
runs=0
failures=0
child=

finish() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

random_seed() { od -An -N7 -tu8 /dev/urandom | tr -d ' '; }

# run_one PROGRAM: with a seed of its own
run_one() {
    local seed status name=${1#"$build"/}
    seed=$(random_seed)
    RINGD_SEED=$seed timeout -k 10 3600 "$1" >"$work/out" 2>&1 &
    child=$!
    wait "$child"
    status=$?
    child=
    runs=$((runs + 1))
    if [ "$status" -eq 0 ] || [ "$status" -eq 77 ]; then
        echo "soak: ok $name RINGD_SEED=$seed"
        return
    fi
    failures=$((failures + 1))
    echo "soak: FAIL $name RINGD_SEED=$seed status $status"
    cat "$work/out"
}

run_models() {
    BUILD=$build tests/model/run.sh soak &
    child=$!
    wait "$child"
    local status=$?
    child=
    [ "$status" -eq 77 ] || runs=$((runs + 1))
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || failures=$((failures + 1))
}

# What is random: fuzzers, stress programs, and the checks that take a seed.
list_programs() {
    local source name
    for source in tests/fuzz_*.c tests/stress_*.c $(grep -l 'support_seed' tests/check_*.c); do
        [ -e "$source" ] || continue
        name=tests/$(basename "$source" .c)
        echo "$build/$name"
        [[ $name == */fuzz_* ]] || continue
        for sanitized in "$build"/asan/*; do
            [ ! -x "$sanitized/$name" ] || echo "$sanitized/$name"
        done
    done
}

mapfile -t programs < <(list_programs)
end=$((SECONDS + minutes * 60))
for ((i = 0; i < ${#programs[@]} || SECONDS < end; i++)); do
    run_one "${programs[i % ${#programs[@]}]}"
done
[ "${SOAK_MODELS:-yes}" = no ] || run_models
echo "soak: $runs runs, $failures failed"
[ "$failures" -eq 0 ]
