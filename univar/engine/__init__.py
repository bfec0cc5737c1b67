"""The bulk engine: answers in, a store of value embeddings out."""

from univar.engine.bulk import embed
from univar.engine.plan import Plan, plan
from univar.engine.report import EmbedReport
from univar.engine.sink import hoard_little

__all__ = ["EmbedReport", "Plan", "embed", "hoard_little", "plan"]
