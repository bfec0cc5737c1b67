"""Value embedding learning: contrastive training on views of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from univar.train.options import PRESETS, TrainOptions, TrainSettings, ViewSettings

if TYPE_CHECKING:
    from univar.train.report import TrainReport
    from univar.train.run import train

__all__ = ["PRESETS", "TrainOptions", "TrainReport", "TrainSettings", "ViewSettings", "train"]


def __getattr__(name: str) -> Any:
    """`train` and `TrainReport`, which need torch, on first use."""
    if name not in ("TrainReport", "train"):
        raise AttributeError(f"module 'univar.train' has no attribute {name!r}")
    from univar.train import run

    return getattr(run, name)
