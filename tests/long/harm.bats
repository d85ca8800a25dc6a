#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The shim in every process of large programs' own test suites, of a package's build and of servers under load:
# each runs bare and under the shim, in the same folder, and ends in the same way, test by test; nothing is
# reported, and no process is left. The suites come from Debian's source packages.
#
# HARM_BUILD: the source packages that are built. HARM_GIT, HARM_BASH, HARM_MAKE: patterns of the tests of each.
# HARM_LOAD: how much the clients of the servers ask for, a factor.

load ../helper

HARM_BUILD=${HARM_BUILD:-dash}
HARM_GIT=${HARM_GIT:-t0005* t0021* t0061* t1350* t1800* t540* t5411* t5500* t5571* t5601* t6500* t7006* t750[345]* t7700* t7900*}
HARM_BASH=${HARM_BASH:-run-*}
HARM_MAKE=${HARM_MAKE:-}
HARM_LOAD=${HARM_LOAD:-1}

# Not in bats' own folder, which nobody else may enter.
setup_file() {
	export PLACE
	PLACE=$(mktemp -d "${TMPDIR:-/tmp}/harm.XXXXXX") || return 1
	chmod 755 "$PLACE"
}

teardown_file() {
	rm -rf "$PLACE"
}

setup() {
	HERE=$PLACE/$BATS_TEST_NUMBER
	mkdir "$HERE" "$HERE/seed"
	cd "$HERE/seed" || return 1
	export LIMIT=600 LC_ALL=C TZ=UTC HOME=$HERE/run
	unset BASH_ENV DEB_BUILD_OPTIONS
	RIGHTS=()
	OPTIONS=()
	PATH=$PATH:/usr/sbin:/sbin
}

teardown() {
	local pid

	for pid in $(left); do
		kill -9 "$pid" 2>/dev/null || :
	done
	cd /
	rm -rf "$HERE"
}

# left: the processes that work in the folder of the test's runs
left() {
	local folder

	for folder in /proc/[0-9]*/cwd; do
		case $(readlink "$folder" 2>/dev/null) in
		"$HERE"/run*)
			folder=${folder#/proc/}
			echo "${folder%/cwd}"
			;;
		esac
	done
}

# nothing_left: soon, or it fails
nothing_left() {
	local pids round

	for round in $(seq 100); do
		pids=$(left)
		[ -n "$pids" ] || return 0
		sleep 0.1
	done
	for pid in $pids; do
		tr '\0' ' ' <"/proc/$pid/cmdline" || :
		grep -E '^(State|PPid)' "/proc/$pid/status" || :
	done
	fail "$1: processes are left after $round rounds"
}

# fetch PACKAGE: its source package, unpacked in the folder "source". From where the machine has its packages:
# a configuration of apt's own, with those same places, as places of sources.
fetch() {
	local apt=$PLACE/apt file options

	needs apt-get dpkg-source
	options=(-o Dir::Etc::sourcelist="$apt/one.list" -o Dir::Etc::sourceparts="$apt/parts"
		-o Dir::State::lists="$apt/lists" -o APT::Sandbox::User="")
	if [ ! -d "$apt" ]; then
		mkdir -p "$apt/parts" "$apt/lists/partial"
		for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
			[ -f "$file" ] || continue
			sed -E 's/^deb( |\t)/deb-src\1/; s/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/${file##*/}"
		done
		# a place that has no sources does not stand in the way of one that has
		LIMIT=200 bounded apt-get -qq "${options[@]}" update >"$apt/log" 2>&1 || :
	fi
	LIMIT=200 bounded apt-get -qq "${options[@]}" source --download-only "$1" >"$apt/log" 2>&1 ||
		skip "no source package $1: $(tail -n 1 "$apt/log")"
	dpkg-source --no-check -x ./*.dsc source >"$apt/log" 2>&1 || skip "$1: $(tail -n 1 "$apt/log")"
	rm -f ./*.dsc ./*.tar.* ./*.diff.*
}

# both: what stdin is, a script, in the folder "run", which is at first as the current one: bare, and then in every
# process the shim. What it prints is in bare.log and shim.log, what it leaves in the folders bare and shim.
both() {
	local kind

	cat >"$HERE/seed/both.sh"
	cd "$HERE" || return 1
	[ ${#RIGHTS[@]} -eq 0 ] || chown -R nobody: "$HERE"
	for kind in bare shim; do
		cp -a seed run
		cd run || return 1
		case $kind in
		bare) bounded "${RIGHTS[@]}" bash both.sh >"../$kind.log" 2>"../$kind.err" </dev/null ;;
		shim) bounded "${RIGHTS[@]}" "$SPORK" run -q -o ../box -p ../profile -O ../said "${OPTIONS[@]}" -- \
			bash both.sh >"../$kind.log" 2>"../$kind.err" </dev/null ;;
		esac || echo "status $?" >>"../$kind.log"
		cd ..
		nothing_left "$kind"
		mv run "$kind"
	done
	tail -n 5 ./*.err | cut -c 1-300
	[ "${RIGHTS[*]}" = "" ] || chown -R root: "$HERE"
}

# same_logs [SED]: of more than one line; and no violation in any of more than $1 processes
same_logs() {
	sed -E "${2-}" bare.log >bare.outcome
	sed -E "${2-}" shim.log >shim.outcome
	[ "$(wc -l <bare.outcome)" -gt 1 ] || fail "the bare run did not work"
	diff -u bare.outcome shim.outcome || fail "another outcome"
	no_violations box
	spork report box >text
	cat text
	[ "$(sed -nE 's/^spork: ([0-9]+) process.*/\1/p' text)" -gt "$1" ] || fail "not in every process"
}

