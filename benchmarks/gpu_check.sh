#!/usr/bin/env bash
# One call on a bare GPU machine (Python 3.12, torch 2.11, triton 3.6, cmake, ninja, pybind11; no network), under nine
# minutes: builds the extension, runs the kernels' tests on the device and every GPU benchmark beside its peers. A
# part that fails does not stop the rest. Last comes a table; a JSON file with all rows goes to $OUT (./gpu-out).
#
#   OUT=results WHEELS=folder benchmarks/gpu_check.sh     # wheels of peers that the machine lacks: inf-cl, ...
#   benchmarks/gpu_check.sh --dry-run                     # every step on the CPU, in sizes of a few rows
set -u
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-out}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
parts=$(mktemp -d)
dry=() patience=1
[ "${1:-}" = --dry-run ] && dry=(--dry-run) patience=4
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

run() {  # run NAME SECONDS COMMAND...: into the log, stopped after so many seconds
  local name=$1 limit=$(($2 * patience))
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
run build 100 "$PYTHON" setup.py -q build --build-base "$parts/build" --build-lib "$parts/lib"
# Tests run in a copy beside the build, so that they can't see this tree's package.
mkdir "$parts/tree" && cp -r tests benchmarks pyproject.toml "$parts/tree"
export PYTHONPATH="$parts/lib${PYTHONPATH:+:$PYTHONPATH}"
bench=$PWD/benchmarks/gpu
OUT=$(cd "$OUT" && pwd)
cd "$parts/tree" || exit 1

selected=(-m "not slow" --ignore tests/kernels/test_aot.py tests/kernels tests/model/test_cuda.py)
if [ ${#dry[@]} -gt 0 ]; then
  export TRITON_INTERPRET=1
  selected=(tests/kernels/test_encoder_kernels.py)
fi
"$PYTHON" -c "import xdist" 2>/dev/null && selected+=(-n 8)  # kernels are compiled beside each other
run tests 120 "$PYTHON" -m pytest -q "${selected[@]}"
run ceilings 20 "$PYTHON" "$bench/ceilings.py" --out "$parts/ceilings.json" "${dry[@]}"
run loss 110 "$PYTHON" "$bench/loss.py" --out "$parts/loss.json" "${dry[@]}"
run neighbours 70 "$PYTHON" "$bench/neighbours.py" --out "$parts/neighbours.json" "${dry[@]}"
run encoder 110 "$PYTHON" "$bench/encoder.py" --out "$parts/encoder.json" "${dry[@]}"
cat "$parts"/*.log >"$OUT/gpu_check.log"
"$PYTHON" "$bench/report.py" "$parts"/{ceilings,loss,neighbours,encoder}.json --out "$OUT/gpu_check.json" \
  --tests "$(tail -n 1 "$parts/tests.log")"
rm -rf "$parts"
