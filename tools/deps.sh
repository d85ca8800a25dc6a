#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs the Debian packages that building and testing need, and says which.
# Called by the Makefile: tools/deps.sh SET...; the sets are below. Silent when nothing is missing; without
# the rights to install it names what is missing and exits 1. Servers are neither started nor made to start
# with the system: the tests start their own.
set -u

# The one list: set, package, and the command or file that also tells that it is there.
packages() {
	cat <<-LIST
		run  gcc           gcc
		run  make          make
		run  binutils      readelf
		run  libc6-dev     /usr/include/features.h
		run  libelf-dev    /usr/include/libelf.h
		run  libdw-dev     /usr/include/elfutils/libdwfl.h
		run  libiberty-dev /usr/include/libiberty/demangle.h
		run  libdebuginfod1 libdebuginfod.so.1
		run  g++           g++
		run  dwz           dwz
		run  xz-utils      xz
		run  bats          bats
		run  bats-assert   /usr/lib/bats/bats-assert/load.bash
		run  bats-support  /usr/lib/bats/bats-support/load.bash
		run  bash          bash
		run  bash-completion /usr/share/bash-completion/bash_completion
		run  dash          dash
		run  git           git
		run  mandoc        mandoc
		run  nodejs        node
		run  perl          perl
		run  procps        pgrep
		run  python3       python3
		run  at            at
		run  busybox       busybox
		run  cron          cron
		run  eatmydata     eatmydata
		run  fakeroot      fakeroot
		run  faketime      faketime
		run  fish          fish
		run  gdb           gdb
		run  groff-base    groff
		run  ksh93u+m      ksh93
		run  libgoogle-perftools-dev libtcmalloc.so
		run  libjemalloc-dev libjemalloc.so
		run  man-db        lexgrog
		run  mksh          mksh
		run  musl-tools    musl-gcc
		run  nginx         nginx
		run  openjdk-17-jdk-headless javac
		run  openssh-client ssh
		run  openssh-server /usr/sbin/sshd
		run  php-cli       php
		run  pkgconf       pkg-config
		run  python3-gi    /usr/lib/python3/dist-packages/gi/__init__.py
		run  python3-pyside2.qtcore /usr/lib/python3/dist-packages/PySide2/__init__.py
		run  redis-server  redis-server
		run  ruby          ruby
		run  strace        strace
		run  tcsh          tcsh
		run  tmux          tmux
		run  zsh           zsh
		long bubblewrap    bwrap
		long build-essential /usr/share/build-essential/essential-packages-list
		long chromium      chromium
		long clang         clang
		long debhelper     dh
		long debootstrap   /usr/sbin/debootstrap
		long dpkg-dev      dpkg-source
		long firejail      firejail
		long libclang-rt-14-dev /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.asan-$(uname -m).a
		long libpython3.11-testsuite /usr/lib/python3.11/test/test_subprocess.py
		long lintian       lintian
		long linux-perf    perf
		long ltrace        ltrace
		long postgresql    /usr/lib/postgresql
		long qemu-user-static qemu-x86_64-static
		long screen        screen
		long valgrind      valgrind
		deb  dpkg-dev      dpkg-buildpackage
		deb  build-essential /usr/share/build-essential/essential-packages-list
		deb  debhelper     dh
		deb  git           git
		deb  libelf-dev    /usr/include/libelf.h
		deb  libdw-dev     /usr/include/elfutils/libdwfl.h
		deb  libiberty-dev /usr/include/libiberty/demangle.h
		deb  bats          bats
		deb  bats-assert   /usr/lib/bats/bats-assert/load.bash
		deb  bats-support  /usr/lib/bats/bats-support/load.bash
		deb  procps        pgrep
		deb  python3       python3
		fuzz clang         clang
		fuzz libclang-rt-14-dev /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-$(uname -m).a
		lint clang         clang
		lint clang-format  clang-format
		lint shellcheck    shellcheck
		lint mandoc        mandoc
		lint gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
		lint libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/features.h
		aarch64 gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
		aarch64 libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/features.h
		aarch64 qemu-system-arm qemu-system-aarch64
		aarch64 cpio cpio
	LIST
}

present() {
	case $2 in
	/*) [ -e "$2" ] && return ;;
	*) command -v "$2" >/dev/null 2>&1 && return ;;
	esac
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=()
while read -r set package evidence; do
	case " $* " in
	*" $set "*) present "$package" "$evidence" || missing+=("$package") ;;
	esac
done < <(packages)
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	as_root=(false)
elif [ "$(id -u)" -eq 0 ]; then
	as_root=(env)
elif sudo -n true 2>/dev/null; then
	as_root=(sudo -n env)
else
	as_root=(false)
fi
if [ "${as_root[0]}" = false ]; then
	echo "missing, and no rights to install with apt-get: ${missing[*]}" >&2
	exit 1
fi

# Debian starts a server when it installs it, unless policy-rc.d says no: invoke-rc.d(8).
policy=/usr/sbin/policy-rc.d
if ! [ -e $policy ]; then
	trap '"${as_root[@]}" rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
	"${as_root[@]}" chmod 755 $policy
fi

# not_with_the_system PACKAGE...: what was installed to be tested is no service of this machine
not_with_the_system() {
	local package
	[ -d /run/systemd/system ] || return 0
	for package; do
		case $package in
		at) "${as_root[@]}" systemctl -q disable atd ;;
		cron | nginx | postgresql | redis-server) "${as_root[@]}" systemctl -q disable "$package" ;;
		openssh-server) "${as_root[@]}" systemctl -q disable ssh ;;
		esac
	done
}

echo "installing: ${missing[*]}"
apt() {
	"${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null
}
if apt update && apt install -y --no-install-recommends "${missing[@]}"; then
	not_with_the_system "${missing[@]}"
	exit
fi
echo "apt-get could not install: ${missing[*]}" >&2
exit 1
