"""Models that no training saw, 20 answers at once: is the nearest other bag of the same model?

Half of the questions against the other half (`univar.evaluate.bags`). The base is the untrained part `values`
of the same store, centred in the same way; a figure is a ratio to it, on the same bags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.truth_corpora import Corpus
from benchmarks.truth_scores import CENTRE, EvalRows
from univar.evaluate.against import Encoded
from univar.evaluate.bags import unseen_model_bags
from univar.evaluate.centred import centred
from univar.evaluate.metrics import Estimate
from univar.evaluate.protocol import EvalSettings, GroupRows, Split, first_half
from univar.search.sources import SourceModel
from univar.store import Store

BAG = 20
BASE = "values, centred"


def unseen_models(one: Corpus, stores: dict[str, Store], model: SourceModel | None) -> dict[str, Any] | None:
    """Of the eval side's models that train lacks; None where there are not two with two bags.

    stores: "eval", and "train" where models are to be known; model: what was fitted on train, if anything
    """
    store = stores["eval"]
    rows = np.arange(len(store)) if one.unseen else _unknown(stores["train"], store)
    if not len(rows):
        return None
    questions = np.array(store.text("question_id", rows), dtype=object)
    first = first_half(questions, np.random.default_rng(0))
    split = Split(
        "unseen_model", (store, store), ("eval", "eval"), [GroupRows(None, rows[first], rows[~first])]
    )
    settings = EvalSettings(centre=CENTRE, cluster=one.cluster, bags=(BAG,))
    encoders = [_base(store, settings), *_others(store, settings, model, stores, one.cluster)]
    found = unseen_model_bags(split, encoders, settings)
    if BAG not in found:
        return None
    bags = found[BAG].together
    return {
        "models": bags.models,
        "bags": bags.bags,
        "chance": round(bags.chance, 4),
        "same_model": {
            BASE: _facts(bags.same_model),
            **{name: _facts(other.same_model) for name, other in (bags.against or {}).items()},
        },
        "base_times": {name: _facts(other.ratio) for name, other in (bags.against or {}).items()},
    }


def _unknown(train: Store, store: Store) -> np.ndarray:
    known = set(train.codes("model")[1])
    return np.flatnonzero([model not in known for model in store.column("model")])


def _base(store: Store, settings: EvalSettings) -> Encoded:
    values = store.embeddings_of_part("values")
    one = Encoded(BASE, {}, values.shape[1], dict.fromkeys(("train", "eval"), values))
    return centred([one], (store, store), settings)[0][0]


def _others(
    store: Store,
    settings: EvalSettings,
    model: SourceModel | None,
    stores: dict[str, Store],
    cluster: str | None,
) -> Iterator[Encoded]:
    """The vectors as stored; where a head was fitted, also with words, and what the head makes of them."""
    parts = store.embeddings
    whole = Encoded("values | source, centred", {}, parts.shape[1], dict.fromkeys(("train", "eval"), parts))
    yield centred([whole], (store, store), settings)[0][0]
    if model is None:
        return
    rows = EvalRows.of(model, stores["train"], store, cluster)
    head = model.heads[model.searched_route]
    moved = rows.moved.embeddings.copy()
    if "words" in model.blocks.slices:  # centring is linear: words may be weighed before or after it
        moved[:, model.blocks.slices["words"]] *= head.words_weight
    yield _encoded("values | source | words, centred", moved)
    if "terms" in model.blocks.slices:
        moved[:, model.blocks.slices["terms"]] = 0
    products = head.geometry.products(head.distance.log_odds(rows.moved.embeddings))
    yield _encoded("the head's space", head.geometry.coordinates(products))


def _encoded(name: str, x: np.ndarray) -> Encoded:
    unit = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return Encoded(name, {}, x.shape[1], {"train": unit, "eval": unit})


def _facts(found: Estimate) -> dict[str, Any]:
    return {name: None if it is None else round(float(it), 4) for name, it in vars(found).items()}
