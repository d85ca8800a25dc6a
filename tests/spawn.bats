#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# posix_spawn(), system() and popen() through the shim: what the program, its commands and its other threads see is
# what they see bare.

load helper

setup() {
	work_setup
}

# by_shim CMD...: as bare, and no call was left to libc
by_shim() {
	same_as_bare "$@"
	record -- "$@" 2>/dev/null
	assert_equal "$(query 'summary["by_libc"]')" "{}"
	assert [ "$(query 'summary["by_tier"]["spawn"]')" -ge "${CALLS:-20}" ]
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
}


@test "posix_spawn(): attributes, file actions, errors" {
	by_shim spawn_world
	SAME_RUN="-s reroute=off" same_as_bare spawn_world
	grep -q 'Argument list too long' "$BATS_TEST_TMPDIR/same.bare.out"
}

@test "system(): status, signals, masks, cancellation" {
	by_shim system_world
	SAME_RUN="-s reroute=off" same_as_bare system_world
}

@test "popen(): streams, what the command inherits, what the caller does at once" {
	by_shim popen_world
	SAME_RUN="-s reroute=off" same_as_bare popen_world
	SAME_RUN="-s follow=0" same_as_bare popen_world
}

@test "popen() of several threads while others fork, change the environment and send signals" {
	LIMIT=100 CALLS=200 by_shim popen_world 3 100
}

@test "what the shim does not know is left to libc, and told" {
	SPORK_OPTIONS='' record -s reroute=off -- spawn_world 2>/dev/null
	assert_equal "$(query 'list(summary["by_libc"])')" "reroute-off"
	run spork run -s reroute=off -- "$VICTIMS/spawn_world"
	assert_output --partial "spawns left to libc: rerouting is switched off"
}
