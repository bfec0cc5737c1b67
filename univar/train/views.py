"""From answers to pairs of views: tokenised once, sampled by seed and step alone."""

from univar.train.corpus import TokenCorpus, build_corpus
from univar.train.sampler import PairBatch, ViewSampler, ViewSettings

__all__ = ["PairBatch", "TokenCorpus", "ViewSampler", "ViewSettings", "build_corpus"]
