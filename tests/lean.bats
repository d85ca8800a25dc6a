#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The lean tier: children whose parent's large mappings are left out see what those of a bare fork see, whatever they do,
# and nobody waits for them in vain.

load helper

setup() {
	[ "$(uname -m)" = x86_64 ] || skip "the lean tier is for x86-64"
}

# lean LEAST: so many spawns of the only fork() site took the tier, and none shared memory
lean() {
	assert_equal "$(query 'sum(s["by_tier"].get("vfork", 0) for s in sites if s["call"] == "fork")')" 0
	assert [ "$(query 'max(s["by_tier"].get("lean", 0) for s in sites)')" -ge "$1" ]
}

# same [-s OPTION]... CMD...: same_as_bare with these options of spork run, and its records as `record` leaves them
same() {
	local options=(-s reroute=lean)

	while [ "$1" = -s ]; do
		options+=("$1" "$2")
		shift 2
	done
	SAME_RUN="${options[*]} -o $BATS_TEST_TMPDIR/box" same_as_bare "$@"
	spork report -f json "$BATS_TEST_TMPDIR/box" >"$BATS_TEST_TMPDIR/record.jsonl"
}

# child WHAT [REASON]: as bare; and why its site is lean no longer, if it is not
child() {
	same lean_child "$1"
	lean 5
	assert_equal "$(query '[s["lean"]["reason"] for s in sites if s["by_tier"].get("lean")][0]')" "${2:-none}"
}

# edge WHAT [REASON]: the same for what is at the edge of the interfaces
edge() {
	same lean_edge "$1"
	lean 5
	assert_equal "$(query '[s["lean"]["reason"] for s in sites if s["by_tier"].get("lean")][0]')" "${2:-none}"
}

@test "children that read and write at random everywhere see what those of a bare fork see" {
	local seed

	for seed in 1 2 3; do
		LIMIT=90 same lean_random 60 $seed 48
		lean 50
		assert [ "$(query 'max(s["lean"]["pages"] for s in sites)')" -gt 1000 ]
		assert_equal "$(query '[v["kind"] for v in violations]')" ""
	done
}

@test "the same by reroute=auto, where the heap refuses the site for shared memory" {
	LIMIT=90 same -s reroute=auto lean_random 60 4 48
	lean 50
	assert_equal "$(query '[s["state"] for s in sites if s["by_tier"].get("lean")][0]')" refused
}

@test "the same in a process whose other threads allocate all the time" {
	LIMIT=90 same lean_random 60 1 48 3
	lean 30
}

@test "a child that waits for its parent does not hold it, and sees its memory as it was" {
	child handshake deadline
}

@test "so with a child that never executes, and with one that computes" {
	child stays deadline
	child spins deadline
}

@test "faults are the program's, caught or not, and so is a SIGSEGV that is sent" {
	child fault fault
	child fault-caught fault
	child fault-sent syscall
}

@test "what the child does to SIGSEGV and SIGSYS holds, up to the program it executes" {
	child blocked
	child ignored
}

@test "handlers of the program run in the child, with all signals blocked and memory to fetch" {
	child handler syscall
	child alarm
}

@test "a child that is made in a handler returns from it: to the mask and the alternate stack of before" {
	edge in-handler
}

@test "an alternate stack that is asked for with SS_ONSTACK may be asked for again" {
	edge stack-flags
}

@test "a handler of SIGCHLD that runs before fork() returns may fork, once the parent's handlers have run" {
	same lean_edge follow
	lean 5
}

@test "a child that has become an ordinary one has its own alternate stack again" {
	edge stack-after syscall
}

@test "handlers have as much of an alternate stack as they were given" {
	same lean_edge deep
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" unknown-stack
	edge deep-child unknown-stack
}

@test "children of the child have all of the memory: fork, clone, vfork, posix_spawn, system" {
	child fork nested-spawn
	child raw-fork syscall
	child vfork nested-spawn
	child spawn nested-spawn
}

@test "a lean child that has become an ordinary one has lean children of its own" {
	child generations nested-spawn
	assert [ "$(query 'sum(s["by_tier"].get("lean", 0) for s in sites)')" -gt 8 ]
}

