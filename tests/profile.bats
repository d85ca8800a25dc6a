#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Profiles: what one run learned serves the next, and a file that cannot be trusted serves nobody.

load helper

setup() {
	PROFILE=$BATS_TEST_TMPDIR/app.profile
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "${FOLDER-}" ] || rm -rf "$FOLDER"
}

# learn [PROG ARGS...]: a run that fills the profile
learn() {
	[ $# -gt 0 ] || set -- fork_exec 10
	# A site that comes out of a profile may meet its re-audit at any spawn.
	record -s reaudit=0 -p "$PROFILE" -- "$@"
}

# The profile's attributes and content
state() {
	stat -c '%a %U %F' "$PROFILE"
	[ ! -f "$PROFILE" ] || sha256sum <"$PROFILE"
}

# A profile that is not used: one line that says why, the run goes on, the file stays as it was.
left_alone() {
	local before

	before=$(state)
	run --separate-stderr preload "profile=$PROFILE" fork_exec 5
	assert_success
	assert_line "5 spawns"
	# shellcheck disable=SC2154 # set by run
	one_line "$stderr"
	assert_regex "$stderr" "^spork: profile: .*$1"
	assert_equal "$(state)" "$before"
	run spork run -p "$PROFILE" -- "$VICTIMS/fork_exec" 5
	[ "$2" = shim ] || assert_equal "$status" 125
}

@test "a second run is fast from its first spawn" {
	learn
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
	assert_equal "$(stat -c %a "$PROFILE")" 600
	learn
	assert_equal "$(query 'site["state"]')" promoted
	assert_equal "$(query 'site["by_tier"].get("fork", 0)')" 0
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 10
	assert_equal "$(query 'site["spawns"]')" 10
	same_as_bare fork_exec 10
}

@test "without the tool, too, and nothing else is left behind" {
	mkdir only
	cd only
	for _ in 1 2; do
		run --separate-stderr preload "profile=$PWD/app.profile" fork_exec 10
		assert_success
		assert_equal "$stderr" ""
	done
	assert_equal "$(ls -A)" app.profile
	run spork run -s reaudit=0 -p app.profile -- "$VICTIMS/fork_exec" 10
	assert_line --regexp 'fork +10 +0 +10 '
	assert_equal "$(ls -A)" app.profile
}

@test "programs that spawn once learn from run to run" {
	for _ in 1 2 3; do
		learn fork_exec 1
		assert_equal "$(query 'site["by_tier"]["fork"]')" 1
	done
	learn fork_exec 1
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 1
}

@test "a refused site is not audited again" {
	learn fork_heap 5
	assert_equal "$(query 'site["state"]')" refused
	assert_equal "$(query 'summary["audits"]')" 1
	learn fork_heap 5
	assert_equal "$(query 'site["state"]')" refused
	assert_equal "$(query 'summary["audits"]')" 0
	assert_equal "$(query 'site["by_tier"]["fork"]')" 5
}

@test "what children write is put back in later runs" {
	learn fork_static 10
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
	learn fork_static 10
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 10
	run preload "profile=$PROFILE" fork_static 10
	assert_success
}

@test "orders of calls that a profile does not know are learned and added" {
	learn fork_paths AAAAA
	learn fork_paths AACA
	assert_equal "$(query 'site["upgrades"]')" 1
	learn fork_paths AACA
	assert_equal "$(query 'site["upgrades"]')" 0
	assert_equal "$(query 'site["by_tier"]["vfork"]')" 4
}

@test "several programs share a profile, also at the same time" {
	learn fork_exec 5
	learn fork_static 5
	for program in fork_environ fork_signals fork_paths; do
		preload "profile=$PROFILE" "$program" >/dev/null 2>&1 &
	done
	wait
	spork sites -f json -O record.jsonl "$PROFILE"
	run query 'sorted(site["module"] if "module" in site else site["id"].split("+")[0] for site in sites)'
	for program in fork_exec fork_static fork_environ fork_signals fork_paths; do
		assert_line "$program"
	done
}

@test "runs that are too short for a re-audit have one now and then" {
	local audits=0 i

	for ((i = 0; i < 40; i++)); do
		record -s reaudit=4 -p "$PROFILE" -- fork_exec 1
		[ "$i" -lt 3 ] || audits=$((audits + $(query 'summary["audits"]')))
	done
	[ "$audits" -gt 0 ] || fail "none in 37 runs"
	[ "$audits" -lt 37 ] || fail "in every run"
}

@test "sites: shows a profile" {
	learn
	run spork sites "$PROFILE"
	assert_success
	assert_line --regexp '^fork_exec\+0x[0-9a-f]+ +fork +promoted '
	assert_line --partial "xfork"
}

@test "another build of the program starts anew, another build of spork too" {
	cp "$VICTIMS/fork_exec" app
	learn "$PWD/app" 5
	learn "$PWD/app" 5
	assert_equal "$(query 'site["by_tier"].get("fork", 0)')" 0
	printf '\4\0\0\0\24\0\0\0\3\0\0\0GNU\0%s' 01234567890123456789 >note
	objcopy --update-section .note.gnu.build-id=note app
	learn "$PWD/app" 5
	assert_equal "$(query 'site["by_tier"]["fork"]')" 3
	cp "$SHIM" other.so
	objcopy --update-section .note.gnu.build-id=note other.so
	run --separate-stderr bounded env LD_PRELOAD="$PWD/other.so" SPORK_OPTIONS="profile=$PROFILE" ./app 5
	assert_success
	one_line "$stderr"
	assert_regex "$stderr" "^spork: profile: .*another build"
}

@test "not used: writable by others" {
	learn
	chmod 620 "$PROFILE"
	left_alone "written by others"
	chmod 602 "$PROFILE"
	left_alone "written by others"
}

@test "not used: of another user" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	learn
	chown nobody "$PROFILE"
	left_alone "another user"
}

