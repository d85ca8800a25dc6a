# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What is doubtful style is what is to be tested.
# shellcheck disable=all
#
# What POSIX shells do with processes, for all of them; run in an empty folder. What it prints depends on
# nothing that races: jobs that may overtake each other are sorted or waited for one by one, and a shell's
# words about a killed job, which name its pid, go nowhere.
set -u
me=$0
section() { echo "== $1"; }

section "external commands and their status"
/bin/true
echo "true $?"
/bin/false
echo "false $?"
for status in 0 1 2 42 126 127 128 255; do
	/bin/sh -c "exit $status"
	echo "exit $status: $?"
done
! /bin/true
echo "not $?"
/bin/true && echo and || echo or
/bin/false && echo and || echo or
if /bin/sh -c 'exit 3'; then echo then; else echo "else $?"; fi
X=1 Y=2 /bin/sh -c 'echo "$X$Y"'
X=outer
X=inner /bin/true
echo "$X"
n=0
until [ "$n" -ge 6 ]; do
	n=$((n + 1))
	/bin/echo "turn $n"
done

section "what cannot be executed"
no-such-program-anywhere one two
echo "not found $?"
./no-such-file
echo "no such file $?"
: >plain
./plain
echo "not executable $?"
mkdir folder
./folder
echo "folder $?"
(PATH=/nowhere; ls; echo "no path $?")
printf 'echo "no interpreter line: $0 $#"\nexit 5\n' >script
chmod +x script
./script a b
echo "script $?"
printf '#!/no/such/interpreter\n' >wrong
chmod +x wrong
./wrong 2>/dev/null
echo "interpreter $?"
(./wrong || no-such-program-anywhere) 2>/dev/null
echo "in a subshell $?"
(exec no-such-program-anywhere)
echo "exec $?"
(exec ./plain)
echo "exec $?"
command -v no-such-program-anywhere
echo "command -v $?"
command no-such-program-anywhere
echo "command $?"
long=x
while [ ${#long} -lt 140000 ]; do long=$long$long; done
/bin/echo "$long" >/dev/null 2>long.err
echo "too long $? $(grep -c 'too long' long.err)"
/bin/echo "$(printf '%s' "$long" | cut -c 1-100000)" | wc -c | tr -d ' '

section "pipelines"
printf '%s\n' pear apple fig apple | sort | uniq -c | sed 's/^ *//'
seq 1 2000 | grep 7 | sed 's/7/x/' | wc -l | tr -d ' '
/bin/false | /bin/true
echo "last $?"
/bin/true | /bin/sh -c 'exit 9'
echo "last $?"
! echo a | grep b >/dev/null
echo "not $?"
seq 1 5 | while read -r line; do /bin/echo "line $line"; done
seq 1 5 | { total=0; while read -r line; do total=$((total + line)); done; echo "total $total"; }
echo one two three | (read -r a b; echo "$b-$a")
{ echo out; echo err >&2; } 2>&1 | sort
f() { tr '[:lower:]' '[:upper:]'; }
echo function in a pipeline | f | cat
g() { /bin/echo "g $1"; return "$1"; }
g 3 | cat
g 4
echo "function $?"
n=0
while [ "$n" -lt 5 ]; do
	n=$((n + 1))
	seq 1 100 | grep "$n" | tail -n 1 | cat | cat
done
yes 2>/dev/null | head -n 3
yes sigpipe 2>/dev/null | /bin/true
echo "pipe closed $?"
(yes; echo "yes ended" >&2) 2>/dev/null | head -n 1
{ { echo "3 is a pipe" >&3; echo "1 too"; } | sed 's/^/piped: /'; } 3>&1 | sort
echo end | cat | cat | cat | cat | cat | cat | cat | cat

section "command substitution"
a=$(/bin/echo sub; exit 7)
echo "$a $?"
b=$(echo "$(echo "$(/bin/echo deep; echo "$(/bin/echo deeper)")")")
echo "$b"
c=`/bin/echo \`/bin/echo backquoted\``
echo "$c"
d=$(printf 'trailing\n\n\n')
echo "[$d]"
e=$(cd / && pwd)
echo "$e" "$(basename "$(pwd)")"
for i in 1 2 3 4 5 6; do
	x=$(/bin/echo "value $i"; exit "$i")
	echo "$x $?"
done
echo "$(seq 1 3 | tr '\n' ' ')" $(echo word split) "$(:)"
h=$(g 8)
echo "$h $?"
x=$(/bin/sh -c 'echo partial; kill -9 $$' 2>/dev/null)
echo "$x"
set -- $(seq 1 50)
echo "$# ${50}"
case $(/bin/echo word) in w*) echo matched ;; esac
echo "$(cat <<END
in a substitution: $(/bin/echo nested)
END
)"
big=$(seq 1 20000)
echo "${#big}"

