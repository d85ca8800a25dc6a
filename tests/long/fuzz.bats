#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The fuzz targets are built, and find nothing in a short time: that they do not rot.

load ../helper

@test "make fuzz: half a minute a target" {
	run timeout 900 env -u BUILD FUZZ_SECONDS="${FUZZ_SECONDS:-30}" make -C "$ROOT" O="$BUILD" fuzz 3>&-
	assert_success
	assert_output --partial "symbol: "
}
