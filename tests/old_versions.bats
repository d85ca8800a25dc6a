#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# A program linked long ago, against the oldest versions that this libc still has, is interposed the same.

load helper

setup() {
	[ "$(uname -m)" = x86_64 ] || skip "no versions from before 2.17 on this machine"
	work_setup
}

stderr= # set by run --separate-stderr

@test "it is such a program" {
	run bash -c "nm -D --undefined-only '$VICTIMS/old_versions' | sed 's/.* //'"
	for symbol in fork __fork vfork __vfork forkpty posix_spawn posix_spawnp pthread_atfork pthread_create \
		pthread_cond_{init,destroy,wait,timedwait,signal,broadcast} pthread_mutex_{trylock,timedlock} \
		pthread_rwlock_{wrlock,unlock} pthread_spin_{lock,unlock} sem_{post,wait} timer_{create,delete,settime}; do
		assert_line "$symbol@GLIBC_2.2.5"
	done
}

@test "what it spawns comes out as bare" {
	as_bare_everywhere old_versions spawn
	grep -q '^posix_spawnp 0: exit 0$' "$BATS_TEST_TMPDIR/same.bare.out"
}

@test "a script without an interpreter line runs through a shell, as posix_spawnp once had it" {
	quietly "" old_versions spawn
	assert_equal "$stderr" ""
	assert_line "posix_spawn of a script: Success"
	assert_line "posix_spawnp of a script: Success"
	assert_equal "$(grep -c 'no interpreter line: argument' <<<"$output")" 2
}

@test "its spawns are seen, call by call" {
	run record -- old_versions spawn
	assert_success
	run query '[" ".join([site["call"], str(site["spawns"])]) for site in sorted(sites, key=lambda s: (s["call"], -s["spawns"]))]'
	assert_output "$(printf '%s\n' 'fork 5' 'fork 1' 'vfork 5' 'vfork 1')"
	# five forks, five vforks, __fork and __vfork, forkpty, and four of posix_spawn
	assert_equal "$(query 'summary["spawns"]')" 17
	assert_equal "$(query 'summary["by_tier"]["spawn"]')" 4
	assert_equal "$(query '[row["state"] for row in sites if row["call"] == "fork" and row["spawns"] == 5]')" promoted
}

@test "its condition variables wait, wake and time out, and are those of its time" {
	for options in locks=on locks=off locks=order:strict=1; do
		quietly "$options" old_versions condition
		assert_equal "$status $stderr" "0 "
		assert_equal "$output" "$(printf '%s\n' 'turns 2000' 'timed wait: Connection timed out' 'released 3')"
	done
}

@test "functions that took other arguments take them still" {
	as_bare_everywhere old_versions arguments
	quietly "" old_versions arguments
	assert_equal "$status $output $stderr" "0 arguments "
}

@test "its fork handlers are checked" {
	quietly "" old_versions atfork
	assert_regex "$stderr" "ERROR: spork: atfork-not-released"
	assert_equal "$output" "$(victim old_versions atfork)"
	quietly "" old_versions atfork-clean
	assert_equal "$stderr" ""
	assert_equal "$output" "$(printf '%s\n' prepare release 'fork 0: exit 0')"
}

@test "its locks are tracked: orphans and their twins" {
	for kind in trylock timedlock rwlock mtx spin; do
		quietly gate=0 old_versions orphan $kind 500
		assert_equal "$status $output" "3 child hung"
		assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
		clean old_versions clean $kind
	done
}
