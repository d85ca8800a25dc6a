#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# spork scan: what can be preloaded, what is imported, which system calls pass the shim by, and hostile files.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

bats_require_minimum_version 1.5.0
load helper

setup() {
	work_setup
	unset NO_COLOR
}

# scan ARGS...: $output, $stderr, $status
scan() {
	run --separate-stderr bounded "$SPORK" scan "$@"
}

# ask EXPRESSION: a Python expression over $output's objects: rows; file(END), the record of the path that ends so;
# summary
ask() {
	"$PYTHON" -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
def file(end): return next(row for row in rows if row["type"] == "file" and row["path"].endswith(end))
summary = rows[-1]
print(eval(sys.argv[1]))' "$1" <<<"$output"
}

# is EXPECTED EXPRESSION
is() {
	assert_equal "$(ask "$2")" "$1"
}

compile() {
	"${CC:-gcc}" -w "$@" 2>compile.log || skip "cannot be compiled here: $(head -1 compile.log)"
}

# patch FILE OFFSET BYTE
patch() {
	printf %b "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "a program's imports: symbol, family, version, library" {
	scan -f json "$VICTIMS/fork_exec"
	assert_success
	assert_equal "$stderr" ""
	is "['file', 'summary']" '[row["type"] for row in rows]'
	is "True []" '"%s %s" % (rows[0]["preload"], rows[0]["reasons"])'
	is "program glibc 64" '"%s %s %s" % (rows[0]["kind"], rows[0]["libc"], rows[0]["class"])'
	is "['libc.so.6']" 'rows[0]["needed"]'
	is "spawn GLIBC_2 libc.so.6" \
		'next("%s %s %s" % (i["family"], i["version"][:7], i["library"]) for i in rows[0]["imports"] if i["symbol"] == "fork")'
	scan "$VICTIMS/fork_exec"
	assert_success
	assert_line --regexp '^yes +program +1 .*fork_exec$'
	assert_line --regexp '^    spawn: fork@GLIBC_2[.0-9]* \(libc\.so\.6\)$'
	assert_line --regexp '^1 files, 1 ELF files, 0 others, 1 can be preloaded'
}

@test "the keys of a record, with and without a value" {
	script words <<<"#!/bin/sh"
	scan -f json words "$VICTIMS/scan_inline"
	assert_success
	is "True" 'set(rows[0]) == set(rows[1])'
	is "type path kind class machine libc interpreter soname go preload reasons needed imports atfork_handlers atfork_hazard bypasses inline_calls inline needed_by" \
		'" ".join(rows[0])'
	is "files elf no_elf preloadable atfork_hazards bypasses errors" '" ".join(list(summary)[1:])'
	is "['no-elf']" 'rows[0]["reasons"]'
}

