"""Translation engines: NLLB (CTranslate2, transformers), apertium, and chat models of a models.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from univar.elicit.prompts import ask_prompts
from univar.elicit.requests import ModelEntry
from univar.errors import UsageError, did_you_mean
from univar.translate.outcome import NO_END, Outcome, Untranslated

PAPER_NLLB = "facebook/nllb-200-3.3B"
"""The model that UniVaR's authors translated with."""

ENGINES = ("nllb", "apertium", "model")


class Translator(Protocol):
    """A loaded engine. name: as written into rows; sentencewise: whether it takes single sentences."""

    name: str
    sentencewise: bool

    def check_pair(self, origin: str, target: str) -> None:
        """Raise UsageError, with the known pairs, for ISO 639-3 codes that it cannot translate."""
        ...

    def translate(self, texts: Sequence[str], origin: str, target: str) -> Sequence[Outcome]:
        """The translation of each text, or why there is none."""
        ...


def load_translator(spec: str, models: Sequence[ModelEntry] = (), work: Path | None = None) -> Translator:
    """The engine `spec`: `nllb`, `nllb:FOLDER_OR_ID`, `apertium`, or `model:NAME` of `models`.

    work: a .jsonl file for the answers of a chat model. Raises UsageError for an unknown or missing engine.
    """
    engine, _, which = spec.partition(":")
    if engine == "apertium" and not which:
        from univar.translate.apertium import Apertium

        return Apertium()
    if engine == "nllb":
        from univar.translate.nllb import load_nllb

        return load_nllb(which or PAPER_NLLB)
    if engine == "model" and which:
        from univar.translate.engines import ChatTranslator

        model = next((model for model in models if model.name == which), None)
        if model is None:
            known = ", ".join(model.name for model in models) or "the models of a file given with --models"
            raise UsageError(f"unknown model {which!r}: choose from {known}")
        assert work is not None, "a model needs a file for its answers"
        return ChatTranslator(model, work)
    near = did_you_mean(engine, ENGINES)
    raise UsageError(f"unknown translator {spec!r}{near}: use nllb, nllb:FOLDER, apertium or model:NAME")


def unknown_pair(name: str, origin: str, target: str, known: Mapping[str, Sequence[str]]) -> UsageError:
    """The error for a pair that is not in `known`, a map from language to its targets."""
    listed = "; ".join(f"{code} to {', '.join(sorted(targets))}" for code, targets in sorted(known.items()))
    return UsageError(f"{name} cannot translate {origin} to {target}: choose from {listed or 'no pair'}")


_PROMPT = Path(__file__).parent / "prompts" / "translate.txt"


class ChatTranslator:
    """Asks `model` for translations of whole texts; answers are kept in `work` (.jsonl) and its state."""

    sentencewise = False

    def __init__(self, model: ModelEntry, work: Path) -> None:
        self.name = f"model:{model.name}"
        self._model, self._work = model, work
        self._prompt = _PROMPT.read_text(encoding="utf-8").strip()

    def check_pair(self, origin: str, target: str) -> None:
        """Raise UsageError for a language and itself."""
        if origin == target:
            raise UsageError(f"{self.name} cannot translate {origin} to itself")

    def translate(self, texts: Sequence[str], origin: str, target: str) -> list[Outcome]:
        """The model's translation of each text; one that its token limit cut is none."""
        names = {"origin": _english_name(origin), "target": _english_name(target)}
        prompts = [self._prompt.format(**names, text=text) for text in texts]
        asked = ask_prompts(prompts, self._model, self._work)
        return [
            Untranslated(NO_END, answer) if answer is not None and finish == "length" else answer
            for answer, finish in zip(asked.answers, asked.finishes, strict=True)
        ]


def _english_name(code: str) -> str:
    from langcodes import Language

    try:
        return Language.get(code).display_name()
    except (ImportError, LookupError):  # the names are in a package of their own
        return code
