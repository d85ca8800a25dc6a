#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork bench`: that it measures what it says, and says it so that programs can read it. Never what it measures.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# quick BENCH ARGS...: short samples, one round
quick() {
	LIMIT=100 spork bench "$1" --quick --runs 1 --warmup 0 "${@:2}"
}

# Evaluates the Python expression $1 on `rows`, the objects in the file measured.
rows() {
	"$PYTHON" -c '
import json, sys
rows = [json.loads(line) for line in open("measured")]
bench = [row for row in rows if row["type"] == "bench"]
print(eval(sys.argv[1]))' "$1"
}

# Status 125, nothing on stdout, one line on stderr that has $1.
refused() {
	assert_equal "$status" 125
	assert_equal "$output" ""
	one_line "$stderr"
	[[ $stderr == "spork: "*"$1"* ]] || fail "stderr: $stderr"
}

wrong() {
	run --separate-stderr spork bench "$@"
}

@test "locks: each case has a row for each configuration, in JSON" {
	quick locks -f json -O measured
	run rows '" ".join(list(dict.fromkeys(row["case"] for row in bench)))'
	assert_output "mutex-one-thread mutex mutex-recursive rwlock-read rwlock-write spin semaphore cond \
mutex-contended rwlock-contended spin-contended fork fork-call"
	run rows '" ".join(list(dict.fromkeys(row["config"] for row in bench)))'
	assert_output "bare off on order"
	run rows 'len(bench) == 13 * 4 == len(set((row["case"], row["config"]) for row in bench))'
	assert_output True
	run rows 'all(row["bench"] == "locks" and row["runs"] == 1 and row["p50"] > 0 and row["ratio"] > 0 for row in bench)'
	assert_output True
	run rows 'all(row["ratio"] == 1 for row in bench if row["config"] == "bare")'
	assert_output True
	run rows '[list(row)[0] for row in rows] == ["type"] * len(rows)'
	assert_output True
	run rows 'rows[0]["type"], rows[0]["cores"] > 0, bool(rows[0]["kernel"] and rows[0]["glibc"] and rows[0]["thp"])'
	assert_output "('machine', True, True)"
}

@test "locks: the same as a table and as CSV" {
	quick locks -c mutex -c fork >table
	run cat table
	assert_output --regexp 'bare +off +on +order'
	assert_line --regexp '^mutex +[0-9.]+ ns +[0-9.]+ \([0-9.]+-[0-9.]+\)'
	assert_line --regexp '^fork and wait, 1,000 locks held +[0-9.]+ (us|ms) '
	assert_output --partial "glibc "
	refute_output --partial "rwlock"
	quick locks -c mutex -f csv >rows.csv
	run cat rows.csv
	assert_line -n 0 --regexp '^bench,case,config,.*,p10,p50,p90,p99,ratio,ratio_p10,ratio_p90,.*kernel,'
	assert_line -n 1 --regexp '^locks,mutex,bare,,,,,,,time,ns,1,1,([0-9.]+,){6}[0-9.]+,,,,,,,"Linux '
	run "$PYTHON" -c 'import csv; print(len(set(map(len, csv.reader(open("rows.csv"))))))'
	assert_output 1
	run cat rows.csv
	assert_equal "${#lines[@]}" 5
}

@test "the shim is in the processes that are to have it, with their options" {
	needs strace
	timeout 60 strace -f -v -s 4096 -e trace=execve -o trace "$SPORK" bench locks --quick --runs 1 --warmup 0 \
		-c mutex >table 3>&-
	grep -- '--payload' trace >started
	assert_equal "$(grep -c . started)" 4
	assert_equal "$(grep -c "LD_PRELOAD=$SHIM" started)" 3
	local locks
	for locks in off on order; do
		assert_equal "$(grep -c "SPORK_OPTIONS=[^\"]*locks=$locks" started)" 1
	done
}

@test "a ratio is quoted where its rounds do not scatter, and only there" {
	quick locks -c mutex -c cond --runs 4 -f json -O measured
	# Of a ratio that is not quoted only the percentiles are told, and the median lies between them.
	run rows 'all(row["ratio_p90"] - row["ratio_p10"] > 0.299 * row["ratio_p10"] if row["ratio"] is None
		else row["ratio_p90"] - row["ratio_p10"] < 0.301 * row["ratio"] + 0.002 for row in bench)'
	assert_output True
	run rows 'all(row["ratio_p10"] <= row["ratio_p90"] and row["p10"] <= row["p50"] <= row["p90"] <= row["p99"] for row in bench)'
	assert_output True
}

