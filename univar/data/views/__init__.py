"""From answers to pairs of views: tokenised once, sampled by seed and step alone."""

from univar.data.views.corpus import TokenCorpus, build_corpus
from univar.data.views.sampler import PairBatch, ViewSampler, ViewSettings

__all__ = ["PairBatch", "TokenCorpus", "ViewSampler", "ViewSettings", "build_corpus"]
