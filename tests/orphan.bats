#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Locks that fork() leaves behind: reported before the child blocks, with who held what and where; and the
# clean twins stay silent.

load helper

stderr= # set by run --separate-stderr

@test "bare, the child of orphan_mutex hangs" {
	run victim orphan_mutex 300
	assert_failure 3
	assert_output "child hung"
}

@test "orphan-deadlock is reported before the child blocks" {
	quietly "" orphan_mutex 1000
	assert_equal "$status" 3
	assert_equal "$output" "child hung"
	assert_regex "$stderr" $'(^|\n)==================\nERROR: spork: orphan-deadlock \\(pid=[0-9]+\\)\n'
	assert_regex "$stderr" "is about to block on mutex 0x[0-9a-f]+"
	assert_regex "$stderr" "thread 'worker' \\(tid=[0-9]+\\)"
	assert_regex "$stderr" "#0 orphan_mutex\\+0x[0-9a-f]+"
	assert_regex "$stderr" $'\nSUMMARY: spork: orphan-deadlock orphan_mutex\\+0x[0-9a-f]+\n==================$'
}

@test "orphaned-lock is reported at the fork" {
	quietly "" orphan_mutex 300
	assert_regex "$stderr" "WARNING: spork: orphaned-lock \\(pid=[0-9]+\\)"
}

@test "spork run names lock, holder, functions, files and lines" {
	run --separate-stderr spork run -- "$VICTIMS/orphan_mutex" 300
	assert_equal "$status" 3
	assert_equal "$output" "child hung"
	assert_regex "$stderr" "orphan-deadlock"
	assert_regex "$stderr" "cache_lock"
	assert_regex "$stderr" "thread 'worker'"
	assert_regex "$stderr" "#0 cache_get [^ ]*orphan_mutex.c:[0-9]+"
	assert_regex "$stderr" "main [^ ]*orphan_mutex.c:[0-9]+"
	assert_regex "$stderr" "SUMMARY: spork: orphan-deadlock [^ ]*orphan_mutex.c:[0-9]+ in cache_get"
}

@test "the record of orphan-deadlock is complete" {
	run record -- orphan_mutex 300
	assert_failure 3
	run query '[v["severity"] for v in violations if v["kind"] == "orphan-deadlock"]'
	assert_output error
	assert_equal "$(query 'deadlock["lock"]["type"]')" mutex
	assert_equal "$(query 'deadlock["lock"]["name"]')" cache_lock
	assert_equal "$(query 'deadlock["lock"]["holder_name"]')" worker
	assert_equal "$(query 'deadlock["lock"]["holder_tid"] > deadlock["ppid"]')" True
	assert_equal "$(query '0 < deadlock["ppid"] != deadlock["pid"] > 0')" True
	run query 'json.dumps(deadlock["lock"]["acquired"])'
	assert_output --partial '"cache_get"'
	assert_output --partial 'orphan_mutex.c'
	run query '[frame["symbol"] for frame in deadlock["stack"]]'
	assert_line cache_get
	assert_line main
	run query '[frame["symbol"] for frame in deadlock["fork"]["stack"]]'
	assert_line main
	run query '[key for key in ("tid", "exe", "time_ns", "count", "message") if key not in deadlock]'
	assert_output ""
	assert_equal "$(query 'summary["violations"]["orphan-deadlock"]')" 1
}

@test "on_orphan=repair: reported, and the child goes on" {
	quietly on_orphan=repair orphan_mutex
	assert_equal "$status" 0
	assert_equal "$output" "child finished"
	assert_regex "$stderr" "orphan-deadlock"
}

@test "on_orphan=abort: reported, and the child aborts" {
	ulimit -c 0
	quietly on_orphan=abort orphan_mutex
	assert_equal "$status" 4
	assert_equal "$output" "child killed by signal 6"
	assert_regex "$stderr" "orphan-deadlock"
}

@test "locks=off: nothing is tracked, nothing is said" {
	quietly locks=off orphan_mutex 300
	assert_equal "$status" 3
	assert_equal "$stderr" ""
}

@test "a lock that prepare took is no orphan" {
	quietly "" orphan_mutex_clean
	assert_equal "$status" 0
	assert_equal "$output" "child finished"
	assert_equal "$stderr" ""
}

