#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The command line itself: what was meant by a word that is not known, help that fits, completion in each shell.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

bats_require_minimum_version 1.5.0
load helper

setup() {
	work_setup
	unset NO_COLOR COLUMNS
	COMPLETION=$(realpath "$BUILD/completion")
	PATH=$(realpath "$BUILD"):$PATH
}

# meant WORDS ERROR: `spork WORDS` fails with 125 and this one line
meant() {
	# shellcheck disable=SC2086 # several words
	run --separate-stderr bounded "$SPORK" $1
	assert_failure 125
	assert_equal "$output" ""
	assert_equal "$stderr" "spork: $2"
}

@test "a word that is not known: what was meant, on one line" {
	meant "raport x" "there is no command 'raport'; did you mean 'report'? 'spork help' lists what there is"
	meant "help snac" "help: there is no command 'snac'; did you mean 'scan'? 'spork help' lists what there is"
	meant "xyzzy" "there is no command 'xyzzy'; 'spork help' lists what there is"
	meant "run --bxo x true" "run: option '--bxo' is not known; did you mean '--box'? See 'spork run --help'"
	meant "scan --foramt=json x" "scan: option '--foramt=json' is not known; did you mean '--format'? See 'spork scan --help'"
	meant "scan --follow-needed=3 x" "scan: option '--follow-needed=3' takes no argument; see 'spork scan --help'"
	meant "run --s x" "run: option '--s' may be several; see 'spork run --help'"
	meant "run --ou" "run: option '--ou' needs an argument; see 'spork run --help'"
	meant "run -Z" "run: option '-Z' is not known; see 'spork run --help'"
	meant "bench --xyzzy" "bench: option '--xyzzy' is not known; see 'spork bench --help'"
	meant "help --completion tcsh" "help: --completion tcsh: use bash, zsh or fish"
	# What is too long to be a slip of the finger, and what would end a terminal.
	meant "$(printf 'x%.0s' {1..500})" "there is no command '$(printf 'x%.0s' {1..500})'; 'spork help' lists what there is"
	run --separate-stderr bounded "$SPORK" $'rep\e[31mort'
	assert_failure 125
	assert_equal "$stderr" "spork: there is no command 'rep?[31mort'; 'spork help' lists what there is"
}

@test "help fits the columns that there are, and is never wider than 79" {
	local command columns line

	for command in run inspect report sites scan bench help; do
		for columns in 50 79 300; do
			COLUMNS=$columns run bounded "$SPORK" "$command" --help
			assert_success
			while IFS= read -r line; do
				[ "${#line}" -le "$((columns < 79 ? columns : 79))" ] ||
					# One word that is too long for it cannot be broken.
					[[ $line != *' '*' '*' '*' '* ]] || fail "$columns: $line"
			done < <(sed -n '/^$/,$p' <<<"$output" | grep -v '^  *-\|^  spork\|^      --')
		done
	done
}

@test "what --help shows the manual page and the three completions have, too" {
	local command option

	for command in run inspect report sites scan bench help; do
		spork help --man "spork-$command" >page
		for option in $(spork "$command" --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE '\-\-[a-z-]+'); do
			grep -q -- "\\\\-${option#--}\$\|\\\\-${option#--} " <(sed 's/\\-\\-/\\-/g; s/\([a-z]\)\\-/\1-/g; s/Fl \\-/Fl \\-/g' page) ||
				fail "$command $option: manual page"
			sed -n "/^	$command)/,/;;/p" "$COMPLETION/bash/spork" | grep -qE -- " $option( |')" || fail "$command $option: bash"
			sed -n "/^	$command)/,/;;/p" "$COMPLETION/zsh/_spork" | grep -qE -- "$option([=}]|\\[)" || fail "$command $option: zsh"
			grep -q -- "__spork_in $command' .*-l ${option#--} " "$COMPLETION/fish/spork.fish" || fail "$command $option: fish"
		done
	done
}

@test "the completions are clean for their shells" {
	bash -n "$COMPLETION/bash/spork"
	if command -v shellcheck >/dev/null; then
		run shellcheck "$COMPLETION/bash/spork"
		assert_output ""
	fi
	if command -v zsh >/dev/null; then
		zsh -n "$COMPLETION/zsh/_spork"
	fi
	if command -v fish >/dev/null; then
		fish -n "$COMPLETION/fish/spork.fish"
	fi
}

# Boxes, and a file that is none; a FIFO would hang whoever opens it.
files() {
	"$VICTIMS/make_box" good box_here
	echo words >bother
	mkfifo b_pipe
	mkdir 'a folder'
	cp box_here 'a folder/some box'
}

