"""The words of an index: a block of dims fitted on the index's own texts, to stand beside learnt parts.

Word 1- and 2-grams, signs and line breaks among the words, character 2- to 5-grams in scripts that are
written without spaces; sublinear TF-IDF; a truncated SVD of a sample of the rows. Behind these dims may stand
the margins of a classifier of all terms (`univar.heads.terms`). What is fitted are arrays and a list of terms
(no pickle). Words tell sources apart and say nothing of values: the block is never stored in a store and
never used to compare.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DIMS = 256
SAMPLE = 20_000
"""Texts at most that vocabulary and SVD are fitted on."""
MAX_TERMS = 100_000
CHARS_READ = 20_000
"""Characters of an answer whose words are counted."""
_ROWS_AT_ONCE = 2048
_PARALLEL_FROM = 8_000
"""Rows from which several processes are worth their start."""

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Kana and Han: written without spaces between words."""
_TOKEN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+|[^\w\s]+|\n+")
_IS_UNSPACED = re.compile(rf"[{UNSPACED}]")


def terms(text: str) -> Iterator[str]:
    """The terms of a text, in lower case: words, runs of signs and of line breaks, and pairs of neighbours of
    these; of runs without spaces character 2- to 5-grams.
    """
    before = ""
    for token in _TOKEN.findall(text[:CHARS_READ].lower()):
        if _IS_UNSPACED.match(token):
            for n in range(2, 6):
                yield from (token[i : i + n] for i in range(len(token) - n + 1))
            before = ""
            continue
        yield token
        if before:
            yield f"{before} {token}"
        before = token


