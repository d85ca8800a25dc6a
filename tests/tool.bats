#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The command-line tool by itself: options, errors, exit statuses, what it makes of boxes good and bad.
# Boxes come from make_box, so nothing here depends on what the shim finds.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

bats_require_minimum_version 1.5.0
load helper

setup_file() {
	cd "$ROOT" || return 1
	local source=tests/victims/make_box.c
	export MAKE_BOX=$VICTIMS/make_box
	export GET_LINE RUN_LINE
	GET_LINE=$(grep -n 'line: cache_get' "$source" | cut -d: -f1)
	RUN_LINE=$(grep -n 'line: run_child' "$source" | cut -d: -f1)
	unset SPORK_OPTIONS SPORK_SHIM LD_PRELOAD NO_COLOR
}

setup() {
	cd "$BATS_TEST_DIRNAME/.." || return 1
	BOX=$BATS_TEST_TMPDIR/box
}

# bats takes 127 for a mistake of the test's, unless it is expected: expect=-127 spork ...
spork() {
	# shellcheck disable=SC2086
	run ${expect-} --separate-stderr timeout -k 1 10 "$SPORK" "$@" 3>&-
}

# Status $1, nothing on stdout, one line on stderr that has $2.
refused() {
	assert_equal "$status" "$1"
	assert_equal "$output" ""
	assert_equal "${#stderr_lines[@]}" 1
	[[ $stderr == "spork: "*"$2"* ]] || fail "stderr: $stderr"
}

# Each line of $output is JSON by itself.
assert_json_lines() {
	local line
	[ -n "$output" ] || fail "no output"
	while IFS= read -r line; do
		python3 -m json.tool <<<"$line" >/dev/null || fail "not JSON: $line"
	done <<<"$output"
}

# Evaluates the Python expression $1 on `rows`, the list of objects in $output.
query() {
	python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.argv[2].splitlines()]
of = lambda kind: [row for row in rows if row["type"] == kind]
print(eval(sys.argv[1]))' "$1" "$output"
}

@test "--version and help go to stdout and succeed" {
	spork --version
	assert_success
	assert_output --regexp '^spork [0-9]'
	spork help
	assert_success
	for command in run report sites scan bench help; do
		assert_output --partial "spork $command"
	done
}

@test "each command tells its usage and options" {
	local command
	for command in run report sites scan bench help; do
		spork "$command" --help
		assert_success
		assert_output --partial "usage: spork $command"
		local text=$output
		spork help "$command"
		assert_output "$text"
	done
	spork run --help
	for option in --box --set --no-follow --error-exitcode --format --output --quiet; do
		assert_output --partial -- "$option"
	done
}

@test "without a command there is help on stderr and status 125" {
	spork
	assert_failure 125
	assert_equal "$output" ""
	[[ $stderr == usage:* ]]
}

@test "wrong command lines get one line and status 125" {
	spork bogus
	refused 125 "'bogus'"
	spork help bogus
	refused 125 "'bogus'"
	spork run --bogus true
	refused 125 "'--bogus'"
	spork run -qZ true
	refused 125 "'-Z'"
	spork run -o
	refused 125 "'-o' needs an argument"
	spork run
	refused 125 "no command"
	spork run -f xml true
	refused 125 "use text or json"
	spork run --color=red true
	refused 125 "use auto, always or never"
	spork run -e 256 true
	refused 125 "1 to 255"
	spork run -e 1x true
	refused 125 "1 to 255"
	spork report
	refused 125 "no box"
	spork report a b
	refused 125 "one box"
	spork report --kind bogus a
	refused 125 "orphan-deadlock"
	spork report --pid 0 a
	refused 125 "process id"
	spork sites
	refused 125 "no box"
}

