# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What is doubtful style is what is to be tested.
# shellcheck disable=all
#
# Job control as POSIX has it, for a shell on a terminal of its own; run in an empty folder. Of a job's state
# only what is waited for is printed.
set -m
# what a shell says of jobs is for the interactive test
exec 2>/dev/null
stopped() {
	until grep -q '^State:.T' "/proc/$1/status"; do sleep 0.01; done
}
started() {
	until grep -q "$2" "/proc/$1/comm"; do :; done
}
gone() {
	while kill -0 "$1" 2>/dev/null; do sleep 0.01; done
}
group() {
	sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 3
}

echo "== groups"
/bin/sleep 5 &
pid=$!
[ "$(group $pid)" = "$pid" ] && echo "a job has a group of its own"
[ "$(group $$)" = "$pid" ] || echo "and the shell another"
started $pid sleep
kill %%
wait $pid
echo "killed by %%"
/bin/sleep 5 | /bin/cat &
kill -KILL %%
wait
echo "a pipeline is one job"
for i in 1 2 3 4 5 6; do
	(/bin/echo "job $i"; exit "$i") &
	wait $!
	echo "status $?"
done

echo "== stop and continue"
for i in 1 2 3; do
	/bin/sh -c 'kill -STOP $$; exit 6' &
	pid=$!
	stopped $pid
	kill -CONT $pid
	wait $pid || wait $pid
	echo "continued"
done
/bin/sh -c 'kill -STOP $$; echo in the foreground; exit 7' &
pid=$!
stopped $pid
fg %% >/dev/null
echo "fg $?"
/bin/sh -c 'kill -STOP $$; echo in the background >background; exit 8' &
pid=$!
stopped $pid
bg %% >/dev/null
until [ -s background ]; do sleep 0.01; done
wait $pid || wait $pid
cat background
/bin/sh -c 'kill -STOP $$; cat >here' <<-END &
	a here-document for a stopped job
END
pid=$!
stopped $pid
kill -CONT %%
wait $pid || wait $pid
until [ -s here ]; do sleep 0.01; done
cat here

echo "== several"
/bin/sleep 5 &
first=$!
/bin/sleep 6 &
second=$!
started $second sleep
started $first sleep
kill $first
ended() {
	wait "$1"
	echo "$2 killed"
}
ended $first first
kill $second
ended $second second
/bin/sh -c 'exit 3' | /bin/sh -c 'cat; exit 4' &
wait $!
echo "pipeline $?"
/bin/sh -c 'kill -STOP $$; exit 0' &
stopped $!
fg >/dev/null
echo "foreground $?"
(/bin/sh -c 'kill -STOP $PPID'; exit 5) &
stopped $!
fg %% >/dev/null
echo "foreground $?"
{ /bin/sleep 5 & } ; pid=$!
kill -KILL -$pid
ended $pid "a group"

echo "== the terminal"
stty size >/dev/null && echo "the foreground reads its settings"
/bin/cat /dev/tty &
pid=$!
stopped $pid
echo "the background stops for input"
kill -KILL %%
wait $pid 2>/dev/null
set +m
/bin/sleep 5 &
pid=$!
[ "$(group $pid)" = "$(group $$)" ] && echo "no group of its own"
started $pid sleep
kill $pid
wait $pid 2>/dev/null
set -m
for i in 1 2 3 4 5 6 7 8; do
	/bin/echo "again $i" | cat
	x=$(/bin/echo "$i")
	(exit "$x")
	echo "$?"
done
gone $pid
exit 12
