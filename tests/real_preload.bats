#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The shim beside other preloads and runtimes, as the README's table of them says. What takes longer is in
# long/preload.bats.
# shellcheck disable=SC2030,SC2031 # run assigns status and output

load helper
load preload

setup() {
	work_setup
}

teardown() {
	kill_left
}

# works_beside LIBRARY [VARIABLE=VALUE...]: forks with windows, threads with the gate, and the ways of Python
works_beside() {
	beside "$@" -- fork_exec_threads 8
	fast "$BATS_TEST_TMPDIR/beside.box"
	beside "$@" -- "$PYTHON" subprocesses.py
}

@test "jemalloc and tcmalloc, preloaded" {
	local name library

	subprocesses
	for name in libjemalloc.so.2 libtcmalloc.so.4; do
		library=$(library "$name")
		works_beside "$library"
	done
}

@test "jemalloc and tcmalloc, linked" {
	local name

	for name in jemalloc tcmalloc; do
		built "linked_$name" fork_exec_threads "${CC:-gcc}" -Wl,--no-as-needed "-l$name"
		SAME_RUN="-s learn=2 -o $BATS_TEST_TMPDIR/linked.box" same_as_bare "./linked_$name" 10
		no_violations "$BATS_TEST_TMPDIR/linked.box"
		fast "$BATS_TEST_TMPDIR/linked.box"
	done
}

@test "libfaketime: its time is the program's, and never the shim's" {
	local library

	subprocesses
	library=$(library libfaketime.so.1)
	# Ten minutes each second: a deadline of a second is not one of 2 ms.
	works_beside "$library" FAKETIME='+0 x600'
	beside "$library" FAKETIME='@2001-02-03 04:05:06' FAKETIME_DONT_RESET=1 -- date +%Y
	assert_equal "$(cat "$BATS_TEST_TMPDIR/beside.shim")" 2001
}

@test "libeatmydata" {
	local library

	subprocesses
	library=$(library libeatmydata.so)
	works_beside "$library"
}

@test "fakeroot: what it makes up stays, either way round" {
	needs fakeroot
	cat >made_up.sh <<-'END'
		touch a; chown 12:34 a; mknod dev c 1 3
		for i in 1 2 3 4; do stat -c '%n %u %g %F' a dev | tr a-z A-Z; done
		"$0" -c 'import os, subprocess
		for i in range(5): print(os.stat("a").st_uid, subprocess.run(["stat", "-c", "%u", "a"], capture_output=True).stdout)'
		rm -f a dev
	END
	bounded fakeroot true || skip "fakeroot does not work here"
	sed -i "s,\"\$0\",$PYTHON," made_up.sh
	LIMIT=30 bounded fakeroot sh made_up.sh >bare 2>&1
	assert_equal "$(grep -c '12 34' bare)" 4
	LIMIT=30 spork run -q -s learn=2 -e 9 -- fakeroot sh made_up.sh >inside 2>&1
	LIMIT=30 bounded fakeroot "$SPORK" run -q -s learn=2 -e 9 -- sh made_up.sh >outside 2>&1
	diff bare inside
	diff bare outside
}

# sanitized NAME COMPILER FLAG WORD: run by a program under the shim it does as bare; alone the tool does without the shim
sanitized() {
	built "$1" fork_exec "$2" "$3"
	bounded "./$1" 4 >bare
	# shellcheck disable=SC2016 # for the inner shell
	spork run -O summary -- sh -c '"./$0" 4; exec "./$0" 4' "$1" >shim
	assert_equal "$(cat shim)" "$(cat bare bare)"
	grep -q '^  2 processes with a sanitizer .*, where the shim does nothing' summary || fail "$(cat summary)"
	run --separate-stderr preload "" "$PWD/$1" 4
	# shellcheck disable=SC2154 # set by run
	assert_equal "$status $output $stderr" "0 $(cat bare) "
	run --separate-stderr spork run -q "./$1" 4
	assert_equal "$status $output" "0 $(cat bare)"
	one_line "$stderr"
	assert_regex "$stderr" "cannot be traced: it is built with $4"
}

@test "programs with AddressSanitizer run as they do bare" {
	sanitized asan gcc -fsanitize=address AddressSanitizer
}

@test "programs with ThreadSanitizer run as they do bare" {
	sanitized tsan gcc -fsanitize=thread ThreadSanitizer
}

@test "AddressSanitizer, preloaded" {
	local library

	subprocesses
	library=$(library libasan.so.8)
	beside "$library" ASAN_OPTIONS=detect_leaks=0 -- fork_exec 5
	beside "$library" ASAN_OPTIONS=detect_leaks=0 -- "$PYTHON" subprocesses.py
}

@test "more than a terabyte mapped: no audit, and no wait for one" {
	cat >large.c <<-'END'
		#include <stdio.h>
		#include <sys/mman.h>
		#include <sys/wait.h>
		#include <unistd.h>
		int main(void)
		{
			void *at = mmap(NULL, 3ul << 40, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (at == MAP_FAILED)
				return 77;
			for (int i = 0; i < 4; i++) {
				if (!fork()) {
					execl("/bin/true", "true", (char *)NULL);
					_exit(127);
				}
				wait(NULL);
			}
			return 0;
		}
	END
	"${CC:-gcc}" -o large large.c
	bounded ./large || skip "no room for it here"
	record -- "$PWD/large"
	assert_equal "$(query '(site["state"], site["reason"])')" "('refused', 'large')"
}

@test "strace -f, attached while windows open and close" {
	local tracer tries

	needs strace
	spawner
	strace -f -e trace=execve -o trace -p "$SPAWNER_PID" 2>attached </dev/null 3>&- &
	tracer=$!
	for tries in {1..500}; do
		! grep -q 'attached$' attached || break
		kill -0 "$tracer" 2>/dev/null || { : >stop; skip "strace cannot attach here: $(cat attached)"; }
		sleep 0.02
	done
	goes_on
	# Asked to detach, strace waits for a parent in vfork(), and that one for its child, which strace has stopped: bare, too.
	kill -KILL "$tracer"
	wait "$tracer" || :
	goes_on
	spawner_ends
	grep -q 'execve("/bin/echo"' trace || fail "$tries: $(head trace)"
}

@test "gdb, attached while windows open and close" {
	local commands

	needs gdb
	spawner
	for commands in "-ex detach" "-ex 'catch vfork' -ex continue -ex detach" \
		"-ex 'set follow-fork-mode child' -ex 'catch exec' -ex continue -ex detach"; do
		eval LIMIT=30 bounded gdb -nx -q -batch -iex "'set debuginfod enabled off'" -p "$SPAWNER_PID" "$commands" \
			>attached 2>&1 </dev/null
		! grep -q 'Operation not permitted' attached || { : >stop; skip "gdb cannot attach here"; }
		[ "$commands" = "-ex detach" ] || grep -q '^Catchpoint' attached || fail "$(cat attached)"
		goes_on
	done
	spawner_ends
}
