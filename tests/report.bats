#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# spork report beyond text and JSON: suppressions, folded stacks, DOT, HTML; and whatever a box holds, none of
# them crashes, hangs, or lets markup through.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	MAKE_BOX=$VICTIMS/make_box
	BOX=$BATS_TEST_TMPDIR/box
}

# shown LINE...: kinds of the violations that are left when these are the suppressions
shown() {
	printf '%s\n' "$@" >lines
	spork report -f json --suppressions lines "$BOX" >record.jsonl || return
	query '" ".join(v["kind"] for v in violations)'
}

# well_formed FILE: HTML whose elements are balanced, without handlers, links or scripts but the one of ours
well_formed() {
	"$PYTHON" - "$1" <<-'END'
		import html.parser, re, sys
		text = open(sys.argv[1], encoding="utf-8").read()
		class Parser(html.parser.HTMLParser):
		    void, open, seen, text = {"meta", "br"}, [], [], ""
		    def handle_starttag(self, tag, attributes):
		        self.seen.append(tag)
		        for name, value in attributes:
		            assert not name.startswith("on") and name not in ("src", "href", "style"), (tag, name)
		        if tag not in self.void and not self.get_starttag_text().endswith("/>"):
		            self.open.append(tag)
		    def handle_startendtag(self, tag, attributes):
		        self.handle_starttag(tag, attributes)
		    def handle_endtag(self, tag):
		        assert self.open and self.open[-1] == tag, (self.open, tag, self.getpos())
		        self.open.pop()
		    def handle_data(self, data):
		        self.text += data
		parser = Parser(convert_charrefs=True)
		parser.feed(text)
		parser.close()
		assert not parser.open, parser.open
		assert parser.seen.count("script") == 1 and parser.seen.count("style") == 1, parser.seen
		allowed = ("html head meta title style body h1 h2 h3 p table thead tbody tr th td div span strong code br "
		           "button details summary pre svg rect line text script").split()
		assert not set(parser.seen) - set(allowed), set(parser.seen) - set(allowed)
		assert not re.search(r"https?://|@import|url\(", text)
		print(parser.text)
	END
}

@test "suppressions: each form of a pattern" {
	"$MAKE_BOX" good "$BOX"
	local both="orphaned-lock orphan-deadlock" line
	assert_equal "$(shown "")" "$both"
	# anywhere in the name of a function, a module, a source file, a lock
	for line in '*:cache_get' '*:ache_ge' '*:make_box' '*:make_box.c' '*:victims/make_box' '*:cache_lock' \
		'*:run_child' '*:*' '*:^cache_get$' '*:^cache' '*:_get$' '*:^c*e_*t$' '*:^make_box$' '*:^*box.c$' \
		'*:c*h*_*g' '  *:cache_get ' $'*:cache_get\r' '*:a*e_get$'; do
		assert_equal "$line -> $(shown "$line")" "$line -> "
	done
	for line in '*:^ache_get' '*:cache_ge$' '*:Cache_get' '*:^cache$' '*:cache_get*cache_get' '*:cache.get' \
		'# *:cache_get' '*:^*q$' 'lock-order:*' '*:no such' '*:^make$'; do
		assert_equal "$line -> $(shown "$line")" "$line -> $both"
	done
	assert_equal "$(shown 'orphan-deadlock:cache_get')" orphaned-lock
	assert_equal "$(shown '# known' '' 'orphaned-lock:^cache_get$')" orphan-deadlock
	assert_equal "$(shown 'orphaned-lock:cache' 'orphan-deadlock:cache')" ""
}

@test "suppressions: counted in the summary, and only there" {
	"$MAKE_BOX" good "$BOX"
	echo 'orphan-deadlock:cache_get' >lines
	run --separate-stderr spork report --suppressions lines "$BOX"
	assert_success
	assert_equal "$stderr" ""
	refute_output --partial orphan-deadlock
	assert_line "  violations: orphaned-lock 2"
	assert_line "  2 violations suppressed"
	spork report -f json --suppressions lines "$BOX" >record.jsonl
	assert_equal "$(query 'summary["suppressed"], summary["violations"]')" "(2, {'orphaned-lock': 2})"
	spork report -f json "$BOX" >record.jsonl
	assert_equal "$(query 'summary["suppressed"]')" 0
	# several files add up
	echo 'orphaned-lock:make_box' >others
	run spork report --suppressions lines --suppressions others "$BOX"
	assert_line "  4 violations suppressed"
}

