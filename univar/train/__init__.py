"""Value embedding learning: contrastive training on views of answers."""

from univar.train.settings import PRESETS, TrainSettings
from univar.train.train import TrainReport, train

__all__ = ["PRESETS", "TrainReport", "TrainSettings", "train"]