@test "not used: a symbolic link, a folder, another file" {
	learn
	mv "$PROFILE" real
	ln -s real "$PROFILE"
	left_alone "cannot be opened"
	rm "$PROFILE"
	mkdir "$PROFILE"
	left_alone "not a regular file"
	rmdir "$PROFILE"
	echo "some text that somebody needs" >"$PROFILE"
	left_alone "not a profile"
	mkfifo fifo
	mv -T fifo "$PROFILE"
	run preload "profile=$PROFILE" fork_exec 2
	assert_success
}

@test "not used: cut short, or damaged anywhere" {
	learn
	cp "$PROFILE" good
	size=$(stat -c %s good)
	for length in 1 100 8191 8192 $((size - 1)) $((size / 2)); do
		head -c "$length" good >"$PROFILE"
		left_alone "not a profile" shim
	done
	for at in 9 60 8200 9000 $((size / 2)) $((size - 3)); do
		cp good "$PROFILE"
		printf '\377' | dd of="$PROFILE" bs=1 seek="$at" conv=notrunc status=none
		cmp -s good "$PROFILE" || left_alone "not a profile" shim
	done
}

@test "a folder that is not there: one line, and the program runs" {
	run --separate-stderr preload "profile=$PWD/none/app.profile" fork_exec 5
	assert_success
	one_line "$stderr"
	assert_regex "$stderr" "^spork: profile: .*does not exist"
}

@test "no room for the file: the program does not notice" {
	run --separate-stderr bounded bash -c "ulimit -f 1; LD_PRELOAD=$SHIM SPORK_OPTIONS=profile=$PROFILE \
		$VICTIMS/fork_exec 5"
	assert_success
	assert_line "5 spawns"
	assert [ ! -e "$PROFILE" ]
}

@test "a relative path is refused: each executed program would take it for another file" {
	run --separate-stderr preload "profile=app.profile" bash -c "'$VICTIMS/fork_exec' 5; (exit 0)"
	assert_success
	assert_line "5 spawns"
	one_line "$stderr"
	assert_regex "$stderr" "^spork: profile: app.profile is not an absolute path"
	assert [ ! -e app.profile ]
}

@test "a site that another process demoted meanwhile stays demoted" {
	local other

	learn profile_demote
	preload "profile=$PROFILE:reaudit=0" profile_demote "$PWD/ready" "$PWD/go" 3>&- &
	other=$!
	for _ in {1..500}; do
		[ ! -e ready ] || break
		sleep 0.01
	done
	record -q -s reaudit=2 -s log=none -p "$PROFILE" -- profile_demote leak
	: >go
	wait "$other"
	spork sites -f json -O record.jsonl "$PROFILE"
	assert_equal "$(query 'sorted(s["state"] for s in sites if "profile_demote" in s["id"])')" \
		"$(printf 'demoted\npromoted')"
	assert_equal "$(query '[s["reason"] for s in sites if s["state"] == "demoted"]')" writes-heap
}

