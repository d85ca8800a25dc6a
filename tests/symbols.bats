#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What libspork.so exports and needs, against the table of hooks.

load helper

# The rows of hooks.def as "kind symbol version".
rows() {
	printf '#include <features.h>\n#define HOOK(kind, id, symbol, version, trait) @ kind symbol version\n%s\n' \
		'#include "hooks.def"' | "${CC:-gcc}" -E -P -D_GNU_SOURCE -iquote "$ROOT/shim" -x c - | grep -o '@ .*' |
		sed 's/^@ //'
}

# What the dynamic linker can find in the shim: "symbol" or "symbol@VERSION".
exports() {
	nm -D --defined-only "$SHIM" | awk '$2 != "A" { sub(/@@/, "@", $3); print $3 }' | sort
}

@test "the shim exports what the table lists, and nothing else" {
	rows | awk '{ print $3 ? $2 "@" $3 : $2 }' | sort >"$BATS_TEST_TMPDIR/rows"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/rows")" -gt 60 ]
	exports >"$BATS_TEST_TMPDIR/exports"
	run diff "$BATS_TEST_TMPDIR/rows" "$BATS_TEST_TMPDIR/exports"
	assert_output ""
}

@test "the table names each symbol and version once" {
	run bash -c "$(declare -f rows); ROOT='$ROOT'; rows | awk '{ print \$2, \$3 }' | sort | uniq -d"
	assert_output ""
}

@test "the spawn family is interposed" {
	exports >"$BATS_TEST_TMPDIR/exports"
	versioned=(posix_spawn posix_spawnp)
	# the only libc that the shim knows with functions from before 2.17
	[ "$(uname -m)" != x86_64 ] || versioned=(posix_spawn@GLIBC_2.2.5 posix_spawn@GLIBC_2.15
		posix_spawnp@GLIBC_2.2.5 posix_spawnp@GLIBC_2.15 pthread_atfork)
	for symbol in fork __fork _Fork vfork __vfork clone "${versioned[@]}" system popen pclose wordexp daemon forkpty \
		execl execle execlp execv execve execvp execvpe fexecve execveat _exit _Exit exit quick_exit \
		abort __register_atfork __cxa_finalize pthread_mutex_lock \
		pthread_mutex_trylock pthread_mutex_timedlock pthread_mutex_clocklock pthread_mutex_unlock \
		pthread_mutex_init pthread_mutex_destroy pthread_create; do
		grep -qx "$symbol" "$BATS_TEST_TMPDIR/exports" || fail "$symbol is not exported"
	done
}

@test "every interposed function exists in this libc" {
	libc=$(ldd "$SHIM" | awk '$1 == "libc.so.6" { print $3 }')
	nm -D --defined-only "$libc" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >"$BATS_TEST_TMPDIR/libc"
	rows | awk '{ print $2 }' | sort -u >"$BATS_TEST_TMPDIR/symbols"
	run comm -23 "$BATS_TEST_TMPDIR/symbols" "$BATS_TEST_TMPDIR/libc"
	assert_output ""
}

@test "the shim itself calls no allocator, stdio, environment or locale function" {
	run bash -c "nm -D --undefined-only '$SHIM' | sed 's/.* //; s/@.*//' |
		grep -xE '(m|c|re)alloc|free|.*printf.*|f?puts|f?write|fopen|getenv|setenv|strto.*|setlocale|dlopen|dlsym|dlvsym|pthread_mutex_.*'"
	assert_output ""
}

@test "libc is all that it needs" {
	run bash -c "readelf -d '$SHIM' | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'"
	assert_output libc.so.6
}
