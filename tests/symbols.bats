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

# The functions of the public header, which are no libc's.
own() {
	sed -n 's/^[a-zA-Z].*[ *]\(avfork[a-z_]*\)(.*/\1/p' "$ROOT/shim/avfork.h"
	echo __asan_default_options # sanitizer.c
}

# What the dynamic linker can find in the shim: "symbol" or "symbol@VERSION".
exports() {
	nm -D --defined-only "$SHIM" | awk '$2 != "A" { sub(/@@/, "@", $3); print $3 }' | sort
}

@test "the shim exports what the table and the public header list, and nothing else" {
	own >"$BATS_TEST_TMPDIR/own"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/own")" -ge 6 ]
	rows | awk '{ print $3 ? $2 "@" $3 : $2 }' | sort - "$BATS_TEST_TMPDIR/own" >"$BATS_TEST_TMPDIR/rows"
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

# multiversioned [DIFFERENT]: "symbol version value" of what this libc has in several versions, or, with
# an argument, in versions that are not the same code
multiversioned() {
	libc=$(ldd "$SHIM" | awk '$1 == "libc.so.6" { print $3 }')
	nm -D --defined-only "$libc" | awk -v different="${1-}" '
		$2 != "A" && split($3, name, /@+/) == 2 {
			row[++rows] = name[1] " " name[2] " " $1
			symbol[rows] = name[1]
			versions[name[1]]++
			if (!((name[1], $1) in seen)) values[name[1]]++
			seen[name[1], $1] = 1
		}
		END {
			for (i = 1; i <= rows; i++)
				if ((different ? values[symbol[i]] : versions[symbol[i]]) > 1) print row[i]
		}'
}

@test "every version of a function that libc has in several is interposed, or all by one without a version" {
	local symbol version faults=''
	exports >"$BATS_TEST_TMPDIR/exports"
	multiversioned >"$BATS_TEST_TMPDIR/versions"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/versions")" -gt 20 ] || skip "this libc has hardly any"
	while read -r symbol version _; do
		grep -qxE "$symbol(@.*)?" "$BATS_TEST_TMPDIR/exports" || continue
		grep -qxE "$symbol(@$version)?" "$BATS_TEST_TMPDIR/exports" ||
			faults+=" $symbol@$version"
	done <"$BATS_TEST_TMPDIR/versions"
	assert_equal "$faults" ""
}

# Without a version in the shim, whoever asked for an old one gets the newest.
@test "functions whose versions differ in code have a row for each version" {
	local symbol version faults='' symbols=' '
	exports >"$BATS_TEST_TMPDIR/exports"
	multiversioned different >"$BATS_TEST_TMPDIR/versions"
	while read -r symbol version _; do
		if grep -qx "$symbol" "$BATS_TEST_TMPDIR/exports"; then
			[[ $symbols == *" $symbol "* ]] || symbols+="$symbol "
		fi
	done <"$BATS_TEST_TMPDIR/versions"
	# The newer one does for these all that the older one did: it knows more cases, or reports more errors.
	for symbol in $symbols; do
		case $symbol in
		fmemopen | glob | glob64 | lio_listio | lio_listio64 | pthread_kill | quick_exit | regexec) ;;
		*) faults+=" $symbol" ;;
		esac
	done
	assert_equal "$faults" ""
}

@test "memory that overlaps is moved by libc's memmove(), not by its memcpy()" {
	cat >"$BATS_TEST_TMPDIR/move.c" <<-'EOF'
		#include <string.h>
		void string_init(void);
		static void *backwards(void *to, const void *from, size_t size)
		{
			while (size--)
				((volatile char *)to)[size] = ((const char *)from)[size];
			return to;
		}
		static void *move(void *to, const void *from, size_t size)
		{
			for (size_t i = 0; i < size; i++)
				((volatile char *)to)[i] = ((const char *)from)[i];
			return to;
		}
		const void *real_libc(const char *name)
		{
			return !strcmp(name, "memcpy") ? backwards : !strcmp(name, "memmove") ? move : (void *)0;
		}
		int main(void)
		{
			char text[300];
			string_init();
			for (int i = 0; i < 300; i++)
				text[i] = (char)i;
			memmove(text, text + 1, 299);
			for (int i = 0; i < 299; i++)
				if (text[i] != (char)(i + 1))
					return 1;
			return 0;
		}
	EOF
	"${CC:-gcc}" -w -D_GNU_SOURCE -ffreestanding -iquote "$ROOT/shim" -o "$BATS_TEST_TMPDIR/move" \
		"$BATS_TEST_TMPDIR/move.c" "$ROOT/shim/string.c"
	run bounded "$BATS_TEST_TMPDIR/move"
	assert_equal "$status $output" "0 "
}