@test "what there is not is refused in one line" {
	wrong bogus
	refused "there is no benchmark 'bogus'; there are paths locks calls startup popen"
	wrong locks startup
	refused "more than one"
	wrong locks --runs 0
	refused "--runs 0"
	wrong locks --runs 3x
	refused "--runs 3x"
	wrong locks --warmup -1
	refused "--warmup -1"
	wrong locks --case bogus
	refused "mutex-contended"
	wrong locks --format xml
	refused "text, json, csv, svg or html"
	wrong locks --bogus
	refused "'--bogus'"
	wrong --payload bogus
	refused "--payload"
	wrong locks --payload locks
	refused "--payload"
	wrong paths --case mutex
	refused "there are fork fork-heap vfork posix_spawn"
	wrong paths --rss 1X
	refused "--rss 1X"
	wrong paths --rss 1M,
	refused "--rss 1M,"
	wrong paths --rss 99999999T
	refused "--rss 99999999T"
	wrong paths --threads -1
	refused "--threads -1"
	wrong paths --mappings 65000
	refused "--mappings 65000"
	wrong startup --rss 1M
	refused "--rss: startup has no use for it"
	wrong locks -O /nowhere/at/all
	refused "cannot be written"
	SPORK_SHIM=/nowhere/at/all wrong locks
	refused "SPORK_SHIM"
}

@test "an environment of the caller's does not reach what is measured" {
	export SPORK_OPTIONS=help=1:bogus=1
	run --separate-stderr quick locks -c mutex -f csv
	assert_success
	assert_equal "$stderr" ""
	assert_equal "${#lines[@]}" 5
}

@test "paths: each way to spawn has its rows at each size, and the machine's facts are told" {
	quick paths --rss 0,16M --threads 3 --mappings 100 -f json -O measured
	run rows 'sorted(set((row["case"], row["config"]) for row in bench if row["case"] != "avfork"))'
	assert_output "[('clone', 'bare'), ('fork', 'bare'), ('fork', 'shim'), ('fork-heap', 'bare'), ('fork-heap', 'shim'), ('posix_spawn', 'bare'), ('posix_spawn', 'shim'), \
('vfork', 'bare'), ('vfork', 'shim')]"
	run rows 'sorted(set(row["rss"] for row in bench)), min(row["resident"] - row["rss"] for row in bench) > 0'
	assert_output "([0, 16777216], True)"
	run rows '{(row["threads"], row["mappings"], row["huge_pages"]) for row in bench}'
	assert_output "{(3, 100, False)}"
	run rows '" ".join(sorted(set(row["measure"] + ":" + row["unit"] for row in bench)))'
	assert_output "call:ns faults:faults total:ns"
	# The reference of each ratio: nothing is compared with anything but times.
	run rows '{row["floor_p10"] for row in bench if row["case"] == "clone" and row["measure"] == "total"}'
	assert_output "{1.0}"
	run rows '{row["gain_p90"] for row in bench if (row["case"], row["config"], row["measure"]) == ("fork", "bare", "total")}'
	assert_output "{1.0}"
	run rows '{row["ratio"] for row in bench if row["measure"] == "faults"}'
	assert_output "{None}"
	run rows '[type(rows[0][key]).__name__ for key in ("kernel", "thp", "cores", "overcommit", "governor", "load")]'
	assert_output "['str', 'str', 'int', 'int', 'str', 'float']"
}

@test "paths: a learned fork is told by its tier, and copies no page that its parent then writes" {
	quick paths -c fork --rss 8M -f json -O measured
	run rows '[(row["config"], row["tier"], row["reason"]) for row in bench if row["measure"] == "total"]'
	assert_output "[('bare', None, None), ('shim', 'vfork', None)]"
	run rows '[row["p50"] for row in bench if row["measure"] == "faults"]'
	assert_output "[64.0, 0.0]"
}

@test "paths: so is one whose child uses the heap, which is lean where there is enough to leave out" {
	[ "$(uname -m)" = x86_64 ] || skip "the lean tier is for x86-64"
	quick paths -c fork -c fork-heap --rss 32M -f json -O measured
	run rows '[(row["case"], row["tier"]) for row in bench if row["measure"] == "total" and row["config"] == "shim"]'
	assert_output "[('fork', 'vfork'), ('fork-heap', 'lean')]"
}

# children PID: of that process, one a line
children() {
	pgrep -P "$1"
}

