#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Servers, each started by its test in the test's own folder, on sockets there, asked for some work and ended;
# bare and under the shim. Output, errors, exit status and the files left behind must be equal.

load helper

setup() {
	server_setup
}

teardown() {
	kill_left
}

@test "redis: BGSAVE, BGREWRITEAOF" {
	needs redis-server redis-cli
	cat >redis.sh <<-'END'
		. ./until.sh
		cli() { redis-cli -s "$PWD/redis.sock" "$@"; }
		start() {
			redis-server --port 0 --unixsocket "$PWD/redis.sock" --dir "$PWD" --save '' --logfile "$PWD/redis.log" "$@" &
			soon 'test "$(cli ping)" = PONG'
		}
		saved() { cli info persistence | tr -d '\r' | grep -E 'in_progress:1|bgsave_status:err|rewrite_scheduled:1'; }
		start
		for i in $(seq 1 50); do echo "set key$i value$i"; done | cli | sort | uniq -c
		for i in 1 2 3 4 5; do
			cli set last "$i"; cli bgsave; soon '! saved'; cli lpush list "$i"
		done
		cli config set appendonly yes; soon '! saved'
		for i in 1 2 3 4 5; do cli append last x; cli bgrewriteaof; soon '! saved'; done
		cli info persistence | tr -d '\r' | grep -E '_status|rdb_saves|aof_rewrites:'
		cli shutdown; wait $!; echo "status $?"
		redis-check-rdb dump.rdb | grep -E 'keys|OK'
		start; cli dbsize; cli get key7; cli get last
		kill "$!"; wait "$!"; echo "status $?"
		start --appendonly yes; cli get last; cli lrange list 0 -1; cli shutdown nosave; wait $!; echo "status $?"
		grep -cE 'DB saved on disk|Background.*terminated with success' redis.log
	END
	SAME_VOLATILE='redis.log|\.rdb$' served redis.sh
}

@test "nginx: workers, reload, reopen, upgrade of the binary" {
	needs nginx
	mkdir www
	echo hello >www/index.html
	cat >nginx.conf <<-END
		$([ "$(id -u)" -ne 0 ] || echo "user root;")
		worker_processes 2;
		pid $PWD/nginx.pid;
		error_log $PWD/error.log notice;
		events { worker_connections 64; }
		http {
		  access_log $PWD/access.log;
		  client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3;
		  uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
		  server { listen unix:$PWD/nginx.sock; root $PWD/www; location /version { return 200 "one\n"; } }
		}
	END
	cat >get.py <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect("nginx.sock")
		s.sendall(f"GET {sys.argv[1]} HTTP/1.0\r\n\r\n".encode())
		text = b"".join(iter(lambda: s.recv(4096), b"")).decode()
		print(text.split("\r\n")[0], text.split("\r\n\r\n", 1)[1])
	END
	cat >nginx.sh <<-'END'
		. ./until.sh
		nginx=$(command -v nginx)
		get() { "$PYTHON" get.py "$1"; }
		workers() { pgrep -P "$(cat nginx.pid)" | wc -l; }
		"$nginx" -t -q -c "$PWD/nginx.conf" -e error.log; echo "test $?"
		"$nginx" -c "$PWD/nginx.conf" -e error.log -g 'daemon off;' &
		soon 'get /'
		for i in 1 2 3 4 5; do get /index.html; get /nowhere | sed -n 1p; done
		get /version
		sed -i 's/one/two/' nginx.conf
		kill -HUP "$!"
		soon 'test "$(get /version)" = "HTTP/1.1 200 OK two"'
		soon 'test "$(workers)" -eq 2'
		for i in 1 2 3; do kill -KILL "$(pgrep -P "$!" | head -n 1)"; sleep 0.1; soon 'test "$(workers)" -eq 2'; get /version; done
		mv access.log old.log; kill -USR1 "$!"; soon 'test -e access.log'; get /
		kill -QUIT "$!"; wait "$!"; echo "status $?"
		"$nginx" -c "$PWD/nginx.conf" -e error.log; echo "daemon $?"
		soon 'get /'; pid=$(cat nginx.pid)
		kill -USR2 "$pid"; soon 'test -e nginx.pid.oldbin'; soon 'test "$(cat nginx.pid)" != "$pid"'
		kill -QUIT "$pid"; soon '! alive $pid'; get /version
		"$nginx" -c "$PWD/nginx.conf" -e error.log -s stop; soon '! test -e nginx.pid'
		sleep 0.2; rm -f nginx.sock # which nginx sometimes leaves
		"$nginx" -c "$PWD/nginx.conf" -e error.log -s stop 2>&1 | sed 's/^[^ ]* [^ ]* //'; echo "gone"
	END
	PYTHON=$PYTHON SAME_SED='s/[0-9]+#[0-9]+/N/; s,[0-9/]+ [0-9:]+ ,,' SAME_VOLATILE='\.log$|nginx\.sock' served nginx.sh
}

@test "cron and at: jobs, in a namespace of their own" {
	needs cron at atd unshare
	[ "$(id -u)" -eq 0 ] || skip "cron and at serve jobs as root only"
	bounded unshare --mount true 2>/dev/null || skip "no mount namespace may be made here"
	cat >cron.sh <<-'END'
		. ./until.sh
		for i in /var/spool/cron /run /etc/cron.d; do mount -t tmpfs none "$i" || exit; done
		mount --bind /dev/null /etc/crontab || exit
		mkdir -m 1730 /var/spool/cron/crontabs
		{
			echo 'MAILTO=""'
			for i in 1 2 3 4 5 6; do echo "@reboot cat >$PWD/in$i; echo ran $i \$LOGNAME >$PWD/cron.tmp$i; mv $PWD/cron.tmp$i $PWD/cron$i%line one%line two"; done
			echo '0 0 31 2 * false'
		} >/var/spool/cron/crontabs/root
		chmod 600 /var/spool/cron/crontabs/root
		chgrp crontab /var/spool/cron/crontabs /var/spool/cron/crontabs/root
		cron -f &
		for i in 1 2 3 4 5 6; do soon "test -e cron$i"; cat "cron$i"; done
		kill "$!"; wait "$!"; echo "status $?"
		crontab -l | tail -n 1; echo '@daily true' | crontab -; crontab -l; crontab -r; crontab -l

		mkdir -m 1770 /var/spool/cron/atjobs /var/spool/cron/atspool
		touch /var/spool/cron/atjobs/.SEQ
		chown -R daemon:daemon /var/spool/cron/atjobs /var/spool/cron/atspool
		for i in 1 2 3 4 5 6; do echo "echo at $i >at.tmp$i; mv at.tmp$i at$i" | at now 2>&1 | sed 's/ at .*//'; done
		echo 'touch never' | at now + 2 days 2>/dev/null
		atq | wc -l
		for i in 1 2 3; do atd -s; echo "status $?"; sleep 0.1; done
		for i in 1 2 3 4 5 6; do soon "test -e at$i"; cat "at$i"; done
		atq | wc -l
		atrm 7; atq | wc -l
	END
	# whether dash tells of the cron that it killed is a race
	SAME_SED='/^Terminated$/d' LIMIT=40 same_as_bare unshare --mount sh cron.sh
	! grep 'never came' "$BATS_TEST_TMPDIR/same.bare.out" || fail "the bare run did not work"
}
