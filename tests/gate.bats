#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The gate: forks wait until other threads have left their critical sections, and never for long.

load helper

# forks WHAT COUNT [LIMIT]: no child may hang, and nothing be reported. The limit is far off: machines are busy.
forks() {
	LIMIT=60 record -s gate="${3:-2000}" -- gate_forks "$1" "$2"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "0 of $2 hung"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
	assert_equal "$(query 'summary["gate"]["forks"] >= '"$2")" True
}

@test "without the gate children hang, and are told why" {
	LIMIT=60 record -s gate=0 -- gate_forks mtx 8 300
	run cat "$BATS_TEST_TMPDIR/record.out"
	refute_output "0 of 8 hung"
	assert_equal "$(query 'summary["gate"]["forks"]')" 0
	assert_equal "$(query 'deadlock["lock"]["name"]')" mtx
}

@test "mutexes, nested" {
	forks mutex 200
}

@test "mutexes of C11, spin locks, rwlocks, semaphores" {
	forks mtx 50
	forks spin 20
	forks rwlock 100
	forks sem 100
}

@test "threads that wait for a condition" {
	forks cond 150
}

@test "threads that are made and end" {
	forks short 100
}

@test "two threads that fork" {
	forks two 150
}

@test "bare, children hang that call functions with hidden locks" {
	run victim gate_forks all 5 100
	refute_output "0 of 5 hung"
}

@test "functions with hidden locks, each by itself, and one a thread" {
	for class in time environment addrinfo passwd syslog random all; do
		forks "$class" 60
	done
}

@test "prepare handlers that wait for the threads that the gate has stopped" {
	forks handlers 30 20
}

@test "a lock that is always held is waited for three times, and no other suffers" {
	record -s gate=200 -- gate_forks held 20
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "0 of 20 hung"
	assert_equal "$(query '[v["lock"]["name"] for v in violations]')" inner
	assert_equal "$(query '[p["limits"] for p in summary["gate"]["places"]]')" 3
	assert_equal "$(query '[p["name"] for p in summary["gate"]["places"]]')" inner
	assert_equal "$(query '[p["given_up"] for p in summary["gate"]["places"]]')" True
	assert_equal "$(query '[p["acquired"]["symbol"] for p in summary["gate"]["places"]]')" do_held
	assert_equal "$(query '3 <= summary["gate"]["limits"] < 10')" True
}

@test "one that is held at the limit now and then is waited for" {
	run spork run -s gate=200 -- "$VICTIMS/gate_forks" late 9
	assert_output --partial "0 of 9 hung"
	assert_output --partial "(outer) held at the limit"
	refute_output --partial "no longer waited for"
}

@test "the summary tells how long forks waited, and for which lock" {
	run spork run -- "$VICTIMS/gate_forks" held 10
	assert_output --regexp "gate: [0-9]+ forks, [0-9]+ waited for other threads, [0-9.]+ .s; [0-9]+ went on at the limit"
	assert_output --regexp "mutex 0x[0-9a-f]+ .*inner.* held at the limit 3 times, taken at do_held gate_forks.c:[0-9]+ .*; no longer waited for"
}

@test "a system call under a lock holds a fork up for no longer than the gate, and not for ever" {
	LIMIT=60 record -s gate=5 -- gate_forks syscall 3 300
	assert_equal "$(query '0 < summary["gate"]["limits"] <= 3')" True
	assert_equal "$(query 'summary["gate"]["wait_ns"] < 10**9')" True
	assert_equal "$(query '[p["acquired"]["symbol"] for p in summary["gate"]["places"]]')" do_syscall
	# what the gate could not prevent is reported
	assert_equal "$(query 'deadlock["lock"]["name"]')" outer
}

@test "one thread: nobody to wait for" {
	record -- orphan_mutex 300 || true
	record -- fork_exec
	assert_equal "$(query 'summary["gate"]["forks"]')" 0
}

@test "memory of a lock that is gone is not taken for one that is being given back" {
	local what

	for what in mutex spin busy; do
		record -s gate=2000 -- gate_gone "$what"
		assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "done"
		assert_equal "$(query '[v["kind"] for v in violations]')" ""
		assert_equal "$(query 'summary["gate"]["limits"]')" 0
	done
}

@test "mutexes that go when a wait for a condition is over" {
	LIMIT=60 record -s gate=2000 -- gate_gone cond
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "done"
}

@test "an orphan whose holder's stack libc has unmapped" {
	record -- gate_gone stack
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "child: signal 14
done"
	assert_equal "$(query 'deadlock["lock"]["name"]')" orphan
}

@test "a thread that is cancelled in a wait for a condition has the mutex while it cleans up" {
	record -s gate=5000 -- gate_cancel wait
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "child finished"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
	assert_equal "$(query 'summary["gate"]["limits"]')" 0
	# and is not waited for for ever
	run -3 record -s gate=20 -- gate_cancel wait
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "child hung"
	assert_equal "$(query 'deadlock["lock"]["name"]')" mutex
	assert_equal "$(query '[(p["name"], p["limits"], p["given_up"]) for p in summary["gate"]["places"]]')" "('mutex', 1, False)"
}

@test "one that is cancelled inside a function with hidden locks is not taken to be there still" {
	record -s gate=9500 -- gate_cancel hidden
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "child finished"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
	assert_equal "$(query 'summary["gate"]["limits"]')" 0
}

@test "a fork that takes too long loses the gate, but not the mutexes that it has taken for others" {
	record -- gate_stolen
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "child finished
child finished"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
}
