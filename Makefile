# SPDX-License-Identifier: MIT
#
# Builds the shim, the tool and the victims of the tests; `make help` lists the targets.
#
# Everything that is built lies under $(O): build, or build/san with SAN=. A change of compiler or flags
# rebuilds, since every object depends on $(O)/flags. `demo`, `check` and `lint` install what is missing
# before anything is built, so they build in a make of their own.

VERSION := 0.1.0
# As manual pages show it.
DATE := November 21, 2026

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
# Where Debian's zsh looks: /usr/share is for packages.
ZSHDIR ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
DESTDIR ?=

ifeq ($(origin CC),default)
CC := gcc
endif
INSTALL ?= install
READELF ?= readelf

ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))

ifeq ($(SAN),)
O ?= build
else
O ?= build/san
SAN_FLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
endif

ifeq ($(V),1)
quiet =
else
quiet = @printf '  %-8s%s\n' $(1) '$(2)';
MAKEFLAGS += --no-print-directory
endif

comma := ,

# Flags for everybody; CPPFLAGS, CFLAGS and LDFLAGS stay the caller's, and come last.
WARNINGS := -Wall -Wextra -Wstrict-prototypes -Wshadow $(if $(filter 1,$(WERROR)),-Werror)
COMMON := -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -iquote . -iquote shim

SHIM_CFLAGS := $(COMMON) -fPIC -fvisibility=hidden -ftls-model=initial-exec \
	-fasynchronous-unwind-tables -fno-tree-vectorize
# Every process pays for each mapping, each page that it touches and each symbol that is looked up: two segments, all
# that ld.so writes in one page, nothing of the compiler's start files, no look-ups of what is the shim's own.
# Read-only relocations (-z relro) would take a page of their own, a system call and one more mapping: 3 % of the start
# of a program that does nothing (partial ones 2 %), where all of the shim takes 10 %. They would protect 40 addresses of
# libc's functions beside hundreds in the tables of hooks, which have to stay writable. Measured by
#   make all build/victims/exit_dynamic build/bench/startup
#   make O=build/relro SHIM_RELRO=relro build/relro/libspork.so
#   build/bench/startup 5000 build/victims/exit_dynamic - $PWD/build/libspork.so $PWD/build/relro/libspork.so
# The shim has a name, so that a program that links with it has it once, preloaded or not, and is never unloaded:
# children run its code.
SHIM_RELRO := norelro
SHIM_LDFLAGS := -shared -static-libgcc -Wl,-z,defs -Wl,-z,now -Wl,--build-id \
	-Wl,-soname,libspork.so -Wl,-z,nodelete \
	-Wl,--exclude-libs,ALL -nostartfiles -Wl,-z,noseparate-code -Wl,-Bsymbolic-functions
# After the caller's flags, since distributions build everything with stack protectors, checked calls, read-only
# relocations or link-time optimisation: the shim has reasons to do without, and its hooks are those very calls.
SHIM_CFLAGS_LAST := -fno-stack-protector -U_FORTIFY_SOURCE -fno-lto
SHIM_LDFLAGS_LAST := -fno-lto -Wl,-z,$(SHIM_RELRO)
TOOL_CFLAGS := $(COMMON) $(SAN_FLAGS) -DSPORK_VERSION='"$(VERSION)"' -DSPORK_DATE='"$(DATE)"'
TOOL_LIBS := -lelf -ldw -liberty -lm
VICTIM_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -pthread $(WARNINGS)

