#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A tarball of the last commit: tools/dist.sh VERSION FILE. The same commit gives the same bytes.
# Called by `make dist` and by tools/deb.sh.
set -u
cd "$(dirname "$0")/.." || exit 1

# The folder's own, not that of a checkout in which somebody unpacked it.
if ! [ -e .git ]; then
	echo "make dist: this is no git checkout, and a tarball is made of a commit" >&2
	exit 1
fi
if ! git archive --format=tar --prefix="spork-$1/" HEAD | gzip -9n >"$2" || [ "${PIPESTATUS[0]}" -ne 0 ]; then
	rm -f "$2"
	exit 1
fi
git diff --quiet HEAD || echo "note: $2 has the last commit, without what was changed since"