# Lines, and what becomes of them when TAB is pressed at their end
expected() {
	cat <<-'END'
		spork sc|spork scan
		spork --ver|spork --version
		spork help rep|spork help report
		spork run --no-f|spork run --no-follow
		spork run -q -s rer|spork run -q -s reroute=
		spork run -s reroute=vf|spork run -s reroute=vfork
		spork run --set gat|spork run --set gate=
		spork run --set=reroute=vf|spork run --set=reroute=vfork
		spork run -s box=box_|spork run -s box=box_here
		spork run --format=js|spork run --format=json
		spork run -f js|spork run -f json
		spork run -o bo|spork run -o bo
		spork run -o both|spork run -o bother
		spork report --kind orphan-d|spork report --kind orphan-deadlock
		spork report --format=fol|spork report --format=folded
		spork report b|spork report box_here
		spork report -f json --color=never b|spork report -f json --color=never box_here
		spork sites b|spork sites box_here
		spork scan both|spork scan bother
		spork scan --follow-needed both|spork scan --follow-needed bother
		spork bench --q|spork bench --quick
		spork bench loc|spork bench locks
	END
}

# completed SHELL FILE: the lines of `expected` on a terminal of that shell
completed() {
	script terminal.py <<-'END'
		import os, pty, re, select, sys, time

		shell, file = sys.argv[1:]
		argv = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
		setup = {
		    "bash": "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; . %s; echo go''on\n",
		    "zsh": "bindkey -e; unsetopt beep promptsp; unset zle_bracketed_paste; autoload -Uz compinit; compinit -D -u;"
		           "fpath=(%s $fpath); autoload -Uz _spork; compdef _spork spork; echo go''on\n",
		}
		pid, fd = pty.fork()
		if not pid:
		    os.environ.update(TERM="dumb", PS1="ready> ", HISTFILE="")
		    os.execvp(argv[0], argv)
		seen = b""

		def until(pattern):
		    global seen
		    end = time.monotonic() + 20
		    while not (found := re.search(pattern, seen, re.S)):
		        if time.monotonic() > end or not select.select([fd], [], [], 20)[0]:
		            sys.exit("nothing comes any more: %r" % seen)
		        seen += os.read(fd, 65536)
		    seen = seen[found.end():]
		    return found

		os.write(fd, (setup[shell] % file).encode())
		until(rb"goon\r")
		for line in sys.stdin.read().splitlines():
		    # TAB, and then the whole line becomes an argument of echo, between < and >.
		    os.write(fd, (line + "\t\x01echo 'now<\x05>'\n").encode())
		    print(line + "|" + until(rb"\nnow<(.*?)>\r").group(1).decode().rstrip(), flush=True)
	END
	expected | cut -d'|' -f1 | LIMIT=60 bounded "$PYTHON" terminal.py "$1" "$2" >got || fail "$(cat got)"
	diff -u <(expected) got
}

@test "completion in bash: commands, options, settings, kinds, boxes" {
	files
	completed bash "$COMPLETION/bash/spork"
}

@test "completion in zsh" {
	needs zsh
	files
	completed zsh "$COMPLETION/zsh"
}

@test "completion in fish" {
	local line whole got

	needs fish
	files
	expected | grep -v -- '-o bo|' >lines
	while IFS='|' read -r line whole; do
		got=$(bounded fish --no-config -c "source $COMPLETION/fish/spork.fish; complete -C '$line'" | cut -f1)
		# Only the last word, and of it alone what is offered.
		[ "$got" = "${whole##* }" ] || fail "$line: $got"
	done <lines
	run bounded fish -c "source $COMPLETION/fish/spork.fish; complete -C 'spork run -q -- sort --rev'"
	assert_output --regexp '^--reverse'
}

@test "bash: the command of run completes as if it stood alone, its own options too" {
	cat >drive.bash <<-'END'
		. "$1"
		complete -p spork
		_own() { COMPREPLY=(own "$COMP_CWORD" "${COMP_WORDS[@]}"); }
		# What the package bash-completion has for that.
		_command_offset() { echo "offset $1"; }
		complete_line() {
			COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2)) COMPREPLY=()
			_spork 2>/dev/null
			echo "${COMPREPLY[*]}"
		}
		complete_line 'spork run -o x --set a=b ls --co' spork run -o x --set a = b ls --co
		complete_line 'spork run -q -- l' spork run -q -- l
		unset -f _command_offset
		complete_line 'spork run ls bot' spork run ls bot
		complete_line 'spork run -q --no' spork run -q --no
	END
	echo >bother
	run bounded bash --norc drive.bash "$COMPLETION/bash/spork"
	assert_success
	assert_line --index 0 "complete -F _spork spork"
	assert_line --index 1 "offset 8"
	assert_line --index 2 "offset 4"
	assert_line --index 3 bother
	assert_line --index 4 -- "--no-follow --no-demangle"
}

@test "make install puts each completion where its shell looks, and uninstall takes it away" {
	local where name

	# Only told, not done: another PREFIX would be another build.
	for where in usr:vendor-completions usr/local:site-functions; do
		for name in bash-completion/completions/spork "zsh/${where#*:}/_spork" fish/vendor_completions.d/spork.fish; do
			run bounded make -n -C "$ROOT" install DESTDIR=/to PREFIX="/${where%:*}"
			assert_line --regexp "^install -D -m 644 .*/completion/.*/${name##*/} /to/${where%:*}/share/$name\$"
			run bounded make -n -C "$ROOT" uninstall DESTDIR=/to PREFIX="/${where%:*}"
			assert_line --regexp "^rm -f .*/to/${where%:*}/share/$name( |\$)"
		done
	done
}