section "here-documents"
cat <<END
plain $X $(/bin/echo substituted) $((1 + 2)) \$X
END
cat <<'END'
quoted $X $(/bin/echo substituted)
END
cat <<-END
	tabs removed
	END
cat <<ONE; cat <<TWO
one
ONE
two
TWO
while read -r line; do
	/bin/echo "read $line"
done <<END
first
second $(/bin/echo third)
END
here() {
	cat <<END
function $1
END
}
here a | cat
here b
sh <<'END'
echo "a shell read from a here-document: $(/bin/echo yes)"
exit 6
END
echo "status $?"
cat <<END | wc -c | tr -d ' '
$big
$big
END
cat <<A <<B
a
A
b
B
for i in 1 2 3; do
	tr a-z b-za <<END
hal $i
END
done

section "redirections"
exec 3>file
echo three >&3
/bin/echo external >&3
exec 3>&-
cat file
exec 4<file
read -r first <&4
echo "first $first, rest $(cat <&4)"
exec 4<&-
(echo swapped 3>&1 1>&2 2>&3 3>&-) 2>swapped
cat swapped
/bin/echo append >>file
wc -l <file | tr -d ' '
(set -C; echo clobber >file) 2>/dev/null
echo "noclobber $?"
echo forced >|file
cat file
{ /bin/echo group; /bin/echo of two; } >file
cat file
/bin/echo nowhere >/no/such/folder/file 2>/dev/null
echo "cannot open $?"
cat </no/such/file 2>/dev/null
echo "cannot open $?"
/bin/ls /no/such/file 2>/dev/null || echo "failed"
: <>file
echo to stderr >&2
(exec >file; echo moved; /bin/echo moved too)
cat file
echo closed 2>/dev/null >&- || echo "closed"
/bin/echo closed >&- 2>/dev/null || echo "closed"
ls /proc/self/fd | wc -l | tr -d ' '

section "subshells and groups"
(exit 9)
echo "$?"
(cd /; pwd; (exit 10))
echo "$? $(basename "$PWD")"
X=outer
(X=inner; echo "$X")
{ X=group; }
echo "$X"
(umask 077; : >private; ls -l private | cut -c 1-10)
umask 022
: >public
ls -l public | cut -c 1-10
(ulimit -n 50; ulimit -n; sh -c 'ulimit -n')
(ulimit -c 0; ulimit -c)
(set -e; /bin/false; echo unreached)
echo "errexit $?"
(set -e; /bin/false || :; if /bin/false; then :; fi; ! /bin/true; echo reached)
(set -u; unset nothing; echo "$nothing") 2>/dev/null || echo "unset"
(eval 'echo "eval $(/bin/echo uated)"; exit 4')
echo "$?"
eval "h() { /bin/echo 'defined by eval' \"\$@\"; }"
h with arguments
(trap 'echo "exit of a subshell"' EXIT; /bin/true)
(trap 'echo "exit of a subshell that ends by $?"' EXIT; exit 3)
echo "$?"
( ( ( (exit 5) ) ) ) || echo "nested $?"
(exec /bin/echo replaced)
(exec /bin/sh -c 'exit 11')
echo "$?"
. /dev/null
printf '%s\n' 'echo "sourced $(/bin/echo file)"' 'return 12' >sourced
. ./sourced
echo "$?"

section "background jobs"
/bin/true &
wait $!
echo "waited $?"
(exit 13) &
wait $!
echo "waited $?"
pids=
for i in 1 2 3 4 5; do
	(sleep 0.0$((6 - i)); /bin/echo "job $i" >"out.$i"; exit "$i") &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid"
	echo "status $?"
done
cat out.1 out.2 out.3 out.4 out.5
for i in 1 2 3 4 5 6 7 8; do /bin/echo "parallel $i" & done | sort
wait
{ sleep 0.02; echo "group"; } &
wait
/bin/sleep 5 &
pid=$!
until grep -q sleep "/proc/$pid/comm"; do :; done
{ kill "$pid"; wait "$pid"; } 2>/dev/null
echo "killed $?"
/bin/sleep 5 &
pid=$!
until grep -q sleep "/proc/$pid/comm"; do :; done
{ kill -KILL "$pid"; wait "$pid"; } 2>/dev/null
echo "killed $?"
work() {
	for n in 1 2 3; do /bin/echo "work $1 $n"; done >"work.$1" &
}
work a
work b
wait
cat work.a work.b
(/bin/echo "of a subshell" & wait; echo "waited in a subshell")
(sh -c 'sleep 0.03; echo orphan >orphan' &)
until [ -s orphan ]; do sleep 0.01; done
cat orphan
wait 99999999 2>/dev/null || echo "no child"
mkfifo fifo
seq 1 5 >fifo &
while read -r line; do echo "fifo $line"; done <fifo
wait
cat fifo >copied & pid=$!
/bin/echo through a fifo >fifo
wait "$pid"
cat copied
x=$(sleep 0.01 & echo "substitution with a job"; wait)
echo "$x"
/bin/echo piped | cat >piped &
wait $!
cat piped

