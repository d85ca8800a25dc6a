#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Faults: system calls of the shim's that fail, sandboxes, limits, full disks, SIGKILL, other users' files; and what the
# shim takes of a process that does nothing. A slice of each: tests/long/faults.bats has the whole.

load helper
load faults

setup() {
	faults_setup
}

teardown() {
	[ -z "${OPEN-}" ] || rm -rf "$OPEN"
}

@test "each system call of the shim's fails: fork, vfork, posix_spawn, popen, system do as bare" {
	needs_alone
	run inside '
		for what in fork spawn vfork; do
			target $what
			faults $what "" 1 12 11 24 28
			diff bare.out same.out || exit 1
		done
		[ $MISSES -eq 0 ] && [ $RUNS -ge 40 ] && [ $HITS -ge 200 ] || fail "faults were not delivered"'
	echo "$output"
	assert_success
}

@test "each system call of the shim's fails: with threads and locks as bare, avfork() says so" {
	needs_alone
	run inside '
		faults threads log=none 1 12 11 24 28
		faults avfork "" 1 12 11 24 28
		[ $HITS -ge 200 ] || fail "faults were not delivered"'
	echo "$output"
	assert_success
}

@test "what the program asked for fails with the error of its system call" {
	needs_alone
	run inside '
		for error in 12 24; do
			inject spawn $(number setpgid) $error 1 1
			[ "$(sed -n 2p out)" = "posix_spawn: ${WORDS[$error]}" ] || fail "$(cat out)"
			inject spawn $(number pipe2) $error 2 2
			grep -qx "popen: ${WORDS[$error]}" out || fail "$(cat out)"
			inject spawn $(number execve) $error 1 1
			[ "$(sed -n 1p out)" = "posix_spawn: ${WORDS[$error]}" ] || fail "$(cat out)"
		done'
	echo "$output"
	assert_success
}

@test "a clone that is refused is made without the shim's help, and counted" {
	needs_alone
	run inside '
		for what in fork spawn vfork; do
			target $what
			# the first ones only ask
			[ $what = fork ] && first=4 || first=3
			inject $what $(number clone3) 11 $first 1000000 box=$PWD/box
			[ "$(delivered $(number clone3))" -gt 0 ] || fail "no fault"
			diff bare.out out || exit 1
			"$SPORK" report box >report
			grep -E "the kernel refused" report || fail "not told: $(cat report)"
			rm box
		done'
	echo "$output"
	assert_success
}

@test "sandboxes that deny what the shim calls" {
	needs_alone
	run inside '
		for call in clone3 process_vm_readv memfd_create membarrier prctl; do
			sandbox fork $call 38 kill
			sandbox threads $call 1 trap
		done
		sandbox spawn clone3 1 38
		sandbox spawn prctl kill
		sandbox vfork process_vm_readv kill'
	echo "$output"
	assert_success
}

@test "what a sandbox takes away is told in the summary" {
	needs_alone
	alone "$VICTIMS/seccomp_filter" "$(number membarrier)=1" "$SPORK" run -s gate=500 -O said -- \
		"$VICTIMS/fault_target" threads "$VICTIMS/exit_static" >out
	grep 'gate: [0-9]* forks did without: a seccomp filter' said
	alone "$VICTIMS/seccomp_filter" "$(number timer_create)=kill" "$SPORK" run -O said -- \
		"$VICTIMS/fault_target" fork "$VICTIMS/exit_static" >out
	grep 'still by fork: a seccomp filter may end the process' said || fail "$(cat said)"
	alone "$VICTIMS/seccomp_filter" "$(number clone3)=38" "$SPORK" run -O said -- \
		"$VICTIMS/fault_target" spawn "$VICTIMS/exit_static" >out
	grep 'left to libc: the kernel refused a child that shares memory' said || fail "$(cat said)"
}

@test "without /proc, /dev, descriptors or memory, on a read-only disk, with all limits low" {
	needs_alone
	run inside '
		for how in "umount -l /proc" "mount -t tmpfs none /dev; exec </" "ulimit -n 5" "exec <&- 2>&-" "exec >&-" \
			"ulimit -v 20000" "ulimit -v 10000" "ulimit -s 128" "ulimit -d 3000" "ulimit -l 0" "ulimit -i 0" "ulimit -f 0" \
			"ulimit -c unlimited" "mount -o remount,bind,ro /"; do
			under "$how; exec \"\$@\""
		done'
	echo "$output"
	assert_success
}

