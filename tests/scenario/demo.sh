#!/bin/sh
# demo.sh - the whole system once, on real logs: `make demo`.
#
# Starts a ringd of its own in a temporary folder; then several `ringctl write` at once feed a log file each into one
# ring, every line a record, while two lossless readers, a lossy one and an observer read it. What each lossless reader
# got of each writer is compared with the file, byte for byte and so in order; of the others, what they got must stand
# in the file in this order, and with what they were told is lost it must add up to all of it. Then the way of one
# record is timed, and the system calls on the data path are counted.
#
#   BUILD=DIR      where ringd, ringctl and tests/demo_* are (default: build)
#   LOGS="a b c"   these files instead of the machine's own logs and the output of some commands
#   SIZE=BYTES     of the ring, a power of two (default 4194304; more is taken when a line is too long for that)
#
# Ends with `demo: ok ...` and 0, or says what is wrong and ends with 1. What it started and made is gone after it.
set -eu

BUILD=${BUILD:-build}
LOGS=${LOGS:-}
SIZE=${SIZE:-4194304}
LOG_LINES=100000    # of each log of the machine, from its end
COMMAND_LINES=60000 # of the output of each command
LATENCY_RECORDS=50000
CALLS_RECORDS=1000000
READERS='lossless-1 lossless-2 lossy observer'

ringctl=$BUILD/ringctl
reader=$BUILD/tests/demo_reader
path=$BUILD/tests/demo_path
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ringd-demo.XXXXXX")
inputs=0    # what the writers are fed: $tmp/in/1 to $tmp/in/$inputs
total=0     # records in all of it
bytes=0     # their payloads
longest=0   # the longest payload
ringd_pid=''
reader_pids=''
writer_pids=''

say() {
    echo "demo: $*"
}

fail() {
    echo "demo: FAILED: $*" >&2
    [ ! -s "$tmp/ringd.log" ] || sed 's/^/demo: ringd said: /' "$tmp/ringd.log" >&2
    exit 1
}

# Lets the writers' inputs go; see start_writers.
open_gate() {
    yes '' | head -n 31 >&8
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    trap '' HUP INT TERM
    for pid in $writer_pids $reader_pids; do
        kill "$pid" 2>/dev/null || true
    done
    [ ! -p "$tmp/gate" ] || open_gate
    for pid in $writer_pids $reader_pids; do
        wait "$pid" || true
    done
    # A ring that somebody is attached to would stay.
    [ -z "$ringd_pid" ] || kill "$ringd_pid" 2>/dev/null || true
    wait
    rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds; else WHAT is the failure.
wait_for() {
    tries=$(($1 * 50))
    what=$2
    shift 2
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "$what"
        sleep 0.02
    done
}

# ---- what the writers are fed ------------------------------------------------------------------------------------

# add_input TITLE: $tmp/new becomes the next input, unless it is empty.
add_input() {
    if [ -s "$tmp/new" ]; then
        inputs=$((inputs + 1))
        mv "$tmp/new" "$tmp/in/$inputs"
        echo "$1" > "$tmp/title.$inputs"
    fi
}

add_output() {
    sh -c "$1" 2>/dev/null | head -n "$COMMAND_LINES" > "$tmp/new"
    add_input "$1"
}

# The four largest logs that can be read, as they are now: they may grow while the demo runs.
add_machine_logs() {
    for log in /var/log/*.log /var/log/apt/*.log /var/log/syslog /var/log/messages; do
        if [ -f "$log" ] && [ -r "$log" ] && grep -Iq . "$log"; then
            echo "$(wc -c < "$log") $log"
        fi
    done | sort -rn | head -n 4 | cut -d ' ' -f 2- > "$tmp/logs"
    while read -r log; do
        tail -n "$LOG_LINES" "$log" > "$tmp/new"
        add_input "$log"
    done < "$tmp/logs"
}

add_given_logs() {
    while [ "$inputs" -lt 4 ]; do # fewer than four are fed more than once
        for log in $LOGS; do
            cat "$log" > "$tmp/new" || fail "LOGS: '$log' cannot be read"
            [ -s "$tmp/new" ] || fail "LOGS: '$log' is empty"
            add_input "$log"
        done
    done
    [ "$inputs" -le 31 ] || fail "LOGS: $inputs files, and a ring has at most 31 writers"
}

# What `ringctl write` makes of input $1, and what a reader's file of it has to be: an unterminated last line is a
# record.
measure_input() {
    cp "$tmp/in/$1" "$tmp/expected/$1"
    [ "$(tail -c 1 "$tmp/in/$1" | wc -l)" -eq 1 ] || echo >> "$tmp/expected/$1"
    "$reader" measure "$tmp/in/$1" > "$tmp/measure.$1"
    read -r input_records input_bytes input_longest < "$tmp/measure.$1"
    total=$((total + input_records))
    bytes=$((bytes + input_bytes))
    [ "$input_longest" -le "$longest" ] || longest=$input_longest
}

collect_inputs() {
    mkdir "$tmp/in" "$tmp/expected"
    if [ -n "$LOGS" ]; then
        add_given_logs
    else
        add_machine_logs
        add_output 'find /usr -ls'
        add_output 'cat /var/lib/dpkg/info/*.list'
        add_output 'ls -lR /usr/share/doc'
        add_output 'dpkg -l; cat /proc/meminfo /proc/[0-9]*/status'
        add_output 'journalctl --no-pager; dmesg'
    fi
    [ "$inputs" -ge 4 ] || fail "only $inputs logs were found; give four with LOGS=\"a b c d\""
    for i in $(seq "$inputs"); do
        measure_input "$i"
    done
}

# ---- who takes part ----------------------------------------------------------------------------------------------

answers() {
    "$ringctl" list > /dev/null 2>&1
}

start_ringd() {
    export RINGD_SOCKET="$tmp/run/ringd.sock"
    export LD_LIBRARY_PATH="$BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    "$BUILD/ringd" --runtime-dir "$tmp/run" 2> "$tmp/ringd.log" &
    ringd_pid=$!
    wait_for 10 'ringd did not start' answers
}

# The longest record is a 64th of the ring at most.
make_ring() {
    while [ $((SIZE / 64)) -lt "$longest" ]; do
        SIZE=$((SIZE * 2))
    done
    "$ringctl" create demo --size "$SIZE" --policy lossless --max-record $((SIZE / 64)) || fail 'the ring was not made'
}

is_ready() {
    [ -s "$tmp/$1.out" ]
}

start_readers() {
    for name in $READERS; do
        mkdir "$tmp/$name"
        "$reader" read demo "$(mode_of "$name")" "$tmp/$name" "$inputs" > "$tmp/$name.out" &
        reader_pids="$reader_pids $!"
    done
    for name in $READERS; do
        wait_for 10 "$name did not attach" is_ready "$name"
    done
}

mode_of() {
    case $1 in
    lossless-*) echo lossless ;;
    lossy) echo lossy ;;
    observer) echo observe ;;
    esac
}

