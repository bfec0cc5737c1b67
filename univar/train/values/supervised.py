"""Labels as supervision: answers to one question told apart by the values that people found in them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from univar.answers.labelled import LabelledAnswers
from univar.encoder.pieces import Pieces
from univar.encoder.reading import RowReader
from univar.encoder.tokenizer import Tokenizer
from univar.errors import DataError
from univar.heads import logistic
from univar.heads.train_values import macro
from univar.statistics import auc
from univar.statistics.intervals import Interval
from univar.train.values.objective import LabelledBatch, LabelObjective
from univar.train.values.settings import ValueSettings


class LabelTask:
    """Training on labelled answers.

    labelled: the answers; rows: (m,) int64 those trained on; base: (n, D) float32 unit vectors that the
    untrained encoder gives all of them, from which the heads are started
    """

    def __init__(
        self,
        labelled: LabelledAnswers,
        rows: np.ndarray,
        pieces: Pieces,
        base: np.ndarray,
        settings: ValueSettings,
    ) -> None:
        self.ids, self.cu_seqlens = pieces.ids, pieces.cu_seqlens
        self._labels, self._questions = labelled.labels, labelled.clusters
        self._rows, self._base, self._settings = rows, base, settings
        x, labels, questions = base[rows], self._labels[rows], self._questions[rows]
        strength = logistic.choose(x, labels, questions, macro)
        head = logistic.fit(x, labels, strength)
        self.objective: nn.Module = LabelObjective(head, settings.pairwise, settings.geometry)
        self.identity: dict[str, Any] = {"labelled": labelled_digest(labelled, rows)}

    def steps_per_epoch(self) -> int:
        """Whole batches of the rows."""
        return max(1, len(self._rows) // self._settings.batch)

    def rows(self, step: int) -> np.ndarray:
        """(batch,) int64: runs of answers to one question, in another order each epoch."""
        epoch, place = divmod(step, self.steps_per_epoch())
        order = self._order(epoch)
        return order[place * self._settings.batch : (place + 1) * self._settings.batch]

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.Generator(np.random.Philox(key=[self._settings.seed, epoch]))
        shuffled = rng.permutation(self._rows)
        by_question = shuffled[np.argsort(self._questions[shuffled], kind="stable")]
        firsts = np.flatnonzero(np.diff(self._questions[by_question], prepend=-1))
        runs = [
            part
            for own in np.split(by_question, firsts[1:])
            for part in np.array_split(own, -(-len(own) // self._settings.per_question))
        ]
        return np.concatenate([runs[i] for i in rng.permutation(len(runs))])

    def loss(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """() of the unit vectors (b, D) of `rows`."""
        batch = LabelledBatch(
            *(
                torch.from_numpy(each[rows]).to(x.device)
                for each in (self._labels, self._questions, self._base)
            )
        )
        found: Tensor = self.objective(x, batch)
        return found


def read_one_piece(labelled: LabelledAnswers, tokenizer: Tokenizer) -> Pieces:
    """The answers as the encoder reads them; DataError where one needs more than one piece."""
    pieces = RowReader(tokenizer).read(pa.array(labelled.questions), pa.array(labelled.answers))
    if len(wrong := np.flatnonzero(pieces.per_answer != 1)):
        raise DataError(
            f"labelled answer {wrong[0] + 1} is read in {pieces.per_answer[wrong[0]]} pieces, but labels are "
            f"learnt from answers of one piece: raise max_length, or leave out {len(wrong)} such answers"
        )
    return pieces


def content_within_question(
    x: np.ndarray, labelled: LabelledAnswers, train: np.ndarray, test: np.ndarray
) -> Interval:
    """Macro AUC within a question of probes fitted on the rows `train`, scored on the rows `test`.

    x: (n, D) unit vectors of all answers. C is chosen inside `train`.
    """
    labels, questions = labelled.labels, labelled.clusters
    strength = logistic.choose(x[train], labels[train], questions[train], macro)
    odds = logistic.fit(x[train], labels[train], strength).log_odds(x[test])
    return auc.within_question(odds, labels[test], questions[test]).macro()


def labelled_digest(labelled: LabelledAnswers, rows: np.ndarray) -> str:
    """A checksum of the answers, labels and rows that a run is trained on."""
    digest = hashlib.sha256(labelled.labels[rows].tobytes())
    for row in rows:
        digest.update(labelled.questions[row].encode() + b"\0" + labelled.answers[row].encode() + b"\0")
    return digest.hexdigest()
