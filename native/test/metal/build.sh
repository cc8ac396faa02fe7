#!/bin/bash
# Builds build/native-metal: the Metal backend and its tests against the software Metal. Recompiles only what changed.
# Usage: native/test/metal/build.sh && build/native-metal
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
cd "$root"
out=build/native-metal-objects
cxx=${SOFTMETAL_CLANG:-clang++-19}
mkdir -p "$out"
bash test/softmetal/build.sh >/dev/null
node scripts/embed-kernels.mjs "$out/kernel_sources.new"
cmp -s "$out/kernel_sources.new" "$out/kernel_sources.cc" || cp "$out/kernel_sources.new" "$out/kernel_sources.cc"

flags="-std=c++20 -O1 -g1 -fPIC -ffp-contract=off -Wall -Wextra -MMD -MP -Inative -Itest/softmetal/include"
objc="-x objective-c++ -fobjc-runtime=macosx-13.0 -fobjc-arc -fblocks -isystem test/apple/include -Wno-objc-protocol-method-implementation -Wno-nullability-completeness"
sources=$(node -p "const s = require('./sources.json'); s.common.filter((f) => f.includes('/core/')).join(' ')")
objects=()
pending=()
for source in $sources native/metal/*.mm native/test/metal/*.cc "$out/kernel_sources.cc"; do
  object="$out/$(echo "$source" | tr '/' '_').o"
  objects+=("$object")
  stale=0
  if [ ! -f "$object" ] || [ "$source" -nt "$object" ] || [ "$0" -nt "$object" ]; then
    stale=1
  else
    for dependency in $(sed -e 's/^[^:]*: *//' -e 's/\\$//' "${object%.o}.d" | tr ' ' '\n' | grep -v ':$' | grep -v '^/usr' || true); do
      if [ "$dependency" -nt "$object" ] || [ ! -e "$dependency" ]; then stale=1; break; fi
    done
  fi
  [ $stale = 0 ] || case "$source" in
    *.mm) pending+=("$cxx $flags $objc -c $source -o $object -MF ${object%.o}.d") ;;
    *) pending+=("$cxx $flags -c $source -o $object -MF ${object%.o}.d") ;;
  esac
done
if [ ${#pending[@]} -gt 0 ]; then printf '%s\n' "${pending[@]}" | xargs -P "${JOBS:-2}" -I{} sh -c '{}'; fi
"$cxx" --rtlib=compiler-rt -fuse-ld=lld ${LINK_FLAGS:-} "${objects[@]}" build/softmetal/image.o -Lbuild/softmetal -lsoftmetal \
  -Wl,-rpath,'$ORIGIN/softmetal' -o build/native-metal -lpthread -lgcc_s
echo "build/native-metal"