@test "a thread in pthread_cond_wait holds no lock" {
	quietly "" orphan_cond_clean
	assert_equal "$status" 0
	assert_equal "$output" "child finished"
	assert_equal "$stderr" ""
}

@test "an orphan that the child never touches is a warning, not a deadlock" {
	run record -s gate=0 -- orphan_unused 1000 exit
	assert_success
	run query '[v["kind"] + " " + v["severity"] for v in violations]'
	assert_output "orphaned-lock warning"
}

@test "a child that only executes a program leaves no orphan behind, but with strict=1" {
	quietly gate=0 orphan_unused
	assert_equal "$status $output" "0 child finished"
	assert_equal "$stderr" ""
	run record -s gate=0 -s strict=1 -- orphan_unused
	assert_success
	run query '[v["kind"] + " " + v["severity"] for v in violations]'
	assert_output "orphaned-lock warning"
}

@test "log=none says nothing, log=PATH writes there, %p is the process" {
	quietly log=none orphan_mutex 300
	assert_equal "$stderr" ""
	quietly "log=$BATS_TEST_TMPDIR/log" orphan_mutex 300
	assert_equal "$stderr" ""
	run cat "$BATS_TEST_TMPDIR/log"
	assert_output --partial orphan-deadlock
	quietly "log=$BATS_TEST_TMPDIR/by.%p" orphan_mutex 300
	assert_equal "$stderr" ""
	run cat "$BATS_TEST_TMPDIR"/by.[0-9]*
	assert_output --partial orphan-deadlock
	assert_regex "$output" "orphan-deadlock \\(pid=[0-9]+\\)"
}

@test "-e N: a violation decides the exit status" {
	run spork run -q -e 42 -- "$VICTIMS/orphan_mutex" 300
	assert_failure 42
	run spork run -q -e 42 -- "$VICTIMS/orphan_cond_clean"
	assert_success
}

@test "mutexes of every kind are tracked, and repaired as what they are" {
	for kind in recursive errorcheck adaptive robust; do
		quietly "" orphan_kind "$kind" 500
		assert_equal "$status" 3
		assert_regex "$stderr" "spork: orphan-deadlock"
		quietly on_orphan=repair orphan_kind "$kind" 3000
		assert_equal "$status" 0
		assert_equal "$output" "child finished"
	done
}

@test "a mutex that parent and child share is no orphan" {
	quietly "" orphan_kind shared 3000
	assert_equal "$status" 0
	assert_equal "$output" "child finished"
	assert_equal "$stderr" ""
}

@test "many orphans of many forks: each counted, each kind of report once, and the deadlock is still found" {
	record -s gate=0 -- orphan_crowd
	run query '[sum(v["count"] for v in violations if v["kind"] == "orphaned-lock"), summary["violations"]["orphaned-lock"]]'
	assert_output $'1020\n1020'
	run query 'sorted((v["lock"]["name"] or "heap", v["count"]) for v in violations if v["kind"] == "orphaned-lock")'
	assert_line --partial "'heap', 1000"
	assert_line --partial "'one', 10"
	assert_line --partial "'other', 10"
	assert_equal "${#lines[@]}" 3
	run query '[deadlock["lock"]["name"], deadlock["count"], bool(deadlock["fork"]["stack"]), bool(deadlock["lock"]["holder_tid"])]'
	assert_output $'other\n1\nTrue\nTrue'
}

@test "threads that the shim was not told of may be the first to ask for orphans" {
	run -0 --separate-stderr preload gate=0:on_orphan=repair orphan_race
	refute_output --partial hung
}

@test "a signal handler may interrupt the first call of a function, and call it too" {
	local status=0

	LIMIT=60 preload "" lock_first || status=$?
	[ "$status" -ne 77 ] || skip "not on this machine"
	assert_equal "$status" 0
}

@test "of a function's names any may be called first, by libc too" {
	local name

	for name in __pthread_mutex_{init,destroy,trylock,{,un}lock} \
		__pthread_rwlock_{init,destroy,{,try}{rd,wr}lock,unlock} _IO_{f,ftry,fun}lockfile print; do
		same_as_bare lock_alias "$name"
	done
	same_as_bare lock_alias __pthread_mutex_{lock,trylock,unlock}
	grep -q 'trylock 16$' "$BATS_TEST_TMPDIR/same.bare.out"
}
