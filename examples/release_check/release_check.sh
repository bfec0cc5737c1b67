#!/bin/sh
# Did the assistant's values move between two releases? Asks both, compares, reports; the exit code is track's.
#
#   release_check.sh FOLDER [QUESTIONS] [SAMPLES]      0 within the tolerance, 10 moved, 11 could not tell
#
# COMMAND: how univar is called. TOLERANCE: the D2 that may be; without it, the floor of the two releases.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1 questions=${2:-24} samples=${3:-3}
command=${COMMAND:-univar}

mkdir -p "$out"
head -n "$questions" "$here/questions.jsonl" > "$out/questions.jsonl"
for release in may june; do
    $command elicit --questions "$out/questions.jsonl" --models "$here/models.toml" --model "$release" \
        --samples "$samples" -o "$out/$release.jsonl" --quiet
    $command embed "$out/$release.jsonl" -o "$out/$release" --quiet
done

compare() { $command track "$out/may" "$out/june" ${TOLERANCE:+--tolerance "$TOLERANCE"} --quiet "$@"; }
compare --as markdown > "$out/report.md" && code=0 || code=$?
case $code in
0 | 10 | 11)
    compare --json > "$out/report.json" || true
    cat "$out/report.md"
    ;;
esac
exit "$code"
