#!/bin/bash
# Builds the backend and these tests against the software Metal (build/softmetal) and runs them: as it is, with small threadgroups,
# and with subnormals flushed as Apple GPUs do. Arguments name topics (see main.cc); none means all. BUILD_ONLY=1 stops before running.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
cd "$root"
out=build/metal-kernels
cxx=${SOFTMETAL_CLANG:-clang++-19}
JOBS=${JOBS:-2} test/softmetal/build.sh >/dev/null
mkdir -p "$out"
node scripts/embed-kernels.mjs "$out/kernel_sources.new"
cmp -s "$out/kernel_sources.new" "$out/kernel_sources.cc" || mv "$out/kernel_sources.new" "$out/kernel_sources.cc"

flags="-std=c++20 -O1 -g1 -fPIC -Inative -DWEIGHTNORM_METAL -ffp-contract=off -Wall -Wextra -MMD -MP"
objc="-fobjc-runtime=macosx-13.0 -fobjc-arc -fobjc-weak -fblocks -isystem test/apple/include"
for source in native/core/*.cc native/metal/*.mm native/test/metal_kernels/*.cc "$out/kernel_sources.cc"; do
  object="$out/$(echo "$source" | tr / _).o"
  stale=0
  [ -f "$object" ] && [ -f "${object%.o}.d" ] || stale=1
  if [ $stale = 0 ]; then
    for dependency in $(sed -e 's/^[^:]*: *//' -e 's/\\$//' "${object%.o}.d" | tr ' ' '\n' | grep -v ':$' | sort -u); do
      if [ ! -e "$dependency" ] || [ "$dependency" -nt "$object" ]; then stale=1; fi
    done
  fi
  [ $stale = 1 ] || continue
  case $source in *.mm) extra=$objc ;; *) extra= ;; esac
  echo "$cxx $flags $extra -c $source -o $object"
done | xargs -r -P "${JOBS:-2}" -I{} sh -c '{}'
objects=()
for source in native/core/*.cc native/metal/*.mm native/test/metal_kernels/*.cc "$out/kernel_sources.cc"; do
  objects+=("$out/$(echo "$source" | tr / _).o")
done
"$cxx" "${objects[@]}" build/softmetal/image.o -Lbuild/softmetal -lsoftmetal "-Wl,-rpath,$root/build/softmetal" -fuse-ld=lld \
  --rtlib=compiler-rt -lgcc_s -lpthread -o "$out/tests"

if [ -n "${BUILD_ONLY:-}" ]; then exit 0; fi
status=0
"$out/tests" "$@" || status=1
SOFTMETAL_MAX_THREADS=64 "$out/tests" "$@" || status=1
SOFTMETAL_FLUSH_SUBNORMALS=1 "$out/tests" "$@" || status=1
exit $status
