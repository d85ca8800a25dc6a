# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Runs stress_window under the shim and checks its counts: loaded after helper by the tests that do so.

# stress OPTION... -- SPAWNS THREADS SEED: nothing but zeros after the first line, and windows all the while
stress() {
	local options=() row

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	LIMIT=${LIMIT:-60} record -s locks=off "${options[@]}" -- stress_window "${@:2}"
	for row in "words changed" "children ended otherwise" "phantom children, 0 SIGCHLD too many or too few" \
		"processes left behind" "handlers in a window" "faults of other threads" "descriptors leaked" \
		"mappings leaked"; do
		grep -qx "0 $row" "$BATS_TEST_TMPDIR/record.out" || fail "$(cat "$BATS_TEST_TMPDIR/record.out")"
	done
	# some of its children start threads, as children of a process with several should not
	assert_equal "$(query '[v["kind"] for v in violations if v["kind"] != "child-thread"]')" ""
	assert [ "$(query 'summary["by_tier"]["vfork"]')" -gt "$(($2 * 3 / 4))" ]
	assert [ "$(query 'summary["upgrades"]')" -ge "$(($2 / 20))" ]
	assert_equal "$(query '[s["symbol"] for s in sites if s["state"] == "demoted"]')" ""
}
