#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The contract of `spork run`: exit status, streams, records, and what cannot be traced.

load helper

stderr= # set by run --separate-stderr

# by_signal N CMD...: CMD itself dies by signal N
by_signal() {
	"$PYTHON" -c '
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
code = subprocess.run(sys.argv[2:], timeout=20, stderr=subprocess.DEVNULL).returncode
sys.exit(0 if code == -int(sys.argv[1]) else "returncode %d" % code)
' "$@" 3>&-
}

@test "the exit status is the command's own" {
	for want in 0 1 7 124 200 255; do
		run spork run -q -- sh -c "exit $want"
		assert_equal "$status" "$want"
	done
}

@test "killed by a signal: spork dies by the same" {
	for signal in 2 9 11 15; do
		by_signal "$signal" "$SPORK" run -q -- sh -c "kill -$signal \$\$"
	done
}

@test "126: found, cannot be executed" {
	echo text >"$BATS_TEST_TMPDIR/plain"
	run --separate-stderr spork run -- "$BATS_TEST_TMPDIR/plain"
	assert_equal "$status" 126
	one_line "$stderr"
	run --separate-stderr spork run -- "$BATS_TEST_TMPDIR"
	assert_equal "$status" 126
	one_line "$stderr"
}

@test "127: not found" {
	run -127 --separate-stderr spork run -- no-such-program-anywhere
	assert_regex "$stderr" no-such-program-anywhere
	one_line "$stderr"
	run -127 --separate-stderr spork run -- /nonexistent/program
	one_line "$stderr"
}

@test "125: spork itself failed" {
	run spork run
	assert_equal "$status" 125
	run spork run --no-such-option -- true
	assert_equal "$status" 125
	run spork run -f yaml -- true
	assert_equal "$status" 125
	run spork run -O /nonexistent/folder/file -- true
	assert_equal "$status" 125
	SPORK_SHIM=/nonexistent.so run --separate-stderr spork run -- true
	assert_equal "$status" 125
	one_line "$stderr"
	run spork no-such-command
	assert_equal "$status" 125
}

@test "-e wants a status" {
	for value in x -1 256 ""; do
		run --separate-stderr spork run -e "$value" -- true
		assert_equal "$status" 125
		one_line "$stderr"
	done
	run spork run -q -e 42 -- sh -c 'exit 3'
	assert_equal "$status" 3
}

@test "options end at the command" {
	run --separate-stderr spork run -q sh -c 'echo "$0" "$@"' -x --quiet -- y
	assert_success
	assert_output -- "-x --quiet -- y"
}

@test "arguments and stdin arrive as they are" {
	run --separate-stderr spork run -q -- printf '<%s>\n' "" "a b" $'new\nline' '*' '$HOME' 'ä'
	assert_output "$(printf '<%s>\n' "" "a b" $'new\nline' '*' '$HOME' 'ä')"
	run --separate-stderr bash -c 'printf "one\ntwo\n" | "$1" run -q -- cat 3>&-' - "$SPORK"
	assert_output $'one\ntwo'
}

@test "stdout belongs to the command, the summary goes to stderr" {
	run --separate-stderr spork run -- "$VICTIMS/fork_exec" 5
	assert_success
	assert_output "$(victim fork_exec 5)"
	assert_regex "$stderr" spawns
	assert_regex "$stderr" fork
}

@test "-q: no summary; -O: it goes there" {
	run --separate-stderr spork run -q -- "$VICTIMS/fork_exec" 5
	assert_equal "$stderr" ""
	run --separate-stderr spork run -O "$BATS_TEST_TMPDIR/summary" -- "$VICTIMS/fork_exec" 5
	assert_equal "$stderr" ""
	assert_output "$(victim fork_exec 5)"
	run cat "$BATS_TEST_TMPDIR/summary"
	assert_output --partial xfork
}

@test "the summary names promoted and refused sites, the latter with a reason" {
	run --separate-stderr spork run -- "$VICTIMS/wrapper_mixed" 6
	assert_regex "$stderr" "promoted"
	assert_regex "$stderr" "xfork [^ ]*victim.h:[0-9]+"
	assert_regex "$stderr" "without exec"
}

@test "-f json: one object a line, with the types of the contract" {
	record -- fork_exec 10
	run query 'sorted({row["type"] for row in rows})'
	assert_output $'process\nsession\nsite\nsummary'
	assert_equal "$(query 'rows[0]["type"] + rows[-1]["type"]')" sessionsummary
	run grep -v -E '^\{ *"type"' "$BATS_TEST_TMPDIR/record.jsonl"
	assert_output ""
	run query '[key for key in ("id", "key", "symbol", "file", "line", "call", "state", "reason", "spawns",
		"by_tier", "upgrades", "p50_ns", "p99_ns", "writes") if key not in site]'
	assert_output ""
	run query '[key for key in ("processes", "spawns", "by_tier", "upgrades", "violations", "dropped")
		if key not in summary]'
	assert_output ""
	assert_regex "$(query 'site["id"]')" '^fork_exec\+0x[0-9a-f]+$'
	assert_regex "$(query 'site["file"]')" 'victim\.h$'
	assert_equal "$(query '0 < site["p50_ns"] <= site["p99_ns"]')" True
	assert_equal "$(query 'summary["dropped"]')" 0
}

@test "the key of a site is the same from run to run" {
	record -- fork_exec 3
	first=$(query 'site["key"]')
	record -- fork_exec 3
	assert_equal "$(query 'site["key"]')" "$first"
}

