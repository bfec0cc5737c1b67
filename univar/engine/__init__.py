"""The bulk engine: answers in, a store of value embeddings out."""

from univar.engine.bulk import embed
from univar.engine.memory import hoard_little
from univar.engine.plan import Plan, plan
from univar.engine.report import EmbedReport

__all__ = ["EmbedReport", "Plan", "embed", "hoard_little", "plan"]
