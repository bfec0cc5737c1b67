#!/usr/bin/env bash
# One call on a bare GPU machine (Python 3.12, torch 2.11, triton 3.6, nvcc, cmake, ninja, pybind11; no network), under
# nine minutes: builds the extension, runs the kernels' tests on the device and every GPU benchmark beside its peers.
# A part that fails does not stop the rest. Last comes a table; the JSON with all rows goes to $OUT (default ./gpu-out).
#
#   OUT=results WHEELS=folder benchmarks/gpu_check.sh     # wheels of peers that the machine lacks: inf-cl, ...
#   benchmarks/gpu_check.sh --dry-run                     # every step on the CPU, in sizes of a few rows
set -u
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-out}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
parts=$(mktemp -d)
dry=()
[ "${1:-}" = --dry-run ] && dry=(--dry-run)
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

run() {  # run NAME SECONDS COMMAND...: into the log, stopped after so many seconds
  local name=$1 limit=$2
  shift 2
  echo "== $name"
  timeout "$limit" "$@" >"$parts/$name.log" 2>&1
  local status=$?
  tail -n 3 "$parts/$name.log"
  [ $status -eq 0 ] || echo "!! $name ended with status $status"
}

if [ -n "${WHEELS:-}" ]; then
  run wheels 60 "$PYTHON" -m pip install -q --no-index --no-deps --target "$parts/site" "$WHEELS"/*.whl
  export PYTHONPATH="$parts/site${PYTHONPATH:+:$PYTHONPATH}"
fi
if [ ${#dry[@]} -eq 0 ]; then
  run build 120 "$PYTHON" setup.py -q build --build-base "$parts/build" --build-lib "$parts/lib"
  mkdir -p "$parts/tests" && cp -r tests benchmarks pyproject.toml "$parts/tests"  # tests see the build, not this tree
  export PYTHONPATH="$parts/lib${PYTHONPATH:+:$PYTHONPATH}"
  root=$parts/tests
else
  export TRITON_INTERPRET=1
  root=.
fi
bench=$PWD/benchmarks/gpu
selected=$([ ${#dry[@]} -eq 0 ] && echo "not slow" || echo "not slow and not gpu")
ignored=(--ignore tests/kernels/test_aot.py)
cd "$root" || exit 1
if [ ${#dry[@]} -eq 0 ]; then
  run tests 150 "$PYTHON" -m pytest -q -m "$selected" "${ignored[@]}" tests/kernels
else
  run tests 150 "$PYTHON" -m pytest -q -m "$selected" "${ignored[@]}" tests/kernels/test_encoder_kernels.py
fi
cd - >/dev/null || exit 1
run ceilings 30 "$PYTHON" "$bench/ceilings.py" --out "$parts/ceilings.json" "${dry[@]}"
run loss 130 "$PYTHON" "$bench/loss.py" --out "$parts/loss.json" "${dry[@]}"
run neighbours 80 "$PYTHON" "$bench/neighbours.py" --out "$parts/neighbours.json" "${dry[@]}"
run encoder 120 "$PYTHON" "$bench/encoder.py" --out "$parts/encoder.json" "${dry[@]}"
cat "$parts"/*.log >"$OUT/gpu_check.log"
"$PYTHON" "$bench/report.py" "$parts"/{ceilings,loss,neighbours,encoder}.json --out "$OUT/gpu_check.json" \
  --tests "$(tail -n 1 "$parts/tests.log")"
rm -rf "$parts"