@test "a thread that the child starts has all of the memory" {
	child thread syscall
}

@test "a child is served by the thread that forked when the main thread has ended" {
	edge main-ends
}

@test "what no page of the parent stands for has none in a child that fetches all, whether its parent can tell or not" {
	edge sparse syscall
}

@test "a child that closes all descriptors fetches on" {
	child closes
}

@test "no call is shortened, or fails, for memory that is not there yet" {
	child calls
}

@test "a socket's filter, to which the child's argument points, is there" {
	edge filter syscall
}

@test "files of /proc show the child's memory as it is in a bare one" {
	edge files syscall
}

@test "a system call on a stack that has no room is made all the same" {
	edge narrow unknown-stack
}

@test "a child that calls the kernel as 32-bit programs do calls what it means" {
	child int80 syscall
}

@test "a child whose call a filter answers with a signal gets it" {
	same seccomp_filter 135=trap "$VICTIMS/lean_child" trapped # personality
	lean 5
}

@test "the child's mappings come and go as they should: munmap, mmap, mprotect, madvise, mremap, brk" {
	child maps
}

@test "a call that the kernel refuses for its address is refused in the child, which goes on" {
	edge unaligned
}

@test "memory that the program marks for its children is as it says: madvise()" {
	local what

	for what in wiped wiped-raw; do
		same lean_child $what
		assert_equal "$(query 'sum(s["by_tier"].get("lean", 0) for s in sites)')" 0
		assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" marked
	done
}

@test "pages that the program guards by madvise() fault in a child as well" {
	same lean_edge guard
	# an older kernel does not guard, and a child is as any other
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" marked
}

@test "children in a pid namespace of their own do not know their parent by its id" {
	unshare -pf true 2>/dev/null || skip "no pid namespaces here"
	same lean_child namespace
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" namespace
	child namespace-inline
}

@test "what a child needed is not left out of the next one" {
	local pages

	same lean_malloc
	lean 5
	pages=$(query 'max(s["lean"]["pages"] for s in sites)')
	assert [ "$pages" -ge 1 ]
	assert [ "$pages" -le 3 ]
}

@test "where libc's heap lies elsewhere than usual, no lean children while there are threads" {
	same env MALLOC_ARENA_MAX=1 "$VICTIMS/lean_arena" barred
	assert_equal "$(query 'sum(s["by_tier"].get("lean", 0) for s in sites)')" 0
	same env MALLOC_ARENA_MAX=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=2 "$VICTIMS/lean_arena"
	assert_equal "$(query 'sum(s["by_tier"].get("lean", 0) for s in sites)')" 0
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" threads
}

@test "what libc looks at first in a child may be left out, and so may the alternate stack" {
	same lean_arena pool
	lean 20
}

@test "no thread is shown that SIGSEGV is the shim's for a moment" {
	same -s learn=1 lean_action 100
	lean 10
	# where nothing is large enough to be left out
	same -s learn=1 lean_action 50 128
	lean 0
}

@test "where a program is linked with a malloc() of its own, no lean children while it has threads" {
	same lean_malloc
	lean 5
	same lean_malloc 1
	lean 0
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" threads
}

@test "reroute=vfork: no lean children; reroute=lean: none that share memory; small processes just fork" {
	LIMIT=90 record -s reroute=vfork -- lean_random 20
	assert_equal "$(query 'sum(s["by_tier"].get("lean", 0) for s in sites)')" 0
	record -s reroute=lean -- fork_exec 10
	assert_equal "$(query 'site["by_tier"]["fork"]')" 10
	assert_equal "$(query 'site["lean"]["fallback"]')" small
}

@test "a limit on the address space does not matter" {
	local limited='ulimit -v 400000; exec "$@"'

	SAME_RUN="-s reroute=lean" same_as_bare /bin/sh -c "$limited" sh "$VICTIMS/lean_child" calls
}

