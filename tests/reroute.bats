#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Which forks take the faster tier, and that no program can tell: each victim runs bare and under the shim
# with equal output, and the record says which tier its site took, and why.

load helper

# Stays on the real fork, for one of these reasons (one regular expression).
stays_refused() {
	assert_equal "$(query 'site["state"]')" refused
	assert_regex "$(query 'site["reason"]')" "$1"
	assert_equal "$(query 'site["by_tier"].get("vfork", 0)')" 0
}

promoted() {
	assert_equal "$(query 'site["state"]')" promoted
	assert [ "$(query 'site["by_tier"].get("vfork", 0)')" -gt 0 ]
}

no_violations() {
	assert_equal "$(query '[v["kind"] for v in violations]')" ""
}

@test "a clean site is promoted after three forks" {
	record -- fork_exec 10
	promoted
	no_violations
	assert_equal "$(query 'site["call"]')" fork
	assert_equal "$(query 'site["symbol"]')" xfork
	assert_equal "$(query 'site["spawns"]')" 10
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 7
	assert_equal "$(query 'site["upgrades"]')" 0
	assert_equal "$(query 'summary["spawns"]')" 10
	assert_equal "$(query 'summary["by_tier"]["vfork"]')" 7
}

@test "a child may change the caller's locals and return from the function that forked" {
	same_as_bare fork_exec 10
	same_as_bare fork_exec 10 "$VICTIMS/exit_static"
	same_as_bare fork_exec 40 /bin/false
}

@test "a child may go on below the stack pointer that fork() returned with, and sort" {
	record -- fork_deeper 10
	promoted
	no_violations
	same_as_bare fork_deeper 10
}

@test "learn=N: N forks come first" {
	record -s learn=6 -- fork_exec 10
	promoted
	assert_equal "$(query 'site["by_tier"]["fork"]')" 6
	record -s learn=1 -- fork_exec 10
	assert_equal "$(query 'site["by_tier"]["fork"]')" 1
	record -s learn=11 -- fork_exec 10
	assert_equal "$(query 'site["state"]')" learning
	assert_equal "$(query 'site["by_tier"].get("vfork", 0)')" 0
}

@test "reaudit=N: every n-th spawn of a promoted site is a real fork again" {
	record -s reaudit=5 -- fork_exec 23
	promoted
	no_violations
	# 20 after learning, four of them audited
	assert_equal "$(query 'site["by_tier"]["fork"]')" 7
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 16
	record -s reaudit=0 -- fork_exec 23
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
}

@test "reroute=off: nothing but real forks" {
	record -s reroute=off -- fork_exec 10
	assert_equal "$(query 'summary["by_tier"].get("vfork", 0)')" 0
	assert_equal "$(query 'summary["by_tier"]["fork"]')" 10
}

@test "other threads may run: promoted, and they do not notice" {
	same_as_bare fork_exec_threads 20
	record -- fork_exec_threads 20
	promoted
	no_violations
}

@test "static data that the child writes is put back" {
	same_as_bare fork_static 12
	record -- fork_static 12
	promoted
	no_violations
	run query '[w["symbol"] for w in site["writes"]]'
	assert_line children
	assert_line last_pid
}

@test "thread-local storage that the child writes is put back, of any thread" {
	same_as_bare fork_tls 8
	record -- fork_tls 8
	no_violations
	# one site each: the frames below spawn_all differ
	run query '["%s %s" % (s["state"], s["by_tier"]["vfork"]) for s in sites]'
	assert_output $'promoted 5\npromoted 5'
}

@test "heap that the child writes: refused" {
	same_as_bare fork_heap 10
	record -- fork_heap 10
	stays_refused writes-heap
}

@test "a child that never executes: refused" {
	same_as_bare fork_noexec 10
	record -- fork_noexec 10
	stays_refused no-exec
}

@test "a child that calls exit(3): refused, its handlers run in it alone" {
	same_as_bare fork_exit 0
	record -- fork_exit 0
	assert_equal "$(query 'site["by_tier"].get("vfork", 0)')" 0
}

@test "a child that calls exit(3) at a promoted site becomes a real fork first" {
	same_as_bare fork_exit 6
	record -- fork_exit 6
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 3
	assert_equal "$(query 'site["upgrades"]')" 1
	assert_equal "$(query 'summary["upgrades"]')" 1
	no_violations
}

