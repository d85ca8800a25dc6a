#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# SPORK_OPTIONS and --set: what is wrong gets one line and changes nothing; what is right is silent. The
# options under test are those of shim/config.def.

load helper

stderr= # set by run --separate-stderr

# rows: KIND KEY DEFAULT and, by kind, the words, or the least and the most, of each row of config.def
rows() {
	"$PYTHON" -c '
import re, sys
text = re.sub(r"/\*.*?\*/", "", open(sys.argv[1]).read(), flags=re.S)
for kind, row in re.findall(r"^([A-Z]+)\((.*?)\)$", text, re.M | re.S):
    fields = [field.strip(" \"") for field in row.split(",")]
    print(kind, *fields[: 4 if kind == "NUMBER" else 3])
' "$ROOT/shim/config.def"
}

# refused OPTIONS WANT...: one line on stderr that matches each WANT, and the program runs on. It executes
# nothing: every process that inherits the options says its line.
refused() {
	run --separate-stderr preload "$1" fork_exec 0
	assert_success
	assert_line "0 spawns"
	one_line "$stderr"
	for want in "${@:2}"; do
		assert_regex "$stderr" "$want"
	done
}

# silent OPTIONS
silent() {
	run --separate-stderr preload "$1" fork_exec 0
	assert_success
	assert_line "0 spawns"
	assert_equal "$stderr" ""
}

@test "config.def can be read by this test" {
	run rows
	assert_success
	assert_line --regexp '^CHOICE reroute auto '
	assert_line --regexp '^NUMBER learn 3 1 1000'
	assert_line --regexp '^PATHS log stderr '
}

@test "an unknown key: one line that names it, and the program runs on" {
	refused nonsense=1 nonsense
	refused "learn=3:rerouet=off" rerouet
}

@test "a word that is no value: one line with the key and what it accepts" {
	refused reroute=sometimes reroute off auto vfork
	refused locks=maybe locks off on
	refused on_orphan=pray on_orphan report repair abort
	refused follow=yes follow 0 1
}

@test "a number out of range, or none: one line with the key and the range" {
	for value in 0 1001 -1 x 3x "" 99999999999999999999 0x10; do
		refused "learn=$value" learn 1 1000
	done
	for value in -1 1000001 1e3; do
		refused "reaudit=$value" reaudit 0 1000000
	done
}

@test "a key without a value: one line that names it" {
	refused reroute reroute
}

@test "what is refused keeps its default" {
	preload learn=0 fork_exec 1 2>/dev/null
	run --separate-stderr preload "locks=maybe" orphan_mutex 300
	assert_regex "$stderr" orphan-deadlock
}

@test "every value of every option is accepted in silence" {
	local kind key standard first second
	while read -r kind key standard first second; do
		echo "$kind $key"
		case $kind in
		CHOICE | PATHS)
			silent "$key=$standard"
			for word in ${first//|/ }; do
				silent "$key=$word"
			done
			;;
		NUMBER)
			for word in "$standard" "$first" "$second"; do
				silent "$key=$word"
			done
			;;
		esac
		if [ "$kind" = PATHS ]; then
			[ "$key" != suppressions ] || : >"$BATS_TEST_TMPDIR/$key" # it must be there
			silent "$key=$BATS_TEST_TMPDIR/$key"
		fi
	done < <(rows)
}

@test "no options, and empty ones, are no error" {
	silent ""
	silent "learn=3:"
	silent ":learn=3::locks=on"
}

@test "the last of two wins" {
	run --separate-stderr preload "locks=on:locks=off" orphan_mutex 300
	assert_equal "$stderr" ""
}

@test "options of absurd length do no harm" {
	run --separate-stderr preload "$(printf 'x%.0s' {1..60000})=1" fork_exec 0
	assert_success
	assert_line "0 spawns"
}

@test "help=1 prints the table: each key with its default" {
	run preload help=1 "$VICTIMS/fork_exec" 0
	assert_success
	local kind key standard rest
	while read -r kind key standard rest; do
		assert_line --regexp "$key.*$standard"
	done < <(rows)
}

@test "spork run --set refuses with 125 and one line, and runs nothing" {
	for setting in nonsense=1 learn=0 learn=1001 learn=x reroute=sometimes reroute follow=2 ""; do
		echo "--set '$setting'"
		run --separate-stderr spork run --set "$setting" -- touch "$BATS_TEST_TMPDIR/ran"
		assert_equal "$status" 125
		assert_equal "$output" ""
		one_line "$stderr"
		assert [ ! -e "$BATS_TEST_TMPDIR/ran" ]
	done
}

@test "spork run --set names the key and what it accepts" {
	run --separate-stderr spork run -s learn=0 -- true
	assert_regex "$stderr" "^spork: "
	assert_regex "$stderr" learn
	assert_regex "$stderr" 1
	assert_regex "$stderr" 1000
	run --separate-stderr spork run -s reroute=x -- true
	assert_regex "$stderr" reroute
	assert_regex "$stderr" vfork
}

@test "spork run --set accepts what the shim accepts, more than once" {
	run --separate-stderr spork run -q -s learn=1000 -s reroute=off --set follow=0 -- true
	assert_success
	assert_equal "$stderr" ""
}

@test "spork run adds to SPORK_OPTIONS of the environment" {
	SPORK_OPTIONS=locks=off run --separate-stderr spork run -q -s learn=5 -- "$VICTIMS/orphan_mutex" 300
	assert_equal "$stderr" ""
}
