"""The bulk engine: answers in, a store of value embeddings out."""

from univar.bulk.engine import EmbedOptions, embed
from univar.bulk.report import EmbedReport

__all__ = ["EmbedOptions", "EmbedReport", "embed"]
