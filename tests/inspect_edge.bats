#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork inspect`: what it prints, processes that are out of the ordinary, and what it refuses.
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns status; each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper
load inspect

@test "text has the verdict before the threads, DOT has the graph" {
	start bare hang_lock two
	found 2 deadlock
	run --separate-stderr spork inspect "$PID"
	assert_equal "$status" 2
	assert_line --index 1 "ERROR: spork: deadlock (pid=$PID)"
	assert_line --partial "held by thread"
	run --separate-stderr spork inspect -f dot "$PID"
	assert_equal "$status" 2
	assert_line --index 0 "digraph \"process $PID\" {"
	assert_equal "$(grep -c 'held by' <<<"$output")" 2
	run --separate-stderr spork inspect --no-stop "$PID"
	assert_equal "$status" 2
}

# drawn WAY KINDS: graphviz takes the graph; dot is its words
drawn() {
	local options

	for options in bare gate=0; do
		start "$options" hang_lock "$1"
		found 2 "$2"
		run --separate-stderr spork inspect -f dot "$PID"
		assert_equal "$status" 2
		printf '%s\n' "$output" >graph.dot
		bounded dot -Tsvg graph.dot >graph.svg 2>dot.err || fail "dot: $(cat dot.err)"
		assert_equal "$(cat dot.err)" ""
		grep -q '</svg>' graph.svg || fail "no picture"
		stop
	done
}

@test "a name with a semicolon in it" {
	cp "$VICTIMS/hang_lock" "a; b"
	VICTIMS=. start bare "a; b" two
	run -2 spork inspect "$PID"
	assert_line --regexp "^  thread [0-9]+ 'a; b' waits for "
}

@test "DOT is what graphviz draws: who waits, who holds, and who is not here" {
	command -v dot >/dev/null || skip "no graphviz here"
	drawn three deadlock
	# two from each thread: what it waits for, and what it holds
	assert_equal "$(grep -c 'color=red,label="waits for"' graph.dot)" 3
	assert_equal "$(grep -c 'color=red,label="held by"' graph.dot)" 3
	drawn orphan orphan
	grep -q 'style=dashed,label=".*not here"' graph.dot || fail "$(cat graph.dot)"
	drawn lost orphan
	start bare hang_lock vfork
	found 0 vfork-stall
	spork inspect -f dot "$PID" | dot -Tsvg | grep -q '</svg>'
}

@test "JSON: session, process, verdicts and threads, in that order" {
	start bare hang_lock two
	found 2 deadlock
	assert_equal "$(query '" ".join(row["type"] for row in rows)')" "session process verdict thread thread"
	assert_equal "$(query '(of("process")[0]["pid"], of("process")[0]["threads"], of("process")[0]["shim"])')" "($PID, 2, False)"
}

@test "a process that shows what no shim would" {
	local way

	for way in loop wild sizes version; do
		start bare hang_hostile "$way"
		run --separate-stderr spork inspect "$PID"
		assert_equal "$way: $status $stderr" "$way: 0 "
		[[ $output != *$'\033'* ]] || fail "$way: an escape sequence came through"
		stop
	done
}

@test "a library of libc's name that is full of jumps" {
	local function

	{
		printf '.text\n.globl target\n.protected target\ntarget:\n.cfi_startproc\nret\n.cfi_endproc\n'
		for function in pthread_{mutex_{,timed,clock}lock,rwlock_{rd,wr,timedrd,timedwr}lock,cond_{,timed}wait,join,once} \
			mtx_{,timed}lock sem_{,timed}wait cnd_wait call_once; do
			printf '.globl %s\n.type %s,@function\n%s:\n' "$function" "$function" "$function"
			printf '.rept 3270\n.byte 0xe9\n.long target-.-4\n.endr\n.size %s,.-%s\n' "$function" "$function"
		done
		printf '.altmacro\n.macro named number\n.globl z\\number\nz\\number:\n.endm\n'
		printf '.set at,0\n.rept 150000\nnamed %%at\n.set at,at+1\n.endr\nnop\n'
	} >jumps.s
	cc -shared -nostdlib -o libc.so.6 jumps.s 2>err || fail "$(cat err)"
	"$PYTHON" -c 'import ctypes, time; ctypes.CDLL("./libc.so.6"); print("here", flush=True); time.sleep(60)' >said 3>&- &
	PID=$!
	STARTED+=("$PID")
	until [ -s said ]; do sleep 0.1; done
	run timeout 10 "$SPORK" inspect "$PID"
	assert_equal "$status" 0
	assert_line "no deadlock found"
}

