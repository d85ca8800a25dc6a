#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Attacks on the spawn window from outside: every way to end, to give way, to be signalled, to be refused.
# Each victim runs bare and under the shim with equal output; the record says that windows were open.

load helper

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
		assert_equal "$(query '[v["kind"] for v in violations]')" ""
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
}

@test "a child's own handlers and mask" {
	windows window_signal own
}
