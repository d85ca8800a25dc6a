#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# 100,000 spawns with random writes, calls, deaths and upgrades in the window, single- and multi-threaded,
# each compared with its shadow. SEED picks the sequence, by default that of the day.

load ../helper
load ../stress

export LIMIT=600
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

@test "gdb without a shell says so each time" {
	local i

	command -v gdb >/dev/null || skip "gdb is not installed"
	cd "$BATS_TEST_TMPDIR"
	for i in {1..25}; do
		HOME=$PWD SHELL=/no/such/shell LIMIT=60 spork run -q -s reroute=off -- gdb -nx -q -batch \
			-iex 'set debuginfod enabled off' -ex run --args /bin/echo hello >out 2>&1 </dev/null || :
		grep -q 'Cannot exec /no/such/shell' out || fail "run $i: $(cat out)"
	done
}
