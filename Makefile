# ringd - builds with GNU make, gcc or clang and pkg-config; `make help` lists what there is.
#
# Everything built goes below $(BUILD). Other builds (sanitizers, coverage, fuzzing) are the same rules with another
# BUILD and other EXTRA_CFLAGS.

VERSION := 0.1.0
SOVERSION := 0

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
SYSTEMDDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)

PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith $(if $(CI),-Werror)
ARCH_CFLAGS := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine 2>/dev/null)),-mcx16)
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(EXTRA_CFLAGS) $(WARNINGS) $(ARCH_CFLAGS) -fvisibility=hidden -pthread \
	-Iinclude -Ilibclient -DRINGD_VERSION='"$(VERSION)"' -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) $(EXTRA_LDFLAGS) -pthread

# V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),@:,@echo '  $(1)  $(patsubst $(BUILD)/%,%,$@)')

# ---- what is made of what

LIB_SOURCES := $(addprefix libclient/,ring.c ring_group.c ring_move.c ring_single.c segment.c wake.c pollable.c proto.c client.c \
	writer.c writer_move.c writer_open.c writer_room.c reader.c reader_filter.c reader_group.c reader_lane.c \
	reader_merge.c reader_message.c reader_move.c reader_named.c reader_open.c reader_start.c strerror.c)
