#!/bin/sh
# deps.sh [install|peers] - the Debian packages that ringd is built and tested with. Without an argument: installs what is
# missing, if anything is. `peers`: also those of the systems that make bench-peers measures ringd beside, and what
# make bench-report draws with. Needs root or sudo for that, and says what it does.
set -eu

packages='gcc make pkg-config libc6-dev libev-dev libbsd-dev libsystemd-dev libinih-dev uthash-dev libsmartcols-dev
libjansson-dev check spin strace systemd'

if [ "${1:-}" = peers ]; then
    packages="$packages g++ libqb-dev libboost-dev libzmq3-dev libnng-dev libdpdk-dev libck-dev liblttng-ust-dev
lttng-tools gnuplot-nox"
fi

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
if [ -z "$missing" ]; then
    [ "${1:-}" != install ] || echo 'deps: everything is installed'
    exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "deps: missing packages:$missing; install them as root: apt-get install$missing" >&2
        exit 1
    }
    as_root=sudo
fi
echo "deps: installing$missing"
# shellcheck disable=SC2086 # words on purpose
{
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
