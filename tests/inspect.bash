# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2030,SC2031 # run --separate-stderr assigns stderr; each test is a subshell of its own
#
# For the tests of `spork inspect`: victims that hang, how they are looked at, and what was found.

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	STARTED=()
}

teardown() {
	stop
}

# start OPTIONS VICTIM ARGS...: under the shim, unless OPTIONS is "bare"; $PID: whom it says to look at
start() {
	local child tries=0 environment=()

	[ "$1" = bare ] || environment=(LD_PRELOAD="$SHIM" SPORK_OPTIONS="$1")
	rm -f pid
	env "${environment[@]}" "$VICTIMS/$2" "${@:3}" >pid 2>err </dev/null 3>&- &
	STARTED+=($!)
	until [ -s pid ]; do
		tries=$((tries + 1))
		[ $tries -lt 1500 ] || fail "the victim says nothing"
		sleep 0.02
	done
	PID=$(head -n 1 pid)
	STARTED=("$PID" "${STARTED[@]}")
	while read -r child; do
		STARTED=("$child" "${STARTED[@]}")
	done < <(pgrep -P "$PID" || :)
}

# stop: ends what was started
stop() {
	local pid

	for pid in "${STARTED[@]}"; do
		kill -9 "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	STARTED=()
}

# look: the records, into record.jsonl
look() {
	run --separate-stderr spork inspect -f json -O "$BATS_TEST_TMPDIR/record.jsonl" "$PID"
	[ -z "$stderr" ] || fail "stderr: $stderr"
}

# what_was_found: the exit status, and the kinds of the verdicts
what_was_found() {
	echo "$status $(query '" ".join(sorted(v["kind"] for v in of("verdict")))')"
}

# found STATUS KINDS: looks until that is found: the victim says its pid just before it hangs. What does not hang is
# looked at once.
found() {
	local tries=0 seen

	look
	seen=$(what_was_found)
	while [ -n "$2" ] && [ $tries -lt 20 ] && [ "$seen" != "$1 $2" ]; do
		tries=$((tries + 1))
		sleep 0.1
		look
		seen=$(what_was_found)
	done
	[ "$seen" = "$1 $2" ] || cat "$BATS_TEST_TMPDIR/record.jsonl"
	assert_equal "$seen" "$1 $2"
}

# both WAY STATUS KINDS [SHIM-STATUS SHIM-KINDS]: hang_lock, bare and under the shim; what is found is the same unless
# more is given
both() {
	echo "$1, bare"
	start bare hang_lock "$1"
	found "$2" "$3"
	stop
	echo "$1, with the shim"
	start gate=0 hang_lock "$1"
	found "${4-$2}" "${5-$3}"
}

# waits TYPE: the names of what threads wait for in that way
waits() {
	query '" ".join(sorted(t["waits"]["name"] or "?" for t in of("thread") if t["waits"] and t["waits"]["type"] == "'"$1"'"))'
}

# The kinds of hang_kind that keep their owner.
# shellcheck disable=SC2034 # for the tests
OWNED="mutex recursive errorcheck adaptive robust mtx write"

# each WAY KINDS VERDICT [SHIM-VERDICT]: "" is none
each() {
	local kind

	for kind in $2; do
		echo "$kind $1, bare"
		start bare hang_kind "$kind" "$1"
		found "$([ -n "$3" ] && echo 2 || echo 0)" "$3"
		stop
		echo "$kind $1, with the shim"
		start gate=0 hang_kind "$kind" "$1"
		found "$([ -n "$3" ] && echo 2 || echo 0)" "${4-$3}"
		stop
	done
}
