#!/bin/bash
# Builds the software Metal: build/softmetal/libsoftmetal.so, image.o (to link into every Objective-C module) and msl/ (kernel headers).
# Usage: test/softmetal/build.sh [output directory]. Recompiles only what changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/softmetal}
cxx=${SOFTMETAL_CLANG:-clang++-19}
jobs=${JOBS:-2}
mkdir -p "$out/objects"
out=$(cd "$out" && pwd)

command -v "$cxx" >/dev/null || { echo "softmetal: $cxx is missing: apt-get install --no-install-recommends clang-19 libclang-rt-19-dev llvm-19 lld-19" >&2; exit 1; }

warnings="-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-deprecated-objc-isa-usage -Wno-objc-protocol-method-implementation -Wno-nullability-completeness -Wno-unguarded-availability -Wno-objc-property-implementation -Wno-protocol -Wno-objc-designated-initializers -Wno-deprecated-declarations -Wno-unused-command-line-argument"
common="-x c++ -std=c++20 -O2 -g1 -fPIC -ffp-contract=off $warnings -MMD -MP"
objc="${common/-x c++/-x objective-c++} -fobjc-runtime=macosx-13.0 -fblocks -fno-objc-exceptions -fexceptions -isystem $here/../apple/include"

objects=()
pending=()
compile() { # source flags...
  local source=$1 object="$out/objects/$(echo "$1" | tr '/' '_').o"
  shift
  objects+=("$object")
  local rebuild=0
  if [ ! -f "$object" ] || [ "$here/build.sh" -nt "$object" ]; then rebuild=1; fi
  if [ $rebuild = 0 ] && [ -f "${object%.o}.d" ]; then
    for dependency in $(sed -e 's/^[^:]*: *//' -e 's/\\$//' "${object%.o}.d" | tr ' ' '\n' | grep -v ':$' | grep -v '^/usr' || true); do
      if [ "$dependency" -nt "$object" ] || [ ! -e "$dependency" ]; then rebuild=1; break; fi
    done
  fi
  if [ $rebuild = 1 ]; then pending+=("$cxx $* -c $here/$source -o $object -MF ${object%.o}.d"); fi
}

compile objc/message_x86_64.S $warnings
for f in "$here"/objc/*.cpp "$here"/engine/*.cpp "$here"/metal/*.cpp "$here"/mps/*.cpp; do
  source=${f#"$here"/}
  flags=$common
  if [ "$source" = mps/product.cpp ]; then flags="$common -O3 $(grep -q avx2 /proc/cpuinfo && echo -mavx2 -mf16c)"; fi
  compile "$source" $flags
done
for f in "$here"/foundation/*.mm; do compile "${f#"$here"/}" $objc -fno-objc-arc; done
for f in "$here"/metal/*.mm "$here"/mps/*.mm; do compile "${f#"$here"/}" $objc -fobjc-arc -fobjc-weak; done

if [ ${#pending[@]} -gt 0 ]; then
  printf '%s\n' "${pending[@]}" | xargs -P "$jobs" -I{} sh -c '{}'
fi
# The kernel headers and the library appear whole: other processes may be using the old ones.
rm -rf "$out/msl.new" && cp -r "$here/msl" "$out/msl.new"
if ! diff -rq "$out/msl.new" "$out/msl" >/dev/null 2>&1; then rm -rf "$out/msl" && mv "$out/msl.new" "$out/msl"; else rm -rf "$out/msl.new"; fi
cp "$out/objects/objc_image.cpp.o" "$out/image.o"
if [ ${#pending[@]} -gt 0 ] || [ ! -f "$out/libsoftmetal.so" ]; then
  "$cxx" -shared -fuse-ld=lld -Wl,-soname,libsoftmetal.so -Wl,-z,defs --rtlib=compiler-rt "${objects[@]}" -o "$out/libsoftmetal.so.new" -ldl -lpthread -lgcc_s
  mv "$out/libsoftmetal.so.new" "$out/libsoftmetal.so"
fi
echo "softmetal: $out/libsoftmetal.so"
