#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The rules of a vfork child: every fault is found, called by its name and kept from the parent, and the clean twins
# pass without a word. A kind's victim has the kind's name, and a row of its table commits one fault in two places:
# same_X() is the function that calls vfork() and is at fault; child_X() is at fault, called by callee_X(), which calls
# vfork(). See tests/victims/vfork.h.

load helper

stderr= # set by run --separate-stderr

KINDS="vfork-returned vfork-exit vfork-wrote-locals vfork-wrote-memory vfork-unsafe-call vfork-thread
	vfork-memory-map vfork-record-lock vfork-fd-flags vfork-signal-handler"

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	ulimit -c 0
}

# rows KIND: its faults, "name|what the message says, a regular expression|what is printed, lines apart by ;".
# PLACE stands for same or callee. What is printed is what a program prints whose child is in order.
rows() {
	local memory="counter 7 in_child 0 table 0 wide 7 calls 3 environ whole library 7 0"
	local map="child exit 0;parent sees break as it was;parent sees 0 pages changed;parent writes"
	local status="local 'status' in PLACE_%s [^ ]*vfork_wrote_locals\.c:[0-9]+"

	case $1 in
	vfork-returned)
		printf '%s\n' "same|returned|child exit 0;parent sees its frame whole" \
			"callee|returned|child exit 0;parent sees its frame whole" \
			"deep|returned|child exit 0;parent sees its frame whole" \
			"exits|returned|child exit 9;parent sees its frame whole" \
			"thread|returned|child exit 0;parent sees its frame whole"
		;;
	vfork-exit)
		printf '%s\n' "status|exit|child exit 7;handler in the parent;pending text" \
			"failed|exit|child exit 127;handler in the parent;pending text" \
			"wide|exit|child exit 255;handler in the parent;pending text"
		;;
	vfork-wrote-locals)
		# shellcheck disable=SC2059 # the formats are above
		{
			printf "byte|$status|child exit 0;parent sees status is 0\n" byte
			printf "number|$status|child exit 0;parent sees status 0\n" number
			printf "wide|$status|child exit 0;parent sees status 0\n" wide
			printf "member|$status|child exit 0;parent sees status 0\n" member
			printf "plain|$status|child exit 0;parent sees status 0\n" plain
			printf "other|$status|child exit 0;parent sees status 0\n" other
			printf "failed|$status|child exit 111;parent sees status 0;No such file or directory\n" failed
		}
		echo "outer|local 'status' in outer_PLACE [^ ]*vfork_wrote_locals\.c:[0-9]+|child exit 0;parent sees status 0"
		;;
	vfork-wrote-memory)
		printf '%s|child exit 0;parent sees %s\n' "data|[(]counter[)]" "$memory" "bss|[(]in_child[)]" "$memory" \
			"byte|[(]table[+]" "$memory" "wide|[(]wide[)]" "$memory" "inner|[(]calls(\.[0-9]+)?[)]" "$memory" \
			"environ|[(]_*environ" "$memory" "library_data|[(]library_data[)]" "$memory" \
			"library_bss|[(]library_bss[)]" "$memory"
		;;
	vfork-unsafe-call)
		printf '%s\n' "malloc|malloc|child exit 0;parent sees its heap whole" \
			"strdup|malloc|child exit 0;parent sees its heap whole" \
			"free|free|child exit 0;parent sees its block whole;parent frees it" \
			"fputs|fputs|child exit 0;parent's text" \
			"mutex|pthread_mutex_lock|child exit 0;parent sees mutex free" \
			"setenv|setenv|child exit 0;parent sees CHILD unset" \
			"localtime|localtime|child exit 0;parent sees year 70" \
			"waits|malloc|child writes;parent goes on;child exit 0;parent sees its heap whole" \
			"late|malloc|child writes;child exit 0"
		;;
	vfork-thread)
		printf '%s\n' "joined|pthread_create|child exit 0;parent sees itself alone" \
			"detached|pthread_create|child exit 0;parent sees itself alone" \
			"standard|thrd_create|child exit 0;parent sees itself alone"
		;;
	vfork-memory-map)
		for name in mmap munmap mprotect madvise mremap brk sbrk; do
			echo "$name|$name|$map"
		done
		;;
	vfork-record-lock)
		# not made undone: they are the child's own
		printf '%s\n' "setlk|fcntl|child exit 0;parent's file is free" \
			"setlkw|fcntl|child exit 0;parent's file is free" \
			"fcntl64|fcntl|child exit 0;parent's file is free" \
			"unlock|fcntl|child exit 0;parent's file is locked"
		;;
	vfork-fd-flags)
		# nor these, which a real fork would share too
		printf '%s\n' "nonblock|fcntl|child exit 0;parent sees nonblock 1 append 0" \
			"append|fcntl|child exit 0;parent sees nonblock 0 append 1" \
			"dup|fcntl|child exit 0;parent sees nonblock 1 append 0" \
			"fcntl64|fcntl|child exit 0;parent sees nonblock 1 append 0"
		;;
	vfork-signal-handler)
		printf '%s\n' "self|handler|child exit 0;parent handled 0" \
			"exits|handler|child exit 5;parent handled 0" \
			"group|handler|child exit 0;parent handled 1" \
			"sent|handler|child exit 3;parent handled 0"
		;;
	esac
}

