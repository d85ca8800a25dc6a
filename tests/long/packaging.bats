#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# What is made of the last commit: Debian's packages (built by an ordinary user, the same bytes twice, clean for
# lintian, installed and purged in a Debian of their own) and the tarball, built where there is no git.
# What is changed and not committed is not tested here.

load ../helper

export LIMIT=900

# Not in bats' own folder, which nobody else may enter.
setup_file() {
	export PLACE VERSION ARCHITECTURE
	PLACE=$(mktemp -d "${TMPDIR:-/tmp}/packaging.XXXXXX") || return 1
	VERSION=$("$SPORK" --version | cut -d' ' -f2)
	ARCHITECTURE=$(dpkg --print-architecture)
	chmod 755 "$PLACE"
	mkdir "$PLACE/home"
	[ -e "$ROOT/.git" ] || return 0
	git clone -q "$ROOT" "$PLACE/one"
	cp -R "$PLACE/one" "$PLACE/another-place"
	[ "$(id -u)" -ne 0 ] || chown -R nobody: "$PLACE"/*
}

teardown_file() {
	rm -rf "$PLACE"
}

setup() {
	[ -e "$ROOT/.git" ] || skip "no git checkout"
	unset SPORK_SHIM
	cd "$PLACE" || return 1
}

# as_user [VARIABLE=VALUE]... CMD...: without rights, and with nothing of this environment
as_user() {
	local rights=()

	[ "$(id -u)" -ne 0 ] || rights=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
	bounded "${rights[@]}" env -i HOME="$PLACE/home" PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C "$@"
}

# built: the packages are there
built() {
	needs dpkg-buildpackage dh
	set -- "$PLACE"/one/build/deb/*.deb
	[ -e "$1" ] || fail "make deb has not made them"
}

# in_debian CMD...: in $PLACE/debian, with a /proc of its own
in_debian() {
	bounded unshare --mount --pid --fork --mount-proc="$PLACE/debian/proc" chroot "$PLACE/debian" \
		env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" \
		</dev/null 2>&1
}

@test "make deb: as an ordinary user, of the last commit, with the tests that it runs" {
	needs dpkg-buildpackage dh
	echo "not committed" >>one/README.md
	run as_user make -C one deb
	echo "$output"
	assert_success
	assert_line --regexp '^note: .* has the last commit, without what was changed since'
	for package in spork libspork libspork-dev spork-dbgsym libspork-dbgsym; do
		assert_line --regexp "/build/deb/${package}_$VERSION-[^_]*_$ARCHITECTURE\\.deb$"
	done
	grep -qE '^[0-9]+ passed, 0 failed' one/build/deb/build.log
	refute grep -q "not committed" <(tar -xzOf "one/build/deb/spork_$VERSION.orig.tar.gz" "spork-$VERSION/README.md")
	# With the flags that Debian wants; of the library's own, what it must not have.
	grep -q -- '-fstack-protector-strong .* -o build/tools/run.o' one/build/deb/build.log
	grep -q -- '-fstack-protector-strong .*-fno-stack-protector -U_FORTIFY_SOURCE .* -o build/shim/fork.o' \
		one/build/deb/build.log
}

@test "make deb: a changelog that is behind is told, on one line" {
	needs dpkg-parsechangelog
	cp -R one behind
	sed -i 's/^VERSION := .*/VERSION := 99.9/' behind/Makefile
	run bounded make -s -C behind deb
	assert_failure
	assert_line --regexp '^make deb: tools/debian/changelog begins with .*, the Makefile has 99.9'
	rm -rf behind
}

@test "lintian finds no error and no warning" {
	needs lintian
	built
	run as_user lintian --info --display-info --pedantic --fail-on error,warning one/build/deb/*.changes
	echo "$output"
	assert_success
	refute_line --regexp '^[EW]: '
	# Nor an override that is of no use.
	refute_output --partial override
}

@test "the packages are the same, byte for byte, built in another place, time zone and mask, and in one job" {
	built
	run as_user TZ=Asia/Tokyo DEB_BUILD_OPTIONS="nocheck parallel=1" bash -c 'umask 077 && make -C another-place deb'
	echo "$output"
	assert_success
	for package in one/build/deb/*.deb one/build/deb/*.orig.tar.gz one/build/deb/*.debian.tar.xz; do
		cmp "$package" "another-place/build/deb/${package##*/}"
	done
}

