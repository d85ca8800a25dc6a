#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Names that spork prints: inlined functions, C++ and Rust, debug files wherever they may be, and none where the file is
# no longer the one that ran.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	unset DEBUGINFOD_URLS
}

teardown() {
	[ -z "${SERVER-}" ] || kill "$SERVER" 2>/dev/null || :
}

# session [KIND]: app, a copy of the victim, and app.box of a run of it; $id is its build-id, full a copy with all
session() {
	cp "$VICTIMS/names" full
	cp full app
	spork run -q -s gate=0 -o app.box -- ./app "${1-cpp}"
	id=$(readelf -n full | sed -n 's/.*Build ID: //p')
	[ -n "$id" ]
}

# place_of MARK: "names.cc:LINE" of the line that ends in this mark
place_of() {
	echo "names.cc:$(grep -n "/\* line: $1 \*/" "$ROOT/tests/victims/names.cc" | cut -d: -f1)"
}

# reported OPTION...: how the lock was taken, from `spork report`, addresses as N
reported() {
	spork report -k orphaned-lock "$@" app.box 2>err | sed -n '/fork() leaves/,/The fork/p' |
		sed -E '1s/.*\((.*)\) locked.*/\1/; s/^ *//; s/0x[0-9a-f]+/N/; /^The fork/d'
}

# all_names: what that is where everything is known
all_names() {
	cat <<-END
		app::cpp
		#0 app::take $(place_of take) (inlined)
		#1 app::Pool<int>::hold(int const&) $(place_of hold) (app+N)
	END
}

# table_names: what it is from symbols alone
table_names() {
	cat <<-END
		app::cpp
		#0 app::Pool<int>::hold(int const&) (app+N)
	END
}

# found EXPECTED [OPTION]...: the names are these (a function), and nothing is said on standard error
found() {
	assert_equal "$(reported "${@:2}" | head -n "$("$1" | wc -l)")" "$("$1")"
	assert_equal "$(cat err)" ""
}

# missing PROBLEM [OPTION]...: there are no names, which is said once
missing() {
	assert_equal "$(reported "${@:2}" | sed '3,$d')" $'app+N\n#0 app+N'
	assert_equal "$(cat err)" "spork: report: $PWD/app $1: no names; --debug-dir takes a folder that has .build-id/${id:0:2}/${id:2}.debug"
}

# debug_dir FILE ID: FILE as the debug file with that id, in the folder debug
debug_dir() {
	mkdir -p "debug/.build-id/${2:0:2}"
	cp "$1" "debug/.build-id/${2:0:2}/${2:2}.debug"
}

@test "inlined functions have a line each, the innermost first" {
	session
	found all_names
	spork report app.box >out
	grep -A2 'The fork was here' out
	grep -qE "^    #0 app::started $(place_of started) \(inlined\)$" out
	grep -qE "^    #1 main $(place_of main) \(app\+0x[0-9a-f]+\)$" out
	grep -q "^SUMMARY: spork: orphaned-lock $(place_of take) in app::take$" out
	spork sites app.box >out
	grep -A1 -E "^    from app::started $(place_of started) \(inlined\)$" out |
		grep -qE "^         main $(place_of main) \(app\+0x[0-9a-f]+\)$"
	run spork report -f folded app.box
	assert_line --regexp ';main;app::started;fork;\[fork\] [0-9]+$'
}

@test "inlined functions in JSON: the same address, and who is inlined" {
	session
	spork report -f json app.box >record.jsonl
	run query '[(f["symbol"], f.get("linkage_name"), f.get("inlined"), f["line"])
		for f in violations[0]["lock"]["acquired_stack"][:2]]'
	assert_line --index 0 "('app::take', None, True, $(place_of take | cut -d: -f2))"
	assert_line --index 1 "('app::Pool<int>::hold(int const&)', '_ZN3app4PoolIiE4holdERKi', None, $(place_of hold | cut -d: -f2))"
	query 'len({(f["addr"], f["offset"], f["module"]) for f in violations[0]["lock"]["acquired_stack"][:2]})' | grep -qx 1
	query 'site["symbol"]' | grep -qx app::started
}

@test "other compilers' debug information: clang, DWARF 4 of a program that is not position-independent, split" {
	session
	local flags source=$ROOT/tests/victims/names.cc tried=0
	for flags in "gcc -gdwarf-4 -no-pie" "gcc -gsplit-dwarf" "gcc -flto" "clang -g"; do
		# shellcheck disable=SC2086 # words
		[ -n "$(command -v ${flags%% *})" ] &&
			$flags -x c++ -std=gnu++17 -D_GNU_SOURCE -O2 -g -pthread -o app "$source" || continue
		tried=$((tried + 1))
		spork run -q -s gate=0 -o app.box -- ./app cpp
		# clang has names of the linker even for what is inlined everywhere
		run reported
		assert_line --regexp "^#0 app::take(\(pthread_mutex_t\*\))? $(place_of take) \(inlined\)$"
		assert_line --regexp "^#1 app::Pool<int>::hold\(int const&\) $(place_of hold) \(app\+N\)$"
	done
	[ $tried -ge 2 ]
}