@test "the tests of GNU make" {
	needs perl make
	fetch make-dfsg
	# They start with an environment of their own.
	sed -i "s/'LD_LIBRARY_PATH',/& 'LD_PRELOAD', (grep { \/^SPORK_\/ } keys %ENV),/" source/tests/test_driver.pl
	sed 's/@[A-Z_]*@//' source/tests/config-flags.pm.in >source/tests/config-flags.pm
	HARM_MAKE=$HARM_MAKE both <<-'END'
		cd source/tests
		# shellcheck disable=SC2086
		perl -I. run_make_tests.pl -srcdir "$PWD/.." -make /usr/bin/make $HARM_MAKE
	END
	grep -cE '\.\.\. *ok' bare.log || fail "the bare run did not work"
	same_logs 50
}

@test "a build with debhelper, make -j and gcc: $HARM_BUILD" {
	needs dpkg-buildpackage dh gcc
	local package file

	for package in $HARM_BUILD; do
		fetch "$package"
		mv source "$package"
	done
	HARM_BUILD=$HARM_BUILD both <<-'END'
		export DEB_BUILD_OPTIONS="parallel=2 nocheck"
		for package in $HARM_BUILD; do
			(cd "$package" && dpkg-buildpackage -b -us -uc -d) >"$package.log" 2>&1
			echo "$package $?"
		done
		sha256sum *.deb
		find . -type f -name '*.[oa]' | LC_ALL=C sort | xargs sha256sum
	END
	for package in $HARM_BUILD; do
		grep -q "^$package 0\$" bare.log || skip "$package is not built here: $(tail -n 2 "bare/$package.log")"
	done
	same_logs 50
}

@test "the tests of git: $HARM_GIT" {
	fetch git
	needs gcc make perl
	# built where it is tested: its folder is in what is built
	mv source ..
	bounded make -s -C ../source -j2 CFLAGS='-O0 -w' NO_OPENSSL=1 NO_CURL=1 NO_EXPAT=1 NO_TCLTK=1 NO_GETTEXT=1 \
		NO_PYTHON=1 all >../build.log 2>&1 || skip "git is not built here: $(tail -n 2 ../build.log)"
	HARM_GIT=$HARM_GIT SOURCE=$HERE/source both <<-'END'
		# of glibc's own preloaded library
		export TEST_NO_MALLOC_CHECK=1 TEST_OUTPUT_DIRECTORY=$PWD/out
		mkdir out
		here=$PWD
		cd "$SOURCE/t"
		for script in $(ls t[0-9]*.sh); do
			for pattern in $HARM_GIT; do
				case $script in
				$pattern)
					echo "$script"
					timeout -k 1 150 sh "./$script" --no-color --root="$here/trash" </dev/null 2>>"$here/err"
					echo "status $?"
					;;
				esac
			done
		done
		cd "$here"
		rm -rf trash
	END
	grep -cE '^(not )?ok' bare.log || fail "the bare run did not work: $(tail -n 3 bare/err)"
	same_logs 50
}