@test "what a run finds by its own circumstances is not kept" {
	cp /bin/true program
	learn fork_exec 5 "$PWD/program"
	rm program
	learn fork_exec 60 "$PWD/program"
	assert_equal "$(query 'site["state"]')" demoted
	assert_equal "$(query 'site["reason"]')" exec-failed
	cp /bin/true program
	learn fork_exec 10 "$PWD/program"
	assert_equal "$(query 'site["state"]')" promoted
}

@test "programs that run as another user say nothing about a profile that is not theirs" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	needs setpriv
	local user=(setpriv --reuid=65534 --regid=65534 --clear-groups) profile

	bounded "${user[@]}" cat "$SHIM" "$VICTIMS/fork_exec" >/dev/null 2>&1 ||
		skip "other users cannot read the build"
	# Those of bats are closed to others.
	FOLDER=$(mktemp -d)
	chmod 755 "$FOLDER"
	profile=$FOLDER/app.profile
	# No file yet, one that cannot be read, one that can, a folder that cannot be searched.
	for mode in none 600 644 closed; do
		case $mode in
		600) record -s reaudit=0 -p "$profile" -- fork_exec 10 ;;
		644) chmod 644 "$profile" ;;
		closed) chmod 700 "$FOLDER" ;;
		esac
		run --separate-stderr preload "profile=$profile" "${user[@]}" "$VICTIMS/fork_exec" 5
		assert_success
		assert_line "5 spawns"
		assert_equal "$stderr" ""
	done
	# It is told where the folder is one's own.
	chmod 755 "$FOLDER"
	chown 65534 "$FOLDER"
	run --separate-stderr preload "profile=$profile" "${user[@]}" "$VICTIMS/fork_exec" 5
	one_line "$stderr"
}

@test "nobody's file is taken for the lock" {
	for name in tmp spork-new; do
		echo "somebody's" >"$PROFILE.$name"
		touch -d '1 hour ago' "$PROFILE.$name"
	done
	chmod 644 "$PROFILE.spork-new"
	run --separate-stderr preload "profile=$PROFILE" fork_exec 5
	assert_success
	assert_equal "$stderr" ""
	assert_equal "$(cat "$PROFILE.tmp" "$PROFILE.spork-new")" "$(printf "somebody's\nsomebody's")"
	assert [ ! -e "$PROFILE" ]
}

@test "a lock that was left behind is no obstacle, be it from the past or from the future" {
	for when in '1 minute ago' '1 hour'; do
		rm -f "$PROFILE"
		(umask 077 && : >"$PROFILE.spork-new")
		touch -d "$when" "$PROFILE.spork-new"
		run preload "profile=$PROFILE" fork_exec 5
		assert_success
		assert [ -s "$PROFILE" ]
		assert [ ! -e "$PROFILE.spork-new" ]
	done
}

@test "a lock in use is waited for, and left to its owner" {
	(umask 077 && : >"$PROFILE.spork-new")
	run --separate-stderr preload "profile=$PROFILE" fork_exec 5
	assert_success
	assert_equal "$stderr" ""
	assert [ -e "$PROFILE.spork-new" ]
	assert [ ! -e "$PROFILE" ]
}

@test "nothing is written to a program's descriptor 2 when saving fails" {
	run bounded bash -c "ulimit -f 1; exec 2>data; LD_PRELOAD=$SHIM SPORK_OPTIONS=profile=$PROFILE \
		$VICTIMS/fork_exec 5"
	assert_success
	assert [ ! -s data ]
}

@test "a program that confines itself is not ended for saving what it learned" {
	run "$VICTIMS/seccomp_confined" exit 0
	[ "$status" -ne 77 ] || skip "no seccomp filters here"
	for what in exit fork vfork; do
		rm -f "$PROFILE"
		run --separate-stderr preload "profile=$PROFILE" seccomp_confined $what 5
		assert_success
		assert_line "confined"
		assert_equal "$stderr" ""
		assert [ ! -e "$PROFILE.spork-new" ]
	done
}

@test "git profits from its second run on" {
	needs git
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 HOME=$PWD
	git init -q -b main repo
	git -C repo -c user.name=A -c user.email=a@example.org commit -q --allow-empty -m one
	for _ in 1 2 3; do
		record -p "$PROFILE" -- git -C repo -c 'alias.twice=!true' -c core.pager=cat twice
		record -p "$PROFILE" -- git -C repo -c 'filter.x.clean=cat' rev-parse HEAD
	done
	record -p "$PROFILE" -- git -C repo -c 'alias.twice=!true' twice
	assert [ "$(query 'summary["by_tier"]["vfork"]')" -gt 0 ]
}
