#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# ELF files that nobody should believe, made by make_corpus_elf, and those in tests/corpus that fuzzing has found: read by
# scan, by run, and because a box names them. As corpus.bats.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

load helper

setup_file() {
	"$VICTIMS/make_corpus" "$BATS_FILE_TMPDIR"
	"$VICTIMS/make_corpus_elf" "$BATS_FILE_TMPDIR/elf"
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return 1
}

@test "ELF files: scanned, or one line of error, and run tells the same or nothing" {
	local file
	while read -r file; do
		sane "$file" scan
		sane "$file" scan -f json
		sane "$file" scan --follow-needed
		cp "$file" program
		chmod 700 program
		run --separate-stderr bounded "$SPORK" run -q -- ./program
		# what the kernel makes of it is no affair of ours: cannot be executed, or a signal
		[ "${#stderr_lines[@]}" -le 2 ] || fail "$file: $stderr"
	done < <(corpus_files elf)
}

@test "ELF files: a box may name them" {
	local file
	while read -r file; do
		"$PYTHON" - "$file" <<-'END'
			import sys
			path = sys.argv[1].encode()
			data = open("box/symbols", "rb").read()
			at = data.index(b"/proc/self/exe")
			open("named", "wb").write(data[:at] + path.ljust(464, b"\0") + data[at + 464:])
		END
		sane "$PWD/named" sites
	done < <(corpus_files elf)
}