@test "the manual pages are clean" {
	command -v mandoc >/dev/null || skip "no mandoc"
	local page
	for page in spork.1 spork-run.1 spork-inspect.1 spork-report.1 spork-sites.1 spork-scan.1 spork-bench.1 spork-help.1 \
		spork-options.5 spork-violations.7; do
		build/spork help --man "${page%.*}" >"$BATS_TEST_TMPDIR/$page"
	done
	cd "$BATS_TEST_TMPDIR" || return 1
	run mandoc -Tlint ./*.[157]
	assert_output ""
	assert_success
	run grep -c '^\.It Cm .* Ns = Ns' spork-options.5
	assert_output "$(grep -cE '^(CHOICE|NUMBER|PATHS)\(' "$BATS_TEST_DIRNAME/../shim/config.def")"
	run grep -c '^\.It Sy' spork-violations.7
	assert_output "$(grep -c '^VIOLATION(' "$BATS_TEST_DIRNAME/../shim/violation.def")"
}

@test "report: text names functions, files and lines" {
	"$MAKE_BOX" good "$BOX"
	spork report "$BOX"
	assert_success
	assert_equal "$stderr" ""
	assert_line --regexp "^WARNING: spork: orphaned-lock \(pid=4700\)"
	assert_line --regexp "^ERROR: spork: orphan-deadlock \(pid=4711\)"
	assert_line --regexp "^    #0 cache_get make_box.c:$GET_LINE \(make_box\+0x[0-9a-f]+\)$"
	assert_line --regexp "^    #0 run_child make_box.c:$RUN_LINE \(make_box\+0x[0-9a-f]+\)$"
	assert_line --regexp "mutex 0x[0-9a-f]+ \(cache_lock\)"
	assert_line "SUMMARY: spork: orphan-deadlock make_box.c:$GET_LINE in cache_get"
	assert_line --partial "2 processes, 107 spawns, 107 ms in spawn calls"
	assert_line --regexp '^  fork +107 +14 +93 +0 +0 +107 ms +1.00 ms$'
	assert_line --partial "7 spawns by fork, refused: a child uses the heap before exec"
	assert_line "  violations: orphaned-lock 2, orphan-deadlock 2"
	# Strings of the box cannot reach the terminal as control characters, nor break lines.
	assert_line --partial "thread 'wor\"?ker?' (tid=4702)"
}

@test "report: JSON Lines hold what the contract names" {
	"$MAKE_BOX" good "$BOX"
	spork report --format json "$BOX"
	assert_success
	assert_json_lines
	assert_equal "$(query '" ".join(row["type"] for row in rows)')" \
		"session process process site site violation violation summary"
	assert_equal "$(query 'of("violation")[1]["kind"]')" orphan-deadlock
	assert_equal "$(query 'of("violation")[1]["severity"]')" error
	assert_equal "$(query '[of("violation")[1][k] for k in ("pid", "ppid", "tid", "count")]')" \
		"[4711, 4700, 4711, 2]"
	assert_equal "$(query 'of("violation")[0]["exe"]')" "$(realpath "$MAKE_BOX")"
	assert_equal "$(query 'of("violation")[0]["stack"][0]["symbol"]')" cache_get
	assert_equal "$(query 'of("violation")[0]["stack"][0]["line"]')" "$GET_LINE"
	assert_equal "$(query 'of("violation")[0]["stack"][0]["file"].split("/")[-1]')" make_box.c
	assert_equal "$(query 'sorted(of("violation")[0]["stack"][0])')" \
		"['addr', 'file', 'line', 'module', 'offset', 'symbol']"
	assert_equal "$(query 'of("violation")[0]["stack"][1]["symbol"]')" None
	assert_equal "$(query '[of("violation")[0]["lock"][k] for k in ("type", "name", "holder_tid")]')" \
		"['mutex', 'cache_lock', 4702]"
	assert_equal "$(query 'ascii(of("violation")[0]["lock"]["holder_name"])')" "'wor\"\\nker\\ufffd'"
	assert_equal "$(query 'of("violation")[0]["lock"]["acquired"]["symbol"]')" cache_get
	assert_equal "$(query 'of("violation")[0]["fork"]["stack"][0]["symbol"]')" run_child
	assert_equal "$(query 'of("violation")[0]["fork"]["site"] == of("site")[1]["id"]')" True
	assert_equal "$(query '[of("summary")[0][k] for k in ("processes", "spawns", "upgrades", "dropped")]')" \
		"[2, 107, 2, 0]"
	assert_equal "$(query 'of("summary")[0]["by_tier"]["vfork"]')" 93
	assert_equal "$(query 'of("summary")[0]["violations"]["orphan-deadlock"]')" 2
}

@test "report: --kind and --pid choose" {
	"$MAKE_BOX" good "$BOX"
	spork report -f json --kind orphan-deadlock "$BOX"
	assert_equal "$(query '[v["kind"] for v in of("violation")]')" "['orphan-deadlock']"
	spork report -f json --pid 4700 "$BOX"
	assert_equal "$(query '[v["kind"] for v in of("violation")]')" "['orphaned-lock']"
	assert_equal "$(query '[p["comm"] for p in of("process")]')" "['parent']"
}

@test "report: what was dropped is counted" {
	"$MAKE_BOX" full "$BOX"
	spork report "$BOX"
	assert_success
	assert_line --partial "8 records dropped"
}

@test "report: a file that was replaced is not asked for names" {
	cp "$MAKE_BOX" "$BATS_TEST_TMPDIR/app"
	"$BATS_TEST_TMPDIR/app" good "$BOX"
	cp build/spork "$BATS_TEST_TMPDIR/app"
	spork report "$BOX"
	assert_success
	assert_line --regexp '^    #0 app\+0x[0-9a-f]+$'
	assert_regex "$stderr" "^spork: report: .*/app was replaced since \\(its build-id is another\\): no names; --debug-dir "
	refute_output --partial "make_box.c"
	rm "$BATS_TEST_TMPDIR/app"
	spork report "$BOX"
	assert_success
	assert_line --regexp '^    #0 app\+0x[0-9a-f]+$'
	assert_regex "$stderr" "^spork: report: .*/app was deleted since: no names; --debug-dir "
}

