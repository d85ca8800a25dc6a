# SPDX-License-Identifier: MIT
#
# What only zsh does with processes; run in an empty folder by zsh -f. Nothing printed depends on who is
# first.
section() { print "== $1" }
zmodload zsh/zpty zsh/system zsh/datetime

section "pipelines and arrays"
false | true | (exit 3) | true
print "$pipestatus $?"
setopt pipefail
false | true | (exit 3) | true
print "$? $pipestatus"
unsetopt pipefail
total=0
seq 1 10 | while read n; do (( total += n )); done
print "the last part is the shell itself: $total"
words=($(seq 1 5 | tac) "$(/bin/echo last one)")
print $#words $words[6]
print -l $words | sort | head -n 2
lines=(${(f)"$(seq 1 5; /bin/echo end)"})
print "$lines"
typeset -A map
while read key value; do
	map[$key]=$(/bin/echo $value | tr a-z A-Z)
done <<<$'one eins\ntwo zwei\nthree drei'
for key in one two three; do print "$key $map[$key]"; done
ls /no/such/file |& sed 's/.*: //'
/bin/echo a | { read x; /bin/echo "x $x" } | cat

section "process substitution"
diff <(seq 1 3) <(seq 2 4)
print $?
cat <(/bin/echo one) <(/bin/echo two) <(cat <(/bin/echo nested))
diff =(seq 1 3) =(seq 1 4)
wc -l =(seq 1 7) | sed 's/ .*//'
paste <(seq 1 3) <(seq 4 6) | tr '\t' -
print multi >one >two; cat one two
cat <one <two
print "a pipe and a file" >three | cat; cat three

section "coprocesses"
coproc tr a-z A-Z
print -p hello
coproc :
sleep 0.05
coproc while read a b; do print $((a + b)); done
pid=$!
for i in 1 2 3 4; do
	print -p $i $i
	read -p sum
	print "sum $sum"
done
kill $pid
wait $pid
print "coprocess $?"

section "traps"
TRAPUSR1() { print "function trap $1"; return 0 }
kill -USR1 $$
(kill -USR1 $$; exit 3); print $?
unfunction TRAPUSR1
trap 'print "usr2 $(/bin/echo sub)"' USR2
for i in 1 2 3; do kill -USR2 $$; done
trap - USR2
TRAPZERR() { print "ZERR $?" }
false
(exit 5)
false || :
unfunction TRAPZERR
count=0
TRAPDEBUG() { (( count++ )) }
/bin/true; :; /bin/echo debug | cat
unfunction TRAPDEBUG
print "debug $((count > 3))"
children=0
TRAPCHLD() { (( children++ )) }
for i in 1 2 3; do /bin/true & wait $!; done
unfunction TRAPCHLD
print "chld $((children > 2))"
(trap 'print "exit of a subshell"' EXIT; /bin/true)
() { trap 'print "exit of a function"' EXIT; /bin/echo in it }
x=$(trap 'print from an exit trap' EXIT; exit 3); print "$x $?"
{ /bin/false || exit_in_always=1 } always { /bin/echo always }

section "jobs"
for i in {1..5}; do /bin/echo "job $i" >out.$i & done
wait
cat out.<1-5>
(exit 6) & wait $!; print $?
pids=()
for i in 1 2 3; do (sleep 0.0$((4 - i)); exit $i) & pids+=$!; done
for pid in $pids; do wait $pid; print "status $?"; done
sleep 5 & pid=$!; kill $pid; wait $pid; print "killed $?"
{ sleep 5 & } 2>/dev/null; print "running ${(k)#jobstates}"; kill $!; wait $! 2>/dev/null
setopt nohup; sleep 0.01 &! wait
h() { local n; for n in 1 2 3; do { /bin/echo "h $1 $n" } >h.$1.$n & done; wait; cat h.$1.* }
h a; h b
zsh -fc 'sleep 0.05; print orphan >orphan' &|
until [[ -s orphan ]]; do sleep 0.01; done
cat orphan
repeat 4 (exit 2) || print $?

section "a terminal of its own"
zpty -b talk cat
zpty -w talk "typed"
zpty -r talk line '*typed*'
print ${${line//$'\r'/}//$'\n'/}
zpty -d talk

section "the rest"
no-such-program-anywhere 2>/dev/null; print $?
command_not_found_handler() { print "handler for $1, $(/bin/echo again)"; return 44 }
no-such-program-anywhere; print $?
unfunction command_not_found_handler
print -l {a..c}{1..2} | sort -r | head -n 2
cat <<<"here-string $(/bin/echo with a substitution)"
cat <<-END
	here-document $(/bin/echo sub)
	END
print "$(<one)"
print -l *(.:t) | head -n 3
print -l *(e:'[[ $(/bin/echo $REPLY) == t* ]]':)
exec {fd}>file; print "to a descriptor" >&$fd; exec {fd}>&-; cat file
sysopen -w -o creat,trunc -u fd file; syswrite -o $fd "syswrite"$'\n'; exec {fd}>&-; cat file
(ulimit -n 64; zsh -fc 'ulimit -n')
autoload -Uz add-zsh-hook zargs
zargs -n 3 -- a b c d -- /bin/echo
- /bin/echo "a login argv0"
noglob /bin/echo *
for i in {1..10}; do
	x=$(/bin/echo $i) y=$(<one)
	/bin/echo "$x $y" | cat
	(exit $i) || print "status $?"
done
( exec -a renamed zsh -fc 'print $0; exit 33' ); print $?
zshexit() { print "zshexit $(/bin/echo last)" }
exit 34
