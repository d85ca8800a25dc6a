#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Programs that call vfork() themselves and know what they do, or rely on what no rule promises: what they do
# in the child, failing execs included, must come out as in a bare run, and be reported as nothing.
# Programs that fork or call posix_spawn are here where people believe that they call vfork().

load helper

setup() {
	work_setup
	unset ENV BASH_ENV CDPATH
}

teardown() {
	kill_left
}

# In the child: setpgid, tcsetpgrp, sigaction, sigprocmask, execve, once more through /bin/sh for a file without
# an interpreter line (with two words written before argv), _exit with a message on stderr. It builds the
# environment and the paths of PATH on a stack of its own, in memory that the parent uses afterwards.
@test "dash: each command is a vfork" {
	needs dash
	script vfork.sh <<-'END'
		mkdir bin other
		printf '#!/bin/sh\necho "gone $*"\n' >bin/gone
		chmod +x bin/gone
		PATH=$PWD/other:$PWD/bin:$PATH
		for i in 1 2 3 4 5 6; do gone "$i"; done
		# what it remembers is no longer so when the child looks
		rm bin/gone
		for i in 1 2 3 4 5 6; do gone "$i"; echo "removed $?"; done
		printf 'echo "no interpreter line: $0 $*" | sed "s,/.*/,,"; exit 7\n' >bin/bare
		chmod +x bin/bare
		for i in 1 2 3 4 5 6; do bare "$i" a b c; echo "$?"; done
		for i in 1 2 3 4 5 6; do bin/bare "$i"; echo "$?"; done
		printf 'not a program' >bin/data
		chmod +x bin/data
		for i in 1 2 3 4; do data; echo "$?"; done
		mkdir bin/folder
		for i in 1 2 3 4; do folder; echo "$?"; bin/folder; echo "$?"; done
		printf '#!%s/no-interpreter\n' "$PWD" >bin/wrong
		chmod +x bin/wrong
		for i in 1 2 3 4; do wrong 2>wrong.err; echo "$?"; grep -c 'not found' wrong.err; done
		printf '#!/bin/sh\n' >bin/plain
		for i in 1 2 3 4; do plain; echo "$?"; done
		ln -s loop bin/loop
		for i in 1 2 3 4; do bin/loop; echo "$?"; done
		# a path and an environment that its own stack must grow for
		long=$(printf '%0250d' 1)
		for i in 1 2 3 4 5 6; do
			PATH=/$long/$long/$long:/$long/$long/$long/$long:$PATH env "LONG$i=$long" "MORE$i=$long" sh -c "echo \${#LONG$i}"
			eval "export KEEP$i=\$long$i$long"
			PATH=/$long/$long/$long/$i:$PATH no-such-program-anywhere 2>/dev/null
			echo "$? ${#PATH}"
		done
		f() {
			local x=$1
			/bin/echo "in f $x"
			[ "$x" -eq 0 ] || f $((x - 1))
			no-such-program-anywhere 2>/dev/null
			echo "still $x $?"
		}
		f 6
		big=x
		while [ ${#big} -lt 140000 ]; do big=$big$big; done
		for i in 1 2 3 4; do env echo "$big" 2>big.err; echo "$?"; grep -c 'too long' big.err; done
		trap 'echo usr1' USR1
		trap '' USR2
		for i in 1 2 3 4 5 6; do
			sh -c 'kill -USR1 $PPID; kill -USR2 $$; echo alive'
			no-such-program-anywhere 2>/dev/null
			kill -USR1 $$
		done
		for i in 1 2 3 4; do A=$i B=2 sh -c 'echo $A$B'; A=$i no-such-program-anywhere 2>/dev/null; echo "${A-unset}"; done
		for i in 1 2 3 4; do { sh -c 'kill -9 $$'; } 2>/dev/null; echo "$?"; done
		for i in 1 2 3; do no-such-program-anywhere 2>&-; echo "$?"; /bin/echo closed >&- 2>&-; echo "$?"; done
		(ulimit -n 3; for i in 1 2 3 4; do /bin/true 2>/dev/null; echo "$?"; done)
		set -e
		no-such-program-anywhere || echo "errexit $?"
		(no-such-program-anywhere)
		echo unreached
	END
	as_bare_everywhere dash vfork.sh
	grep -q 'no interpreter line: bare 6 a b c' "$BATS_TEST_TMPDIR/same.bare.out"
}

@test "python: subprocess, in threads too" {
	[ -x "$PYTHON" ] || skip "no python3 here"
	script spawn.py <<-'END'
		import os, resource, signal, subprocess, sys, threading

		def run(*args, **options):
		    try:
		        done = subprocess.run(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
		        print(done.returncode, done.stdout, done.stderr)
		    except Exception as error:
		        print(type(error).__name__, getattr(error, "errno", None), getattr(error, "filename", None))
		    sys.stdout.flush()

		os.mkdir("folder")
		open("plain", "w").close()
		with open("bare", "w") as file:
		    file.write("echo no interpreter line\n")
		os.chmod("bare", 0o755)
		shell = lambda text: ["/bin/sh", "-c", text]
		spare, other = os.pipe()
		root = os.geteuid() == 0
		for turn in range(5):
		    run(["/bin/echo", "absolute"])
		    run(["echo", "in PATH"])
		    run("echo shell; exit 3", shell=True)
		    run(["/bin/echo", "descriptors"], close_fds=False)
		    run(shell("ls /proc/self/fd | wc -l"), pass_fds=[spare])
		    run(shell("pwd"), cwd="/")
		    run(shell("echo $ONLY $HOME"), env={"ONLY": "this", "PATH": os.environ["PATH"]})
		    run(["echo", "no path"], env={})
		    run(shell("test $(cut -d ' ' -f 6 /proc/$$/stat) = $$ && echo leads"), start_new_session=True)
		    run(shell("umask"), umask=0o27)
		    run(shell("kill -PIPE $$; echo ignored"), restore_signals=False)
		    run(shell("kill -PIPE $$; echo ignored"), restore_signals=True)
		    run(["cat"], input=b"through a pipe")
		    run(shell("ulimit -n"), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50)))
		    run(shell("echo out; echo err >&2"), preexec_fn=lambda: os.dup2(1, 2))
		    run(["/bin/true"], preexec_fn=lambda: 1 // 0)
		    run(["no-such-program-anywhere"])
		    run(["/no/such/file"])
		    run(["./plain"])
		    run(["./folder"])
		    run(["./bare"])
		    run(["/bin/true"], cwd="/no/such/folder")
		    run(["/bin/true"], cwd="plain")
		    run(["no-such-program-anywhere"], preexec_fn=lambda: None)
		    run(["/bin/echo", "x" * 200000])
		    run(shell("kill -9 $$"))
		    if root and "users" in sys.argv:
		        run(["id", "-u"], user=65534)
		        run(["id", "-g"], group=65534, extra_groups=[65534])
		        run(["/bin/sh", "-c", "id -u; id -g"], user=65534, group=65534, cwd="/")
		        run(["no-such-program-anywhere"], user=65534)
		    print(os.system("exit 4"), os.popen("echo popen").read())
		    print(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)[1]))

		answers = {}
		def work(number):
		    for turn in range(6):
		        out = subprocess.run(["/bin/echo", str(number)], stdout=subprocess.PIPE).stdout
		        try:
		            subprocess.run(["no-such-program-anywhere"])
		        except FileNotFoundError as error:
		            answers[number, turn] = out, error.filename
		threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
		for thread in threads: thread.start()
		for thread in threads: thread.join()
		print(sorted(answers.items()))
		signal.signal(signal.SIGCHLD, lambda *_: None)
		signal.signal(signal.SIGUSR1, lambda *_: print("usr1"))
		for turn in range(5):
		    run(shell("kill -USR1 $PPID; echo sent"))
	END
	LIMIT=60 as_bare_everywhere "$PYTHON" spawn.py
	# another user can neither open the box nor, perhaps, read the shim
	local options
	for options in "" "-s learn=1 -s reaudit=2" "-s reroute=off"; do
		rm -rf folder plain bare
		SAME_RUN="--no-follow $options" same_as_bare "$PYTHON" spawn.py users
	done
	grep -q 'FileNotFoundError 2 no-such-program-anywhere' "$BATS_TEST_TMPDIR/same.bare.out"
}

