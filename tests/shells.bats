#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Shells run long scripts as they do bare, and nothing is reported: vfork trouble shows here first.

load helper

setup() {
	work_setup
	# of the machine's settings only what a shell needs
	unset ENV BASH_ENV CDPATH
}

teardown() {
	kill_left
}

# runs SHELL... SCRIPT: a script of tests/scripts, in an empty folder each time
runs() {
	needs "$1"
	as_bare_everywhere "${@:1:$#-1}" "$ROOT/tests/scripts/${!#}"
}

# controls_jobs SHELL...
controls_jobs() {
	: >typed
	SAME_RUN="-o $BATS_TEST_TMPDIR/jobs.box" on_terminal "$@" "$ROOT/tests/scripts/jobs.sh"
	no_violations "$BATS_TEST_TMPDIR/jobs.box"
	grep -q '^again 8$' "$BATS_TEST_TMPDIR/same.bare.out"
}

# interactive SHELL...: jobs stopped and ended by keys, in the fore- and background. The jobs are one process
# each: a shell that is stopped while it waits in vfork() for its child to execute never is (bare as well).
interactive() {
	script typed <<-'END'
		/bin/echo one | tr a-z A-Z
		sh -c 'printf "ready> "; exec cat'
		^Z
		fg
		@exec cat.*\n@typed text
		@typed text@^D
		echo "fg $?"
		sh -c 'printf "ready> "; exec sleep 30'
		^C
		echo "interrupted $?"
		for i in 1 2 3 4 5; do /bin/echo "$i" | tr 1-5 a-e; done
		no-such-program-anywhere
		(exit 9); echo $?
		sh -c 'printf "ready> "; read -r x; exit 3'
		^Z
		fg
		@exit 3.*\n@a line
		echo "fg $?"
		exit 4
	END
	SAME_RUN="-o $BATS_TEST_TMPDIR/typed.box" on_terminal "$@"
	no_violations "$BATS_TEST_TMPDIR/typed.box"
	grep -q '^fg 0$' "$BATS_TEST_TMPDIR/same.bare.out"
	grep -q '^fg 3$' "$BATS_TEST_TMPDIR/same.bare.out"
}

@test "dash" {
	runs dash posix.sh
	controls_jobs dash
}

@test "dash on a terminal" {
	needs dash
	interactive dash
}

@test "bash: a script for any shell" {
	runs bash posix.sh
	controls_jobs bash
}

@test "bash: what only it has" {
	runs bash bash.bash
}

@test "bash on a terminal" {
	interactive bash --norc --noprofile
}

@test "zsh: a script for any shell" {
	runs zsh --emulate sh posix.sh
}

@test "zsh: what only it has" {
	runs zsh -f zsh.zsh
}

@test "zsh on a terminal" {
	needs zsh
	interactive zsh -f +Z
}

@test "ksh93: a script for any shell" {
	runs ksh93 posix.sh
}

@test "ksh93: what only it has" {
	runs ksh93 ksh93.ksh
}

@test "mksh" {
	runs mksh posix.sh
	runs mksh mksh.mksh
	controls_jobs mksh
}

@test "busybox ash" {
	runs busybox ash posix.sh
	controls_jobs busybox ash
}

@test "tcsh" {
	# of a job's state it says when it happens to see it; and it tells how long something took
	SAME_SED='/^\[[0-9]+\]/d; s/^[0-9.]+u [0-9.]+s .*/a time/' runs tcsh -f tcsh.csh
}
