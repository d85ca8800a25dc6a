# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Loaded by every test. Whatever may hang runs under timeout, with bats' own descriptor 3 closed, so that an
# orphan cannot stall the suite; LD_PRELOAD is given to the victim alone, never exported.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$ROOT/build}
SHIM=$BUILD/libspork.so
SPORK=$BUILD/spork
VICTIMS=$BUILD/victims
export SPORK_SHIM=$SHIM
unset SPORK_OPTIONS LD_PRELOAD MAKEFLAGS MAKELEVEL

# The system's own, where there is one: a wrapper earlier in PATH would be one more program under test.
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=$(command -v python3)

# A name without a slash means a victim, where there is one of that name.
program() {
	case $1 in
	*/*) echo "$1" ;;
	*) if [ -x "$VICTIMS/$1" ]; then echo "$VICTIMS/$1"; else echo "$1"; fi ;;
	esac
}

# bounded CMD...
bounded() {
	timeout -k 1 "${LIMIT:-10}" "$@" 3>&-
}

# victim NAME ARGS...: bare
victim() {
	bounded "$VICTIMS/$1" "${@:2}"
}

# preload OPTIONS PROG ARGS...: under the shim, without the tool
preload() {
	bounded env LD_PRELOAD="$SHIM" SPORK_OPTIONS="$1" "$(program "$2")" "${@:3}"
}

# quietly OPTIONS PROG...: preload with stderr apart, in $stderr
# shellcheck disable=SC2154 # set by run
quietly() {
	run --separate-stderr preload "$@"
	echo "$*: $output"
	echo "$stderr"
}

# clean PROG...: an orphan's clean twin finishes, and nothing is said
# shellcheck disable=SC2154 # set by run
clean() {
	quietly gate=0 "$@"
	assert_equal "$status $output $stderr" "0 child finished "
}

# spork ARGS...
spork() {
	bounded "$SPORK" "$@"
}

# record [SPORK-RUN-OPTION]... -- PROG ARGS...: under `spork run`, the records into
# record.jsonl in the test's folder, what PROG prints to stdout into record.out
record() {
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	spork run -f json -O "$BATS_TEST_TMPDIR/record.jsonl" "${options[@]}" -- \
		"$(program "$2")" "${@:3}" >"$BATS_TEST_TMPDIR/record.out"
}

# query EXPRESSION: prints a Python expression over what `record` left: rows, site (the only one), sites,
# violations, deadlock (the first of that kind), summary. A list is printed one element a line.
query() {
	"$PYTHON" -c '
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
def of(kind): return [row for row in rows if row["type"] == kind]
sites, violations = of("site"), of("violation")
summary = of("summary")[0] if of("summary") else None
site = sites[0] if len(sites) == 1 else None
deadlock = next((v for v in violations if v["kind"] == "orphan-deadlock"), None)
value = eval(sys.argv[2])
print(*value, sep="\n") if isinstance(value, list) else print(value)
' "$BATS_TEST_TMPDIR/record.jsonl" "$1"
}

# files_left [PATTERN]: every file below the current folder with its type, mode, target and checksum; of those
# whose path matches the regular expression only that they are there.
files_left() {
	find . -mindepth 1 -printf '%P\t%y %m %l\n' | sort | while IFS=$'\t' read -r file rest; do
		if [[ -n ${1-} && $file =~ $1 ]]; then
			rest=${rest%% *}
		elif [ -f "$file" ] && [ ! -L "$file" ]; then
			rest+=$(sha256sum <"$file")
		fi
		printf '%s %s\n' "$file" "$rest"
	done
}

# same_as_bare CMD...: stdout, stderr and exit status of CMD are, byte for byte, those of a bare run; and in
# a folder of the test's own, both runs start with the files that are there and leave the same behind.
# LIMIT: seconds a run. SAME_SHOW: also print what the bare run printed. SAME_SED: a sed script for what
# differs from run to run, pids say. SAME_VOLATILE: files whose contents do, as in files_left. SAME_RUN:
# options for spork run. SAME_KEPT: the exit status of the bare run before, which is not done again.
same_as_bare() {
	local bare=0 shim=0 out=$BATS_TEST_TMPDIR/same cmd own='' stream

	cmd=$(program "$1")
	case $PWD in "$BATS_TEST_TMPDIR"/*) own=yes ;; esac
	if [ -n "$own" ]; then
		rm -rf "$out.seed"
		cp -a . "$out.seed"
	fi
	if [ -n "${SAME_KEPT-}" ]; then
		bare=$SAME_KEPT
	else
		LIMIT=${LIMIT:-30} bounded "$cmd" "${@:2}" >"$out.bare.out" 2>"$out.bare.err" </dev/null ||
			bare=$?
	fi
	if [ -n "$own" ] && [ -z "${SAME_KEPT-}" ]; then
		files_left "${SAME_VOLATILE-}" >"$out.bare.files"
		find . -mindepth 1 -delete
		cp -a "$out.seed/." .
	fi
	# shellcheck disable=SC2086 # several options
	LIMIT=${LIMIT:-30} spork run -q ${SAME_RUN-} -- "$cmd" "${@:2}" >"$out.shim.out" 2>"$out.shim.err" \
		</dev/null || shim=$?
	[ "$bare" -ne 124 ] || fail "the bare run took too long"
	[ -z "${SAME_SHOW-}" ] || cat "$out.bare.out" "$out.bare.err"
	if [ -n "${SAME_SED-}" ]; then
		sed -i -E "$SAME_SED" "$out".{bare,shim}.{out,err}
	fi
	for stream in out err; do
		diff -u --text "$out.bare.$stream" "$out.shim.$stream" || fail "std$stream differs"
	done
	SAME_STATUS=$bare
	[ "$bare" -eq "$shim" ] || fail "exit status $shim, bare $bare"
	if [ -n "$own" ]; then
		files_left "${SAME_VOLATILE-}" >"$out.shim.files"
		diff -u --text "$out.bare.files" "$out.shim.files" || fail "the files left behind differ"
	fi
}

# on_terminal CMD...: a program on a terminal of its own that is typed the lines of the file "typed", each when
# the program is ready for it; or, a line that begins with @PATTERN@, when that regular expression was printed
# since the line before. ^C, ^D and ^Z alone are the keys.
on_terminal() {
	[ -x "$PYTHON" ] || skip "no python3 here"
	script "$BATS_TEST_TMPDIR/terminal.py" <<-'END'
		import os, pty, re, select, sys

		pid, fd = pty.fork()
		if not pid:
		    os.execvp(sys.argv[1], sys.argv[1:])
		seen, done = b"", 0
		typed = []
		for line in open("typed", "rb").read().splitlines(True):
		    pattern, text = re.fullmatch(rb"(?:@(.*)@)?(.*\n)", line).groups()
		    key = {b"^C\n": b"\x03", b"^D\n": b"\x04", b"^Z\n": b"\x1a"}.get(text, text)
		    typed.append((re.compile((pattern or rb"ready> \Z").replace(b"\\n", b"\n")), key))
		while True:
		    if not select.select([fd], [], [], 10)[0]:
		        seen += b"\nnothing comes any more\n"
		        os.kill(pid, 9)
		        break
		    try:
		        seen += os.read(fd, 4096)
		    except OSError:
		        break
		    if typed and typed[0][0].search(seen, done):
		        done = len(seen)
		        os.write(fd, typed.pop(0)[1])
		sys.stdout.buffer.write(seen.replace(b"\r", b""))
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
	PS1='ready> ' TERM=dumb SAME_SED='s/[0-9]{3,}/N/g' same_as_bare "$PYTHON" "$BATS_TEST_TMPDIR/terminal.py" "$@"
}

# no_violations BOX: nothing was found in a run of spork with --box BOX, or no kind but TOLERATED, a pattern
no_violations() {
	local found

	found=$(spork report -f json "$1") || fail "no box"
	! grep '"type":"violation"' <<<"$found" | grep -vE "\"kind\":\"(${TOLERATED:-none})\"" || fail "violations"
}

# as_bare_everywhere CMD...: same_as_bare, and no violation, under each of several options, in the folder as it
# was at first; the second run starts with the call sites that the first one promoted.
as_bare_everywhere() {
	local options kept='' files=$BATS_TEST_TMPDIR/everywhere
	local box=$files.box profile=$files.profile

	rm -rf "$files"
	cp -a . "$files"
	for options in "-p $profile" "-p $profile -s locks=order -s strict=1 -s learn=1 -s reaudit=2" \
		"-s reroute=off"; do
		echo "with $options"
		SAME_RUN="-o $box $options" SAME_KEPT=$kept same_as_bare "$@"
		kept=$SAME_STATUS
		# strict=1 tells of what practice tolerates: dash, gcc; the handlers of zsh
		case $options in
		*strict=1*) TOLERATED="vfork-[a-z-]*|[a-z]*-unsafe-call|${TOLERATED:-none}" no_violations "$box" ;;
		*) no_violations "$box" ;;
		esac
		find . -mindepth 1 -delete
		cp -a "$files/." .
	done
}

# A test's teardown where servers are started: kills what lives on in the test's folder.
kill_left() {
	local folder

	for folder in /proc/[0-9]*/cwd; do
		case $(readlink "$folder" 2>/dev/null) in
		"$BATS_TEST_TMPDIR"/*)
			folder=${folder#/proc/}
			[ "${folder%/cwd}" = $$ ] || [ "${folder%/cwd}" = "$BASHPID" ] ||
				kill -9 "${folder%/cwd}" 2>/dev/null || :
			;;
		esac
	done
}

# needs COMMAND...: or the test is skipped, aloud
needs() {
	local command

	for command; do
		command -v "$command" >/dev/null 2>&1 || skip "no $command here"
	done
}

# one_line TEXT: what was printed is exactly one line
one_line() {
	[ "$(printf '%s\n' "$1" | grep -c .)" -eq 1 ] || fail "not one line: $1"
}

# A folder of the test's own to work in, for programs whose output must not depend on where and when
work_setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return
	export HOME=$PWD LC_ALL=C TZ=UTC
}

# script NAME: stdin into a file
script() {
	cat >"$1"
}

# The setup of tests that start servers: a folder of the test's own, and until.sh there for their scripts.
server_setup() {
	work_setup || return
	PATH=$PATH:/usr/sbin:/sbin
	cat >until.sh <<-'END'
		# soon CONDITION: waits until it is true, for ten seconds at most
		soon() {
			n=0
			until eval "$1" >/dev/null 2>&1; do
				n=$((n + 1))
				[ $n -lt 500 ] || { echo "never came: $1"; exit 1; }
				sleep 0.02
			done
		}
		# alive PID: and not only waiting to be reaped by an init that may never do it
		alive() { grep -q '^State:.[^Z]' "/proc/$1/status"; }
	END
}

# served SCRIPT: as in a bare run, which itself must have come to its end
served() {
	same_as_bare bash "$1"
	! grep 'never came' "$BATS_TEST_TMPDIR/same.bare.out" || fail "the bare run did not work"
}

# corpus_files KIND: those that are made in the current folder, and those of tests/corpus that were found
corpus_files() {
	printf '%s\n' "$PWD/$1"/*
	[ ! -d "$ROOT/tests/corpus/$1" ] || printf '%s\n' "$ROOT/tests/corpus/$1"/*
}

# limited CMD...: bounded, in 300 MB of addresses
limited() (
	ulimit -v 300000
	bounded "$@"
)

# what_was_said: $stderr, but for the files that have no names, of which some are told
# shellcheck disable=SC2154 # set by run
what_was_said() {
	[ "$(grep -c ': no names' <<<"$stderr")" -le 9 ] || fail "$stderr"
	grep -v ': no names' <<<"$stderr" || :
}

# sane FILE SPORK-ARG...: spork reads the file and exits with 0 and one line of error at most, which says what is
# missing, or with 125 and one line; limited
# shellcheck disable=SC2154 # set by run
sane() {
	local file=$1 said=0

	shift
	run --separate-stderr limited "$SPORK" "$@" "$file"
	stderr=$(what_was_said)
	[ -z "$stderr" ] || said=$(wc -l <<<"$stderr")
	case $status in
	0) [ "$said" -le 1 ] ;;
	125) [ "$said" -eq 1 ] ;;
	*) false ;;
	esac || fail "spork $* $file: status $status, $said lines: $stderr"
	[[ $said -eq 0 || $stderr == "spork: $1: "* ]] || fail "spork $* $file: $stderr"
}
