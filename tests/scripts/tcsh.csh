# SPDX-License-Identifier: MIT
#
# What tcsh does with processes; run in an empty folder by tcsh -f. Nothing printed depends on who is first.
echo "== external commands and their status"
/bin/true
echo "true $status"
/bin/false
echo "false $status"
foreach code (0 1 2 42 126 127 255)
	/bin/sh -c "exit $code"
	echo "exit ${code}: $status"
end
/bin/true && echo and || echo or
/bin/false && echo and || echo or
if { /bin/true } echo "a command is a condition"
if (! { /bin/false }) then
	echo "and a failing one"
endif
@ n = 0
while ($n < 6)
	@ n++
	/bin/echo "turn $n"
end
repeat 3 /bin/echo repeated

echo "== what cannot be executed"
no-such-program-anywhere one
echo "not found $status"
./no-such-file
echo "no such file $status"
touch plain
./plain
echo "not executable $status"
mkdir folder
./folder
echo "folder $status"
(no-such-program-anywhere) >& /dev/null
echo "in a subshell $status"
/bin/echo 'echo "no interpreter line $0"; exit 5' >script
chmod +x script
./script
echo "script $status"
/bin/echo '#\!/no/such/interpreter' >wrong
chmod +x wrong
(./wrong) >& /dev/null
echo "interpreter $status"
set nothing = `no-such-program-anywhere`
echo "substituted $status"

echo "== pipelines"
printf '%s\n' pear apple fig apple | sort | uniq -c | sed 's/^ *//'
seq 1 2000 | grep 7 | wc -l
/bin/false | /bin/true
echo "$status"
/bin/true | /bin/sh -c 'exit 9'
echo "$status"
ls /no/such/file |& sed 's/.*: //'
yes | head -n 3
foreach i (1 2 3 4 5)
	seq 1 100 | grep $i | tail -n 1 | cat | cat
end
echo end | cat | cat | cat | cat | cat
(echo out; /bin/sh -c 'echo err >&2') |& sort

echo "== command substitution"
set a = `/bin/echo sub; exit 7`
echo "$a"
set words = (`seq 1 50`)
echo "$#words $words[50]"
echo `/bin/echo one` `/bin/echo two` "`/bin/echo three`"
echo `echo a | tr a b`
foreach f (`/bin/echo x y z`)
	/bin/echo "for $f"
end
switch (`/bin/echo word`)
case w*:
	echo matched
	breaksw
default:
	echo unmatched
endsw
set n = `seq 1 3000 | wc -l`
echo $n
set inner = `/bin/sh -c 'echo $(echo deep)'`
echo $inner

echo "== here-documents and redirections"
set X = value
cat <<END
plain $X `/bin/echo substituted`
END
cat <<'END'
quoted $X `/bin/echo substituted`
'END'
foreach i (1 2 3)
	tr a-z b-za <<END
hal $i
END
end
echo file >file
/bin/echo append >>file
cat file
set noclobber
(echo clobber >file) >& /dev/null
echo "noclobber $status"
echo forced >! file
cat < file
unset noclobber
ls /no/such/file >& both
wc -l <both

echo "== subshells"
(exit 9)
echo "$status"
(cd /; pwd; (exit 10))
echo "$status"
(set X = inner; echo $X)
echo $X
(umask 077; touch private; ls -l private | cut -c 1-10)
(limit descriptors 50; limit descriptors; /bin/sh -c 'ulimit -n')
(exec /bin/echo replaced)
(setenv Y inner; /bin/sh -c 'echo $Y')
nice +1 /bin/echo nice
eval 'echo evaluated `/bin/echo too`'
source /dev/null
/bin/sh -c 'kill -TERM $$' >& /dev/null
echo "term $status"
(/bin/sh -c 'kill -KILL $$') >& /dev/null
echo "kill $status"
time /bin/true >& /dev/null
which echo | head -n 1

echo "== background jobs"
(/bin/echo background >out.1; exit 3) &
wait
cat out.1
foreach i (1 2 3 4 5)
	(/bin/echo "job $i" >out.$i) &
end
wait
cat out.1 out.2 out.3 out.4 out.5
(sleep 0.05; echo orphan >orphan) &
while (! -s orphan)
	sleep 0.01
end
cat orphan
wait
/bin/echo piped | cat >piped &
wait
cat piped
mkfifo fifo
seq 1 5 >fifo &
cat fifo
wait
onintr -
/bin/echo "interrupts are ignored"
onintr

echo "== the same again, often"
@ i = 0
while ($i < 12)
	@ i++
	set x = `/bin/echo $i`
	/bin/echo $x | cat
	(exit $x)
	echo "$status"
	/bin/true &
	wait
	/bin/sh -c "exit $i"
	echo "$status"
end
alias both '/bin/echo \!:1 | cat; /bin/echo \!:1'
both aliased
exit 12