section "traps and signals"
trap 'echo "usr1"' USR1
kill -USR1 $$
/bin/sh -c 'kill -USR1 "$1"' - $$
(kill -USR1 $$; exit 3)
echo "$?"
trap 'echo "usr1 again"; /bin/echo "a command in a trap"' USR1
for i in 1 2 3 4; do kill -USR1 $$; done
trap '' USR1
/bin/sh -c 'kill -USR1 $$; echo "ignored in a child"'
kill -USR1 $$
trap - USR1
{ /bin/sh -c 'kill -USR1 $$'; } 2>/dev/null
echo "default again $?"
for signal in HUP ALRM TERM KILL; do
	{ (ulimit -c 0; /bin/sh -c "kill -$signal \$\$"); } 2>/dev/null
	echo "$signal $?"
done
(
	trap 'echo "term in a subshell"; exit 7' TERM
	/bin/touch ready
	while :; do :; done
) &
pid=$!
until [ -e ready ]; do sleep 0.01; done
kill -TERM "$pid"
wait "$pid"
echo "$?"
sh -c 'trap "echo child has a trap; exit 8" TERM; kill -TERM $$; sleep 1'
echo "$?"
trap 'echo "interrupted"' USR2
(
	until [ -e waiting ]; do sleep 0.01; done
	sleep 0.2
	kill -USR2 $$
	turns=0
	until [ -e told ] || [ $turns -gt 300 ]; do
		sleep 0.01
		turns=$((turns + 1))
	done
	: >told
) &
killer=$!
/bin/sh -c 'until [ -e told ]; do sleep 0.02; done' &
pid=$!
: >waiting
wait "$pid"
[ $? -gt 128 ] && echo "wait was interrupted"
: >told
wait "$pid"
echo "then $?"
wait "$killer"
trap - USR2
trap 'echo parent' TERM
(trap - TERM; /bin/sh -c 'kill -TERM $PPID'; sleep 0.2; echo unreached) 2>/dev/null
[ $? -gt 128 ] && echo "a subshell has no traps of its parent's"
trap - TERM
timeout 0.05 sleep 5
echo "timeout $?"

section "read, getopts, arithmetic"
printf 'a:b c:d\\e\n' | { IFS=: read -r x y z; echo "[$x][$y][$z]"; }
printf 'no newline' | { read -r x || echo "at the end: $x"; }
IFS=,
set -- $(/bin/echo 1,2,3)
unset IFS
echo "$#: $1 $3"
options() {
	OPTIND=1
	while getopts ab:c o "$@"; do echo "option $o ${OPTARG-}"; done
}
options -a -b value -c
i=0
while i=$((i + 1)) && [ "$i" -le 3 ]; do
	case $((i % 2)) in
	0) /bin/echo "$i even" ;;
	*) /bin/echo "$i odd" ;;
	esac
done
find . -name 'out.*' -exec basename {} \; | sort
printf '%s\n' a b c d e | xargs -n 2 /bin/echo
env -i /bin/echo empty environment
nice /bin/echo nice
sh -c 'sh -c "sh -c \"echo three deep\"; exit 1"; exit $(($? + 1))'
echo "$?"

section "the same again, often"
recurse() {
	[ "$1" -eq 0 ] && return
	/bin/echo "depth $1 $(/bin/echo "$1" | tr 0-9 a-j)"
	(recurse $(($1 - 1)))
}
recurse 5
i=0
while [ "$i" -lt 12 ]; do
	i=$((i + 1))
	/bin/echo "again $i"
	x=$(/bin/echo "$i")
	/bin/echo "$x" | cat
	(/bin/echo "in ($i)"; /bin/true)
	no-such-program-anywhere 2>/dev/null || x=$?
	/bin/true &
	wait $!
	echo "$x $?"
done
cd /
cd - >/dev/null
[ "${me##*/}" = "${0##*/}" ] && trap 'echo "on exit $?"' EXIT
(exit 21)
exit
