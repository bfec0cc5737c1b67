"""What can translate: NLLB (CTranslate2, transformers), apertium, and any model of a models.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from univar.elicit.models import Model
from univar.errors import UsageError

PAPER_NLLB = "facebook/nllb-200-3.3B"
"""What UniVaR's authors translated with."""

ENGINES = ("nllb", "apertium", "model")


class Translator(Protocol):
    """A loaded engine. name: what is noted in the rows; sentencewise: whether it wants single sentences."""

    name: str
    sentencewise: bool

    def check_pair(self, source: str, target: str) -> None:
        """Raise UsageError, with the known ones, for a pair of ISO 639-3 codes that it cannot translate."""
        ...

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The translation of each text, None where there is none."""
        ...


def load_translator(spec: str, models: Sequence[Model] = (), work: Path | None = None) -> Translator:
    """The engine that `spec` names: `nllb`, `nllb:FOLDER_OR_ID`, `apertium`, or `model:NAME` of `models`.

    work: a .jsonl file for what a model answered. Raises UsageError where the engine is unknown or not there.
    """
    engine, _, which = spec.partition(":")
    if engine == "apertium" and not which:
        from univar.translate.apertium import Apertium

        return Apertium()
    if engine == "nllb":
        from univar.translate.nllb import load_nllb

        return load_nllb(which or PAPER_NLLB)
    if engine == "model" and which:
        from univar.translate.chat import ChatTranslator

        model = next((model for model in models if model.name == which), None)
        if model is None:
            known = ", ".join(model.name for model in models) or "none: name a file with --models"
            raise UsageError(f"there is no model {which!r} to translate; there are {known}")
        assert work is not None, "a model needs a file for its answers"
        return ChatTranslator(model, work)
    raise UsageError(f"unknown translator {spec!r}: give nllb, nllb:FOLDER, apertium or model:NAME")


def unknown_pair(name: str, source: str, target: str, known: Mapping[str, Sequence[str]]) -> UsageError:
    """The error for a pair that is not in `known`, a map from source to its targets."""
    listed = "; ".join(f"{code} to {', '.join(sorted(targets))}" for code, targets in sorted(known.items()))
    return UsageError(f"{name} cannot translate {source} to {target}; it knows {listed or 'no pair'}")
