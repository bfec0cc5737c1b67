"""The rule-based translator apertium (Debian: apertium and, for example, apertium-eng-spa)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from univar.errors import DataError, ProviderError, UsageError
from univar.schema import normalize_language
from univar.translate.engines import unknown_pair

TIMEOUT_S = 600
_BREAK = "\n\n"


class Apertium:
    """Runs the program `apertium`; texts go in and out through pipes, never through a shell."""

    name = "apertium"
    sentencewise = True

    def __init__(self) -> None:
        program = shutil.which("apertium")
        if program is None:
            raise UsageError("apertium is not installed: apt-get install apertium apertium-eng-spa (Debian)")
        self._program = program
        self._modes: dict[tuple[str, str], str] = {}
        for mode in self._call(["-l"], "").split():
            origin, _, target = mode.partition("-")
            try:
                pair = (normalize_language(origin), normalize_language(target))
            except DataError:
                continue  # a mode that is not a pair of languages
            if "_" not in target:
                self._modes[pair] = mode

    def check_pair(self, origin: str, target: str) -> None:
        """Raise UsageError for a pair that is not installed."""
        if (origin, target) not in self._modes:
            known: dict[str, list[str]] = {}
            for one, other in self._modes:
                known.setdefault(one, []).append(other)
            raise unknown_pair("apertium, as installed here,", origin, target, known)

    def translate(self, texts: Sequence[str], origin: str, target: str) -> list[str | None]:
        """The translation of each text; words unknown to apertium stay as they are."""
        self.check_pair(origin, target)
        mode = self._modes[origin, target]
        clean = [" ".join(text.split()) for text in texts]
        together = self._call(["-u", mode], _BREAK.join(clean)).strip("\n").split(_BREAK)
        if len(together) != len(clean):  # a text that apertium joined with its neighbour
            together = [self._call(["-u", mode], text) for text in clean]
        return [translation.strip() or None for translation in together]

    def _call(self, arguments: list[str], text: str) -> str:
        try:
            done = subprocess.run(
                [self._program, *arguments],
                input=text,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProviderError(
                f"apertium did not finish ({type(error).__name__}): run the command again"
            ) from None
        if done.returncode:
            raise ProviderError(
                f"apertium failed with exit code {done.returncode}: check that `apertium -l` works"
            )
        return done.stdout
