"""The tests that embed texts of their own: labelled answers, answers without style, translations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from univar.attribution.answers import check_encoder, store_encoder
from univar.errors import UsageError
from univar.evaluate.encoded import Encoded
from univar.evaluate.fulcra import fulcra
from univar.evaluate.settings import Settings
from univar.evaluate.split import Setting
from univar.evaluate.style import style_control
from univar.evaluate.translationese import translationese

if TYPE_CHECKING:
    from univar.model.encoder import Encoder
    from univar.store import Store

    Specs = dict[str, tuple[Store, Encoder | str | None]]
else:
    Specs = dict


@dataclass(frozen=True)
class TextTests:
    """Which of them are wanted: a file of labelled answers, rows without style, a folder of CSV files."""

    fulcra: Path | None
    style_rows: int
    translationese: Path | None

    def __post_init__(self) -> None:
        if self.style_rows < 0:
            raise UsageError(f"style_rows is a number of rows, got {self.style_rows}")

    def run(
        self,
        setting: Setting,
        encoders: list[Encoded],
        specs: Specs,
        settings: Settings,
        on_progress: Callable[[str], Any],
    ) -> dict[str, Any]:
        """Their parts of the report; no encoder is loaded if nothing is wanted."""
        if self.fulcra is None and self.translationese is None and not self.style_rows:
            return {}
        embed = {name: _loaded(store, spec).encode for name, (store, spec) in specs.items()}
        report: dict[str, Any] = {}
        if self.fulcra is not None:
            on_progress(f"values in {self.fulcra}")
            report["fulcra"] = fulcra(self.fulcra, embed, settings.bootstrap, settings.seed)
        if self.style_rows:
            on_progress(f"{self.style_rows:,} rows of each group and side without style")
            report["style_stripped"] = style_control(setting, encoders, embed, self.style_rows, settings)
        if self.translationese is not None:
            on_progress(f"translations in {self.translationese}")
            report["translationese"] = translationese(self.translationese, embed, settings)
        return report


def _loaded(store: Store, spec: Encoder | str | None) -> Encoder:
    if spec is None or isinstance(spec, str):
        return store_encoder(store, spec)
    check_encoder(store, spec)
    return spec