@test "a failed exec at a promoted site goes on in a real fork" {
	same_as_bare fork_execfail 6
	record -- fork_execfail 6
	assert [ "$(query 'site["upgrades"]')" -ge 1 ]
	no_violations
}

@test "a failed exec at an unknown site" {
	same_as_bare fork_execfail 0
}

@test "a child that kills itself before exec: one wait status, one SIGCHLD" {
	same_as_bare fork_killed 6 9
	same_as_bare fork_killed 6 15
	same_as_bare fork_killed 0 9
}

@test "a child that dies of SIGSEGV before exec: one wait status, one SIGCHLD" {
	same_as_bare fork_killed 6 11
	same_as_bare fork_killed 0 11
}

@test "a child that waits for its parent: refused, and never hangs" {
	same_as_bare fork_blocks 8
	record -- fork_blocks 8
	stays_refused 'blocks|deadline'
}

@test "environ is the parent's own again, and the program gets the child's" {
	# The shim stays in the environment unless told otherwise.
	LIMIT=20 bounded "$VICTIMS/fork_environ" 8 >"$BATS_TEST_TMPDIR/bare"
	LIMIT=20 spork run -q --no-follow -- "$VICTIMS/fork_environ" 8 >"$BATS_TEST_TMPDIR/shim"
	diff -u "$BATS_TEST_TMPDIR/bare" "$BATS_TEST_TMPDIR/shim"
	LIMIT=20 spork run -q -- "$VICTIMS/fork_environ" 8 >"$BATS_TEST_TMPDIR/follow"
	diff -u "$BATS_TEST_TMPDIR/bare" <(grep -v -e ^LD_PRELOAD= -e ^SPORK_ "$BATS_TEST_TMPDIR/follow")
	record -- fork_environ 8
	promoted
}

@test "a thread in waitpid(-1) sees every child once and no other" {
	same_as_bare fork_wait_thread 60
	record -- fork_wait_thread 60
	no_violations
}

@test "the program inherits the child's mask and dispositions, the parent keeps its own" {
	same_as_bare fork_signals 8
	record -- fork_signals 8
	promoted
}

@test "errno of the parent is left alone" {
	same_as_bare fork_parent_errno 8
	record -- fork_parent_errno 8
	promoted
}

@test "atfork handlers run in POSIX order in the parent, and in a child that goes on" {
	same_as_bare fork_atfork 8
	record -- fork_atfork 8
	no_violations
}

@test "one wrapper, two callers: one site promoted, the other refused" {
	same_as_bare wrapper_mixed 10
	record -- wrapper_mixed 10
	run query '["%s %s" % (s["symbol"], s["state"]) for s in sites]'
	assert_line "xfork promoted"
	assert_line "xfork refused"
	assert_equal "${#lines[@]}" 2
	no_violations
}

# node_spawns STDIO: twelve children of node one after another
node_spawns() {
	needs node
	cat >"$BATS_TEST_TMPDIR/spawn.js" <<-END
		const { spawn } = require('child_process');
		function next(left) {
			if (left > 0)
				spawn('/bin/true', [], { stdio: '$1' }).on('exit', (code) => code === 0 && next(left - 1));
		}
		next(12);
	END
	LIMIT=60 record -- node "$BATS_TEST_TMPDIR/spawn.js"
	no_violations
	run query '["%s %s" % (s["state"], s["reason"]) for s in sites if s["spawns"] == 12]'
	assert_output "promoted none"
	assert_equal "$(query 'summary["by_tier"]["vfork"]')" 9
}

@test "node's spawn() with pipes is promoted" {
	node_spawns pipe
}

@test "node's spawn() without stdio is promoted" {
	# libuv closes descriptors through syscall(SYS_close, fd) here
	node_spawns ignore
}

@test "git's children are promoted" {
	needs git
	cd "$BATS_TEST_TMPDIR"
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 HOME=$PWD
	git init -q repo
	cd repo
	git config user.name Nobody
	git config user.email nobody@example.org
	for i in 1 2 3 4 5 6 7 8 9; do
		git commit -q --allow-empty -m "$i"
	done
	LIMIT=60 record -- git rebase -q --exec true HEAD~8
	no_violations
	run query '[s["state"] for s in sites if s["id"].startswith("git+") and s["by_tier"].get("vfork")]'
	assert_line promoted
}