# variants KIND: one a line, "arguments|function at fault|function that calls vfork()|message|output"
variants() {
	local name message output place

	rows "$1" | while IFS= read -r row; do
		name=${row%%|*} row=${row#*|}
		output=${row##*|} message=${row%|*}
		if [ "$1" = vfork-returned ]; then
			echo "$name|caller_$name|start_$name|$message|$output"
			continue
		fi
		for place in same callee; do
			case $place in
			same) printf '%s same|same_%s|same_%s|' "$name" "$name" "$name" ;;
			callee) printf '%s callee|child_%s|callee_%s|' "$name" "$name" "$name" ;;
			esac
			echo "${message//PLACE/$place}|$output"
		done
	done
}

severity() {
	case $1 in
	vfork-record-lock | vfork-fd-flags) echo warning ;;
	*) echo error ;;
	esac
}

# commit KIND: every fault of the kind, recorded: into N.jsonl, N.out, N.status
commit() {
	local number=0 status arguments

	variants "$1" >table
	while IFS='|' read -r arguments _; do
		status=0
		# shellcheck disable=SC2086 # two arguments
		LIMIT=5 spork run -f json -O $number.jsonl -- "$VICTIMS/${1//-/_}" $arguments \
			>$number.out 2>$number.err </dev/null || status=$?
		echo $status >$number.status
		number=$((number + 1))
	done <table
	[ $number -gt 1 ]
}

# judge KIND CHECK...: what `commit` recorded, each fault by checks of these names
judge() {
	"$PYTHON" - "$1" "$(severity "$1")" "${@:2}" <<'PYTHON'
import json, re, sys

kind, severity, *checks = sys.argv[1:]

# One violation, and all that it says
def found():
    if kinds != [kind]:
        return wrong(f"reported as {kinds}")
    v = violations[0]
    expect("severity", v["severity"], severity)
    expect("count", v["count"], 1)
    if not re.search(message, v["message"]):
        wrong("the message is: " + v["message"])
    if fault not in symbols(v["stack"]):
        wrong(f"{fault} is not in its stack, {symbols(v['stack'])}")
    there = symbols(v.get("fork", {}).get("stack"))
    if forker not in there:
        wrong(f"{forker} is not in the stack of vfork(), {there}")
    expect("the summary's violations", summary["violations"], {kind: 1})

def unharmed():
    expect("the exit status", int(open(f"{number}.status").read()), 0)
    expect("what is printed", open(f"{number}.out", errors="replace").read().splitlines(), expected.split(";"))

# Into a real fork, once, unless others have seen what it did
def upgraded():
    due = 0 if arguments.startswith("late") else 1
    expect("upgrades of the site", [row["upgrades"] for row in rows if row["type"] == "site" and row["call"] == "vfork"], [due])
    expect("upgrades in all", summary["upgrades"], due)

def symbols(stack):
    return [frame["symbol"] for frame in stack or []]

def wrong(text):
    global failed
    failed = True
    print(f"{kind.replace('-', '_')} {arguments}: {text}")

def expect(what, value, due):
    if value != due:
        wrong(f"{what}: {value!r}, not {due!r}")

failed = False
for number, line in enumerate(open("table")):
    arguments, fault, forker, rest = line.rstrip("\n").split("|", 3)
    message, expected = rest.rsplit("|", 1)
    try:
        rows = [json.loads(row) for row in open(f"{number}.jsonl")]
        summary = next(row for row in rows if row["type"] == "summary")
    except (OSError, ValueError, StopIteration):
        wrong("no record")
        continue
    violations = [row for row in rows if row["type"] == "violation"]
    kinds = [row["kind"] for row in violations]
    for check in checks:
        globals()[check]()
sys.exit(failed)
PYTHON
}

