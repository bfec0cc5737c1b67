#!/bin/sh
# Build the fuzz targets with clang's libFuzzer and the address and undefined-behaviour sanitizers, and run each.
# Needs clang (Debian: apt-get install clang).
#
#     csrc/fuzz/run.sh [seconds a target] [target ...]
#
# CXX names the compiler; TIMEOUT the seconds of one input that count as a hang (10: raise it where the process may
# be stopped for longer). What a target finds is left in build/fuzz/.
set -e
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- wordpiece unigram
mkdir -p build/fuzz
for target in "$@"; do
    "${CXX:-clang++}" -std=c++17 -O2 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Icsrc \
        "csrc/fuzz/$target.cpp" csrc/tokenizer/*.cpp csrc/common/cpu.cpp -pthread -o "build/fuzz/$target"
    mkdir -p "build/fuzz/corpus-$target"
    "build/fuzz/$target" -max_total_time="$seconds" -timeout="${TIMEOUT:-10}" -rss_limit_mb=3000 -max_len=1200 \
        -dict=csrc/fuzz/dictionary.txt -artifact_prefix="build/fuzz/$target-" -print_final_stats=1 \
        "build/fuzz/corpus-$target"
    echo "$target: nothing found in $seconds s"
done
