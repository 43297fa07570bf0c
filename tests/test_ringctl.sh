#!/bin/bash
# test_ringctl.sh - ringctl and ringd as an operator meets them: the commands of $BUILD, a ringd of its own, real files.
#
#     BUILD=build tests/test_ringctl.sh
#
# Prints a line for each check, "ok NAME", "FAIL NAME: what" or "skip NAME: reason", and one line as Check does at the
# end; ends with 1 when a check failed. Needs no privileges; what only root can try is skipped without.
#
# What holds true: nothing depends on how long something takes. What has to happen first is waited for by looking at it
# (`status`, the process's state, the output); the bounds on waiting (GUARD_S) are there so that an error ends as a
# failed check and not as a test that hangs. A slow reader is one that is stopped (SIGSTOP), a full ring one whose
# lossless reader is stopped.
#
# What is ended, at the end of a check or when the script ends in whatever way, are the shell's own children that still
# run, and nothing else. Shared memory of an instance that was killed is removed by its id.
set -u
export LC_ALL=C
unset RINGD_SOCKET

cd "$(dirname "$0")/.." || exit 1
build=$(cd "${BUILD:-build}" && pwd) || exit 1
ringd=$build/ringd
ringctl=$build/ringctl
work=$(mktemp -d) || exit 1
chmod 755 "$work" # other users' ringctl, below
GUARD_S=60
NOBODY=65534

instances=()
topic= # what is being tried; begins the name of each check
checks=0
failures=0

finish() {
    local pid id children
    trap '' INT TERM HUP
    GUARD_S=5
    mapfile -t children < <(jobs -rp)
    for pid in "${children[@]}"; do kill -CONT "$pid" && kill "$pid"; done 2>/dev/null
    for pid in "${children[@]}"; do await "$pid"; done
    for id in "${instances[@]}"; do rm -f "/dev/shm/$id"-*; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# ---- what a check is

pass() {
    checks=$((checks + 1))
    echo "ok $topic, $1"
}

# fail NAME WHAT: the first lines of WHAT, on one.
fail() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    echo "FAIL $topic, $1: $(head -c 600 <<<"$2" | tr '\n\033' '  ')"
}

summary() {
    echo "$((100 * (checks - failures) / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
}

skip() { echo "skip $topic, $1: $2"; }

# check NAME COMMAND...: succeeds. (In a subshell: what COMMAND sets is lost.)
check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then pass "$name"; else fail "$name" "$* ${said:+- $said}"; fi
}

# same NAME WHAT IS WANTED
same() {
    if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "is '$2', not '$3'"; fi
}

same_file() { check "$1" cmp "$2" "$3"; }

# judge NAME CODE WANTED PATTERN: a command that ended with CODE and has said $work/err. PATTERN (extended) is what its
# message has to contain; empty: it has nothing to say.
judge() {
    local name=$1 code=$2 wanted=$3 pattern=$4
    if [ "$code" -ne "$wanted" ]; then
        fail "$name" "exit code $code, not $wanted: $(head -c 300 "$work/err")"
    elif [ -z "$pattern" ] && [ -s "$work/err" ]; then
        fail "$name" "is not quiet: $(cat "$work/err")"
    elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" "$work/err"; then
        fail "$name" "does not say '$pattern' but: $(cat "$work/err")"
    else
        pass "$name"
    fi
}

# expect NAME CODE PATTERN COMMAND...: as judge; its output is in $work/out.
expect() {
    local name=$1 code=$2 pattern=$3
    shift 3
    timeout --foreground "$GUARD_S" "$@" >"$work/out" 2>"$work/err"
    judge "$name" $? "$code" "$pattern"
}

# ---- waiting for what has to happen

# (What did not happen once is a failed check; the rest then need not be patient.)
wait_until() {
    local deadline=$((SECONDS + GUARD_S))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || { GUARD_S=5 && return 1; }
        sleep 0.02
    done
}

# Asks the shell, not the kernel: a child that has ended leaves its number to others.
gone() { ! grep -qx "$1" < <(jobs -rp); }

# The exit code of a process that is to end by itself. (Without the shell's own words on those that were killed.)
await() {
    wait_until gone "$1" || kill -9 "$1"
    wait "$1"
} 2>/dev/null

in_state() { [ "$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null)" = "$2" ]; }

stop() {
    kill -STOP "$1" && wait_until in_state "$1" T
}

lines() { wc -l <"$1"; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }

# number FILE KEY: of the outermost object of what --json printed.
number() { sed -n "s/^  \"$2\": \\([0-9]*\\),\\{0,1\\}\$/\\1/p" "$1"; }

# number_of RING KEY
number_of() {
    "$ringctl" status "$1" --interval 0 --json >"$work/status" 2>/dev/null
    number "$work/status" "$2"
}

number_is() { [ "$(number_of "$1" "$2")" = "$3" ]; }

# waiting RING N: so many writers wait for room.
waiting() {
    "$ringctl" status "$1" --interval 0 --json >"$work/status" 2>/dev/null
    [ "$(grep -c '"state": "waiting"' "$work/status")" -eq "$2" ]
}

# Without a ring the rest makes no sense.
create() {
    "$ringctl" create "$@" 2>"$work/err" && return
    fail "create $1" "$(cat "$work/err")"
    summary
    exit 1
}

# Starts `tail RING OPTIONS...` into $work/tailed and $work/tail.err and waits until it is attached as KIND
# (lossless_reader, observer); the process is $tail.
start_tail() {
    local kind=$1
    shift
    "$ringctl" tail "$@" >"$work/tailed" 2>"$work/tail.err" 7>&- &
    tail=$!
    wait_until number_is "$1" "${kind}_count" 1 || fail "tail of $1" "does not attach: $(cat "$work/tail.err")"
}

# ---- daemons

# start_ringd FOLDER: the process is $daemon, what it says is in FOLDER.log.
start_ringd() {
    : >"$1.log"
    "$ringd" --runtime-dir "$1" </dev/null 2>"$1.log" 7>&- &
    daemon=$!
    wait_until is_ready_or_gone "$1" && grep -q ready "$1.log"
}

is_ready_or_gone() { grep -q ready "$1.log" || gone "$daemon"; }

# What the names of its shared memory begin with, from a ring it has mapped.
instance_of() { sed -n 's|.*/dev/shm/\(ringd-[0-9a-f]*\)-.*|\1|p' "/proc/$1/maps" 2>/dev/null | head -n 1; }

objects_of() { find /dev/shm -maxdepth 1 -name "$1-*" | sort; }

# ---- checks: the fixed forms

json_tool=
if python3 -c 'import json' 2>/dev/null; then
    json_tool=python3
elif command -v jq >/dev/null; then
    json_tool=jq
fi

is_json() {
    if [ "$json_tool" = python3 ]; then python3 -c 'import json, sys; json.load(sys.stdin)' <"$1"; else jq -e . "$1"; fi
}

is_json_lines() {
    if [ "$json_tool" = python3 ]; then
        python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin.buffer]' <"$1"
    else
        jq -c . "$1"
    fi
}

# valid_json NAME CHECKER COMMAND...
valid_json() {
    local name=$1 checker=$2
    shift 2
    timeout --foreground "$GUARD_S" "$@" >"$work/json" 2>"$work/err" </dev/null
    judge "$name exit code" $? 0 ''
    if [ -z "$json_tool" ]; then
        skip "$name" 'neither python3 nor jq is here to read JSON'
    elif [ -s "$work/json" ]; then
        check "$name" "$checker" "$work/json"
    else
        fail "$name" 'prints nothing'
    fi
}

no_escapes() {
    if grep -q $'\033' "$2"; then fail "$1" 'has an escape sequence'; else pass "$1"; fi
}

