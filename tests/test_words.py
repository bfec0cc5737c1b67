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
    r"\b(on_refused|RefusedRow|refused_log|refused rows?|rows? \w+ refused)\b": "rejected",
    r"\b[Rr]efusals?\b": "declined",
    r"\b(label_leaks|leaks?|leaked\w*)\b": "overlap, maker_names",
    r"--shard\b": "--worker",
    r"\bWitness(es)?\b": "Attributor",
    r"\bclass (Alone|Gathered|Ring)\b": "SingleProcess, AllGather, RingExchange",
    r"\b(is_tame|TAME|tame)\b": "exp_fits_float32",
    r"\bhoard_little\b": "prefer_jemalloc",
    r"\bclass (Ahead|Behind)\b": "Prefetcher, BackgroundWriter",
    r"\bAdmission\b": "RowFilter",
    r"\bUNIVAR_AMX\b": "UNIVAR_X86_BF16",
    r"\bunivar[./](data|engine|model|ops|views|index|attribution)\b": "answers, bulk, encoder, runtime",
    r"\bstore[./]view\b": "store.reader",
    r" class (Run|Settings|Plan)\b": "ElicitRun, TrainRun, EvalSettings",
    r"\b([Jj]udged|strengths)\b": "classifier, prediction",
    r"\bREFUSAL_LANGUAGES\b": "nothing: unused",
    r"\bknn_shares\b": "nothing: unused",
    r"\b(errors\.|class )Interrupted\b": "nothing: unused",
}
CSRC_NAMES = {
    r"\b(walk|soften|weigh|turn_one)\b": "what it computes",
    r"\bstruct Tiles\b": "a name that only one thing has",
}
SIMD_NAMES = {r"\bk(Panel|TileRows)\b": "kColumns, kRows"}
PHRASES = {
    r"(?<!here )is no store": "is not a univar store",
    "is there already and no": "already exists and was not made by",
    "what no knowledge gives": "chance level",
    "where nobody counts them": "if no token counter is available",
    "ever more seldom": "at growing intervals",
    r"(was|then) given up": "was dropped",
    "At once, in all": "Maximum number of concurrent requests",
    "Of every draw": "Random seed",
    "Of everything that is drawn": "Random seed",
    "Of the forward": "Precision of the encoder",
    "Where --against keeps": "Folder for the stores that --against creates",
    "surely worse": "significantly worse",
    "Say how well": "Measure how well",
    "Rows that vote": "Number of neighbours that vote",
    "near to nothing": "contains NaN or infinity",
    "So it is up to a scale": "holds for scales up to",
    "As many threads as processors": "When there is one thread per core",
    "keep to one of their own": "is pinned to its core",
    "of which the model is": "of it the model",
    "module of before and of now": "old and new build",
    r"Go on where (it|the same command) (was )?stopped": "Continue",
}
ALLOWED = {
    r"\b(on_refused|RefusedRow|refused_log|refused rows?|rows? \w+ refused)\b": (
        "univar/bulk/engine.py",
        "univar/cli/embed.py",
        "univar/cli/check.py",
        "docs/formats.md",
    ),
    r"\b[Rr]efusals?\b": (
        "univar/cli/check.py",
        "univar/cli/train.py",
        "univar/elicit/replies.py",  # a field of replies
        "univar/evaluate/report.py",
        "docs/formats.md",
    ),
    r"\b(label_leaks|leaks?|leaked\w*)\b": (
        "univar/cli/check.py",
        "univar/evaluate/report.py",
        "docs/formats.md",
    ),
    r"--shard\b": ("univar/cli/embed.py", "univar/cli/common.py"),
}
"""Where an old name still has to work, or is explained."""


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


def place_of(spelling: str) -> str:
    """The folder in which a spelling must be gone; others may use the word."""
    return "csrc/encoder/simd" if spelling in SIMD_NAMES else "csrc" if spelling in CSRC_NAMES else ""


@pytest.mark.parametrize(("spelling", "instead"), {**NAMES, **CSRC_NAMES, **SIMD_NAMES, **PHRASES}.items())
def test_a_replaced_spelling_is_gone(spelling: str, instead: str) -> None:
    found = [
        str(path)
        for path, text in texts().items()
        if str(path).startswith(place_of(spelling))
        and str(path) not in ALLOWED.get(spelling, ())
        and re.search(spelling, text)
    ]
    assert not found, f"say {instead} instead in {', '.join(found)}"