# Their spawn() passes the errno of a failed exec back through a volatile variable of the caller's.
@test "busybox: xargs, find, time, tar, timeout and others" {
	needs busybox
	! ldd "$(command -v busybox)" 2>&1 | grep -q 'not a dynamic' || skip "a static busybox is not traced"
	script applets.sh <<-'END'
		b() { busybox "$@"; echo "status $?"; }
		has() { busybox --list | grep -qx "$1"; }
		mkdir tree
		: >tree/a; : >tree/b; : >plain; mkdir folder
		printf 'echo no interpreter line\n' >bare; chmod +x bare
		seq 1 40 | b xargs -n 4 /bin/echo
		seq 1 6 | b xargs -n 1 sh -c 'exit $(($0 % 2))'
		seq 1 6 | b xargs -n 1 -P 3 /bin/true
		for what in no-such-program-anywhere /no/such/file ./plain ./folder ./bare; do
			seq 1 3 | b xargs -n 1 "$what"
			busybox find tree -type f -exec "$what" {} \; ; echo "status $?"
			busybox time -f timed "$what"; echo "status $?"
			b timeout 5 "$what" 2>&1 | sort
			b nohup "$what"
			b env "$what"
			b nice "$what"
			b setsid "$what"
		done
		seq 1 3 | b xargs -n 1 sh -c 'exit 255'
		seq 1 3 | b xargs -n 1 sh -c 'kill -9 $$'
		busybox find tree -type f -exec sh -c 'echo "$0"; exit 1' {} \; | sort
		busybox find tree -type f -exec echo {} + | tr ' ' '\n' | sort
		busybox find tree -type f -ok true {} \; </dev/null 2>/dev/null; echo "$?"
		for i in 1 2 3 4 5 6; do busybox time -f timed sh -c "exit $i"; echo "$?"; done
		for i in 1 2 3; do busybox timeout 5 sh -c "exit $i"; echo "$?"; done
		busybox timeout 0.1 sleep 5; echo "$?"
		for i in 1 2 3; do busybox tar czf t.tgz tree; busybox tar tzf t.tgz | sort; done
		(PATH=$PWD; /bin/busybox tar czf u.tgz tree) ; echo "$?"
		busybox tar xzf t.tgz -O | wc -c
		busybox tar xzf t.tgz --to-command 'cat; echo "to $TAR_FILENAME"' 2>/dev/null | sort; echo "$?"
		if has start-stop-daemon; then
			b start-stop-daemon -S -b -m -p pid -x /bin/sleep -- 60
			busybox start-stop-daemon -S -p pid -x /bin/sleep >/dev/null; echo "$?"
			b start-stop-daemon -K -q -p pid
			b start-stop-daemon -S -x /no/such/file
			b start-stop-daemon -S -b -x /no/such/file
		fi
		! has run-parts || { printf '#!/bin/sh\necho part; exit 3\n' >folder/part; chmod +x folder/part; b run-parts folder; }
		! has watch || busybox timeout 1 busybox watch -n 5 -t echo watched | grep -c watched
		! has flock || { b flock lock sh -c 'exit 5'; b flock lock no-such-program-anywhere; }
		! has script || { busybox script -q -c 'echo scripted' typescript >/dev/null; grep -c scripted typescript; }
		! has ionice || b ionice true
		! has awk || { busybox awk 'BEGIN { print system("exit 3"); "echo piped" | getline x; print x; print "z\na" | "sort" }'; }
		! has ed || printf '!echo from ed\nq\n' | busybox ed 2>/dev/null
		! has vi || printf ':!echo from vi\n:q\n' | busybox vi >/dev/null 2>&1
		! has crontab || printf 'bad\n' | busybox crontab - 2>/dev/null
		busybox sh -c 'for i in 1 2 3 4 5 6; do /bin/echo $i; no-such-program-anywhere; echo $?; ./bare; ./plain; echo $?; done'
		! has hush || busybox hush -c 'for i in 1 2 3 4; do /bin/echo $i; x=$(/bin/echo sub); echo $x; done; no-such-program-anywhere; echo $?'
	END
	# time: strerror() in the child, where the program is not found; start-stop-daemon -b: the child makes another,
	# which ends by exit(), as the first does with reroute=off
	TOLERATED='vfork-unsafe-call|vfork-wrote-memory|vfork-exit' \
		SAME_SED='s/\b(real|user|sys)\b.*/\1/' SAME_VOLATILE='^(pid|typescript|[tu]\.tgz)$' LIMIT=60 \
		as_bare_everywhere bash applets.sh
	grep -q 'status 127' "$BATS_TEST_TMPDIR/same.bare.out"
}

