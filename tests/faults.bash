# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What tests/faults.bats, a slice of it, and tests/long/faults.bats, the whole, share: loaded after helper.

# Errors by number, and libc's words for them.
declare -gA WORDS=([1]="Operation not permitted" [12]="Cannot allocate memory" [11]="Resource temporarily unavailable"
	[24]="Too many open files" [28]="No space left on device" [38]="Function not implemented")

# What the tests ask for by name, and their numbers.
declare -gA NUMBERS=()

faults_setup() {
	work_setup
	export TMPDIR=$BATS_TEST_TMPDIR/temporary
	mkdir "$TMPDIR"
	numbers_find clone3 close dup2 dup3 execve exit_group kcmp kill membarrier memfd_create openat pidfd_open pipe2 \
		prctl process_madvise process_vm_readv setpgid timer_create userfaultfd wait4
}

# alone CMD...: with process ids and a /dev/shm of its own, so that whatever goes wrong ends with it and reaches nobody
# else
alone() {
	local map=()

	[ "$(id -u)" -eq 0 ] || map=(--map-root-user)
	timeout -k 1 "${LIMIT:-20}" unshare "${map[@]}" --pid --fork --mount --mount-proc --kill-child=KILL \
		sh -c '[ ! -d /dev/shm ] || mount -t tmpfs own /dev/shm; exec "$@"' sh "$@" 3>&-
}

needs_alone() {
	alone true 2>/dev/null || skip "no namespaces here"
}

# shellcheck disable=SC2153 # SHIM is set by helper
# inside SCRIPT: the functions and variables of the tests, in one such place. The script ends with what it counted.
inside() {
	{
		declare -p WORDS NUMBERS ROOT BUILD SHIM SPORK VICTIMS PYTHON
		declare -f bounded program number target inject delivered calls_of asked_for impossible same faults \
			fault sandbox under
		echo 'RUNS=0 HITS=0 MISSES=0'
		echo 'fail() { echo "$*"; exit 1; }'
		echo "$1"
		echo 'echo "$RUNS runs, $HITS faults, $MISSES runs without one"'
	} >inside.bash
	LIMIT=${LIMIT:-60} alone bash inside.bash
}

# number NAME: of a system call of this machine; nothing: it has none of that name
number() {
	echo "${NUMBERS[$1]-}"
}

numbers_find() {
	local name number

	while read -r name number; do
		[[ $number != [0-9]* ]] || NUMBERS[$name]=$number
	done < <(for name in "$@"; do echo "\"$name\" SYS_$name"; done | gcc -E -P -include sys/syscall.h - | tr -d '"')
}

# target WHAT: fault_target, bare: into bare.out
target() {
	bounded "$VICTIMS/fault_target" "$1" "$VICTIMS/exit_static" >bare.out </dev/null
}

# inject WHAT CALL ERROR FIRST LAST [OPTIONS]: fault_target with these faults: into out, err, counts and $STATUS
inject() {
	STATUS=0
	SPORK_OPTIONS=${6-} SPORK_SHIM=$SHIM LIMIT=20 bounded "$VICTIMS/fault_inject" counts "$2" "$3" "$4" "$5" \
		"$VICTIMS/fault_target" "$1" "$VICTIMS/exit_static" >out 2>err </dev/null || STATUS=$?
	[ "$STATUS" -ne 77 ] || fail "no seccomp here"
}

# how often the call was made to fail in the last run
delivered() {
	awk -v call="$1" '$1 == call { print $3 }' counts
}

# The calls that the shim makes in WHAT, into the array CALLS as "NUMBER TIMES"; the reference for `same` is kept.
calls_of() {
	inject "$1" all 0 0 0 "${2-}"
	[ "$STATUS" -eq 0 ] || fail "$1 without a fault: $STATUS $(cat out err)"
	mapfile -t CALLS < <(awk '{ print $1, $2 }' counts)
	[ ${#CALLS[@]} -gt 5 ] || fail "no calls of the shim's were seen"
	cp out same.out
}

# What the shim calls because the program asked for it by posix_spawn(), popen() and the like fails for the program.
asked_for() {
	local name

	for name in execve wait4 setpgid openat dup2 dup3 pipe2 close; do
		number "$name"
	done
}

# Nobody has to bear an end that does not end, or a descriptor that stays open though it was closed.
impossible() {
	number exit_group
	[ "$1" != avfork ] || number close
	# Twins that cannot be killed take two seconds each.
	[ -n "${EVERY-}${EACH-}" ] || number kill
}

# same WHAT CALL ERROR: the last run did as a bare one, or, where the program had asked for the call, told it so
same() {
	local what=$1 call=$2 words=${WORDS[$3]} line

	[ "$STATUS" -le 1 ] || [[ $what = avfork && $STATUS = 96 ]] || fail "status $STATUS"
	[ ! -s err ] || fail "it said: $(cat err)"
	cmp -s out same.out && return
	case $what in
	avfork) ! grep -E 'signal|FAULT' out || fail "avfork: it crashed" ;;
	spawn)
		grep -qx "$call" <<<"$ASKED" || fail "$(diff same.out out)"
		while read -r line; do
			case $line in
			"posix_spawn: $words" | "popen: $words" | "popen: ${WORDS[12]}") ;;
			*": exit "* | *": status 0xffffffff" | "FAULT: nothing was read") ;;
			*) grep -qxF -e "$line" same.out || fail "an answer that no fault explains: $line" ;;
			esac
		done <out
		;;
	*) fail "$(diff same.out out)" ;;
	esac
}

