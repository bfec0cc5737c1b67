"""One word for one thing: names and phrases that were replaced stay gone.

docs/architecture.md may name them, in its table of what is where now.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

NAMES = {
    r"\bWitnesses\b": "Attributor",
    r"\bclass (Alone|Gathered|Ring)\b": "SingleProcess, AllGather, RingExchange",
    r"\bis_tame\b": "exp_fits_float32",
    r"\bhoard_little\b": "prefer_jemalloc",
    r"\bclass (Ahead|Behind)\b": "Prefetcher, BackgroundWriter",
    r"\bAdmission\b": "RowFilter",
    r"\bUNIVAR_AMX\b": "UNIVAR_X86_BF16",
    r"\bunivar\.(data|engine|model|ops|views|index)\b": "answers, bulk, encoder, runtime, train, search",
    r"\bstore[./]view\b": "store.reader",
    r"\bREFUSAL_LANGUAGES\b": "nothing: unused",
    r"\bknn_shares\b": "nothing: unused",
    r"\berrors\.Interrupted\b": "nothing: unused",
}
PHRASES = {
    r"(?<!here )is no store": "is not a univar store",
    "is there already and no": "already exists and was not made by",
    "what no knowledge gives": "chance level",
    "where nobody counts them": "if no token counter is available",
    "ever more seldom": "at growing intervals",
    "At once, in all": "Maximum number of concurrent requests",
    "Of every draw": "Random seed",
    "Of the forward": "Precision of the encoder",
    "Where --against keeps": "Folder for the stores that --against creates",
    "surely worse": "significantly worse",
    "Say how well": "Measure how well",
    "Rows that vote": "Number of neighbours that vote",
    "near to nothing": "contains NaN or infinity",
    "So it is up to a scale": "holds for scales up to",
    "keep to one of their own": "is pinned to its core",
    "of which the model is": "of it the model",
    "module of before and of now": "old and new build",
}
PENDING = {
    r"\bWitnesses\b",
    r"\bUNIVAR_AMX\b",
    r"(?<!here )is no store",
    "what no knowledge gives",
    "ever more seldom",
    "Of every draw",
    "Where --against keeps",
    "surely worse",
    "Say how well",
    "keep to one of their own",
    "of which the model is",
    "module of before and of now",
}
"""Gone once their rooms are rewritten."""


@functools.cache
def texts() -> dict[Path, str]:
    """What people read: sources, documents, benchmarks; by path in the repository, with single spaces."""
    folders = {"univar": ".py", "kernels": ".py", "csrc": ".h .cpp", "benchmarks": ".py .md", "docs": ".md"}
    paths = [
        path
        for folder, endings in folders.items()
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.suffix in endings.split() and path.name != "architecture.md"
    ]
    return {
        path.relative_to(REPOSITORY): re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        for path in [*paths, REPOSITORY / "README.md"]
    }


def cases() -> list[object]:
    waits = pytest.mark.xfail(reason="its room is not rewritten yet", strict=False)
    return [
        pytest.param(spelling, instead, id=spelling, marks=[waits] if spelling in PENDING else [])
        for spelling, instead in {**NAMES, **PHRASES}.items()
    ]


@pytest.mark.parametrize(("spelling", "instead"), cases())
def test_a_replaced_spelling_is_gone(spelling: str, instead: str) -> None:
    found = [str(path) for path, text in texts().items() if re.search(spelling, text)]
    assert not found, f"say {instead} instead in {', '.join(found)}"
