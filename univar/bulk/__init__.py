"""The bulk engine: answers in, a store of value embeddings out."""

from univar.bulk.bulk import embed
from univar.bulk.plan import Plan, plan
from univar.bulk.report import EmbedReport

__all__ = ["EmbedReport", "Plan", "embed", "plan"]
