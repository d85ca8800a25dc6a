#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# avfork(): children that share memory with a caller that runs on; programs and pools started by it.

load helper

# one_case CASE [NUMBER]
one_case() {
	LIMIT=${LIMIT:-30} run preload "box=none" avfork_child "$@"
	assert_equal "$status $output" "0 done"
}

# one_popen CASE [NUMBER]
one_popen() {
	run preload "box=none" avfork_popen "$@"
	assert_equal "$status $output" "0 done"
}

# one_pool CASE [NUMBER]
one_pool() {
	LIMIT=${LIMIT:-60} run preload "box=none" avfork_pool "$@"
	[ "$status" -ne 77 ] || skip "the kernel does not list children"
	assert_equal "$status $output" "0 done"
}

# one_edge CASE
one_edge() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	cd "$BATS_TEST_TMPDIR" || return
	LIMIT=30 run preload "box=none" avfork_pool_edge "$1"
	[ "$status" -ne 77 ] || skip "not here"
	assert_equal "$status $output" "0 done"
}

@test "what the child returns is its exit status, and it may execute" {
	one_case status 300
}

@test "errno, thread-local variables and the thread id are the child's own" {
	one_case errno 300
}

@test "a handler of the parent never runs in the child, and the child has the caller's mask" {
	one_case signals 2000
}

@test "two thousand children at once, whose stacks are used again" {
	one_case flight 2000
}

@test "the memory map does not grow over ten thousand children, killed ones among them" {
	one_case reclaim 10000
}

@test "several threads start children while others use the heap" {
	one_case threads 1000
}

@test "a thread may end before its child" {
	one_case thread-ends 200
}

@test "a process forked meanwhile has stacks of its own" {
	one_case fork 50
}

@test "the child goes on when its parent ends" {
	run preload "" avfork_child parent-ends
	assert_equal "$status $output" "0 child goes on"
}

@test "the child goes on when its parent executes" {
	run preload "" avfork_child parent-executes
	assert_equal "$status $output" "0 child goes on"
}

@test "what the child changes of itself is not its parent's" {
	cd "$BATS_TEST_TMPDIR"
	one_case own
}

@test "so much stack as is promised; below it only the child ends" {
	one_case stack 20
}

@test "errors: no routine, no more processes" {
	one_case errors
}

@test "avfork() may be called in a signal handler" {
	one_case handler 200
}

@test "the same where a filter refuses clone3()" {
	for filter in container errno; do
		for one in "status 50" "errno 50" "signals 200"; do
			# shellcheck disable=SC2086 # case and number
			run preload "" seccomp_filter $filter "$VICTIMS/avfork_child" $one
			[ "$status" -ne 77 ] || skip "no filters here"
			assert_equal "$status $output" "0 done"
		done
	done
}

# shellcheck disable=SC2154 # set by run
@test "exit() in the child is told of and becomes _exit()" {
	quietly "" avfork_unsafe exit
	assert_equal "$status" 0
	assert_equal "$output" "parent writes
child 1: exit 4
exit handler"
	[[ $stderr == *"ERROR: spork: vfork-exit"*"The child of avfork() calls exit(), and gets _exit()"*"The avfork was here:"* ]]
}

@test "with strict=1 the heap and memory maps in the child are told of" {
	quietly "strict=1" avfork_unsafe malloc
	[[ $stderr == *"vfork-unsafe-call"*"The child of avfork() calls malloc()"* ]]
	quietly "strict=1" avfork_unsafe map
	[[ $stderr == *"vfork-memory-map"*"mprotect()"* ]]
	quietly "strict=1" avfork_unsafe none
	assert_equal "$status $stderr" "0 "
	quietly "" avfork_unsafe none
	assert_equal "$status $stderr" "0 "
}

@test "avfork() is counted by its name" {
	run record -- avfork_child status 5
	assert_success
	run query 'summary["spawns"], summary["by_tier"]["vfork"], summary["violations"]'
	assert_output "(10, 10, {})"
}

@test "avfork_popen() reads from a program; arguments and environment are those of the call" {
	one_popen read 100
	one_popen environment
}

@test "avfork_popen() writes to a program" {
	one_popen write
}

@test "avfork_popen() tells on request why a program could not be executed" {
	one_popen error 100
}

@test "avfork_popen() refuses bad modes and no arguments" {
	one_popen mode
}

@test "avfork_popen() passes on more arguments than it copies" {
	one_popen large
}

@test "avfork_popen() works with standard descriptors closed" {
	one_popen closed
}

@test "avfork_popen() passes on mask and ignored signals, and no handler" {
	one_popen signals
}

@test "avfork_popen() in several threads at once" {
	one_popen many 500
}

@test "the shim is kept in the environment of what avfork_popen() starts" {
	run preload "" avfork_popen environment
	assert_equal "$status $output" "0 done"
	run record -- avfork_popen write
	assert_success
	run query 'summary["processes"] > 1'
	assert_output True
}

@test "a pool executes programs, which are waited for as any child" {
	one_pool status 2000
}

@test "folder, umask, environment, signal mask, ignored signals and limits of a job are those of its submission" {
	cd "$BATS_TEST_TMPDIR"
	one_pool state 20
}

@test "a pool is refused to a process with other credentials, session or namespaces" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	one_pool refused
}