@test "report: what is not a box gets one line and status 125" {
	local dir=$BATS_TEST_TMPDIR
	"$MAKE_BOX" good "$BOX"
	: >"$dir/none"
	head -c 100 "$BOX" >"$dir/cut"
	mkfifo "$dir/pipe"
	"$MAKE_BOX" newer "$dir/newer"
	for command in report sites; do
		spork $command "$dir/missing"
		refused 125 "missing: No such file or directory; "
		spork $command "$dir"
		refused 125 "is a directory"
		spork $command "$dir/none"
		refused 125 "is empty"
		spork $command "$dir/pipe"
		refused 125 "not a regular file"
		spork $command shim/box.h
		refused 125 "is not a spork box"
		spork $command "$dir/cut"
		refused 125 "within its header"
		spork $command "$dir/newer"
		refused 125 "made by a newer spork (version "
	done
}

@test "report: what is left of a cut box is reported" {
	"$MAKE_BOX" good "$BOX"
	local size
	size=$(stat -c %s "$BOX")
	truncate -s $((size - 1)) "$BOX"
	spork report "$BOX"
	assert_success
	assert_equal "${#stderr_lines[@]}" 1
	[[ $stderr == *"is not complete"* ]]
	assert_line "SUMMARY: spork: orphan-deadlock make_box.c:$GET_LINE in cache_get"
	spork report -f json "$BOX"
	assert_equal "$(query 'of("session")[0]["partial"]')" True
}

@test "report: an empty box is a box" {
	"$MAKE_BOX" empty "$BOX"
	spork report "$BOX"
	assert_success
	assert_line --partial "0 processes, 0 spawns"
	assert_line "  no violations"
	spork sites "$BOX"
	assert_success
	assert_line --partial "no sites"
}

@test "report: survives a box cut at any place" {
	"$MAKE_BOX" good "$BOX"
	run timeout -k 1 60 "$MAKE_BOX" cut "$BOX" "$BOX.cut" build/spork report -O /dev/null 3>&- 2>/dev/null
	assert_success
}

@test "report and sites: survive flipped bits" {
	"$MAKE_BOX" good "$BOX"
	run timeout -k 1 60 "$MAKE_BOX" flip 300 "$BOX" "$BOX.flip" "$SPORK" report -O /dev/null 3>&- \
		2>/dev/null
	assert_success
	run timeout -k 1 60 "$MAKE_BOX" flip 300 "$BOX" "$BOX.flip" "$SPORK" report -f json \
		-O /dev/null 3>&- 2>/dev/null
	assert_success
	run timeout -k 1 60 "$MAKE_BOX" flip 100 "$BOX" "$BOX.flip" build/spork sites -O /dev/null 3>&- \
		2>/dev/null
	assert_success
}

@test "report: a full disk is an error" {
	"$MAKE_BOX" good "$BOX"
	spork report -O /dev/full "$BOX"
	refused 125 "No space left"
}

