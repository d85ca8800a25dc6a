#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# libc's hidden locks: a child that would wait for one of them for ever is reported before it does, or gets it
# repaired; and nothing is said of a lock that is free, whoever was near it at the fork.

load helper

# The classes of the victim, by what hung bare.
CLASSES="timezone environment random syslog exit addrinfo nss nss-entries locale locale-read gconv loader
	loader-dlopen popen sem timer aio utmp"
CLEAN="reset heap outside"

# each CLASSES OPTIONS FORKS MS [TWIN]: runs orphan_hidden for every class, six at a time; what it prints into
# CLASS.out, stderr into CLASS.err, the records into CLASS.jsonl
each() {
	local class running=0

	cd "$BATS_TEST_TMPDIR" || return
	for class in $1; do
		{
			# shellcheck disable=SC2086 # several options
			LIMIT=30 spork run -f json -O "$class.jsonl" $2 -- "$VICTIMS/orphan_hidden" "$class" "$3" "$4" "${@:5}" \
				>"$class.out" 2>"$class.err" || :
		} &
		running=$((running + 1))
		[ $((running % 6)) -ne 0 ] || wait
	done
	wait
}

@test "a child that blocks on a hidden lock is reported: class, holder, both functions, fork" {
	each "${CLASSES/popen/}" "-s gate=0" 400 3000
	# the shim's own popen() does not hang: see below
	each popen "-s gate=0 -s reroute=off" 400 3000
	for class in $CLASSES; do
		read -r _ child _ <"$class.out"
		assert_equal "$class: $(cat "$class.out")" "$class: child $child hung"
		run "$PYTHON" - "$class" "$child" <<-'END'
			import json, sys
			name, child = sys.argv[1].split("-")[0], int(sys.argv[2])
			rows = [json.loads(line) for line in open(sys.argv[1] + ".jsonl")]
			mine = [row for row in rows if row["type"] == "violation" and row["pid"] == child]
			print(*[row["kind"] for row in mine])
			for row in mine:
			    assert row["lock"]["type"] == "hidden", row
			    assert row["lock"]["name"] == name, row
			    assert row["lock"]["holder_name"] == "worker", row
			    assert row["lock"]["holder_tid"] != row["tid"], row
			    assert row["lock"]["addr"] != "0x0", row
			    assert row["lock"]["acquired"]["symbol"].endswith("_use"), row
			    assert any(frame["symbol"] == "main" for frame in row["fork"]["stack"]), row
			    assert "hidden lock '%s'" % name in row["message"], row
			    assert "was in at fork time by " in row["message"], row
			deadlock = mine[-1]
			assert any(frame["symbol"] == "main" for frame in deadlock["stack"]), deadlock
		END
		assert_equal "$class: $output" "$class: orphaned-lock orphan-deadlock"
	done
}

@test "popen(): its hidden lock is reported, though it is the shim's and does not block the child" {
	each popen "-s gate=0" 400 8000
	assert_equal "$(cat popen.out)" "400 children finished"
	run "$PYTHON" - <<-'END'
		import json
		rows = [json.loads(line) for line in open("popen.jsonl")]
		rows = [row for row in rows if row["type"] == "violation"]
		print(*sorted({(row["kind"], row["lock"]["name"], row["lock"]["holder_name"]) for row in rows}))
		assert all(row["lock"]["repaired"] for row in rows if row["kind"] == "orphan-deadlock"), rows
	END
	assert_output "('orphan-deadlock', 'popen', 'worker') ('orphaned-lock', 'popen', 'worker')"
}

@test "on_orphan=repair: no child blocks on a hidden lock" {
	each "$CLASSES" "-s gate=0 -s on_orphan=repair" 40 8000
	for class in $CLASSES; do
		assert_equal "$class: $(cat "$class.out")" "$class: 40 children finished"
		! grep "could not" "$class.err"
	done
}

@test "on_orphan=abort: the child that would block aborts" {
	ulimit -c 0
	each timezone "-s gate=0 -s on_orphan=abort" 400 8000
	assert_equal "$(cat timezone.out)" "400 children finished"
	assert grep -q orphan-deadlock timezone.jsonl
}

@test "what glibc resets, and a lock that is free after all, are not reported" {
	each "$CLEAN" "-s gate=0" 300 8000
	for class in $CLEAN; do
		assert_equal "$class: $(cat "$class.out")" "$class: 300 children finished"
		run grep -c violation\", "$class.jsonl"
		assert_output 0
	done
}

@test "of each class, threads that have left its functions, and children that call others, are clean" {
	for twin in left resets; do
		each "$CLASSES" "-s gate=0" 20 8000 "$twin"
		for class in $CLASSES; do
			assert_equal "$twin $class: $(cat "$class.out")" "$twin $class: 20 children finished"
			# a timer that starts a thread is that, and no orphan
			run bash -c 'grep violation\", "$1" | grep -v "\"child-thread\""' - "$class.jsonl"
			assert_equal "$twin $class $output" "$twin $class "
		done
	done
}

@test "the gate leads threads out of hidden locks before a fork" {
	each "timezone nss loader popen" "-s gate=1000" 40 8000
	for class in timezone nss loader popen; do
		assert_equal "$class: $(cat "$class.out")" "$class: 40 children finished"
		run grep -c violation\", "$class.jsonl"
		assert_output 0
	done
}

@test "text names the class and both functions" {
	run --separate-stderr preload gate=0 orphan_hidden timezone 400 1500
	assert_equal "$status" 3
	# shellcheck disable=SC2154 # set by run
	assert_regex "$stderr" "about to block on hidden lock 'timezone' 0x[0-9a-f]+ \\(libc.so.6\\+0x[0-9a-f]+\\) in mktime\\(\\), which thread 'worker' \\(tid=[0-9]+\\) was in at fork time by localtime_r\\(\\):"
	assert_regex "$stderr" "fork\\(\\) leaves hidden lock 'timezone' 0x[0-9a-f]+ \\(libc.so.6\\+0x[0-9a-f]+\\) locked for ever"
}

@test "locks=off: hidden locks are not looked at" {
	run --separate-stderr preload locks=off orphan_hidden timezone 400 500
	assert_equal "$status" 3
	assert_equal "$stderr" ""
}

@test "dlopen() still looks where its caller's search path leads" {
	mkdir "$BATS_TEST_TMPDIR/dlopen_runpath.d"
	cp "$VICTIMS/dlopen_runpath" "$BATS_TEST_TMPDIR/"
	printf '#include <stdio.h>\nvoid hello(void);\nvoid hello(void)\n{\n\tputs("hello");\n}\n' |
		"${CC:-gcc}" -shared -fPIC -x c -o "$BATS_TEST_TMPDIR/dlopen_runpath.d/libhello.so" -
	run preload "" "$BATS_TEST_TMPDIR/dlopen_runpath"
	assert_success
	assert_output hello
}