@test "a process that is stopped, or has a debugger" {
	start bare hang_lock two
	found 2 deadlock
	kill -STOP "$PID"
	found 2 deadlock
	assert_equal "$(query 'of("process")[0]["note"]')" "the process is stopped by a signal; SIGCONT lets it go on"
	assert_equal "$(grep -c 'State:.*stopped' "/proc/$PID/status")" 1
	kill -CONT "$PID"
	found 2 deadlock
	command -v gdb >/dev/null || return 0
	bounded gdb -q -batch -p "$PID" -ex "shell $SPORK inspect -f json $PID >debugged.jsonl; echo \$? >status" \
		>/dev/null 2>&1 </dev/null || :
	assert_equal "$(cat status)" 2
	grep -q '"note":"a debugger has the process' debugged.jsonl || fail "$(cat debugged.jsonl)"
}

@test "a process below another root" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	local libc loader

	libc=$(ldd "$VICTIMS/hang_lock" | sed -n 's/.*libc.so.6 => \([^ ]*\).*/\1/p')
	loader=$(ldd "$VICTIMS/hang_lock" | sed -n 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\).*/\1/p')
	mkdir -p "root$(dirname "$libc")" "root$(dirname "$loader")"
	cp "$libc" "root$libc"
	cp "$loader" "root$loader"
	cp "$VICTIMS/hang_lock" root/
	chroot root /hang_lock two >pid 2>err </dev/null 3>&- &
	STARTED+=($!)
	until [ -s pid ]; do sleep 0.05; done
	PID=$(cat pid)
	found 2 deadlock
	run query '[f["symbol"] for t in of("thread") for f in t["stack"]]'
	assert_line second_then_first
}

@test "libc without debug information" {
	unshare -m true 2>/dev/null || skip "no mount namespaces here"
	mkdir empty
	start bare hang_lock hidden
	run unshare -m sh -c 'mount --bind empty /usr/lib/debug && exec timeout 10 "$0" inspect "$1"' "$SPORK" "$PID"
	assert_equal "$status" 2
	assert_line --partial "libc's timezone lock"
}

@test "a process in another pid namespace" {
	unshare -pf true 2>/dev/null || skip "no pid namespaces here"
	unshare -pf --mount-proc "$VICTIMS/hang_lock" orphan >pid </dev/null 3>&- &
	STARTED+=($!)
	sleep 1
	local outer
	outer=$(pgrep -P "$!")
	STARTED=("$outer" "${STARTED[@]}")
	PID=$(pgrep -P "$outer")
	STARTED=("$PID" "${STARTED[@]}")
	found 2 orphan
	run query 'of("verdict")[0]["holder"]["name"]'
	assert_output worker
}

@test "no thread is left stopped or traced, even if spork is killed" {
	local i

	start bare hang_lock pool 200
	for i in 1 2 3 4 5; do
		timeout -s KILL "0.1$i" "$SPORK" inspect "$PID" >/dev/null 2>&1 3>&- || :
	done
	sleep 0.3
	run grep -hE '^(State|TracerPid)' "/proc/$PID/task"/*/status
	refute_line --partial stopped
	refute_line --partial "tracing"
	assert_equal "$(sort -u <<<"$output" | grep TracerPid)" "$(printf 'TracerPid:\t0')"
}

@test "no thread is left stopped or traced while spork is stopped from the terminal" {
	start bare hang_lock pool 200
	# again and again, as long as it looks; in a group of its own, for the terminal's signals do not stop an orphaned one
	cat >stopper.py <<-'END'
		import glob, os, signal, sys, time
		pid = os.fork()
		if not pid:
		    os.setpgid(0, 0)
		    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
		    os.execv(sys.argv[1], [sys.argv[1], "inspect", sys.argv[2]])
		traced = stops = 0
		while True:
		    time.sleep(0.0005)
		    os.kill(pid, signal.SIGTSTP)
		    if not os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
		        break
		    stops += 1
		    for path in glob.glob("/proc/%s/task/*/status" % sys.argv[2]):
		        traced += "TracerPid:\t0\n" not in open(path).read()
		    os.kill(pid, signal.SIGCONT)
		print("stopped" if stops > 1 else "never stopped", traced, "traced")
	END
	LIMIT=60 bounded "$PYTHON" stopper.py "$SPORK" "$PID" >said
	assert_equal "$(cat said)" "stopped 0 traced"
}

