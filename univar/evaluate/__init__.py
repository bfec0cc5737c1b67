"""Attribution accuracy with intervals, chance and permutation levels, and baselines."""

from univar.evaluate.compare import compare
from univar.evaluate.evaluate import evaluate
from univar.evaluate.protocol import HEADLINE_K, TARGETS
from univar.evaluate.report import FORMAT, Report

__all__ = ["FORMAT", "HEADLINE_K", "TARGETS", "Report", "compare", "evaluate"]
