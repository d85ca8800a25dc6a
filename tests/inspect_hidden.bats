#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect` on libc's hidden locks: a forked child that waits for one for ever, by the class of the lock; and its
# parent, where threads take it and give it back.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns status; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

# hung: $PID is the child of orphan_hidden that does not come back: it is still there when it is looked at
hung() {
	local tries=0

	until PID=$(pgrep -P "$PARENT") && look && [ "$status" -eq 2 ]; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "no child hangs"
		kill -0 "$PARENT" || fail "the victim has ended: $(cat out)"
		sleep 0.1
	done
}

# orphaned CLASSES: the child of each, and its parent, bare and under the shim
orphaned() {
	local class options environment

	for class in $1; do
		for options in bare gate=0:reroute=off; do
			echo "$class, $options"
			environment=()
			[ "$options" = bare ] || environment=(LD_PRELOAD="$SHIM" SPORK_OPTIONS="$options")
			env "${environment[@]}" "$VICTIMS/orphan_hidden" "$class" 20000 20000 >out 2>err </dev/null 3>&- &
			PARENT=$!
			STARTED+=("$PARENT")
			hung
			STARTED=("$PID" "${STARTED[@]}")
			assert_equal "$class, $options: $(what_was_found)" "$class, $options: 2 orphan"
			assert_equal "$class, $options: $(waits hidden)" "$class, $options: $class"
			# the clean twin: its parent, where threads come and go
			PID=$PARENT
			look
			assert_equal "parent of $class, $options: $(what_was_found)" "parent of $class, $options: 0 "
			stop
		done
	done
}

@test "libc's hidden locks, orphaned: timezone, environment, random, syslog, exit, addrinfo" {
	orphaned "timezone environment random syslog exit addrinfo"
}

@test "libc's hidden locks, orphaned: nss, locale, gconv, loader, popen, sem, timer" {
	orphaned "nss locale gconv loader popen sem timer"
}
