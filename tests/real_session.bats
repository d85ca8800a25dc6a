#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Programs that hold sessions for others: tmux, and ssh with the sshd that it starts; bare and under the shim.
# Output, errors, exit status and the files left behind must be equal.

load helper

setup() {
	server_setup
}

teardown() {
	kill_left
}

@test "tmux: panes, shells, jobs" {
	needs tmux
	cat >tmux.sh <<-'END'
		. ./until.sh
		unset TMUX
		t() { timeout 10 tmux -S "$PWD/tmux.sock" -f /dev/null "$@"; }
		t new-session -d -s main -x 80 -y 24 "echo first; exec cat"
		soon 't capture-pane -p -t main | grep first'
		for i in 1 2 3 4 5 6; do t new-window -t main "echo window $i >window$i"; soon "test -s window$i"; cat "window$i"; done
		for i in 1 2 3 4 5 6; do t run-shell "echo run $i; exit $i"; t if-shell 'test -e tmux.sh' "set-buffer yes$i" "set-buffer no"; done
		for i in 1 2 3 4 5 6; do soon 't show-buffer | grep "yes6"'; t display-message -p "#(echo later)#{session_name}" | sed 's/.*main/main/'; done
		t show-buffer; echo
		t split-window -t main:0 "echo split; exec cat"; soon 't capture-pane -p -t main:0.1 | grep split'
		t pipe-pane -t main:0.1 "cat >piped"; t send-keys -t main:0.1 "typed text" Enter; soon 'test "$(grep -c "typed text" piped)" -eq 2'
		t pipe-pane -t main:0.1; t capture-pane -p -t main:0.1 | head -n 3
		t respawn-pane -k -t main:0.1 "echo respawned; exec cat"; soon 't capture-pane -p -t main:0.1 | grep respawned'
		soon 'test "$(t list-windows | wc -l)" -eq 1'
		t list-windows -F '#{window_index} #{window_panes}'
		t kill-server; echo "status $?"
		soon 't list-sessions 2>&1 | grep "no server running"'
	END
	SAME_VOLATILE='^piped$' served tmux.sh
}

@test "ssh: ProxyCommand, to an sshd that it starts itself" {
	needs ssh ssh-keygen sshd
	local sshd
	sshd=$(command -v sshd)
	if [ "$(id -u)" -eq 0 ] && ! [ -d /run/sshd ]; then
		mkdir /run/sshd
		made_run_sshd=yes
	fi
	ssh-keygen -q -t ed25519 -N '' -C test -f host_key
	ssh-keygen -q -t ed25519 -N '' -C test -f key
	cp key.pub authorized
	cat >sshd_config <<-END
		HostKey $PWD/host_key
		AuthorizedKeysFile $PWD/authorized
		StrictModes no
		UsePAM no
		PermitRootLogin yes
		PidFile none
		LogLevel ERROR
		PrintMotd no
		PrintLastLog no
		Subsystem sftp internal-sftp
	END
	cat >config <<-END
		Host *
		  HostKeyAlias here
		  UserKnownHostsFile $PWD/known_hosts
		  GlobalKnownHostsFile /dev/null
		  StrictHostKeyChecking accept-new
		  IdentityFile $PWD/key
		  IdentitiesOnly yes
		  PreferredAuthentications publickey
		  LogLevel ERROR
		  User $(id -un)
		  PermitLocalCommand yes
		Host good*
		  ProxyCommand $sshd -i -e -f $PWD/sshd_config 2>$PWD/sshd.log
		Host matched
		  ProxyCommand $sshd -i -e -f $PWD/sshd_config 2>$PWD/sshd.log
		Match originalhost matched exec "echo match exec >$PWD/matched"
		  LocalCommand echo local command >$PWD/local
		Host ends
		  ProxyCommand false
		Host missing
		  ProxyCommand $PWD/no-such-program %h
	END
	bounded ssh -F config good true ||
		skip "sshd does not let this user in here: $(head -n 1 sshd.log)"
	rm -f known_hosts
	cat >ssh.sh <<-'END'
		. ./until.sh
		s() { timeout 30 ssh -F config "$@"; }
		for i in 1 2 3 4; do s good "echo out $i; echo err $i >&2; exit $i"; echo "status $?"; done
		seq 1 5000 | s good 'cat | tail -n 1; cd /; pwd'
		s good 'kill -TERM $$'; echo "status $?"
		s -tt good 'echo on a terminal; stty size; exit 5' </dev/null | tr -d '\r'
		s matched 'echo matched'; cat matched local
		# whether the write or the read of the broken connection fails first is a race
		for i in 1 2 3 4; do s ends true 2>/dev/null; echo "status $?"; s missing true 2>&1 | grep 'No such file'; done
		s -o ControlPath="$PWD/control" -M -f -N good1; soon 's -o ControlPath=control -O check good1'
		for i in 1 2 3; do s -o ControlPath="$PWD/control" good1 "echo shared $i"; done
		s -o ControlPath="$PWD/control" -O exit good1; soon '! test -e control'
		echo "get host_key.pub copied" | sftp -q -F config "good:$PWD" >/dev/null; cmp host_key.pub copied; echo "status $?"
	END
	SAME_VOLATILE='^sshd.log$' LIMIT=60 served ssh.sh
	[ -z "${made_run_sshd-}" ] || rmdir /run/sshd
}
