#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# What other threads may be at when a process forks, besides holding a lock that is theirs; and many threads and
# locks. gate=0 where an orphan is wanted: the gate would wait for the worker in vain.

load helper

stderr= # set by run --separate-stderr

@test "threads in waits for conditions and barriers, and for a lock of the forking thread, hold nothing" {
	for case in cond_wait cond_timedwait cond_clockwait cnd_wait barrier; do
		clean orphan_cases "$case"
	done
	# what the forking thread holds is another matter
	quietly gate=0 orphan_cases waited
	assert_equal "$status $output" "0 child finished"
	refute_regex "$stderr" "spork: orphan"
	assert_regex "$stderr" "NOTE: spork: fork-holding-lock"
}

@test "a thread that came back from a wait holds its mutex" {
	quietly gate=0 orphan_cases cond_held 300
	assert_equal "$status" 3
	assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
}

@test "streams that were locked are open in the child" {
	clean orphan_cases flockfile
	clean orphan_cases ftrylockfile
}

@test "semaphores that tell of events are no locks" {
	clean orphan_cases event
	clean orphan_cases event_handler
	clean orphan_cases lock_event
}

@test "a semaphore with a name is given back by the parent" {
	clean orphan_cases named
}

@test "a semaphore is called an orphan when the child waits for it; with strict=1 at the fork" {
	# its child starts a thread, which is told of by another name
	quietly gate=0 orphan_cases sem_given
	assert_equal "$status $output" "0 child finished"
	refute_regex "$stderr" "spork: orphan"
	quietly gate=0:strict=1 orphan_cases sem_given
	assert_equal "$status $output" "0 child finished"
	assert_regex "$stderr" "WARNING: spork: orphaned-lock"
	refute_regex "$stderr" "orphan-deadlock"
}

@test "what the child gave back for its holder is an orphan no more" {
	for case in spin_given read_given; do
		for remedy in report repair; do
			quietly "gate=0:on_orphan=$remedy" orphan_cases "$case"
			assert_equal "$case $status $output" "$case 0 child finished"
			assert_regex "$stderr" "WARNING: spork: orphaned-lock"
			refute_regex "$stderr" "orphan-deadlock"
		done
	done
}

@test "readers let readers in" {
	quietly gate=0 orphan_cases readers
	assert_equal "$status $output" "0 child finished"
	refute_regex "$stderr" "orphan-deadlock"
}

@test "a lock whose memory has gone is not looked at" {
	clean orphan_cases unmapped
}

@test "recursive and dead owner's: taken more often than given back" {
	for case in recursive robust; do
		quietly gate=0 orphan_cases "$case" 300
		assert_equal "$case $status" "$case 3"
		assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
		quietly gate=0:on_orphan=repair orphan_cases "$case"
		assert_equal "$case $status" "$case 0"
	done
}

@test "several threads of the child want one orphan: repaired once, it lets in one at a time" {
	for _ in 1 2 3; do
		quietly gate=0:on_orphan=repair orphan_cases enter
		assert_equal "$status $output" "0 child finished"
	done
}

@test "a thread that ended with the lock in hand is named, and that it ended" {
	for case in ended ended_exit; do
		run record -s on_orphan=repair -- orphan_cases "$case"
		assert_success
		assert_equal "$(query 'deadlock["lock"]["holder_name"], deadlock["lock"]["holder_ended"]')" \
			"('worker', True)"
		assert_equal "$(query 'deadlock["lock"]["name"]')" queue_lock
	done
	quietly "" orphan_cases ended 300
	assert_equal "$status" 3
	assert_regex "$stderr" "thread 'worker' \\(tid=[0-9]+\\), which had ended"
}

@test "many locks of a forked child are known to a child of its own" {
	run record -s gate=0 -s on_orphan=repair -- orphan_cases deeper
	assert_success
	assert_equal "$(query 'deadlock["lock"]["name"]')" many
	assert_equal "$(query 'summary["violations"]["orphaned-lock"]')" 40
}

# many THREADS LOCKS BATCHES: reported, and not lost
many() {
	LIMIT=60 run record -s gate=0 -- orphan_many "$@"
	assert_success
	run -0 cat "$BATS_TEST_TMPDIR/record.out"
	assert_output "$1 busy"$'\n'"done"
	assert_equal "$(query 'summary["locks_lost"]')" 0
	assert_equal "$(query 'summary["violations"]')" "{'orphaned-lock': $(($1 * $2))}"
}

@test "10,000 locks of one thread, 1,000 of each of ten, one of each of 4,000" {
	many 1 10000 0
	many 10 1000 0
	many 4000 1 0
}

@test "2,000 threads that come and go" {
	many 100 5 20
}

@test "more locks than there is room for are counted, and nothing else happens" {
	LIMIT=60 run record -s gate=0 -- orphan_many 1 50000
	assert_success
	run -0 cat "$BATS_TEST_TMPDIR/record.out"
	assert_output $'1 busy\ndone'
	assert_equal "$(query 'summary["locks_lost"] + summary["violations"]["orphaned-lock"] >= 50000')" True
	assert_equal "$(query 'summary["locks_lost"] > 0')" True
	LIMIT=60 run -0 record -s gate=0 -s locks=order -- orphan_many 1 10000
	assert_equal "$(query 'summary["locks_lost"] > 0')" True
	refute [ "$(query 'summary["violations"].get("lock-order")')" != None ]
}