@test "chroot: the shim stays in the processes that have it, and goes no further" {
	needs_alone
	mkdir -p root/dev
	cp "$VICTIMS/exit_static" root/
	script chrooted.py <<-'END'
		import os, subprocess, sys
		os.chroot("root")
		os.chdir("/")
		for i in range(8):
		    print(subprocess.run(["/exit_static"]).returncode, subprocess.Popen(["/exit_static"], preexec_fn=int).wait())
	END
	[ -x "$PYTHON" ] || skip "no python3 here"
	alone "$PYTHON" -c 'import subprocess' || skip "python3 has no subprocess"
	alone "$PYTHON" chrooted.py >bare.out 2>bare.err || :
	alone env LD_PRELOAD="$SHIM" SPORK_OPTIONS="log=$PWD/log:profile=$PWD/profile" "$PYTHON" chrooted.py >out 2>err || :
	[ -s bare.out ]
	diff bare.out out
	diff bare.err err
}

@test "a full disk: said once, and the program goes on" {
	needs_alone
	local full="mkdir -p full; mount -t tmpfs -o size=1m none full; head -c 2000000 /dev/zero >full/zeros 2>/dev/null;"

	run inside '
		full="'"$full"'"
		SAID="has no room on its disk" OPTIONS=box=$PWD/full/box under "$full exec \"\$@\""
		OPTIONS=profile=$PWD/full/profile under "$full exec \"\$@\""
		OPTIONS=log=$PWD/full/log:strict=1 WHATS=fork under "$full exec \"\$@\""
		SAID="has no room on its disk" OPTIONS=box=$PWD/box under "ulimit -f 10; exec \"\$@\""'
	echo "$output"
	assert_success
	# A report goes where there is room.
	run --separate-stderr alone bash -c "$full exec \"\$@\"" bash env LD_PRELOAD="$SHIM" \
		SPORK_OPTIONS="gate=0:log=$PWD/full/log" "$VICTIMS/orphan_mutex" 200
	assert_equal "$status" 3
	# shellcheck disable=SC2154 # set by run
	assert_equal "$(grep '^spork: ' <<<"$stderr")" "spork: log: $PWD/full/log cannot be written; writing to stderr instead"
	grep -q 'SUMMARY: spork: orphan-deadlock' <<<"$stderr"
	run --separate-stderr alone bash -c 'mkdir -p full; mount -t tmpfs -o size=1m none full; exec "$@"' bash \
		"$SPORK" run -o full/box true
	assert_equal "$status" 125
	one_line "$stderr"
}

@test "a report goes to nobody: a reader that has gone, a file at its limit, a FIFO without a reader" {
	needs_alone
	mkfifo fifo
	# orphan_mutex ends with 3, its child hung, whoever hears of it
	run bash -c 'exec 2> >(exec true); sleep 0.2; exec "$@"' bash \
		timeout -k 1 10 env LD_PRELOAD="$SHIM" SPORK_OPTIONS=gate=0 "$VICTIMS/orphan_mutex" 200
	assert_equal "$status" 3
	run bash -c 'ulimit -f 0; exec "$@" 2>limited' bash \
		timeout -k 1 10 env LD_PRELOAD="$SHIM" SPORK_OPTIONS=gate=0 "$VICTIMS/orphan_mutex" 200
	assert_equal "$status" 3
	[ ! -s limited ]
	run --separate-stderr preload "gate=0:log=$PWD/fifo" orphan_mutex 200
	assert_equal "$status" 3
	assert_equal "$(grep -c 'fifo cannot be opened; writing to stderr instead' <<<"$stderr")" 1
	grep -q orphan-deadlock <<<"$stderr"
}

@test "SIGKILL of the program, of its children, of spork run" {
	needs_alone
	storm target 6
	rm -r storm
	storm child 25
	rm -r storm
	storm run 5
}

