#!/bin/bash
# test_stop_points.sh - that stop points (libclient/stop_point.h) cost nothing and stand where they say.
#
#     BUILD=build CC=cc MAKE=make tests/test_stop_points.sh
#
# Library and daemon are built once more without points (RINGD_NO_STOP_POINTS), in a temporary folder, and disassembled:
# no function may have more instructions in $BUILD than there. clang keeps apart what it would share between two copies
# of inlined code if no point stood in it, which makes a function longer and no way through it; so that comparison is
# for gcc. What the linked files say: no part of the section is loaded. And on x86-64: the last store before a point is
# the step that it names. (What the compiler has put on the stack does not count: nobody else sees it.)
set -u
export LC_ALL=C

cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
cc=${CC:-cc}
work=$(mktemp -d)
checks=0
failures=0
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# check NAME COMMAND...: the command must end with 0
check() {
    local name=$1
    shift
    checks=$((checks + 1))
    if "$@" >"$work/out" 2>&1; then
        echo "ok $name"
    else
        failures=$((failures + 1))
        echo "FAIL $name: $*"
        tail -n 20 "$work/out"
    fi
}

# ---- instructions

build_without() {
    "${MAKE:-make}" --no-print-directory BUILD="$work/without" CC="$cc" \
        EXTRA_CFLAGS="${EXTRA_CFLAGS:-} -DRINGD_NO_STOP_POINTS" "$work/without/libringd.so" "$work/without/ringd"
}

# functions FOLDER: "OBJECT FUNCTION INSTRUCTIONS", without what only fills up to the next boundary
functions() {
    local object
    (cd "$1" && find pic obj/daemon -name '*.o') | sort | while read -r object; do
        objdump -d --no-show-raw-insn "$1/$object" | awk -v object="$object" '
            /^[0-9a-f]+ <.*>:$/ { name = $2; next }
            !/^ *[0-9a-f]+:\t/ { next }
            { sub(/^ *[0-9a-f]+:\t/, "") }
            /^(data16 |cs )*nop|^xchg +%ax,%ax/ { next }
            { count[name]++ }
            END { for (name in count) print object, name, count[name] }'
    done
}

# In both builds: the same functions, and none longer than without points.
no_longer() {
    [ "$(wc -l <"$work/functions.without")" -gt 100 ] || { echo 'hardly anything to compare'; return 1; }
    awk 'NR == FNR { without[$1 " " $2] = $3; next }
        !(($1 " " $2) in without) { print $1, $2, "is not in the build without points"; bad = 1; next }
        $3 > without[$1 " " $2] { print $1, $2, $3, "instructions, and", without[$1 " " $2], "without points"; bad = 1 }
        { delete without[$1 " " $2] }
        END { for (name in without) { print name, "is not in the build with points"; bad = 1 } exit bad }' \
        "$work/functions.without" "$work/functions.with"
}

same_length() {
    local name=$1
    [ "$(grep -h " <$name>:" "$work/functions.with")" = "$(grep -h " <$name>:" "$work/functions.without")" ]
}

# ---- the linked files

has_points() { "$build/at-stop-point" --list "$1" | grep -q .; }

# Not in memory: no flag A, no address, in no segment.
not_loaded() {
    readelf -SW "$1" | awk '$0 ~ /\.ringd_stop_points/ { sub(/^.*\.ringd_stop_points/, ""); seen = 1
        if ($1 != "PROGBITS" || $2 !~ /^0+$/ || $6 ~ /[AWX]/) { print; bad = 1 } } END { exit bad || !seen }' &&
        ! readelf -lW "$1" | grep -F ringd_stop_points
}

# ---- places