@test "suppressions: a bad line or file gets one line that names it" {
	"$MAKE_BOX" good "$BOX"
	local line
	for line in 'cache_get' 'no-such-kind:cache' 'orphan-deadlock:' '*:^' '*:$' '*:^$' ':cache' '*' 'orphan*:x'; do
		printf '# first\n*:x\n%s\n' "$line" >lines
		for command in "report $BOX" "run true"; do
			# shellcheck disable=SC2086
			run --separate-stderr spork ${command% *} --suppressions lines ${command#* }
			assert_equal "$line: $status $output" "$line: 125 "
			one_line "$stderr"
			assert_regex "$stderr" "lines:3: is not of the form"
		done
	done
	printf '*:a\0b\n' >lines
	run --separate-stderr spork report --suppressions lines "$BOX"
	assert_equal "$status" 125
	mkfifo pipe
	head -c 70000 /dev/zero | tr '\0' '#' >large
	for file in missing pipe . large /dev/zero; do
		run --separate-stderr spork report --suppressions "$file" "$BOX"
		assert_equal "$file $status $output" "$file 125 "
		one_line "$stderr"
		assert_regex "$stderr" "--suppressions $file: "
	done
}

@test "suppressions: run leaves out what they match, and does not fail for it" {
	run --separate-stderr spork run -e 9 -- "$VICTIMS/orphan_mutex" 300
	assert_equal "$status" 9
	printf '%s\n' 'orphaned-lock:^cache_get$' 'orphan-deadlock:orphan_mutex.c' >lines
	run --separate-stderr spork run -e 9 --suppressions lines -- "$VICTIMS/orphan_mutex" 300
	assert_equal "$status" 3
	refute_regex "$stderr" "WARNING|ERROR"
	assert_regex "$stderr" "no violations"
	assert_regex "$stderr" "violations? suppressed"
	run --separate-stderr spork run -e 9 -s "suppressions=$PWD/lines" -- "$VICTIMS/orphan_mutex" 300
	assert_equal "$status" 3
	sed -i 1d lines
	run --separate-stderr spork run -e 9 --suppressions lines -- "$VICTIMS/orphan_mutex" 300
	assert_equal "$status" 9
	assert_regex "$stderr" orphaned-lock
	refute_regex "$stderr" orphan-deadlock
}

@test "suppressions: the shim by itself, by module and by function called" {
	quietly "suppressions=none" orphan_mutex 300
	assert_regex "$stderr" orphan-deadlock
	echo '*:^orphan_mutex$' >lines
	quietly "suppressions=$PWD/lines:box=$BOX" orphan_mutex 300
	assert_equal "$status $output $stderr" "3 child hung "
	# the box has them, as suppressed
	spork report -f json "$BOX" >record.jsonl
	assert_equal "$(query 'len(violations), summary["suppressed"] > 1, summary["violations"]')" "(0, True, {})"
	echo 'orphan-deadlock:orphan_mutex' >lines
	quietly "suppressions=$PWD/lines" orphan_mutex 300
	assert_regex "$stderr" orphaned-lock
	refute_regex "$stderr" orphan-deadlock
	quietly "" vfork_exit status callee
	assert_regex "$stderr" vfork-exit
	echo 'vfork-exit:^exit$' >lines
	quietly "suppressions=$PWD/lines" vfork_exit status callee
	assert_equal "$stderr" ""
}

@test "suppressions: what is wrong with the shim's file is told once, and the program runs" {
	printf '*:x\n\nnonsense\n' >lines
	quietly "suppressions=$PWD/lines" sh -c 'sh -c /bin/true; exit 4'
	assert_equal "$status" 4
	assert_equal "$stderr" "spork: suppressions: $PWD/lines:3 is not of the form kind:pattern; nothing is suppressed"
	mkfifo pipe
	for file in "$PWD/missing" "$PWD/pipe" "$PWD" lines; do
		quietly "suppressions=$file" sh -c 'sh -c /bin/true; exit 4'
		assert_equal "$status" 4
		one_line "$stderr"
		assert_regex "$stderr" "^spork: suppressions: .*; nothing is suppressed$"
	done
}

@test "--gen-suppressions: its lines silence what it was made from" {
	"$MAKE_BOX" hostile 20 "$BOX"
	run --separate-stderr spork report --gen-suppressions "$BOX"
	assert_success
	assert_equal "$stderr" "spork: report: /no/<img src=x onerror='alert(2)'>\";?.so was deleted since: no names"
	assert_line 'orphan-deadlock:^cache_get$'
	assert_line 'orphaned-lock:^<script>alert(1)</script>;x$'
	assert_equal "${#lines[@]}" 3
	echo "$output" >lines
	spork report -f json --suppressions lines "$BOX" >record.jsonl
	assert_equal "$(query 'len(violations), summary["suppressed"], summary["violations"]')" "(0, 6, {})"
	spork report --gen-suppressions -k orphan-deadlock "$BOX" >lines
	spork report -f json --suppressions lines "$BOX" >record.jsonl
	assert_equal "$(query '[v["kind"] for v in violations]')" "orphaned-lock
lock-order"
	run --separate-stderr spork report --gen-suppressions -f json "$BOX"
	assert_equal "$status" 125
	# of a real run
	spork run -q -o "$BOX" -- "$VICTIMS/orphan_mutex" 300 || :
	spork report --gen-suppressions "$BOX" >lines
	assert [ -s lines ]
	spork report -f json --suppressions lines "$BOX" >record.jsonl
	assert_equal "$(query 'len(violations)')" 0
}

@test "--gen-suppressions: its lines silence nothing else" {
	local kind all box=$PWD/box/kinds
	"$VICTIMS/make_corpus" "$PWD"
	spork report -f json "$box" >record.jsonl
	all=$(query '" ".join(v["kind"] for v in violations)')
	for kind in $all; do
		spork report --gen-suppressions -k "$kind" "$box" >lines
		assert [ -s lines ]
		spork report -f json --suppressions lines "$box" >record.jsonl
		assert_equal "$(query '" ".join(v["kind"] for v in violations)')" \
			"$(tr ' ' '\n' <<<"$all" | grep -vx "$kind" | paste -sd ' ')"
	done
	# of two that have the innermost function in common, the one of process 4711
	"$MAKE_BOX" twins twins
	box=$PWD/twins
	assert_equal "$(spork report --gen-suppressions "$box")" 'orphan-deadlock:^cache_get$'
	spork report --gen-suppressions --pid 4711 "$box" >lines
	assert_equal "$(cat lines)" 'orphan-deadlock:^run_child$'
	spork report -f json --suppressions lines "$box" >record.jsonl
	assert_equal "$(query '[v["pid"] for v in violations]')" 4700
}

@test "folded: spawns by the time that they held their callers" {
	"$MAKE_BOX" events 100 "$BOX"
	run --separate-stderr spork report -f folded "$BOX"
	assert_success
	assert_equal "$stderr" ""
	assert_line --regexp '^parent;run_child;fork;\[vfork\] [0-9]+$'
	assert_line --regexp '^child;run_child;fork;\[fork\] [0-9]+$'
	assert_line --regexp ';posix_spawn;\[spawn\] [0-9]+$'
	# microseconds: each is as much as the spawns that it stands for
	"$PYTHON" - <<-END
		total = sum(int(line.rsplit(" ", 1)[1]) for line in """$output""".splitlines())
		fast = lambda i: i % 8 != 0
		want = sum((30000 if fast(i) else 900000) + (i * 7919 % 1000) * (20 if fast(i) else 900) for i in range(100))
		assert abs(total - want / 1000) < 10, (total, want)
	END
	run spork report -f folded --pid 4711 "$BOX"
	refute_output --partial parent
	assert_output --partial child
}

@test "folded: violations by how often, and no name breaks a line" {
	"$MAKE_BOX" hostile 20 "$BOX"
	run spork report -f folded -k orphan-deadlock "$BOX"
	assert_output '<script>x:"?\</;0xdead;cache_get;orphan-deadlock 2'
	run --separate-stderr spork report -f folded -k orphaned-lock "$BOX"
	assert_output "parent;<img src=x onerror='alert(2)'>\":?.so+0x10;<script>alert(1)</script>:x;orphaned-lock 2"
	run --separate-stderr spork report -f folded "$BOX"
	local line
	for line in "${lines[@]}"; do
		[[ $line =~ ^[^\;]+(\;[^\;]+)+\ [0-9]+$ ]] || fail "$line"
	done
}

@test "dot: processes, tiers and lock orders" {
	"$MAKE_BOX" events 100 "$BOX"
	spork report -f dot "$BOX" >out.dot
	run cat out.dot
	assert_line --regexp 'p0 \[label="parent\\npid 4700"\]'
	assert_line --regexp 'p0 -> p1 \[label="fork", '
	assert_line --regexp '^	"lock .*label="mutex cache_lock"'
	assert_line --regexp '^	"lock .*label="cache_get"'
	assert_line --regexp '^	"lock .*label="run_child"'
	"$MAKE_BOX" hostile 20 "$BOX"
	spork report -f dot "$BOX" >hostile.dot
	assert_regex "$(cat hostile.dot)" 'label="<script>x;\\"\?\\\\</\\npid 4711"'
	# Without graphviz, at least the quotes: each line has whole strings and closed braces.
	"$PYTHON" - <<-'END'
		import re
		for name in ("out.dot", "hostile.dot"):
		    text = open(name).read()
		    bare = re.sub(r'"(?:[^"\\\n]|\\.)*"', "S", text)
		    assert '"' not in bare and "\\" not in bare, bare
		    assert bare.count("{") == bare.count("}") == 1 and bare.count("[") == bare.count("]")
		    assert all(re.search(r"[;{}]$", line) for line in bare.splitlines()), bare
	END
	! command -v dot >/dev/null || { dot -Tsvg out.dot && dot -Tsvg hostile.dot; } >/dev/null
}

@test "dot: of many processes those that are alike share a node" {
	LIMIT=60 spork run -q -o "$BOX" -- sh -c 'i=0; while [ $i -lt 250 ]; do /bin/true; i=$((i + 1)); done'
	run spork report -f dot "$BOX"
	assert_line --regexp 'label="true\\n2?[0-9][0-9] processes"'
	assert_line --regexp 'p[0-9]+ -> p[0-9]+ \[label="v?fork", '
	[ "${#lines[@]}" -lt 20 ] || fail "${#lines[@]} lines"
}

@test "a process that executes nothing goes by the program that it was forked from" {
	spork run -q -o "$BOX" -- bash -c '(/bin/true; exit 0) & wait; (:; /bin/ls; :) >/dev/null; exit 0'
	spork report -f html -O out.html "$BOX"
	! grep '">? [0-9]' out.html || fail "a process without a name"
	run spork report -f folded "$BOX"
	refute_line --regexp '^\?'
	assert_line --regexp '^bash;'
	run spork report -f dot "$BOX"
	# each but the first has a parent, which is a node too
	assert_equal "$(grep -c ' -> ' <<<"$output")" $(($(grep -c 'label=".*pid' <<<"$output") - 1))
	assert_equal "$(grep -c 'label="bash.npid' <<<"$output")" 3
}

@test "html: balanced, complete, nothing from elsewhere" {
	"$MAKE_BOX" events 100 "$BOX"
	spork report -f html -O out.html "$BOX"
	run well_formed out.html
	assert_success
	for word in cache_get "parent 4700" run_child lock-order; do
		assert_output --partial "$word"
	done
	refute_output --partial "too many"
	assert_equal "$(grep -o '<rect class="t1"[^>]*height="4"' out.html | wc -l)" 86
	"$MAKE_BOX" empty "$BOX"
	spork report -f html -O out.html "$BOX"
	run well_formed out.html
	assert_success
	assert_output --partial "No spawn was recorded"
}

@test "html: names of the program's own choosing are text" {
	"$MAKE_BOX" hostile 20 "$BOX"
	spork report -f html -O out.html "$BOX"
	run well_formed out.html
	assert_success
	assert_output --partial "<script>alert(1)</script>;x"
	assert_output --partial "<img src=x onerror='alert(2)'>"
	assert_output --partial "</pre><script>"
	assert_output --partial '<script>x;"'
}

@test "html: a full box is thinned, and says so" {
	"$MAKE_BOX" events 131072 "$BOX"
	spork report -f html -O out.html "$BOX"
	run well_formed out.html
	assert_success
	assert_output --partial "131072 spawns are too many to be drawn one by one"
	[ "$(stat -c %s out.html)" -lt 2000000 ]
	[ "$(grep -c '<rect class="t' out.html)" -gt 100 ]
}

@test "a million spawns: small pages, in less than 200 MB" {
	"$MAKE_BOX" events 1000000 "$BOX"
	local format
	for format in folded dot html; do
		run --separate-stderr bounded "$PYTHON" -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$SPORK" report -f $format -O out.$format "$BOX"
		assert_success
		assert_equal "$stderr" ""
		[ "$output" -lt 200000 ] || fail "$format: $output KB"
		[ "$(stat -c %s out.$format)" -lt 1000000 ] || fail "$format: $(stat -c %s out.$format) bytes"
	done
	run well_formed out.html
	assert_output --partial "1000000 spawns are too many to be drawn one by one"
	assert_equal "$(grep -c ' -> p' out.dot)" 7
}

@test "spawns by processes of their own, in no order: as many nodes as graphviz can draw, and as many rows" {
	"$MAKE_BOX" scattered 100000 "$BOX"
	run --separate-stderr spork report -f dot "$BOX"
	assert_success
	one_line "$stderr"
	assert_regex "$stderr" "[0-9]+ processes are too many to be drawn"
	assert_equal "$(grep -c '^	p[0-9]* \[' <<<"$output")" 1000
	spork report -f html -O out.html "$BOX"
	run well_formed out.html
	assert_success
	assert_output --regexp "[0-9]+ more processes"
	assert_equal "$(grep -c '<text x="0"' out.html)" 40
	run spork report -f folded "$BOX"
	"$PYTHON" - <<-END
		spawns = 0
		for line in """$output""".splitlines():
		    spawns += int(line.rsplit(" ", 1)[1])
		assert spawns > 0
	END
}

# spawns COUNT: a program that makes that many
spawns() {
	printf 'i=0; while [ $i -lt %d ]; do /bin/true; i=$((i + 1)); done' "$1"
}

# marks: spawns that the HTML report of the box draws
marks() {
	spork report -f html -O out.html "$BOX"
	grep -c '<rect class="t[0-9]"[^>]*height="4"' out.html || :
}

@test "events: the box has room for as many as that option says" {
	spork run -q -o "$BOX" -s events=5 -- sh -c "$(spawns 20)"
	spork report -f json "$BOX" >record.jsonl
	assert_equal "$(query 'summary["spawns"], summary["dropped"]')" "(20, 15)"
	assert_equal "$(marks)" 5
	run well_formed out.html
	assert_output --partial "15 spawns found no room in the box"
	spork run -q -o "$BOX" -s events=0 -- sh -c "$(spawns 3)"
	assert_equal "$(marks)" 0
	run spork report "$BOX"
	assert_line --partial "3 spawns"
	assert_line --partial "no events: the box was made with events=0"
	refute_output --partial "dropped"
	run well_formed out.html
	assert_output --partial "The box was made with events=0"
	refute_output --partial "no room"
	spork report -f json "$BOX" >record.jsonl
	assert_equal "$(query 'summary["spawns"], summary["dropped"]')" "(3, 0)"
	run --separate-stderr spork report -f folded "$BOX"
	assert_equal "$stderr" "spork: report: the box was made with events=0: its spawns are left out"
	spork run -q -o "$BOX" -- sh -c "$(spawns 20)"
	assert_equal "$(marks)" 20
	# as SPORK_OPTIONS have it, and --set before them
	SPORK_OPTIONS=events=7:events=no spork run -q -o "$BOX" -- sh -c "$(spawns 20)" 2>/dev/null
	assert_equal "$(marks)" 7
	SPORK_OPTIONS=events=7 spork run -q -o "$BOX" -s events=9 -- sh -c "$(spawns 20)"
	assert_equal "$(marks)" 9
	run --separate-stderr spork run -s events=4194305 -- true
	assert_equal "$status" 125
	assert_regex "$stderr" "events accepts 0 to 4194304"
}

@test "--pid: a process that the box does not know is one line, one that spawned is known" {
	local parent format
	spork run -q -o "$BOX" -- sh -c 'echo $$ >parent; /bin/true; exit 0'
	parent=$(cat parent)
	for format in text json folded dot html; do
		run --separate-stderr spork report -f $format --pid 2147483647 "$BOX"
		assert_equal "$status" 125
		assert_output ""
		assert_equal "$stderr" "spork: report: --pid 2147483647: the box holds nothing of that process; \
'spork report -f json' lists those that it has"
		run --separate-stderr spork report -f $format --pid "$parent" "$BOX"
		assert_success
		assert_equal "$stderr" ""
	done
}

@test "events: a box that is there keeps the room that it has" {
	local count
	rm -f "$BOX"
	for count in 6 4 1000000; do
		quietly "box=$BOX:events=$count" sh -c "$(spawns 4)"
		assert_equal "$status $stderr" "0 "
	done
	assert_equal "$(marks)" 6
	spork report -f json "$BOX" >record.jsonl
	assert_equal "$(query 'summary["spawns"], summary["dropped"]')" "(12, 6)"
	# one whose table is said to be larger than the file is not used
	"$PYTHON" - "$BOX" <<-'END'
		import struct, sys
		data = bytearray(open(sys.argv[1], "rb").read())
		first = data.index(struct.pack("<Q", 8192 + 73728))
		struct.pack_into("<I", data, first + 24 * 4 + 12, 1000)
		open(sys.argv[1], "wb").write(data)
	END
	quietly "box=$BOX" sh -c "$(spawns 4)"
	assert_equal "$status" 0
	one_line "$stderr"
	assert_regex "$stderr" "is not a box of this version of spork"
}

@test "html: violations that are suppressed or not chosen are left out" {
	"$MAKE_BOX" good "$BOX"
	echo 'orphan-deadlock:*' >lines
	spork report -f html --suppressions lines -O out.html "$BOX"
	run well_formed out.html
	refute_output --partial orphan-deadlock
	assert_output --partial "2 violations are suppressed"
	spork report -f html -k orphan-deadlock -O out.html "$BOX"
	run well_formed out.html
	refute_output --partial "WARNING: spork: orphaned-lock"
}

@test "every format survives flipped bits" {
	"$MAKE_BOX" hostile 60 "$BOX"
	echo '*:x*y' >lines
	local options
	for options in "-f folded" "-f folded -k orphan-deadlock" "-f dot" "-f html" "--gen-suppressions" \
		"--suppressions lines"; do
		echo "$options"
		# shellcheck disable=SC2086
		run timeout -k 1 60 "$MAKE_BOX" flip 150 "$BOX" "$BOX.flip" "$SPORK" report $options -O /dev/null \
			3>&- 2>/dev/null
		assert_success
	done
}

@test "every format survives a box full of noise, and HTML stays balanced" {
	spork run -q -o "$BOX" -- true
	local seed format
	for seed in 1 2 3; do
		"$PYTHON" - "$BOX" "$seed" <<-'END'
			import random, struct, sys
			source = random.Random(int(sys.argv[2]))
			data = bytearray(open(sys.argv[1], "rb").read())
			magic = struct.unpack_from("<QII", data)
			# The table of tables: six rows of offset, stride, capacity, used, pad
			first = data.index(struct.pack("<Q", 8192 + 73728))
			for row in range(6):
			    at = first + 24 * row
			    offset, stride, capacity = struct.unpack_from("<QII", data, at)
			    struct.pack_into("<I", data, at + 16, capacity)
			    size = stride * capacity
			    noise = source.randbytes(size)
			    if int(sys.argv[2]) == 2: # small numbers, which are more often in range
			        noise = bytes(size // 4 * 4)
			        noise = bytearray(noise)
			        for word in range(0, len(noise), 4):
			            noise[word] = source.randrange(4) if source.random() < 0.5 else source.randrange(256)
			    data[offset:offset + size] = noise
			open("noise", "wb").write(data)
		END
		for format in text json folded dot html; do
			run --separate-stderr bounded "$SPORK" report -f $format -O out.$format noise
			assert_equal "$seed $format $status" "$seed $format 0"
		done
		run well_formed out.html
		assert_success
		run bounded "$SPORK" report --gen-suppressions -O /dev/null noise
		assert_success
	done
}