@test "the tests of bash: $HARM_BASH" {
	local program

	fetch bash
	needs gcc
	for program in recho zecho printenv xcase; do
		: >source/config.h
		gcc -w -DHAVE_STDLIB_H -DHAVE_UNISTD_H -DHAVE_STRING_H -include stdio.h -Isource -Isource/include \
			-o "source/tests/$program" "source/support/$program.c"
	done
	HARM_BASH=$HARM_BASH both <<-'END'
		mkdir tmp
		export TMPDIR=$PWD/tmp BASH_TSTOUT=$PWD/tmp/output THIS_SH=/bin/bash BUILD_DIR=$PWD PATH=.:$PATH
		cd source/tests
		# shellcheck disable=SC2086
		for script in $HARM_BASH; do
			case $script in run-all | run-minimal | run-gprof) continue ;; esac
			echo "$script"
			# in a session of its own: without the terminal that there may be
			timeout -k 1 120 setsid -w sh "$script" 2>&1 </dev/null
			echo "status $?"
			rm -f "$BASH_TSTOUT"
		done
	END
	# process numbers; and whether a coprocess was reaped already is a race
	same_logs 50 '/RO_PID/d; /^[0-9,]+[acd][0-9,]+$/d; s/[0-9]{3,}/N/g'
}

@test "PostgreSQL: pgbench, a checkpoint, programs, archiving, a crash and a restart" {
	local bin

	bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	[ -x "$bin/initdb" ] || skip "no PostgreSQL here"
	if [ "$(id -u)" -eq 0 ]; then
		RIGHTS=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
		"${RIGHTS[@]}" test -r "$SHIM" -a -x "$SPORK" || skip "nobody may not read $SHIM"
	fi
	PATH=$bin:$PATH LOAD=$HARM_LOAD both <<-'END'
		export PGHOST=$PWD PGUSER=admin PGDATA=$PWD/data
		initdb -U admin -A trust --no-sync >initdb.log || exit
		mkdir archive
		cat >>data/postgresql.conf <<-CONF
			listen_addresses = ''
			unix_socket_directories = '$PWD'
			archive_mode = on
			archive_command = 'cp %p $PWD/archive/%f'
			max_parallel_workers_per_gather = 2
			parallel_setup_cost = 0
			min_parallel_table_scan_size = 0
		CONF
		ask() { psql -XAtq -v ON_ERROR_STOP=1 -d postgres -c "$1"; }
		pg_ctl -s -w -l server.log start; echo "start $?"
		pgbench -i -q -s 2 postgres 2>/dev/null; echo "init $?"
		for client in 1 2 3; do
			pgbench -n -c 4 -j 2 -t $((LOAD * 500)) postgres 2>&1 | grep -E 'actually processed|failed'
			pgbench -n -C -S -c 4 -j 2 -t $((LOAD * 50)) postgres 2>&1 | grep -E 'actually processed|failed'
			ask 'checkpoint'
			ask "copy (select generate_series(1, 5)) to program 'sort -r >$PWD/copied'"; cat copied
			ask "create table if not exists read(line text); copy read from program 'seq 1 1000'"
			ask "copy read from program 'exit 3'" 2>&1 | grep -c 'exit code 3'
			ask 'select pg_switch_wal() is not null'
		done
		ask 'select count(*) from read'
		ask 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)'
		ask 'select count(*) from pgbench_history'
		# a backend that is killed takes all others with it; the postmaster forks them anew
		ask 'select pg_backend_pid(), pg_sleep(60)' >/dev/null 2>&1 &
		n=0
		until pid=$(ask "select pid from pg_stat_activity where query like '%pg_sleep(60)' and pid <> pg_backend_pid()") &&
			[ -n "$pid" ]; do
			n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.05
		done
		kill -9 $pid; wait "$!"; echo "killed $?"
		n=0
		until ask 'select 1' 2>/dev/null; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
		ask 'select count(*) from pgbench_history'
		pg_dump postgres >/dev/null; echo "dump $?"
		pg_ctl -s -w -m fast stop; echo "stop $?"
		pg_ctl -s -w -l server.log start; ask 'select count(*) from pgbench_history'
		pg_ctl -s -w -m immediate stop; echo "stop $?"
		ls archive | grep -cE '^[0-9A-F]{24}$' | sed 's/^[1-9].*/archived/'
		grep -oE '(PANIC|terminated by signal [0-9]+).*' server.log
	END
	same_logs 100
}