# refused WORDS ARGS...: one line of error, and 125
refused() {
	run --separate-stderr spork inspect "${@:2}"
	assert_equal "$status $output" "125 "
	one_line "$stderr"
	[[ $stderr == "spork: inspect: "*"$1"* ]] || fail "$stderr"
}

@test "what cannot be looked at is refused in one line" {
	refused "no process"
	refused "not the id" 12x
	refused "not the id" 0
	refused "no such process" 99999999
	refused "use text, json or dot" -f xml 1
	start bare hang_lock two
	refused "is a thread of process $PID; give that" "$(find "/proc/$PID/task" -maxdepth 1 -name '[0-9]*' -printf '%f\n' | grep -vx "$PID")"
	run --separate-stderr sh -c 'exec "$0" inspect $$' "$SPORK"
	assert_equal "$status $stderr" "125 spork: inspect: process ${stderr//[!0-9]/} is this very spork"
	if grep -q '^Name:.kthreadd$' /proc/2/status 2>/dev/null; then refused "thread of the kernel" 2; fi
	"$PYTHON" -c '
import os, time
child = os.fork()
if child == 0: os._exit(0)
print(child, flush=True)
time.sleep(20)' >zombie 3>&- &
	STARTED+=($!)
	until [ -s zombie ]; do sleep 0.05; done
	sleep 0.2
	refused zombie "$(cat zombie)"
	if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
		cp "$SPORK" /tmp/spork-inspect-test.$$ && chmod 755 /tmp/spork-inspect-test.$$
		run --separate-stderr setpriv --reuid=65534 --clear-groups timeout 5 /tmp/spork-inspect-test.$$ inspect $$
		rm -f /tmp/spork-inspect-test.$$
		assert_equal "$status $output" "125 "
		one_line "$stderr"
		[[ $stderr == *"permission denied"* ]] || fail "$stderr"
	fi
}

@test "a process that ends while it is looked at: what was seen, or one line" {
	local i

	for i in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9; do
		start bare hang_lock pool 100
		(sleep "0.0$i" && kill -9 "$PID") 2>/dev/null 3>&- &
		run --separate-stderr spork inspect "$PID"
		wait
		if [ "$status" -eq 125 ]; then
			one_line "$stderr"
			[[ $stderr == *ended* || $stderr == *"no such process"* ]] || fail "$stderr"
		else
			assert_equal "$status $stderr" "0 "
		fi
		STARTED=()
	done
}

@test "a program of another class" {
	cat >small.s <<-'END'
		.globl _start
		_start: mov $29, %eax
		int $0x80
		jmp _start
	END
	as --32 -o small.o small.s 2>/dev/null && ld -m elf_i386 -o small small.o 2>/dev/null || skip "no 32-bit programs here"
	./small 3>&- &
	PID=$!
	STARTED+=("$PID")
	sleep 0.2
	kill -0 "$PID" 2>/dev/null || skip "no 32-bit programs here"
	refused "is a 32-bit program" "$PID"
}

# in_shared_memory OTHER: looks at $PID, which waits, until it is told whose memory it shares; nothing is wrong
in_shared_memory() {
	local tries=0

	until look && [ "$(query 'of("thread")[0]["wait"]["type"] if of("thread")[0]["wait"] else None')" != None ]; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "$(cat record.jsonl)"
		sleep 0.1
	done
	assert_equal "$(what_was_found)" "0 "
	assert_regex "$(query 'of("process")[0]["note"]')" "shares its memory with process $1, "
}

@test "what is held or given back in the same memory by another process is no orphan, and nobody waits for ever" {
	start bare hang_shared vfork
	found 0 vfork-stall
	OTHER=$PID
	PID=$(pgrep -P "$OTHER")
	STARTED=("$PID" "${STARTED[@]}")
	in_shared_memory "$OTHER"
	stop
	start bare hang_shared clone
	OTHER=$(pgrep -P "$PID")
	STARTED=("$OTHER" "${STARTED[@]}")
	in_shared_memory "$OTHER"
}

@test "/proc of another pid namespace" {
	unshare -pf true 2>/dev/null || skip "no right to make a namespace"
	run unshare -pf "$SPORK" inspect $$
	assert_failure 125
	assert_output --partial "/proc belongs to another pid namespace"
}

@test "a process whose first thread has ended" {
	start bare hang_shared first
	until grep -q '^State:.Z' "/proc/$PID/status"; do sleep 0.02; done
	found 2 self-deadlock
	start gate=20 hang_shared first
	until grep -q '^State:.Z' "/proc/$PID/status"; do sleep 0.02; done
	found 2 self-deadlock
}
