"""Attribution accuracy with intervals, chance and permutation levels, and a baseline."""

from univar.evaluate.compare import compare
from univar.evaluate.evaluate import FORMAT, evaluate
from univar.evaluate.settings import HEADLINE_K, TARGETS

__all__ = ["FORMAT", "HEADLINE_K", "TARGETS", "compare", "evaluate"]
