# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# shellcheck disable=SC2034,SC2153 # SPAWNER_PID is read by the tests, SHIM is set by helper
#
# Other preloaded libraries beside the shim: loaded after helper by the tests that do so.

# A library of the system's by its file name, or the test is skipped.
library() {
	local found

	for found in /usr/lib/*/"$1" /usr/lib/*/*/"$1" /usr/lib64/"$1"; do
		[ ! -e "$found" ] || break
	done
	[ -e "$found" ] || skip "no $1 here"
	echo "$found"
}

# beside LIBRARY VARIABLE=VALUE... -- CMD...: CMD prints and ends as it does with the library alone, whichever of the two
# comes first, and nothing is reported. learn=2, so that there are windows; OPTIONS: others.
beside() {
	local own=$1 variables=() bare=0 shim order out=$BATS_TEST_TMPDIR/beside

	shift
	while [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	set -- "$(program "$2")" "${@:3}"
	bounded env "${variables[@]}" LD_PRELOAD="$own" "$@" >"$out.bare" 2>&1 </dev/null || bare=$?
	[ "$bare" -ne 124 ] || fail "$* took too long without the shim"
	for order in "$SHIM:$own" "$own:$SHIM"; do
		rm -f "$out.box"
		shim=0
		bounded env "${variables[@]}" LD_PRELOAD="$order" \
			SPORK_OPTIONS="learn=2:gate=2000:${OPTIONS-}:box=$out.box:log=none" "$@" >"$out.shim" 2>&1 </dev/null || shim=$?
		diff -u --text "$out.bare" "$out.shim" || fail "$* prints something else with $order"
		assert_equal "$shim" "$bare"
		no_violations "$out.box"
	done
}

# fast BOX: most spawns of fork() took the fast tier
fast() {
	spork report -f json "$1" >"$BATS_TEST_TMPDIR/record.jsonl"
	[ "$(query 'summary["by_tier"]["vfork"]')" -gt "$(query 'summary["by_tier"]["fork"]')" ] ||
		fail "$(spork report "$1")"
}

# Python's subprocess by fork(), and by what else it has
subprocesses() {
	script subprocesses.py <<-'END'
		import os, subprocess
		def echo(count):
		    for i in range(count):
		        print(subprocess.run(["/bin/echo", str(i)], capture_output=True, text=True).stdout, end="")
		echo(4)
		subprocess._USE_VFORK = subprocess._USE_POSIX_SPAWN = False
		echo(8)
		print(os.popen("echo popen").read(), os.system("exit 3"), flush=True)
		pid = os.fork()
		if not pid:
		    os._exit(4)
		print(os.waitpid(pid, 0)[1])
	END
}

# Spawns by fork() until there is a file "stop"; "count" tells how often it did.
spawner() {
	script spawner.py <<-'END'
		import os, subprocess
		subprocess._USE_VFORK = subprocess._USE_POSIX_SPAWN = False
		with open("pid", "w") as file:
		    file.write(str(os.getpid()))
		count = 0
		while not os.path.exists("stop"):
		    count += 1
		    done = subprocess.run(["/bin/echo", str(count)], capture_output=True, text=True)
		    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count}\n", ""), done
		    with open("count.new", "w") as file:
		        file.write(f"{count}\n")
		    os.rename("count.new", "count")
		print("all well")
	END
	rm -f stop count
	LIMIT=60 bounded env LD_PRELOAD="$SHIM" SPORK_OPTIONS="learn=2:box=$PWD/spawner.box" "$PYTHON" spawner.py \
		>spawner.out 2>&1 </dev/null &
	SPAWNER=$!
	goes_on
	SPAWNER_PID=$(cat pid)
}

# goes_on: the spawner has made twenty more
goes_on() {
	local from tries

	from=$(cat count 2>/dev/null || echo 0)
	for tries in {1..1000}; do
		[ "$(cat count 2>/dev/null || echo 0)" -lt $((from + 20)) ] || return 0
		kill -0 "$SPAWNER" 2>/dev/null || break
		sleep 0.02
	done
	: >stop
	fail "stopped at $from, $tries: $(cat spawner.out)"
}

# The spawner comes to its end, and has lost nothing.
spawner_ends() {
	: >stop
	wait "$SPAWNER" || fail "$(cat spawner.out)"
	assert_equal "$(cat spawner.out)" "all well"
	no_violations spawner.box
	fast spawner.box
}

# A program built by COMPILER FLAG... of the sources of a victim, as NAME; or the test is skipped.
built() {
	local name=$1 source=$2

	"$3" -w -std=gnu11 -D_GNU_SOURCE -O1 -g -pthread -iquote "$ROOT" -iquote "$ROOT/shim" \
		-o "$name" "$ROOT/tests/victims/$source.c" "${@:4}" 2>built.log || skip "cannot build: ${*:3}"
	bounded "./$name" >/dev/null 2>&1 || skip "does not run here: ${*:3}"
}