# Point and step: what the last store before it looks like.
steps() {
    cat <<'END'
reserve-offered mov +%r[a-z0-9]+,0x18\(
reserve-length mov +%[er][a-z0-9]+,0x8\(
reserve-begin mov +%r[a-z0-9]+,(0x0)?\(
reserve-active movb +\$0x1,(0x0)?\(
reserve-added (lock xadd|mov +%e[a-z]+,0x4\()
reserve-exact mov +%r[a-z0-9]+,(0x0)?\(
commit-stamped mov +%r[a-z0-9]+,(0x0)?\(
commit-counted mov +%r[a-z0-9]+,0x28\(
commit-sequence mov +%r[a-z0-9]+,0x20\(
commit-finished (lock (xadd|sub)|movb +\$0x0,(0x0)?\()
abort-counted mov +%r[a-z0-9]+,0x30\(
pad-stamped mov +%r[a-z0-9]+,(0x0)?\(
queue-entered lock or
queue-drawn lock xadd
queue-left lock and
raise-swapped lock cmpxchg16b
publish-stored xchg
release-settling mov +%r[a-z0-9]+,0x8\(
release-stored mov +%r[a-z0-9]+,(0x0)?\(
release-settled mov +%r[a-z0-9]+,0x10\(
next-delivered mov +%r[a-z0-9]+,(0x0)?\(
next-counted mov +%r[a-z0-9]+,0x8\(
wake-counted lock cmpxchg
END
}

# Of those that only the daemon has.
daemon_steps() {
    cat <<'END'
join-lossless lock or
join-published xchg
join-counted lock (xadd|add|inc)
leave-lossless lock and
END
}

# stores FILE: "ADDRESS STORE" for each instruction: its address, and the last store before it in its function. (What adds
# to memory without a lock adds to private memory: the compiler makes nothing of the kind of atomics.)
stores() {
    objdump -d --no-show-raw-insn "$1" | awk '
        /^[0-9a-f]+ <.*>:$/ { last = "none"; next }
        !/^ *[0-9a-f]+:\t/ { next }
        { address = $1; sub(/:$/, "", address); sub(/^ *[0-9a-f]+:\t/, "") }
        { print address, last }
        /^(cmp|test|lea|call|j|nop|data16|cs |prefetch|bt|add|sub|inc|dec|neg|not|and|or|xor)/ || /\(%rsp[,)]/ { next }
        /^lock|^xchg.*\(/ || /,[-0-9a-fx]*(%fs:)?[-0-9a-fx]*\([^)]*\)$/ || /^set[a-z]* .*\)$/ { last = $0 }'
}

# exact FILE LIST: the places of all points in one of the lists above
exact() {
    "$build/at-stop-point" --list --addresses "$1" >"$work/places" || return
    stores "$1" >"$work/stores"
    "$2" | awk -v stores="$work/stores" -v places="$work/places" '
        BEGIN { while ((getline <stores) > 0) { at = $1; sub(/^[^ ]* /, ""); last[at] = $0 } }
        { name = $1; sub(/^[^ ]* /, ""); step[name] = $0 }
        END {
            while ((getline <places) > 0) {
                if (!($2 in step)) continue
                seen[$2]++
                if (last[$1] ~ "^" step[$2]) continue
                print $2, "at", $1, "comes after:", last[$1]
                bad = 1
            }
            for (name in step) if (!seen[name]) { print name, "is missing"; bad = 1 }
            exit bad
        }'
}

# ---- all of them

is_gcc() { ! "$cc" -dM -E -x c /dev/null | grep -q __clang__; }

check 'library and daemon build without points' build_without
functions "$build" >"$work/functions.with"
functions "$work/without" >"$work/functions.without"
if is_gcc; then
    check 'no function is longer by its points' no_longer
else
    echo 'skip no function is longer by its points: clang shares less between copies of code with points'
fi
check 'a build without points has none' test -z "$("$build/at-stop-point" --list "$work/without/libringd.so" "$work/without/ringd")"
for file in "$build/libringd.so" "$build/ringd"; do
    check "$file has points" has_points "$file"
    check "$file loads none of them" not_loaded "$file"
done
check 'make stop-points lists what both have' test "$("${MAKE:-make}" -s --no-print-directory BUILD="$build" CC="$cc" stop-points 2>/dev/null)" = \
    "$("$build/at-stop-point" --list "$build/libringd.so" "$build/ringd")"
if [ "$(uname -m)" = x86_64 ] && is_gcc; then
    check 'the write of most records is the same' same_length ringd_write
    check 'each point comes right after its step' exact "$build/libringd.so" steps
    check 'also in the daemon' exact "$build/ringd" daemon_steps
else
    echo 'skip each point comes right after its step: what a step looks like is known of gcc for x86-64'
fi

echo "$((100 * (checks - failures) / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ "$failures" -eq 0 ]