@test "gcc: its driver and its linker's collector" {
	printf '#include <stdio.h>\nint main(void) { return puts("compiled") < 0; }\n' >main.c
	printf 'int main(void) { return nothing; }\n' >wrong.c
	printf 'int nowhere(void); int main(void) { return nowhere(); }\n' >undefined.c
	script compile.sh <<-'END'
		for i in 1 2 3; do gcc -o main main.c && ./main; done
		gcc -pipe -O1 -c main.c; echo "$?"
		gcc -save-temps -c main.c; echo "$?"
		gcc -c wrong.c 2>&1 | grep -c error:; echo "$?"
		gcc undefined.c >/dev/null 2>&1; echo "$?"
		gcc -B/no/such/folder -no-canonical-prefixes -wrapper no-such-program-anywhere -c main.c 2>&1 | grep -c 'cannot execute'
		gcc -wrapper env,X=1 -c main.c; echo "$?"
		gcc -E main.c | grep -c puts
		rm -f *.i *.s *.o main
	END
	needs gcc
	LIMIT=60 as_bare_everywhere bash compile.sh
}

# Other mechanisms than vfork start a helper of the JDK's own.
@test "a JVM: ProcessBuilder by VFORK, FORK and POSIX_SPAWN" {
	needs java javac
	script Spawn.java <<-'END'
		import java.io.*;
		import java.util.*;

		public class Spawn {
		    static void run(Map<String, String> environment, File folder, String... command) throws Exception {
		        try {
		            ProcessBuilder builder = new ProcessBuilder(command).directory(folder);
		            if (environment != null) builder.environment().putAll(environment);
		            Process process = builder.start();
		            process.getOutputStream().write("to its input\n".getBytes());
		            process.getOutputStream().close();
		            String out = new String(process.getInputStream().readAllBytes());
		            String err = new String(process.getErrorStream().readAllBytes());
		            System.out.println(process.waitFor() + " [" + out + "] [" + err + "]");
		        } catch (IOException error) {
		            System.out.println(error.getMessage());
		        }
		    }
		    public static void main(String[] arguments) throws Exception {
		        for (int i = 0; i < 5; i++) {
		            run(null, null, "/bin/sh", "-c", "cat; echo err >&2; exit " + i);
		            run(null, null, "cat");
		            run(Map.of("GIVEN", "value"), new File("/"), "/bin/sh", "-c", "cat; echo $GIVEN; pwd");
		            run(null, null, "/bin/sh", "-c", "cat; ls /proc/self/fd | wc -l");
		            run(null, null, "/bin/sh", "-c", "cat; kill -9 $$");
		            run(null, null, "no-such-program-anywhere");
		            run(null, null, "/no/such/file");
		            run(null, null, "./bare");
		            run(null, null, "./plain");
		            run(null, new File("/no/such/folder"), "true");
		        }
		        Thread[] threads = new Thread[4];
		        int[] sums = new int[4];
		        for (int i = 0; i < 4; i++) {
		            int number = i;
		            threads[i] = new Thread(() -> {
		                try {
		                    for (int n = 0; n < 5; n++)
		                        sums[number] += new ProcessBuilder("/bin/sh", "-c", "exit " + n).start().waitFor();
		                } catch (Exception error) {
		                    sums[number] = -1;
		                }
		            });
		            threads[i].start();
		        }
		        for (Thread thread : threads) thread.join();
		        System.out.println(Arrays.toString(sums));
		        new ProcessBuilder("/bin/echo", "inherits").inheritIO().start().waitFor();
		    }
		}
	END
	: >plain
	printf 'echo no interpreter line; cat\n' >bare
	chmod +x bare
	bounded javac -d classes Spawn.java || fail "javac"
	for how in VFORK FORK POSIX_SPAWN; do
		for options in "" "-s learn=1 -s reaudit=2" "-s reroute=off"; do
			echo "$how $options"
			LIMIT=60 SAME_VOLATILE='\.class$' SAME_RUN="-o $BATS_TEST_TMPDIR/java.box $options" same_as_bare \
				java -Xshare:auto -XX:TieredStopAtLevel=1 "-Djdk.lang.Process.launchMechanism=$how" -cp classes Spawn
			# where it forks, another of its threads may hold a lock for longer than fork() waits
			case $how in
			FORK) TOLERATED=orphaned-lock no_violations "$BATS_TEST_TMPDIR/java.box" ;;
			*) no_violations "$BATS_TEST_TMPDIR/java.box" ;;
			esac
			grep -q '^\[10, 10, 10, 10\]$' "$BATS_TEST_TMPDIR/same.bare.out"
		done
	done
}

