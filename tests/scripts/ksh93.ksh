# SPDX-License-Identifier: MIT
#
# What only ksh93 does with processes; run in an empty folder. Nothing printed depends on who is first.
function section { print "== $1"; }

section "pipelines and compound variables"
total=0
seq 1 10 | while read n; do ((total += n)); done
print "the last part is the shell itself: $total"
set -o pipefail
false | true | (exit 3) | true
print $?
set +o pipefail
words=($(seq 1 5 | tac) "$(/bin/echo last one)")
print ${#words[@]} "${words[5]}"
print -r -- "${words[@]}" | tr ' ' '\n' | sort | head -n 2
typeset -A map
printf '%s\n' 'one eins' 'two zwei' 'three drei' | while read key value; do
	map[$key]=$(/bin/echo $value | tr a-z A-Z)
done
for key in one two three; do print "$key ${map[$key]}"; done
point=(typeset -i x=1 y=2; name=$(/bin/echo origin))
print "${point.name} ${point.x},${point.y}"
float=${ /bin/echo 1.5; }
print $((float * 2))

section "substitutions"
x=${ /bin/echo "without a subshell"; }
print "$x"
y=0
x=${ y=5; print "sets y"; }
print "$x $y"
x=$(y=6; print "does not"; exit 3)
print "$? $x $y"
print "$(< /dev/null)empty"
diff <(seq 1 3) <(seq 2 4)
print $?
cat <(/bin/echo one) <(/bin/echo two) <(cat <(/bin/echo nested))
paste <(seq 1 3) <(seq 4 6) | tr '\t' -
seq 1 5 | tee >(wc -l | tr -d ' ' >counted) >/dev/null
until [[ -s counted ]]; do sleep 0.01; done
cat counted
cat <<< "here-string $(/bin/echo with a substitution)"

section "coprocesses"
tr a-z A-Z |&
print -p hello
exec 3>&p; exec 3>&-
cat <&p
wait
(while read a b; do print $((a + b)); done) |&
for i in 1 2 3 4; do
	print -p $i $i
	read -p sum
	print "sum $sum"
done
exec 3>&p 3>&-
wait

section "traps"
trap 'print "usr1 $(/bin/echo sub)"' USR1
kill -USR1 $$
/bin/sh -c 'kill -USR1 $PPID'
trap - USR1
trap 'print "ERR $?"' ERR
false
(exit 5)
false || :
trap - ERR
count=0
trap '((count++))' DEBUG
/bin/true
:
trap - DEBUG
print "debug $((count > 1))"
(trap 'print "exit of a subshell"' EXIT; /bin/true)
function g { trap 'print "exit of a function"' EXIT; /bin/echo in g; }
g
x=$(trap 'print from an exit trap' EXIT; exit 3)
print "$x $?"
(trap 'print term; exit 7' TERM; /bin/touch ready; while :; do :; done) &
pid=$!
until [[ -e ready ]]; do sleep 0.01; done
kill $pid
wait $pid
print $?

section "jobs"
for i in 1 2 3 4 5; do /bin/echo "job $i" >out.$i & done
wait
cat out.[1-5]
(exit 6) &
wait $!
print $?
/bin/sleep 5 &
pid=$!
until grep -q sleep /proc/$pid/comm; do :; done
kill $pid
{ wait $pid; } 2>/dev/null
print "killed $?"
function h { typeset n; for n in 1 2 3; do /bin/echo "h $1 $n" >h.$1.$n & done; wait; cat h.$1.*; }
h a; h b
(/bin/sh -c 'sleep 0.05; echo orphan >orphan' &)
until [[ -s orphan ]]; do sleep 0.01; done
cat orphan
set -o monitor
/bin/true & wait $!
print "monitor $?"
(exit 8) & wait $!
print "monitor $?"
/bin/echo monitored | cat
set +o monitor

section "the rest"
no-such-program-anywhere 2>/dev/null; print $?
/dev/null 2>/dev/null; print $?
exec {fd}>file; print -u $fd "to a descriptor"; exec {fd}>&-; cat file
print "$(<file)"
command -x /bin/echo $(seq 1 10)
printf '%s\n' {a..c}{1..2} | sort -r | head -n 2
[[ $(/bin/echo yes) == y* ]] && print conditional
(ulimit -n 64; ksh93 -c 'ulimit -n')
(umask 077; : >private; ls -l private | cut -c 1-10)
yes 2>/dev/null | head -n 2
eval 'for i in 1 2; do /bin/echo eval $i; done | cat'
for ((i = 0; i < 10; i++)); do
	x=$(/bin/echo $i) y=$(<file)
	/bin/echo "$x $y" | cat
	(exit $i) || print "status $?"
	no-such-program-anywhere 2>/dev/null || :
done
for i in 1 2 3 4 5 6; do
	/bin/false || print "false $?"
	/bin/sh -c "exit $i"
	print $?
done
(exec -a renamed /bin/sh -c 'echo "$0"; exit 33'); print $?
exit 34
