#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Languages, unmodified, each spawning in all the ways it has: bare and under the shim. Output, errors, exit
# status and the files left behind must be equal, and nothing may be reported.

load helper

setup() {
	work_setup
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

@test "ruby" {
	needs ruby
	script work.rb <<-'END'
		require 'open3'
		$stdout.sync = true
		8.times do |i|
		  p system("/bin/echo", "sys #{i}"), `/bin/echo tick #{i}`, system("echo shell $((#{i} + 1)); exit #{i}"), $?.exitstatus
		  p system("/bin/echo", "err", err: :out), system("cat", in: __FILE__, out: "copy#{i}")
		  Process.wait spawn({ "A" => "b" }, "echo $A $B", unsetenv_others: true)
		  Process.wait spawn("/bin/pwd", chdir: "/", pgroup: true, umask: 0o77)
		  p IO.popen(["tr", "a-z", "A-Z"], "r+") { |io| io.write "io #{i}\n"; io.close_write; io.read }
		  p Open3.capture3("cat; echo e >&2; exit 3", stdin_data: "in"), Open3.capture2e("/bin/false")
		end
		6.times { p system("/nonexistent/program"), $?.exitstatus }
		6.times { begin; `/nonexistent/program`; rescue SystemCallError => e; p e.class, e.message; end }
		begin; spawn("/bin/true", chdir: "/nonexistent"); rescue SystemCallError => e; p e.message; end
		p system("kill -9 $$"), $?.termsig
		6.times { |i| Process.wait fork { exec "/bin/echo", "fork #{i}" } }
		6.times { |i| Process.wait fork { $stdout.puts (1..100).map { |n| n * i }.sum; exit! i }; p $?.exitstatus }
		r, w = IO.pipe
		fork { r.close; w.puts "from the child"; w.close }
		w.close; p r.read; Process.wait
		p (1..4).map { |n| Thread.new { (1..5).map { |i| `/bin/echo #{n} #{i}` }.join } }.map(&:value)
		trap("CHLD") { }
		4.times { |i| p system("exit #{i}") }
		at_exit { puts "end" }
		Process.wait fork { exit 5 }
		p $?.exitstatus
	END
	SAME_SED="s,pid [0-9]+,pid N," LIMIT=60 same_as_bare ruby work.rb
}

@test "php" {
	needs php
	script work.php <<-'END'
		<?php
		for ($i = 0; $i < 8; $i++) {
			$p = proc_open(["/bin/sh", "-c", "cat; echo err >&2; exit $i"], [["pipe", "r"], ["pipe", "w"], ["pipe", "w"]], $pipes, "/", ["A" => "b"]);
			fwrite($pipes[0], "in $i\n"); fclose($pipes[0]);
			var_dump(stream_get_contents($pipes[1]), stream_get_contents($pipes[2]), proc_close($p));
			$p = proc_open('echo "$A"; pwd', [1 => ["file", "out$i", "w"]], $pipes, null, ["A" => "b $i"]);
			var_dump(proc_close($p), file_get_contents("out$i"));
			$lines = []; var_dump(exec("echo one; echo two; exit $i", $lines, $status), $lines, $status);
			var_dump(shell_exec("echo shell $i"), shell_exec("exit 1"), `echo tick`);
			passthru("echo pass $i"); var_dump(system("echo system; exit 2", $status), $status);
			$f = popen("tr a-z A-Z >popen$i", "w"); fwrite($f, "upper\n"); var_dump(pclose($f));
		}
		for ($i = 0; $i < 5; $i++) {
			$p = @proc_open(["/nonexistent/program"], [], $pipes);
			var_dump($p === false ? error_get_last()["message"] : proc_close($p));
			var_dump(exec("/nonexistent/program 2>/dev/null", $lines, $status), $status);
		}
		$p = proc_open(["sleep", "10"], [], $pipes); proc_terminate($p, 9);
		do { $s = proc_get_status($p); } while ($s["running"]); var_dump($s["signaled"], $s["termsig"]);
		if (function_exists("pcntl_fork")) for ($i = 0; $i < 5; $i++) {
			$pid = pcntl_fork(); if (!$pid) { pcntl_exec("/bin/sh", ["-c", "echo exec; exit $i"]); exit(99); }
			pcntl_waitpid($pid, $status); var_dump(pcntl_wexitstatus($status));
			$pid = pcntl_fork(); if (!$pid) { echo "child $i\n"; exit($i); }
			pcntl_waitpid($pid, $status); var_dump(pcntl_wexitstatus($status));
		}
		register_shutdown_function(function () { echo "end\n"; });
	END
	LIMIT=60 same_as_bare php work.php
}

@test "python3: subprocess without vfork, with descriptors to pass, is promoted" {
	[ -x "$PYTHON" ] || skip "no python3 here"
	script pass.py <<-'SCRIPT'
		import os, subprocess
		subprocess._USE_VFORK = False
		r, w = os.pipe()
		for i in range(6):
		    for arguments in ({}, {"pass_fds": [w]}, {"cwd": "/", "start_new_session": True}):
		        print(subprocess.run(["/bin/sh", "-c", "pwd; ls /proc/self/fd | wc -l"], capture_output=True, **arguments))
	SCRIPT
	same_as_bare "$PYTHON" pass.py
	record -- "$PYTHON" pass.py
	assert_equal "$(query '[site["state"] for site in sites if site["id"].startswith("python")]')" promoted
	assert [ "$(query 'summary["by_tier"]["vfork"]')" -ge 10 ]
}
