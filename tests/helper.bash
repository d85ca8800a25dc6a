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

# same_as_bare CMD...: stdout, stderr and exit status of CMD are, byte for byte, those of a bare run.
same_as_bare() {
	local bare=0 shim=0 out=$BATS_TEST_TMPDIR/same cmd

	cmd=$(program "$1")
	LIMIT=${LIMIT:-30} bounded "$cmd" "${@:2}" >"$out.bare.out" 2>"$out.bare.err" </dev/null ||
		bare=$?
	LIMIT=${LIMIT:-30} spork run -q -- "$cmd" "${@:2}" >"$out.shim.out" 2>"$out.shim.err" \
		</dev/null || shim=$?
	[ "$bare" -ne 124 ] || fail "the bare run took too long"
	[ -z "${SAME_SHOW-}" ] || cat "$out.bare.out" "$out.bare.err"
	diff -u --text "$out.bare.out" "$out.shim.out" || fail "stdout differs"
	diff -u --text "$out.bare.err" "$out.shim.err" || fail "stderr differs"
	[ "$bare" -eq "$shim" ] || fail "exit status $shim, bare $bare"
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
