#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The registry of atfork handlers, which must be libc's in all that a program can see, and what is found wrong with
# handlers one by one: each fault by every lock it can be made with, and the clean twins, which stay silent.

load helper

# What keeps its owner's thread id, and what does not.
OWNED=(recursive errorcheck robust inherit mtx_recursive write)
PLAIN=(normal adaptive mtx read spin)

# kinds OPTIONS VICTIM ARGS...: what is reported under the shim, one a line, sorted
kinds() {
	preload "$@" 2>&1 >/dev/null | sed -n 's/^SUMMARY: spork: \([^ ]*\) .*/\1/p' | sort
}

# finds KINDS OPTIONS VICTIM ARGS...
finds() {
	run kinds "${@:2}"
	[ "$output" = "$1" ] || fail "${*:3} ($2): found '$output' for '$1'"
}

# same ARGS...: stdout, stderr and status of atfork_order are those of a bare run. Processes that run side by side
# may print in another order, so lines are sorted.
same() {
	local bare=0 shim=0

	bare=$(victim atfork_order "$@" 2>&1 | sort) || bare+=failed
	shim=$(preload "" atfork_order "$@" 2>&1 | sort) || shim+=failed
	[ -n "$bare" ] || fail "atfork_order $* prints nothing"
	assert_equal "$shim" "$bare"
}

@test "handlers run in POSIX order, NULL ones not at all" {
	same plain
	run preload "" atfork_order plain
	assert_line "child: CA13"
	assert_line "parent: CAab"
}

@test "handlers registered while handlers run take part in the next fork" {
	same register
	run preload "" atfork_order register
	assert_line "parent: RAar"
}

@test "handlers whose object is unloaded run no more, also if another handler unloads it" {
	same remove
	same removed
}

@test "handlers that fork" {
	same nested
	run preload "" atfork_order nested
	assert_line "parent: B(CB()Aa()bc)Aa(CB()Aa()bc)b"
}

@test "handlers that jump out: the next fork is as bare, and what follows is no handler's doing" {
	same jump
	finds "" "" atfork_order jump
}

@test "two threads that fork at once: each its own handlers in order" {
	same threads
	same late
	run preload "" atfork_order late
	assert_line --index 3 "child: A12"
}

@test "daemon and forkpty run the handlers, system, popen, posix_spawn and wordexp do not" {
	for what in daemon forkpty system popen posix_spawn wordexp; do
		same "$what"
	done
	run preload "" atfork_order daemon
	assert_line "daemon: CA13"
}

@test "without memory pthread_atfork returns ENOMEM, and what was registered before runs" {
	run preload "" atfork_order full
	assert_success
	assert_line "full: Cannot allocate memory"
	assert_line "child 0: exit 0"
	assert_line "prepared: all"
}

@test "clean twins: locks that the child makes anew, by a call or by assignment, or takes for itself" {
	for lock in "${PLAIN[@]}" "${OWNED[@]}" sem; do
		for what in init assign balanced; do
			finds "" "" atfork_lock "$lock" "$what"
		done
	done
}

@test "clean twins: a child may unlock what keeps no owner" {
	for lock in "${PLAIN[@]}" sem; do
		finds "" "" atfork_lock "$lock" unlock
		run preload "" atfork_lock "$lock" unlock use 900
		assert_output "child 0: exit 0"
	done
}

@test "atfork-not-released: after the parent handlers, by every lock" {
	for lock in "${PLAIN[@]}" "${OWNED[@]}" sem; do
		finds atfork-not-released "" atfork_lock "$lock" keep_parent
	done
}

@test "atfork-not-released: after the child handlers, by every lock" {
	for lock in "${PLAIN[@]}" "${OWNED[@]}" sem; do
		finds atfork-not-released "" atfork_lock "$lock" keep_child
	done
}

@test "the record of atfork-not-released tells lock, handler, phase, and where the lock was taken" {
	run record -- atfork_lock write keep_parent
	assert_success
	assert_equal "$(query 'len(violations)')" 1
	run query '[violations[0][key] for key in ("kind", "severity", "phase", "call")]'
	assert_output $'atfork-not-released\nerror\nparent\nfork'
	run query '[violations[0]["lock"][key] for key in ("type", "name")]'
	assert_output $'rwlock\nthe_lock'
	assert_equal "$(query 'violations[0]["handler"]["symbol"]')" prepare
	assert_equal "$(query 'violations[0]["lock"]["acquired"]["symbol"]')" take
	assert_equal "$(query 'violations[0]["lock"]["initialised"]["symbol"]')" make
	assert_equal "$(query 'violations[0]["lock"]["holder_tid"] == violations[0]["pid"]')" True
	run query '[frame["symbol"] for frame in violations[0]["fork"]["stack"]]'
	assert_line --index 0 xfork
	assert_line --index 1 main
	run record -- atfork_lock normal keep_child
	run query '[violations[0][key] for key in ("kind", "phase")]'
	assert_output $'atfork-not-released\nchild'
	assert_equal "$(query 'violations[0]["lock"]["holder_tid"] == violations[0]["ppid"]')" True
}