@test "sites: table and JSON" {
	"$MAKE_BOX" good "$BOX"
	spork sites "$BOX"
	assert_success
	assert_line --index 1 --regexp '^make_box\+0x[0-9a-f]+ +fork +promoted +100 +7 +93 +0 +0 +1 +106 us +4.72 ms$'
	assert_line --regexp "^    from run_child make_box.c:$RUN_LINE "
	assert_line "    heap: a child uses the heap before exec"
	assert_line "    writes 4 bytes at cache_lock+8 in make_box"
	assert_line "    writes 8 bytes at -24 in thread-local storage"
	spork sites -f json "$BOX"
	assert_success
	assert_json_lines
	assert_equal "$(query '[s["state"] for s in of("site")]')" "['promoted', 'refused']"
	assert_equal "$(query 'rows[1]["reason"]')" heap
	assert_equal "$(query 'rows[0]["key"]')" 0xfedcba9876543210
	assert_equal "$(query '[rows[0][k] for k in ("symbol", "line", "call", "spawns", "upgrades")]')" \
		"['run_child', $RUN_LINE, 'fork', 100, 1]"
	assert_equal "$(query '90000 < rows[0]["p50_ns"] < 120000 and 4e6 < rows[0]["p99_ns"] < 6e6')" True
	assert_equal "$(query '[rows[0]["writes"][0][k] for k in ("symbol", "size")]')" "['cache_lock', 4]"
}

@test "colour: only when asked for, or on a terminal" {
	"$MAKE_BOX" good "$BOX"
	spork report "$BOX"
	refute_output --partial $'\e['
	spork report --color always "$BOX"
	assert_output --partial $'\e[1;31mERROR: spork: orphan-deadlock'
	command -v script >/dev/null || skip "no script(1)"
	run timeout -k 1 10 script -qec "$SPORK report '$BOX'" /dev/null 3>&- </dev/null
	assert_output --partial $'\e[1;31mERROR'
	NO_COLOR=1 run timeout -k 1 10 script -qec "build/spork report '$BOX'" /dev/null 3>&- </dev/null
	refute_output --partial $'\e['
}

@test "run: exit status, stdout and signals are the command's" {
	spork run -q sh -c 'echo out; exit 7'
	assert_failure 7
	assert_output out
	assert_equal "$stderr" ""
	spork run -q sh -c 'kill -KILL $$'
	assert_equal "$status" 137
	run timeout -k 1 10 python3 -c '
import subprocess
import sys
print(subprocess.call([sys.argv[1], "run", "-q", "sh", "-c", "kill -SEGV $$"]))' "$SPORK" 3>&-
	assert_output -- -11
}

@test "run: 127 and 126 with one line" {
	expect=-127 spork run no-such-command-at-all
	refused 127 "no-such-command-at-all"
	expect=-127 spork run ./no/such
	refused 127 "./no/such"
	spork run ./shim/box.h
	refused 126 "Permission denied"
	spork run ./shim
	refused 126 "directory"
	printf '\1\2\3' >"$BATS_TEST_TMPDIR/junk"
	chmod +x "$BATS_TEST_TMPDIR/junk"
	spork run "$BATS_TEST_TMPDIR/junk"
	refused 126 "Exec format error"
}

@test "run: --set is checked against the table" {
	spork run -s bogus=1 true
	refused 125 "'bogus'"
	spork run -s reroute true
	refused 125 "KEY=VALUE"
	spork run -s reroute=maybe true
	refused 125 "off|auto|vfork"
	spork run -s learn=0 true
	refused 125 "1 to 1000"
	spork run -s learn=3x true
	refused 125 "1 to 1000"
	spork run -s learn=99999999999999999999 true
	refused 125 "1 to 1000"
	spork run -s log=/a:b true
	refused 125 "without ':'"
}

@test "run: what the command gets" {
	SPORK_OPTIONS=learn=5 LD_PRELOAD='' spork run -q -s reaudit=7 --no-follow \
		strings /proc/self/environ
	assert_success
	assert_line --regexp '^SPORK_OPTIONS=learn=5:reaudit=7:follow=0:log=none:box=/proc/[0-9]+/fd/[0-9]+$'
	spork run -q -s log=stderr strings /proc/self/environ
	assert_line --partial SPORK_OPTIONS=log=stderr:box=
	refute_output --partial log=none
	spork run -q strings /proc/self/environ
	assert_line --regexp '^LD_PRELOAD=/.*/libspork.so$'
	# No descriptor beyond those that it would have had without spork.
	local bare
	bare=$(timeout -k 1 10 ls /proc/self/fd 3>&- </dev/null | wc -l)
	run timeout -k 1 10 build/spork run -q ls /proc/self/fd 3>&- </dev/null
	assert_equal "${#lines[@]}" "$bare"
	# Ignored signals stay ignored, others do not become so.
	run timeout -k 1 10 build/spork run -q grep SigIgn /proc/self/status 3>&-
	local with=$output
	run timeout -k 1 10 grep SigIgn /proc/self/status 3>&-
	assert_equal "$with" "$output"
}

