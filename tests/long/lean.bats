#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Storms of lean children that read and write at random everywhere: each sees what a bare fork's child sees, and not one
# byte of the parent changes. CHILDREN: how many.

load ../helper

setup() {
	[ "$(uname -m)" = x86_64 ] || skip "the lean tier is for x86-64"
	CHILDREN=${CHILDREN:-100000}
}

@test "one thread: every child sees what that of a bare fork sees" {
	LIMIT=1700 SAME_RUN="-s reroute=lean" same_as_bare lean_random "$CHILDREN" 11 24
	LIMIT=1700 record -s reroute=lean -- lean_random "$((CHILDREN / 100))" 11 24
	assert [ "$(query 'max(s["by_tier"]["lean"] for s in sites)')" -gt "$((CHILDREN / 120))" ]
}

@test "several threads, which allocate all the time: the same" {
	LIMIT=1700 SAME_RUN="-s reroute=lean" same_as_bare lean_random "$CHILDREN" 12 24 3
}
