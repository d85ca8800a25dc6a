#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# locks=order: the same locks taken in opposite orders are reported once, with both orders' stacks; the clean
# twins give no report, and without the option nobody looks.

load helper

stderr= # set by run --separate-stderr

# ordered CASE...: runs them with locks=order, each of which has to come to its end
ordered() {
	run -0 record -s locks=order -- lock_order "$@"
	assert_equal "$(<"$BATS_TEST_TMPDIR/record.out")" "done"
}

# reported CASE...: exactly one lock-order, and nothing else
reported() {
	ordered "$@"
	run query '[v["kind"] + " " + v["severity"] for v in violations]'
	assert_output "lock-order warning" || fail "$*"
	assert_equal "$(query 'summary["violations"]["lock-order"]')" 1
	assert_equal "$(query 'summary["locks_lost"]')" 0
}

# silent CASE...: no report
silent() {
	ordered "$@"
	run query 'violations'
	assert_output "" || fail "$*"
}

# what QUERY: of the only violation, v
what() {
	query "[($1) for v in violations]"
}

@test "two locks in opposite orders: both locks, both stacks, places and lines" {
	reported opposite
	assert_equal "$(what 'v["lock"]["name"], v["other"]["name"], v["other"]["held"]["name"]')" \
		"('alpha', 'beta', 'alpha')"
	assert_equal "$(what 'v["lock"]["type"], v["other"]["type"], v["cycle"]')" "('mutex', 'mutex', 2)"
	assert_equal "$(what 'v["stack"][0]["symbol"], v["other"]["stack"][0]["symbol"]')" \
		"('beta_alpha', 'alpha_beta')"
	assert_equal "$(what 'v["other"]["acquired"]["symbol"], v["other"]["held"]["acquired"]["symbol"]')" \
		"('beta_alpha', 'alpha_beta')"
	# alpha is the second that beta_alpha takes, beta the second of alpha_beta
	assert_equal "$(what 'v["stack"][0]["line"] > v["other"]["acquired"]["line"]')" True
	assert_equal "$(what 'v["other"]["stack"][0]["line"] > v["other"]["held"]["acquired"]["line"]')" True
	assert_equal "$(what 'v["lock"]["addr"] == v["other"]["held"]["addr"] != v["other"]["addr"]')" True
}

@test "as text: names, functions, lines" {
	run --separate-stderr spork run -s locks=order -- "$VICTIMS/lock_order" opposite
	assert_success
	assert_output "done"
	assert_regex "$stderr" "WARNING: spork: lock-order \\(pid=[0-9]+\\)"
	assert_regex "$stderr" "takes mutex 0x[0-9a-f]+ \\(alpha\\) while it holds mutex 0x[0-9a-f]+ \\(beta\\); elsewhere"
	assert_regex "$stderr" "#0 beta_alpha [^ ]*lock_order.c:[0-9]+"
	assert_regex "$stderr" "It took mutex 0x[0-9a-f]+ \\(beta\\) here:"$'\n'"    #0 beta_alpha "
	assert_regex "$stderr" "opposite order mutex 0x[0-9a-f]+ \\(beta\\) is taken here:"$'\n'"    #0 alpha_beta "
	assert_regex "$stderr" "while mutex 0x[0-9a-f]+ \\(alpha\\) is held, which was taken here:"$'\n'"    #0 alpha_beta "
	assert_regex "$stderr" "SUMMARY: spork: lock-order [^ ]*lock_order.c:[0-9]+ in beta_alpha"
}

@test "however often it happens, it is reported once" {
	reported opposite 300
	reported again
}

@test "without locks=order nobody looks" {
	for locks in on off; do
		run --separate-stderr preload "locks=$locks" lock_order opposite
		assert_success
		assert_output "done"
		assert_equal "$stderr" ""
	done
}

@test "three locks, each pair in order, and a cycle all the same" {
	reported three
	assert_equal "$(what 'v["cycle"]')" 3
	assert_equal "$(what 'v["lock"]["name"], v["other"]["name"], v["other"]["held"]["name"]')" \
		"('alpha', 'gamma_lock', 'beta')"
	assert_equal "$(what 'v["other"]["stack"][0]["symbol"]')" beta_gamma
	run -0 query 'violations[0]["message"]'
	assert_output --partial "cycle of 3 locks"
}

@test "a prepare handler against the rest of the program" {
	reported handler
	assert_equal "$(what 'v["stack"][0]["symbol"], v["other"]["stack"][0]["symbol"]')" \
		"('prepare', 'beta_alpha')"
	assert_equal "$(what '"main" in [f["symbol"] for f in v["stack"]]')" True
	silent handler_clean
}

@test "locks of the heap are told apart by where they were initialised" {
	reported heap
	assert_equal "$(what 'v["lock"]["initialised"]["symbol"], v["other"]["initialised"]["symbol"]')" \
		"('session_new', 'channel_new')"
	assert_equal "$(what 'v["lock"]["name"].split(":")[0], v["other"]["name"] is None')" \
		"('session_new lock_order.c', False)"
	reported heap_kinds
	reported heap_same
	reported heap_plain
	silent heap_reused
}

@test "rwlocks, spin locks and semaphores, among each other and with mutexes" {
	reported rwlock
	assert_equal "$(what 'v["lock"]["type"], v["other"]["type"]')" "('rwlock', 'mutex')"
	silent rwlock_reads
	silent reads_rwlock
	silent readers
	reported spin
	assert_equal "$(what 'v["lock"]["type"], v["other"]["type"]')" "('spin', 'mutex')"
	reported semaphores
	assert_equal "$(what 'v["lock"]["type"]')" sem
	silent events
}

@test "a lock of every kind against a mutex; readers alone harm nobody" {
	for kind in normal adaptive recursive errorcheck robust inherit mtx mtx_recursive write spin sem; do
		run -0 record -s locks=order -- atfork_lock "$kind" order
		assert_equal "$kind $(what 'v["kind"], v["lock"]["name"]')" "$kind ('lock-order', 'the_lock')"
	done
	for kind in normal adaptive recursive errorcheck robust inherit mtx mtx_recursive read write spin sem; do
		run -0 record -s locks=order -- atfork_lock "$kind" ordered
		assert_equal "$kind $(what 'v["kind"]')" "$kind "
	done
	run -0 record -s locks=order -- atfork_lock read order
	assert_equal "$(what 'v["kind"]')" ""
}

@test "a wait for a condition asks for its mutex again" {
	reported condition
	assert_equal "$(what 'v["stack"][0]["symbol"]')" wait_with_beta
	silent condition_clean
}

@test "trying cannot deadlock, but what it got is held" {
	silent trylock
	reported tried_first
}

@test "a lock around both orders makes them safe, unless one goes without" {
	silent gated
	reported gated_once
}

@test "one order, hand over hand, taken again, unlocked by another thread: nothing to report" {
	silent consistent
	silent hand_over_hand
	silent hand_over_hand_heap
	silent relock
	silent unlocked_by_other
}

@test "a forked child knows the order of its parent" {
	reported forked
}

@test "on a small stack" {
	reported small_stack
}
