"""Attribution of answers to held-out questions during training: which of the sources asked gave an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from univar.train.corpus import TokenCorpus
from univar.train.gradients import Backpropagation

QUERIES = 768
REFERENCES_PER_SOURCE = 6


@dataclass(frozen=True)
class Validation:
    """accuracy: share of held-out answers attributed to their source; chance: the same for a random guess."""

    accuracy: float
    chance: float
    queries: int

    def as_good_as(self, accuracy: float) -> bool:
        """Whether the accuracy is at most one standard error below `accuracy`."""
        error = math.sqrt(self.accuracy * (1 - self.accuracy) / self.queries)
        return self.accuracy >= accuracy - error


def split_questions(corpus: TokenCorpus, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows of held-out questions, both (m,) int64; a question's rows stay together."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 1 << 62]))
    is_held_out = rng.random(int(corpus.questions.max()) + 1) < held_out
    of_row = is_held_out[corpus.questions]
    return np.flatnonzero(~of_row), np.flatnonzero(of_row)


class Validator:
    """Attributes a fixed sample of held-out answers by training answers of the same sources."""

    def __init__(
        self, corpus: TokenCorpus, train: np.ndarray, held_out: np.ndarray, max_length: int, seed: int
    ) -> None:
        rng = np.random.Generator(np.random.Philox(key=[seed, (1 << 62) + 1]))
        self._corpus, self._max_length = corpus, max_length
        sampled = [
            rng.permutation(train[corpus.sources[train] == source])[:REFERENCES_PER_SOURCE]
            for source in range(len(corpus.source_names))
        ]
        self._references = np.concatenate([np.zeros(0, np.int64), *sampled])
        known = np.isin(np.arange(len(corpus.source_names)), corpus.sources[self._references])
        asked = self._who_was_asked(held_out, known)
        usable = np.array([row for row in held_out if len(asked[int(corpus.wordings[row])]) > 1], np.int64)
        usable = usable[known[corpus.sources[usable]]]
        self._queries = rng.permutation(usable)[:QUERIES]
        self._asked = [asked[int(wording)] for wording in corpus.wordings[self._queries]]

    def __bool__(self) -> bool:
        """Whether there are queries."""
        return len(self._queries) > 0

    def _who_was_asked(self, rows: np.ndarray, known: np.ndarray) -> dict[int, np.ndarray]:
        """Sources that answered each wording and have references."""
        found: dict[int, set[int]] = {
            int(wording): set() for wording in np.unique(self._corpus.wordings[rows])
        }
        for row in rows:
            source = int(self._corpus.sources[row])
            if known[source]:
                found[int(self._corpus.wordings[row])].add(source)
        return {wording: np.array(sorted(sources), np.int64) for wording, sources in found.items()}

    def run(self, backpropagation: Backpropagation) -> Validation:
        """Attribute each query to the asked source whose references are most similar on average."""
        rows = [np.array([row]) for row in np.concatenate([self._queries, self._references])]
        embeddings = backpropagation.embed(*self._corpus.views(rows, self._max_length))
        embeddings = torch.nn.functional.normalize(embeddings, dim=1)
        queries, references = embeddings.split([len(self._queries), len(self._references)])
        sources = torch.from_numpy(self._corpus.sources[self._references].astype(np.int64))
        sums = torch.zeros(len(self._corpus.source_names), embeddings.shape[1])
        sums.index_add_(0, sources, references.cpu())
        means = sums / torch.bincount(sources, minlength=len(sums)).clamp(min=1)[:, None]
        scores = (queries.cpu() @ means.T).numpy()
        truth = self._corpus.sources[self._queries]
        named = [int(asked[score[asked].argmax()]) for score, asked in zip(scores, self._asked, strict=True)]
        chance = float(np.mean([1 / len(asked) for asked in self._asked]))
        return Validation(float(np.mean(np.array(named) == truth)), chance, len(truth))
