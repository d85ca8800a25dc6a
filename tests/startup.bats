#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a program pays for the shim at its start, and what is there from the start all the same.

load helper

@test "a program that does nothing of interest has no recorder until it does" {
	run bounded env LD_PRELOAD="$SHIM" "$VICTIMS/startup"
	assert_output "boxes 0 1"
}

@test "a program that does nothing of interest makes no system call for the shim" {
	needs strace
	calls() {
		bounded strace -f -o "$BATS_TEST_TMPDIR/calls" -E "LD_PRELOAD=$1" "$VICTIMS/exit_dynamic"
		# what ld.so does for a library aside
		grep -vE '^[0-9]+ +(execve|access|openat|read|pread64|(newf)?stat.*|fstat|close|getcwd|m(un)?map|mprotect|brk)\(' \
			"$BATS_TEST_TMPDIR/calls" | sed 's/^[0-9]* *//; s/(.*//'
	}
	assert_equal "$(calls "$SHIM")" "$(calls "")"
}

@test "what ld.so does at each start stays little: mappings, relocations, look-ups" {
	run bash -c "readelf -lW '$SHIM' | grep -c ' LOAD '"
	assert_output 2
	[ "$(readelf -rW "$SHIM" | grep -c RELATIVE)" -lt 32 ]
	[ "$(readelf -rW "$SHIM" | grep -cE 'JUMP_SLO|GLOB_DAT')" -lt 16 ]
}

@test "options are those that the program was started with" {
	run bounded env LD_PRELOAD="$SHIM" "$VICTIMS/startup" "box=$BATS_TEST_TMPDIR/late.box:no=such"
	assert_output "boxes 0 1"
	assert [ ! -e "$BATS_TEST_TMPDIR/late.box" ]
}

@test "a box with a name has every program, also one that does nothing" {
	preload "box=$BATS_TEST_TMPDIR/a.box" exit_dynamic
	preload "box=$BATS_TEST_TMPDIR/a.box" exit_dynamic
	run spork report -f json "$BATS_TEST_TMPDIR/a.box"
	assert_equal "$(grep -c '"type":"process"' <<<"$output")" 2
}

@test "programs that start together record in one box" {
	cd "$BATS_TEST_TMPDIR"
	for round in {1..40}; do
		for _ in {1..4}; do
			preload "box=$PWD/$round.box" exit_dynamic 2>>said &
		done
		wait
	done
	run cat said
	assert_output ""
	for round in 1 20 40; do
		run spork report -f json "$round.box"
		assert_equal "$(grep -c '"type":"process"' <<<"$output")" 4
	done
	assert_equal "$(stat -c %a 1.box)" 600
}

@test "an empty file becomes a box, as one that its maker was killed over; others are left alone" {
	cd "$BATS_TEST_TMPDIR"
	: >empty
	printf x >short
	head -c 65536 /dev/zero >zeros
	preload "box=$PWD/empty" exit_dynamic
	run spork report -f json empty
	assert_equal "$(grep -c '"type":"process"' <<<"$output")" 1
	# shellcheck disable=SC2154 # set by quietly
	for file in short zeros; do
		cp "$file" before
		quietly "box=$PWD/$file" exit_dynamic
		assert_regex "$stderr" "is not a box of this version of spork"
		cmp before "$file"
	done
}

@test "a child that was forked while another thread set the shim up does not wait for it at each hook" {
	LIMIT=20 run preload "" startup_race
	assert_equal "$status $output" "0 child 0
done"
}