@test "paths: memory, mappings and threads are really there, and end with the tool" {
	"$SPORK" bench paths --quick --runs 10000 -c fork --rss 32M --threads 5 --mappings 2000 >table 3>&- &
	local tool=$! child='' tries
	for ((tries = 0; tries < 400; tries++)); do
		child=$(children $tool | head -1)
		[ -n "$child" ] && [ "$(grep -c . "/proc/$child/maps" 2>/dev/null)" -gt 2000 ] &&
			[ "$(find "/proc/$child/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" = 6 ] && break
		sleep 0.05
	done
	run cat "/proc/$child/status"
	kill -9 $tool
	wait $tool || true
	assert_line --regexp '^Threads:[[:space:]]6$'
	# the tool ignores SIGPIPE, what it measures does not
	assert_line --regexp '^SigIgn:[[:space:]]+[0-9a-f]{12}[02468ace][0-9a-f]{3}$'
	assert_line --regexp '^VmRSS:[[:space:]]+(3[2-9]|4[0-9]|5[0-9])[0-9]{3} kB'
	for ((tries = 0; tries < 400; tries++)); do
		[ -e "/proc/$child" ] || break
		sleep 0.05
	done
	[ ! -e "/proc/$child" ]
}

@test "paths: Python and Node are measured on demand, as they are installed" {
	quick paths --peers -c python -c node -c fork --rss 0 -f json -O measured
	run rows 'sorted(set((row["case"], row["config"]) for row in bench))'
	assert_output "[('fork', 'bare'), ('fork', 'shim'), ('node', 'bare'), ('node', 'shim'), ('python', 'bare'), ('python', 'shim')]"
	run rows 'all(row["p50"] > 0 for row in bench if row["measure"] != "faults")'
	assert_output True
	mkdir nothing
	run --separate-stderr bounded env PATH="$PWD/nothing" "$SPORK" bench paths --quick --runs 1 --peers -c node -c fork --rss 0
	assert_success
	assert_output --partial "node: left out: it is not installed"
}

@test "paths: what does not fit into memory is refused before anything is measured" {
	wrong paths --rss 0,900G
	refused "do not fit into the memory that is left"
}

@test "startup: programs with the shim, started by a process without it" {
	quick startup -f json -O measured
	run rows 'sorted(set((row["case"], row["config"]) for row in bench)) == sorted((case, config)
		for case in ("true", "sh", "static") for config in ("bare", "shim", "locks=off", "box=none"))'
	assert_output True
	needs strace
	timeout 60 strace -f -v -s 4096 -e trace=execve -o trace "$SPORK" bench startup --quick --runs 1 --warmup 0 -c true \
		>table 3>&-
	run grep -- '--payload' trace
	refute_output --partial '"LD_PRELOAD='
	run grep -c '"[^"]*/true"\].*"LD_PRELOAD=.*"SPORK_OPTIONS=log=none:box=none"' trace
	[ "$output" -gt 0 ]
}

@test "calls: what the shim costs outside windows" {
	quick calls -f json -O measured
	run rows 'sorted(set((row["case"], row["config"]) for row in bench)) == sorted((case, config)
		for case in ("malloc", "close", "fork-refused") for config in ("bare", "shim", "locks=off"))'
	assert_output True
}

@test "popen: commands, and how many spawns a second" {
	quick popen -f json -O measured
	run rows 'sorted(set((row["case"], row["measure"]) for row in bench if "avfork" not in row["case"]))'
	assert_output "[('clone', 'call'), ('clone', 'total'), ('fork-rate', 'rate'), ('popen', 'call'), ('popen', 'total'), \
('popen-rate', 'rate'), ('posix_spawn', 'call'), ('posix_spawn', 'total'), ('posix_spawn-loop', 'rate'), \
('posix_spawn-rate', 'rate'), ('system', 'total')]"
	# what libc has not is under the shim only, and a ratio to what it is compared with is known
	run rows 'sorted(set((row["case"], row["measure"], row["ratio_p10"] > 0) for row in bench
		if "avfork" in row["case"] and row["config"] == "shim" and row["measure"] != "total"))'
	assert_output "[('avfork', 'call', True), ('avfork-clone', 'call', True), ('avfork-loop', 'rate', True), \
('avfork_pool', 'call', True), ('avfork_pool-loop', 'rate', True), ('avfork_popen', 'call', True), \
('avfork_popen-rate', 'rate', True)]"
	run rows '{row["config"] for row in bench if "avfork" in row["case"]} & {"bare"}'
	assert_output "set()"
	run rows '" ".join(list(dict.fromkeys(row["config"] for row in bench)))'
	assert_output "bare shim follow=0"
	quick popen -c popen -c popen-rate >table
	run cat table
	assert_line --regexp '^popen, total +bare +shim +follow=0'
	assert_line --regexp '^popen of a shell +[0-9]+(\.[0-9])?/s '
}

@test "svg and html: drawings that parse, without anything from outside" {
	quick paths --rss 0,8M -c fork -c clone -f svg -O drawing.svg
	quick startup -c true -f html -O drawing.html
	run "$PYTHON" -c '
import xml.etree.ElementTree as tree
from html.parser import HTMLParser
import re
root = tree.parse("drawing.svg").getroot()
space = "{http://www.w3.org/2000/svg}"
texts = [text.text for text in root.iter(space + "text")]
print(root.tag == space + "svg", sum("resident memory" in text for text in texts), "fork, exec: bare" in texts)
width, height = map(float, root.get("viewBox").split()[2:])
print(all(0 <= float(mark.get("cx")) <= width and 0 <= float(mark.get("cy")) <= height for mark in root.iter(space + "circle")))
page = open("drawing.html").read()
HTMLParser().feed(page)
svg = tree.fromstring(page[page.index("<svg"):page.index("</svg>") + 6])
print(len(list(svg.iter(space + "circle"))) >= 4, "true, dynamically linked" in page, "<pre>" in page)
print(re.findall(r"(?:src|href)=|url\(|@import|<script", page + open("drawing.svg").read()))'
	assert_line -n 0 "True 2 True"
	assert_line -n 1 True
	assert_line -n 2 "True True True"
	assert_line -n 3 "[]"
}
