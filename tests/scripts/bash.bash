# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What is doubtful style is what is to be tested.
# shellcheck disable=all
#
# What only bash does with processes; run in an empty folder. Nothing printed depends on who is first.
section() { echo "== $1"; }

section "pipelines and arrays"
false | true | (exit 3) | true
echo "${PIPESTATUS[*]} $?"
set -o pipefail
false | true | (exit 3) | true
echo "$? ${PIPESTATUS[*]}"
set +o pipefail
words=($(seq 1 5 | tac) "$(/bin/echo last one)")
echo "${#words[@]} ${words[5]}"
printf '%s\n' "${words[@]}" | sort | head -n 2
mapfile -t lines < <(seq 1 5; /bin/echo end)
echo "${lines[*]}"
declare -A map
while read -r key value; do
	map[$key]=$(/bin/echo "$value" | tr '[:lower:]' '[:upper:]')
done <<<$'one eins\ntwo zwei\nthree drei'
for key in one two three; do echo "$key ${map[$key]}"; done
total=0
seq 1 10 | while read -r n; do total=$((total + n)); done
echo "without lastpipe $total"
shopt -s lastpipe
seq 1 10 | while read -r n; do total=$((total + n)); done
echo "with lastpipe $total"
seq 1 5 | mapfile -t lines
echo "${lines[@]}"
/bin/echo err 2>&1 >/dev/null | cat
ls /no/such/file |& sed 's/.*: //'
time_words=$({ time /bin/true; } 2>&1 | grep -c real)
echo "$time_words"

section "process substitution"
diff <(seq 1 3) <(seq 2 4)
echo "$?"
cat <(/bin/echo one) <(/bin/echo two) <(cat <(/bin/echo nested))
seq 1 5 | tee >(wc -l | tr -d ' ' >counted) >/dev/null
until [ -s counted ]; do sleep 0.01; done
cat counted
paste <(seq 1 3) <(seq 4 6) <(seq 7 9) | tr '\t' -
while read -r a; do /bin/echo "read $a"; done < <(printf '%s\n' x y z)
exec {in}< <(/bin/echo from a descriptor)
read -r line <&"$in"
exec {in}<&-
echo "$line"
cat < <(exit 4)
wait $!
echo "$?"

section "coprocesses"
coproc tr '[:lower:]' '[:upper:]'
echo hello >&"${COPROC[1]}"
exec {COPROC[1]}>&-
cat <&"${COPROC[0]}"
wait
coproc SUM { while read -r a b; do echo $((a + b)); done; }
pid=$SUM_PID
for i in 1 2 3 4; do
	echo "$i $i" >&"${SUM[1]}"
	read -r sum <&"${SUM[0]}"
	echo "sum $sum"
done
exec {SUM[1]}>&-
wait "$pid"
echo "$?"

section "traps"
trap 'echo "ERR $?"' ERR
false
(exit 5)
false || :
f() { false; true; }
f
set -E
f
set +E
trap - ERR
count=0
trap 'count=$((count + 1))' DEBUG
/bin/true
:
/bin/echo debug | cat
trap - DEBUG
echo "debug $((count > 3))"
children=0
trap 'children=$((children + 1))' CHLD
for i in 1 2 3; do /bin/true; done
/bin/true &
wait
trap - CHLD
echo "chld $((children > 2))"
g() { trap 'echo "RETURN of g"' RETURN; /bin/echo in g; trap - RETURN; }
g
for i in 1 2 3 4 5; do
	trap "echo trap $i" USR2
	kill -USR2 $$
	(kill -USR2 $$; exit "$i")
	echo $?
done
trap '' USR2
bash -c 'kill -USR2 $$; trap "echo never" USR2; kill -USR2 $$; echo "stays ignored"'
trap - USR2
(trap 'echo "subshell $BASH_SUBSHELL"' EXIT; (trap 'echo "subshell $BASH_SUBSHELL"' EXIT))
x=$(trap 'echo from an exit trap' EXIT; exit 3)
echo "$x $?"

section "jobs"
for i in {1..5}; do /bin/echo "job $i" >"out.$i" & done
wait
cat out.[1-5]
(exit 6) &
wait -n $!
echo "wait -n $?"
(exit 7) &
wait -p which $!
echo "$? $([ "$which" = $! ] && echo named)"
# what it says of killed jobs depends on when
exec {err}>&2 2>/dev/null
set -m
for i in 1 2 3; do (exit "$i") & wait %%; echo "job $?"; done
sleep 5 | cat & kill %%; wait 2>/dev/null; echo killed
(echo in a group of its own) >group & wait; cat group
sleep 0.05 & fg %% >/dev/null; echo "foreground $?"
sleep 5 & sleep 6 & jobs -p >/dev/null; kill $(jobs -p); wait 2>/dev/null
sleep 5 & disown; kill $!; jobs
set +m
exec 2>&"$err" {err}>&-
h() { local n; for n in 1 2 3; do { /bin/echo "h $1 $n"; } >"h.$1.$n" & done; wait; cat h."$1".*; }
h a; h b
bash -c 'sleep 0.05; echo orphan >orphan' & disown
until [ -s orphan ]; do sleep 0.01; done
cat orphan

section "redirections"
cat <<<"here-string $(/bin/echo with a substitution)"
tr a-z b-za <<<hal
exec {fd}>file; echo "to a descriptor" >&"$fd"; exec {fd}>&-; cat file
echo "$(<file)"
{ echo out; echo err >&2; } &>both; sort both
(echo more; echo more >&2) &>>both; wc -l <both | tr -d ' '
exec 5<<<"five"; cat <&5; exec 5<&-

section "the rest"
no-such-program-anywhere 2>/dev/null; echo $?
command_not_found_handle() { echo "handler for $1, $(/bin/echo again)"; return 44; }
no-such-program-anywhere; echo $?
unset -f command_not_found_handle
enable -n echo; for i in {1..8}; do echo "$i"; done | tail -n 3; enable echo
export -f h; bash -c 'h c'
seq 1 50 | xargs -n 10 -P 1 /bin/echo
timeout 0.1 sleep 5; echo $?
echo {a..c}{1..2} | tr ' ' '\n' | sort -r | head -n 2
set -- "$(cat <(cat <(cat <(/bin/echo deep))))"; echo "$1"
[[ $(/bin/echo yes) == y* ]] && echo conditional
case $(/bin/echo case) in c*) ;;& *e) echo "falls through" ;; esac
printf -v padded '%05d' "$(/bin/echo 42)"; echo "$padded"
for ((i = 0; i < 10; i++)); do
	x=$(/bin/echo "$i" <&-) y=$(<file)
	/bin/echo "$x $y" | cat
	(exit "$i") || echo "status $?"
done
(ulimit -u 4096; ulimit -S -n 64; bash -c 'ulimit -n')
exec -a renamed bash -c 'echo "$0"; exit 33'