@dataclass(frozen=True)
class Words:
    """A fitted block.

    terms: V terms; idf: (V,) float32; axes: (V, R) float32, the SVD's right singular vectors
    scores: (V, S) float32, weights of classifiers of the terms; None: there are none
    """

    terms: list[str]
    idf: np.ndarray
    axes: np.ndarray
    scores: np.ndarray | None = None

    @functools.cached_property
    def _place(self) -> dict[str, int]:
        return {term: number for number, term in enumerate(self.terms)}

    @property
    def dims(self) -> int:
        """Dims of the SVD, R."""
        return int(self.axes.shape[1])

    @property
    def margins(self) -> int:
        """Columns behind the SVD's, S."""
        return 0 if self.scores is None else int(self.scores.shape[1])

    def weigh(self, texts: Sequence[str]) -> csr_matrix:
        """(n, V) float32 TF-IDF, rows of length 1 or 0; what the head's reasons are read from."""
        return _tfidf(_counts(texts, self._place), self.idf)

    def encode(self, texts: Sequence[str], *, threads: int = 1) -> np.ndarray:
        """(n, R + S) float32: the SVD's dims, of length 1, or 0 for a text without a known term; the margins.

        threads: processes that share the rows where there are many
        """
        if threads > 1 and len(texts) >= _PARALLEL_FROM:
            return self._encode_shared(texts, threads)
        out = np.zeros((len(texts), self.dims + self.margins), np.float32)
        for first in range(0, len(texts), _ROWS_AT_ONCE):
            weighed = self.weigh(texts[first : first + _ROWS_AT_ONCE])
            out[first : first + _ROWS_AT_ONCE] = self.project(weighed)
        return out

    def project(self, weighed: csr_matrix) -> np.ndarray:
        """`encode` of what `weigh` made of the texts. weighed: (n, V)."""
        block = np.asarray(weighed @ self.axes, np.float32)
        block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
        return block if self.scores is None else np.hstack([block, weighed @ self.scores])

    def _encode_shared(self, texts: Sequence[str], threads: int) -> np.ndarray:
        from joblib import Parallel, delayed

        step = -(-len(texts) // threads)
        parts = [texts[first : first + step] for first in range(0, len(texts), step)]
        return np.concatenate(Parallel(n_jobs=threads)(delayed(self.encode)(part) for part in parts))

    def save(self, folder: Path) -> None:
        """Write words.json and plain arrays into `folder`, which exists."""
        (folder / "words.json").write_text(json.dumps(self.terms, ensure_ascii=False), encoding="utf-8")
        np.save(folder / "words_idf.npy", self.idf, allow_pickle=False)
        np.save(folder / "words_axes.npy", self.axes, allow_pickle=False)
        if self.scores is not None:
            np.save(folder / "words_scores.npy", self.scores, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Words:
        """Read what `save` wrote. Raises DataError where the files do not belong together."""
        try:
            names = json.loads((folder / "words.json").read_text(encoding="utf-8"))
            idf = np.load(folder / "words_idf.npy", allow_pickle=False)
            axes = np.load(folder / "words_axes.npy", allow_pickle=False)
            kept = folder / "words_scores.npy"
            scores = np.load(kept, allow_pickle=False) if kept.exists() else None
        except (OSError, ValueError) as error:
            raise DataError(
                f"{folder}: the words of the index cannot be read ({error}): build it again"
            ) from None
        fits = isinstance(names, list) and idf.shape == (len(names),) and axes.ndim == 2
        if not fits or len(axes) != len(names) or idf.dtype != np.float32 or axes.dtype != np.float32:
            raise DataError(f"{folder}: the words of the index do not belong together: build it again")
        if scores is not None and (scores.dtype != np.float32 or scores.shape[:-1] != (len(names),)):
            raise DataError(f"{folder}: the words of the index do not belong together: build it again")
        return cls(names, idf, axes, scores)


def fit_words(
    texts: Sequence[str],
    clusters: np.ndarray | None = None,
    *,
    dims: int = DIMS,
    sample: int = SAMPLE,
    seed: int = 0,
) -> Words | None:
    """The block of these texts; None where they have fewer terms or rows than the block needs.

    texts:    answers of the index, at most `sample` of which are read, drawn with `seed`
    clusters: (n,) propositions that they answer. A term then counts only where answers to several of them use
              it (`least_propositions`): a question's own words say nothing of a source, and answers to new
              questions, which lack them, would all lie apart from those that the heads were calibrated on
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.utils.extmath import randomized_svd

    if len(texts) > sample:
        rows = np.sort(np.random.default_rng(seed).choice(len(texts), sample, replace=False))
        texts = [texts[row] for row in rows.tolist()]
        clusters = None if clusters is None else clusters[rows]
    counter = CountVectorizer(analyzer=terms, min_df=2, max_features=MAX_TERMS, dtype=np.float32)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # no term occurs in two texts
        return None
    if min(counts.shape) <= 8:
        return None
    names = [str(name) for name in counter.get_feature_names_out()]
    if clusters is not None:
        kept = np.flatnonzero(_spread(counts, clusters) >= least_propositions(len(np.unique(clusters))))
        counts, names = counts[:, kept], [names[place] for place in kept.tolist()]
        if min(counts.shape) <= 8:
            return None
    documents = np.bincount(counts.indices, minlength=len(names))
    idf = (np.log((1 + len(texts)) / (1 + documents)) + 1).astype(np.float32)
    weighted = _tfidf(counts, idf)
    rank = min(dims, min(counts.shape) - 1)
    _, _, axes = randomized_svd(weighted, rank, n_iter=3, random_state=seed)
    return Words(names, idf, np.ascontiguousarray(axes.T, np.float32))


def least_propositions(n: int) -> int:
    """How many of n propositions must have a term in their answers: a tenth, between 2 and 5."""
    return min(5, max(2, n // 10))


def _spread(counts: csr_matrix, clusters: np.ndarray) -> np.ndarray:
    """(V,) number of clusters in which each term occurs. counts: (n, V); clusters: (n,)."""
    from scipy.sparse import csr_matrix as sparse

    codes, place = np.unique(clusters, return_inverse=True)
    ones = np.ones(len(place), np.float32)
    members = sparse((ones, (place, np.arange(len(place)))), shape=(len(codes), len(place)))
    return np.asarray(((members @ counts) > 0).sum(axis=0)).ravel()


def rate(words: Words, texts: Sequence[str]) -> float:
    """Rows a second that `encode` takes here, measured on these texts, at most 1,000."""
    tried = texts[:1000]
    started = time.perf_counter()
    words.encode(tried)
    return len(tried) / max(time.perf_counter() - started, 1e-9)


def _counts(texts: Sequence[str], place: dict[str, int]) -> csr_matrix:
    from sklearn.feature_extraction.text import CountVectorizer

    counter: Any = CountVectorizer(analyzer=terms, vocabulary=place, dtype=np.float32)
    counter.fixed_vocabulary_, counter.vocabulary_ = True, place  # else it is checked anew, term by term
    return counter.transform(texts)


def _tfidf(counts: csr_matrix, idf: np.ndarray) -> csr_matrix:
    """Counts as (1 + log tf) idf, rows of length 1."""
    from sklearn.preprocessing import normalize

    weighted = counts.copy()
    weighted.data = (1 + np.log(weighted.data)) * idf[weighted.indices]
    return normalize(weighted, copy=False)
