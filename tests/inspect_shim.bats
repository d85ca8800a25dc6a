#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect` where the shim is loaded: what it knows besides.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns status; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

@test "what the shim knows: what each thread holds, where it took it and where it was made" {
	start gate=0 hang_kind read cycle
	found 2 deadlock
	run query '[(h["type"], h["name"], h.get("mode"), h["acquired"][0]["symbol"], (h["origin"] or {}).get("symbol")) for t in of("thread") if t["name"] == "worker" for h in t["holds"]]'
	assert_output "('rwlock', 'lock', 'read', 'rwlock_read', 'rwlock_make')"
	run query '[(h["type"], h["name"], [f["symbol"] for f in h["acquired"]][0]) for t in of("thread") if t["name"] != "worker" for h in t["holds"]]'
	assert_output "('mutex', 'other', 'main')"
	run query '[t["waits"]["holders"] == [w["tid"] for w in of("thread") if w["name"] == "worker"] for t in of("thread") if t["name"] != "worker"]'
	assert_output True
	assert_equal "$(query 'of("process")[0]["shim"]')" True
}

@test "what the shim knows of orphans: who held them, where it took them" {
	start gate=0 hang_kind sem orphan
	found 2 orphan
	run query '[(o["type"], o["name"], o["acquired"][0]["symbol"], o["acquired"][1]["symbol"]) for o in of("process")[0]["orphans"]]'
	assert_output "('sem', 'lock', 'sem_take', 'hold_then_sleep')"
	run query 'of("verdict")[0]["holder"]["name"]'
	assert_output worker
	assert_equal "$(query 'of("verdict")[0]["lock"]["holder_tid"] == of("verdict")[0]["holder"]["tid"]')" True
}

@test "locks that nobody waits for are no verdict, and the shim tells who has them" {
	start gate=0 hang_lock none
	found 0 ""
	run query '[sorted(h["name"] for h in t["holds"]) for t in of("thread") if t["name"] == "worker"]'
	assert_output "['first_lock', 'spin_lock']"
}

@test "a shim that was told to track nothing" {
	start locks=off hang_kind mutex cycle
	found 2 deadlock
	assert_equal "$(query 'of("thread")[0]["holds"][0]["acquired"]')" ""
}
