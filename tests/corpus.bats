#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Boxes, profiles and suppressions that nobody should believe, made by make_corpus, and those in tests/corpus that
# fuzzing has found: whatever reads them ends by itself, soon, in little memory, with a status of its own, and with one
# line of error at most.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

load helper

setup_file() {
	"$VICTIMS/make_corpus" "$BATS_FILE_TMPDIR"
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return 1
}

@test "boxes: every format ends with a report or a line of error" {
	local file
	while read -r file; do
		sane "$file" report
		sane "$file" report -f json
		sane "$file" report -f folded
		sane "$file" report -f dot
		sane "$file" report -f html
		sane "$file" report --gen-suppressions
	done < <(corpus_files box)
}

@test "boxes and profiles: sites" {
	local file
	while read -r file; do
		sane "$file" sites
		sane "$file" sites -f json
	done < <(corpus_files box && corpus_files profile)
}

@test "boxes: what is wrong with them is said" {
	local file want
	while read -r file want; do
		run --separate-stderr spork report "box/$file"
		assert_regex "$stderr" "box/$file: $want"
	done <<-'END'
		nothing is empty
		zeros is empty
		foreign is not a spork box
		cut_magic is not a spork box
		cut_header is cut off within its header
		newer was made by a newer spork .*use that one
		older was made by an older spork .*use that one
		cut_table is not complete: .*cut short
		cut_event is not complete: .*cut short
		offset_max is not complete: .*is damaged
		stride_zero is not complete: .*is damaged
		capacity_max is not complete: .*is damaged
	END
	# what is left of it is shown all the same
	run --separate-stderr spork report -f folded box/cut_event
	assert_equal "${#lines[@]} $(what_was_said | wc -l)" "5 1"
	for file in good kinds ones noise small_noise circles times markup long_names unready symbols; do
		run --separate-stderr spork report "box/$file"
		assert_equal "$file $status $(what_was_said)" "$file 0 "
	done
}

@test "boxes: JSON is JSON, and DOT is for graphviz to read" {
	local file
	while read -r file; do
		spork report -f json "$file" >>all.jsonl 2>error || continue
		spork report -f dot "$file" >out.dot 2>error
		! command -v dot >/dev/null || bounded dot -Tplain out.dot >/dev/null || fail "$file"
		spork report -f folded "$file" >out.folded 2>error
		! grep -vE '^[^;]+(;[^;]+)+ [0-9]+$' out.folded || fail "$file"
	done < <(corpus_files box)
	"$PYTHON" -c '
import json, sys
for line in open("all.jsonl", encoding="utf-8"):
    assert json.loads(line)["type"], line'
}

@test "profiles: the shim uses those that are sound, and the program runs" {
	local file
	while read -r file; do
		cp "$file" app.profile
		chmod 600 app.profile
		run --separate-stderr preload "profile=$PWD/app.profile" fork_exec 2
		assert_success
		[ -z "$stderr" ] || one_line "$stderr"
	done < <(corpus_files profile)
}

@test "suppressions: read, or refused with the line's number" {
	local file
	while read -r file; do
		sane box/kinds report --suppressions "$file" -O /dev/null
		sane box/kinds report --suppressions "$file" -f json -O /dev/null
		# the shim agrees with the tool about which are good, and the program runs
		run --separate-stderr spork report --suppressions "$file" box/kinds
		local tool=$status
		run --separate-stderr preload "suppressions=$file" fork_exec 1
		assert_success
		assert_equal "$file ${#stderr_lines[@]}" "$file $((tool != 0))"
	done < <(corpus_files suppression)
	for file in bad_kind:2 no_pattern:1 anchors:1 zero_byte:1; do
		run --separate-stderr spork report --suppressions "suppression/${file%:*}" box/kinds
		assert_regex "$stderr" "suppression/$file: is not of the form"
	done
}