@test "a process that is too large to be copied has lean children, whether its site was learned before or not" {
	local grows mode

	run victim lean_nomem
	[ "$status" -ne 77 ] || skip "no mapping of that size is promised here"
	[[ $output == *"child 9: Cannot allocate memory"* ]] || skip "any copy is promised here"
	assert_line "child 4: exit 0"
	for grows in 5 1 0; do
		for mode in lean auto; do
			run record -s reroute=$mode -- lean_nomem $grows
			assert_success
			run grep -c 'exit 0' "$BATS_TEST_TMPDIR/record.out"
			assert_output 10
			lean $((10 - grows - (grows > 0)))
		done
	done
}

# holding NAME CMD...: as bare, and its children are lean
holding() {
	needs "$1"
	same -s reroute=auto "$@"
	lean 10
}

@test "children of perl, python and bash that hold much memory are lean" {
	holding perl -e 'my $held = "a" x (40 << 20);
		for (1..20) { my $pid = fork; exec "/bin/echo", $_ unless $pid; waitpid $pid, 0; print "$?\n" }'
	holding perl -e 'my $held = "a" x (40 << 20); for (1..20) { print system("/bin/echo", $_), `/bin/echo $_ and $_` }'
	holding "$PYTHON" -c 'import os
held = bytearray(40 << 20)
for i in range(20):
    pid = os.fork()
    if not pid: os.execv("/bin/echo", ["echo", str(i)])
    print(os.waitpid(pid, 0)[1], flush=True)'
	holding "$PYTHON" -c 'import subprocess
held = bytearray(40 << 20)
for i in range(20): subprocess.run(["/bin/echo", str(i)], preexec_fn=lambda: None)'
	holding bash -c 'printf -v held %40000000s; for i in {1..20}; do /bin/echo $i; done'
}

@test "spork sites tells how many pages a child fetched, and why a site is lean no longer" {
	bounded "$SPORK" run -q -s reroute=lean --box "$BATS_TEST_TMPDIR/box" -- "$VICTIMS/lean_child" handshake >/dev/null 2>&1
	run spork sites "$BATS_TEST_TMPDIR/box"
	assert_output --regexp 'lean: [0-9.]+ pages fetched by a child'
	assert_output --regexp 'not lean: deadline: .*; tried again at spawn 7[0-9]'
}

# limits WHAT: as bare, and the children of the last process that had any were lean
limits() {
	LIMIT=30 same lean_limits "$1"
	lean 5
}

@test "what other threads move meanwhile is marked no longer, and nobody reads where it was" {
	# a mark that moves away behind what is looked over is met by chance
	for _ in 1 2 3; do
		limits moved
	done
	limits replaced
}

@test "a child finds the lists of libc's threads as they were, while others begin and end" {
	for _ in 1 2 3 4 5; do
		limits starts
	done
}

@test "no SIGSEGV that is sent is lost while one is the shim's" {
	limits sent
}

@test "a child that touches more places than a process may have mappings" {
	limits scattered
}

@test "a limit on data does not matter to what is there already" {
	limits data
	same lean_limits data-before
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" no-memory
}

@test "who waits for the parent's output to end does not wait for its child" {
	limits background
}

@test "a child that waits for its parent does not hold it where nobody can answer for the parent" {
	limits adopts
	[ "$(id -u)" -eq 0 ] || skip "only root has ids to spare"
	# in another user's name it has records of its own
	LIMIT=30 same lean_limits alone
	lean 4
}

@test "a child whose memory is lost does not wait for it" {
	limits killed
}

@test "no process and no descriptor is left behind" {
	record -s reroute=lean -- lean_child handshake 2>/dev/null
	run pgrep -f "$VICTIMS/lean_child"
	refute_output
}

@test "what other threads change under locks is in a child as it was at the fork" {
	local mode

	for mode in lean auto; do
		LIMIT=60 same -s reroute=$mode -s locks=on lean_locked 150
		lean 20
	done
	# without the gate nothing keeps the others out
	same -s gate=0 lean_locked 20
	assert_equal "$(query 'sum(s["by_tier"].get("lean", 0) for s in sites)')" 0
	assert_equal "$(query '[s["lean"]["fallback"] for s in sites if s["call"] == "fork"][0]')" gate
}
