#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Debian packages of the last commit: O=build tools/deb.sh VERSION, called by `make deb`. The packaging is
# tools/debian; here it is put where dpkg-buildpackage wants it, beside the tarball of `make dist`. All is made in
# $O/deb, and so are the packages; what the tools print goes to build.log there.
# DEB_BUILD_OPTIONS: as for dpkg-buildpackage, nocheck say.
set -u
# Which modes files have decides on the bytes of packages.
umask 022

version=$1
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
folder=${O:-build}/deb
log=$folder/build.log

fail() {
	echo "make deb: $*" >&2
	exit 1
}

packaged=$(dpkg-parsechangelog -l "$top/tools/debian/changelog" -S Version) || exit 1
[ "${packaged%-*}" = "$version" ] ||
	fail "tools/debian/changelog begins with $packaged, the Makefile has $version: one of them is behind"

rm -rf "$folder"
mkdir -p "$folder" || exit 1
folder=$(realpath "$folder")
source=$folder/spork-$version
"$top/tools/dist.sh" "$version" "$folder/spork_$version.orig.tar.gz" || exit 1
tar -xz --no-same-permissions -f "$folder/spork_$version.orig.tar.gz" -C "$folder" || exit 1
[ -d "$source/tools/debian" ] || fail "the last commit has no tools/debian"
cp -R "$source/tools/debian" "$source/debian"

echo "building spork $packaged; what is printed goes to $log"
# Nothing of this make's, nor of the caller's flags: packages are built as Debian's are.
if ! (cd "$source" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u O -u CC -u CFLAGS -u CPPFLAGS -u LDFLAGS \
	dpkg-buildpackage --no-sign --sanitize-env -j"$(nproc)") >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log" >&2
	fail "dpkg-buildpackage failed; see $log"
fi
rm -rf "$source"
ls "$folder"/*.deb
