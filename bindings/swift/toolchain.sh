#!/bin/bash
# Puts a Swift tool-chain into one folder, without touching the system: packages of a pinned Debian suite are resolved by
# apt against an empty package database, downloaded, unpacked (no maintainer script runs) and the downloads removed.
# Where the packages come from is the machine's own affair: the host is the one that its apt sources name.
#
#   toolchain.sh DEST        about 550 MB to download, 1.1 GB on disk
#
# A folder that is complete and was made by this very script is left as it is.
set -euo pipefail

[ $# = 1 ] || { echo "usage: toolchain.sh DEST" >&2; exit 2; }
destination=$1

suite=trixie
# What compiles is pinned to the revision. The C library follows its security fixes within one upstream version, because a
# point release of the suite takes the older revision away.
packages=(
  'swiftlang=6.0.3-2'
  'libstdc++-14-dev=14.2.0-19'
  'libc6-dev=2.41-*'
  'bash=5.2.37-*'
  'coreutils=9.7-*'
)
# The compiler brings its own clang and linker: gcc's compilers, sanitizers and the like are resolved but not unpacked.
unneeded_packages='gcc-1*-x86-64* gcc-x86* cpp-* lib*san*_* openssl-provider* tzdata* libsystemd0*'
# Of the compiler's package, what no build of this repository runs: debugger, language server, documentation, the static and
# the embedded standard library.
unneeded_files=(
  ./usr/share/doc ./usr/share/man ./usr/share/locale ./usr/share/info './usr/share/swift/*docc*'
  './usr/libexec/swift/bin/lldb*' './usr/libexec/swift/lib/liblldb*' ./usr/libexec/swift/bin/repl_swift
  ./usr/libexec/swift/bin/clangd ./usr/libexec/swift/bin/sourcekit-lsp './usr/libexec/swift/lib/libsourcekitd*'
  ./usr/libexec/swift/bin/docc ./usr/libexec/swift/bin/swift-format './usr/libexec/swift/lib/libLTO*'
  ./usr/libexec/swift/lib/swift_static ./usr/libexec/swift/lib/swift/embedded
)

made_by=$(sha256sum "${BASH_SOURCE[0]}" | cut -d' ' -f1)
if [ "$(cat "$destination/made-by" 2>/dev/null)" = "$made_by" ]; then
  echo "swift: the tool-chain is there"
  exit 0
fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
sources=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true)
origin=$(sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb (\[[^]]*\] )?([^ ]+).*/\2/p' <<<"$sources" | grep -m1 '/debian/*$' || true)
[ -n "$origin" ] && [ -r "$keyring" ] || { echo "swift: this machine has no apt source of Debian, or no keyring for it" >&2; exit 1; }

work=$destination.work
rm -rf "$work" "$destination"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial,cache/archives/partial,root}
echo "deb [signed-by=$keyring] $origin $suite main" >"$work/etc/sources.list"
: >"$work/state/status"
apt=(
  apt-get -qq
  -o "Dir::Etc=$work/etc" -o "Dir::Etc::sourcelist=$work/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" -o "Dir::Cache=$work/cache"
  -o APT::Install-Recommends=false -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3
  -o Debug::NoLocking=1
)
started=$SECONDS
echo "swift: downloading ${packages[0]} and what it needs from $suite"
"${apt[@]}" update
"${apt[@]}" -y --download-only install "${packages[@]}" >/dev/null
downloaded=$SECONDS

# The suite has merged its top folders into usr, and the packages rely on it.
root=$work/root
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root/etc"
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
for package in "$work"/cache/archives/*.deb; do
  for pattern in $unneeded_packages; do
    # shellcheck disable=SC2254 # A pattern is meant.
    case ${package##*/} in $pattern) continue 2 ;; esac
  done
  dpkg-deb --fsys-tarfile "$package" |
    tar -x --no-same-owner -C "$root" --keep-directory-symlink "${unneeded_files[@]/#/--exclude=}"
done
echo "$made_by" >"$root/made-by"
mv "$root" "$destination"
echo "swift: downloaded in $((downloaded - started)) s, unpacked in $((SECONDS - downloaded)) s, $(du -sh "$destination" | cut -f1)"
