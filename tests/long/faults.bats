#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The whole of what tests/faults.bats has a slice of: every error at each system call of the shim's, always and at each
# time alone; every sandbox; SIGKILL at COUNT random moments; SPAWNS spawns. COUNT=100 SPAWNS=100000 is a quarter of an hour less.

load ../helper
load ../faults

COUNT=${COUNT:-1000}
SPAWNS=${SPAWNS:-1000000}
export LIMIT=1700

setup() {
	faults_setup
}

# The line with the counts is shown whether the test fails or not.
say() {
	echo "$output"
	assert_success
	echo "# $BATS_TEST_DESCRIPTION: $(tail -n 1 <<<"$output")" >&3
}

@test "every error at every system call of the shim's, always" {
	needs_alone
	run inside '
		for what in fork spawn vfork; do
			target $what
			EVERY=1 faults $what "" 1 12 11 24 28
			diff bare.out same.out || exit 1
		done
		EVERY=1 faults threads log=none 1 12 11 24 28
		EVERY=1 faults avfork "" 1 12 11 24 28'
	say
}

@test "an error at each of the first 40 times that the shim makes a system call" {
	needs_alone
	run inside '
		for what in fork spawn vfork avfork; do
			EACH=40 faults $what "" 1 12 24
		done
		EACH=40 faults threads log=none 1 12 24'
	say
}

@test "every error at every system call, with a box, a profile and a log" {
	needs_alone
	run inside '
		mkdir files
		# What the shim says of files comes once each, and is no part of the comparison.
		same() {
			[ "$(grep -c "^spork: box: " err)" -le 1 ] && [ "$(grep -c "^spork: profile: " err)" -le 1 ] &&
				[ "$(grep -vcE "^spork: (box|profile): " err)" -eq 0 ] || fail "$(cat err)"
			rm -rf files/*
			[ "$STATUS" -eq 0 ] && cmp out same.out || fail "$(diff same.out out)"
		}
		options=box=$PWD/files/box:profile=$PWD/files/profile:log=$PWD/files/log:locks=order:learn=1:reaudit=2
		for what in fork vfork threads; do
			EVERY=1 faults $what $options 1 12 11 24 28
		done'
	say
}

@test "every sandbox" {
	needs_alone
	run inside '
		for call in clone3 process_vm_readv memfd_create membarrier prctl process_madvise kcmp userfaultfd pidfd_open \
			timer_create; do
			for what in fork threads spawn vfork avfork; do
				sandbox $what $call 1 38 kill trap
			done
		done'
	say
}

@test "SIGKILL of programs that spawn" {
	needs_alone
	run storm target "$COUNT"
	say
}

@test "SIGKILL of children before they execute" {
	needs_alone
	run storm child "$COUNT"
	say
}

@test "SIGKILL of spork run" {
	needs_alone
	run storm run "$COUNT"
	say
}

@test "memory, descriptors, mappings and children over spawns" {
	run flat spawn "$SPAWNS"
	say
	OPTIONS=profile=$PWD/profile:locks=order:reaudit=50 run flat spawn "$((SPAWNS / 10))"
	say
}

@test "memory, descriptors, mappings and children over threads, locks and forks" {
	run flat lock "$((SPAWNS / 10))"
	say
}