@test "gdb starts the program it debugs" {
	needs gdb
	export HOME=$PWD
	bounded gdb -nx -q -batch -ex run /bin/true 2>&1 | grep 'exited normally' ||
		skip "gdb cannot trace here"
	script debug.sh <<-'END'
		g() { gdb -nx -q -batch -iex 'set debuginfod enabled off' "$@" 2>&1 | grep -E 'exited|No such|shell|hello'; }
		g -ex run -ex run -ex run --args /bin/sh -c 'exit 3'
		g -ex run --args /bin/echo hello
		g -ex 'shell echo shell' -ex 'shell exit 3' -ex 'run'
		g -ex 'set startup-with-shell off' -ex run --args /bin/echo hello
		g -ex 'pipe echo hello | cat' -ex '!echo shell'
		SHELL=/no/such/shell g -ex run --args /bin/echo hello
	END
	# in the child: opendir() to close descriptors, and environ replaced
	TOLERATED='vfork-unsafe-call|vfork-wrote-memory' SAME_SED='s/process [0-9]+/process N/' LIMIT=60 \
		as_bare_everywhere bash debug.sh
}

# It calls vfork() unless it is privileged, so it drops what it has first.
@test "ruby: spawn, system, backticks and popen of an unprivileged user" {
	needs ruby
	script spawn.rb <<-'END'
		$stdout.sync = true
		if Process.euid == 0
		  Process::GID.change_privilege(65534)
		  Process::UID.change_privilege(65534)
		end
		def try
		  p yield
		rescue SystemCallError => error
		  puts error.class, error.message
		end
		6.times do |turn|
		  try { system("/bin/echo", "system #{turn}") }
		  try { system("echo in a shell; exit #{turn}") }
		  try { $?.exitstatus }
		  try { `/bin/echo backticks` }
		  try { `echo "$0" | cat` }
		  try { IO.popen(["cat"], "r+") { |io| io.write("popen"); io.close_write; io.read } }
		  try { Process.wait(spawn({"GIVEN" => "value"}, "echo $GIVEN; pwd", chdir: "/")); $?.exitstatus }
		  try { Process.wait(spawn("/bin/sh", "-c", "echo err >&2", 2 => 1, :pgroup => true)); $?.to_i }
		  try { Process.wait(spawn("umask; ulimit -n", :umask => 0o27, :rlimit_nofile => 50)); $?.to_i }
		  try { Process.wait(spawn("env | grep -c .", :unsetenv_others => true)); $?.to_i }
		  try { Process.wait(spawn("ls /proc/self/fd | wc -l", :close_others => true)); $?.to_i }
		  try { system("no-such-program-anywhere") }
		  try { spawn("no-such-program-anywhere") }
		  try { `no-such-program-anywhere` }
		  try { spawn("/") }
		  try { spawn("/bin/true", :chdir => "/no/such/folder") }
		  try { spawn("/bin/true", :in => "/no/such/file") }
		  try { Process.wait(spawn("kill -9 $$")); $?.termsig }
		end
		threads = 4.times.map { |n| Thread.new { 5.times.map { |i| system("exit #{i}"); $?.exitstatus }.sum } }
		p threads.map(&:value)
	END
	# what such a user executes may not be able to read the shim
	local options
	for options in "" "-s learn=1 -s reaudit=2 -s strict=1" "-s reroute=off"; do
		SAME_RUN="--no-follow -o $BATS_TEST_TMPDIR/ruby.box $options" same_as_bare ruby --disable-gems spawn.rb
		# its pipes are made to wait again in the child, and are the parent's, too; strict=1: its buffer for errors
		TOLERATED='vfork-fd-flags|vfork-wrote-locals' no_violations "$BATS_TEST_TMPDIR/ruby.box"
	done
	grep -q '^\[10, 10, 10, 10\]$' "$BATS_TEST_TMPDIR/same.bare.out"
}