# faults WHAT OPTIONS ERROR...: each call of the shim's fails always, in turn with one of the errors; RUNS, HITS count.
# EVERY: with every one of them. EACH: and each of so many of the first calls alone.
faults() {
	local what=$1 options=$2 errors=("${@:3}") entry call times error k turn=0
	ASKED=$(asked_for)
	IMPOSSIBLE=$(impossible "$what")
	calls_of "$what" "$options"
	for entry in "${CALLS[@]}"; do
		read -r call times <<<"$entry"
		! grep -qx "$call" <<<"$IMPOSSIBLE" || continue
		for error in "${errors[@]}"; do
			[ -n "${EVERY-}" ] || error=${errors[turn++ % ${#errors[@]}]}
			fault "$what" "$call" "$error" 1 1000000
			for ((k = 1; k <= times && k <= ${EACH:-0}; k++)); do
				fault "$what" "$call" "$error" "$k" "$k"
			done
			[ -n "${EVERY-}" ] || break
		done
	done
}

# fault WHAT CALL ERROR FIRST LAST
fault() {
	local hit

	inject "$1" "$2" "$3" "$4" "$5" "$options"
	hit=$(delivered "$2")
	RUNS=$((${RUNS:-0} + 1))
	HITS=$((${HITS:-0} + ${hit:-0}))
	[ "${hit:-0}" -gt 0 ] || MISSES=$((${MISSES:-0} + 1))
	(same "$1" "$2" "$3") || fail "$1: call $2, error $3, from the $4th to the $5th"
}

# sandbox WHAT CALL ACTION...: fault_target under a filter that answers the call so does as it does bare under it
sandbox() {
	local what=$1 call action bare shim

	call=$(number "$2")
	[ -n "$call" ] || return 0
	for action in "${@:3}"; do
		bare=0 shim=0
		# There is no bare avfork().
		[ "$what" = avfork ] || bounded "$VICTIMS/seccomp_filter" "$call=$action" /usr/bin/env \
			"$VICTIMS/fault_target" "$what" "$VICTIMS/exit_static" >bare.out 2>bare.err </dev/null || bare=$?
		[ "$bare" -ne 77 ] || fail "no seccomp here"
		bounded "$VICTIMS/seccomp_filter" "$call=$action" /usr/bin/env LD_PRELOAD="$SHIM" SPORK_OPTIONS=log=none \
			"$VICTIMS/fault_target" "$what" "$VICTIMS/exit_static" >out 2>err </dev/null || shim=$?
		RUNS=$((${RUNS:-0} + 1))
		if [ "$what" = avfork ]; then
			# The program itself asked for it: a filter that kills for what that takes ends it, as for any of libc's.
			case $shim,$action in
			0,* | 96,* | 159,kill | 159,trap) ;;
			*) fail "avfork, $2=$action: $shim: $(cat out err)" ;;
			esac
			continue
		fi
		[ "$bare" -eq "$shim" ] || fail "$what, $2=$action: status $shim, bare $bare: $(cat err)"
		diff <(sed 's/[0-9]\{3,\}/N/g' bare.out) <(sed 's/[0-9]\{3,\}/N/g' out) || fail "$what, $2=$action"
		[ "$bare" -gt 128 ] || cmp bare.err err || fail "$what, $2=$action: $(cat err)"
	done
}

# under COMMAND...: the end of a shell script that gets fault_target as "$@" sets its surroundings up; all that it
# prints is the same bare and under the shim, whose options are $OPTIONS, and on stderr $SAID, a pattern, at most once
under() {
	local what bare shim

	for what in ${WHATS:-fork spawn}; do
		bare=0 shim=0
		bounded unshare --mount bash -c "$1" bash /usr/bin/env "$VICTIMS/fault_target" "$what" "$VICTIMS/exit_static" >bare.out 2>bare.err \
			</dev/null || bare=$?
		[ ! -e "${RESET-}" ] || rm -rf "$RESET"
		bounded unshare --mount bash -c "$1" bash /usr/bin/env LD_PRELOAD="$SHIM" SPORK_OPTIONS="${OPTIONS-}" \
			"$VICTIMS/fault_target" "$what" "$VICTIMS/exit_static" >out 2>err </dev/null || shim=$?
		RUNS=$((${RUNS:-0} + 1))
		if [ -n "${SAID-}" ]; then
			[ "$(grep -cE "$SAID" err)" -eq 1 ] || fail "not said once: $(cat err)"
			sed -Ei "/$SAID/d" err
		fi
		[ "$bare" -eq "$shim" ] || fail "$what under $1: status $shim, bare $bare: $(cat err)"
		diff <(sed 's/[0-9]\{3,\}/N/g' bare.out) <(sed 's/[0-9]\{3,\}/N/g' out) || fail "$what under $1"
		[ "$bare" -gt 128 ] || diff bare.err err || fail "$what under $1"
	done
}

# storm WHAT COUNT: see scripts/storm.py
storm() {
	[ -x "$PYTHON" ] || skip "no python3 here"
	mkdir storm
	(cd storm && LIMIT=${LIMIT:-60} alone "$PYTHON" "$ROOT/tests/scripts/storm.py" "$@" "$SPORK" "$SHIM" "$VICTIMS")
}

# flat WHAT COUNT: what the process has after COUNT times is what it had after a few, but for the recorder's memory,
# which has its limit
flat() {
	LIMIT=${LIMIT:-60} preload "${OPTIONS-}" flat "$1" "$2" "$VICTIMS/exit_static" >out || fail "$(cat out)"
	cat out
	awk '/^private/ && $4 > $3 + 64 { exit 1 }
		/^shared/ && $4 > 20000 { exit 1 }
		!/KB/ && $NF != $(NF - 1) { exit 1 }' out || fail "not flat"
}

# other CMD...: as another user
other() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

needs_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to be two users"
	needs setpriv
}