@test "run: SIGTERM is passed on" {
	timeout -k 1 10 build/spork run -q sh -c 'trap "exit 5" TERM; echo ready; sleep 9 & wait' \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	local pid=$! child
	until grep -q ready "$BATS_TEST_TMPDIR/out"; do sleep 0.05; done
	child=$(pgrep -P "$pid" spork)
	kill -TERM "$child"
	wait "$pid" && status=0 || status=$?
	assert_equal "$status" 5
}

@test "run: --box makes a file, replaces a box, and nothing else" {
	spork run -q -o "$BOX" true
	assert_success
	assert_equal "$(stat -c %a "$BOX")" 600
	spork report "$BOX"
	assert_success
	spork run -q -o "$BOX" true
	assert_success
	echo precious >"$BATS_TEST_TMPDIR/file"
	spork run -o "$BATS_TEST_TMPDIR/file" echo ran
	refused 125 "is not a spork box of yours"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/file")" precious
	ln -s "$BOX" "$BATS_TEST_TMPDIR/link"
	spork run -o "$BATS_TEST_TMPDIR/link" echo ran
	refused 125 "is not a spork box of yours"
	spork run -o "$BATS_TEST_TMPDIR/a:b" echo ran
	refused 125 "':'"
	spork run -o "$BATS_TEST_TMPDIR/no/such/folder" echo ran
	refused 125 "No such file"
}

@test "run: a violation is printed while the command still runs" {
	timeout -k 1 20 build/spork run "$MAKE_BOX" violate 15 >/dev/null 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	local pid=$!
	for _ in $(seq 60); do
		grep -q '^SUMMARY' "$BATS_TEST_TMPDIR/err" && break
		sleep 0.05
	done
	kill -0 "$pid"
	pkill -TERM -P "$pid" spork
	wait "$pid" || true
	run cat "$BATS_TEST_TMPDIR/err"
	assert_line "SUMMARY: spork: orphan-deadlock make_box.c:$GET_LINE in cache_get"
	assert_equal "$(grep -c '^SUMMARY' "$BATS_TEST_TMPDIR/err")" 1
	assert_line "  violations: orphan-deadlock 1"
}

@test "run: -e, --quiet, --format and --output" {
	spork run -e 9 "$MAKE_BOX" violate 0
	assert_failure 9
	[[ $stderr == *"SUMMARY: spork: orphan-deadlock"* ]]
	spork run -e 9 true
	assert_success
	spork run -q -e 9 "$MAKE_BOX" violate 0
	assert_failure 9
	assert_equal "$stderr" ""
	spork run -f json -O "$BATS_TEST_TMPDIR/out" "$MAKE_BOX" violate 0
	assert_success
	assert_equal "$stderr" ""
	output=$(cat "$BATS_TEST_TMPDIR/out")
	assert_json_lines
	assert_equal "$(query '[v["kind"] for v in of("violation")]')" "['orphan-deadlock']"
	assert_equal "$(query 'rows[-1]["type"]')" summary
	spork run -O "$BATS_TEST_TMPDIR/no/such" true
	refused 125 "cannot be written"
}

@test "run: what cannot be traced is said, and runs" {
	local dir=$BATS_TEST_TMPDIR
	echo 'int main(void) { return 4; }' >"$dir/a.c"
	"${CC:-cc}" -static "$dir/a.c" -o "$dir/static"
	spork run "$dir/static"
	assert_failure 4
	assert_equal "${stderr_lines[0]}" "spork: run: $dir/static cannot be traced: it is statically linked"
	[[ $stderr == *"never loaded the shim"* ]]
	printf '#!%s\n' "$dir/static" >"$dir/script"
	chmod +x "$dir/script"
	spork run -q "$dir/script"
	assert_failure 4
	[[ $stderr == *"cannot be traced: its interpreter $dir/static: it is statically linked" ]]
	spork run -q sh -c true
	assert_equal "$stderr" ""
	if "${CC:-cc}" -fsanitize=address "$dir/a.c" -o "$dir/asan" 2>/dev/null; then
		spork run -q "$dir/asan"
		assert_failure 4
		[[ $stderr == *"cannot be traced: it is built with AddressSanitizer" ]]
	fi
	if [ "$(id -u)" = 0 ] && ! findmnt -no OPTIONS -T "$dir" | grep -q nosuid; then
		cp /bin/true "$dir/suid"
		chown nobody "$dir/suid"
		chmod 4755 "$dir/suid"
		spork run -q "$dir/suid"
		assert_success
		[[ $stderr == *"cannot be traced: it is set-user-ID" ]]
	fi
}
