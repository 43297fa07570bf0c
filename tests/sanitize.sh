#!/bin/bash
# sanitize.sh - the tests under the sanitizers of gcc and clang; called by `make sanitize` with BUILD and MAKE.
#
#     BUILD=build MAKE=make tests/sanitize.sh [PROGRAM...]
#
# $BUILD/asan/COMPILER   everything with -fsanitize=address,undefined: library, daemon, ringctl and tests. All check, fuzz
#                        and stress programs run there, and ringctl's test.
# $BUILD/tsan/COMPILER   with -fsanitize=thread; only check_threads runs there, which has writers and readers as threads
#                        of one process: between processes that sanitizer sees nothing.
#
# Every process of a test, the daemon included, writes what its sanitizer finds to a file of its own; one such file, or
# a test that fails, is a finding. A line for each program, the findings in full, and at the end
# "sanitize: N programs run, M findings"; the exit status is not 0 when M > 0. With PROGRAM only those are run
# (check_hostile, test_ringctl.sh).
set -u

cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
reports=$(mktemp -d)
chmod 1777 "$reports"
programs=0
findings=0
wanted=("$@")

finish() {
    local children
    mapfile -t children < <(jobs -rp)
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null; done
    rm -rf "$reports"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# build_with NAME COMPILER FLAGS: what make says is shown when it fails
build_with() {
    local log=$reports/build
    mkdir -p "$build/$1"
    "${MAKE:-make}" --no-print-directory -j2 BUILD="$build/$1/$2" CC="$2" CFLAGS='-O1 -g -fno-omit-frame-pointer' \
        EXTRA_CFLAGS="$3" EXTRA_LDFLAGS="$3" check-programs >"$log" 2>&1 && return
    echo "sanitize: $2 with $3 does not build"
    cat "$log"
    exit 1
}

is_wanted() {
    [ ${#wanted[@]} -eq 0 ] && return
    [[ " ${wanted[*]} " == *" $1 "* ]]
}

# Programs of one build, by name. Those that stop at every machine instruction have a hundred times as many to stop at
# here, and check the same code as others do.
list_programs() {
    local source
    for source in tests/check_*.c tests/fuzz_*.c tests/stress_*.c tests/test_ringctl.sh; do
        [ -e "$source" ] || continue
        [[ $source != tests/check_steps.c && $source != tests/check_repair.c && $source != tests/check_move_steps.c &&
            $source != tests/check_single_steps.c ]] ||
            continue
        is_wanted "$(basename "$source" .c)" && basename "$source" .c
    done
}

# run_one FOLDER PROGRAM: into $reports/PROGRAM.out and .status
run_one() {
    local command=("$1/tests/$2") leaks=
    [[ $2 != *.sh ]] || command=("tests/$2")
    # Nobody can look for leaks in a process that is traced.
    ! grep -qs 'support_step.h\|support_at_point.h' "tests/$2.c" || leaks=:detect_leaks=0
    BUILD=$1 ASAN_OPTIONS=$ASAN_OPTIONS$leaks timeout -k 10 600 "${command[@]}" >"$reports/$2.out" 2>&1
    echo $? >"$reports/$2.status"
}

# How one went; what its processes' sanitizers wrote counts whatever its exit status is.
tell_one() {
    local status
    status=$(cat "$reports/$3.status")
    programs=$((programs + 1))
    if { [ "$status" -eq 0 ] || [ "$status" -eq 77 ]; } &&
        ! grep -qE 'Sanitizer|runtime error:' "$reports/$3.out"; then
        echo "ok $1 $2 $3"
        return
    fi
    findings=$((findings + 1))
    echo "FAIL $1 $2 $3: status $status"
    cat "$reports/$3.out"
}

tell_reports() {
    local file
    for file in "$reports"/report.*; do
        [ -e "$file" ] || continue
        findings=$((findings + 1))
        echo "FAIL $1 $2: a process wrote"
        head -n 60 "$file"
        rm -f "$file"
    done
}

# run_all NAME COMPILER PROGRAM...: two at a time
run_all() {
    local name=$1 compiler=$2 program
    shift 2
    for program in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        run_one "$build/$name/$compiler" "$program" &
    done
    wait
    for program in "$@"; do tell_one "$name" "$compiler" "$program"; done
    tell_reports "$name" "$compiler"
}

# What a test has open when it ends is the test's; leaks count in the daemon, in ringctl, and in the fuzzers, which open
# and close everything. An access that the kernel refuses may be what a test wants to see: it ends the process without a
# report, and the test knows whether that is right.
printf 'leak:tests/%s\n' check_ support stress_ >"$reports/suppressions"
common="log_path=$reports/report:print_stacktrace=1:halt_on_error=1"
export ASAN_OPTIONS="$common:detect_leaks=1:detect_stack_use_after_return=1:handle_segv=0"
export UBSAN_OPTIONS="$common"
export LSAN_OPTIONS="suppressions=$reports/suppressions:print_suppressions=0"
export TSAN_OPTIONS="$common:second_deadlock_stack=1"
export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-4}
export RINGD_FUZZ_SECONDS=${RINGD_FUZZ_SECONDS:-10}

mapfile -t all < <(list_programs)
for compiler in gcc clang; do
    if ! command -v "$compiler" >/dev/null; then
        echo "skip sanitize with $compiler: it is not installed"
        continue
    fi
    build_with asan "$compiler" '-fsanitize=address,undefined -fno-sanitize-recover=all'
    run_all asan "$compiler" "${all[@]}"
    if [[ " ${all[*]} " == *' check_threads '* ]]; then
        build_with tsan "$compiler" '-fsanitize=thread'
        run_all tsan "$compiler" check_threads
    fi
done
echo "sanitize: $programs programs run, $findings findings"
[ "$findings" -eq 0 ]
