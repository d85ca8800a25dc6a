#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Orphaned locks of every kind, taken in every way: reported, repaired as what they are, aborted; and their clean
# twins. What other threads may be at when a process forks, and many threads and locks.
# gate=0 where an orphan is wanted: the gate would wait for the worker in vain.

load helper

KINDS="normal recursive errorcheck adaptive robust inherit c11 c11_recursive read write spin sem"

# What the child of the victim does about the lock at last, and what the lock is called in a record.
type_of() {
	case $1 in
	read | write) echo rwlock ;;
	spin | sem) echo "$1" ;;
	*) echo mutex ;;
	esac
}

# has KIND HOW: is there such a function?
has() {
	case $1.$2 in
	spin.timedlock | spin.clocklock | c11*.clocklock) false ;;
	esac
}

# quietly OPTIONS PROG...: preload with stderr apart
quietly() {
	run --separate-stderr preload "$@"
	echo "$*: $output"
	echo "$stderr"
}

# clean CASE...: the victim finishes, and nothing is said
clean() {
	quietly gate=0 "$@"
	assert_equal "$status $output $stderr" "0 child finished "
}

# An orphan of each kind that was taken like $1, in a child that is aborted
aborted() {
	local kind

	ulimit -c 0
	for kind in $KINDS; do
		has "$kind" "$1" || continue
		run record -s gate=0 -s on_orphan=abort -- orphan_kinds "$kind" "$1" orphan
		assert_equal "$kind $status" "$kind 4"
		assert_equal "$(<"$BATS_TEST_TMPDIR/record.out")" "child killed by signal 6"
		assert_equal "$(query '[v["kind"] for v in violations]' | tr '\n' ' ')" \
			"orphaned-lock orphan-deadlock "
		run query '[(v["lock"]["type"], v["lock"]["name"], v["lock"]["holder_name"],
			v["lock"]["acquired"]["symbol"], v["lock"]["holder_ended"], v["lock"]["repaired"])
			for v in violations]'
		assert_line --index 0 "('$(type_of "$kind")', 'the_lock', 'worker', 'take', False, False)"
		assert_equal "${lines[1]}" "${lines[0]}"
		run query '[f["symbol"] for f in deadlock["stack"][:2]]'
		assert_output $'take\nmain'
		run query '[f["symbol"] for f in deadlock["fork"]["stack"][:1]]'
		assert_output main
	done
}

@test "taken by lock: reported with kind, holder and places; abort" {
	aborted lock
}

@test "taken by trylock: reported with kind, holder and places; abort" {
	aborted trylock
}

@test "taken by timedlock: reported with kind, holder and places; abort" {
	aborted timedlock
}

@test "taken by clocklock: reported with kind, holder and places; abort" {
	aborted clocklock
}

@test "without a remedy the child of each kind blocks, as it does bare" {
	local bare

	for kind in $KINDS; do
		bare=0
		victim orphan_kinds "$kind" lock orphan 100 || bare=$?
		# glibc aborts a child that waits for a priority-inheriting mutex of nobody's
		if [ "$kind" = inherit ]; then
			assert_equal "$bare" 4
		else
			assert_equal "$kind $bare" "$kind 3"
		fi
		quietly gate=0 orphan_kinds "$kind" lock orphan 500
		assert_equal "$kind $status" "$kind $bare"
		assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
		assert_regex "$stderr" "about to block on $(type_of "$kind") 0x"
	done
}

@test "repair: each kind works in the child in all its ways" {
	for kind in $KINDS; do
		for how in lock trylock timedlock clocklock; do
			has "$kind" "$how" || continue
			quietly gate=0:on_orphan=repair orphan_kinds "$kind" "$how" repaired
			assert_equal "$kind $how $status $output" "$kind $how 0 child finished"
			assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
			assert_regex "$stderr" "made anew, unlocked"
		done
	done
	run -0 record -s gate=0 -s on_orphan=repair -- orphan_kinds normal lock repaired
	assert_equal "$(query 'deadlock["lock"]["repaired"]')" True
}

@test "given back, destroyed, or made anew in a child handler: no orphan" {
	for kind in $KINDS; do
		for how in lock trylock timedlock clocklock; do
			has "$kind" "$how" || continue
			clean orphan_kinds "$kind" "$how" released
		done
		clean orphan_kinds "$kind" lock destroyed
		clean orphan_kinds "$kind" lock remade
	done
}

@test "in shared memory, made for that: the parent gives it back to both" {
	for kind in $KINDS; do
		# mtx_t has no such attribute
		[[ $kind == c11* ]] || clean orphan_kinds "$kind" lock shared
	done
}

@test "unlocked by another thread, where the kind lets it" {
	for kind in normal adaptive c11 read spin sem; do
		clean orphan_kinds "$kind" lock other
	done
}

@test "threads in waits for conditions and barriers, and for a lock of the forking thread, hold nothing" {
	for case in cond_wait cond_timedwait cond_clockwait cnd_wait barrier waited; do
		clean orphan_cases "$case"
	done
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

@test "a semaphore is called an orphan when the child waits for it; with strict=1 at the fork" {
	clean orphan_cases sem_given
	quietly gate=0:strict=1 orphan_cases sem_given
	assert_equal "$status $output" "0 child finished"
	assert_regex "$stderr" "WARNING: spork: orphaned-lock"
	refute_regex "$stderr" "orphan-deadlock"
}

@test "what the child gave back for its holder is an orphan no more" {
	quietly gate=0 orphan_cases spin_given
	assert_equal "$status $output" "0 child finished"
	refute_regex "$stderr" "orphan-deadlock"
	quietly gate=0:on_orphan=repair orphan_cases spin_given
	assert_equal "$status $output" "0 child finished"
	refute_regex "$stderr" "orphan-deadlock"
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
