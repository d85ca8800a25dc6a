#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# 10,000 forks while four threads take locks for short times: not one child hangs.

load ../helper

export LIMIT=1200

# forks WHAT
forks() {
	record -s gate=2000 -- gate_forks "$1" 10000
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "0 of 10000 hung"
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
}

@test "10,000 forks: mutexes, nested" {
	forks mutex
}

@test "10,000 forks: mutexes of C11" {
	forks mtx
}

@test "10,000 forks: spin locks" {
	forks spin
}

@test "10,000 forks: rwlocks" {
	forks rwlock
}

@test "10,000 forks: semaphores" {
	forks sem
}

@test "10,000 forks: a queue with conditions" {
	forks cond
}

@test "10,000 forks: threads that are made and end" {
	forks short
}

@test "10,000 forks: by each of two threads" {
	forks two
}

@test "10,000 forks: localtime_r() and mktime()" {
	forks time
}

@test "10,000 forks: setenv(), getenv() and unsetenv()" {
	forks environment
}

@test "10,000 forks: getaddrinfo()" {
	forks addrinfo
}

@test "10,000 forks: getpwnam()" {
	forks passwd
}

@test "10,000 forks: syslog()" {
	forks syslog
}

@test "10,000 forks: random()" {
	forks random
}

@test "10,000 forks: each thread another of libc's functions" {
	forks all
}