@test "atfork-not-released: also where the fork took a faster tier" {
	run record -- atfork_lock recursive keep_parent exec
	assert_success
	assert_equal "$(query 'summary["by_tier"]["vfork"] > 2')" True
	assert_equal "$(query 'summary["violations"]')" "{'atfork-not-released': 8}"
	run record -- atfork_lock recursive init exec
	assert_equal "$(query 'summary["by_tier"]["vfork"] > 2')" True
	assert_equal "$(query 'summary["violations"]')" "{}"
}

@test "atfork-not-acquired: in a parent and in a child handler, by every lock but semaphores" {
	for lock in "${PLAIN[@]}" "${OWNED[@]}"; do
		finds atfork-not-acquired "" atfork_lock "$lock" extra_parent
		finds atfork-not-acquired "" atfork_lock "$lock" extra_child
	done
	finds "" "" atfork_lock sem extra_parent
	finds "" "" atfork_lock sem extra_child
}

@test "atfork-not-acquired: what the caller of fork() had taken itself" {
	for lock in "${PLAIN[@]}" "${OWNED[@]}"; do
		finds $'atfork-not-acquired\nfork-holding-lock' "" atfork_lock "$lock" own_parent
	done
	run preload "" atfork_lock normal own_parent
	assert_output --partial "which no prepare handler took, but the caller of fork()"
}

@test "the record of atfork-not-acquired tells handler, phase and stack" {
	for phase in parent child; do
		run record -- atfork_lock spin extra_$phase
		run query '[violations[0][key] for key in ("kind", "severity", "phase")]'
		assert_output $'atfork-not-acquired\nerror\n'$phase
		assert_equal "$(query 'violations[0]["handler"]["symbol"]')" $phase
		assert_equal "$(query 'violations[0]["lock"]["type"]')" spin
		run query '[frame["symbol"] for frame in violations[0]["stack"]]'
		assert_line --index 0 give
		assert_line --index 1 $phase
	done
}

@test "bare, a child handler's unlock of a lock that keeps its owner fails, and the next lock hangs or aborts" {
	ulimit -c 0
	for lock in "${OWNED[@]}"; do
		run victim atfork_lock "$lock" unlock use
		assert_output --regexp "child 0: signal (14|6)"
	done
}

@test "atfork-wrong-owner: each lock that keeps its owner, before the unlock" {
	ulimit -c 0
	for lock in "${OWNED[@]}"; do
		finds atfork-wrong-owner "" atfork_lock "$lock" unlock
		finds atfork-wrong-owner "" atfork_lock "$lock" unlock use
	done
	finds atfork-wrong-owner "" atfork_lock recursive twice
}

@test "atfork-wrong-owner, on_orphan=repair: the unlock works" {
	for lock in "${OWNED[@]}"; do
		run preload on_orphan=repair atfork_lock "$lock" unlock use 900
		assert_line "child 0: exit 0"
		assert_line --partial "atfork-wrong-owner"
	done
	run preload on_orphan=repair atfork_lock recursive twice use 900
	assert_line "child 0: exit 0"
}

@test "the record of atfork-wrong-owner tells what keeps the owner, handler and stacks" {
	run record -- atfork_lock robust unlock
	run query '[violations[0][key] for key in ("kind", "severity", "phase")]'
	assert_output $'atfork-wrong-owner\nerror\nchild'
	assert_equal "$(query '"(robust)" in violations[0]["message"]')" True
	assert_equal "$(query 'violations[0]["handler"]["symbol"]')" child
	assert_equal "$(query 'violations[0]["lock"]["acquired"]["symbol"]')" take
	assert_equal "$(query 'violations[0]["stack"][0]["symbol"]')" give
}

@test "strict=1: a lock that the child handler initialises while it is locked" {
	for lock in normal write; do
		finds atfork-not-released strict=1 atfork_lock "$lock" init
	done
	run record -s strict=1 -- atfork_lock normal init
	assert_equal "$(query 'violations[0]["phase"]')" child
	assert_equal "$(query '"anew while it is locked" in violations[0]["message"]')" True
	finds "" strict=1 atfork_lock normal balanced
}

