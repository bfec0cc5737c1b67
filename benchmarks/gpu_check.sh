#!/usr/bin/env bash
# One call on a bare GPU machine (Python 3.12, torch 2.11, triton 3.6, cmake, ninja, pybind11; no network), under nine
# minutes: builds the extension, runs the kernels' tests on the device and every GPU benchmark beside its peers. A
# part that fails does not stop the rest. Last comes a table; a JSON file with all rows and a log go to $OUT
# (./gpu-out). Ends with status 0 if every part ended well and nothing of ours failed; a peer that is missing or runs
# out of memory is a row with its error.
#
#   OUT=results WHEELS=folder benchmarks/gpu_check.sh     # wheels of peers that the machine lacks: inf-cl, ...
#   PYTHON=.venv/bin/python benchmarks/gpu_check.sh --dry-run   # every step on the CPU, in sizes of a few rows;
#       limits are $PATIENCE (4) times as long
set -u
dry=() patience=1  # limits are this many times as long
case "$*" in
  "") ;;
  --dry-run) dry=(--dry-run) patience=${PATIENCE:-4} ;;
  *) echo "usage: [OUT=folder] [WHEELS=folder] [PYTHON=python3] $0 [--dry-run]" >&2; exit 2 ;;
esac

# Paths are the caller's; from here on they are absolute.
PYTHON=$(command -v "${PYTHON:-python3}") || { echo "no python: set PYTHON" >&2; exit 2; }
PYTHON=$(cd "$(dirname "$PYTHON")" && pwd)/$(basename "$PYTHON")
OUT=${OUT:-gpu-out}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit 2
WHEELS=${WHEELS:+$(cd "$WHEELS" && pwd)}
cd "$(dirname "$0")/.." || exit 2
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
export PATH="$(dirname "$PYTHON"):$PATH" PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
command -v ninja >/dev/null && export CMAKE_GENERATOR=Ninja
if [ ${#dry[@]} -gt 0 ]; then
  export TRITON_INTERPRET=1 CUDA_VISIBLE_DEVICES=
elif ! "$PYTHON" -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
  echo "no CUDA device here: --dry-run does every step on the CPU" >&2
  exit 2
fi

failed=()
: >"$OUT/gpu_check.log"
run() {  # run NAME SECONDS COMMAND...: into the log, stopped after so many seconds
  local name=$1 limit=$(($2 * patience))
  shift 2
  echo "== $name"
  timeout -k 10 "$limit" "$@" >"$parts/$name.log" 2>&1
  local status=$?
  { echo "== $name: status $status"; cat "$parts/$name.log"; } >>"$OUT/gpu_check.log"
  tail -n 3 "$parts/$name.log"
  [ $status -eq 0 ] && return
  failed+=("$name")
  echo "!! $name ended with status $status"
}

bench() {  # bench NAME SECONDS: one of benchmarks/gpu; it begins nothing new in its last 20 seconds
  run "$1" "$2" "$PYTHON" "$here/benchmarks/gpu/$1.py" --out "$parts/$1.json" \
    --seconds $((($2 - 20) * patience)) "${dry[@]}"
}

here=$PWD
if [ -n "$WHEELS" ]; then
  run wheels 15 "$PYTHON" -m pip install -q --no-index --no-deps --target "$parts/site" "$WHEELS"/*.whl
  export PYTHONPATH="$parts/site${PYTHONPATH:+:$PYTHONPATH}"
fi
run build 70 "$PYTHON" setup.py -q build --build-base "$parts/build" --build-lib "$parts/lib"
# Tests run in a copy beside the build, so that they can't see this tree's package.
mkdir "$parts/tree" && cp -r tests benchmarks pyproject.toml "$parts/tree"
export PYTHONPATH="$parts/lib${PYTHONPATH:+:$PYTHONPATH}"
cd "$parts/tree" || exit 2

# test_aot.py needs no device, and asks for machine code that a machine without one can look at.
selected=(-m "not slow" --ignore tests/kernels/test_aot.py tests/kernels tests/encoder/test_cuda.py)
if [ ${#dry[@]} -gt 0 ]; then
  selected=(-m "not slow and not gpu" "${selected[@]:2}")
elif "$PYTHON" -c "import xdist" 2>/dev/null; then
  selected+=(-n 8)  # kernels are compiled beside each other
fi
run tests 110 "$PYTHON" -m pytest -q -p no:cacheprovider "${selected[@]}"
bench ceilings 30
bench loss 130
bench neighbours 70
bench encoder 110
"$PYTHON" "$here/benchmarks/gpu/report.py" "$parts"/{ceilings,loss,neighbours,encoder}.json \
  --out "$OUT/gpu_check.json" --tests "$(tail -n 1 "$parts/tests.log")" --failed "${failed[@]}"
