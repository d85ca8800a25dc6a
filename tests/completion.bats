#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What the installed completions offer, all of it, in each shell as its users have it: found by the shell itself, and
# asked on a terminal. What of it becomes of a line when TAB is pressed, tests/command.bats tells.

load helper

setup_file() {
	# Of what is built already, which another PREFIX would build anew.
	LIMIT=60 bounded make -C "$ROOT" -o all O="$BUILD" DESTDIR="$BATS_FILE_TMPDIR/to" PREFIX=/usr install >/dev/null
}

setup() {
	work_setup
	SHARE=$BATS_FILE_TMPDIR/to/usr/share
	export PATH=$BATS_FILE_TMPDIR/to/usr/bin:$PATH
	"$VICTIMS/make_box" good box_here
	echo words >words
	mkdir box_folder
	# Not on the shell's terminal.
	setsid sleep 60 3>&- >/dev/null 2>&1 </dev/null &
	SLEEPER=$!
}

teardown() {
	kill_left
}

# lines: what is typed, and what is offered then; ~: at least that
lines() {
	local command key words

	echo "spork |~bench help inspect report run scan sites"
	echo "spork --|--help --version"
	echo "spork help |bench help inspect report run scan sites"
	echo "spork run -s |$(sed -nE 's/^(CHOICE|NUMBER|PATHS)\(([a-z_]+),.*/\2=/p' "$ROOT/shim/config.def" | sort | tr '\n' ' ')"
	while read -r key words; do
		echo "spork run -s $key=|$words"
		echo "spork run --set=$key=|$words"
		echo "spork run -q --set $key=|$words"
	done < <(sed -nE 's/^CHOICE\(([a-z_]+), [a-z0-9]+, "([a-z0-9|]+)",.*/\1 \2/p' "$ROOT/shim/config.def" |
		while read -r key words; do echo "$key $(tr '|' '\n' <<<"$words" | sort | tr '\n' ' ')"; done)
	echo "spork report --kind |$(sed -nE 's/^VIOLATION\([A-Z_]+, "([a-z-]+)".*/\1/p' "$ROOT/shim/violation.def" | sort | tr '\n' ' ')"
	for command in run inspect report sites scan bench help; do
		echo "spork $command --|$(spork "$command" --help | grep -oE '^ +(-[A-Za-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort | tr '\n' ' ')"
	done
	echo "spork run -f |json text"
	echo "spork report -f json --color=|always auto never"
	echo "spork inspect |~$SLEEPER"
	echo "spork inspect -f |dot json text"
	echo "spork sites |box_folder box_here"
	echo "spork report box_|box_folder box_here"
	echo "spork scan wor|words"
	echo "spork run -o wor|words"
	echo "spork run -s log=wor|log=words"
	echo "spork run mkfif|~mkfifo"
	echo "spork run -q -- cat wor|words"
	echo "spork run -s gate=1 env cat wor|words"
}

# offers SHELL: what is offered in it for each of these lines is what `lines` has
offers() {
	script terminal.py <<-'END'
		import os, pty, re, select, sys, time

		shell, share = sys.argv[1:]
		argv = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
		setup = {
		    "bash": "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; bind 'set completion-query-items 0';"
		            ". /usr/share/bash-completion/bash_completion; echo go''on\n",
		    # All that there is, as bash has on a key
		    "zsh": "bindkey -e; unsetopt beep promptsp; unset zle_bracketed_paste; autoload -Uz compinit;"
		           "fpath=(%s/zsh/vendor-completions $fpath); compinit -D -u; zstyle ':completion:*' completer _all_matches _complete;"
		           "zstyle ':completion:*' insert true; echo go''on\n" % share,
		}
		key = {"bash": "\x1b*", "zsh": "\t"}[shell]
		pid, fd = pty.fork()
		if not pid:
		    os.environ.update(TERM="dumb", PS1="ready> ", HISTFILE="", XDG_DATA_DIRS=share + ":/usr/share")
		    os.execvp(argv[0], argv)
		seen = b""

		def until(pattern):
		    global seen
		    end = time.monotonic() + 20
		    while not (found := re.search(pattern, seen, re.S)):
		        if time.monotonic() > end or not select.select([fd], [], [], 20)[0]:
		            sys.exit("nothing comes any more: %r" % seen[-2000:])
		        seen += os.read(fd, 65536)
		    seen = seen[found.end():]
		    return found

		os.write(fd, setup[shell].encode())
		until(rb"goon\r")
		for line in sys.stdin.read().splitlines():
		    os.write(fd, (line + key + "\x01echo 'now<\x05>'\n").encode())
		    whole = until(rb"\nnow<(.*?)>\r").group(1).decode().replace("\r\n", " ")
		    start = line.rfind(" ") + 1
		    print(line + "|" + whole[line.rfind(" ") + 1:], flush=True)
	END
	lines >want
	cut -d'|' -f1 want >typed
	if [ "$1" = fish ]; then
		XDG_DATA_DIRS=$SHARE:/usr/share LIMIT=100 bounded fish --private -c 'while read -lL line
			echo $line"|"(complete -C $line | cut -f1 | string join " ")
		end' <typed >got
	else
		LIMIT=100 bounded "$PYTHON" terminal.py "$1" "$SHARE" <typed >got || fail "$(tail -n 3 got)"
	fi
	compare
}

# compare: `got` with `want`, line by line; where a value is asked for, NAME= before it is no matter, nor is the slash of
# a folder
compare() {
	"$PYTHON" - <<-'END'
		import re
		bad = 0
		for wanted, given in zip(open("want").read().splitlines(), open("got").read().splitlines(), strict=True):
		    line, want = wanted.split("|")
		    typed, got = given.split("|")
		    assert typed == line
		    if line.endswith("="):
		        got = re.sub(r"[^ ]*=", "", got)
		    some, want = want.startswith("~"), set(want.lstrip("~").split())
		    got = {word.rstrip("/") for word in got.split()}
		    if not want or not (want <= got if some else want == got):
		        bad = 1
		        print(f"{line!r}: wanted {want}, got {got if len(got) < 30 else len(got)}")
		raise SystemExit(bad)
	END
}

@test "completion in bash, with the package bash-completion" {
	[ -e /usr/share/bash-completion/bash_completion ] || skip "no bash-completion here"
	offers bash
}

@test "completion in zsh, by its search path" {
	needs zsh
	offers zsh
}

@test "completion in fish, by its search path" {
	needs fish
	offers fish
}
