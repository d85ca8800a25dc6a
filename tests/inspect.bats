#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect` on processes that hang in known ways, from outside, with the shim and without.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns stderr; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

@test "threads that hold locks and sleep: nothing is found" {
	both none 0 ""
}

@test "a mutex taken twice by its owner" {
	both self 2 self-deadlock
	assert_equal "$(waits mutex)" first_lock
}

@test "a rwlock held for reading by the only thread, which wants to write" {
	both self-write 2 self-deadlock
	assert_equal "$(waits rwlock)" table_lock
}

@test "two threads, two mutexes: both are named, with their stacks" {
	both two 2 deadlock
	assert_equal "$(waits mutex)" "first_lock second_lock"
	assert_equal "$(query 'len(of("verdict")[0]["threads"])')" 2
	run query '[f["symbol"] for t in of("thread") for f in t["stack"]]'
	assert_line second_then_first
	assert_line two
	assert_line pthread_mutex_lock
}

@test "three threads: a mutex, a rwlock and a recursive mutex" {
	both three 2 deadlock
	assert_equal "$(waits rwlock)" table_lock
	assert_equal "$(query 'len(of("verdict")[0]["threads"])')" 3
}

@test "a semaphore, which has no owner: all threads wait, and the shim knows who took it" {
	both sem 2 all-wait 2 deadlock
	assert_equal "$(waits sem)" slots
}

@test "waits that have an end are no deadlock" {
	both timed 0 ""
	assert_equal "$(waits mutex)" "first_lock second_lock"
}

@test "an orphaned mutex: who holds it in the parent, and where" {
	both orphan 2 orphan
	run query 'of("verdict")[0]["holder"]["name"]'
	assert_output worker
	run query '[f["symbol"] for f in of("verdict")[0]["holder"]["stack"]]'
	assert_line hold
	assert_equal "$(query 'of("verdict")[0]["forked_from"]')" "$(ps -o ppid= -p "$PID" | tr -d ' ')"
	# and what the shim has seen of it
	run query '[v["kind"] for v in violations]'
	assert_line orphan-deadlock
}

@test "an orphaned mutex whose holder has ended in the parent" {
	both orphan-gone 2 orphan
	run query 'of("verdict")[0]["message"]'
	assert_output --partial "has no such thread any more"
}

@test "an orphaned mutex that a pool of threads waits for: one verdict, with all of them" {
	local mode

	for mode in bare gate=0; do
		start "$mode" hang_lock orphan-pool 100
		found 2 orphan
		assert_equal "$(query 'len(of("verdict")[0]["threads"])')" 100
		assert_equal "$(query 'of("verdict")[0]["holder"]["name"]')" worker
		run query 'of("verdict")[0]["message"]'
		assert_output --partial "; 99 more threads wait for that lock"
		stop
	done
}

@test "an ancestor of the same program that has executed it again is not who forked" {
	start bare hang_lock orphan-exec
	found 2 orphan
	assert_equal "$(query 'of("verdict")[0]["forked_from"]')" None
	run query 'of("verdict")[0]["message"]'
	assert_output --partial "an ancestor of this one that runs the same program"
}

@test "a mutex of a thread whose end nobody saw" {
	both unseen 2 orphan
	run query 'of("verdict")[0]["message"]'
	assert_output --partial "which has ended"
	both unseen-other 2 orphan
}

@test "a hidden lock of libc, orphaned" {
	both hidden 2 orphan
	assert_equal "$(waits hidden)" timezone
}

@test "a child spins on an orphaned spin lock" {
	both spin 2 orphan
	assert_equal "$(waits spin)" spin_lock
}

@test "a vfork() child that sleeps: its parent, and where the child is" {
	both vfork 0 vfork-stall
	run query '[f["symbol"] for t in of("thread") if t["pid"] != of("verdict")[0]["pid"] for f in t["stack"]]'
	assert_line vfork_sleeps
}

@test "a thread that waits for the end of another" {
	both join 0 join
	run query 'of("verdict")[0]["message"]'
	assert_output --partial "'sleeper'"
}

@test "the only thread waits for a condition" {
	both condition 2 condition
	assert_equal "$(waits condition)" changed
}

@test "the only thread was woken, and waits for the mutex that another ended with" {
	both lost 2 orphan
	assert_equal "$(waits mutex)" first_lock
	run query 'of("verdict")[0]["message"]'
	assert_output --partial "'signaller', which has ended"
}

@test "a barrier, and what runs once" {
	both barrier 2 all-wait
	assert_equal "$(waits barrier)" all
	both once 2 all-wait
	assert_equal "$(waits once)" once
}

@test "two threads, two streams of stdio" {
	both stream 2 deadlock
	run query 'of("verdict")[0]["message"]'
	assert_output --partial "waits for stream"
}

@test "a thread that main waits for wants what main holds" {
	both joined 2 deadlock
}

@test "a cycle of five hundred threads" {
	local options

	for options in bare gate=0; do
		start "$options" hang_lock ring 500
		found 2 deadlock
		assert_equal "$(query 'len(of("verdict")[0]["threads"])')" 500
		assert_equal "$(query 'min(len(t["holds"]) for t in of("thread"))')" 1
		stop
	done
}

@test "a handler that waits for the hidden lock of the function that it interrupted" {
	start bare hang_handler
	found 2 self-deadlock
	assert_equal "$(waits hidden)" timezone
	stop
	start bare hang_handler clean
	found 0 ""
}
