#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Python's own tests of making processes, bare and under the shim: every one must end in the same way, and
# nothing may be reported that they do not do. They take half a minute a run.

load ../helper

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return
	export LC_ALL=C LIMIT=800
	"$PYTHON" -c 'import test.test_fork1, test.test_subprocess' 2>/dev/null || skip "no tests of Python here"
}

# outcomes LOG: one line a test, in a fixed order: what is printed between its name and its outcome is its own
outcomes() {
	"$PYTHON" - "$1" <<-'END'
		import re, sys
		text = open(sys.argv[1], errors="replace").read()
		names = r"^(test\w+ \([\w.]+\))"
		found = re.findall(names + r"(?:(?!" + names + r")[\s\S])*?\.\.\. (?:(?!" + names + r")[\s\S])*?\b(ok|FAIL|ERROR|skipped|expected failure)\b",
		                   text, re.M)
		print(*sorted(f"{row[0]} {row[-1]}" for row in found), sep="\n")
		print(*re.findall(r"^== Tests result: .*|^All \d+ tests? OK", text, re.M), sep="\n")
	END
}

# same_tests SPORK-RUN-OPTIONS... -- TEST...; TOLD: the one kind of violation that the tests are known to have
same_tests() {
	local options=() bare shim

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	bounded "$PYTHON" -m test -v "$@" >../bare.log 2>&1 </dev/null || :
	# violations go to the log, and are found there
	spork run "${options[@]}" -O ../summary -- "$PYTHON" -m test -v "$@" >../shim.log 2>&1 </dev/null || :
	cat ../summary
	bare=$(outcomes ../bare.log) shim=$(outcomes ../shim.log)
	[ "$(wc -l <<<"$bare")" -gt 10 ] || fail "the bare run did not work: $(tail -n 3 ../bare.log)"
	diff -u <(echo "$bare") <(echo "$shim") || fail "a test ended otherwise"
	grep -qE "^  (no violations|violations: ${TOLD:-none} [0-9]+)\$" ../summary || fail "violations: $(grep -A 12 '^=====' ../shim.log)"
}

tests=(test_subprocess test_popen test_posix test_fork1)

@test "test_subprocess, test_popen, test_posix, test_fork1" {
	same_tests -- "${tests[@]}"
}

# CPython's subprocess uses vfork() itself, where it can; without that every child is one of fork().
@test "the same, subprocess made to use fork(), promoted by the first clean one" {
	mkdir modules
	printf 'import subprocess\nsubprocess._USE_VFORK = subprocess._USE_POSIX_SPAWN = False\n' \
		>modules/sitecustomize.py
	export PYTHONPATH=$PWD/modules
	same_tests -s learn=1 -- "${tests[@]}"
}

@test "multiprocessing with fork, concurrent.futures, os.fork in threads" {
	# They do fork while other threads run, and start threads in the child.
	TOLD=child-thread same_tests -- test_multiprocessing_fork test_multiprocessing_main_handling test_thread test_threading \
		test_pty test_wait3 test_wait4 test_os test_signal
}
