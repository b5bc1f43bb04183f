#!/bin/bash
# Runs a command inside the tool-chain that toolchain.sh made, in the current folder.
#
#   run.sh DEST COMMAND...
#
# The command sees the tool-chain, read-only, as its system, this repository at its own path, an empty /tmp of its own, and
# this machine's network (the tests talk to a server on a loopback port). Of the environment it gets what is named here and
# what begins with SNAPTRAK_: paths outside the repository that a variable of these names can be read too.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: run.sh DEST COMMAND..." >&2; exit 2; }
toolchain=$(realpath "$1")
shift
repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
[ -e "$toolchain/made-by" ] || { echo "swift: no tool-chain in $toolchain: toolchain.sh makes it" >&2; exit 1; }

outside=()
environment=(--clearenv --setenv PATH /usr/libexec/swift/bin:/usr/bin --setenv HOME /tmp --setenv LANG C.UTF-8)
while IFS='=' read -r -d '' name value; do
  case $name in SNAPTRAK_*) environment+=(--setenv "$name" "$value") ;; *) continue ;; esac
  case $value in "$repository"/*) ;; /*) outside+=(--ro-bind-try "$value" "$value") ;; esac
done < <(env -0)

exec bwrap --die-with-parent --unshare-pid \
  --tmpfs / --ro-bind "$toolchain/usr" /usr --ro-bind "$toolchain/etc" /etc \
  --symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
  --dev /dev --proc /proc --tmpfs /tmp "${outside[@]}" --bind "$repository" "$repository" --chdir "$PWD" \
  "${environment[@]}" -- "$@"