@test "why not: static, static-pie, set-user-ID, set-group-ID, class, machine, musl, Go, ASan, object, no ELF" {
	local source=$ROOT/tests/victims/exit_static.c dynamic=$VICTIMS/fork_exec
	cp "$VICTIMS/exit_static" static
	compile -nostdlib -static-pie -fPIE -o static_pie "$source"
	compile -c -o object.o "$source"
	compile -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 -o musl "$ROOT/tests/victims/fork_exec.c"
	compile -fsanitize=address -o asan "$ROOT/tests/victims/fork_exec.c"
	cp "$dynamic" user && chmod u+s user
	cp "$dynamic" group && chmod g+s group
	cp "$dynamic" machine && patch machine 18 f3
	objcopy --add-section .go.buildinfo=/dev/null "$dynamic" go
	"$PYTHON" -c 'import struct; open("class", "wb").write(struct.pack("<16sHHIIIIIHHHHHH",
		b"\x7fELF\1\1\1", 2, 3, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0) + struct.pack("<8I", 1, 0, 0, 0, 84, 84, 5, 4096))'
	echo words >words
	scan -f json ./*
	assert_success
	echo "$output"
	is "['static']" 'file("/static")["reasons"]'
	is "['static-pie']" 'file("/static_pie")["reasons"]'
	is "['not-loadable']" 'file("/object.o")["reasons"]'
	is "['other-libc'] musl" '"%s %s" % (file("/musl")["reasons"], file("/musl")["libc"])'
	is "['asan']" 'file("/asan")["reasons"]'
	is "['set-user-id']" 'file("/user")["reasons"]'
	is "['set-group-id']" 'file("/group")["reasons"]'
	is "['other-machine']" 'file("/machine")["reasons"]'
	is "riscv" 'file("/machine")["machine"]'
	is "['other-class', 'other-machine', 'static']" 'file("/class")["reasons"]'
	is "['no-elf']" 'file("/words")["reasons"]'
	is "True False" '"%s %s" % (file("/go")["go"], file("/user")["go"])'
	scan .
	assert_success
	assert_output --partial "cannot be preloaded: it is set-user-ID"
	assert_output --partial "it uses another libc (its loader is /lib/ld-musl-x86_64.so.1)"
	assert_output --partial "has code in Go"
	refute_output --partial words
}

@test "built for musl: dynamic, static, and its libc itself" {
	needs musl-gcc
	musl-gcc -o dynamic "$ROOT/tests/victims/fork_exec.c" -I"$ROOT/tests/victims"
	musl-gcc -static -o static "$ROOT/tests/victims/fork_exec.c" -I"$ROOT/tests/victims"
	scan -f json dynamic static "$(realpath /lib/ld-musl-*.so.1)"
	assert_success
	is "['other-libc'] musl" '"%s %s" % (rows[0]["reasons"], rows[0]["libc"])'
	is "['static']" 'rows[1]["reasons"]'
	is "True" '"fork" in [c["call"] for c in rows[1]["inline"]]'
	is "False other" '"%s %s" % (rows[2]["preload"], rows[2]["libc"])'
}

# What each sanitizer does to a program under the shim: it crashes.
@test "sanitizers: linked in or not, stripped or not; run says so before it runs one" {
	local compiler kind name

	cp "$ROOT/tests/victims/fork_exec.c" "$ROOT"/tests/victims/*.h .
	echo 'int main(void) { return 0; }' >plain.c
	for compiler in gcc clang; do
		command -v "$compiler" >/dev/null || continue
		for kind in address thread memory; do
			"$compiler" -w -fsanitize=$kind -o "$compiler.$kind" plain.c 2>/dev/null || continue
			cp "$compiler.$kind" "$compiler.$kind.stripped" && strip "$compiler.$kind.stripped"
		done
	done
	for kind in asan:address tsan:thread; do
		gcc -w -fsanitize="${kind#*:}" "-static-lib${kind%:*}" -o "static.${kind#*:}" plain.c 2>/dev/null || continue
		cp "static.${kind#*:}" "static.${kind#*:}.stripped" && strip "static.${kind#*:}.stripped"
	done
	for kind in undefined leak; do
		gcc -w -fsanitize=$kind -o "other.$kind" plain.c 2>/dev/null || continue
	done
	[ -e gcc.address ] || [ -e clang.address ] || skip "no sanitizer here"
	scan -f json ./*.{address,thread,memory,undefined,leak}{,.stripped} # some do not exist
	echo "$output"
	for name in ./*.address* ./*.thread* ./*.memory*; do
		[ -e "$name" ] || continue
		kind=${name#./*.}
		is "['${kind:0:1}san']" "file('${name#.}')['reasons']" # address, thread, memory
		run --separate-stderr bounded "$SPORK" run -q "$name" </dev/null
		[[ $stderr == "spork: run: $name cannot be traced: it is built with "[AMT]*Sanitizer* ]] || fail "$name: $stderr"
		[ "$status" -ne 139 ] || fail "$name: crashed"
		scan -f json ./*.{address,thread,memory,undefined,leak}{,.stripped}
	done
	for name in ./other.*; do
		[ ! -e "$name" ] || is "[]" "file('${name#.}')['reasons']"
	done
}

@test "without section headers: what the loader finds is found" {
	local name

	for name in scan_threads fork_exec exit_static old_versions; do
		cp "$VICTIMS/$name" "$name"
		cp "$name" "$name.bare"
		"$PYTHON" - "$name.bare" <<-'END'
			import struct, sys
			data = bytearray(open(sys.argv[1], "rb").read())
			at, = struct.unpack_from("<Q", data, 40)
			struct.pack_into("<Q", data, 40, 0)
			struct.pack_into("<HHH", data, 58, 0, 0, 0)
			open(sys.argv[1], "wb").write(data[:at])
		END
		scan -f json "$name" "$name.bare"
		assert_success
		assert_equal "$stderr" ""
		# All but the names of functions, which only sections hold.
		is "True" '{**rows[0], "path": 0, "inline": 0} == {**rows[1], "path": 0, "inline": 0}'
		is "True" '[(c["call"], c["addr"]) for c in rows[0]["inline"]] == [(c["call"], c["addr"]) for c in rows[1]["inline"]]'
	done
	is "True" 'len(rows[0]["imports"]) > 20 and any(i["version"] == "GLIBC_2.2.5" for i in rows[0]["imports"])'
	run bounded "$SPORK" run -q ./exit_static.bare
	assert_output --partial "cannot be traced: it is statically linked"
}

@test "a table of symbols without the hash of one, in each layout" {
	local layout

	# Nothing is defined here, so that the hash tells of no symbol.
	echo 'int fork(void); int pthread_create(void *, void *, void *, void *);
		int main(void) { return fork() + pthread_create(0, 0, 0, 0); }' >main.c
	for layout in gnu sysv both; do
		compile -Wl,--hash-style=$layout -o "bfd.$layout" main.c
		[ ! -x "$(command -v ld.lld)" ] || compile -fuse-ld=lld -Wl,--hash-style=$layout -o "lld.$layout" main.c
		[ ! -x "$(command -v ld.gold)" ] || compile -fuse-ld=gold -Wl,--hash-style=$layout -o "gold.$layout" main.c
	done
	needs aarch64-linux-gnu-gcc
	aarch64-linux-gnu-gcc -w -o aarch64 main.c 2>/dev/null || rm -f aarch64
	rm main.c compile.log
	scan -f json ./*
	assert_success
	assert_equal "$stderr" ""
	is "set()" '{row["path"] for row in rows[:-1] if {i["symbol"] for i in row["imports"]} != {"fork", "pthread_create"}}'
	is "True" 'len(rows) > 3'
}

@test "empty, huge and sparse files, 32 bits, and what only begins as an ELF file" {
	: >empty
	truncate -s 1T sparse
	printf '\177ELF' >magic
	cp magic huge && truncate -s 1T huge
	cp "$VICTIMS/fork_exec" grown && truncate -s 1T grown
	scan -f json .
	assert_success
	is "1 2" '"%d %d" % (summary["elf"], summary["no_elf"])'
	is "True" 'file("/grown")["preload"]'
	assert_equal "$stderr" "$(printf 'spork: scan: %s\n' './huge: its header is damaged' './magic: it is cut short')"
	compile -m32 -nostdlib -shared -fPIC -x c -o other.so - <<<"int fork(void); int f(void) { return fork(); }"
	scan -f json other.so
	is "['other-class', 'other-machine'] 32 i386 ['fork']" \
		'"%s %s %s %s" % (rows[0]["reasons"], rows[0]["class"], rows[0]["machine"], [i["symbol"] for i in rows[0]["imports"]])'
}

@test "file capabilities" {
	cp "$VICTIMS/fork_exec" able
	"$PYTHON" -c 'import os, struct
os.setxattr("able", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))' 2>/dev/null ||
		skip "no right to give a file capabilities here"
	scan -f json able
	is "['file-capabilities']" 'rows[0]["reasons"]'
}

@test "forks and threads without atfork handlers are told, with handlers not" {
	scan -f json "$VICTIMS/scan_threads" "$VICTIMS/scan_handlers" "$VICTIMS/fork_exec"
	assert_success
	is "True False" '"%s %s" % (rows[0]["atfork_hazard"], rows[0]["atfork_handlers"])'
	is "False True" '"%s %s" % (rows[1]["atfork_hazard"], rows[1]["atfork_handlers"])'
	is "False False" '"%s %s" % (rows[2]["atfork_hazard"], rows[2]["atfork_handlers"])'
	is "1" 'summary["atfork_hazards"]'
	scan "$VICTIMS/scan_threads" "$VICTIMS/scan_handlers"
	assert_equal "$(grep -c 'forks and starts threads, but registers no atfork handler' <<<"$output")" 1
}

@test "inline system calls that make processes, and none that only looks like one" {
	local calls
	scan -f json "$VICTIMS/scan_inline" "$VICTIMS/fork_exec" "$VICTIMS/exit_static"
	assert_success
	calls="[('fork', 'plain', 5), ('clone', 'far', 26), ('vfork', 'small', 3), ('clone3', 'wide', 7)]"
	[ "$(ask 'file("scan_inline")["machine"]')" = x86-64 ] ||
		calls="[('clone', 'plain', 4), ('clone', 'far', 12)]"
	is "$calls" '[(c["call"], c["symbol"], c["offset"]) for c in rows[0]["inline"]]'
	is "True False False" '"%s %s %s" % tuple(row["bypasses"] for row in rows[:3])'
	cp "$VICTIMS/scan_inline" stripped && strip stripped
	scan stripped
	assert_line --regexp '^    inline system call [a-z]+ at 0x[0-9a-f]+, which the shim does not see$'
}

@test "inline system calls of aarch64" {
	needs aarch64-linux-gnu-gcc
	aarch64-linux-gnu-gcc -o other "$ROOT/tests/victims/scan_inline.c" 2>/dev/null || skip "no libc for aarch64 here"
	scan -f json other
	assert_success
	is "aarch64" 'rows[0]["machine"]'
	is "[('clone', 'plain', 4), ('clone', 'far', 12)]" \
		'[(c["call"], c["symbol"], c["offset"]) for c in rows[0]["inline"]]'
}

@test "--follow-needed: runpath, loops, what is missing, each library once" {
	mkdir -p lib
	echo 'int fork(void); int inner(void) { return fork(); }' >inner.c
	echo 'int inner(void); int outer(void) { return inner(); }' >outer.c
	echo 'int pthread_create(void *, void *, void *, void *);
		int outer(void); int main(void) { return outer() + pthread_create(0, 0, 0, 0); }' >main.c
	# Each needs the other.
	compile -shared -fPIC -o lib/libouter.so outer.c
	compile -shared -fPIC -Wl,--no-as-needed "-Wl,-rpath,\$ORIGIN" -o lib/libinner.so inner.c -Llib -louter
	compile -shared -fPIC -Wl,--no-as-needed "-Wl,-rpath,\$ORIGIN" -o lib/libouter.so outer.c -Llib -linner
	compile "-Wl,-rpath,\${ORIGIN}/lib" -o one main.c -Llib -louter
	cp one two
	scan -f json --follow-needed one two
	assert_success
	echo "$output"
	is "['libouter.so', 'libinner.so']" \
		'[l["name"] for l in file("one")["libraries"] if "lib/lib" in l["path"]]'
	is "one libouter.so" \
		'" ".join(l["needed_by"].split("/")[-1] for l in file("one")["libraries"] if "lib/lib" in l["path"])'
	is "['fork']" 'next(l for l in file("one")["libraries"] if l["name"] == "libinner.so")["symbols"]'
	# The thread is the program's, the fork a library's.
	is "True" 'file("one")["atfork_hazard"]'
	is "1 1 1" '"%d %d %d" % tuple(sum(row.get("path", "").endswith(n) for row in rows) for n in ("libouter.so", "libinner.so", "libc.so.6"))'
	is "True" 'file("libinner.so")["needed_by"].endswith("libouter.so")'
	rm lib/libinner.so
	scan --follow-needed one
	assert_success
	assert_line --partial "not found: libinner.so, needed by"
	# What the walk finds is not printed a second time, in whichever order.
	scan -f json --follow-needed lib one
	is "1" 'sum(row.get("path", "").endswith("libouter.so") for row in rows)'
	scan -f json --follow-needed one lib
	is "1" 'sum(row.get("path", "").endswith("libouter.so") for row in rows)'
	# Without the option, none.
	scan -f json one
	is "2 False" '"%d %s" % (len(rows), "libraries" in rows[0])'
}

@test "--pid: the executable and the libraries of a live process" {
	sleep 60 3>&- &
	local pid=$!
	scan -f json --pid $pid
	kill $pid
	assert_success
	is "True True" \
		'"%s %s" % (rows[0]["path"].endswith(("sleep", "coreutils", "busybox")), any("libc.so" in row.get("path", "") for row in rows))'
	scan --pid 999999999
	assert_failure 125
	assert_equal "$stderr" "spork: scan: process 999999999: there is no such process"
	scan --pid 1x
	assert_failure 125
	one_line "$stderr"
}

@test "--pid: what was deleted since, and libraries below another root" {
	local chroot=(chroot) pid

	[ "$(id -u)" -eq 0 ] || chroot=(unshare -r chroot)
	mkdir -p root/app/lib
	compile -shared -fPIC -Wl,-soname,libonly.so -x c -o root/app/lib/libonly.so - \
		<<<"int fork(void); int f(void) { return 0; } int g(void) { return fork(); }"
	# Where there is no /proc the loader does not know $ORIGIN.
	# shellcheck disable=SC2016 # the loader's
	compile '-Wl,-rpath,$ORIGIN/lib:/app/lib' -x c -o root/app/program - -x none root/app/lib/libonly.so <<-'END'
		#include <stdio.h>
		#include <unistd.h>
		int f(void);
		int main(void) { f(); dprintf(1, "%d\n", getpid()); return pause(); }
	END
	ldd "$VICTIMS/fork_exec" | grep -oE '/[^ ]+' | sort -u | while read -r name; do
		mkdir -p "root${name%/*}" && cp -L "$name" "root$name"
	done
	mkfifo started
	LIMIT=60 bounded "${chroot[@]}" root /app/program >started 3>&- &
	read -r pid <started || skip "no right to change the root here"
	scan -f json --follow-needed --pid "$pid"
	echo "$output" "$stderr"
	assert_success
	is "True" 'any(l["path"] == "/app/lib/libonly.so" and l["symbols"] == ["fork"] for l in rows[0]["libraries"])'
	is "True" 'rows[0]["path"].endswith("/app/program") and all(l["path"] for l in rows[0]["libraries"])'
	rm root/app/program root/app/lib/libonly.so
	scan -f json --pid "$pid"
	echo "$output" "$stderr"
	assert_success
	is "1" 'sum(row.get("path", "").endswith("/app/program (deleted)") for row in rows)'
	# With the right to, as it is mapped; or one line of error.
	is "1" 'sum(row.get("path", "").endswith("libonly.so (deleted)") for row in rows)'
	kill "$pid" || :
}

@test "more program headers than any linker makes are refused, and segments that overlap are read once" {
	"$VICTIMS/make_corpus_elf" made
	scan made/segments_overlap
	assert_equal "$status" 125
	assert_equal "$stderr" "spork: scan: made/segments_overlap: it has 65000 program headers; more than 1024 are not read"
	scan made/segments_read_once made/core_segments
	assert_success
	assert_equal "$stderr" ""
	# as often as the file is large: 58,496 bytes
	needs strace
	timeout 20 strace -o trace -e trace=pread64 "$SPORK" scan made/segments_read_once >out 3>&-
	run awk -F '= ' '/^pread64/ { bytes += $NF } END { print bytes < 1000000 }' trace
	assert_output 1
	chmod 700 made/segments_read_once
	run bounded "$SPORK" run -q -- ./made/segments_read_once
	assert [ "$status" -ne 124 ]
}

@test "what is no regular file gets one line, is never opened, and the scan goes on" {
	mkdir -p in/sub elsewhere
	cp "$VICTIMS/fork_exec" in/sub/program
	cp "$VICTIMS/fork_exec" elsewhere/other
	mkfifo in/fifo
	"$PYTHON" -c 'import socket; socket.socket(socket.AF_UNIX).bind("in/socket")'
	ln -s nothing in/dangling
	ln -s ../elsewhere in/folder
	ln -s .. in/sub/loop
	ln -s itself in/itself
	printf '\177ELF' >$'in/new\nline\033[31m'
	scan in /dev/null
	assert_success
	assert_line --regexp ' in/sub/program$'
	refute_output --partial elsewhere
	refute_output --partial folder
	assert_equal "${#stderr_lines[@]}" 6
	assert_equal "$(grep -c '^spork: scan: ' <<<"$stderr")" 6
	for name in in/fifo in/socket in/dangling in/itself /dev/null 'new?line?\[31m'; do
		grep -q "$name: " <<<"$stderr" || fail "no line for $name"
	done
	assert_line --regexp '6 errors$'
	# Named by the user, a link is followed.
	ln -s in/sub link
	scan link
	assert_line --regexp ' link/program$'
}

@test "a folder without permission, a path that does not exist, nothing to read" {
	mkdir closed
	scan closed
	assert_success
	scan closed/nothing "$VICTIMS/fork_exec"
	assert_failure 125
	assert_equal "$stderr" "spork: scan: closed/nothing: No such file or directory"
	assert_line --partial fork_exec
	mkfifo fifo
	scan fifo
	assert_failure 125
	scan
	assert_failure 125
	one_line "$stderr"
	scan -f json -O /dev/full "$VICTIMS/fork_exec"
	assert_failure 125
	chmod 0 closed
	# Root without its capabilities may not read it either.
	local powerless=()
	[ "$(id -u)" -ne 0 ] || powerless=(setpriv --bounding-set=-all --inh-caps=-all)
	run --separate-stderr bounded "${powerless[@]}" "$SPORK" scan closed "$VICTIMS/fork_exec"
	chmod 700 closed
	assert_success
	assert_equal "$stderr" "spork: scan: closed: Permission denied"
}

@test "hostile files: cut short, flipped, with huge counts and offsets" {
	"$PYTHON" - "$VICTIMS/scan_threads" "$VICTIMS/scan_inline" <<-'END'
		import os, random, struct, sys
		random.seed(4711)
		os.mkdir("hostile")
		def put(name, data):
		    open("hostile/" + name, "wb").write(data)
		for number, path in enumerate(sys.argv[1:]):
		    whole = open(path, "rb").read()
		    for size in sorted({int(len(whole) * i / 100) for i in range(100)} | set(range(1, 130, 3))):
		        put("cut%d_%06d" % (number, size), whole[:size])
		    for i in range(200):
		        data = bytearray(whole)
		        # The header, its tables, and anywhere.
		        shoff, = struct.unpack_from("<Q", whole, 40)
		        for _ in range(random.choice((1, 4, 40))):
		            start, end = random.choice(((4, 64), (64, 900), (shoff, len(data)), (0, len(data))))
		            data[random.randrange(start, end)] ^= 1 << random.randrange(8)
		        put("flip%d_%03d" % (number, i), data)
		    # Every field of every header, at its largest and at odd values.
		    count, = struct.unpack_from("<H", whole, 60)
		    for section in range(count):
		        for field, size in ((0, 4), (4, 4), (24, 8), (32, 8), (40, 4), (56, 8)):
		            for value in (0xff, 0x7f):
		                data = bytearray(whole)
		                at = shoff + section * 64 + field
		                data[at:at + size] = bytes([0xff] * (size - 1) + [value])
		                put("field%d_%02d_%02d_%02x" % (number, section, field, value), data)
		    # Every value of the dynamic section and every name of a symbol, out of range.
		    for section in range(count):
		        kind, = struct.unpack_from("<I", whole, shoff + section * 64 + 4)
		        start, size = struct.unpack_from("<QQ", whole, shoff + section * 64 + 24)
		        if kind not in (6, 11):
		            continue
		        for at in range(start, start + size, 16 if kind == 6 else 24):
		            data = bytearray(whole)
		            struct.pack_into("<I", data, at + (8 if kind == 6 else 0), 0x7fffffff)
		            put("value%d_%02d_%06d" % (number, section, at), data)
		    for tag in (1, 5, 14, 29):
		        put("tag%d_%d" % (number, tag), whole.replace(struct.pack("<Q", tag), struct.pack("<Q", tag) [:7] + b"\x7f"))
		# A section count that wants more memory than there is, in a file that seems to be large enough.
		head = bytearray(open(sys.argv[1], "rb").read()[:64])
		struct.pack_into("<Q", head, 40, 4096)
		struct.pack_into("<HHH", head, 58, 64, 0, 0)
		put("sections", bytes(head) + bytes(4096 - 64 + 32) + struct.pack("<Q", 1 << 33))
		os.truncate("hostile/sections", 1 << 40)
		# Code that is as large as the file.
		data = bytearray(whole)
		for section in range(count):
		    if struct.unpack_from("<Q", data, shoff + section * 64 + 8)[0] & 4:
		        struct.pack_into("<Q", data, shoff + section * 64 + 32, 1 << 38)
		put("code", data)
		os.truncate("hostile/code", 1 << 40)
		put("zz_good", whole)
		print(len(os.listdir("hostile")))
	END
	# With a limit on memory, so that no count is believed.
	run --separate-stderr bash -c 'ulimit -v 1000000; exec timeout -k 1 60 "$@" 3>&-' - \
		"$SPORK" scan -f json --follow-needed hostile
	echo "$stderr" | head -20
	assert_success
	is "True True" '"%s %s" % (file("zz_good")["bypasses"], summary["errors"] > 200)'
	# One line each, on stderr and in the records.
	assert_equal "$(ask 'summary["errors"]')" "${#stderr_lines[@]}"
	is "True" 'len({row["path"] for row in rows if row["type"] == "error"}) == summary["errors"]'
	grep -q '/sections: it says to have too many sections' <<<"$stderr" || fail "sections"
	grep -q '/code: not all of its code' <<<"$stderr" || fail "code"
}

@test "a folder of the system: every program, none fails" {
	LIMIT=60 scan /usr/bin
	assert_success
	assert_line --regexp '^[0-9]+ files, [1-9][0-9]+ ELF files, [1-9][0-9]* others, .* 0 errors$'
}

@test "rows fit the columns that there are: of a path the end is shown" {
	local line

	mkdir -p a/very/long/name/of/a/folder/that/does/not/fit/into/a/line
	cp "$VICTIMS/scan_threads" a/very/long/name/of/a/folder/that/does/not/fit/into/a/line/program
	COLUMNS=80 scan a
	assert_line --index 1 --regexp '  \.\.\.[a-z/]*/into/a/line/program$'
	while IFS= read -r line; do
		[ "${#line}" -le 80 ] || [[ $line == *" errors" ]] || fail "$line"
	done <<<"$output"
	COLUMNS=80 scan "$VICTIMS/old_versions"
	while IFS= read -r line; do
		[ "${#line}" -le 80 ] || [[ $line == *" errors" ]] || fail "$line"
	done <<<"$output"
	scan a
	assert_line --regexp '  a/very/long/.*/line/program$'
}

@test "a progress line on a terminal, and the table after it" {
	mkdir many
	for i in {1..300}; do ln "$VICTIMS/scan_threads" "many/$i" 2>/dev/null || cp "$VICTIMS/scan_threads" "many/$i"; done
	script terminal.py <<-'END'
		import os, pty, sys
		pid, fd = pty.fork()
		if not pid:
		    os.execvp(sys.argv[1], sys.argv[1:])
		seen = b""
		while True:
		    try:
		        part = os.read(fd, 65536)
		    except OSError:
		        break
		    seen += part
		    if not part:
		        break
		os.waitpid(pid, 0)
		first, rest = seen.split(b"\r\x1b[K", 1)
		table = rest.split(b"\r\x1b[K")[-1]
		print(first == b"", b"files  " in rest, table.startswith(b"\x1b[1mpreload"), table.count(b"program"))
	END
	run bounded "$PYTHON" terminal.py "$SPORK" scan many
	assert_output "True True True 300"
}