@test "names of Rust, and a name of gigabytes" {
	local kind
	for kind in rust:mycrate::LOCK legacy:mycrate::LEGACY; do
		session ${kind%%:*}
		assert_equal "$(reported | head -1)" "${kind#*:}"
	done
	session bomb
	run reported
	assert_line --index 0 --regexp '^_Z4bomb1AIiiE[A-Z0-9_]*$'
}

@test "--no-demangle: names as the linker has them" {
	session
	run reported --no-demangle
	assert_line --index 0 _ZN3app3cppE
	assert_line --index 1 "#0 take $(place_of take) (inlined)"
	assert_line --index 2 "#1 _ZN3app4PoolIiE4holdERKi $(place_of hold) (app+N)"
	run spork run -s gate=0 --no-demangle -- ./app cpp
	assert_output --partial _ZN3app4PoolIiE4holdERKi
	refute_output --partial "app::Pool"
}

@test "suppressions know a function by either name, and by what is inlined in it" {
	session
	local line
	for line in 'Pool<int>::hold(int const&)$' '^_ZN3app4PoolIiE4holdERKi$' '^app::take$' '^app::cpp$'; do
		echo "orphaned-lock:$line" >lines
		spork report -f json --suppressions lines app.box >record.jsonl
		assert_equal "$line $(query '[v["kind"] for v in violations]')" "$line orphan-deadlock"
	done
	# such that the shim can match them
	spork report --gen-suppressions app.box >lines
	grep -qx 'orphaned-lock:^_ZN3app4PoolIiE4holdERKi\$' lines
	spork report -f json --suppressions lines app.box >record.jsonl
	assert_equal "$(query 'violations')" ""
}

@test "debug files: by build-id in --debug-dir, by link, and not by a link to another" {
	session
	objcopy --only-keep-debug full keep.debug
	objcopy --strip-all full app
	run reported
	refute_output --partial take
	assert_line --index 0 app+N
	debug_dir keep.debug "$id"
	found all_names --debug-dir debug
	found all_names --debug-dir / --debug-dir debug
	# by name, with a checksum
	objcopy --strip-debug full app
	found table_names
	objcopy --add-gnu-debuglink=keep.debug app
	found all_names
	mkdir .debug
	mv keep.debug .debug
	found all_names
	cp "$SPORK" .debug/keep.debug
	found table_names
	# a folder that has another's under this id
	cp "$SPORK" "debug/.build-id/${id:0:2}/${id:2}.debug"
	found table_names --debug-dir debug
	# by the checksum alone
	gcc -x c++ -std=gnu++17 -D_GNU_SOURCE -O2 -g -pthread -Wl,--build-id=none -o app "$ROOT/tests/victims/names.cc"
	spork run -q -s gate=0 -o app.box -- ./app cpp
	objcopy --only-keep-debug app .debug/keep.debug
	objcopy --strip-debug app
	objcopy --add-gnu-debuglink=.debug/keep.debug app
	found all_names
	printf x >>.debug/keep.debug
	found table_names
}

@test "debug files: compressed, shared out by dwz, in .gnu_debugdata" {
	session
	needs dwz xz
	objcopy --compress-debug-sections=zlib full app
	found all_names
	cp full app
	cp full other
	dwz -m common -M "$PWD/common" app other
	readelf -S app | grep -q gnu_debugaltlink
	found all_names
	mv common moved
	run reported
	assert_line --index 2 --regexp '^#1 app::Pool<int>::hold\(int const&\) .*\(app\+N\)$'
	debug_dir moved "$(readelf -n moved | sed -n 's/.*Build ID: //p')"
	found all_names --debug-dir debug
	nm --format=posix --defined-only full | awk '$2 ~ /[TtW]/ { print $1 }' >functions
	objcopy --only-keep-debug full some
	objcopy -S --keep-symbols=functions some
	xz some
	objcopy --strip-all full app
	objcopy --add-section .gnu_debugdata=some.xz app
	run reported
	assert_line --index 1 "#0 app::Pool<int>::hold(int const&) (app+N)"
}

