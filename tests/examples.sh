#!/bin/bash
# examples.sh - compiles the example programs of README.md, and tests/example_libev.c, against the library that was built
# and runs them on a ring.
# Run by tests/run.sh with BUILD and CC; prints what Check prints, one check a program.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${BUILD:-build}" && pwd)
work=$(mktemp -d)
daemon=
finish() {
    [ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# Every C block that is a whole program.
awk -v out="$work/example" '
    /^```c$/ { inside = 1; text = ""; next }
    /^```$/ && inside { inside = 0; if (text ~ /int main/) { n++; printf "%s", text > (out n ".c") } next }
    inside { text = text $0 "\n" }' "$top/README.md"

"$build/ringd" --runtime-dir "$work/run" 2>"$work/ringd.log" &
daemon=$!
for _ in $(seq 100); do
    grep -q ready "$work/ringd.log" && break
    sleep 0.05
done
export RINGD_SOCKET=$work/run/ringd.sock
"$build/ringctl" create events --size 1M || exit 1

checks=0
failures=0
for source in "$work"/example*.c; do
    checks=$((checks + 1))
    name=$(basename "$source" .c)
    if "${CC:-cc}" -Wall -Wextra -Werror -I"$top/include" "$source" -o "$work/$name" -L"$build" -lringd \
        -Wl,-rpath,"$build" && timeout 20 "$work/$name" >"$work/$name.out" 2>"$work/$name.err"; then
        echo "ok $name"
    else
        failures=$((failures + 1))
        echo "FAIL $name: does not compile, or ends with an error"
        cat "$work/$name.err" 2>/dev/null
    fi
done

# The first writes ten records, the second reads them.
checks=$((checks + 1))
for i in 0 1 2 3 4 5 6 7 8 9; do echo "event $i"; done >"$work/expected"
if cmp -s "$work/expected" "$work/example2.out"; then
    echo 'ok what was written was read'
else
    failures=$((failures + 1))
    echo 'FAIL what was written was read'
fi

# With event loops: many laps of a small ring. What one has written the other one has read, when the ring is removed.
checks=$((checks + 1))
seq 20000 >"$work/lines"
"$build/ringctl" create laps --size 4K || exit 1
if "${CC:-cc}" -Wall -Wextra -Werror -I"$top/include" "$top/tests/example_libev.c" -o "$work/example_libev" -L"$build" \
    -lringd -lev -Wl,-rpath,"$build"; then
    timeout 120 "$work/example_libev" laps read >"$work/laps.out" 2>"$work/laps.err" &
    reader=$!
    until "$build/ringctl" status laps --json | grep -q '"lossless_reader_count": 1'; do sleep 0.05; done
    timeout 120 "$work/example_libev" laps write <"$work/lines" 2>>"$work/laps.err"
    "$build/ringctl" remove laps
fi
if wait "${reader:-}" && cmp -s "$work/laps.out" "$work/lines"; then
    echo 'ok example_libev'
else
    failures=$((failures + 1))
    echo 'FAIL example_libev'
    cat "$work/laps.err"
fi
echo "$((100 * (checks - failures) / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ "$failures" -eq 0 ]