# count_of KEY: of the ring, as `ringctl status` has it.
count_of() {
    "$ringctl" status demo --interval 0 --json | sed -n "s/^  \"$1\": \\([0-9]*\\).*/\\1/p"
}

all_attached() {
    [ "$(count_of writer_count)" = "$inputs" ]
}

# All attach first and find their input still closed by the gate, so that they really write at once.
start_writers() {
    mkfifo "$tmp/gate"
    exec 8<> "$tmp/gate"
    for i in $(seq "$inputs"); do
        {
            read -r _ <&8
            exec cat "$tmp/in/$i"
        } | "$ringctl" write demo --type "$i" &
        writer_pids="$writer_pids $!"
    done
    wait_for 10 'not all writers attached' all_attached
    open_gate
}

still_writing() {
    for pid in $writer_pids; do
        ! kill -0 "$pid" 2>/dev/null || return 0
    done
    return 1
}

wait_for_writers() {
    pause=0.2
    while still_writing; do
        say "$(count_of committed) of $total records are in the ring"
        sleep "$pause"
        pause=1
    done
    for pid in $writer_pids; do
        wait "$pid" || fail "a writer ended with $?"
    done
    writer_pids=''
}

# The ring's end ends them, when they have read everything that is in it.
wait_for_readers() {
    "$ringctl" remove demo
    for pid in $reader_pids; do
        wait "$pid" || fail "a reader ended with $?"
    done
    reader_pids=''
}

# ---- what came out -----------------------------------------------------------------------------------------------

# What reader $1 counted: records, bytes, lost, gaps, breaks, switches, nanoseconds.
read_counts() {
    tail -n 1 "$tmp/$1.out" > "$tmp/counts"
    read -r got got_bytes lost gaps breaks switches ns < "$tmp/counts"
}

compare_files() {
    for i in $(seq "$inputs"); do
        cmp "$tmp/expected/$i" "$tmp/$1/$i" ||
            fail "what $1 read of writer $i is not $(cat "$tmp/title.$i")"
    done
}