@test "a box may name files of /proc and /sys: they are not opened" {
	local path
	session
	rm app
	for path in /proc/version /proc/kmsg /proc/kcore /sys/kernel/uevent_seqnum; do
		[ -f $path ] || continue
		"$PYTHON" - "$PWD/app" $path <<-'END'
			import sys
			path, other = (word.encode() for word in sys.argv[1:])
			data = open("app.box", "rb").read()
			assert data.count(path + b"\0") == 1
			open("named", "wb").write(data.replace(path.ljust(200, b"\0"), other.ljust(200, b"\0")))
		END
		run --separate-stderr bounded "$SPORK" report named
		assert_success
		assert_regex "$stderr" "^spork: report: $path is made by the kernel, and was not opened: no names; "
	done
}

@test "a file that was replaced or deleted since is not asked, which is said once" {
	session
	cp "$SPORK" app
	missing "was replaced since (its build-id is another)"
	spork report -f json app.box >record.jsonl 2>err
	assert_equal "$(query '{(f["symbol"], f["replaced"]) for f in violations[0]["lock"]["acquired_stack"]}')" \
		"{(None, True)}"
	assert_equal "$(grep -c . err)" 1
	echo text >app
	missing "is no ELF file that can be read"
	rm app
	missing "was deleted since"
	mkfifo app
	missing "is not a regular file"
	rm app
	# another build of the same
	gcc -x c++ -std=gnu++17 -D_GNU_SOURCE -O1 -g -pthread -o app "$ROOT/tests/victims/names.cc"
	missing "was replaced since (its build-id is another)"
	run --separate-stderr spork sites app.box
	assert_equal "$(grep -c 'replaced since' <<<"$stderr")" 1
	refute_output --partial names.cc
	# the debug file of the one that ran
	objcopy --only-keep-debug full keep.debug
	debug_dir keep.debug "$id"
	found all_names --debug-dir debug
	rm app
	found all_names --debug-dir debug
	# or that one itself
	rm "debug/.build-id/${id:0:2}/${id:2}.debug"
	cp full "debug/.build-id/${id:0:2}/${id:2}"
	found all_names --debug-dir debug
}

@test "inspect: a program that runs keeps its names when its file is replaced or deleted" {
	session
	local pid step
	timeout -k 1 30 ./app hang </dev/null >/dev/null 2>&1 3>&- &
	for _ in {1..500}; do
		pid=$(pgrep -P $! -x app) && grep -q futex "/proc/$pid/wchan" && break
		sleep 0.02
	done
	for step in there gone other; do
		case $step in
		gone) rm app ;;
		other) cp "$SPORK" app ;;
		esac
		run --separate-stderr spork inspect "$pid"
		assert_equal "$step $status $stderr" "$step 2 "
		assert_line --regexp "^    #[0-9]+ app::take $(place_of take) \(inlined\)$"
		assert_line --regexp "^    #[0-9]+ app::twice\(app::Pool<int>\*\).* names.cc:[0-9]+ \(app.*\+0x[0-9a-f]+\)$"
		assert_output --partial "(app::cpp in app"
	done
	run spork inspect --no-demangle -f json "$pid"
	assert_output --partial '"symbol":"_ZN3appL5twiceEPNS_4PoolIiEE'
	kill "$pid"
}

@test "no server is asked for debug information unless --debuginfod says so" {
	ldconfig -p 2>/dev/null | grep -q libdebuginfod || skip "no libdebuginfod here"
	session
	objcopy --strip-all full app
	"$PYTHON" -u -c '
import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()' >port 2>requests 3>&- &
	SERVER=$!
	for _ in {1..500}; do
		[ -s port ] && break
		sleep 0.02
	done
	DEBUGINFOD_URLS=http://127.0.0.1:$(cat port)/
	export DEBUGINFOD_URLS DEBUGINFOD_CACHE_PATH=$PWD/cache DEBUGINFOD_TIMEOUT=5
	spork report app.box >out
	spork sites app.box >out
	spork run -s gate=0 -O out -- ./app cpp
	assert_equal "$(cat requests)" ""
	[ ! -e cache ]
	mkdir -p "buildid/$id"
	cp full "buildid/$id/debuginfo"
	found all_names --debuginfod
	grep -q "buildid/$id/debuginfo" requests
	# its own command still may
	spork run -q -- sh -c 'echo "$DEBUGINFOD_URLS"' >out
	assert_equal "$(cat out)" "$DEBUGINFOD_URLS"
	unset DEBUGINFOD_URLS
	run spork report --debuginfod app.box
	assert_equal "$status $output" "125 spork: report: --debuginfod: DEBUGINFOD_URLS is not set; it says which servers to ask"
}

@test "--debug-dir: what is no folder" {
	session
	for command in report sites run inspect; do
		run spork $command --debug-dir app app.box
		assert_equal "$status $output" "125 spork: $command: --debug-dir app: is no folder; give a folder of debug files"
		run spork $command --debug-dir none app.box
		assert_equal "$status $output" "125 spork: $command: --debug-dir none: No such file or directory; give a folder of debug files"
	done
}