check_forms() {
    topic='commands'
    expect 'create lossless' 0 '' "$ringctl" create events --size 16M --policy lossless
    same 'create prints nothing' "$(cat "$work/out")" ''
    expect 'create drop, max-record and time monotonic' 0 '' \
        "$ringctl" create forms-drop --size 16M --policy drop --max-record 64K --time monotonic
    same 'create takes the max-record asked for' "$(number_of forms-drop max_record)" 65536
    expect 'create overwrite, time tsc' 0 '' "$ringctl" create forms-over --size 16M --policy overwrite --time tsc
    expect 'create time none' 0 '' "$ringctl" create forms-none --size 4K --policy lossless --time none
    expect 'create with lanes' 0 '' "$ringctl" create forms-lanes --size 4K --policy lossless --lanes 2
    expect 'a position in several lanes' 2 'has 2 lanes.*read only that lane' "$ringctl" tail forms-lanes --from 64
    expect 'a position for a group in several lanes' 2 'at a time$' "$ringctl" tail forms-lanes --group g --from 64
    expect 'create with bounds' 0 '' "$ringctl" create forms-bounds --size 1M --stopped kill:200ms --slow lossy \
        --slow-bytes 512K --slow-after 2s
    same 'create takes the bounds' "$(number_of forms-bounds stopped_after_ms) $(number_of forms-bounds slow_bytes)" '200 524288'
    expect 'create a ring that is there' 1 'events.*already' "$ringctl" create events --size 16M --policy lossless
    expect 'write' 0 '' "$ringctl" write events < <(printf 'one\ntwo\n')
    same 'write prints nothing' "$(cat "$work/out")" ''
    expect 'tail --from oldest --count' 0 '' "$ringctl" tail events --from oldest --count 2
    same 'tail prints exactly the payloads' "$(cat "$work/out")" $'one\ntwo'
    expect 'list' 0 '' "$ringctl" list
    check 'list shows a ring' grep -q '^forms-drop .*drop' "$work/out"
    no_escapes 'list has no escape sequences' "$work/out"
    expect 'status' 0 '' "$ringctl" status
    check 'status shows a ring' grep -q '^events .*lossless' "$work/out"
    no_escapes 'status has no escape sequences' "$work/out"
    expect 'status NAME' 0 '' "$ringctl" status events
    check 'status NAME shows the records' grep -qE '2 committed' "$work/out"
    no_escapes 'status NAME has no escape sequences' "$work/out"
    expect 'doctor' 0 '' "$ringctl" doctor events
    check 'doctor finds everything as it should be' grep -qE '^events: [0-9]+ ok, 0 pending, 0 wrong$' "$work/out"
    expect 'doctor of a ring that is not there' 5 'nowhere' "$ringctl" doctor nowhere
    expect 'remove' 0 '' "$ringctl" remove forms-none
    expect 'a removed ring is gone' 5 "forms-none.*" "$ringctl" status forms-none
    no_escapes 'messages have no escape sequences' "$work/err"
}

check_json() {
    topic='--json'
    valid_json 'create --json' is_json "$ringctl" create json --json --size 64K --policy lossless
    valid_json 'write --json' is_json "$ringctl" write json --json
    printf 'text\n\n\xff\xfe\0"\\\n' | "$ringctl" write json
    valid_json 'list --json' is_json "$ringctl" list --json
    valid_json 'status --json' is_json "$ringctl" status --json
    valid_json 'tail --json' is_json_lines "$ringctl" tail json --json --from oldest --count 3
    same 'tail --json has a line for each record' "$(lines "$work/json")" 3
    start_tail lossless_reader json --lossless
    valid_json 'status NAME --json' is_json "$ringctl" status json --json
    check 'status NAME --json shows who is attached' grep -q "\"pid\": $tail," "$work/json"
    valid_json 'doctor --json' is_json "$ringctl" doctor json --json
    check 'doctor --json has a verdict' grep -q '"sound": true' "$work/json"
    kill "$tail"
    await "$tail"
    valid_json 'remove --json' is_json "$ringctl" remove json --json
}

check_ready() {
    topic='start'
    same 'ready line' "$(grep -c "^ringd: ready on $work/a/ringd.sock\$" "$work/a.log")" 1
    expect 'RINGD_SOCKET is honoured' 0 '' env RINGD_SOCKET="$work/a/ringd.sock" "$ringctl" list
    expect 'ringctl --version' 0 '' "$ringctl" --version
    expect 'ringctl help' 0 '' "$ringctl" help
    expect 'ringd --help' 0 '' "$ringd" --help
}

# ---- checks: lines and frames

check_lines() {
    topic='lines'
    create lines --size 64K --policy lossless
    printf 'first\n\n\r\nwith\rin\r\nnul\0nul\n\0\n\n\nlast' >"$work/in"
    { cat "$work/in"; echo; } >"$work/wanted"
    expect 'write lines' 0 '' "$ringctl" write lines <"$work/in"
    same 'an unterminated last line is a record' "$(number_of lines committed)" 9
    expect 'tail lines' 0 '' "$ringctl" tail lines --from oldest --count 9
    same_file 'empty lines, CR and NUL are kept' "$work/out" "$work/wanted"
    expect 'write nothing' 0 '' "$ringctl" write lines </dev/null
    same 'no input is no record' "$(number_of lines committed)" 9
    expect 'write one empty line' 0 '' "$ringctl" write lines < <(echo)
    same 'an empty line is a record of no bytes' "$(number_of lines committed) $(number_of lines bytes)" \
        "10 $(($(wc -c <"$work/wanted") - 9))"
    expect 'tail --count 0' 0 '' "$ringctl" tail lines --from oldest --count 0
    same 'tail --count 0 prints nothing' "$(wc -c <"$work/out")" 0
}

# frame FILE: as --binary wants it.
frame() {
    local len
    len=$(stat -c %s "$1")
    # shellcheck disable=SC2059 # the format is the bytes
    printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((len & 255)) $((len >> 8 & 255)) $((len >> 16 & 255)) \
        $((len >> 24 & 255)))"
    cat "$1"
}

check_binary() {
    topic='--binary'
    local i
    create binary --size 1M --policy lossless
    for ((i = 0; i < 256; i++)); do printf '%b' "\\0$(printf %o "$i")"; done >"$work/p.all-bytes"
    : >"$work/p.empty"
    printf '\n' >"$work/p.newline"
    printf '\n\n\0\r\n\0' >"$work/p.mixed"
    head -c 4096 "$ringctl" >"$work/p.program"
    for i in empty all-bytes newline empty mixed program newline empty; do frame "$work/p.$i"; done >"$work/frames"
    expect 'write --binary' 0 '' "$ringctl" write binary --binary <"$work/frames"
    expect 'tail --binary' 0 '' "$ringctl" tail binary --binary --from oldest --count 8
    same_file 'arbitrary bytes survive --binary both ways' "$work/out" "$work/frames"
    { cat "$work/frames"; printf '\5\0\0\0abc'; } >"$work/cut"
    expect 'input that ends inside a frame' 1 'inside a record' "$ringctl" write binary --binary <"$work/cut"
    same 'the frames before the cut are in the ring' "$(number_of binary committed)" 16
    expect 'tail --json --binary together' 2 'give one of them' "$ringctl" tail binary --json --binary
}

# ---- checks: where a tail starts, and when it writes