@test "redis under load: redis-benchmark while it saves and rewrites" {
	needs redis-server redis-cli redis-benchmark
	# Redis forks while it holds what keeps modules and its other threads out; its children never ask for these.
	export TOLERATED=fork-holding-lock
	LOAD=$HARM_LOAD both <<-'END'
		cli() { redis-cli -s "$PWD/redis.sock" "$@"; }
		start() {
			redis-server --port 0 --unixsocket "$PWD/redis.sock" --dir "$PWD" --save '' --appendonly yes \
				--enable-debug-command yes --io-threads 2 --logfile "$PWD/redis.log" &
			server=$! n=0
			until [ "$(cli ping 2>/dev/null)" = PONG ]; do n=$((n + 1)); [ $n -lt 500 ] || break; sleep 0.02; done
		}
		idle() {
			n=0
			while cli info persistence | tr -d '\r' | grep -qE 'in_progress:1|rewrite_scheduled:1'; do
				n=$((n + 1)); [ $n -lt 1000 ] || break; sleep 0.02
			done
		}
		start
		redis-benchmark -s "$PWD/redis.sock" -q -c 16 -P 8 -r 20000 -n $((LOAD * 100000)) \
			-t set,get,incr,lpush,sadd,hset,mset >benchmark.out 2>&1 &
		benchmark=$!
		for i in 1 2 3 4 5 6 7 8 9 10; do cli bgsave >/dev/null; idle; cli bgrewriteaof >/dev/null; idle; done
		wait $benchmark; echo "benchmark $?"
		idle
		cli info persistence | tr -d '\r' | grep -E '_status'
		cli debug digest >digest.before
		cli shutdown; wait $server; echo "status $?"
		start
		cli debug digest | cmp digest.before -; echo "digest $?"
		cli shutdown nosave; wait $server; echo "status $?"
		redis-check-rdb dump.rdb | grep -oE 'RDB looks OK'
		grep -oE 'crashed by signal.*|Error.*|terminated by signal.*' redis.log
	END
	same_logs 20
}

@test "nginx under load: reloads, and workers that are killed" {
	needs nginx
	mkdir www
	seq 1 5000 >www/index.html
	cat >client.py <<-'END'
		import socket, sys, threading
		page = open("www/index.html", "rb").read()
		right, lock = 0, threading.Lock()
		def ask(count):
		    global right
		    while count:
		        try:
		            with socket.socket(socket.AF_UNIX) as s:
		                s.connect("nginx.sock")
		                s.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
		                text = b"".join(iter(lambda: s.recv(65536), b""))
		        except (ConnectionError, BlockingIOError):
		            continue
		        if text.endswith(b"\r\n\r\n" + page):
		            count -= 1
		            with lock:
		                right += 1
		threads = [threading.Thread(target=ask, args=(int(sys.argv[1]),)) for i in range(8)]
		for t in threads: t.start()
		for t in threads: t.join()
		print("right", right)
	END
	LOAD=$HARM_LOAD PYTHON=$PYTHON both <<-'END'
		cat >nginx.conf <<-CONF
			$([ "$(id -u)" -ne 0 ] || echo "user root;")
			worker_processes 2;
			pid $PWD/nginx.pid;
			error_log $PWD/error.log notice;
			thread_pool default threads=4;
			events { worker_connections 256; }
			http {
			  aio threads; access_log $PWD/access.log;
			  client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3;
			  uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
			  server { listen unix:$PWD/nginx.sock; root $PWD/www; }
			}
		CONF
		nginx -c "$PWD/nginx.conf" -e error.log -g 'daemon off;' &
		server=$! n=0
		until [ -S nginx.sock ] && [ -s nginx.pid ]; do n=$((n + 1)); [ $n -lt 500 ] || break; sleep 0.02; done
		"$PYTHON" client.py $((LOAD * 1000)) &
		client=$!
		for i in 1 2 3 4 5 6 7 8; do
			kill -HUP $server; sleep 0.1
			kill -KILL "$(pgrep -P $server | head -n 1)"; sleep 0.1
		done
		wait $client; echo "client $?"
		kill -QUIT $server; wait $server; echo "status $?"
		grep -oE '\[(alert|emerg|crit)\].*' error.log | grep -oE 'exited on signal [0-9]+' | sort -u
	END
	same_logs 10
}
