#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What `make install` puts where, that it works there and elsewhere, that `make uninstall` takes it all away again; and
# what a tarball of `make dist` holds.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	TO=$BATS_TEST_TMPDIR/to
	unset SPORK_SHIM
}

# make_at TARGET [VARIABLE=VALUE]...: of what is built already, which other variables would build anew
make_at() {
	LIMIT=60 bounded make -C "$ROOT" -o all O="$BUILD" DESTDIR="$TO" "$@" 2>&1
}

# finds LIBRARY SPORK: what the tool preloads
finds() {
	run bounded "$2" run -q strings /proc/self/environ
	assert_success
	assert_line "LD_PRELOAD=$1"
}

@test "make install puts each file in its place, and make uninstall leaves none" {
	make_at install
	cat >want <<-'END'
		bin/spork 755
		include/avfork.h 644
		lib/pkgconfig/spork.pc 644
		lib/spork/libspork.so 755
		share/bash-completion/completions/spork 644
		share/fish/vendor_completions.d/spork.fish 644
		share/man/man1/spork-bench.1 644
		share/man/man1/spork-help.1 644
		share/man/man1/spork-inspect.1 644
		share/man/man1/spork-report.1 644
		share/man/man1/spork-run.1 644
		share/man/man1/spork-scan.1 644
		share/man/man1/spork-sites.1 644
		share/man/man1/spork.1 644
		share/man/man3/avfork.3 644
		share/man/man5/spork-options.5 644
		share/man/man7/spork-violations.7 644
		share/zsh/site-functions/_spork 644
	END
	diff -u want <(cd to/usr/local && find . ! -type d -printf '%P %m\n' | LC_ALL=C sort)
	make_at uninstall
	run find to ! -type d
	assert_output ""
	assert [ ! -e to/usr/local/lib/spork ]
	# A second time there is nothing to do, and nothing to complain of.
	run make_at uninstall
	assert_success
	refute_output --partial rror
}

@test "make uninstall leaves alone what it has not installed" {
	make_at install
	echo mine >to/usr/local/lib/spork/app.profile
	echo mine >to/usr/local/bin/other
	make_at uninstall
	run find to ! -type d -printf '%P\n'
	assert_output --partial usr/local/lib/spork/app.profile
	assert_equal "${#lines[@]}" 2
}

@test "make install and uninstall: each folder by its variable" {
	local folders=(BINDIR=/b LIBDIR=/l INCLUDEDIR=/i PKGCONFIGDIR=/p MANDIR=/m BASHDIR=/s/bash ZSHDIR=/s/zsh FISHDIR=/s/fish)

	make_at install PREFIX=/nowhere "${folders[@]}"
	assert_equal "$(cd to && find . ! -type d -printf '%P\n' | grep -v '^m/' | LC_ALL=C sort | tr '\n' ' ')" \
		"b/spork i/avfork.h l/spork/libspork.so p/spork.pc s/bash/spork s/fish/spork.fish s/zsh/_spork "
	assert_equal "$(find to/m ! -type d | wc -l)" 11
	# Outside of the prefix they are named as they are.
	grep -qx 'libdir=/l' to/p/spork.pc
	grep -qx 'includedir=/i' to/p/spork.pc
	make_at uninstall PREFIX=/nowhere "${folders[@]}"
	run find to ! -type d
	assert_output ""
}

@test "the installed tool finds its library, moved or linked to, and in Debian's folders" {
	local triplet

	make_at install
	finds "$TO/usr/local/lib/spork/libspork.so" to/usr/local/bin/spork
	mkdir opt
	mv to/usr/local opt/spork
	finds "$PWD/opt/spork/lib/spork/libspork.so" opt/spork/bin/spork
	ln -s opt/spork/bin/spork link
	finds "$PWD/opt/spork/lib/spork/libspork.so" ./link
	triplet=$(uname -m)-linux-gnu
	make_at install PREFIX=/usr LIBDIR="/usr/lib/$triplet"
	finds "$TO/usr/lib/$triplet/spork/libspork.so" to/usr/bin/spork
	# Beside nothing at all it says so.
	mkdir alone
	cp to/usr/bin/spork alone
	[ ! -e /usr/local/lib/spork/libspork.so ] || skip "the library is installed on this machine"
	run --separate-stderr bounded alone/spork run true
	assert_equal "$status $output" "125 "
	one_line "$stderr"
}

