#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Unmodified programs that spawn for a living, each doing some work of its trade twice: bare and under the
# shim. Output, errors and exit status must be equal, and nothing may be reported.

load helper

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return
	export HOME=$PWD LC_ALL=C TZ=UTC
}

# script NAME: stdin into a file
script() {
	cat >"$1"
}

@test "a bare preload prints nothing, leaves nothing, holds no descriptor" {
	mkdir empty
	cd empty
	run --separate-stderr preload "" bash -c 'ls /proc/self/fd | wc -l; ls -A'
	shim=$output
	# shellcheck disable=SC2154 # set by run
	assert_equal "$stderr" ""
	run --separate-stderr bounded bash -c 'ls /proc/self/fd | wc -l; ls -A'
	assert_equal "$shim" "$output"
}

# What a POSIX shell does with processes; for bash and dash.
shell_script() {
	script shell.sh <<-'END'
		set -u
		for i in 1 2 3 4 5 6 7 8; do /bin/echo "loop $i"; done
		for i in 1 2 3 4 5 6; do x=$(/bin/echo "sub $i"; exit "$i"); echo "$x $?"; done
		printf '%s\n' c b a c | sort | uniq -c | sed 's/^ *//'
		i=0; while [ "$i" -lt 6 ]; do seq 1 200 | grep 7 | wc -l; i=$((i + 1)); done
		(cd /; pwd; (exit 9)); echo "status $?"
		{ /bin/sh -c 'kill -9 $$'; } 2>/dev/null; echo "status $?" # the shell names the pid
		no-such-program-anywhere; echo "status $?"
		/etc/passwd; echo "status $?"
		sleep 0.05 & p=$!; wait "$p"; echo "waited $?"
		(sleep 0.1; exit 4) & wait $!; echo "waited $?"
		trap 'echo on exit' EXIT
		trap 'echo usr1' USR1
		/bin/sh -c 'kill -USR1 "$1"' - $$
		/bin/true
		X=outer; { X=inner; echo "$X"; } | cat; echo "$X"
		cat <<-HERE
			here $(/bin/echo doc)
		HERE
		f() { /bin/echo "f $1"; return "$1"; }
		f 3; echo $?
		ls /proc/self/fd | wc -l
		exec /bin/echo replaced
	END
}

@test "bash" {
	shell_script
	same_as_bare bash shell.sh
	script more.sh <<-'END'
		set -o pipefail
		false | true | exit 3 | true; echo "${PIPESTATUS[*]} $?"
		mapfile -t lines < <(seq 1 5; /bin/echo end); echo "${lines[*]}"
		diff <(seq 1 3) <(seq 2 4)
		coproc tr a-z A-Z; echo hello >&"${COPROC[1]}"; exec {COPROC[1]}>&-; cat <&"${COPROC[0]}"; wait
		for i in {1..5}; do /bin/echo "job $i" >"out.$i" & done; wait; cat out.[1-5]; rm out.[1-5]
		trap 'echo child' CHLD; /bin/true; trap - CHLD
		enable -n echo; for i in {1..20}; do echo "$i"; done | tail -n 3
		seq 1 50 | xargs -n 5 -P 1 /bin/echo
		timeout 0.1 sleep 5; echo $?
	END
	same_as_bare bash more.sh
}

@test "dash" {
	needs dash
	shell_script
	same_as_bare dash shell.sh
	same_as_bare dash -c 'for i in 1 2 3 4 5 6; do /bin/echo $i & wait; done; yes | head -n 2; set -- $(seq 9); echo $#'
}

@test "make" {
	needs make
	script Makefile <<-'END'
		.RECIPEPREFIX := >
		WORDS := $(shell seq 1 5)
		all: $(WORDS:%=%.out) sub fail
		>@cat $(WORDS:%=%.out)
		%.out: ; @for i in 1 2 3; do /bin/echo $@ $$i; done >$@
		sub: ; @$(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) leaf
		leaf: ; @/bin/echo leaf $(shell /bin/echo shell)
		fail:
		>-@no-such-program-anywhere
		>-@exit 3
		>-@/bin/sh -c 'kill -9 $$$$'
		clean: ; rm -f *.out
	END
	same_as_bare bash -c 'make clean all; make clean'
	same_as_bare bash -c 'make -j2 -O all >log 2>&1; echo $?; sort log; make -s clean'
}