# Every record that reader $1 got of a writer is in that writer's input, after the one before it.
search_records() {
    for i in $(seq "$inputs"); do
        awk -v all="$tmp/expected/$i" '{
            do found = (getline line < all); while (found > 0 && line != $0)
            if (found <= 0) exit 1
        }' "$tmp/$1/$i" || fail "$1 read a record of writer $i that is not in $(cat "$tmp/title.$i"), or not there"
    done
}

verify_reader() {
    read_counts "$1"
    [ $((got + lost)) -eq "$total" ] || fail "$1: $got records and $lost lost are not the $total that were written"
    [ "$breaks" -eq 0 ] || fail "$1: a writer's records are out of order in $breaks places"
    case $1 in
    lossless-*) [ "$lost" -eq 0 ] || fail "$1 lost $lost records" ;;
    esac
    if [ "$lost" -eq 0 ]; then
        [ "$got_bytes" -eq "$bytes" ] || fail "$1: $got_bytes bytes are not the $bytes that were written"
        compare_files "$1"
    else
        search_records "$1"
    fi
}

measure_path() {
    "$ringctl" create demo-path --size 1M || fail 'the ring for the measurements was not made'
    "$path" latency demo-path "$LATENCY_RECORDS" > "$tmp/latency" || fail 'the latency was not measured'
    code=0
    "$path" calls demo-path "$CALLS_RECORDS" > "$tmp/calls" || code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || fail 'the system calls were not counted'
    "$ringctl" remove demo-path
}

print_writers() {
    printf '\n%-10s %10s %12s  %s\n' writer records bytes input
    for i in $(seq "$inputs"); do
        read -r input_records input_bytes input_longest < "$tmp/measure.$i"
        printf '%-10s %10d %12d  %s\n' "$i" "$input_records" "$input_bytes" "$(cat "$tmp/title.$i")"
    done
    printf '%-10s %10d %12d\n' together "$total" "$bytes"
}

print_readers() {
    printf '\n%-10s %10s %12s %8s %6s %12s %8s  %s\n' reader records bytes lost gaps records/s MB/s checked
    for name in $READERS; do
        read_counts "$name"
        checked='every byte and the order of each writer'
        [ "$lost" -eq 0 ] || checked='every record and the order of each writer; with the lost ones all'
        awk -v name="$name" -v got="$got" -v bytes="$got_bytes" -v lost="$lost" -v gaps="$gaps" -v ns="$ns" \
            -v checked="$checked" 'BEGIN {
                s = (ns > 0 ? ns : 1) / 1e9
                printf "%-10s %10d %12d %8d %6d %12.0f %8.1f  %s\n", name, got, bytes, lost, gaps, got / s,
                       bytes / s / 1e6, checked
            }'
    done
    read_counts lossless-1
    printf 'the writers took turns %d times\n' "$switches"
}

print_path() {
    awk '{
        printf "\none-way latency  p50 %.2f us, p99 %.2f us, p99.9 %.2f us\n", $1 / 1e3, $2 / 1e3, $3 / 1e3
        printf "                 of %d single records of 64 bytes from one process to another that polls,\n", $4
        printf "                 two reads of the clock included\n"
    }' "$tmp/latency"
    if [ ! -s "$tmp/calls" ]; then
        echo 'system calls on the data path: not measured (this machine does not allow seccomp filters)'
        return
    fi
    read -r writer_calls reader_calls < "$tmp/calls"
    echo "system calls on the data path: $((writer_calls + reader_calls))"
    echo "                 counted by a seccomp filter in a writer ($writer_calls) and a busy reader ($reader_calls)," \
        "$CALLS_RECORDS records"
    [ $((writer_calls + reader_calls)) -eq 0 ] || fail 'there are system calls on the data path'
}

for program in "$BUILD/ringd" "$ringctl" "$reader" "$path"; do
    [ -x "$program" ] || fail "$program is missing; run make first"
done
say 'collecting logs'
collect_inputs
say "$inputs logs with $total lines, the longest of $longest bytes"
start_ringd
make_ring
start_readers
start_writers
say "$inputs writers and $(echo "$READERS" | wc -w) readers on a ring of $((SIZE / 1024)) KiB"
wait_for_writers
"$ringctl" status demo > "$tmp/status"
wait_for_readers
say 'comparing what was read with what was written'
for name in $READERS; do
    verify_reader "$name"
done
say 'timing the way of one record and counting system calls'
measure_path
print_writers
print_readers
print_path
printf '\nringctl status demo, before the ring was removed:\n\n'
cat "$tmp/status"
echo
say "ok $total records $bytes bytes $inputs writers $(echo "$READERS" | wc -w) readers"
