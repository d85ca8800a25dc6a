#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `spork bench`: that it measures what it says, and says it so that programs can read it. Never what it measures.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

quick() {
	LIMIT=60 spork bench locks --quick --runs 1 --warmup 0 "$@"
}

# Evaluates the Python expression $1 on `rows`, the objects in the file measured.
rows() {
	"$PYTHON" -c '
import json, sys
rows = [json.loads(line) for line in open("measured")]
bench = [row for row in rows if row["type"] == "bench"]
print(eval(sys.argv[1]))' "$1"
}

# Status 125, nothing on stdout, one line on stderr that has $1.
refused() {
	assert_equal "$status" 125
	assert_equal "$output" ""
	one_line "$stderr"
	[[ $stderr == "spork: "*"$1"* ]] || fail "stderr: $stderr"
}

wrong() {
	run --separate-stderr spork bench "$@"
}

@test "locks: each case has a row for each configuration, in JSON" {
	quick -f json -O measured
	run rows '" ".join(list(dict.fromkeys(row["case"] for row in bench)))'
	assert_output "mutex-one-thread mutex mutex-recursive rwlock-read rwlock-write spin semaphore cond \
mutex-contended rwlock-contended spin-contended fork fork-call"
	run rows '" ".join(list(dict.fromkeys(row["config"] for row in bench)))'
	assert_output "bare off on order"
	run rows 'len(bench) == 13 * 4 == len(set((row["case"], row["config"]) for row in bench))'
	assert_output True
	run rows 'all(row["bench"] == "locks" and row["runs"] == 1 and row["p50_ns"] > 0 and row["ratio"] > 0 for row in bench)'
	assert_output True
	run rows 'all(row["ratio"] == 1 for row in bench if row["config"] == "bare")'
	assert_output True
	run rows '[list(row)[0] for row in rows] == ["type"] * len(rows)'
	assert_output True
	run rows 'rows[0]["type"], rows[0]["cores"] > 0, bool(rows[0]["kernel"] and rows[0]["glibc"] and rows[0]["thp"])'
	assert_output "('machine', True, True)"
}

@test "locks: the same as a table and as CSV" {
	quick -c mutex -c fork >table
	run cat table
	assert_output --regexp 'bare +off +on +order'
	assert_line --regexp '^mutex +[0-9.]+ ns +[0-9.]+ \([0-9.]+-[0-9.]+\)'
	assert_line --regexp '^fork and wait, 1,000 locks held +[0-9.]+ (us|ms) '
	assert_output --partial "glibc "
	refute_output --partial "rwlock"
	quick -c mutex -f csv >rows.csv
	run cat rows.csv
	assert_line -n 0 bench,case,config,runs,p10_ns,p50_ns,p90_ns,ratio,ratio_p10,ratio_p90
	assert_line -n 1 --regexp '^locks,mutex,bare,1,([0-9.]+,){5}[0-9.]+$'
	assert_equal "${#lines[@]}" 5
}

@test "the shim is in the processes that are to have it, with their options" {
	needs strace
	timeout 60 strace -f -v -s 4096 -e trace=execve -o trace "$SPORK" bench locks --quick --runs 1 --warmup 0 \
		-c mutex >table 3>&-
	grep -- '--payload' trace >started
	assert_equal "$(grep -c . started)" 4
	assert_equal "$(grep -c "LD_PRELOAD=$SHIM" started)" 3
	local locks
	for locks in off on order; do
		assert_equal "$(grep -c "SPORK_OPTIONS=[^\"]*locks=$locks" started)" 1
	done
}

@test "a ratio is quoted where its rounds do not scatter, and only there" {
	quick -c mutex -c cond --runs 4 -f json -O measured
	# Of a ratio that is not quoted only the percentiles are told, and the median lies between them.
	run rows 'all(row["ratio_p90"] - row["ratio_p10"] > 0.299 * row["ratio_p10"] if row["ratio"] is None
		else row["ratio_p90"] - row["ratio_p10"] < 0.301 * row["ratio"] + 0.002 for row in bench)'
	assert_output True
	run rows 'all(row["ratio_p10"] <= row["ratio_p90"] and row["p10_ns"] <= row["p50_ns"] <= row["p90_ns"] for row in bench)'
	assert_output True
}

@test "what there is not is refused in one line" {
	wrong paths
	refused "there is no benchmark 'paths'; there is locks"
	wrong locks startup
	refused "more than one"
	wrong locks --runs 0
	refused "--runs 0"
	wrong locks --runs 3x
	refused "--runs 3x"
	wrong locks --warmup -1
	refused "--warmup -1"
	wrong locks --case bogus
	refused "mutex-contended"
	wrong locks --format xml
	refused "text, json or csv"
	wrong locks --bogus
	refused "'--bogus'"
	wrong --payload bogus
	refused "--payload"
	wrong locks --payload locks
	refused "--payload"
	wrong locks -O /nowhere/at/all
	refused "cannot be written"
	SPORK_SHIM=/nowhere/at/all wrong locks
	refused "SPORK_SHIM"
}

@test "an environment of the caller's does not reach what is measured" {
	export SPORK_OPTIONS=help=1:bogus=1
	run --separate-stderr quick -c mutex -f csv
	assert_success
	assert_equal "$stderr" ""
	assert_equal "${#lines[@]}" 5
}
