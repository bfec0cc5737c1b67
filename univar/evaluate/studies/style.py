"""The control without style: what is told apart when formatting, order of sentences and names are gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from univar import schema
from univar.answers.maker_names import MASK, mask_names
from univar.evaluate import metrics, split, strengths
from univar.evaluate.encoded import Encoded
from univar.evaluate.neighbours import judge_votes, nearest
from univar.evaluate.settings import Settings

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
    setting: split.Setting, encoders: list[Encoded], embed: Mapping[str, Embed], rows: int, settings: Settings
) -> dict[str, Any]:
    """Group to encoder to the accuracies of the first target, before and after stripping, on the same rows.

    rows: at most so many train rows and eval rows of each group are drawn, embedded and compared
    """
    target = settings.targets[0]
    names = {model for store in setting.stores for model in store.codes("model")[1]}
    rng = np.random.default_rng(settings.seed)
    report: dict[str, Any] = {}
    for group in setting.groups:
        drawn = [np.sort(rng.permutation(side)[:rows]) for side in (group.train, group.eval)]
        small = split.Group(group.name, *drawn)
        labels, codes, truth = split.shared_labels(setting.stores, target, small)
        if len(labels) < 2 or not (truth >= 0).any():
            continue
        texts = [_stripped_texts(*pair, names, rng) for pair in zip(setting.stores, drawn, strict=True)]
        questions = np.array(setting.stores[1].text("question_id", small.eval), dtype=object)
        found = report.setdefault("all" if group.name is None else group.name, {})
        for encoder in encoders:
            before = {side: encoder.matrix(side, own) for side, own in zip(setting.sides, drawn, strict=True)}
            after = {side: embed[encoder.name](own) for side, own in zip(setting.sides, texts, strict=True)}
            scores: dict[str, Any] = {"rows": int((truth >= 0).sum()), "train_rows": len(codes)}
            for suffix, sides in (("", before), ("_stripped", after)):
                place = Encoded(encoder.name, encoder.facts, encoder.dim, sides)
                for kind, accuracy in _accuracies(place, setting.sides, codes, truth, questions, settings):
                    scores[kind + suffix] = accuracy
            found[encoder.name] = scores
    return report


def _stripped_texts(store: Store, rows: np.ndarray, names: set[str], rng: np.random.Generator) -> list[str]:
    import pyarrow as pa

    questions = pa.array(store.text("question", rows), pa.large_string())
    answers = stripped(store.text("answer", rows), names, rng)
    return schema.qa_texts(questions, pa.array(answers, pa.large_string())).to_pylist()


def _accuracies(
    encoder: Encoded,
    sides: tuple[str, str],
    labels: np.ndarray,
    truth: np.ndarray,
    questions: np.ndarray,
    settings: Settings,
) -> list[tuple[str, dict[str, Any]]]:
    """k-NN and probe, each with its interval; the matrices hold just the group's rows."""
    closed, n_labels = np.flatnonzero(truth >= 0), int(labels.max()) + 1
    group = split.Group(None, np.arange(len(labels)), np.arange(len(truth)))
    near = nearest(encoder, sides, group, settings.headline_k)
    _, rank = judge_votes(near[0][closed], near[1][closed], labels, truth[closed], n_labels)
    probe = strengths.linear_probe(encoder.sides[sides[0]], encoder.sides[sides[1]])
    strength = probe.strength(labels, n_labels, closed, settings.seed)
    hits = {"knn": rank == 0, "probe": strength.argmax(axis=1) == truth[closed]}
    intervals = metrics.QuestionBootstrap(questions[closed], settings.bootstrap, settings.seed)
    return [
        (kind, {"accuracy": {"1": metrics.with_interval(hit.mean(), intervals.of_means(hit[:, None])[0])}})
        for kind, hit in hits.items()
    ]