# libuv holds two locks of its own across fork(), and gives no handlers for them.
@test "node" {
	needs node
	script spawn.js <<-'END'
		const c = require("child_process");
		for (let i = 0; i < 5; i++) {
		  console.log(c.spawnSync("/bin/echo", ["node " + i]).stdout.toString(), c.execSync("echo shell").toString());
		  console.log(c.spawnSync("no-such-program-anywhere").error.code, c.spawnSync("./plain").error.code);
		  console.log(c.spawnSync("true", {cwd: "/no/such/folder"}).error.code, c.spawnSync("sh", ["-c", "kill -9 $$"]).signal);
		}
		c.spawn("echo", ["later"], {stdio: "ignore", detached: true}).on("exit", code => {
		  console.log("exit", code);
		  c.spawn("no-such-program-anywhere").on("error", error => console.log(error.code));
		});
	END
	: >plain
	TOLERATED=fork-holding-lock LIMIT=60 as_bare_everywhere node spawn.js
}

@test "perl, git, find, xargs and kin" {
	script others.sh <<-'END'
		for i in 1 2 3 4 5; do
			perl -e 'print `/bin/echo back`; system("/bin/echo", "list"); print system("exit 3") >> 8, "\n"; print system("no-such-program-anywhere"), "\n"; open(my $p, "|-", "cat") or die; print $p "piped\n"; close $p; exec "no-such-program-anywhere" or print "no exec\n"' 2>/dev/null
		done
		git -c alias.x='!echo alias' x; git -c alias.x='!exit 3' x; echo "$?"; git no-such-command 2>/dev/null; echo "$?"
		mkdir tree; touch tree/a tree/b
		find tree -type f -exec echo {} \; | sort
		find tree -type f -exec no-such-program-anywhere {} \; ; echo "$?"
		find tree -execdir sh -c 'exit 1' \; ; echo "$?"
		seq 1 20 | xargs -n 3 echo; seq 1 3 | xargs no-such-program-anywhere; echo "$?"
		seq 1 9 | xargs -n 1 -P 3 echo | sort
		for p in env nice nohup "timeout 5" "setsid -w" stdbuf\ -o0 "chrt -o 0" ionice "flock lock"; do
			$p sh -c 'echo ran; exit 4'; echo "$p $?"
			$p no-such-program-anywhere >/dev/null 2>&1; echo "$p $?"
		done
		script -qec 'echo scripted; exit 3' /dev/null </dev/null | tr -d '\r'
		seq 1 20000 | sort -r -S 16k --compress-program=gzip -T . | tail -n 1
		tar cf x.tar -I cat tree; tar tf x.tar | sort; tar cf x.tar -I no-such-program-anywhere tree 2>/dev/null; echo "$?"
		seq 1 10 | split -l 5 --filter='cat; echo filtered'
		awk 'BEGIN { print system("exit 3"); "echo piped" | getline x; print x; print "z\na" | "sort" }'
		printf 'syscmd(echo m4)esyscmd(exit 3)sysval\n' | m4 2>/dev/null
		sed -n '1e echo from sed' others.sh; echo "$?"
	END
	needs perl git
	SAME_VOLATILE='^(x\.tar|core)$' LIMIT=60 as_bare_everywhere bash others.sh
}