check_from() {
    topic='--from'
    local position
    create from --size 64K --policy lossless
    seq -f 'line %g' 10 | "$ringctl" write from
    "$ringctl" tail from --json --from oldest --count 4 >"$work/json"
    position=$(tail -n 1 "$work/json" | sed 's/.*"position":\([0-9]*\).*/\1/')
    expect 'tail --from POSITION' 0 '' "$ringctl" tail from --from "$position" --count 2
    same 'tail --from POSITION begins there' "$(cat "$work/out")" $'line 4\nline 5'
    position=$(tail -n 1 "$work/json" | sed 's/.*"next":\([0-9]*\).*/\1/')
    expect 'tail --from the next position, --lossless' 0 '' "$ringctl" tail from --from "$position" --count 1 --lossless
    same 'tail resumes where another ended' "$(cat "$work/out")" 'line 5'
    expect 'tail --from a place without a record' 2 'osition' "$ringctl" tail from --from "$((position + 1))" --count 1
    expect 'tail --from a position not yet written' 1 'osition' \
        "$ringctl" tail from --from $((position + 65536)) --count 1
    expect 'tail --from nonsense' 2 'oldest, now, a position' "$ringctl" tail from --from yesterday
    expect 'tail --lossless' 0 '' "$ringctl" tail from --from oldest --lossless --count 10
    same 'tail --lossless reads all' "$(cat "$work/out")" "$(seq -f 'line %g' 10)"
    expect 'tail --lossless of an overwriting ring' 2 'overwrit.*observer' "$ringctl" tail forms-over --lossless
}

check_from_now() {
    topic='--from now'
    start_tail observer from --from now --count 2
    check 'tail is an observer unless told otherwise' grep -q '"kind": "observer"' "$work/status"
    printf 'new 1\nnew 2\n' | "$ringctl" write from
    await "$tail"
    same 'tail --count ends with 0' $? 0
    same 'tail --from now sees what is new' "$(cat "$work/tailed")" $'new 1\nnew 2'
}

check_from_wrapped() {
    topic='--from oldest'
    local count
    create wrapped --size 64K --policy overwrite
    seq 5000 | "$ringctl" write wrapped
    expect 'tail --from oldest of a ring that went round' 0 '' "$ringctl" tail wrapped --from oldest --no-wait
    count=$(lines "$work/out")
    seq 5000 | tail -n "$count" >"$work/wanted"
    check 'what is still there is a good part of the ring' [ "$count" -ge 500 ]
    same_file 'what is still there is told without a hole' "$work/out" "$work/wanted"
}

check_written_before_waiting() {
    topic='prompt'
    create prompt --size 64K --policy lossless
    start_tail lossless_reader prompt --lossless
    printf 'a\nb\nc' | "$ringctl" write prompt
    check 'tail writes out what it has before it waits' wait_until has_lines "$work/tailed" 3
    check 'and waits' kill -0 "$tail"
    kill "$tail"
    await "$tail"
    same 'a tail that is stopped ends with 0' $? 0
    same 'and has said nothing' "$(cat "$work/tail.err")" ''
}

# ---- checks: readers slower than the writer

# What a tail says it lost, added up.
lost_in() {
    sed -n 's/.*: \([0-9]*\) records of writer [0-9]* are lost here.*/\1/p' "$1" | awk '{ n += $1 } END { print n + 0 }'
}

check_gap() {
    local policy=$1 ring=gap-$1 lost delivered
    topic="gap, $1"
    create "$ring" --size 64K --policy "$policy"
    start_tail observer "$ring" --from now
    seq -f 'early %05.0f' 10 | "$ringctl" write "$ring"
    wait_until has_lines "$work/tailed" 10
    stop "$tail"
    seq -f 'line %05.0f' 1 5000 | "$ringctl" write "$ring"
    kill -CONT "$tail"
    wait_until grep -q 'line 05000' "$work/tailed"
    kill "$tail"
    await "$tail"
    same "a gap shows in the exit code" $? 4
    lost=$(lost_in "$work/tail.err")
    delivered=$(lines "$work/tailed")
    check "a stopped tail loses records" [ "$lost" -gt 0 ]
    same "delivered + lost = written" $((delivered + lost)) 5010
    check "what is delivered is in order, each once" sort -cu "$work/tailed"
}

# A tail that holds up whoever writes, and has not begun to read.
hold_ring() {
    start_tail lossless_reader "$1" --lossless --from oldest
    stop "$tail"
}

check_timeout() {
    topic='--timeout'
    local written refused
    create full --size 64K --policy lossless
    hold_ring full
    seq -w 5000 >"$work/in"
    expect 'write --timeout on a full ring' 3 'records were refused: no room' \
        "$ringctl" write full --timeout 50ms <"$work/in"
    refused=$(sed -n 's/.*: \([0-9]*\) of 5000 records were refused: no room.*/\1/p' "$work/err")
    no_escapes 'write has no escape sequences' "$work/err"
    written=$(number_of full committed)
    same 'written + refused = offered' "$((written + ${refused:-0}))" 5000
    same 'status counts what was refused' "$(number_of full refused)" "$refused"
    kill -CONT "$tail"
    wait_until has_lines "$work/tailed" "$written"
    kill "$tail"
    await "$tail"
    same 'the lossless tail lost nothing' $? 0
    head -n "$written" "$work/in" >"$work/wanted"
    same_file 'what was written before is all there' "$work/tailed" "$work/wanted"
    expect 'write --timeout with room again' 0 '' "$ringctl" write full --timeout 10s < <(echo more)
}

check_drop() {
    topic='policy drop'
    local dropped written
    create drop --size 64K --policy drop
    hold_ring drop
    seq -w 5000 >"$work/in"
    expect 'write on a full drop ring' 3 'of 5000 records were dropped' "$ringctl" write drop <"$work/in"
    dropped=$(sed -n 's/.*: \([0-9]*\) of 5000 records were dropped.*/\1/p' "$work/err")
    written=$(number_of drop committed)
    same 'written + dropped = offered' "$((written + ${dropped:-0}))" "$(number_of drop offered)"
    same 'status counts what was dropped' \
        "$(($(number_of drop dropped_full) + $(number_of drop dropped_stalled)))" "${dropped:-none}"
    expect 'status for people shows it too' 0 '' "$ringctl" status drop
    check 'status for people shows what was dropped' grep -q "+ $dropped dropped" "$work/out"
    kill -CONT "$tail"
    wait_until has_lines "$work/tailed" "$written"
    kill "$tail"
    await "$tail"
    head -n "$written" "$work/in" >"$work/wanted"
    same_file 'a drop ring keeps what came first' "$work/tailed" "$work/wanted"
}

# write_held RING: a writer of $work/in that waits for room; the process is $writer.
write_held() {
    "$ringctl" write "$1" <"$work/in" >/dev/null 2>"$work/write.err" 7>&- &
    writer=$!
    wait_until waiting "$1" 1
}

check_waiting() {
    topic='waiting'
    create wait --size 64K --policy lossless
    seq -w 5000 >"$work/in"
    hold_ring wait
    write_held wait
    same 'write waits for room without limit' $? 0
    check 'and has not ended' kill -0 "$writer"
    kill -CONT "$tail"
    await "$writer"
    same 'write goes on when a reader frees space' $? 0
    wait_until has_lines "$work/tailed" 5000
    same_file 'the reader gets every line' "$work/tailed" "$work/in"
    kill "$tail"
    await "$tail"

    hold_ring wait
    write_held wait
    kill -9 "$tail"
    await "$tail"
    await "$writer"
    same 'write goes on when the reader in its way is killed' $? 0

    hold_ring wait
    write_held wait
    kill "$writer"
    await "$writer"
    same 'a write that is ended by a signal says so' $? 143
    check 'and how far it came' \
        grep -qE ': [0-9]+ records were written; [0-9]+ that had been read were not' "$work/write.err"
    kill -9 "$tail"
    await "$tail"
}

