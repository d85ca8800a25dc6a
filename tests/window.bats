#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Attacks on the spawn window from outside: every way to end, to give way, to be signalled, to be refused.
# Each victim runs bare and under the shim with equal output; the record says that windows were open.

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# windows VICTIM ARGS...: same as bare, with windows open; then $1 of `upgrades` is checked by the caller
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
