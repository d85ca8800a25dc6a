#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The README's tables against the tables of the code.

bats_require_minimum_version 1.5.0
load helper

@test "README lists every option with its default and meaning, and no other" {
	run --separate-stderr python3 - "$ROOT" <<-'PYTHON'
		import re, sys
		root = sys.argv[1]
		table = open(root + "/shim/config.def").read()
		code = {}
		for key, default, words, meaning in re.findall(
		        r'^(?:CHOICE|NUMBER|PATHS)\((\w+), "?([\w]+)"?, (.+?),\s*"([^"]*)"\)$', table, re.M):
		    code[key] = (default, meaning)
		text = open(root + "/README.md").read().split("## Options")[1].split("\n## ")[0]
		readme = {key: (default, meaning) for key, default, meaning in
		          re.findall(r"^\| `(\w+)` \| .* \| `(\w+)` \| (.*) \|$", text, re.M)}
		assert len(code) > 5
		assert code == readme, set(code.items()) ^ set(readme.items())
	PYTHON
	assert_success
}

@test "README lists every violation with its severity and when, and no other" {
	run --separate-stderr python3 - "$ROOT" <<-'PYTHON'
		import re, sys
		root = sys.argv[1]
		table = open(root + "/shim/violation.def").read()
		code = [(kind, severity.lower(), when) for kind, severity, when in
		        re.findall(r'^VIOLATION\(\w+, "([^"]+)", (\w+),\s*"([^"]*)"\)$', table, re.M)]
		text = open(root + "/README.md").read().split("## Violations")[1].split("\n## ")[0]
		readme = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.*) \|$", text, re.M)
		assert len(code) > 2
		assert code == readme, (code, readme)
	PYTHON
	assert_success
}

@test "help=1 prints every option" {
	run preload help=1 /bin/true
	assert_success
	keys=$(sed -n 's/^[A-Z]*(\([a-z_]*\),.*/\1/p' "$ROOT/shim/config.def")
	[ -n "$keys" ]
	for key in $keys; do
		grep -q "^spork: $key=" <<<"$output" || fail "$key is not printed"
	done
}