SHIM_SOURCES := $(wildcard shim/*.c)
SHIM_OBJECTS := $(SHIM_SOURCES:%.c=$(O)/%.o) $(O)/shim/entry_$(ARCH).o
# Files of the shim's that are the tools' as well.
SHARED_OBJECTS := $(patsubst %,$(O)/tools/%.o,name suppression text trust)
TOOL_OBJECTS := $(patsubst %.c,$(O)/%.o,$(wildcard tools/*.c)) $(SHARED_OBJECTS)
VICTIMS := $(patsubst tests/victims/%.c,$(O)/victims/%,$(wildcard tests/victims/*.c))
# Those in C++ are for the tool, which is never cross-compiled.
ifeq ($(ARCH),$(shell uname -m))
VICTIMS += $(patsubst tests/victims/%.cc,$(O)/victims/%,$(wildcard tests/victims/*.cc))
endif
# Printed by the tool, from the tables that --help and the shim read.
MAN_PAGES := $(addprefix $(O)/man/,spork.1 spork-run.1 spork-inspect.1 spork-report.1 spork-sites.1 spork-scan.1 spork-bench.1 \
	spork-help.1 spork-options.5 spork-violations.7)
MAN_WRITTEN := $(wildcard tools/man/*.[1-9])
# The same for each shell, as its folder wants it named.
COMPLETIONS := $(addprefix $(O)/completion/,bash/spork zsh/_spork fish/spork.fish)

# A version script: generated where the tree has a template, because the table of hooks decides.
ifneq ($(wildcard shim/shim.map.in),)
SHIM_MAP := $(O)/shim.map
else
SHIM_MAP := $(wildcard shim/shim.map)
endif
SHIM_LDFLAGS += $(addprefix -Wl$(comma)--version-script=,$(SHIM_MAP))

all: $(O)/libspork.so $(O)/spork $(MAN_PAGES) $(COMPLETIONS)

# The shim may need libc and nothing else, or it could not be preloaded into everything.
$(O)/libspork.so: $(SHIM_OBJECTS) $(SHIM_MAP) $(O)/flags
	$(call quiet,LINK,$@)$(CC) $(SHIM_LDFLAGS) $(LDFLAGS) $(SHIM_LDFLAGS_LAST) -o $@.tmp $(SHIM_OBJECTS)
	@needed=$$($(READELF) -d $@.tmp | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'); \
	if [ "$$needed" != libc.so.6 ]; then \
		echo "$@: needs" $$needed "where only libc.so.6 is allowed" >&2; exit 1; \
	fi
	@mv $@.tmp $@

$(O)/spork: $(TOOL_OBJECTS) $(O)/flags
	$(call quiet,LINK,$@)$(CC) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(TOOL_OBJECTS) $(TOOL_LIBS)

$(O)/shim/%.o: shim/%.c $(O)/flags
	$(call quiet,CC,$@)$(CC) $(SHIM_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(SHIM_CFLAGS_LAST) -MMD -MP -c -o $@ $<

# Or the compiler would make calls of the loops in it: of the very functions that they are. For clang the first is
# enough; of gcc the last keeps its word whatever the caller's CFLAGS ask for.
$(O)/shim/string.o: private SHIM_CFLAGS += -ffreestanding -O1 \
	$(if $(findstring clang,$(shell $(CC) --version)),,-fno-tree-loop-distribute-patterns)

$(O)/shim/%.o: shim/%.S $(O)/flags
	$(call quiet,AS,$@)$(CC) $(SHIM_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(SHIM_CFLAGS_LAST) -MMD -MP -c -o $@ $<

$(O)/shim.map: shim/shim.map.in $(O)/flags
	$(call quiet,GEN,$@)$(CC) -E -P -x c -iquote shim -MMD -MP -MT $@ -MF $@.d -o $@ $<

$(O)/man/%: $(O)/spork
	$(call quiet,MAN,$@)$(O)/spork help --man $(basename $*) >$@.tmp && mv $@.tmp $@

$(COMPLETIONS): $(O)/spork
	@mkdir -p $(@D)
	$(call quiet,GEN,$@)$(O)/spork help --completion $(notdir $(@D)) >$@.tmp && mv $@.tmp $@

$(O)/tools/%.o: tools/%.c $(O)/flags
	$(call quiet,CC,$@)$(CC) $(TOOL_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Where the shim is once installed: another PREFIX for `make install` builds no more than this again.
$(O)/tools/launch.o: private TOOL_CFLAGS += -DSPORK_LIBDIR='"$(LIBDIR)"'
$(O)/tools/launch.o: $(O)/libdir

$(SHARED_OBJECTS): $(O)/tools/%.o: shim/%.c $(O)/flags
	$(call quiet,CC,$@)$(CC) $(TOOL_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A victim is one file; flags of its own stand in its first line: /* flags: -static */
$(O)/victims/%: tests/victims/%.c $(O)/flags
	$(call quiet,CC,$@)$(CC) $(VICTIM_CFLAGS) -MMD -MP -MF $@.d -o $@ $< \
		$$(sed -n '1s,^/\* flags: \(.*\) \*/$$,\1,p' $<)

# Without its library, so that any C compiler's driver links it.
$(O)/victims/%: tests/victims/%.cc $(O)/flags
	$(call quiet,CXX,$@)$(CC) -std=gnu++17 \
		$(filter-out -std=gnu11 -Wstrict-prototypes,$(VICTIM_CFLAGS)) -MMD -MP -MF $@.d -o $@ $< \
		$$(sed -n '1s,^/\* flags: \(.*\) \*/$$,\1,p' $<)

quote = '$(subst ','\'',$(1))'
FLAGS := $(CC) $(SHIM_CFLAGS) $(SHIM_CFLAGS_LAST) $(SHIM_LDFLAGS) $(SHIM_LDFLAGS_LAST) $(TOOL_CFLAGS) $(VICTIM_CFLAGS) \
	$(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(O)/flags: private TEXT = $(FLAGS)
$(O)/libdir: private TEXT = $(LIBDIR)
$(O)/flags $(O)/libdir: FORCE
	@mkdir -p $(O)/shim $(O)/tools $(O)/victims $(O)/target $(O)/man
	@printf '%s\n' $(call quote,$(TEXT)) | cmp -s - $@ || \
		printf '%s\n' $(call quote,$(TEXT)) >$@

victims: $(VICTIMS)

deps:
	@tools/deps.sh run

demo:
	@tools/deps.sh run
	@$(MAKE) all $(O)/victims/exit_static $(O)/victims/orphan_mutex
	@BUILD=$(O) tools/demo.sh

check:
	@tools/deps.sh run
	@$(MAKE) all victims
	@BUILD=$(O) tests/run $(TESTS)

# Tests that take minutes: 30 a file at most.
check-long:
	@tools/deps.sh run long deb fuzz
	@$(MAKE) all victims
	@BUILD=$(O) FILE_LIMIT=$(or $(FILE_LIMIT),1800) tests/run $(or $(TESTS),$(wildcard tests/long/*.bats))

# In an emulated machine; downloads a kernel.
AARCH64_CC ?= aarch64-linux-gnu-gcc
check-aarch64:
	@tools/deps.sh run aarch64
	@$(MAKE) $(O)/aarch64/libspork.so victims O=$(O)/aarch64 CC=$(AARCH64_CC)
	@BUILD=$(O)/aarch64 CC=$(AARCH64_CC) tests/aarch64/run

bench:
	@tools/deps.sh run
	@$(MAKE) all
	@$(O)/spork bench $(BENCH)

bench-programs:
	@tools/deps.sh run
	@$(MAKE) all $(O)/victims/exit_static
	@BUILD=$(O) tests/bench/programs $(BENCH)

# The tool's objects, built so that they tell the fuzzer where it went; main() is the fuzzer's own.
FUZZ_TARGETS := $(filter-out fuzz,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
FUZZ_MAKE = $(MAKE) O=$(O)/fuzz CC=clang \
	SAN='fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
FUZZ_BUILT = $(addprefix $(O)/fuzz/,$(FUZZ_TARGETS:%=target/%) victims/make_corpus victims/make_corpus_elf)

fuzz:
	@tools/deps.sh run fuzz
	@$(FUZZ_MAKE) $(FUZZ_BUILT)
	@BUILD=$(O)/fuzz tests/fuzz/run $(FUZZ)

$(O)/target/%.o: tests/fuzz/%.c $(O)/flags
	$(call quiet,CC,$@)$(CC) $(TOOL_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/target/%: $(O)/target/%.o $(O)/target/fuzz.o $(TOOL_OBJECTS)
	$(call quiet,LINK,$@)$(CC) $(SAN_FLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $(filter %.o,$^) $(TOOL_LIBS)

ifneq ($(findstring fuzzer,$(SAN)),)
$(O)/tools/spork.o: TOOL_CFLAGS += -Dmain=spork_main
$(O)/target/profile: $(addprefix $(O)/target/shim_,box_map.o file.o profile.o record.o)
$(O)/target/shim_%.o: shim/%.c $(O)/flags
	$(call quiet,CC,$@)$(CC) $(TOOL_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
endif
.SECONDARY: $(addprefix $(O)/target/,$(addsuffix .o,$(FUZZ_TARGETS) fuzz))

lint:
	@tools/deps.sh run lint
	@status=0; for compiler in gcc clang; do \
		$(MAKE) -k all victims O=$(O)/lint-$$compiler CC=$$compiler WERROR=1 || status=1; \
	done; \
	$(MAKE) -k $(addprefix $(O)/lint-fuzz/target/,$(FUZZ_TARGETS:%=%.o)) \
		O=$(O)/lint-fuzz CC=clang WERROR=1 || status=1; \
	$(MAKE) -k $(O)/lint-aarch64/libspork.so victims \
		O=$(O)/lint-aarch64 CC=$(AARCH64_CC) WERROR=1 || status=1; \
	tools/lint.sh $(MAN_WRITTEN) $(MAN_PAGES:$(O)/%=$(O)/lint-gcc/%) || status=1; exit $$status

install: all
	$(INSTALL) -D -m 755 $(O)/spork $(DESTDIR)$(BINDIR)/spork
	$(INSTALL) -D -m 755 $(O)/libspork.so $(DESTDIR)$(LIBDIR)/spork/libspork.so
	$(INSTALL) -D -m 644 shim/avfork.h $(DESTDIR)$(INCLUDEDIR)/avfork.h
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(call in_prefix,$(LIBDIR))|; s|@RUNPATH@|$(LIBDIR)|; s|@INCLUDEDIR@|$(call in_prefix,$(INCLUDEDIR))|; s|@VERSION@|$(VERSION)|' \
		shim/spork.pc.in | $(INSTALL) -D -m 644 /dev/stdin $(DESTDIR)$(PKGCONFIGDIR)/spork.pc
	$(foreach page,$(MAN_PAGES) $(MAN_WRITTEN),$(INSTALL) -D -m 644 $(page) $(DESTDIR)$(call man_page,$(page))$(newline))
	$(foreach file,$(COMPLETIONS),$(INSTALL) -D -m 644 $(file) $(DESTDIR)$(call completion,$(file))$(newline))

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/spork $(DESTDIR)$(LIBDIR)/spork/libspork.so
	rm -f $(DESTDIR)$(INCLUDEDIR)/avfork.h $(DESTDIR)$(PKGCONFIGDIR)/spork.pc
	rm -f $(foreach page,$(MAN_PAGES) $(MAN_WRITTEN),$(DESTDIR)$(call man_page,$(page)))
	rm -f $(foreach file,$(COMPLETIONS),$(DESTDIR)$(call completion,$(file)))
	[ ! -d $(DESTDIR)$(LIBDIR)/spork ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(LIBDIR)/spork

# As pkg-config has it, so that the prefix can be set anew.
in_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
man_page = $(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
completion = $(or $(if $(filter %/fish/spork.fish,$(1)),$(FISHDIR)),$(if $(filter %/_spork,$(1)),$(ZSHDIR)),$(BASHDIR))/$(notdir $(1))
define newline


endef

dist:
	$(call quiet,DIST,spork-$(VERSION).tar.gz)tools/dist.sh $(VERSION) spork-$(VERSION).tar.gz

# Of the last commit, too, into $(O)/deb.
deb:
	@tools/deps.sh deb
	@O=$(O) tools/deb.sh $(VERSION)

clean:
	rm -rf build
	rm -f spork-$(VERSION).tar.gz

help:
	@printf '%s\n' \
		'make            build/libspork.so and build/spork' \
		'make demo       install what is missing, build, run the main job on a real program' \
		'make check      install what is missing, build, run the tests (TESTS=tests/x.bats ...)' \
		'make check-long the tests that take minutes, tests/long (TESTS= as above)' \
		'make check-aarch64  the victims on an emulated aarch64, bare and under the shim' \
		'make fuzz       fuzzes what reads files that others made, FUZZ_SECONDS=180 a target (FUZZ=box ...)' \
		'make lint       both compilers with -Werror, the cross compiler, clang-format, shellcheck, mandoc' \
		'make bench      spork bench: all that the shim costs and gains here (BENCH=--quick)' \
		'make bench-programs  real programs: tier, reason and gain of each (BENCH=--quick)' \
		'make deps       install the Debian packages that the above need' \
		'make install    DESTDIR= PREFIX= BINDIR= LIBDIR= INCLUDEDIR= PKGCONFIGDIR= MANDIR= BASHDIR= ZSHDIR= FISHDIR=' \
		'make uninstall  the same variables' \
		'make dist       a tarball of the last commit' \
		'make deb        Debian packages of the last commit, in build/deb' \
		'make clean      remove build/' \
		'' \
		'V=1 shows commands. CC=gcc or clang. WERROR=1 makes warnings errors.' \
		'SAN=address,undefined instruments the tool, never the shim, and builds into build/san.'

FORCE:
.PHONY: all victims deps demo check check-long check-aarch64 fuzz bench bench-programs lint install uninstall dist deb clean help FORCE
.DELETE_ON_ERROR:

-include $(wildcard $(O)/*.d $(O)/*/*.d)