@test "what the packages hold passes the tests that what is built passes" {
	local package

	built
	mkdir packaged
	for package in one/build/deb/*"spork_$VERSION"*.deb; do
		dpkg -x "$package" packaged
	done
	mkdir packaged/build
	cp packaged/usr/bin/spork packaged/usr/lib/*-linux-gnu/spork/libspork.so packaged/build
	cp -R "$BUILD/victims" packaged/build
	run file packaged/build/libspork.so
	assert_output --partial ", stripped"
	run bash -c "cd '$ROOT' && BUILD='$PWD/packaged/build' tests/run tests/startup.bats tests/options.bats tests/symbols.bats \
		tests/orphan.bats tests/inspect_shim.bats tests/reroute.bats tests/spawn.bats" 3>&-
	echo "$output"
	assert_success
}

@test "in a Debian of their own: installed, used, removed and purged, and nothing is left" {
	built
	needs debootstrap unshare
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	LIMIT=600 bounded debootstrap --variant=minbase bookworm debian >debootstrap.log 2>&1 ||
		skip "debootstrap cannot fetch a Debian: $(tail -n 1 debootstrap.log)"
	cp -L /etc/resolv.conf debian/etc/ || :
	in_debian apt-get -qq update
	# What they depend on, and what their test needs, beforehand: of these purging leaves enough.
	in_debian apt-get -qq install -y --no-install-recommends gcc libc6-dev pkgconf libdw1 libelf1 bash-completion >install.log
	what_is_there() { (cd debian && find . -xdev \( -path ./proc -o -path ./tmp -o -path ./var/cache -o -path ./var/log \
		-o -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./etc/ld.so.cache \) -prune -o -printf '%p %y %m %l\n' | LC_ALL=C sort); }
	what_is_there >before
	cp one/build/deb/*"spork_$VERSION"*.deb one/build/deb/libspork-dev_*.deb debian/tmp

	run in_debian bash -c 'dpkg -i /tmp/*.deb'
	echo "$output"
	assert_success
	run in_debian dpkg --audit
	assert_output ""
	run in_debian dpkg --verify spork libspork libspork-dev
	assert_output ""
	# Debian's test of installed packages, and the completion as a login shell has it.
	cp one/tools/debian/tests/installed debian/tmp
	run in_debian /tmp/installed
	echo "$output"
	assert_success
	assert_line passed
	run in_debian bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader spork; complete -p spork'
	assert_output "complete -F _spork spork"
	# A second time is an upgrade.
	in_debian bash -c 'dpkg -i /tmp/*.deb' >install.log

	in_debian dpkg --remove spork libspork-dev libspork >remove.log
	cat remove.log
	what_is_there >after
	diff before after
	in_debian dpkg --purge spork libspork-dev libspork >purge.log
	what_is_there >after
	diff before after
	run in_debian bash -c "dpkg-query -W -f '\${Package}\n' | grep spork"
	assert_output ""

	# There, where nothing is installed to build with, and without the rights to do that.
	cp one/tools/deps.sh debian/tmp
	run in_debian setpriv --reuid=nobody --regid=nogroup --clear-groups bash /tmp/deps.sh deb
	assert_failure
	one_line "$output"
	assert_output --partial debhelper
}

@test "the tarball, where there is no git: built, tested, installed elsewhere, uninstalled" {
	local tree=$PLACE/spork-$VERSION prefix=$PLACE/odd

	"$ROOT/tools/dist.sh" "$VERSION" "$PLACE/spork.tar.gz"
	tar -xzf spork.tar.gz
	[ "$(id -u)" -ne 0 ] || chown -R nobody: "$tree"
	as_user make -C "$tree" WERROR=1 all victims >make.log
	# The quick part of `make check`: what a program of the system's is not needed for.
	run as_user "$tree/tests/run" tests/{startup,options,symbols,document,tool,command,completion,install,run}.bats
	echo "$output"
	assert_success

	# Another prefix is no reason to build the library again; the tool finds it where no folder beside it has it.
	cp -p "$tree/build/libspork.so" "$tree/build/shim/fork.o" .
	bounded make -C "$tree" WERROR=1 install PREFIX="$prefix" LIBDIR="$prefix/far/lib64" >install.log
	[ ! libspork.so -ot "$tree/build/libspork.so" ]
	[ ! fork.o -ot "$tree/build/shim/fork.o" ]
	run bounded "$prefix/bin/spork" run -q strings /proc/self/environ
	assert_line "LD_PRELOAD=$prefix/far/lib64/spork/libspork.so"
	bounded make -C "$tree" WERROR=1 uninstall PREFIX="$prefix" LIBDIR="$prefix/far/lib64" >install.log
	run find "$prefix" ! -type d
	assert_output ""
	bounded make -C "$tree" clean >install.log
	assert [ ! -e "$tree/build" ]
}