# deviates HOW: one child at a promoted site does what no child did there before
deviates() {
	cd "$BATS_TEST_TMPDIR" || return 1
	same_as_bare fork_deviate "$1" 6
	record -- fork_deviate "$1" 6
	no_violations
	assert [ "$(query 'site["by_tier"].get("vfork", 0)')" -ge 3 ]
}

@test "a child that starts over has one pid, the one that fork() returned" {
	deviates pid-exit
	assert_equal "$(query 'site["upgrades"]')" 1
	deviates pid-missing
	assert_equal "$(query 'site["upgrades"]')" 1
}

@test "a fault in a window runs the program's handler, in the child" {
	deviates fault
	assert_equal "$(query 'site["upgrades"]')" 1
}

@test "libc's own locks and state are not left to the parent" {
	deviates setenv
	deviates localtime
	deviates getpwnam
}

@test "a child's timers work, and its exit handlers stay with it" {
	deviates alarm
	deviates atexit
	deviates main
}

@test "a child that spins for its parent is ended after a second, and starts over" {
	deviates spin
}

@test "what can be seen from outside is done once" {
	deviates create
	deviates write
}

@test "a store that changed nothing while the site was learned is undone later" {
	same_as_bare fork_deviate flag 6
	record -- fork_deviate flag 6
	promoted
}

@test "other threads' work on the spawning thread's stack is not undone" {
	same_as_bare fork_others counter 300
	same_as_bare fork_others mutex 300
	record -- fork_others counter 300
	promoted
}

@test "threads that use the environment do not meet the child's" {
	LIMIT=20 bounded "$VICTIMS/fork_others" environment 300 >"$BATS_TEST_TMPDIR/bare"
	LIMIT=20 spork run -q --no-follow -- "$VICTIMS/fork_others" environment 300 >"$BATS_TEST_TMPDIR/shim"
	diff -u "$BATS_TEST_TMPDIR/bare" "$BATS_TEST_TMPDIR/shim"
	record -- fork_others environment 300
	promoted
}

@test "orphans of other children are not adopted" {
	same_as_bare fork_daemon 200
	record -- fork_daemon 200
	no_violations
}

@test "a function that is bound for the first time in a re-audited child is no leak" {
	record -s reaudit=7 -- fork_deviate lazy 6
	assert_equal "$(query 'site["audits"]')" 4
	no_violations
	promoted
}

@test "calls in an order that was not learned: that child is a real fork, and the order is learned" {
	same_as_bare fork_paths AAAAAABBBCCCDDA
	record -- fork_paths AAAAAABBBCCCDDA
	promoted
	no_violations
	# the first B, the first C; each D, which uses the heap, though never before D was it seen
	assert_equal "$(query 'site["upgrades"]')" 4
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 8
}

@test "other threads may run: an order that writes static data is never learned, and the others stay fast" {
	same_as_bare fork_paths AAAAAABBBCCCDDA 1
	record -- fork_paths AAAAAABBBCCCDDA 1
	promoted
	no_violations
	assert_equal "$(query 'site["upgrades"]')" 6
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 6
}

@test "atfork handlers whose doing the executed program would see: real forks, also when registered late" {
	for what in umask close environ; do
		same_as_bare fork_handler $what 8
		record -- fork_handler $what 8
		stays_refused '^atfork$'
		same_as_bare fork_handler $what 8 5
		record -- fork_handler $what 8 5
		assert_equal "$(query 'site["state"], site["reason"]')" "('demoted', 'atfork')"
	done
}

@test "atfork handlers that keep to themselves: promoted" {
	same_as_bare fork_handler own 8
	record -- fork_handler own 8
	promoted
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
	record -- fork_handler own 8 5
	promoted
	# the first after the registration is looked at
	assert_equal "$(query 'site["by_tier"]["fork"]')" 4
}

@test "seccomp: a container's filter leaves the fast tier, one that kills or traps is found out without harm" {
	run "$VICTIMS/seccomp_filter" container /bin/true
	[ "$status" -ne 77 ] || skip "no seccomp filters here"
	for filter in container errno kill trap; do
		same_as_bare seccomp_filter $filter "$VICTIMS/fork_exec" 8
	done
	record -- seccomp_filter container "$VICTIMS/fork_exec" 8
	promoted
	for filter in kill trap; do
		record -- seccomp_filter $filter "$VICTIMS/fork_exec" 8
		assert_equal "$(query 'site["by_tier"].get("vfork", 0)')" 0
		assert_equal "$(query 'summary["audits"]')" 0
	done
}

