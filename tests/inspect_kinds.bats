#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect` on each kind of lock: in a cycle, orphaned, left by a thread that ended, asked for twice; and in use,
# which is no deadlock. Locks that keep no owner are told apart by the shim only.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns status; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

OWNED="mutex recursive errorcheck adaptive robust mtx write"
ALL="$OWNED inherit read spin sem"

# each WAY KINDS VERDICT [SHIM-VERDICT]: "" is none
each() {
	local kind

	for kind in $2; do
		echo "$kind $1, bare"
		start bare hang_kind "$kind" "$1"
		found "$([ -n "$3" ] && echo 2 || echo 0)" "$3"
		stop
		echo "$kind $1, with the shim"
		start gate=0 hang_kind "$kind" "$1"
		found "$([ -n "$3" ] && echo 2 || echo 0)" "${4-$3}"
		stop
	done
}

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

@test "a lock whose holder has ended" {
	each ended "mutex recursive errorcheck adaptive mtx write inherit" orphan
}

@test "a lock that is asked for twice" {
	each again "mutex adaptive robust mtx inherit read spin" self-deadlock
	each again sem all-wait
}

@test "locks of each kind, in use by two threads" {
	each busy "$ALL" ""
}

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
