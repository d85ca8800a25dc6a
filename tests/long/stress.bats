#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# 100,000 spawns with random writes, calls, deaths and upgrades in the window, single- and multi-threaded,
# each compared with its shadow. SEED picks the sequence, by default that of the day.

load ../helper
load ../stress

LIMIT=600
SEED=${SEED:-$(date +%-j)}

@test "100,000 spawns, alone" {
	stress -- 100000 0 "$SEED"
}

@test "100,000 spawns by three threads, while three more do what threads do" {
	stress -- 100000 3 "$SEED"
}

@test "100,000 spawns by twelve threads, and twelve more" {
	stress -- 100000 12 "$SEED"
}

@test "100,000 spawns, of which every fiftieth is audited again" {
	stress -s reaudit=50 -- 100000 0 "$SEED"
	stress -s reaudit=50 -- 100000 3 "$SEED"
}

@test "100,000 spawns that all do as they did while learned" {
	record -s locks=off -- stress_window 100000 3 "$SEED" 0
	run grep -v -e '^0 ' -e '^100000 ' "$BATS_TEST_TMPDIR/record.out"
	assert_output ""
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
}