RINGCTL_SOURCES := $(sort $(wildcard libclient/ringctl*.c))
# what a daemon leaves in /dev/shm: ringd keeps it, ringctl looks at it
KEPT_SOURCES := $(addprefix libclient/,object_name.c shared_file.c record_page.c process.c)
DAEMON_SOURCES := $(sort $(wildcard daemon/*.c)) \
	$(addprefix libclient/,ring_group_daemon.c ring_join.c ring_repair.c ring_seal.c) $(KEPT_SOURCES)
BENCH_SOURCES := $(sort $(wildcard tests/bench/*.c))
PEERS_SOURCES := $(sort $(wildcard tests/bench/peers/*.c))
CHECK_SOURCES := $(sort $(wildcard tests/check_*.c))
SUPPORT_SOURCES := $(sort $(wildcard tests/support*.c))
PROGRAM_SOURCES := $(sort $(wildcard tests/scenario/*.c tests/stress_*.c tests/fuzz_*.c))

LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/pic/%.o)
# doctor looks at the map by itself
RINGCTL_OBJECTS := $(RINGCTL_SOURCES:%.c=$(BUILD)/obj/%.o) $(KEPT_SOURCES:%.c=$(BUILD)/obj/%.o) \
	$(addprefix $(BUILD)/pic/libclient/,segment.o proto.o wake.o)
DAEMON_OBJECTS := $(DAEMON_SOURCES:%.c=$(BUILD)/obj/%.o)
BENCH_OBJECTS := $(BENCH_SOURCES:%.c=$(BUILD)/obj/%.o)
PEERS_OBJECTS := $(PEERS_SOURCES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/tests/bench/peers/boost_queue.o \
	$(addprefix $(BUILD)/obj/tests/bench/,clock.o crew.o limits.o machine.o repeat.o server.o settings.o stats.o)
SUPPORT_OBJECTS := $(SUPPORT_SOURCES:%.c=$(BUILD)/obj/%.o)
CHECKS := $(CHECK_SOURCES:tests/%.c=$(BUILD)/tests/%)
PROGRAMS := $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(PROGRAM_SOURCES)))

SHARED := $(BUILD)/libringd.so.$(VERSION)
STATIC := $(BUILD)/libringd.a
STOP_POINT_OBJECTS := $(addprefix $(BUILD)/obj/tests/,at_stop_point.o support_stop.o support_points.o support_trace.o)

DAEMON_LIBS = -lev $(shell $(PKG_CONFIG) --libs libbsd libsystemd inih)
RINGCTL_LIBS = $(shell $(PKG_CONFIG) --libs smartcols jansson)
RINGCTL_CFLAGS = $(shell $(PKG_CONFIG) --cflags smartcols jansson)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)

.PHONY: all stop-points demo test bench bench-peers bench-report sanitize soak install deps have-deps clean help check-programs bench-programs \
	bench-peers-programs lint

all: $(BUILD)/ringd $(BUILD)/ringctl $(BUILD)/libringd.so $(STATIC) $(BUILD)/at-stop-point

# ---- objects: those of the library are position independent and serve both forms of it. The calls of the hot path are
# whole in writer.c and reader.c; all others are to be small. (clang aligns less anyway, and does not know these.)

HOT_OBJECTS := $(BUILD)/pic/libclient/writer.o $(BUILD)/pic/libclient/reader.o
HOT_CFLAGS := -fno-align-jumps -fno-align-labels -fno-align-loops -Wno-ignored-optimization-argument
LIB_CFLAGS = -fPIC -fno-plt -fno-asynchronous-unwind-tables \
	$(if $(filter -O2,$(CFLAGS)),$(if $(filter $@,$(HOT_OBJECTS)),$(HOT_CFLAGS),-Os))

$(BUILD)/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(LIB_CFLAGS) -c $< -o $@

$(BUILD)/obj/libclient/ringctl%.o: libclient/ringctl%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(RINGCTL_CFLAGS) -c $< -o $@

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -c $< -o $@

# ---- the library

$(SHARED): $(LIB_OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libringd.so.$(SOVERSION) -Wl,-z,now -Wl,-z,relro -Wl,--as-needed -o $@ $^

$(BUILD)/libringd.so: $(SHARED)
	$(Q)ln -sf $(<F) $(BUILD)/libringd.so.$(SOVERSION)
	$(Q)ln -sf libringd.so.$(SOVERSION) $@

$(STATIC): $(LIB_OBJECTS)
	$(call say,AR)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

# ---- programs: ringd and ringctl run from the build folder and from where they are installed

$(BUILD)/ringd: $(DAEMON_OBJECTS) $(STATIC)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--as-needed -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/ringctl: $(RINGCTL_OBJECTS) $(BUILD)/libringd.so
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--as-needed -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib' -o $@ $(RINGCTL_OBJECTS) -L$(BUILD) -lringd \
		$(RINGCTL_LIBS)

# ---- stop points: libclient/stop_point.h

$(BUILD)/at-stop-point: $(STOP_POINT_OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

stop-points:
	+@$(MAKE) --no-print-directory $(BUILD)/at-stop-point $(BUILD)/libringd.so $(BUILD)/ringd >&2
	@$(BUILD)/at-stop-point --list $(BUILD)/libringd.so $(BUILD)/ringd

# ---- tests: checks see the inside of the library and the daemon's parts, programs only what is installed

$(BUILD)/tests/check_%: $(BUILD)/obj/tests/check_%.o $(SUPPORT_OBJECTS) $(filter-out $(BUILD)/obj/daemon/main.o,$(DAEMON_OBJECTS)) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--as-needed -o $@ $^ $(CHECK_LIBS) $(DAEMON_LIBS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/scenario/%.o $(BUILD)/libringd.so
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,-rpath,'$$ORIGIN/..' -o $@ $< -L$(BUILD) -lringd -lm

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(SUPPORT_OBJECTS) $(filter-out $(BUILD)/obj/daemon/main.o,$(DAEMON_OBJECTS)) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--as-needed -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/tests/bench: $(BENCH_OBJECTS) $(BUILD)/libringd.so
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,-rpath,'$$ORIGIN/..' -o $@ $(BENCH_OBJECTS) -L$(BUILD) -lringd -lm

# ---- make bench-peers: what is not installed is left out, and the program says so. The headers of others are not held to
# our warnings; slots are copied as their users' compilers would

pkg_have = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && $(PKG_CONFIG) $(2) $(1))
PEERS_CFLAGS = $(patsubst -I%,-isystem %,$(call pkg_have,libdpdk,--cflags-only-I)) $(call pkg_have,libqb,--cflags) $(filter -march=%,$(call pkg_have,libdpdk,--cflags-only-other)) -O3
PEERS_LIBS = $(call pkg_have,libqb,--libs) $(call pkg_have,libzmq,--libs) $(if $(wildcard /usr/include/nng/nng.h),-lnng) \
	$(if $(call pkg_have,libdpdk,--modversion),-lrte_ring -lrte_eal) $(if $(wildcard /usr/include/ck_ring.h),-lck) -lrt -ldl

$(BUILD)/obj/tests/bench/peers/%.o: tests/bench/peers/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(PEERS_CFLAGS) -c $< -o $@

$(BUILD)/obj/tests/bench/peers/%.o: tests/bench/peers/%.cpp
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)$(CXX) -std=gnu++17 -O3 -g -Wall -Wextra -MMD -MP -c $< -o $@

$(BUILD)/tests/bench_peers: $(PEERS_OBJECTS) $(BUILD)/libringd.so
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CXX) $(ALL_LDFLAGS) -Wl,--as-needed -Wl,-rpath,'$$ORIGIN/..' -o $@ $(PEERS_OBJECTS) -L$(BUILD) -lringd -lm $(PEERS_LIBS)

# a tracepoint lives in a shared object of its own: it starts threads in who has it
$(BUILD)/tests/bench_lttng.so: tests/bench/peers/lttng/point.c tests/bench/peers/lttng/point.h
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu17 -O3 -g -fPIC -shared -I. -o $@ $< -llttng-ust -ldl

check-programs: all $(CHECKS) $(PROGRAMS)
bench-programs: all $(BUILD)/tests/bench
bench-peers-programs: all $(BUILD)/tests/bench_peers $(if $(call pkg_have,lttng-ust,--modversion),$(BUILD)/tests/bench_lttng.so)

demo: have-deps
	+@$(MAKE) --no-print-directory all $(BUILD)/tests/demo_reader $(BUILD)/tests/demo_path
	@BUILD=$(BUILD) LOGS="$(LOGS)" tests/scenario/demo.sh

test: have-deps
	+@$(MAKE) --no-print-directory check-programs
	@BUILD=$(BUILD) CC="$(CC)" MAKE="$(MAKE)" tests/run.sh

bench: have-deps
	+@$(MAKE) --no-print-directory bench-programs
	@BUILD=$(BUILD) REPS="$(REPS)" CASES="$(CASES)" tests/bench/run.sh

bench-peers:
	@tests/deps.sh peers
	+@$(MAKE) --no-print-directory bench-peers-programs
	@BUILD=$(BUILD) REPS="$(REPS)" CASES="$(CASES)" PEERS="$(PEERS)" tests/bench/run.sh bench_peers

bench-report:
	@BUILD=$(BUILD) tests/bench/report.sh

sanitize: have-deps
	@MAKE="$(MAKE)" BUILD=$(BUILD) tests/sanitize.sh

soak: have-deps
	+@$(MAKE) --no-print-directory check-programs
	@BUILD=$(BUILD) tests/soak.sh

# ---- packages

deps:
	@tests/deps.sh install

have-deps:
	@tests/deps.sh

# ---- installing

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) \
		$(DESTDIR)$(SYSTEMDDIR) $(DESTDIR)$(SYSCONFDIR)/ringd
	install -m 755 $(BUILD)/ringd $(DESTDIR)$(SBINDIR)/ringd
	install -m 755 $(BUILD)/ringctl $(DESTDIR)$(BINDIR)/ringctl
	install -m 644 include/ringd.h $(DESTDIR)$(INCLUDEDIR)/ringd.h
	install -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)/libringd.a
	install -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)/libringd.so.$(VERSION)
	ln -sf libringd.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libringd.so.$(SOVERSION)
	ln -sf libringd.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libringd.so
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
		-e 's|@VERSION@|$(VERSION)|g' systemd/libringd.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/libringd.pc
	sed -e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' systemd/ringd.service \
		>$(DESTDIR)$(SYSTEMDDIR)/ringd.service
	install -m 644 systemd/ringd.socket $(DESTDIR)$(SYSTEMDDIR)/ringd.socket
	test -e $(DESTDIR)$(SYSCONFDIR)/ringd/ringd.conf || \
		install -m 644 systemd/ringd.conf $(DESTDIR)$(SYSCONFDIR)/ringd/ringd.conf
	for page in systemd/man/*.[1-8]; do \
		section=$${page##*.}; \
		install -D -m 644 "$$page" "$(DESTDIR)$(MANDIR)/man$$section/$${page##*/}"; \
	done

lint:
	shellcheck tests/*.sh tests/*/*.sh .ci/run
	clang-format --dry-run -Werror $(wildcard include/*.h libclient/*.[ch] daemon/*.[ch] tests/*.[ch] tests/*/*.[ch])

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            ringd, ringctl, libringd.so and libringd.a in $(BUILD)/'
	@echo 'make demo       several processes write real logs into one ring, others read them back; LOGS="a b c" for yours'
	@echo 'make test       all checks; ends with how many ran, failed and were skipped'
	@echo 'make bench      speed beside the limits of this machine; REPS=1 for a short run, CASES="a b" for some; $(BUILD)/bench.tsv'
	@echo 'make bench-peers  the same work on ringd and on what people use today (installs these); also PEERS="a b"'
	@echo 'make bench-report  $(BUILD)/bench-report.html from what the two have measured'
	@echo 'make stop-points  where $(BUILD)/at-stop-point can kill, stop or hold a program; --help says how'
	@echo 'make sanitize   the checks under address, undefined behaviour and thread sanitizers'
	@echo 'make soak       longer runs of the models and the stress tests'
	@echo 'make install    DESTDIR=, PREFIX= ($(PREFIX)), and SYSTEMDDIR=, SYSCONFDIR= if they are elsewhere'
	@echo 'make deps       installs the Debian packages that building and testing need (root or sudo)'
	@echo 'make lint       shellcheck and clang-format'
	@echo 'make clean      removes $(BUILD)/'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
