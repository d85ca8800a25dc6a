#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect` on each kind of lock: left by a thread that ended; asked for twice; and in use, which is no deadlock.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns status; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

@test "a lock whose holder has ended" {
	each ended "mutex recursive errorcheck adaptive mtx write inherit" orphan
}

@test "a lock that is asked for twice" {
	each again "mutex adaptive robust mtx inherit read spin" self-deadlock
	each again sem all-wait
}

@test "locks of each kind, in use by two threads" {
	each busy "$OWNED inherit read spin sem" ""
}