@test "a job has the descriptors that it is given, and no others" {
	one_pool given
}

@test "children that wait hold no pipe open" {
	one_pool open 100
}

@test "children that were killed while they waited are replaced" {
	one_pool killed 100
}

@test "a job that is killed on its way to the program is told by waitpid(), and the pool goes on" {
	one_pool killed-job 2000
}

@test "of signals for the process group a job has those that come after it was submitted" {
	one_pool group 500
}

@test "a pool tells why a program could not be executed, and refuses what it cannot do" {
	one_pool error 50
}

@test "a job may have more arguments than are copied" {
	one_pool large
}

@test "several threads submit at once" {
	one_pool threads 1000
}

@test "more jobs at once than the pool has children" {
	one_pool burst 100
}

@test "a pool leaves no descriptor, mapping or child behind" {
	one_pool destroy 100
}

@test "the children of a pool end with the process that made it, whoever holds its sockets" {
	one_pool parent-ends 10
}

@test "a thread's own folder and umask are its jobs', and its own credentials are refused" {
	one_edge threads
}

@test "a pool is refused to a process that has restricted itself: no_new_privs, filters, bounding set" {
	one_edge restrictions
}

@test "a child that shares memory has no pool, and its folder and umask are not its parent's jobs'" {
	one_edge shared-child
}

@test "a pool is destroyed while a forked child holds its sockets" {
	one_edge holder
}

@test "a program may close a pool's descriptors: it goes on, and touches no file that came in their place" {
	one_edge closed
}

@test "a pool takes none of the standard descriptors" {
	one_edge standard
}

@test "jobs are done without free descriptors, with few, with more than before, and with many on their way" {
	one_edge descriptors
}

@test "jobs are done in a folder that cannot be searched" {
	one_edge folder
}

@test "a pool says so where its children would be in another pid namespace" {
	one_edge namespace
}

@test "a job is done by a child that a filter refuses signalfd()" {
	run preload "" seccomp_filter errno "$VICTIMS/avfork_pool" status 200
	[ "$status" -ne 77 ] || skip "no filters here"
	assert_equal "$status $output" "0 done"
}

@test "a library that is loaded late, after libc, has all of it" {
	local -x AVFORK_LIBRARY=$SHIM SPORK_OPTIONS=box=none case
	for case in "child status 100" "child signals 200" "child threads 200" "child fork 20" "popen read 20" \
		"popen environment" "popen error 20" "pool status 200" "pool state 5" "pool threads 100" \
		"pool_edge threads" "pool_edge shared-child" "pool_edge closed"; do
		[[ $case != pool_edge* ]] || [ "$(id -u)" -eq 0 ] || continue
		echo "$case"
		# shellcheck disable=SC2086 # a case and its number
		LIMIT=60 run victim avfork_$case
		[ "$status" -eq 77 ] || assert_equal "$status $output" "0 done"
	done
}

@test "a program may link with it, or with a library that does, or ask the library for fork()" {
	cd "$BATS_TEST_TMPDIR"
	cat >plugin.c <<-'EOF'
		#include <avfork.h>
		#include <sys/wait.h>
		#include <unistd.h>
		static int run(void *argument) { return *(int *)argument; }
		int plugin(void)
		{
			int code = 7, status;
			pid_t pid = avfork(run, &code);
			return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == code ? 5 : 1;
		}
	EOF
	echo 'int plugin(void); int main(void) { return plugin(); }' >main.c
	cat >late.c <<-'EOF'
		#include <dlfcn.h>
		#include <sys/wait.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			void *library = dlopen(argv[argc - 1], RTLD_NOW);
			pid_t pid = ((pid_t(*)(void))dlsym(library, "fork"))();
			int status;
			if (!pid)
				_exit(5);
			dlclose(library);
			return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 1;
		}
	EOF
	compile() { "${CC:-gcc}" -I"$ROOT/shim" "$@" -Wl,-rpath,"$PWD:${SHIM%/*}" -L. -L"${SHIM%/*}"; }
	compile -shared -fPIC -o libplugin.so plugin.c -lspork
	compile -o behind main.c -lplugin
	compile -o linked main.c plugin.c -lspork
	compile -o late late.c
	for program in ./behind ./linked "./late $SHIM"; do
		echo "$program"
		# shellcheck disable=SC2086 # a program and its argument
		run bounded $program
		assert_equal "$status $output" "5 "
	done
	# where -lspork looks, beside the folder that the tool takes it from
	run bounded make -n -C "$ROOT" install DESTDIR="$PWD/to" PREFIX=/usr
	mkdir -p to/usr/lib/spork
	cp "$SHIM" to/usr/lib/spork
	eval "$(grep '^ln .*libspork' <<<"$output")"
	"${CC:-gcc}" -I"$ROOT/shim" -o installed main.c plugin.c -Lto/usr/lib -lspork
	run bounded env LD_LIBRARY_PATH=to/usr/lib ./installed
	assert_equal "$status $output" "5 "
	# one library, not two, where it is preloaded as well
	run bounded env LD_PRELOAD="$SHIM" ./linked
	assert_equal "$status $output" "5 "
	readelf -d linked | grep -q 'NEEDED.*\[libspork.so\]'
}
