#!/bin/bash
# Builds the software Metal and runs its own tests. Usage: run-tests.sh [part of a test's name]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${SOFTMETAL_BUILD:-$here/../../build/softmetal}
"$here/build.sh" "$out"
out=$(cd "$out" && pwd)
cxx=${SOFTMETAL_CLANG:-clang++-19}
mkdir -p "$out/test"
flags="-std=c++20 -O1 -g1 -fPIC -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -ffp-contract=off -fobjc-runtime=macosx-13.0 -fobjc-arc -fobjc-weak -fblocks -isystem $here/../apple/include -I$here/include"
for source in "$here"/test/*.mm; do
  object="$out/test/$(basename "$source").o"
  if [ ! -f "$object" ] || [ "$source" -nt "$object" ] || [ "$here/test/harness.h" -nt "$object" ] || [ "$here/test/gpu.h" -nt "$object" ] || [ "$here/include/softmetal/control.h" -nt "$object" ]; then
    echo "$cxx $flags -c $source -o $object"
  fi
done | xargs -P "${JOBS:-2}" -I{} sh -c '{}'
"$cxx" $flags -shared "$here/test/module/plugin.mm" "$out/image.o" -L"$out" -lsoftmetal -Wl,-rpath,"$out" -fuse-ld=lld --rtlib=compiler-rt -lgcc_s -o "$out/test/plugin.so"
"$cxx" "$out"/test/*.o "$out/image.o" -L"$out" -lsoftmetal -Wl,-rpath,"$out" -fuse-ld=lld --rtlib=compiler-rt -lgcc_s -o "$out/test/softmetal-tests"
exec "$out/test/softmetal-tests" "$@" 2>"$out/test/stderr.log"
