#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `make demo`: the main job on real, unmodified programs, before and after. Under a minute.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
spork=$PWD/$build/spork
child=$PWD/$build/victims/exit_static
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
unset SPORK_OPTIONS LD_PRELOAD

# Debian's, where another one comes first in PATH.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

say() {
	printf '\n\033[1m%s\033[0m\n' "$*"
}

# The number in column $1 of the line "call P50 P99 MIN", as milliseconds.
milliseconds() {
	awk -v column="$1" '$1 == "call" { printf "%.2f", $column / 1e6 }'
}

say "1. Node with 1 GB resident spawns children: how long does spawn() block its event loop?"
bare=$(node tests/bench/node.js 1000000000 40 "$child")
shim=$("$spork" run -O "$folder/node" -- node tests/bench/node.js 1000000000 40 "$child")
printf '   bare:      p50 %8s ms   p99 %8s ms\n' "$(milliseconds 2 <<<"$bare")" "$(milliseconds 3 <<<"$bare")"
printf '   spork run: p50 %8s ms   p99 %8s ms\n' "$(milliseconds 2 <<<"$shim")" "$(milliseconds 3 <<<"$shim")"
awk -v bare="$(milliseconds 2 <<<"$bare")" -v shim="$(milliseconds 2 <<<"$shim")" \
	'BEGIN { printf "   %.0f times less. What spork saw:\n", bare / shim }'
sed 's/^/   | /' "$folder/node"

say "2. git, python3 and bash: which of their forks can be made fast, and why not?"
git init -q "$folder/origin"
git -C "$folder/origin" -c user.name=demo -c user.email=demo@localhost commit -q --allow-empty -m first
"$spork" run -O "$folder/git" -- bash -c "
	for i in 1 2 3 4 5 6; do git clone -q file://$folder/origin $folder/clone\$i; done"
sed 's/^/   | /' "$folder/git"
"$spork" run -O "$folder/python" -- "$python" -c '
import os
for i in range(8):
    pid = os.fork()
    if not pid:
        os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)'
sed 's/^/   | /' "$folder/python"

say "3. A threaded program forks while its worker holds a lock; the child needs that lock. Bare:"
# Its status is not 0: it found its child hung, and says so.
timeout -k 1 10 "$build/victims/orphan_mutex" | sed 's/^/   | /' || true
say "   The same program, spork run: named before it hangs."
"$spork" run --color=never -- "$build/victims/orphan_mutex" 2>&1 | sed 's/^/   | /' || true

say "4. The same, with on_orphan=repair:"
"$spork" run -q -s on_orphan=repair -- "$build/victims/orphan_mutex" | sed 's/^/   | /'
