#!/bin/sh
# Build csrc/ with address and undefined-behaviour sanitizers and run its tests on that build; the installed module
# stays as it is. Arguments go to pytest. PYTHON names the interpreter.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
cmake -S . -B build/sanitize -DUNIVAR_SANITIZE=ON -DUNIVAR_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$PWD/build/sanitize/module" -DPython_EXECUTABLE="$(command -v "$python")" \
    -Dpybind11_DIR="$("$python" -c 'import pybind11; print(pybind11.get_cmake_dir())')"
cmake --build build/sanitize --parallel "$(getconf _NPROCESSORS_ONLN)"
run='
import importlib.util, pathlib, sys, pytest
path = next(pathlib.Path("build/sanitize/module").glob("_native*"))
spec = importlib.util.spec_from_file_location("univar._native", path)
sys.modules["univar._native"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.exit(pytest.main(["tests/csrc", "-q", *sys.argv[1:]]))
'
preload=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libstdc++.so)
LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 "$python" -c "$run" "$@"
