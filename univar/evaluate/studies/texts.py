"""The studies that embed texts of their own: labelled answers, answers without style, translations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from univar.answers.labelled import read_labelled as read_answers
from univar.errors import DataError, UsageError
from univar.evaluate.against import Encoded
from univar.evaluate.protocol import EvalSettings, Split
from univar.evaluate.report import Fulcra, StyleScores, Translationese
from univar.evaluate.studies.fulcra import fulcra, read_labelled
from univar.evaluate.studies.style import style_control
from univar.evaluate.studies.translationese import read_sides, translationese
from univar.evaluate.studies.value_content import value_content
from univar.search.attribute import check_encoder, store_encoder

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder
    from univar.store import Store


@dataclass(frozen=True)
class Found:
    """Their parts of the report, None for what was not asked for."""

    fulcra: Fulcra | None
    value_content: Fulcra | None
    style_stripped: dict[str, dict[str, StyleScores]] | None
    translationese: Translationese | None


class TextStudies:
    """The studies that were asked for, with every encoder loaded; none is loaded if nothing was.

    fulcra: Parquet file of labelled answers; labels: file of labelled answers, several to a question
    style_rows: rows of each group and side, 0 for none; translationese: folder of CSV files
    stores: encoder's name to a store that it made
    encoders: encoders, or where they are; one that is not among them is found by its id
    Raises UsageError for an encoder that is not found or made none of the stores.
    """

    def __init__(
        self,
        fulcra: Path | None,
        labels: Path | None,
        style_rows: int,
        translationese: Path | None,
        stores: Mapping[str, Store],
        encoders: Sequence[Encoder | str],
    ) -> None:
        if style_rows < 0:
            raise UsageError(f"style_rows is a number of rows, got {style_rows}")
        if fulcra is not None:
            read_labelled(fulcra)  # a wrong file is told before anything is measured
        if labels is not None:
            read_answers(labels)
        if translationese is not None:
            read_sides(translationese)
        self.fulcra, self.labels = fulcra, labels
        self.style_rows, self.translationese = style_rows, translationese
        self._embed: dict[str, Callable[..., Any]] = {}
        if fulcra is not None or labels is not None or style_rows or translationese is not None:
            self._embed = {name: _encoder_of(store, encoders).encode for name, store in stores.items()}

    def run(
        self, split: Split, encoded: list[Encoded], settings: EvalSettings, on_progress: Callable[[str], Any]
    ) -> Found:
        """Run them one after the other."""
        embed = self._embed
        values = content = style = translations = None
        if self.fulcra is not None:
            on_progress(f"values in {self.fulcra}")
            values = fulcra(self.fulcra, embed, settings.seed)
        if self.labels is not None:
            on_progress(f"value content of {self.labels}")
            content = value_content(self.labels, embed, settings.seed)
        if self.style_rows:
            on_progress(f"{self.style_rows:,} rows of each group and side without style")
            style = style_control(split, encoded, embed, self.style_rows, settings)
        if self.translationese is not None:
            on_progress(f"translations in {self.translationese}")
            translations = translationese(self.translationese, embed, settings)
        return Found(values, content, style, translations)


def _encoder_of(store: Store, encoders: Sequence[Encoder | str]) -> Encoder:
    """The first of `encoders` that made the store, else the one of the store's id."""
    for given in encoders:
        try:
            if isinstance(given, str):
                return store_encoder(store, given)
            check_encoder(store, given)
            return given
        except DataError:  # it made another of the stores
            continue
    return store_encoder(store)