@test "a program is compiled with what pkg-config tells, and runs" {
	needs pkg-config
	make_at install
	cat >program.c <<-'END'
		#include <avfork.h>
		#include <stdio.h>
		#include <sys/wait.h>
		static int run(void *argument) { return *(int *)argument; }
		int main(void)
		{
			int code = 5, status;
			pid_t pid = avfork(run, &code);
			if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != code)
				return 1;
			puts("done");
			return 0;
		}
	END
	# built PKG-CONFIG-VARIABLE=VALUE...
	built() {
		# shellcheck disable=SC2046 # several flags
		"${CC:-gcc}" -Wall -Werror -o program program.c $(env "$@" pkg-config --cflags --libs spork)
	}
	built PKG_CONFIG_SYSROOT_DIR="$TO" PKG_CONFIG_LIBDIR="$TO/usr/local/lib/pkgconfig"
	run readelf -d program
	assert_output --partial "[/usr/local/lib/spork]"
	assert_output --partial "[libspork.so]"
	run bounded env LD_LIBRARY_PATH="$TO/usr/local/lib/spork" ./program
	assert_equal "$status $output" "0 done"
	make_at install DESTDIR= PREFIX="$PWD/home"
	built PKG_CONFIG_PATH="$PWD/home/lib/pkgconfig"
	run bounded ./program
	assert_equal "$status $output" "0 done"
	assert_equal "$(PKG_CONFIG_LIBDIR=$TO/usr/local/lib/pkgconfig pkg-config --modversion spork)" \
		"$(to/usr/local/bin/spork --version | cut -d' ' -f2)"
}

@test "the manual pages: found by man, 80 columns wide, no warnings of groff, a line for apropos" {
	local page

	needs man groff lexgrog
	make_at install
	cd "$TO/usr/local/share/man"
	run bash -c "MANWIDTH=80 man -M '$PWD' spork-run | head -n 1"
	assert_output --regexp '^SPORK-RUN\(1\) .* SPORK-RUN\(1\)$'
	for page in man?/*; do
		run --separate-stderr bounded env LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings=w -E UTF-8 -P cat -l "$page"
		assert_success
		assert_equal "$stderr" ""
		[ "${#lines[@]}" -gt 10 ]
		# In characters, whatever the language here.
		run env LC_ALL=C.UTF-8 grep -E '.{81}' <<<"$output"
		assert_output ""
		run bounded groff -ww -mandoc -Tutf8 -rLL=80n -z "$page"
		assert_equal "$status $output" "0 "
		run bounded lexgrog "$page"
		assert_success
	done
}

@test "make dist: the last commit, the same bytes each time, and nothing else" {
	local version

	[ -e "$ROOT/.git" ] || skip "no git checkout"
	version=$("$SPORK" --version | cut -d' ' -f2)
	LIMIT=60 bounded "$ROOT/tools/dist.sh" "$version" "$PWD/one.tar.gz"
	TZ=Asia/Tokyo LIMIT=60 bounded "$ROOT/tools/dist.sh" "$version" "$PWD/two.tar.gz"
	cmp one.tar.gz two.tar.gz
	diff <(tar -tzf one.tar.gz | grep -v '/$' | sed "s,^spork-$version/,," | LC_ALL=C sort) \
		<(cd "$ROOT" && git ls-tree -r --name-only HEAD | LC_ALL=C sort)
	# There, it says why it cannot be done again.
	tar -xzf one.tar.gz
	run bounded make -C "spork-$version" dist
	assert_failure
	assert_line --regexp '^make dist: this is no git checkout'
	assert [ ! -e "spork-$version/spork-$version.tar.gz" ]
}

@test "Debian's packaging is of this version, and of this license" {
	run sed -n '1s/^spork (\(.*\)-[^-]*) .*/\1/p' "$ROOT/tools/debian/changelog"
	assert_output "$("$SPORK" --version | cut -d' ' -f2)"
	# The text as Debian's format has it: one blank in front, a dot for an empty line.
	sed -n '5,$p' "$ROOT/LICENSE" | sed 's/^$/./; s/^/ /' >license
	diff -u license <(tail -n "$(wc -l <license)" "$ROOT/tools/debian/copyright")
}