# finds KIND [CHECK]...: every fault of it, and the parent is unharmed
finds() {
	commit "$1"
	judge "$1" found unharmed "${@:2}"
}

@test "vfork-returned" {
	finds vfork-returned
}

@test "vfork-exit" {
	finds vfork-exit
}

@test "vfork-wrote-locals" {
	finds vfork-wrote-locals
}

@test "vfork-wrote-memory" {
	finds vfork-wrote-memory
}

@test "vfork-unsafe-call: the child is made a real one, unless it was seen already" {
	finds vfork-unsafe-call upgraded
}

@test "vfork-thread" {
	finds vfork-thread
}

@test "vfork-memory-map" {
	finds vfork-memory-map
}

@test "vfork-record-lock" {
	finds vfork-record-lock
}

@test "vfork-fd-flags" {
	finds vfork-fd-flags
}

@test "vfork-signal-handler" {
	finds vfork-signal-handler
}

@test "reroute=off: every fault is reported all the same, and a child that returned is harmless" {
	local failed=0 bad

	for kind in $KINDS; do
		while IFS='|' read -r arguments rest; do
			bad=0
			# shellcheck disable=SC2086 # two arguments
			LIMIT=5 preload reroute=off "${kind//-/_}" $arguments >out 2>err </dev/null || bad=$?
			[ "$kind" = vfork-returned ] || bad=0
			grep -q "^SUMMARY: spork: $kind " err || bad=unreported
			if [ "$kind" = vfork-returned ] && [ "$(paste -sd ';' out)" != "${rest##*|}" ]; then
				bad=damaged
			fi
			[ "$bad" = 0 ] && continue
			echo "${kind//-/_} $arguments: $bad"
			failed=1
		done < <(variants "$kind")
	done
	[ $failed -eq 0 ]
}

@test "bare, every fault does harm: what the victims do is what they say" {
	local found

	for kind in $KINDS; do
		[ "$(severity "$kind")" = error ] || continue
		victim "${kind//-/_}" twin </dev/null
		while IFS='|' read -r arguments rest; do
			case $arguments in late* | block*) continue ;; esac
			found=0
			# shellcheck disable=SC2086 # two arguments
			victim "${kind//-/_}" $arguments >out 2>err </dev/null || found=$?
			[ "$found $(paste -sd ';' out)" != "0 ${rest##*|}" ] ||
				fail "${kind//-/_} $arguments does none"
		done < <(variants "$kind")
	done
}

# silent OPTIONS: of the lines with victims and arguments on stdin each runs as bare, and nothing is reported
silent() {
	local failed=0 status line

	while read -r line; do
		status=0
		# shellcheck disable=SC2086 # several arguments
		{
			victim $line >bare 2>&1 </dev/null || fail "$line: bare $?"
			preload "$1" $line >shim 2>&1 </dev/null || status=$?
		}
		[ -s bare ] && [ $status -eq 0 ] && diff -u bare shim && continue
		echo "$line: $status"
		failed=1
	done
	[ $failed -eq 0 ]
}

twins() {
	victim vfork_clean names | sed 's/^/vfork_clean /'
	for kind in $KINDS; do
		echo "${kind//-/_} twin"
	done
	echo vfork_fd_flags twin own
	echo vfork_fd_flags twin again
	echo vfork_signal_handler twin blocked
}

@test "clean children are as bare, and nothing is said" {
	twins >names
	[ "$(wc -l <names)" -gt 40 ]
	silent "" <names
}

