#!/bin/bash
# Compiles the shipped kernels to PTX: test/ptx/compile.sh [library ...] -> build/ptx/<library>.ptx (all libraries by default), and the
# add-on's choice of launches to build/ptx/plan.so.
# Needs clang++-19 and node; libraries that call exp, sin, tanh or pow also need CUDA's libdevice (CUDA_PATH or /usr/local/cuda)
# and are left out, with a word, where it is missing. No GPU needed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
cxx=${SOFTMETAL_CLANG:-clang++-19}
out=build/ptx
mkdir -p "$out"
"$cxx" -std=c++20 -O1 -fPIC -shared -static-libstdc++ -static-libgcc -Inative test/ptx/plan.cc native/metal/norm_plan.cc native/core/shape.cc \
  native/core/error.cc -o "$out/plan.so"
libdevice=${CUDA_PATH:-/usr/local/cuda}/nvvm/libdevice/libdevice.10.bc
if [ $# -eq 0 ]; then set -- $(cd native/metal/kernels && ls *.metal | sed 's/\.metal$//'); fi
status=0
for library in "$@"; do
  "$cxx" -E -x c++ -std=c++14 -nostdinc -D__METAL__ -D__METAL_VERSION__=300 -Itest/softmetal/msl/stubs "native/metal/kernels/$library.metal" |
    node test/ptx/translate.mjs >"$out/$library.cu"
  bitcode=()
  if [ -f "$libdevice" ]; then bitcode=(-Xclang -mlink-builtin-bitcode -Xclang "$libdevice"); fi
  "$cxx" -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=sm_90 -std=c++14 -O3 -ffp-contract=off -fno-exceptions \
    -nostdinc++ -Itest/ptx "${bitcode[@]}" -Wno-unknown-cuda-version -gline-tables-only -Xclang -target-feature -Xclang +ptx83 \
    -S "$out/$library.cu" -o "$out/$library.ptx.new" || { status=1; continue; }
  if grep -q '^\.extern .*__nv_' "$out/$library.ptx.new"; then
    rm "$out/$library.ptx.new"
    echo "ptx: $library left out: it needs $libdevice"
    continue
  fi
  mv "$out/$library.ptx.new" "$out/$library.ptx"
  echo "ptx: $out/$library.ptx, $(grep -c '^\.visible \.entry' "$out/$library.ptx") kernels"
done
exit $status