@test "nothing is made or used through links, FIFOs, folders and devices" {
	local at

	echo mine >target
	echo own >own
	ln -s own link
	ln -s nowhere dangling
	mkfifo fifo
	ln target name
	for at in link dangling fifo name . /dev/null; do
		[[ $at = /* ]] || at=$PWD/$at
		LIMIT=5 quietly "box=$at" fork_exec 4
		assert_equal "$status" 0
		assert_equal "$(grep -c 'recording in memory instead' <<<"$stderr")" 1
		LIMIT=5 quietly "profile=$at" fork_exec 4
		assert_equal "$status" 0
		assert_equal "$(grep -c 'it is left as it is' <<<"$stderr")" 1
	done
	for at in link dangling name fifo; do
		LIMIT=5 quietly "gate=0:log=$PWD/$at" orphan_mutex 200
		assert_equal "$status" 3
		grep -q "writing to stderr instead" <<<"$stderr"
		run ! spork run -q -o "$at" true
	done
	assert_equal "$(cat target own)" $'mine\nown'
	[ ! -e nowhere ]
}

@test "files of other users, or that they may write, are neither trusted nor written" {
	local kind how

	needs_root
	mkdir sticky
	chmod 1777 sticky
	chmod 755 "$BATS_TEST_TMPDIR" "$PWD"
	preload "box=$PWD/box:profile=$PWD/profile:learn=1" fork_exec 6 >/dev/null
	preload "gate=0:log=$PWD/log" orphan_mutex 200 >/dev/null || :
	echo "*:nothing" >suppressions
	[ -s box ] && [ -s profile ] && [ -s log ]
	for how in 65534 "root g+w"; do
		for kind in box profile log suppressions; do
			cp "$kind" "sticky/$kind"
			chown "${how% *}" "sticky/$kind"
			[[ $how != *\ * ]] || chmod "${how#* }" "sticky/$kind"
			sha256sum "sticky/$kind" >sum
			quietly "$kind=$PWD/sticky/$kind:gate=0" orphan_mutex 200
			assert_equal "$status" 3
			grep -qE "$kind: .*(belongs to another user|can be written by others|has more)" <<<"$stderr" ||
				[[ $kind = profile && $how = 65534 ]] # an option for the process that this one comes from
			sha256sum --quiet -c sum
			rm "sticky/$kind"
		done
	done
	echo "*:nothing" >sticky/list
	chown 65534 sticky/list
	run --separate-stderr spork run --suppressions sticky/list true
	assert_equal "$status" 125
	one_line "$stderr"
}

@test "of files that only the processes before may open nothing is said" {
	needs_root
	mkdir closed
	chmod 755 "$BATS_TEST_TMPDIR" "$PWD"
	chmod 700 closed
	preload "box=$PWD/box" fork_exec 1 >/dev/null
	cp box closed/
	for box in box closed/box; do
		quietly "box=$PWD/$box" setpriv --reuid 65534 --regid 65534 --clear-groups true
		assert_equal "$status $stderr" "0 "
	done
	# It is not there, and nobody has ever been able to make it.
	run --separate-stderr other timeout 10 env LD_PRELOAD="$SHIM" SPORK_OPTIONS=box=/never true
	assert_equal "$stderr" "spork: box: /never cannot be opened or created; recording in memory instead"
}

@test "files are made for their user alone, whatever the umask" {
	local mask

	for mask in 0 077 777; do
		(
			umask "$mask"
			preload "box=$PWD/box$mask:profile=$PWD/profile$mask" fork_exec 6 >/dev/null
			preload "gate=0:log=$PWD/log$mask" orphan_mutex 200 >/dev/null || :
			spork run -q -o "$PWD/run$mask" true
		) 2>/dev/null
	done
	assert_equal "$(stat -c %a {box,profile,log,run}{0,077,777} | sort -u)" 600
}

@test "a set-user-ID program is as bare, even where the shim is in all" {
	needs_root
	needs_alone
	OPEN=$(mktemp -d /tmp/spork-faults.XXXXXX)
	cd "$OPEN"
	chmod 755 .
	mkdir bin
	chmod 777 bin
	cp "$VICTIMS/orphan_mutex" "$VICTIMS/fork_exec" "$VICTIMS/exit_static" bin
	cp "$SHIM" bin/libspork.so
	chmod 4755 bin/orphan_mutex bin/fork_exec
	LIMIT=20 alone bash -c '
		echo "$PWD/bin/libspork.so" >preload
		touch /etc/ld.so.preload 2>/dev/null && mount --bind preload /etc/ld.so.preload || exit 77
		setpriv --reuid 65534 --regid 65534 --clear-groups \
			env SPORK_OPTIONS=box=$PWD/bin/box:log=$PWD/bin/log:profile=$PWD/bin/profile:gate=0 \
			bash -c "bin/orphan_mutex 200; bin/fork_exec 6 bin/exit_static" >out 2>err
		umount /etc/ld.so.preload
		[ -s /etc/ld.so.preload ] || rm -f /etc/ld.so.preload' || [ $? -ne 77 ] || skip "no /etc/ld.so.preload here"
	grep -q '6 spawns' out
	[ ! -s err ] || fail "$(cat err)"
	assert_equal "$(find bin -mindepth 1 -newer preload -name '[blp]*' ! -name '*.so' -user root)" ""
}

@test "a process that has given rights up teaches nothing to those that keep them" {
	local how

	record -s learn=2 -s reaudit=3 -- fork_drop none
	assert_equal "$(query '[(s["state"], s["spawns"], s["upgrades"] > 0) for s in sites if s["spawns"] > 1]')" \
		"('promoted', 36, True)"
	for how in filter user; do
		[ $how = filter ] || [ "$(id -u)" -eq 0 ] || continue
		record -s learn=2 -s reaudit=3 -- fork_drop $how
		assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "worker 0: exit 0"
		assert_equal "$(query '[(s["state"], s["spawns"], s["upgrades"]) for s in sites if s["spawns"] > 1]')" \
			"('promoted', 24, 0)"
		# It is recorded all the same.
		assert_equal "$(query 'summary["spawns"]')" 37
	done
}

@test "a child that has dropped privileges gets the environment that the program makes for it, and no more" {
	local how

	[ -x "$PYTHON" ] || skip "no python3 here"
	needs_root
	script drops.py <<-'END'
		import os, sys
		how = sys.argv[1]
		for environment in {"OWN": "1"}, {**os.environ, "OWN": "1"}:
		    pid = os.fork()
		    if not pid:
		        if how == "group":
		            os.setgid(65534)
		        if how == "user":
		            os.setresuid(65534, 65534, 65534)
		        os.execve("/usr/bin/env", ["env"], environment)
		    os.waitpid(pid, 0)
	END
	for how in user group; do
		quietly "box=none" "$PYTHON" drops.py $how
		[ "$(head -n 1 <<<"$output")" = OWN=1 ] || fail "$output"
		# The other child: as it is in the program's own.
		assert_equal "$(grep -c LD_PRELOAD <<<"$output") $(grep -c OWN <<<"$output")" "1 2"
	done
	quietly "box=none" "$PYTHON" drops.py none
	assert_equal "$(grep -c LD_PRELOAD <<<"$output")" 2
}

@test "inspect follows ptrace's rules" {
	needs_root
	chmod 755 "$BATS_TEST_TMPDIR" "$PWD"
	sleep 30 3>&- &
	run --separate-stderr other timeout 10 "$SPORK" inspect "$!"
	kill "$!"
	assert_equal "$status" 125
	one_line "$stderr"
	grep -q "permission denied: it belongs to user 0" <<<"$stderr"
}

# idle WHAT: what a process has that does nothing, in FIELD
@test "a process that does nothing has no thread, timer or descriptor more, and less than 200 KB" {
	local times

	for times in 0 1; do
		victim flat idle "$times" "$VICTIMS/exit_static" >bare.out
		preload "" flat idle "$times" "$VICTIMS/exit_static" >out
		paste -d' ' bare.out out
		# shellcheck disable=SC2016 # awk's
		paste -d' ' bare.out out | awk '/^private/ { exit !($6 - $3 < 200) }'
		diff <(grep -E 'descriptors|threads|timers|children' bare.out) \
			<(grep -E 'descriptors|threads|timers|children' out)
	done
}

@test "memory, descriptors, mappings and children stay as they are, over spawns and locks" {
	flat spawn 3000
	flat lock 200
}
