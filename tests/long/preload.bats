#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The shim beside other preloads and runtimes, and under tracers: what takes longer than real_preload.bats may.

load ../helper
load ../preload

export LIMIT=120

setup() {
	work_setup
}

teardown() {
	kill_left
}

@test "allocators, libfaketime and libeatmydata: shells, posix_spawn, system, popen, the gate and the stress" {
	local name library command

	# What a run leaves behind the next one does not find.
	script in_empty_folder <<-'END'
		rm -rf run && mkdir run && cd run && exec "$@"
	END
	subprocesses
	for name in libjemalloc.so.2 libtcmalloc.so.4 libtcmalloc_minimal.so.4 libeatmydata.so libfaketime.so.1; do
		library=$(library "$name")
		for command in fork_tls fork_handler fork_signals "fork_paths AAAABBBBCCCCAAAA" "window_wait thread 100" \
			spawn_world system_world "popen_world 3 20" "$PYTHON $PWD/subprocesses.py" "bash $ROOT/tests/scripts/bash.bash" \
			"stress_window 1000 0 1" "orphan_mutex_clean"; do
			echo "$name: $command"
			[ ! -x "$VICTIMS/${command%% *}" ] || command=$VICTIMS/$command
			# shellcheck disable=SC2086 # a command and its arguments
			beside "$library" -- sh in_empty_folder $command
		done
		preload "gate=2000:box=none" env LD_PRELOAD="$SHIM:$library" "$VICTIMS/gate_forks" mutex 300 >out
		assert_equal "$(cat out)" "0 of 300 hung"
	done
}

@test "programs with a sanitizer, by gcc and clang, shared and static, do as they do bare" {
	local row compiler flags

	needs clang
	# Of a thread that a forked child does not have they tell, or not: it depends on when.
	export ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=report_thread_leaks=0
	for row in "gcc -fsanitize=address" "gcc -fsanitize=thread" "gcc -fsanitize=undefined" \
		"gcc -fsanitize=address -static-libasan" "clang -fsanitize=address" "clang -fsanitize=thread" \
		"clang -fsanitize=memory"; do
		read -r compiler flags <<<"$row"
		for name in fork_exec system_world spawn_world orphan_mutex_clean; do
			echo "$row: $name"
			# shellcheck disable=SC2086 # several flags
			built "sanitized" "$name" "$compiler" $flags
			same_as_bare sh -c "./sanitized; ./sanitized"
			rm sanitized
		done
	done
}

@test "valgrind: memcheck finds nothing that it does not find bare, and every spawn is libc's" {
	local command

	needs valgrind
	bounded valgrind -q /bin/true 2>/dev/null || skip "valgrind does not work here"
	for command in "fork_exec 5" "fork_exec_threads 3" "popen_world 2 3" "fork_tls"; do
		echo "$command"
		# shellcheck disable=SC2086 # a command and its arguments
		bounded valgrind -q --error-exitcode=9 "$VICTIMS/"$command >bare
		# shellcheck disable=SC2086
		record -s gate=2000 -- valgrind -q --error-exitcode=9 "$VICTIMS/"$command
		diff -u bare "$BATS_TEST_TMPDIR/record.out"
		assert_equal "$(query '[v["kind"] for v in violations]')" ""
		assert_equal "$(query 'summary["by_tier"]["vfork"]')" 0
	done
	LIMIT=120 spork run -O summary -- valgrind -q "$VICTIMS/fork_exec" 4 >/dev/null
	grep -q 'the process runs under valgrind' summary || fail "$(cat summary)"
}

@test "helgrind and drd find no races that they do not find bare" {
	local tool

	needs valgrind
	for tool in helgrind drd; do
		bounded valgrind -q --tool=$tool --error-exitcode=9 "$VICTIMS/fork_exec_threads" 3 >bare 2>/dev/null ||
			skip "$tool finds something bare"
		LIMIT=120 spork run -O summary -- valgrind -q --tool=$tool --error-exitcode=9 "$VICTIMS/fork_exec_threads" 3 >shim
		diff -u bare shim
		grep -q 'under a checker of threads, where the shim does nothing' summary || fail "$(cat summary)"
	done
}

@test "started through other tools" {
	local command

	for command in "strace -f -o trace" "ltrace -o trace" "perf stat -o trace" "perf record -q -N -e cpu-clock -o trace" \
		"bwrap --bind / / --dev /dev --proc /proc" "firejail --noprofile --quiet" "unshare -r" "unshare -rpf" \
		"setarch -R" "setpriv --nnp" "nohup" "setsid -w" "stdbuf -oL" "nice" "eatmydata" "fakeroot"; do
		command -v "${command%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # a command and its arguments
		LIMIT=30 bounded $command "$VICTIMS/fork_exec" 1 >/dev/null 2>&1 </dev/null || continue
		echo "$command"
		# shellcheck disable=SC2086
		SAME_VOLATILE='^trace' SAME_RUN="-s learn=2 -e 9" same_as_bare $command "$VICTIMS/fork_exec" 10
		rm -f trace*
	done
}

@test "screen and script: shells on their terminals" {
	needs screen script
	SAME_RUN="-s learn=2 -e 9" same_as_bare script -qec "$VICTIMS/fork_exec 10" /dev/null
	env LD_PRELOAD="$SHIM" SPORK_OPTIONS=learn=2 timeout 20 screen -D -m sh -c "$VICTIMS/fork_exec 8 >out; echo \$? >status" \
		</dev/null 3>&-
	assert_equal "$(cat status) $(tail -n 1 out)" "0 8 spawns"
}

@test "qemu-user: every fork is a real one" {
	needs "qemu-$(uname -m)-static"
	bounded "qemu-$(uname -m)-static" "$VICTIMS/fork_exec" 6 >bare 2>/dev/null || skip "does not work here"
	bounded "qemu-$(uname -m)-static" -E LD_PRELOAD="$SHIM" -E "SPORK_OPTIONS=learn=2:box=$PWD/box" "$VICTIMS/fork_exec" 6 >shim
	diff -u bare shim
	no_violations box
	spork report -f json box >"$BATS_TEST_TMPDIR/record.jsonl"
	assert_equal "$(query '(summary["by_tier"]["fork"], summary["by_tier"]["vfork"])')" "(6, 0)"
}
