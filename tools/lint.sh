#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The part of `make lint` that is not a compiler: clang-format, shellcheck, mandoc, and no path of one machine
# in any file. Reads tracked files, and new ones that git does not ignore; and the manual pages that are named, since
# most of them are built: tools/lint.sh PAGE...
set -u
cd "$(dirname "$0")/.." || exit 1

status=0
fail() {
	echo "lint: $*" >&2
	status=1
}

files() {
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[ -f "$file" ] && echo "$file"
	done
}

mapfile -t sources < <(files '*.c' '*.cc' '*.h')
mapfile -t scripts < <(files '*.sh' '*.bash' '*.bats' .ci/run tests/run tests/bench/programs \
	tests/aarch64/run tests/aarch64/init tests/fuzz/run tools/debian/tests/installed)
mapfile -t all < <(files)
if [ ${#sources[@]} -eq 0 ] || [ ${#scripts[@]} -eq 0 ]; then
	fail "found no files; is this a git checkout?"
	exit 1
fi

for file in "${sources[@]}"; do
	clang-format --dry-run -Werror "$file" 2>/dev/null || fail "$file: needs clang-format -i"
done
shellcheck -x "${scripts[@]}" || fail "shellcheck"

# All that mandoc has to tell, of the level "base" and up: unknown macros, order of sections and references, long
# lines, blanks at their ends, a page of ours that there is not. Whether this machine has the pages of others is not
# looked at.
pages=$(mktemp -d) || exit 1
trap 'rm -rf "$pages"' EXIT
if [ $# -eq 0 ] || ! cp "$@" "$pages"; then
	fail "no manual pages"
fi
(cd "$pages" && mandoc -Tlint -W base ./*) 2>&1 |
	grep -vP 'outdated mandoc\.db lacks|referenced manual not found: Xr (?!spork|avfork)' &&
	fail "mandoc -Tlint"

# Places that exist on one machine only: home and work folders, and where this checkout lies.
here=$(git rev-parse --show-toplevel)
for path in "$here/" '/(home|root|work|farm)/[[:alnum:].]'; do
	grep -nIE -e "(^|[^[:alnum:]_./])$path" -- "${all[@]}" && fail "a path of one machine"
done
exit $status