@test "every process of the session is counted" {
	record -- bash -c 'for i in 1 2 3; do /bin/true; done; sh -c "/bin/true; /bin/true"; :'
	assert [ "$(query 'summary["processes"]')" -ge 5 ]
	assert [ "$(query 'summary["spawns"]')" -ge 5 ]
}

@test "--no-follow: executed programs run without the shim" {
	record --no-follow -- bash -c 'env; :'
	assert_equal "$(query '[row for row in rows if row["type"] == "process" and "/env" in str(row)]')" ""
	record -- bash -c 'env; :'
	refute [ -z "$(query '[row for row in rows if row["type"] == "process" and "/env" in str(row)]')" ]
	run --separate-stderr spork run -q --no-follow -- bash -c 'env; :'
	refute_line --regexp '^LD_PRELOAD=.*libspork'
	run --separate-stderr spork run -q -- bash -c 'env; :'
	assert_line --regexp '^LD_PRELOAD=.*libspork'
}

@test "LD_PRELOAD of the user is kept" {
	cat >"$BATS_TEST_TMPDIR/other.c" <<-'END'
		#include <unistd.h>
		__attribute__((constructor)) static void hello(void) { write(1, "other\n", 6); }
	END
	needs gcc
	gcc -w -shared -fPIC -o "$BATS_TEST_TMPDIR/other.so" "$BATS_TEST_TMPDIR/other.c"
	run --separate-stderr bounded env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD="$BATS_TEST_TMPDIR/other.so" \
		"$SPORK" run -q -- "$VICTIMS/fork_exec" 0
	assert_line other
}

@test "-o leaves a box, otherwise nothing is left behind" {
	cd "$BATS_TEST_TMPDIR"
	mkdir empty
	cd empty
	run spork run -o ../box -- "$VICTIMS/fork_exec" 5
	assert_success
	assert [ -s ../box ]
	run spork run -- "$VICTIMS/fork_exec" 5
	run preload "" fork_exec 5
	assert_equal "$(ls -A)" ""
}

@test "static: said on one line with the reason, and it runs" {
	run --separate-stderr spork run -q -- "$VICTIMS/exit_static"
	assert_success
	one_line "$stderr"
	assert_regex "$stderr" exit_static
	assert_regex "$stderr" static
}

@test "set-user-ID: said on one line with the reason, and it runs" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to make a set-user-ID program of somebody else"
	local folder
	folder=$(mktemp -d)
	chmod 755 "$folder"
	cp /bin/true "$folder/suid"
	chown nobody "$folder/suid"
	chmod 4755 "$folder/suid"
	run --separate-stderr spork run -q -- "$folder/suid"
	rm -r "$folder"
	assert_success
	one_line "$stderr"
	assert_regex "$stderr" "set-user-ID"
}

@test "ASan-built: said on one line with the reason, and it runs" {
	needs gcc
	echo 'int main(void) { return 5; }' >"$BATS_TEST_TMPDIR/asan.c"
	gcc -fsanitize=address -o "$BATS_TEST_TMPDIR/asan" "$BATS_TEST_TMPDIR/asan.c" || skip "no libasan"
	run --separate-stderr spork run -q -- "$BATS_TEST_TMPDIR/asan"
	assert_equal "$status" 5
	one_line "$stderr"
	assert_regex "$stderr" "ASan|AddressSanitizer"
}

@test "a script is its interpreter, found through PATH as well" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\necho "script $1"\nexit 6\n' >"$BATS_TEST_TMPDIR/bin/script"
	chmod +x "$BATS_TEST_TMPDIR/bin/script"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run --separate-stderr spork run -q -- script here
	assert_equal "$status" 6
	assert_output "script here"
	assert_equal "$stderr" ""
}

@test "SIGTERM sent to spork reaches the command" {
	timeout --foreground -k 1 10 "$SPORK" run -q -- sh -c \
		'trap "echo caught; exit 5" TERM; echo ready $PPID; while :; do sleep 0.1; done' \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	local job=$! ended=0 tries=100
	until grep -q ready "$BATS_TEST_TMPDIR/out" || [ $((tries--)) -eq 0 ]; do
		sleep 0.05
	done
	kill -TERM "$(sed -n 's/^ready //p' "$BATS_TEST_TMPDIR/out")"
	wait "$job" || ended=$?
	run cat "$BATS_TEST_TMPDIR/out"
	assert_line caught
	assert_equal "$ended" 5
}

@test "--version, help and --help go to stdout with status 0" {
	run --separate-stderr spork --version
	assert_success
	assert_regex "$output" '^spork [0-9]+\.[0-9]+\.[0-9]+$'
	for arguments in help --help "help run" "run --help"; do
		# shellcheck disable=SC2086 # two words
		run --separate-stderr spork $arguments
		assert_success
		assert_equal "$stderr" ""
		assert_output --partial run
	done
	run spork help no-such-command
	assert_equal "$status" 125
}

@test "a program that is cut short: one line, and only the true one" {
	head -c 100 /bin/ls >"$BATS_TEST_TMPDIR/cut"
	chmod +x "$BATS_TEST_TMPDIR/cut"
	run spork run -- "$BATS_TEST_TMPDIR/cut"
	assert_failure 126
	assert_equal "${#lines[@]}" 1
	assert_output --partial "cannot be executed"
}
