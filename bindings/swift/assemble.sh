#!/bin/bash
# Puts what the generator wrote where the package expects it: sources must lie under the package, and the header of the native
# library beside a module map that names the library to link.
#
#   assemble.sh FOLDER       the generator's output, for example target/uniffi/swift
set -euo pipefail

[ $# = 1 ] || { echo "usage: assemble.sh FOLDER" >&2; exit 2; }
generated=$(dirname "${BASH_SOURCE[0]}")/Generated

# A file that has not changed keeps its time: it would be compiled again otherwise, and it is the largest of the package.
put() { mkdir -p "$(dirname "$2")"; cmp -s "$1" "$2" || cp "$1" "$2"; }

put "$1/SnapTrakGenerated.swift" "$generated/SnapTrakGenerated/SnapTrakGenerated.swift"
put "$1/SnapTrakFFI.h" "$generated/SnapTrakFFI/SnapTrakFFI.h"
put <(cat <<'MAP'
module SnapTrakFFI [system] {
    header "SnapTrakFFI.h"
    link "snaptrak_ffi"
    export *
}
MAP
) "$generated/SnapTrakFFI/module.modulemap"
