#!/bin/bash
# test_systemd.sh - the unit files, as systemd itself reads them.
#
#     BUILD=build tests/test_systemd.sh
#
# They are filled in as `make install` does, with the ringd of $BUILD, in a temporary folder; `systemd-analyze verify`
# must find nothing to say about them. What it does not know is looked at here: that service and socket belong together
# and name the same socket that programs look for. (That ringd keeps its side is check_systemd.c's.) Prints "ok NAME",
# "FAIL NAME: what" or "skip NAME: reason", and one line as Check does at the end.
set -u
export LC_ALL=C

top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${BUILD:-build}" && pwd) || exit 1
work=$(mktemp -d)
service=$work/ringd.service
socket=$work/ringd.socket
checks=0
failures=0
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

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

# Ends with 0 for warnings too: they count here.
verify() {
    systemd-analyze --man=no verify "$service" "$socket" >"$work/verify" 2>&1 || { cat "$work/verify"; return 1; }
    ! grep -F "$work" "$work/verify"
}

verify_knows() {
    sed 's/^Type=notify/Type=notfy/' "$service" >"$work/broken.service"
    systemd-analyze --man=no verify "$work/broken.service" 2>&1 | grep -q notfy
}

# The value of a key, of the last line that sets it.
value() { sed -n "s/^$2=//p" "$1" | tail -n 1; }

is() { [ "$(value "$1" "$2")" = "$3" ] || { echo "$2=$(value "$1" "$2")"; return 1; }; }

mkdir -p "$work/etc/ringd"
cp "$top/systemd/ringd.conf" "$work/etc/ringd/ringd.conf"
sed -e "s|@SBINDIR@|$build|g" -e "s|@SYSCONFDIR@|$work/etc|g" "$top/systemd/ringd.service" >"$service"
cp "$top/systemd/ringd.socket" "$socket"

if ! command -v systemd-analyze >/dev/null; then
    echo 'skip verify: there is no systemd-analyze'
elif ! verify_knows; then
    echo 'skip verify: systemd-analyze does not work on this machine'
else
    check 'systemd-analyze verify has nothing to say' verify
fi

default=$(sed -n 's/^#define RINGD_SOCKET_DEFAULT "\(.*\)"/\1/p' "$top/include/ringd_proto.h")
check 'the socket is where programs look for it' is "$socket" ListenSequentialPacket "$default"
check 'everybody may connect' is "$socket" SocketMode 0666
check 'the service tells when it is ready' is "$service" Type notify
check 'the service has a watchdog' test -n "$(value "$service" WatchdogSec)"
check 'the service is given its socket' grep -q '^Requires=.*ringd.socket' "$service"
check 'an upgrade keeps the rings' grep -q '^ExecStart=.*--keep' "$service"
check 'and their descriptors' test "$(value "$service" FileDescriptorStoreMax)" -gt 0
check 'a wrong configuration is not tried for ever' is "$service" RestartPreventExitStatus 2
"$build/ringd" --runtime-dir "$work/run" --config "$work/none" 2>"$work/log"
check 'for which ringd ends with that code' test $? -eq 2

echo "$((100 * (checks - failures) / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ "$failures" -eq 0 ]