@test "fork-holding-lock: told unless the child only executes a program" {
	ulimit -c 0
	for lock in "${PLAIN[@]}" "${OWNED[@]}"; do
		finds fork-holding-lock "" atfork_lock "$lock" own use
		finds fork-holding-lock "" atfork_lock "$lock" own
		finds fork-holding-lock "" atfork_lock "$lock" own give
		finds "" "" atfork_lock "$lock" own exec
		finds "" "" atfork_lock "$lock" own_init use
		finds fork-holding-lock strict=1 atfork_lock "$lock" own exec
	done
	finds "" strict=1 atfork_lock sem own use
}

@test "the record of fork-holding-lock tells where the lock was taken and where the fork was" {
	run record -- atfork_lock normal own use
	run query '[violations[0][key] for key in ("kind", "severity")]'
	assert_output $'fork-holding-lock\nnote'
	assert_equal "$(query '"phase" in violations[0]')" False
	run query '[frame["symbol"] for frame in violations[0]["lock"]["acquired_stack"]]'
	assert_line --index 0 take
	assert_line --index 1 main
	assert_equal "$(query 'violations[0]["fork"]["stack"][0]["symbol"]')" xfork
	assert_equal "$(query 'violations[0]["stack"][0]["symbol"]')" take
}

@test "locks=off: no lock is looked at" {
	for what in keep_parent keep_child extra_parent unlock own; do
		finds "" locks=off atfork_lock recursive "$what"
	done
}

@test "bare, a handler in an unloaded object ends the program" {
	for what in stale parent; do
		run victim atfork_stale "$what"
		assert_failure 139
	done
}

@test "atfork-stale: reported and not called, and the other handlers run" {
	for what in stale old parent; do
		run preload log=none atfork_stale "$what"
		[ "$what" != old ] || [ "$status" != 77 ] || continue
		assert_success
		assert_equal "$output" $'child: A1\nchild 0: exit 0\nparent: Aa\nchild: A1\nchild 0: exit 0\nparent: Aa'
		finds $'atfork-stale\natfork-stale' "" atfork_stale "$what"
	done
}

@test "the record of atfork-stale names the handler, though its object is gone" {
	run record -- atfork_stale parent
	run query '[violations[0][key] for key in ("kind", "severity", "phase")]'
	assert_output $'atfork-stale\nerror\nparent'
	assert_equal "$(query 'violations[0]["handler"]["symbol"]')" plugin_parent
	assert_equal "$(query 'violations[0]["handler"]["module"].endswith("/atfork_plugin")')" True
}

@test "clean twins: a plugin's own handlers, one that is still there or there again, code made at run time" {
	for what in clean loaded again code; do
		run victim atfork_stale "$what"
		bare=$status$output
		run preload "" atfork_stale "$what"
		assert_equal "$status$output" "$bare"
	done
}

@test "atfork-bypassed: a child made without handlers that goes on to use what they are there for" {
	calls=(_Fork clone raw clone3)
	[ "$(uname -m)" != x86_64 ] || calls+=(fork)
	for call in "${calls[@]}"; do
		for what in malloc lock exit fork; do
			finds atfork-bypassed "" atfork_bypass "$call" "$what"
		done
		finds $'atfork-bypassed\natfork-bypassed' "" atfork_bypass "$call" again
	done
	# not by the shim's own unwinder
	run preload "" atfork_bypass clone again
	assert_line --partial "calls malloc()"
	assert_line --partial "calls printf()"
	refute_output --partial "calls pthread_once()"
}

@test "clean twins: a child that executes or ends, at once or after safe calls; without handlers; of fork()" {
	for call in _Fork clone raw; do
		for what in exec _exit safe execfail "malloc none" "lock none"; do
			# shellcheck disable=SC2086 # two words
			finds "" "" atfork_bypass "$call" $what
		done
	done
	for what in malloc lock exit fork; do
		finds "" "" atfork_bypass libc "$what"
	done
}

@test "the record of atfork-bypassed tells the call, where it was made, and where the child is" {
	run record -- atfork_bypass clone malloc
	run query '[violations[0][key] for key in ("kind", "severity", "call")]'
	assert_output $'atfork-bypassed\nnote\nclone'
	assert_equal "$(query '"calls malloc()" in violations[0]["message"]')" True
	assert_equal "$(query 'violations[0]["stack"][0]["symbol"]')" in_child
	assert_equal "$(query 'violations[0]["fork"]["stack"][0]["symbol"]')" make
	run record -- atfork_bypass raw malloc
	assert_equal "$(query 'violations[0]["call"]')" syscall
	run record -- atfork_bypass _Fork malloc
	assert_equal "$(query 'violations[0]["call"]')" _Fork
}

@test "a child made without handlers knows of orphaned locks" {
	for call in _Fork clone raw; do
		run kinds "" atfork_bypass "$call" orphan
		assert_line orphan-deadlock
		assert_line orphaned-lock
	done
}
