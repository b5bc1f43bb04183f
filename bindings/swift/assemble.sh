#!/bin/bash
# Puts what the generator wrote where the package expects it: sources must lie under the package, and the header of the native
# library beside a module map that names the library to link.
#
#   assemble.sh FOLDER [PROBE]    the generator's output, for example target/uniffi/swift; PROBE is that of tests/probe
set -euo pipefail

[ $# = 1 ] || [ $# = 2 ] || { echo "usage: assemble.sh FOLDER [PROBE]" >&2; exit 2; }
generated=$(dirname "${BASH_SOURCE[0]}")/Generated

# A file that has not changed keeps its time: it would be compiled again otherwise, and it is the largest of the package.
put() { mkdir -p "$(dirname "$2")"; cmp -s "$1" "$2" || cp "$1" "$2"; }

# write FILE: the same with what comes in.
write() { mkdir -p "$(dirname "$1")"; cat >"$1.new"; put "$1.new" "$1"; rm "$1.new"; }

# module NAME HEADER LINES: the module map of the header.
module() { printf 'module %s [system] {\n    header "%s"\n%s    export *\n}\n' "$1" "$2" "$3"; }

put "$1/SnapTrakGenerated.swift" "$generated/SnapTrakGenerated/SnapTrakGenerated.swift"
put "$1/SnapTrakFFI.h" "$generated/SnapTrakFFI/SnapTrakFFI.h"
module SnapTrakFFI SnapTrakFFI.h $'    link "snaptrak_ffi"\n' | write "$generated/SnapTrakFFI/module.modulemap"
if [ $# = 2 ]; then
  # The generator takes for granted that all its Swift code is one module.
  { echo 'import SnapTrakGenerated'; cat "$2/SnapTrakProbe.swift"; } | write "$generated/SnapTrakProbe/SnapTrakProbe.swift"
  put "$2/SnapTrakProbeFFI.h" "$generated/SnapTrakProbeFFI/SnapTrakProbeFFI.h"
  # It is the library itself under another name, so nothing more is linked.
  module SnapTrakProbeFFI SnapTrakProbeFFI.h '' | write "$generated/SnapTrakProbeFFI/module.modulemap"
fi
