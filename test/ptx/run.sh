#!/bin/bash
# Runs the compiled kernels (test/ptx/compile.sh) on this machine's NVIDIA GPU: float64 checks, the four compute-sanitizer tools, bandwidth.
# Needs python3 with numpy and torch, and the driver; compute-sanitizer is left out, with a word, where it is missing.
# Arguments choose among: check sanitize bench (all by default).
set -uo pipefail
cd "$(dirname "$0")"
status=0
want() { [ $# -eq 1 ] || return 0; [ -z "$chosen" ] || [[ " $chosen " == *" $1 "* ]]; }
chosen="$*"
if want check; then python3 check.py || status=1; fi
if want sanitize; then
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck synccheck initcheck; do
      echo "== $tool"
      timeout 150 compute-sanitizer --tool $tool --error-exitcode 3 python3 check.py --quick 2>&1 | tail -n 6
      [ "${PIPESTATUS[0]}" = 0 ] || status=1
    done
  else
    echo "compute-sanitizer is missing: memory and race checks were not run"
  fi
fi
if want bench; then python3 bench.py || status=1; fi
exit $status
