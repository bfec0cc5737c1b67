"""A chat model as translator: whole texts, asked with the care that questions get."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from univar.elicit.models import Model
from univar.elicit.prompts import ask_prompts
from univar.errors import UsageError

_PROMPT = Path(__file__).parent / "prompts" / "translate.txt"


class ChatTranslator:
    """Asks `model`; what it answered is kept in `work` (.jsonl) and the state beside it."""

    sentencewise = False

    def __init__(self, model: Model, work: Path) -> None:
        self.name = f"model:{model.name}"
        self._model, self._work = model, work
        self._prompt = _PROMPT.read_text(encoding="utf-8").strip()

    def check_pair(self, source: str, target: str) -> None:
        """Any two languages that differ."""
        if source == target:
            raise UsageError(f"{self.name} cannot translate {source} to itself")

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The model's translation of each text, None where it gave none."""
        names = {"source": _english_name(source), "target": _english_name(target)}
        prompts = [self._prompt.format(**names, text=text) for text in texts]
        return ask_prompts(prompts, self._model, self._work).answers


def _english_name(code: str) -> str:
    from langcodes import Language

    try:
        return Language.get(code).display_name()
    except (ImportError, LookupError):  # langcodes keeps the names in a package of their own
        return code