@test "reroute=off: the same of clean children" {
	twins >names
	silent reroute=off <names
}

@test "other threads go on while a child lives, also with children of their own, and only the caller waits" {
	printf 'vfork_progress %s\n' counts spawns both >names
	silent "" <names
	grep -qx 'others counted 1000000 and spawned 20' shim
	silent reroute=off <names
}

@test "a clean child leaves no violation in the record" {
	for shape in careful failed_static pid_static search nested threads; do
		record -- vfork_clean $shape
		run query '[v["kind"] for v in violations]'
		assert_equal "$shape $output" "$shape "
		assert [ "$(query 'summary["by_tier"]["vfork"]')" -ge 1 ]
	done
}

@test "how long the caller was held is recorded" {
	record -- vfork_clean blocks
	run query '[s["p50_ns"] > 100000000 for s in sites if s["call"] == "vfork"]'
	assert_output True
}

@test "what programs make of vfork() is as bare: other threads, children of children, answers, signals" {
	for way in frame mask answer excuse strangers daemon close group traced; do
		run --separate-stderr bounded "$(program vfork_world)" $way
		assert_success
		bare=$output
		for options in "" :reroute=off; do
			quietly log=none$options vfork_world $way
			assert_equal "$way$options: $status $output" "$way$options: 0 $bare"
		done
	done
}

@test "variables of the child's own block are none of its caller's: debug information tells" {
	for place in same callee; do
		record -- vfork_wrote_locals block "$place"
		assert_equal "$place $(cat record.out)" "$place child exit 0"
		assert_equal "$place $(query '[v["kind"] for v in violations]')" "$place "
		assert_equal "$place $(query 'summary["violations"]')" "$place {}"
	done
}

@test "what a child stores after its exec has failed is its answer, and reported with strict=1 only" {
	for row in "failed_local vfork-wrote-locals" "failed_static vfork-wrote-memory" "failed_heap "; do
		record -s strict=1 -- vfork_clean "${row% *}"
		run cat record.out
		assert_output $'child exit 111\nparent sees No such file or directory'
		run query '[v["kind"] for v in violations]'
		assert_equal "${row% *} $output" "$row"
	done
}

@test "exit() in the child neither runs the parent's handlers nor writes its text" {
	quietly "" vfork_exit status callee
	assert_equal "$status" 0
	assert_equal "$output" $'child exit 7\nhandler in the parent\npending text'
	assert_regex "$stderr" "ERROR: spork: vfork-exit"
}

@test "without the tool the text goes to stderr" {
	quietly "" vfork_exit status callee
	assert_regex "$stderr" $'(^|\n)==================\nERROR: spork: vfork-exit \\(pid=[0-9]+\\)\n'
	assert_regex "$stderr" "#0 vfork_exit\\+0x[0-9a-f]+"
	assert_regex "$stderr" $'\nSUMMARY: spork: vfork-exit vfork_exit\\+0x[0-9a-f]+\n==================$'
	quietly "" vfork_fd_flags nonblock same
	assert_regex "$stderr" "WARNING: spork: vfork-fd-flags \\(pid=[0-9]+\\)"
	quietly log=none vfork_exit status callee
	assert_equal "$stderr" ""
}

@test "spork run names functions, files and lines in its text" {
	run --separate-stderr spork run -- "$VICTIMS/vfork_exit" status callee
	assert_regex "$stderr" "child_status [^ ]*vfork_exit\.c:[0-9]+"
	assert_regex "$stderr" "callee_status [^ ]*vfork_exit\.c:[0-9]+"
	assert_regex "$stderr" "SUMMARY: spork: vfork-exit [^ ]*vfork_exit\.c:[0-9]+ in child_status"
	run spork run -q -e 42 -- "$VICTIMS/vfork_exit" status callee
	assert_failure 42
}

@test "a lock that another thread gives back is waited for where that thread is" {
	record -- vfork_lock_held 2>/dev/null
	assert_equal "$(cat "$BATS_TEST_TMPDIR/record.out")" "child 0: exit 0"
	assert_equal "$(query 'sorted({v["kind"] for v in violations})')" vfork-unsafe-call
}
