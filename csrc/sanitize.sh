#!/bin/sh
# Build csrc/ with sanitizers and run its tests on that build; the installed module stays as it is.
#   csrc/sanitize.sh [address|thread] [arguments of pytest]
# address (the default) finds undefined behaviour too; thread wants the tests with threads, as in
#   csrc/sanitize.sh thread -k "pool or threads"
# Slow tests, which mostly keep the libraries compared with busy, are left out; -m "" takes them in.
# PYTHON names the interpreter.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
kind=address
case $1 in address | thread) kind=$1 && shift ;; esac
case $kind in
    address) sanitizers=address,undefined library=asan ;;
    thread) sanitizers=thread library=tsan ;;
esac
build=build/sanitize-$kind
cmake -S . -B $build -DUNIVAR_SANITIZE=$sanitizers -DUNIVAR_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$PWD/$build/module" -DPython_EXECUTABLE="$(command -v "$python")" \
    -Dpybind11_DIR="$("$python" -c 'import pybind11; print(pybind11.get_cmake_dir())')"
cmake --build $build --parallel "$(getconf _NPROCESSORS_ONLN)"
run='
import importlib.util, pathlib, sys, pytest
path = next(pathlib.Path(sys.argv[1]).glob("_native*"))
spec = importlib.util.spec_from_file_location("univar._native", path)
sys.modules["univar._native"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.exit(pytest.main(["tests/csrc", "-q", "-m", "not slow", *sys.argv[2:]]))
'
preload=$(gcc -print-file-name=lib$library.so):$(gcc -print-file-name=libstdc++.so)
LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS="ignore_noninstrumented_modules=1" \
    "$python" -c "$run" $build/module "$@"
