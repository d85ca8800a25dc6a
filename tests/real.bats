#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Unmodified programs that spawn for a living, each doing some work of its trade twice: bare and under the
# shim. Output, errors and exit status must be equal, and nothing may be reported.

load helper

setup() {
	work_setup
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

# Job control in a script.
job_control() {
	script jobs.sh <<-'END'
		set -m
		for i in 1 2 3 4 5; do (sleep 0.02; exit "$i") & wait %%; echo "job $?"; done
		sh -c 'kill -STOP $$; exit 6' &
		pid=$!
		until grep -q '^State:.T' "/proc/$pid/status"; do sleep 0.01; done
		kill -CONT "$pid"; sleep 0.1
		wait "$pid"; echo "continued $?"
		sleep 5 | cat & kill %%; wait; echo "killed"
		(echo in a group of its own) >group & wait; cat group
		sleep 0.05 & fg %% >/dev/null; echo "foreground $?"
	END
}

# interactive SHELL...: jobs in the fore- and background, stopped and continued.
interactive() {
	script typed <<-'END'
		sleep 0.1 & wait; echo waited
		sh -c 'kill -STOP $$; exit 6'
		echo "stopped $?"
		fg; echo "fg $?"
		for i in 1 2 3 4 5; do /bin/echo "$i" | tr 1-5 a-e; done
		(exit 9); echo $?
		sh -c 'kill -TERM $$'; echo $?
		exit 4
	END
	on_terminal "$@"
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
		for i in 1 2 3 4 5; do trap "echo trap $i" USR2; kill -USR2 $$; (kill -USR2 $$; exit "$i"); echo $?; done
		enable -n echo; for i in {1..20}; do echo "$i"; done | tail -n 3
		seq 1 50 | xargs -n 5 -P 1 /bin/echo
		timeout 0.1 sleep 5; echo $?
	END
	same_as_bare bash more.sh
	job_control
	same_as_bare bash jobs.sh
	interactive bash --norc --noprofile
}

@test "dash" {
	needs dash
	shell_script
	same_as_bare dash shell.sh
	job_control
	interactive dash
	: >typed
	on_terminal dash jobs.sh
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
	# the log as it was written depends on who was first
	SAME_VOLATILE='^log$' same_as_bare bash -c 'make -j2 -O all >log 2>&1; echo $?; sort log; make -s clean'
}

@test "git" {
	needs git
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat GIT_EDITOR=:
	export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C
	export GIT_COMMITTER_EMAIL=c@example.org GIT_AUTHOR_DATE='1700000000 +0000'
	export GIT_COMMITTER_DATE='1700000000 +0000'
	script git.sh <<-'END'
		set -e
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
		git clone -q "file://$PWD/repo" clone
		git clone -q --bare repo bare.git
		printf '#!/bin/sh\necho "$0 $*: $(cat)" | sed "s,.*/,,"\n' | tee bare.git/hooks/pre-receive bare.git/hooks/post-receive >bare.git/hooks/update
		printf '#!/bin/sh\nexit 1\n' >bare.git/hooks/pre-receive.off
		chmod +x bare.git/hooks/*
		for i in 1 2 3 4 5; do
			echo "$i" >>repo/new; git -C repo add new; git -C repo commit -q -m "more $i" >/dev/null
			git -C clone pull -q 2>/dev/null; git -C clone rev-parse HEAD
			git -C clone push -q "file://$PWD/bare.git" HEAD:main 2>&1
		done
		mv bare.git/hooks/pre-receive.off bare.git/hooks/pre-receive
		git -C clone push -q "file://$PWD/bare.git" HEAD:other 2>&1 || echo "status $?"
		git -C clone fetch -q
		git -C clone rev-parse HEAD
		git -C clone no-such-command || echo "status $?"
		GIT_PAGER='sed s/^/paged:/' git -C clone -p log -1 --format=%s
		git -C clone -c core.editor=no-such-program-anywhere commit --allow-empty || echo "status $?"
		git -C clone gc -q --aggressive --prune=now
		git -C clone fsck --no-progress
		git fetch -q "file://$PWD/nowhere" || echo "status $?"
	END
	# the index holds the times and numbers of its files
	SAME_VOLATILE='(^|/)(index|gc\.pid)$' LIMIT=60 same_as_bare bash git.sh
}
