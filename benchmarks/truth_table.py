"""The result file of `make truth` as the tables of docs/results.md.

python -m benchmarks.truth_table benchmarks/results/truth.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.truth_scores import TFIDF, TFIDF_CENTRED, UNIVAR, UNIVAR_ALONE

LEVEL = -0.02
"""Two methods are level where the interval of their paired difference reaches above this."""

METHODS = (UNIVAR, TFIDF_CENTRED, UNIVAR_ALONE, TFIDF)
PAIRS = ((UNIVAR, TFIDF), (UNIVAR, TFIDF_CENTRED), (UNIVAR_ALONE, TFIDF))


def text(found: dict[str, Any]) -> str:
    """All tables in Markdown."""
    blocks = [accuracies(found["corpora"]), differences(found["corpora"]), settings(found["corpora"])]
    blocks += [unseen(found["unseen"]), read(found["read"])]
    return "\n\n".join("\n".join(block) for block in blocks if len(block) > 2)


def accuracies(corpora: dict[str, Any]) -> list[str]:
    """Accuracy of each method; the best of a line in bold."""
    head = ["corpus", "sources", "answers", *METHODS, "centred rows"]
    lines = []
    for name, one in corpora.items():
        values = [one["accuracy"][method]["value"] for method in METHODS]
        shown = [f"**{it:.3f}**" if it == max(values) else f"{it:.3f}" for it in values]
        share = f"{100 * one['centred']['share']:.0f} %"
        lines.append([name, str(one["sources"]), f"{one['rows']:,}", *shown, share])
    return _table(head, lines)


def differences(corpora: dict[str, Any]) -> list[str]:
    """Paired differences with their intervals."""
    head = ["corpus", "clusters", *(f"{ours} - {theirs}" for ours, theirs in PAIRS)]
    lines = [
        [name, str(one["clusters"]), *(signed(one["difference"][f"{a} - {b}"]) for a, b in PAIRS)]
        for name, one in corpora.items()
    ]
    return _table(head, lines)


def settings(corpora: dict[str, Any]) -> list[str]:
    """What was chosen inside train, and the losses."""
    head = ["corpus", "encoder", "centred head", "uncentred head", "NLL centred", "NLL uncentred"]
    lines = []
    for name, one in corpora.items():
        heads = [one["heads"].get(route) for route in ("centred", "uncentred")]
        chosen = ["none" if it is None else f"{it['kind']}, words {it['words_weight']:g}" for it in heads]
        losses = [f"{one['nll'][method]['value']:.3f}" for method in (UNIVAR, UNIVAR_ALONE)]
        lines.append([name, one["encoder"], *chosen, *losses])
    return _table(head, lines)


def unseen(corpora: dict[str, Any]) -> list[str]:
    """Bags of unseen models: how often the nearest other bag is of the same model."""
    head = ["corpus", "models", "bags", "chance", "vectors", "same model", "the centred base is right times"]
    lines = []
    for name, one in corpora.items():
        for vectors, value in (one or {}).get("same_model", {}).items():
            times = one["base_times"].get(vectors)
            facts = [str(one["models"]), f"{one['bags']:g}", f"{one['chance']:.3f}"]
            shown = vectors.replace(" | ", " and ")
            lines.append([name, *facts, shown, interval(value), "" if times is None else interval(times)])
    return _table(head, lines)


def read(corpora: dict[str, Any]) -> list[str]:
    """Shares of answers that are read to the end."""
    head = ["corpus", "answers", "to the end, paper", "tokens read", "nothing read", "to the end, whole"]
    head += ["tokens read", "cut"]
    lines = []
    for name, one in corpora.items():
        paper, whole = one["paper"], one["whole"]
        cells = [f"{paper['to_the_end']:.3f}", f"{paper['tokens_read']:.3f}", f"{paper['nothing_read']:,}"]
        cells += [f"{whole['to_the_end']:.3f}", f"{whole['tokens_read']:.3f}", f"{whole['cut']:,}"]
        lines.append([name, f"{one['rows']:,}", *cells])
    return _table(head, lines)


def is_level(difference: dict[str, Any]) -> bool:
    """Whether a paired difference reaches above LEVEL; without an interval, whether it lies above."""
    high = difference["high"]
    return bool((difference["value"] if high is None else high) > LEVEL)


def interval(value: dict[str, Any]) -> str:
    """`0.512 [0.480, 0.544]`"""
    if value["low"] is None:
        return f"{value['value']:.3f}"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def signed(value: dict[str, Any]) -> str:
    """`+0.112 [+0.080, +0.144]`"""
    if value["low"] is None:
        return f"{value['value']:+.3f}"
    return f"{value['value']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"


def _table(head: list[str], lines: list[list[str]]) -> list[str]:
    rows: Iterator[list[str]] = iter([head, ["---"] * len(head), *lines])
    return [f"| {' | '.join(row)} |" for row in rows]


if __name__ == "__main__":
    print(text(json.loads(Path(sys.argv[1]).read_text())))
