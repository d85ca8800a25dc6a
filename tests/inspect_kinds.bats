#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect` on each kind of lock, in a cycle and orphaned. Locks that keep no owner are told apart by the shim only.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns status; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

@test "a cycle through a lock that keeps its owner" {
	each cycle "$OWNED inherit" deadlock
}

@test "a cycle through readers, a spin lock and a semaphore" {
	each cycle "read spin sem" all-wait deadlock
}

@test "an orphan of each kind" {
	each orphan "$OWNED read spin" orphan
	each orphan sem all-wait orphan
}