@test "seccomp: a filter that the program installs itself ends rerouting" {
	run "$VICTIMS/seccomp_filter" container /bin/true
	[ "$status" -ne 77 ] || skip "no seccomp filters here"
	same_as_bare seccomp_filter late 6
	record -- seccomp_filter late 6
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 3
	# Its site is not looked up any more.
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
	assert_equal "$(query 'summary["by_tier"]["fork"]')" 9
}

@test "seccomp: a program that confines itself is not ended for what the shim calls" {
	run "$VICTIMS/seccomp_confined" exit 0
	[ "$status" -ne 77 ] || skip "no seccomp filters here"
	assert_success
	for what in exit handlers fork vfork; do
		for count in 0 5; do
			same_as_bare seccomp_confined $what $count
			SAME_RUN="-s locks=off" same_as_bare seccomp_confined $what $count
		done
	done
}

@test "seccomp: a child that confines itself is not ended for what the shim calls, audited or not" {
	run "$VICTIMS/seccomp_confined" child 5
	[ "$status" -ne 77 ] || skip "no seccomp filters here"
	assert_success
	assert_line "child 0: exit 5"
	same_as_bare seccomp_confined child 5
	record -- seccomp_confined child 5
	assert [ "$(query 'summary["audits"]')" -gt 0 ]
}

@test "a child that changes its user unseen leaves its parent dumpable" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	same_as_bare fork_dumpable 8
	record -- fork_dumpable 8
	promoted
	run victim fork_dumpable 8
	assert_success
}

@test "a re-audit finds what windows would have let through: reroute-leak, and the site is demoted" {
	for threads in 0 1; do
		for where in static heap frame environ thread; do
			# With one thread the stack, environ and thread-local storage come back whole.
			[[ $threads$where != 0@(frame|environ|thread) ]] || continue
			record -s reaudit=7 -- fork_leak $where 6 $threads
			assert_equal "$(query '[v["kind"] for v in violations]')" reroute-leak
			assert_equal "$(query 'violations[0]["severity"]')" error
			assert_equal "$(query 'site["state"]')" demoted
			assert_regex "$(query 'site["reason"]')" '^(leak|writes-heap)$'
		done
		record -s reaudit=7 -- fork_leak none 6 $threads
		no_violations
		promoted
	done
	for where in frame environ thread; do
		record -s reaudit=7 -- fork_leak $where 6 0
		no_violations
		promoted
	done
}

@test "sites tells which call, or which write, refused one" {
	record -- fork_deviate setenv 0
	assert_equal "$(query 'site["finding"]["function"]')" setenv
	assert_equal "$(query 'site["finding"]["place"]["symbol"]')" deviate
	record -- fork_heap 5
	assert_equal "$(query 'site["reason"], site["finding"]["function"]')" "('writes-heap', None)"
}

@test "writes are told by what they are: stack, thread-local storage, a symbol, the GOT, environ" {
	record -- fork_static 5
	assert_equal "$(query '[(write["symbol"], write["size"] > 0) for write in site["writes"] if write["symbol"]]')" \
		"$(printf '%s\n' "('last_pid', True)" "('children', True)")"
	assert_equal "$(query 'site["environment"]')" False
	# bound lazily: the first child is the first to call execv
	record -- fork_exec 5
	assert_equal "$(query 'site["got"]')" True
	assert_equal "$(query 'sum(write["size"] for write in site["stack_writes"]) > 0')" True
	record -- fork_environ 5
	assert_equal "$(query 'site["environment"]')" True
	record -- fork_tls 5
	assert_regex "$(query '[write["module"] for write in sites[0]["writes"]]')" '\[thread\]'
}

@test "other threads' words in the forking thread's storage and stack stay theirs; a stack that was given is left alone" {
	for where in tls between beside pool; do
		same_as_bare fork_words $where 100
	done
	for where in tls between; do
		record -- fork_words $where 100
		promoted
	done
	record -- fork_words pool 10
	stays_refused '^unknown-stack$'
}
