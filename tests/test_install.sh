#!/bin/bash
# test_install.sh - what `make install` puts where, and that it works from there.
#
#     BUILD=build CC=cc MAKE=make tests/test_install.sh
#
# Installs into a temporary folder (DESTDIR) with PREFIX=/usr, as a package does. Then only what is in there is used:
# a program is built with the installed pkg-config file, header and library, against the installed ringd, and ringctl
# has to find its library by itself. Prints "ok NAME" or "FAIL NAME: what", and one line as Check does at the end.
set -u
export LC_ALL=C
unset RINGD_SOCKET LD_LIBRARY_PATH

top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${BUILD:-build}" && pwd) || exit 1
cc=${CC:-cc}
work=$(mktemp -d)
root=$work/root
daemon=
checks=0
failures=0

finish() {
    [ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
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

install_it() { "${MAKE:-make}" --no-print-directory -C "$top" install BUILD="$build" CC="$cc" DESTDIR="$root" PREFIX=/usr; }

compile() { "$cc" -Wall -Wextra -Werror "$work/program.c" -o "$work/$1" "${@:2}"; }

# pkg-config as for a machine whose root is $root; the system folders are not left out, as they are folders of $root.
flags() {
    PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 \
        PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config "$@" libringd
}

wait_ready() {
    until grep -q 'ringd: ready on ' "$work/log"; do
        kill -0 "$daemon" || return 1
        sleep 0.01
    done
}

only_own_symbols() {
    nm -D --defined-only "$root/usr/lib/libringd.so" | awk '$3 !~ /^ringd_/ { print; bad = 1 } END { exit bad }'
}

# Nothing but the C library and what belongs to the loader.
only_libc() {
    readelf -d "$root/usr/lib/libringd.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        awk '!/^(libc|ld-linux.*)\.so/ { print; bad = 1 } END { exit bad }'
}

no_build_path() { ! grep -rlF -e "$build/" -e "$root" "$root/usr/lib/pkgconfig" "$root/usr/lib/systemd" "$root/etc"; }

no_placeholder() { ! grep -rl '@[A-Z]*@' "$root/usr/lib/pkgconfig" "$root/usr/lib/systemd" "$root/etc"; }

relative_runpath() { ! readelf -d "$root/usr/bin/ringctl" | grep -E 'RUNPATH|RPATH' | grep -F "[/"; }

cat >"$work/program.c" <<'C'
#include <ringd.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct ringd_reader_options oldest = {.start = RINGD_START_OLDEST};
    struct ringd *ring;
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct ringd_record record;

    if (ringd_open(&ring, "events") != 0 || ringd_writer_open(&writer, ring, NULL) != 0 ||
        ringd_write(writer, "hello", 5) != 0 || ringd_reader_open(&reader, ring, &oldest) != 0) {
        fprintf(stderr, "%s\n", ringd_error());
        return 1;
    }
    while (ringd_next(reader, &record) == RINGD_OK && record.len != 5)
        ;
    return memcmp(record.data, "hello", 5) != 0;
}
C
sed 's/{.start = RINGD_START_OLDEST}/{}; oldest.start = RINGD_START_OLDEST/; s/NULL/nullptr/' "$work/program.c" >"$work/program.cc"

check 'make install' install_it
for file in usr/sbin/ringd usr/bin/ringctl usr/lib/libringd.so usr/lib/libringd.a usr/lib/pkgconfig/libringd.pc \
    usr/include/ringd.h usr/lib/systemd/system/ringd.service usr/lib/systemd/system/ringd.socket etc/ringd/ringd.conf \
    usr/share/man/man8/ringd.8 usr/share/man/man1/ringctl.1; do
    check "/$file is there" test -s "$root/$file"
done
check 'nothing is outside usr and etc' test "$(cd "$root" && echo *)" = 'etc usr'
check 'only the public header is installed' test "$(ls "$root/usr/include")" = ringd.h
check 'files name no folder of the build' no_build_path
check 'no placeholder is left' no_placeholder
check 'the library exports ringd_* and nothing else' only_own_symbols
check 'the library needs libc and nothing else' only_libc
check 'ringctl looks for its library beside itself only' relative_runpath
check 'ringctl finds its library' "$root/usr/bin/ringctl" version

echo '# mine' >>"$root/etc/ringd/ringd.conf"
check 'make install again' install_it
check 'a configuration that is there is kept' grep -q '^# mine' "$root/etc/ringd/ringd.conf"

"$root/usr/sbin/ringd" --runtime-dir "$work/run" --config "$root/etc/ringd/ringd.conf" 2>"$work/log" &
daemon=$!
export RINGD_SOCKET=$work/run/ringd.sock
check 'the installed ringd runs, with the configuration that comes with it' wait_ready
check 'ringctl makes a ring' "$root/usr/bin/ringctl" create events --size 64K
check 'pkg-config knows it' flags --exists
check 'pkg-config tells the version' test "$(flags --modversion)" = "$("$root/usr/bin/ringctl" version | awk '{ print $NF }')"
# shellcheck disable=SC2046 # several words each
check 'a program is built with the shared library' compile shared $(flags --cflags --libs)
check 'and runs' env LD_LIBRARY_PATH="$root/usr/lib" "$work/shared"
# shellcheck disable=SC2046
check 'a program is built with the static library' compile static $(flags --cflags) -Wl,-Bstatic $(flags --static --libs) \
    -Wl,-Bdynamic
check 'and runs without the shared one' "$work/static"
if command -v g++ >/dev/null; then
    # shellcheck disable=SC2046
    check 'a program in C++ is built' g++ -Wall -Wextra -Werror "$work/program.cc" -o "$work/cxx" $(flags --cflags --libs)
    check 'and runs' env LD_LIBRARY_PATH="$root/usr/lib" "$work/cxx"
else
    echo 'skip a program in C++: there is no g++'
fi

echo "$((100 * (checks - failures) / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ "$failures" -eq 0 ]