@test "git" {
	needs git
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat GIT_EDITOR=:
	export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C
	export GIT_COMMITTER_EMAIL=c@example.org GIT_AUTHOR_DATE='1700000000 +0000'
	export GIT_COMMITTER_DATE='1700000000 +0000'
	script git.sh <<-'END'
		set -e
		rm -rf repo clone
		git init -q -b main repo
		cd repo
		printf '#!/bin/sh\necho "hook $0" | sed "s,.*/,,"\n' >.git/hooks/pre-commit
		printf '#!/bin/sh\ncat "$1"\nexit 0\n' >.git/hooks/commit-msg
		chmod +x .git/hooks/*
		for i in 1 2 3 4 5 6 7 8; do
			seq "$i" 40 >"file$((i % 3))"
			git add .
			git commit -q -m "change $i"
		done
		git log --stat --format='%H %s'
		git diff HEAD~3 HEAD | cat
		git -c diff.external='sh -c "echo external \$0"' diff HEAD~1
		git -c alias.shout='!f() { echo "$1" | tr a-z A-Z; }; f' shout hello
		git rebase -q --exec 'git log -1 --format=%s' HEAD~6
		git bisect start HEAD HEAD~7 >/dev/null
		git bisect run sh -c 'test "$(head -n 1 file0)" -lt 6' | grep 'first bad' || :
		git bisect reset 2>/dev/null
		git -c filter.up.clean='tr a-z A-Z' -c filter.up.smudge='tr A-Z a-z' hash-object --stdin <file1
		git gc -q
		git fsck --no-progress
		git archive HEAD | tar tf -
		cd ..
		git clone -q repo clone
		git -C clone fetch -q
		git -C clone rev-parse HEAD
		git -C clone no-such-command || echo "status $?"
		GIT_PAGER='sed s/^/paged:/' git -C clone -p log -1 --format=%s
		git -C clone -c core.editor=no-such-program-anywhere commit --allow-empty || echo "status $?"
		rm -rf repo clone
	END
	LIMIT=60 same_as_bare bash git.sh
}

@test "perl" {
	needs perl
	script work.pl <<-'END'
		use strict; use warnings; use POSIX ":sys_wait_h"; $| = 1;
		for my $i (1 .. 6) { my $x = `/bin/echo tick $i`; print $x; system("/bin/echo", "sys $i"); }
		system("exit 3;"); print "status ", $? >> 8, "\n";
		system("kill -9 \$\$"); print "signal ", $? & 127, "\n";
		print "failed: ", system("/nonexistent/program"), " $!\n";
		for my $i (1 .. 5) { open(my $p, "-|", "seq", 1, 3 + $i) or die; print map { chomp; "$_ " } <$p>; close $p; print "\n"; }
		open(my $w, "|-", "sort") or die; print $w "b\na\n"; close $w;
		for my $i (1 .. 5) {
			pipe(my $r, my $q); my $pid = fork; die unless defined $pid;
			if (!$pid) { close $r; my %h = map { $_ => $_ ** 2 } 1 .. 100; print $q $h{$i}; close $q; POSIX::_exit($i); }
			close $q; print "child said ", <$r>; waitpid $pid, 0; print " and left ", $? >> 8, "\n";
		}
		for my $i (1 .. 5) { my $pid = fork; if (!$pid) { exec "/bin/echo", "exec $i" or exit 9 } waitpid $pid, 0; }
		my $pid = fork; if (!$pid) { no warnings; exec "/nonexistent/program"; print "exec: $!\n"; exit 11 } waitpid $pid, 0; print $? >> 8, "\n";
		local $SIG{CHLD} = sub { }; local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 3;
		sub END { print "end\n" }
	END
	same_as_bare perl work.pl
}

@test "python3" {
	[ -x "$PYTHON" ] || skip "no python3 here"
	script work.py <<-'END'
		import multiprocessing, os, signal, subprocess, sys, threading

		def show(*what):
		    print(*what, flush=True)

		def square(n):
		    return n * n

		for i in range(6):
		    show(subprocess.run(["/bin/echo", str(i)], capture_output=True, text=True))
		    show(subprocess.run(["/bin/echo", str(i)], capture_output=True, start_new_session=True, close_fds=False))
		    show(subprocess.run(["/bin/pwd"], capture_output=True, cwd="/", preexec_fn=lambda: os.umask(0o77)))
		show(subprocess.run("exit 5", shell=True).returncode, subprocess.run("kill -15 $$", shell=True).returncode)
		for bad in ("/nonexistent/program", "/etc/passwd"):
		    for _ in range(3):
		        try:
		            subprocess.run([bad])
		        except OSError as error:
		            show(type(error).__name__, error.errno)
		try:
		    subprocess.run(["/bin/true"], cwd="/nonexistent")
		except OSError as error:
		    show(error)
		p = subprocess.Popen(["sort"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		show(p.communicate(b"b\na\n"))
		show(os.popen("echo popen").read(), os.system("exit 2"))
		for i in range(5):
		    pid = os.fork()
		    if pid == 0:
		        os._exit(sum(range(i)) % 100)
		    show(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
		for i in range(5):
		    pid = os.fork()
		    if pid == 0:
		        os.execv("/bin/echo", ["echo", "execv", str(i)])
		    os.waitpid(pid, 0)
		show(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/false", ["false"], {}), 0)[1]))
		with multiprocessing.get_context("fork").Pool(2) as pool:
		    show(pool.map(square, range(20)))
		results = {}

		def spawner(name):
		    results[name] = [subprocess.run(["/bin/echo", f"{name} {i}"], capture_output=True).stdout for i in range(6)]

		threads = [threading.Thread(target=spawner, args=(n,)) for n in range(3)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		show(sorted(results.items()))
		os.register_at_fork(before=lambda: show("before"), after_in_parent=lambda: show("parent"))
		pid = os.fork()
		if pid == 0:
		    sys.exit(8)
		show(os.waitpid(pid, 0)[1] >> 8)
		signal.signal(signal.SIGCHLD, lambda *_: None)
		for i in range(4):
		    show(subprocess.call(["/bin/sh", "-c", f"exit {i}"]))
	END
	LIMIT=60 same_as_bare "$PYTHON" work.py
}

@test "node" {
	needs node
	script work.js <<-'END'
		'use strict';
		const cp = require('child_process');
		const { Worker, isMainThread, parentPort } = require('worker_threads');
		const { once } = require('events');
		const run = (file, args, options) => new Promise((done) => {
			const child = cp.spawn(file, args, options);
			let text = '';
			let failed = null;
			child.on('error', (error) => { failed = error.code; if (child.pid === undefined) done([failed]); });
			if (child.stdout) child.stdout.on('data', (data) => { text += data; });
			if (child.stderr) child.stderr.on('data', (data) => { text += data; });
			child.on('close', (code, signal) => done([text, code, signal, failed]));
		});
		async function main() {
			if (process.argv[2] === 'child') {
				process.on('message', (m) => { process.send({ twice: m.value * 2 }); process.disconnect(); });
				return;
			}
			if (!isMainThread) {
				for (let i = 0; i < 5; i++) parentPort.postMessage(await run('/bin/echo', ['worker', i]));
				return;
			}
			for (let i = 0; i < 12; i++) console.log(await run('/bin/echo', [`line ${i}`]));
			for (let i = 0; i < 5; i++) console.log(await run('/nonexistent/program', []));
			for (let i = 0; i < 5; i++) console.log(await run('no-such-program-anywhere', []));
			for (let i = 0; i < 5; i++) console.log(await run('/bin/pwd', [], { cwd: '/', detached: true }));
			console.log(await run('/bin/pwd', [], { cwd: '/nonexistent' }));
			console.log(await run('/bin/sh', ['-c', 'echo $A $#; exit 7', 'x', 'y'], { env: { A: 'alone' } }));
			console.log(await run('/bin/sh', ['-c', 'kill -9 $$']));
			console.log(cp.execSync('echo sync').toString(), cp.spawnSync('/bin/false').status);
			console.log(cp.spawnSync('/nonexistent').error.code, cp.execFileSync('/bin/echo', ['file']).toString());
			console.log((await Promise.all([...Array(10).keys()].map((i) => run('/bin/sh', ['-c', `echo ${i}; exit ${i}`])))));
			const child = cp.fork(__filename, ['child']);
			child.send({ value: 21 });
			console.log((await once(child, 'message'))[0]);
			console.log(await once(child, 'exit'));
			const worker = new Worker(__filename);
			worker.on('message', (m) => console.log('worker', m));
			await once(worker, 'exit');
			const cat = cp.spawn('cat', { stdio: ['pipe', 'inherit', 'inherit'] });
			cat.stdin.end('through cat\n');
			await once(cat, 'exit');
		}
		main();
	END
	LIMIT=60 same_as_bare node work.js
}
