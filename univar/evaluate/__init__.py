"""Attribution accuracy with intervals, chance and permutation levels, and a baseline."""

from univar.evaluate.evaluate import FORMAT, HEADLINE_K, TARGETS, evaluate

__all__ = ["FORMAT", "HEADLINE_K", "TARGETS", "evaluate"]