# ---- checks: the command among others

check_closed_output() {
    topic='closed output'
    local codes
    create pipe --size 1M --policy lossless
    seq 10000 | "$ringctl" write pipe
    timeout --foreground "$GUARD_S" "$ringctl" tail pipe --from oldest 2>"$work/err" | head -n 1 >"$work/out"
    codes=${PIPESTATUS[0]}
    judge 'tail into head -n 1 ends quietly' "$codes" 0 ''
    same 'and head has its line' "$(cat "$work/out")" 1
    mkfifo "$work/pipe"
    exec 5<>"$work/pipe"
    exec 6>"$work/pipe" 5>&-
    for codes in list status 'status pipe' 'list --json' 'tail pipe --from oldest --lossless'; do
        # shellcheck disable=SC2086 # words
        timeout --foreground "$GUARD_S" "$ringctl" $codes >&6 2>"$work/err"
        judge "$codes into a closed pipe is quiet" $? 0 ''
    done
    exec 6>&-
    timeout --foreground "$GUARD_S" "$ringctl" list >/dev/full 2>"$work/err"
    judge 'an output that takes nothing is an error' $? 1 'write the output'
}

check_system_calls() {
    topic='1000000 lines'
    local calls
    create million --size 16M --policy lossless
    seq 1000000 >"$work/in"
    if ! strace -f -c -o /dev/null true 2>/dev/null; then
        skip 'system calls' 'strace is missing, or tracing is not permitted'
        expect 'write 1000000 lines' 0 '' "$ringctl" write million <"$work/in"
    else
        # A sanitizer cannot look for leaks in a traced process.
        expect 'write 1000000 lines' 0 '' env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -f -c -o "$work/strace" "$ringctl" write million <"$work/in"
        calls=$(awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { n += $4 } END { print n + 0 }' "$work/strace")
        check 'system calls were counted' [ "$calls" -gt 10 ]
        check 'fewer than 5000 system calls' [ "$calls" -lt 5000 ]
    fi
    same 'all of them were written' "$(number_of million committed)" 1000000
    expect 'the last of them' 0 '' "$ringctl" tail million --from oldest --no-wait
    tail -n "$(lines "$work/out")" "$work/in" >"$work/wanted"
    same_file 'and what is still there is right' "$work/out" "$work/wanted"
}

check_busy() {
    topic='four writers'
    local writers=() observer i pid lost code
    create busy --size 256K --policy lossless
    "$ringctl" tail busy >"$work/observed" 2>"$work/observer.err" &
    observer=$!
    wait_until number_is busy observer_count 1
    start_tail lossless_reader busy --lossless --count 80000
    stop "$tail"
    for i in 1 2 3 4; do
        seq -f "writer $i line %05.0f" 20000 >"$work/in.$i"
        "$ringctl" write busy <"$work/in.$i" 2>"$work/err.$i" &
        writers+=($!)
    done
    check 'four writers are at it at once' wait_until waiting busy 4
    "$ringctl" status busy --interval 0 --json >"$work/json"
    same 'status counts them' "$(number "$work/json" writer_count)" 4
    kill -CONT "$tail"
    valid_json 'status --json of busy rings' is_json "$ringctl" status busy --interval 0 --json
    for pid in "${writers[@]}"; do
        await "$pid"
        same 'a busy writer ends with 0' $? 0
    done
    await "$tail"
    same 'tail --lossless --count of a busy ring ends with 0' $? 0
    "$ringctl" remove busy
    await "$observer"
    code=$?
    lost=$(lost_in "$work/observer.err")
    same 'an observer of a busy ring: exit code' $code "$([ "$lost" -eq 0 ] && echo 0 || echo 4)"
    same 'an observer of a busy ring: delivered + lost = written' $(($(lines "$work/observed") + lost)) 80000
    same 'every line is there once' "$(lines "$work/tailed")" 80000
    for i in 1 2 3 4; do
        grep "^writer $i " "$work/tailed" >"$work/out"
        same_file "the lines of writer $i, in order" "$work/out" "$work/in.$i"
        grep "^writer $i " "$work/observed" >"$work/out"
        check "what an observer saw of writer $i, in order, each once" sort -cu "$work/out"
    done
}

check_filters() {
    topic='filters'
    local i
    create filters --size 256K --policy lossless
    for i in 0 1 2 3 4 5 6 7 8 9; do
        echo "type $i level $((i * 20))" | "$ringctl" write filters --type "$i" --level "$((i * 20))"
    done
    expect 'tail --type' 0 '' "$ringctl" tail filters --from oldest --no-wait --type 1,7,99
    same 'tail --type prints only these' "$(cut -d ' ' -f 2 "$work/out" | tr '\n' ' ')" '1 7 '
    expect 'tail --level' 0 '' "$ringctl" tail filters --from oldest --no-wait --level 40
    same 'tail --level N is this one' "$(cat "$work/out")" 'type 2 level 40'
    expect 'tail --level 0' 0 '' "$ringctl" tail filters --from oldest --no-wait --level 0
    same 'also 0' "$(cat "$work/out")" 'type 0 level 0'
    expect 'tail --level N-M' 0 '' "$ringctl" tail filters --from oldest --no-wait --level 40-80 --lossless
    same 'tail --level N-M is a range' "$(cut -d ' ' -f 2 "$work/out" | tr '\n' ' ')" '2 3 4 '
    expect 'tail --level N-' 0 '' "$ringctl" tail filters --from oldest --no-wait --level 160-
    same 'tail --level N- has no end' "$(cut -d ' ' -f 2 "$work/out" | tr '\n' ' ')" '8 9 '
    expect 'tail --writer' 0 '' "$ringctl" tail filters --from oldest --no-wait --writer 1,1983
    same 'tail --writer of others' "$(cat "$work/out")" ''
    expect 'tail --writer --type --count' 0 '' "$ringctl" tail filters --from oldest --count 1 --writer 0 --type 3
    expect 'a flood' 0 '' "$ringctl" write filters --type 1 < <(seq 3000)
    echo last | "$ringctl" write filters --type 2
    expect 'tail --type behind a flood' 0 '' "$ringctl" tail filters --from oldest --no-wait --type 2
    same 'all of it is found' "$(cat "$work/out")" $'type 2 level 40\nlast'
    start_tail lossless_reader filters --lossless --wait busy --type 9
    kill "$tail"
    await "$tail"
    same 'a busy tail can be stopped' $? 0
}

# ---- checks: starts at a time

check_since() {
    topic='since'
    local time
    create since --size 256K --policy lossless --time monotonic
    echo first | "$ringctl" write since
    sleep 0.01
    echo second | "$ringctl" write since
    "$ringctl" tail since --from oldest --no-wait --json >"$work/json"
    time=$(tail -n 1 "$work/json" | sed 's/.*"time":\([0-9]*\).*/\1/')
    expect 'tail --from time:TIME' 0 '' "$ringctl" tail since --no-wait --from "time:$time"
    same 'begins at the record of that time' "$(cat "$work/out")" 'second'
    expect 'tail --from a time after it' 0 '' "$ringctl" tail since --no-wait --from "time:$((time + 1))"
    same 'there is none' "$(cat "$work/out")" ''
    expect 'tail --since 1h' 0 '' "$ringctl" tail since --no-wait --since 1h --lossless
    same 'all of the last hour' "$(cat "$work/out")" $'first\nsecond'
    expect 'tail --since 0' 0 '' "$ringctl" tail since --no-wait --since 0
    same 'nothing is newer' "$(cat "$work/out")" ''
    expect 'tail --since a date' 0 '' "$ringctl" tail since --no-wait --since '2001-02-03 04:05:06.7'
    same 'all of it' "$(cat "$work/out")" $'first\nsecond'
    expect 'tail --since a time of day' 0 '' "$ringctl" tail since --no-wait --since "$(date -d '1 minute ago' +%T)"
    same 'all since then' "$(cat "$work/out")" $'first\nsecond'
    create since-tsc --size 64K --time tsc
    echo one | "$ringctl" write since-tsc
    expect 'tail --since, --time tsc' 0 '' "$ringctl" tail since-tsc --no-wait --since 10m
    same 'with either clock' "$(cat "$work/out")" 'one'
    create timeless --size 64K
    expect 'tail --since of a ring without time' 2 'no time.*--time' "$ringctl" tail timeless --since 5s --no-wait
    expect 'tail --merge time of a ring without time' 2 'no time.*--time' "$ringctl" tail timeless --merge time --no-wait
}

# ---- checks: bad input

# Lines and frames that are longer than the ring's records; with nobody in the way they find room, whatever the ring's
# size.
check_long() {
    topic='long'
    create short --size 1M --policy lossless --max-record 1K
    {
        echo before
        head -c 1024 /dev/zero | tr '\0' x
        echo
        head -c 1025 /dev/zero | tr '\0' y
        echo
        head -c 3000000 /dev/zero | tr '\0' z
        echo
        echo after
    } >"$work/in"
    expect 'long lines become messages' 0 '' "$ringctl" write short --json <"$work/in"
    check 'each is one that was written' grep -q '"written": *5' "$work/out"
    check 'with all its bytes' grep -q '"bytes": *3002060' "$work/out"
    same 'status counts their parts' "$(number_of short committed)" $((3 + 2 + 2930))
}

check_unknown_ring() {
    topic='unknown ring'
    local command
    for command in write tail status remove 'tail --lossless'; do
        # shellcheck disable=SC2086 # words
        expect "$command an unknown ring" 5 "unknown.*(list|create)" "$ringctl" $command unknown </dev/null
    done
}

check_names() {
    topic='names'
    local long name command
    long=$(printf 'n%.0s' $(seq 300))
    for command in create write tail status remove; do
        for name in a/b ../a /a "$long" '' .a 'a b' $'\xff'; do
            expect "$command, name $(printf %q "${name:0:12}")" 2 'ringctl: .*name' \
                "$ringctl" "$command" "$name" </dev/null
        done
        expect "$command without a name" "$([ "$command" = status ] && echo 0 || echo 2)" \
            "$([ "$command" = status ] || echo 'name')" "$ringctl" "$command" </dev/null
    done
    expect 'create, name with a newline and an escape' 2 'name' "$ringctl" create $'a\nb\033[31mc'
    same 'its message is one line' "$(lines "$work/err")" 1
    no_escapes 'its message has no escape sequences' "$work/err"
    expect 'create, name of 63 characters' 0 '' "$ringctl" create "${long:0:63}" --size 4K
    expect 'remove, name of 63 characters' 0 '' "$ringctl" remove "${long:0:63}"
    expect 'create, name of 64 characters' 2 '63' "$ringctl" create "${long:0:64}" --size 4K
}

# Names of readers: each goes on where it was, 32 of them, until one is forgotten.
check_forget() {
    topic='forget'
    local i
    create cursors --size 64K --policy overwrite
    expect 'write' 0 '' "$ringctl" write cursors < <(seq 3)
    expect 'tail --cursor' 0 '' "$ringctl" tail cursors --cursor first --from oldest --count 2
    expect 'status' 0 '' "$ringctl" status cursors --interval 0
    check 'status shows a name that nobody has' grep -qE '^first +[0-9]+ +[1-9][0-9]*$' "$work/out"
    valid_json 'status --json' is_json "$ringctl" status cursors --interval 0 --json
    check 'status --json shows it' grep -q '"name": "first"' "$work/json"
    for i in $(seq 31); do "$ringctl" tail cursors --cursor "more-$i" --no-wait; done
    expect 'a 33rd name' 1 'ringctl forget cursors' "$ringctl" tail cursors --cursor last --no-wait
    expect 'a name that is none' 2 '47' "$ringctl" forget cursors "$(printf 'n%.0s' $(seq 48))"
    expect 'a name of other characters' 2 'named cursor' "$ringctl" forget cursors a/b
    expect 'an unknown name' 5 'no named cursor "nobody".*ringctl status cursors' "$ringctl" forget cursors nobody
    expect 'of an unknown ring' 5 'no ring "cursor"' "$ringctl" forget cursor first
    expect 'no name' 2 'cursor is missing' "$ringctl" forget cursors
    expect 'one word too many' 2 'too many' "$ringctl" forget cursors first second
    start_tail lossy_reader cursors --cursor first
    expect 'a name in use' 1 "in use by reader [0-9]+ .pid $tail, ringctl" "$ringctl" forget cursors first
    kill "$tail"
    await "$tail"
    expect 'forget' 0 '' "$ringctl" forget cursors first
    same 'forget prints nothing' "$(cat "$work/out")" ''
    valid_json 'forget --json' is_json "$ringctl" forget cursors more-1 --json
    expect 'there is room' 0 '' "$ringctl" tail cursors --cursor last --no-wait
    expect 'a forgotten name begins anew' 0 '' "$ringctl" tail cursors --cursor first --from oldest --no-wait
    same 'with all that is there' "$(lines "$work/out")" 3
    expect 'remove' 0 '' "$ringctl" remove cursors
}

check_sizes() {
    topic='sizes'
    local size
    expect 'size 0' 2 'size.*power of two' "$ringctl" create sized --size 0
    expect 'size 5000' 2 'size 5000 is not a power of two; the next one up is .*8K' "$ringctl" create sized --size 5000
    expect 'size 3M' 2 'not a power of two; the next one up is .*4M' "$ringctl" create sized --size 3M
    expect 'size 2048' 2 'smallest is .*4K' "$ringctl" create sized --size 2048
    expect 'size 128G' 2 'largest is .*64G' "$ringctl" create sized --size 128G
    for size in abc -4096 4096x 99999999999999999999 '' 1.5M; do
        expect "size '$size'" 2 "size.*power of two" "$ringctl" create sized --size "$size"
    done
    expect 'max-record of more than 1/64' 2 '1/64' "$ringctl" create sized --size 64K --max-record 2K
    expect 'an unknown policy' 2 'lossless, drop or overwrite' "$ringctl" create sized --policy some
    expect 'an unknown time' 2 'none, monotonic or tsc' "$ringctl" create sized --time noon
    expect 'none of them made a ring' 5 'sized' "$ringctl" status sized
}

check_memory() {
    topic='memory'
    local total size=4096
    total=$(df -B1 --output=size /dev/shm 2>/dev/null | tail -n 1 | tr -d ' ')
    while [ "$size" -le "${total:-0}" ]; do size=$((size * 2)); done
    if [ "${total:-0}" -eq 0 ] || [ "$size" -gt $((1 << 36)) ]; then
        skip 'a ring larger than shared memory' 'no ring can be larger than this machine'\''s /dev/shm'
        return
    fi
    expect 'a ring larger than shared memory' 1 '(shared memory|free)' "$ringctl" create huge --size "$size"
    check 'says what to do' grep -qE '(ask for less|smaller|remove|free|larger)' "$work/err"
    expect 'it is not there' 5 'huge' "$ringctl" status huge
    same 'and has left nothing behind' "$(find /dev/shm -name "$instance-*huge*")" ''
}

check_usage() {
    topic='usage'
    expect 'no command' 2 'ringctl help' "$ringctl"
    expect 'an unknown command' 2 'no such command' "$ringctl" frobnicate
    expect 'an unknown option' 2 'no such option' "$ringctl" list --frobnicate
    expect 'an option of another command' 2 'has no option --size' "$ringctl" list --size 4K
    expect 'an option without its value' 2 'value is missing' "$ringctl" create usage --size
    expect 'one word too many' 2 'too many' "$ringctl" tail events more
    expect 'a time-out that is none' 2 'give a time' "$ringctl" write events --timeout soon </dev/null
    expect 'a count that is none' 2 'whole number' "$ringctl" tail events --count -1
    local bad
    for bad in '--type 65536' '--type 1,x' '--type 1,' '--level 256' '--level 5-3' '--level -3' '--writer 1984' \
        '--since yesterday' '--since 25:00' '--since 2026-13-01' '--from time:x' '--from time:' '--merge tame' \
        '--wait long' "--cursor $(printf 'n%.0s' $(seq 48))"; do
        # shellcheck disable=SC2086 # words
        expect "tail $bad" 2 "${bad%% *} '${bad#* }': give" "$ringctl" tail events $bad
    done
    expect 'tail --cursor --group' 2 'give one of them' "$ringctl" tail events --cursor a --group b
    expect 'tail --from --since' 2 'give one of them' "$ringctl" tail events --from oldest --since 5s
    expect 'write with two types' 2 'one type' "$ringctl" write events --type 1,2 </dev/null
    expect 'write with a range of levels' 2 'one level' "$ringctl" write events --level 1-2 </dev/null
    expect 'input that cannot be read' 1 'read the input' "$ringctl" write events <"$work"
    expect 'ringd with an unknown option' 2 '.' "$ringd" --frobnicate
}

check_no_daemon() {
    topic='no daemon'
    local command
    mkdir "$work/none"
    for command in 'create x' 'remove x' 'write x' 'tail x' 'status x' status list; do
        # shellcheck disable=SC2086 # words
        expect "$command without a daemon" 6 'ringd.*(start|RINGD_SOCKET)' \
            env RINGD_SOCKET="$work/none/ringd.sock" "$ringctl" $command </dev/null
    done
    expect '--socket of no daemon' 6 'ringd.*(start|RINGD_SOCKET)' "$ringctl" list --socket "$work/none/ringd.sock"
}

as_nobody() { setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$@"; }

# ringctl where another user can read it.
other_ringctl() {
    mkdir "$work/bin"
    cp -P "$build"/libringd.so* "$ringctl" "$work/bin/" && chmod -R a+rX "$work/bin"
    as_nobody "$work/bin/ringctl" version >/dev/null
}

check_rights() {
    topic='rights'
    local -a other=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$work/bin/ringctl")
    if [ "$(id -u)" -ne 0 ]; then
        skip 'not permitted' 'only root can try it as another user'
        return
    elif ! other_ringctl 2>/dev/null; then
        skip 'not permitted' 'setpriv is missing, or another user cannot run a copy of ringctl here'
        return
    fi
    create closed --size 64K --policy lossless --mode 0700
    create readable --size 64K --policy lossless --mode 0704
    create writable --size 64K --policy lossless --mode 0702
    create open --size 64K --policy lossless --mode 0707
    expect 'another user makes a ring' 7 'may.*ring' "${other[@]}" create theirs --size 4K
    expect 'another user removes a ring' 7 'open' "${other[@]}" remove open
    expect 'another user writes' 7 'closed.*(mode|right|may)' "${other[@]}" write closed < <(echo no)
    expect 'another user reads' 7 'closed.*(mode|right|may)' "${other[@]}" tail closed --from oldest --no-wait
    expect 'another user reads losslessly' 7 '(mode|right|may)' "${other[@]}" tail readable --lossless --no-wait
    expect 'a reader writes' 7 '(mode|right|may)' "${other[@]}" write readable < <(echo no)
    expect 'a reader reads' 0 '' "${other[@]}" tail readable --from oldest --no-wait
    expect 'a writer reads' 7 '(mode|right|may)' "${other[@]}" tail writable --from oldest --no-wait
    expect 'a reader forgets a cursor that is not there' 5 'no named cursor' "${other[@]}" forget readable none
    expect 'a writer forgets a cursor' 7 '(mode|right|may)' "${other[@]}" forget writable none
    expect 'a writer writes' 0 '' "${other[@]}" write writable < <(echo yes)
    expect 'who may do all writes' 0 '' "${other[@]}" write open < <(echo yes)
    expect 'who may do all reads losslessly' 0 '' "${other[@]}" tail open --from oldest --count 1 --lossless
    same 'nothing came of what is not permitted' \
        "$(number_of closed offered) $(number_of readable offered) $(number_of writable offered)" '0 0 1'
}

# All of the above, around a ring that must not notice.
check_bad_input() {
    local before objects
    topic='bad input'
    create canary --size 64K --policy lossless
    printf 'one\ntwo\n' | "$ringctl" write canary
    check_long
    before=$("$ringctl" list)
    objects=$(objects_of "$instance")
    check_unknown_ring
    check_names
    check_forget
    check_sizes
    check_memory
    check_usage
    check_no_daemon
    topic='bad input'
    same 'the rings are what they were' "$("$ringctl" list)" "$before"
    same 'so is shared memory' "$(objects_of "$instance")" "$objects"
    check_rights
    topic='bad input'
    expect 'a ring that has nothing to do with it' 0 '' "$ringctl" tail canary --from oldest --no-wait
    same 'has its records' "$(cat "$work/out")" $'one\ntwo'
    check 'the daemon still runs' kill -0 "$daemon"
}

# ---- checks: rings and daemons that go away

check_removed_idle() {
    topic='removed'
    create leave --size 64K --policy lossless
    start_tail lossless_reader leave --lossless
    mkfifo "$work/feed"
    "$ringctl" write leave <"$work/feed" 2>"$work/write.err" &
    writer=$!
    exec 7>"$work/feed"
    echo before >&7
    wait_until has_lines "$work/tailed" 1
    expect 'remove a ring in use' 0 '' "$ringctl" remove leave 7>&-
    await "$tail"
    same 'a tail of a removed ring ends with 0' $? 0
    check 'and is told' grep -q 'the ring was removed' "$work/tail.err"
    same 'after its last record' "$(cat "$work/tailed")" before
    (echo after >&7) 2>/dev/null
    exec 7>&-
    await "$writer"
    same 'a write into a removed ring ends with 5' $? 5
    check 'and is told' grep -q 'the ring was removed' "$work/write.err"
    check 'with what was written' grep -q ': 1 records were written; 1 that had been read were not' "$work/write.err"
    rm "$work/feed"
}

check_removed_full() {
    topic='removed when full'
    local counts
    create leave --size 64K --policy lossless
    seq -w 5000 >"$work/in"
    hold_ring leave
    write_held leave
    same 'a write waits on a full ring' $? 0
    "$ringctl" remove leave
    await "$writer"
    same 'a write that waits is told when the ring is removed' $? 5
    counts=$(sed -n 's/.*: \([0-9]*\) records were written; \([0-9]*\) that had been read were not/\1 \2/p' \
        "$work/write.err")
    same 'written + not written = offered' $((${counts/ / + })) 5000
    kill -CONT "$tail"
    await "$tail"
    same 'the tail reads the rest and ends with 0' $? 0
    head -n "${counts% *}" "$work/in" >"$work/wanted"
    same_file 'and has all that was written' "$work/tailed" "$work/wanted"
}

check_instances() {
    topic='two ringd'
    local first=$daemon second socket=$work/b/ringd.sock
    create twin --size 64K --policy lossless
    echo first | "$ringctl" write twin
    start_ringd "$work/b" || fail 'a second ringd' "$(cat "$work/b.log")"
    second=$daemon
    daemon=$first
    same 'a second ringd knows no rings of the first' "$("$ringctl" list --json --socket "$socket")" '[]'
    expect 'a ring of the same name' 0 '' "$ringctl" create twin --size 64K --policy drop --socket "$socket"
    instances+=("$(instance_of "$second")")
    expect 'write to the second' 0 '' "$ringctl" write twin --socket "$socket" < <(echo second)
    expect 'read the first' 0 '' "$ringctl" tail twin --from oldest --no-wait
    same 'the first has its own' "$(cat "$work/out")" first
    expect 'read the second' 0 '' "$ringctl" tail twin --from oldest --no-wait --socket "$socket"
    same 'the second has its own' "$(cat "$work/out")" second
    expect 'remove the first' 0 '' "$ringctl" remove twin
    expect 'the second is still there' 0 '' "$ringctl" tail twin --from oldest --no-wait --socket "$socket"
    same 'and as it was' "$(cat "$work/out")" second
    expect 'a second ringd on the same folder' 1 "another ringd \\(pid $second\\).*--runtime-dir" \
        "$ringd" --runtime-dir "$work/b"
    expect 'does not disturb the first' 0 '' "$ringctl" tail twin --from oldest --no-wait --socket "$socket"
    create twin --size 64K --policy lossless
    kill "$second"
    await "$second"
    same 'ringd stops in order' $? 0
    same 'and leaves no shared memory' "$(objects_of "${instances[-1]}")" ''
    expect 'the other ringd does not notice' 0 '' "$ringctl" status twin
}

check_killed() {
    topic='ringd killed'
    local observer old
    RINGD_SOCKET=$work/c/ringd.sock
    start_ringd "$work/c" || fail 'a third ringd' "$(cat "$work/c.log")"
    create kept --size 64K --policy lossless
    old=$(instance_of "$daemon")
    [ -n "$old" ] && instances+=("$old")
    check 'a ring has shared memory' [ -n "${old:+$(objects_of "$old")}" ]
    "$ringctl" tail kept >"$work/observed" 2>"$work/observer.err" &
    observer=$!
    wait_until number_is kept observer_count 1
    start_tail lossless_reader kept --lossless
    mkfifo "$work/feed"
    "$ringctl" write kept <"$work/feed" 2>"$work/write.err" &
    writer=$!
    exec 7>"$work/feed"
    echo 'with ringd' >&7
    wait_until has_lines "$work/tailed" 1
    kill -9 "$daemon"
    await "$daemon"
    echo 'without ringd' >&7
    check 'a reader and a writer go on without ringd' wait_until has_lines "$work/tailed" 2
    check 'so does an observer' wait_until has_lines "$work/observed" 2
    expect 'ringctl says that ringd is gone' 6 'ringd' "$ringctl" list 7>&-
    check_restarted "$observer" "$old"
}

# check_restarted OBSERVER INSTANCE: another ringd in the folder of the one that was killed.
check_restarted() {
    topic='ringd restarted'
    local observer=$1 old=$2 ok=0
    start_ringd "$work/c" || ok=1
    same 'ringd starts after it was killed' "$ok" 0
    check 'and says what it takes over' grep -q 'ring kept: taken over, 3 attached' "$work/c.log"
    echo 'with another ringd' >&7
    check 'the reader of before goes on' wait_until has_lines "$work/tailed" 3
    check 'so does the observer' wait_until has_lines "$work/observed" 3
    check 'they are attached' wait_until number_is kept observer_count 1
    expect 'the ring is removed as any other' 0 '' "$ringctl" remove kept 7>&-
    same 'nothing of before is in shared memory' "$(objects_of "$old" | grep -v -e -life-)" ''
    await "$tail"
    same 'the reader of before ends with 0' $? 0
    check 'and is told' grep -q 'the ring was removed' "$work/tail.err"
    await "$observer"
    same 'the observer of before ends with 0' $? 0
    (echo 'too late' >&7) 2>/dev/null
    exec 7>&-
    await "$writer"
    same 'the writer of before ends with 5' $? 5
    check 'and is told' grep -q 'the ring was removed' "$work/write.err"
    same 'the readers have every line' "$(cat "$work/tailed" "$work/observed")" \
        $'with ringd\nwithout ringd\nwith another ringd\nwith ringd\nwithout ringd\nwith another ringd'
    expect 'the name is free again' 0 '' "$ringctl" create kept --size 64K --policy lossless
    kill "$daemon"
    await "$daemon"
    same 'ringd stops in order once more' $? 0
    same 'and leaves nothing' "$(objects_of "$old")" ''
}

# ---- checks: doctor, with nobody to ask

# What doctor says in the folder $work/d, with the exit code.
doctor_says() {
    local name=$1 code=$2 pattern
    shift 2
    expect "$name" "$code" '' "$ringctl" doctor 7>&-
    for pattern in "$@"; do
        check "$name, says '$pattern'" grep -qE -- "$pattern" "$work/out"
    done
}

check_doctor_with_ringd() {
    topic='doctor of all'
    start_ringd "$work/d" || fail 'ringd' "$(cat "$work/d.log")"
    doctor_says 'without rings' 0 '^ringd has no rings$'
    create first --size 16M --policy lossless
    create second --size 64K --policy overwrite
    left=$(instance_of "$daemon")
    instances+=("$left")
    doctor_says 'two rings' 0 '^first: [0-9]+ ok, 0 pending, 0 wrong$' '^second: [0-9]+ ok, 0 pending, 0 wrong$'
    same 'nothing but what is wrong is told beside' "$(lines "$work/out")" 2
    valid_json 'of all, --json' is_json "$ringctl" doctor --json
    check 'says that ringd answers' grep -q '"daemon": true' "$work/json"
    : >"/dev/shm/$left-first-9-segment" # of a ring that is there
    : >"/dev/shm/$left-gone-1-segment"
    : >"/dev/shm/$left-junk"
    doctor_says 'strays' 8 "^WRONG +$left-gone-1-segment: .*no ring that ringd has" "^WRONG +$left-junk: .*no ring"
    rm "/dev/shm/$left-gone-1-segment" "/dev/shm/$left-junk"
}

check_doctor_stopped() {
    topic='doctor of a stopped ringd'
    mkfifo "$work/feed"
    "$ringctl" write first <"$work/feed" 2>"$work/write.err" &
    writer=$!
    exec 7>"$work/feed"
    start_tail lossless_reader first --lossless
    stop "$daemon"
    doctor_says 'stopped' 8 "^WRONG +ringd: .*pid $daemon\) is stopped.*kill -9 $daemon" \
        "^WRONG +first: a ringd \(pid $daemon, stopped\) still owns it"
    same 'a named ring has nobody to ask' "$("$ringctl" doctor first 2>/dev/null 7>&-; echo $?)" 6
    expect 'and no other ringd starts' 1 "pid $daemon" "$ringd" --runtime-dir "$work/d"
}

check_doctor_killed() {
    topic='doctor of a killed ringd'
    local old=$daemon other
    kill -9 "$daemon"
    await "$daemon"
    doctor_says 'with contexts' 0 '^ok +ringd: no ringd runs' \
        "^ok +first: left by ringd $old, which has ended; 16M, 2 contexts alive \\(1 writer, 1 lossless reader\\); the next ringd takes it over" \
        "^pending +$left-first-9-segment: .*belongs to no ring; the next ringd removes it" \
        '^ok +second: .*64K, 0 contexts alive; the next ringd takes it over'
    valid_json '--json' is_json "$ringctl" doctor --json
    check 'says that no ringd answers' grep -q '"daemon": false' "$work/json"
    same 'contexts are told one by one' "$(grep -c '"alive": true' "$work/json")" 2
    other=$(objects_of "$left")
    kill -9 "$tail"
    await "$tail"
    doctor_says 'after a death' 0 '^ok +first: .*1 context alive \(1 writer\), 1 dead;'
    same 'nothing was changed' "$(objects_of "$left")" "$other"
    start_ringd "$work/d" || fail 'the next ringd' "$(cat "$work/d.log")"
    check 'the next ringd does what was announced' \
        grep -q '2 rings taken over, 1 contexts still attached, 1 ended meanwhile, 1 objects removed' "$work/d.log"
    doctor_says 'and all is well' 0 '^first: [0-9]+ ok, 0 pending, 0 wrong$'
}

# A writer that is killed between reserve and commit while there is no ringd, a ring that is half made, one of another
# version, damaged ones.
check_doctor_unsound() {
    topic='doctor of what is not sound'
    local objects held
    "$build/at-stop-point" reserve-exact hold -- "$ringctl" write second < <(echo lost) 2>"$work/held" 7>&- &
    held=$!
    wait_until grep -q 'is held' "$work/held" || fail 'a writer in mid-record' "$(cat "$work/held")"
    create third --size 64K
    create fourth --size 64K
    kill -9 "$daemon"
    await "$daemon"
    exec 7>&-
    await "$writer"
    kill -9 "$(sed -n 's/.*pid \([0-9]*\) is held.*/\1/p' "$work/held")"
    await "$held"
    printf '\377' | dd of="/dev/shm/$left-third-record" bs=1 seek=8 conv=notrunc status=none # its version
    printf '\377' | dd of="/dev/shm/$left-fourth-1-segment" bs=1 seek=64 conv=notrunc status=none # its size
    printf 'junk' >"/dev/shm/$left-fifth-record"
    mkfifo "/dev/shm/$left-sixth-record"
    ln -s /etc/passwd "/dev/shm/$left-seventh-1-readers"
    objects=$(objects_of "$left")
    doctor_says 'all at once' 8 \
        '^ok +first: .*; 16M, 0 contexts alive, 1 dead; the next ringd takes it over' \
        '^ok +second: .*; 64K, 0 contexts alive, 1 dead, 1 in mid-record; the next ringd takes it over' \
        '^WRONG +third: of another version of ringd.*the next ringd leaves it alone' \
        '^WRONG +fourth: .*written over its header; the next ringd removes it' \
        '^WRONG +fifth: its record is none; the next ringd removes it' \
        '^WRONG +sixth: its record is .*no regular file.*the next ringd leaves it alone' \
        "$left-seventh-1-readers: .*belongs to no ring; the next ringd removes it"
    same 'nothing was changed' "$(objects_of "$left")" "$objects"
    valid_json_wrong
    start_ringd "$work/d" || fail 'the next ringd' "$(cat "$work/d.log")"
    check 'third is left alone' grep -q 'ring third: left alone' "$work/d.log"
    check 'fourth is removed' grep -q 'ring fourth: cannot be taken over, removed' "$work/d.log"
    check 'fifth is removed' grep -q 'ring fifth: removed: its record is none' "$work/d.log"
    check 'sixth is left alone' grep -q 'ring sixth: left alone' "$work/d.log"
    check 'seventh is removed' grep -q "removing /dev/shm/$left-seventh-1-readers" "$work/d.log"
    doctor_says 'what was left alone is told' 8 "^WRONG +$left-third-record: " "^WRONG +$left-sixth-record: "
    kill -9 "$daemon"
    await "$daemon"
    rm -f "/dev/shm/$left"-{third,sixth}-*
}

valid_json_wrong() {
    "$ringctl" doctor --json >"$work/json" 2>"$work/err"
    same '--json has the same exit code' $? 8
    [ -z "$json_tool" ] || check '--json is JSON' is_json "$work/json"
}

# ringd is killed in the middle of making a ring, and all of its clients with it.
check_doctor_half_made() {
    topic='doctor of a half made ring'
    rm -f "/dev/shm/$left"-*
    : >"$work/d.log"
    "$build/at-stop-point" create-reserved kill -- "$ringd" --runtime-dir "$work/d" </dev/null 2>"$work/d.log" &
    daemon=$!
    wait_until is_ready_or_gone "$work/d"
    "$ringctl" create half --size 64K 2>/dev/null
    await "$daemon"
    same 'ringd was killed' $? 137
    doctor_says 'half made' 0 '^pending +half: half made by ringd [0-9]+, which has ended; the next ringd removes it'
    start_ringd "$work/d" || fail 'the next ringd' "$(cat "$work/d.log")"
    check 'the next ringd removes it' grep -q 'ring half: removed: .*being made' "$work/d.log"
    same 'nothing is left' "$(objects_of "$left")" ''
    kill "$daemon"
    await "$daemon"
    doctor_says 'afterwards' 0 '^ok +ringd: no ringd runs'
    same 'there is nothing to tell' "$(lines "$work/out")" 1
}

# Of a daemon that another user runs.
check_doctor_rights() {
    topic='doctor of another user'
    local -a other=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$work/bin/ringctl")
    if [ "$(id -u)" -ne 0 ] || { [ ! -d "$work/bin" ] && ! other_ringctl 2>/dev/null; }; then
        skip 'not permitted' 'only root can try it as another user'
        return
    fi
    start_ringd "$work/d" || fail 'ringd' "$(cat "$work/d.log")"
    create mine --size 64K
    expect 'rings that one may not see' 0 '' "${other[@]}" doctor
    kill -9 "$daemon"
    await "$daemon"
    expect 'what one may not look at' 7 '' "${other[@]}" doctor
    check 'it is said' grep -qE '^pending +mine: .*only its user, uid 0, and root may look' "$work/out"
    setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups touch "/dev/shm/$left-theirs-record"
    doctor_says 'what is not ours' 8 "^WRONG +theirs: its record is not of ringd's user, uid 0, but of uid $NOBODY; .*leaves"
    rm -f "/dev/shm/$left"-*
}

check_doctor() {
    RINGD_SOCKET=$work/d/ringd.sock
    topic='doctor of nothing'
    doctor_says 'a folder that is not there' 0 '^ok +ringd: no ringd runs in .*/d$'
    expect 'a folder that cannot be' 6 'socket' "$ringctl" doctor --socket "$work/no/such/ringd.sock"
    check_doctor_with_ringd
    check_doctor_stopped
    check_doctor_killed
    check_doctor_unsound
    check_doctor_half_made
    check_doctor_rights
}

# ---- all of them

for program in "$ringd" "$ringctl"; do
    [ -x "$program" ] || { echo "$program is missing; make builds it" >&2; exit 1; }
done
start_ringd "$work/a" || { echo "ringd does not start: $(cat "$work/a.log")" >&2; exit 1; }
main_daemon=$daemon
export RINGD_SOCKET=$work/a/ringd.sock

check_ready
check_forms
instance=$(instance_of "$daemon")
[ -n "$instance" ] && instances+=("$instance")
check_json
check_lines
check_binary
check_from
check_from_now
check_from_wrapped
check_filters
check_since
check_written_before_waiting
check_gap overwrite
check_gap lossless
check_timeout
check_drop
check_waiting
check_closed_output
check_system_calls
check_busy
check_bad_input
check_removed_idle
check_removed_full
check_instances
check_killed
check_doctor
topic='end'
check 'the first ringd has run all the time' kill -0 "$main_daemon"
kill "$main_daemon"
await "$main_daemon"
same 'and stops in order' $? 0

summary
[ "$failures" -eq 0 ]
