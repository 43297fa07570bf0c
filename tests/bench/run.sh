#!/bin/sh
# run.sh [bench|bench_peers] - `make bench`, `make bench-peers`: runs build/tests/bench or build/tests/bench_peers in a
# temporary folder with its own ringd.
#
#     BUILD=build REPS=5 tests/bench/run.sh
#
# Needs BUILD/ringd, BUILD/libringd.so* and the program. Prints the report, writes BUILD/bench.tsv or
# BUILD/bench-peers.tsv and removes what it made. Exit code: that of the bench (0: everything ran and every record was right).
set -eu

build=${BUILD:-build}
program=${1:-bench}
for file in ringd libringd.so "tests/$program"; do
    if [ ! -e "$build/$file" ]; then
        echo "bench: $build/$file is not there; 'make bench' or 'make bench-peers' builds it" >&2
        exit 1
    fi
done
folder=$(mktemp -d "${TMPDIR:-/tmp}/ringd-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

LD_LIBRARY_PATH="$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
"$build/tests/$program" "$build" "$folder"
