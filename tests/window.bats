#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Attacks on the spawn window from outside: every way to end, to give way, to be signalled, to be refused.
# Each victim runs bare and under the shim with equal output; the record says that windows were open.

load helper
load stress

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# windows VICTIM ARGS...: same as bare, with windows open
windows() {
	same_as_bare "$@"
	record -- "$@"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
	assert [ "$(query 'summary["by_tier"].get("vfork", 0)')" -ge 3 ]
}

upgrades_at_least() {
	assert [ "$(query 'summary["upgrades"]')" -ge "$1" ]
}

@test "ends without exec: same status, one SIGCHLD, one pid" {
	windows window_end exit
	upgrades_at_least 9
	windows window_end exit 2
	upgrades_at_least 9
}

@test "exec that fails: same errno, and the child goes on" {
	windows window_end exec
	upgrades_at_least 20
	windows window_end exec 2
	upgrades_at_least 20
}

@test "faults: same signal, and not the parent's stack" {
	windows window_end fault
	upgrades_at_least 6
	windows window_end fault 2
	upgrades_at_least 6
}

@test "killed by another process in the window, by each signal" {
	windows window_end kill
	windows window_end kill 2
}

# upgrades THEME: each call of the theme that a child makes in a window gives way to a real fork before it
# has an effect; alone, and while other threads use the heap
upgrades() {
	local threads told

	for threads in 0 2; do
		same_as_bare window_upgrade "$1" "$threads"
		WINDOWS=1 record -- window_upgrade "$1" "$threads"
		# a child that gives way to a real fork starts its threads there: child.bats
		assert_equal "$(query '[v["kind"] for v in violations if v["kind"] != "child-thread"]')" ""
		told=$(tail -n 1 record.out)
		assert_regex "$told" '^[0-9]+ of [0-9]+ in a window$'
		assert_equal "${told%% of*}" "$(cut -d ' ' -f 3 <<<"$told")"
		upgrades_at_least "${told%% of*}"
	done
}

@test "gives way before: the heap" {
	upgrades heap
}

@test "gives way before: stdio" {
	upgrades stdio
}

@test "gives way before: locks" {
	upgrades lock
}

@test "gives way before: threads and what belongs to one" {
	upgrades thread
}

@test "gives way before: the loader" {
	upgrades loader
}

@test "gives way before: another process, and one of that again" {
	upgrades spawn
}

@test "gives way before: calls that may wait" {
	upgrades blocks
}

@test "gives way before: the memory map" {
	upgrades maps
}

@test "gives way before: credentials" {
	upgrades privilege
}

@test "gives way before: parts of libc with state of their own" {
	upgrades libc
}

@test "gives way before: signals" {
	upgrades signal
}

@test "gives way before: what cannot be done twice" {
	upgrades effect
}

@test "signals to the parent: each once, in order, in the parent" {
	windows window_signal parent
	windows window_signal group 300
}

@test "signals to the child: as its mask and dispositions say" {
	windows window_signal handled
	windows window_signal blocked
	windows window_signal unblocked
	windows window_signal ignored
	windows window_signal pause
	windows window_signal upgraded
	upgrades_at_least 5
}

@test "a child's own handlers and mask" {
	windows window_signal own
}

@test "each child is seen once, whoever waits, and finds its own pid and parent" {
	for how in thread waitid handler signalfd ignore nocldwait; do
		windows window_wait "$how"
		upgrades_at_least 16
	done
}

# state OPEN WHAT...: in that state no window opens: there were OPEN before and after it
state() {
	same_as_bare window_refuse "${@:2}"
	record -- window_refuse "${@:2}"
	if grep -q ^skip record.out; then
		skip "$(grep ^skip record.out)"
	fi
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
	assert_equal "$(query 'sum(s["by_tier"]["vfork"] for s in sites if s["call"] == "fork")')" "$1"
}

reasons() {
	query '" ".join(s["reason"] + " " + s.get("fallback_reason", "") for s in sites)'
}

@test "refused: after unshare of the pid namespace" {
	state 3 unshare
}

@test "refused: after setns" {
	state 3 setns
}

@test "refused: nothing is learned of a traced process" {
	state 0 traced
}

@test "a tracer that comes later, and follows every child" {
	windows window_refuse traced-later
}

# It breaks the rules of vfork() besides, and is told so.
@test "refused: in a vfork child" {
	same_as_bare window_refuse vfork
	record -- window_refuse vfork
	assert_equal "$(query '" ".join(sorted(v["kind"] for v in violations))')" \
		"vfork-unsafe-call vfork-wrote-memory"
	assert_equal "$(query 'sum(s["by_tier"]["vfork"] for s in sites if s["call"] == "fork")')" 8
}

@test "refused: on a coroutine's stack" {
	state 9 coroutine
	assert_regex "$(reasons)" unknown-stack
	state 0 coroutine first
	assert_regex "$(reasons)" unknown-stack
}

@test "refused: on a signal stack" {
	state 9 signal-stack
	assert_regex "$(reasons)" unknown-stack
	state 0 signal-stack first
	assert_regex "$(reasons)" unknown-stack
}

@test "a thread on a stack that the program made" {
	windows window_refuse own-stack
	windows window_refuse own-stack heap
}

@test "no process to be had: EAGAIN, and windows again after it" {
	windows window_refuse processes
}

@test "refused: a seccomp filter that answers clone3 with EPERM, EINVAL, ENOSYS" {
	for error in 1 22 38; do
		state 3 seccomp "$error"
	done
}

@test "refused: set*id in the child" {
	same_as_bare window_upgrade privilege 0 0
	record -- window_upgrade privilege 0 0
	assert_regex "$(reasons)" privilege
	assert_equal "$(query 'summary["by_tier"].get("vfork", 0)')" 0
}

@test "a program too large for fork() spawns all the same" {
	LIMIT=20 victim fork_nomem >bare
	! grep -q ^skip bare || skip "$(grep ^skip bare)"
	run cat bare
	assert_line "full: 6 of 6 failed: Cannot allocate memory, 0 ended well"
	record -- fork_nomem
	# A child that gives way needs a real fork, and that fails as ever.
	run diff bare record.out
	assert_output "2c2
< full: 6 of 6 failed: Cannot allocate memory, 0 ended well
---
> full: 0 of 6 failed, 6 ended well
4c4
< full still: 6 of 6 failed: Cannot allocate memory, 0 ended well
---
> full still: 0 of 6 failed, 6 ended well"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
}

@test "programs get the whole environment while a thread changes it" {
	windows window_environ 500
	# none failed to execute for a pointer that was freed under it
	assert_equal "$(query 'summary["upgrades"]')" 0
}

@test "2000 spawns at random, alone" {
	stress -- 2000 0 1
}

@test "2000 spawns at random, audited again and again" {
	stress -s reaudit=20 -- 2000 0 2
}

@test "2000 spawns at random, by threads, while others do what threads do" {
	stress -- 2000 3 3
	stress -s reaudit=20 -- 2000 3 4
}

@test "the stress itself finds nothing in a bare run" {
	LIMIT=60 victim stress_window 500 0 1
	LIMIT=60 victim stress_window 500 2 1
	run bash -c "'$VICTIMS/stress_window' 500 2 5 | grep -v -e '^0 ' -e '^500 '"
	assert_output ""
}

@test "the shim's own walk of a stack finds what libgcc's finds, and leaves few to it" {
	run timeout -k 1 20 "$VICTIMS/walk_stack"
	assert_success
	assert_line "plain: none passed on"
	assert_line "others: some passed on"
}
