#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Orphaned locks of every kind, taken in every way: reported, repaired as what they are, aborted; and their clean twins.
# gate=0 where an orphan is wanted: the gate would wait for the worker in vain.

load helper

stderr= # set by run --separate-stderr

KINDS="normal recursive errorcheck adaptive robust inherit protect c11 c11_recursive read write spin sem"

# Only who may have a schedule with priorities gets a mutex that protects one.
setup() {
	run victim orphan_kinds protect lock released
	[ "$status" -ne 77 ] || KINDS=${KINDS/protect /}
}

# What a record calls a lock of that kind
type_of() {
	case $1 in
	read | write) echo rwlock ;;
	spin | sem) echo "$1" ;;
	*) echo mutex ;;
	esac
}

# has KIND HOW: is there such a function?
has() {
	case $1.$2 in
	spin.timedlock | spin.clocklock | c11*.clocklock) false ;;
	esac
}

# An orphan of each kind that was taken like $1, in a child that is aborted
aborted() {
	local kind same

	ulimit -c 0
	for kind in $KINDS; do
		has "$kind" "$1" || continue
		run record -s gate=0 -s on_orphan=abort -- orphan_kinds "$kind" "$1" orphan
		assert_equal "$kind $status" "$kind 4"
		assert_equal "$(<"$BATS_TEST_TMPDIR/record.out")" "child killed by signal 6"
		run query '[(v["kind"], v["lock"]["type"], v["lock"]["name"], v["lock"]["holder_name"],
			v["lock"]["acquired"]["symbol"], v["lock"]["holder_ended"], v["lock"]["repaired"],
			[f["symbol"] for f in v["fork"]["stack"][:1] + v["stack"][:2]]) for v in violations]'
		same="'$(type_of "$kind")', 'the_lock', 'worker', 'take', False, False"
		assert_output "('orphaned-lock', $same, ['main'])
('orphan-deadlock', $same, ['main', 'take', 'main'])"
	done
}

@test "taken by lock: reported with kind, holder and places; abort" {
	aborted lock
}

@test "taken by trylock: reported with kind, holder and places; abort" {
	aborted trylock
}

@test "taken by timedlock: reported with kind, holder and places; abort" {
	aborted timedlock
}

@test "taken by clocklock: reported with kind, holder and places; abort" {
	aborted clocklock
}

@test "without a remedy the child blocks, as it does bare" {
	local bare

	for kind in normal robust inherit write spin sem; do
		bare=0
		victim orphan_kinds "$kind" lock orphan 50 || bare=$?
		# glibc aborts a child that waits for a priority-inheriting mutex of nobody's
		if [ "$kind" = inherit ]; then
			assert_equal "$bare" 4
		else
			assert_equal "$kind $bare" "$kind 3"
		fi
		quietly gate=0 orphan_kinds "$kind" lock orphan 400
		assert_equal "$kind $status" "$kind $bare"
		assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
		assert_regex "$stderr" "about to block on $(type_of "$kind") 0x"
	done
}

@test "repair: each kind works in the child in all its ways" {
	for kind in $KINDS; do
		for how in lock trylock timedlock clocklock; do
			has "$kind" "$how" || continue
			quietly gate=0:on_orphan=repair orphan_kinds "$kind" "$how" repaired
			assert_equal "$kind $how $status $output" "$kind $how 0 child finished"
			assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
			assert_regex "$stderr" "made anew, unlocked"
		done
	done
	run -0 record -s gate=0 -s on_orphan=repair -- orphan_kinds normal lock repaired
	assert_equal "$(query 'deadlock["lock"]["repaired"]')" True
}

@test "given back, destroyed, or made anew in a child handler: no orphan" {
	for kind in $KINDS; do
		for how in lock trylock timedlock clocklock; do
			has "$kind" "$how" || continue
			clean orphan_kinds "$kind" "$how" released
		done
		clean orphan_kinds "$kind" lock destroyed
		clean orphan_kinds "$kind" lock remade
	done
}

@test "in shared memory, made for that: the parent gives it back to both" {
	for kind in $KINDS; do
		# mtx_t has no such attribute
		[[ $kind == c11* ]] || clean orphan_kinds "$kind" lock shared
	done
}

@test "made for shared memory, but in private memory: an orphan" {
	for kind in $KINDS; do
		# mtx_t has no such attribute; a semaphore that is made so is never taken for a lock
		[[ $kind == c11* || $kind == sem ]] && continue
		quietly gate=0:on_orphan=repair orphan_kinds "$kind" lock private
		assert_equal "$kind $status $output" "$kind 0 child finished"
		assert_regex "$stderr" "ERROR: spork: orphan-deadlock"
	done
}

@test "unlocked by another thread, where the kind lets it" {
	for kind in normal adaptive c11 read spin sem; do
		clean orphan_kinds "$kind" lock other
	done
}
