"""The control without style: accuracy when formatting, the order of sentences and names are gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from univar import schema
from univar.answers.maker_names import MASK, mask_names
from univar.evaluate import classifiers, protocol
from univar.evaluate.against import Encoded
from univar.evaluate.metrics import Intervals, predict
from univar.evaluate.protocol import EvalSettings
from univar.evaluate.report import Accuracy, StyleScores, TwoClassifiers

if TYPE_CHECKING:
    from univar.store import Store

Embed = Callable[[list[str]], np.ndarray]

_MARKS = re.compile(
    r"```|^\s*(?:#{1,6}|[-*•>]|\d+[.)])\s+|\*\*|__|`|^\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*$|\|", re.MULTILINE
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


def stripped(answers: Sequence[str], models: Iterable[str], rng: np.random.Generator) -> list[str]:
    """Answers without formatting, their sentences in random order, names of models and makers masked.

    models: names to mask besides those that `univar.answers.maker_names` knows
    """
    import pyarrow as pa

    plain = [_MARKS.sub(" ", answer) for answer in answers]
    masked = mask_names(pa.array(plain, pa.large_string()))[0].to_pylist()
    names = _pattern(models)
    return [_shuffled(names.sub(MASK, answer) if names else answer, rng) for answer in masked]


def _shuffled(answer: str, rng: np.random.Generator) -> str:
    sentences = [" ".join(part.split()) for part in _SENTENCE_END.split(answer)]
    sentences = [sentence for sentence in sentences if sentence]
    return " ".join(sentences[number] for number in rng.permutation(len(sentences)))


def _pattern(models: Iterable[str]) -> re.Pattern[str] | None:
    """What finds these models' names as words, in any case."""
    names = {model.rsplit("/", 1)[-1] for model in models}
    longest_first = sorted((name for name in names if len(name) > 1), key=lambda name: (-len(name), name))
    if not longest_first:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


def style_control(
    split: protocol.Split,
    encoders: list[Encoded],
    embed: Mapping[str, Embed],
    rows: int,
    settings: EvalSettings,
) -> dict[str, dict[str, StyleScores]]:
    """Group to encoder to the accuracies of the first target, before and after stripping, on the same rows.

    rows: at most so many train rows and eval rows of each group are drawn, embedded and compared
    """
    target = settings.targets[0]
    names = {model for store in split.stores for model in store.codes("model")[1]}
    rng = np.random.default_rng(settings.seed)
    report: dict[str, dict[str, StyleScores]] = {}
    for group in split.groups:
        drawn = [np.sort(rng.permutation(side)[:rows]) for side in (group.train, group.eval)]
        small = protocol.GroupRows(group.name, *drawn)
        labels, codes, truth = protocol.shared_labels(split.stores, target, small)
        if len(labels) < 2 or not (truth >= 0).any():
            continue
        texts = [_stripped_texts(*pair, names, rng) for pair in zip(split.stores, drawn, strict=True)]
        questions = protocol.clusters(split.stores[1], small.eval, settings.cluster)
        found = report.setdefault("all" if group.name is None else group.name, {})
        for encoder in encoders:
            before = {side: encoder.matrix(side, own) for side, own in zip(split.sides, drawn, strict=True)}
            after = {side: embed[encoder.name](own) for side, own in zip(split.sides, texts, strict=True)}
            plain, stripped = (
                two_classifiers(sides, split.sides, codes, truth, questions, settings)
                for sides in (before, after)
            )
            found[encoder.name] = StyleScores(
                int((truth >= 0).sum()), len(codes), plain.knn, plain.probe, stripped.knn, stripped.probe
            )
    return report


def _stripped_texts(store: Store, rows: np.ndarray, names: set[str], rng: np.random.Generator) -> list[str]:
    import pyarrow as pa

    questions = pa.array(store.text("question", rows), pa.large_string())
    answers = stripped(store.text("answer", rows), names, rng)
    texts: list[str] = schema.qa_texts(questions, pa.array(answers, pa.large_string())).to_pylist()
    return texts


def two_classifiers(
    matrices: Mapping[str, np.ndarray],
    sides: tuple[str, str],
    labels: np.ndarray,
    truth: np.ndarray,
    questions: np.ndarray,
    settings: EvalSettings,
) -> TwoClassifiers:
    """Accuracy of k-NN and probe.

    matrices:  side to embeddings; sides: which of them are train and eval rows
    labels:    (T,) int64; truth: (E,) int64, -1 for a label without train rows; questions: (E,) for intervals
    """
    known, n_labels = np.flatnonzero(truth >= 0), int(labels.max()) + 1
    train, eval = (matrices[side] for side in sides)
    encoder = Encoded("", {}, train.shape[1], dict(zip(protocol.SIDES, (train, eval), strict=True)))
    group = protocol.GroupRows(None, np.arange(len(labels)), np.arange(len(truth)))
    near = classifiers.nearest(encoder, protocol.SIDES, group, settings.headline_k).of(known)
    probe = classifiers.linear_probe(train, eval).scores(labels, n_labels, known, settings.seed)
    over = Intervals(questions[known])
    return TwoClassifiers(
        Accuracy.of(near.predict(labels, truth[known], n_labels), over),
        Accuracy.of(predict(probe, truth[known]), over),
    )
