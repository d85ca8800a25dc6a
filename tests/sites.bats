#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# spork sites: what would be needed for a site to be promoted, and a table that fits.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

bats_require_minimum_version 1.5.0
load helper

setup() {
	work_setup
	unset NO_COLOR COLUMNS
}

# sites ARGS...: $output of the command
sites() {
	run --separate-stderr bounded "$SPORK" sites "$@"
	assert_success
}

# learned SITES-OPTIONS... -- [RUN-OPTION]... VICTIM ARGS...: the sites of a victim that ran
learned() {
	local shown=()

	while [ "$1" != -- ]; do
		shown+=("$1")
		shift
	done
	LIMIT=30 spork run -q -o box "${@:2:$#-2}" -- "$VICTIMS/${!#}" >/dev/null 2>&1 || :
	sites "${shown[@]}" box
}

# of EXPRESSION: a Python expression over the sites of $output
of() {
	"$PYTHON" -c '
import json, sys
sites = [json.loads(line) for line in sys.stdin]
site = sites[0]
print(eval(sys.argv[1]))' "$1" <<<"$output"
}

@test "every reason has words for what is needed, each its own" {
	"$VICTIMS/make_box" reasons box
	sites -f json box
	assert_equal "$(of 'len(sites) > 40')" True
	assert_equal "$(of '[s["reason"] for s in sites if s["reason"] != "none" and not s["advice"]]')" "[]"
	assert_equal "$(of '[s["advice"] for s in sites if s["reason"] == "none"]')" "[None]"
	assert_equal "$(of 'len({s["advice"] for s in sites}) == len(sites)')" True
	# A reason of box.h is a line of the table, and there is no other.
	assert_equal "$(grep -o '^ADVICE([A-Z_]*' "$ROOT/tools/advice.def" | cut -d'(' -f2 | sort)" \
		"$(sed -n '/define SPORK_REASONS/,/^$/p' "$ROOT/shim/box.h" | sed -n 's/^\tX(\([A-Z_]*\),.*/\1/p' | sort)"
	sites box
	assert_equal "$(grep -c '^    needed: ' <<<"$output")" "$(($(grep -c '^ADVICE(' "$ROOT/tools/advice.def") - 1))"
}

@test "functions with words of their own are functions that the shim hooks, and that can refuse a site" {
	local name missing='' seen=0

	while read -r name; do
		grep -qE "^HOOK\([a-z]+, [A-Za-z0-9_]+, $name, [^,]*, [A-Z_]+\)" "$ROOT/shim/hooks.def" || missing+=" $name"
		! grep -qE "^HOOK\([a-z]+, [A-Za-z0-9_]+, $name, [^,]*, NONE\)" "$ROOT/shim/hooks.def" || missing+=" $name"
		seen=$((seen + 1))
	done < <(sed -n '/^CALL_ADVICE/s/.*("\([^"]*\)".*/\1/p' "$ROOT/tools/advice.def" | tr ' ' '\n')
	[ "$seen" -gt 30 ]
	assert_equal "$missing" ""
}

@test "the function that refused a site is named in what is needed" {
	learned -f json -- fork_blocks
	assert_equal "$(of 'site["reason"]')" blocks
	assert_equal "$(of 'site["advice"]')" \
		"children that do not call read() before exec: do not wait for the parent; all that it does before fork() is done"
	sites box
	assert_line --regexp '^    blocks: .*: read called in '
	assert_line --regexp '^    needed: children that do not call read\(\) before exec: '
}

@test "a promoted site needs nothing, one that learns says how far it is" {
	learned -f json -- fork_exec
	assert_equal "$(of '[(s["state"], s["advice"]) for s in sites if s["call"] == "fork"]')" "[('promoted', None)]"
	sites box
	refute_output --partial needed:
	learned -f json -- -s learn=1000 fork_exec
	assert_equal "$(of 'site["state"]')" learning
	[[ $(of 'site["advice"]') =~ ^"more forks of which an audit finds nothing".*"(so far: "[1-9] ]] || fail "$output"
}

@test "forks at a promoted site that were not fast after all say why, and what is needed" {
	"$VICTIMS/make_box" good box
	"$PYTHON" - "$ROOT" <<-'END'
		import re, struct, sys
		# The record's fields up to `fallbacks` are 64 bits wide, from `shape` on; found by what make_box puts before them.
		data = bytearray(open("box", "rb").read())
		mark = struct.pack("<QQ", 100, 7)
		at = data.index(mark)
		assert data.count(mark) == 1
		names = [name for name in re.findall(r'X\(([A-Z_]+),', open(sys.argv[1] + "/shim/box.h").read().split("define SPORK_REASONS")[1])]
		# spawns, by_tier[8], upgrades, audits, fallbacks, fallback_reason
		struct.pack_into("<QI", data, at + 8 * 11, 5, names.index("FRAMES"))
		open("box", "wb").write(data)
	END
	sites box
	assert_line --regexp '^    5 still by fork: frames: '
	assert_line --regexp '^    needed: fork from callers whose frames have a fixed size'
	sites -f json box
	assert_equal "$(of 'site["fallback_advice"].startswith("fork from callers")')" True
}

@test "the table fits the columns that there are, and is whole without a limit" {
	local columns line

	"$VICTIMS/make_box" reasons box
	sites box
	assert_line --index 0 --regexp '^site +call +state +spawns +fork +vfork +lean +spawn +upgrades +p50 +p99$'
	for columns in 70 80 100 200; do
		COLUMNS=$columns sites box
		# The table, and what is told in words; names are not cut.
		while IFS= read -r line; do
			[ "${#line}" -le "$columns" ] || fail "$columns: $line"
		done < <(grep -E '^[^ ]|^    needed|^            ' <<<"$output")
	done
	COLUMNS=70 sites box
	refute_line --index 0 --partial lean
	assert_line --index 0 --partial spawns
	assert_line --index 1 --regexp '\+0x[0-9a-f]+ +fork +refused '
	COLUMNS=nonsense sites box
	assert_line --index 0 --partial lean
}

@test "on a terminal its width counts, and refused sites have a colour" {
	"$VICTIMS/make_box" reasons box
	script terminal.py <<-'END'
		import fcntl, os, pty, struct, sys, termios
		pid, fd = pty.fork()
		if not pid:
		    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 64, 0, 0))
		    os.execvp(sys.argv[1], sys.argv[1:])
		seen = b""
		while True:
		    try:
		        part = os.read(fd, 65536)
		    except OSError:
		        break
		    if not part:
		        break
		    seen += part
		os.waitpid(pid, 0)
		sys.stdout.buffer.write(seen.replace(b"\r", b""))
	END
	run bounded "$PYTHON" terminal.py "$SPORK" sites box
	assert_line --index 0 --regexp $'^\e\\[1msite '
	refute_line --index 0 --partial lean
	assert_line --index 1 --regexp $'\e\\[1;33m[^ ]+ +fork +refused '
	NO_COLOR=1 run bounded "$PYTHON" terminal.py "$SPORK" sites box
	refute_output --partial $'\e'
	NO_COLOR=1 run bounded "$PYTHON" terminal.py "$SPORK" sites --color=always box
	assert_output --partial $'\e'
}
