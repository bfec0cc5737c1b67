"""The files of a `SourceModel` inside a store's index: JSON and plain arrays, nothing pickled.

    STORE/index/sources/sources.json          facts, labels, heads without their arrays; sizes and checksums
    STORE/index/sources/arrays.safetensors    weights, means, calibration answers
    STORE/index/sources/rows.f16              (M, D) float16, the joined rows, mapped
    STORE/index/sources/words.json, words_*.npy

The folder is replaced as a whole. It belongs to the store whose fingerprint it names, and to no other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar import files
from univar.errors import DataError, StoreCorrupt
from univar.heads.bags import BagFactors, HeldOut
from univar.heads.geometry import Geometry
from univar.heads.lda import LinearHead
from univar.heads.source import SourceHead
from univar.search.index import FOLDER, SOURCES_FOLDER, broken, has_sources, remedy
from univar.search.panel import QuestionMeans
from univar.search.sources import Blocks, SourceModel

if TYPE_CHECKING:
    from univar.search.words import Words
    from univar.store import Store

FORMAT, BEFORE = "univar-sources/2", "univar-sources/1"
"""The second has margins of terms; the first is read too."""

_FACTS, _ARRAYS, _ROWS = "sources.json", "arrays.safetensors", "rows.f16"
_WORDS = ("words.json", "words_idf.npy", "words_axes.npy")
_SCORES = "words_scores.npy"
_MAX_BYTES = 1 << 32
_HEAD_FACTS = ("kind", "temperature", "words_weight", "nll", "tried", "thresholds", "rows", "propositions")
_LATER_FACTS = ("terms_weight",)


def save(model: SourceModel, store_path: Path) -> int:
    """Write the model into the store's index, whole or not at all; returns its bytes."""
    from safetensors.numpy import save as to_bytes

    folder = Path(store_path) / FOLDER / SOURCES_FOLDER
    files.make_folder(folder.parent)
    with files.new_folder(folder, replace=True) as new:
        arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(model).items()}
        (new / _ARRAYS).write_bytes(to_bytes(arrays))
        (new / _ROWS).write_bytes(np.ascontiguousarray(model.matrix).tobytes())
        if model.words is not None:
            model.words.save(new)
        checked = [name for name in (_ARRAYS, *_WORDS, _SCORES) if (new / name).exists()]
        facts = {
            "format": FORMAT,
            "fingerprint": model.fingerprint,
            "facts": model.facts,
            "labels": model.labels,
            "learnt": model.blocks.learnt,
            "dims": model.blocks.dims,
            "slices": {name: [part.start, part.stop] for name, part in model.blocks.slices.items()},
            "heads": {route: _head_facts(head) for route, head in model.heads.items()},
            "rows": len(model.rows),
            "sha256": {name: hashlib.sha256((new / name).read_bytes()).hexdigest() for name in checked},
        }
        (new / _FACTS).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
        return sum(path.stat().st_size for path in new.iterdir())


def load(store: Store) -> SourceModel | None:
    """The model in the store's index; None where there is none.

    Raises DataError where the store's rows have changed since, StoreCorrupt where files are not what was
    written.
    """
    folder = Path(store.path) / FOLDER / SOURCES_FOLDER
    if not has_sources(store.path):
        return None
    try:
        facts = json.loads(files.read_file(folder / _FACTS, _MAX_BYTES))
        if facts["format"] not in (FORMAT, BEFORE):
            raise ValueError(f"{_FACTS} is not of format {FORMAT}")
        if facts["fingerprint"] != store.fingerprint:
            raise DataError(
                f"the source heads in {store.path} are out of date, since the store's rows have changed: "
                f"{remedy(store.path)}"
            )
        return _model(store, folder, facts)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
    ) as error:
        raise broken(store.path, f"source heads: {error}") from error


def _arrays(model: SourceModel) -> dict[str, np.ndarray]:
    means = model.means
    arrays = {"means": means.means, "rows": model.rows, "lengths": model.lengths}
    for name, (keys, groups) in (("by_id", means.by_id), ("by_text", means.by_text)):
        arrays[f"{name}.keys"], arrays[f"{name}.groups"] = keys, groups
    for route, head in model.heads.items():
        own = {
            "weights": head.linear.weights,
            "bias": head.linear.bias,
            "distance.weights": head.distance.weights,
            "distance.bias": head.distance.bias,
            "classes": head.geometry.classes,
            "gram": head.geometry.gram,
            "offset": head.geometry.offset,
            "log_odds": head.held_out.log_odds,
            "y": head.held_out.y.astype(np.int64),
            "clusters": head.held_out.clusters.astype(np.int64),
            "strange": head.strange,
        }
        arrays.update({f"{route}.{name}": array for name, array in own.items()})
    return arrays


def _head_facts(head: SourceHead) -> dict[str, Any]:
    factors = head.factors
    thresholds = {level: None if np.isinf(value) else value for level, value in head.thresholds.items()}
    return {
        **{name: getattr(head, name) for name in (*_HEAD_FACTS, *_LATER_FACTS)},
        "thresholds": thresholds,
        "factors": {"sizes": factors.sizes, "factors": factors.factors, "icc": factors.icc},
    }


def _model(store: Store, folder: Path, facts: dict[str, Any]) -> SourceModel:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    from univar.search.words import Words

    try:
        arrays = from_bytes(_checked(folder, _ARRAYS, facts))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    words = None
    if "words" in facts["slices"]:
        for name in (*_WORDS, *([_SCORES] if "terms" in facts["slices"] else [])):
            _checked(folder, name, facts)
        words = Words.load(folder)
    blocks = _blocks(facts, words)
    dims, n, labels = int(facts["dims"]), int(facts["rows"]), facts["labels"]
    rows = _expect(arrays["rows"], np.int64, (n,))
    if n and not 0 <= rows.min() <= rows.max() < len(store):
        raise ValueError("a joined row belongs to no row of the store")
    codes, names = store.codes("source")
    if len(names) != len(labels):
        raise ValueError(f"{len(labels)} labels, but the store has {len(names)} sources")
    try:
        mapped = files.map_file(folder / _ROWS, n * blocks.searched * 2)
    except StoreCorrupt as error:
        raise ValueError(f"{_ROWS} is missing or has another size") from error
    tables = [
        (
            _expect(arrays[f"{name}.keys"], np.uint64, (-1,)),
            _expect(arrays[f"{name}.groups"], np.int64, (-1,)),
        )
        for name in ("by_id", "by_text")
    ]
    means = _expect(arrays["means"], np.float32, (-1, dims))
    for keys, groups in tables:
        if len(keys) != len(groups) or (len(groups) and not 0 <= groups.min() <= groups.max() < len(means)):
            raise ValueError("a question has no mean")
    return SourceModel(
        facts["fingerprint"],
        [{"model": str(label["model"]), "language": str(label["language"])} for label in labels],
        codes,
        words,
        blocks,
        QuestionMeans(str(facts["facts"]["centre"]), means, *tables),
        {route: _head(route, own, arrays, dims, len(labels)) for route, own in facts["heads"].items()},
        rows,
        np.frombuffer(mapped, np.float16).reshape(n, blocks.searched),
        _expect(arrays["lengths"], np.float32, (len(labels), 2)),
        facts["facts"],
    )


def _blocks(facts: dict[str, Any], words: Words | None) -> Blocks:
    slices = {str(name): slice(*ends) for name, ends in facts["slices"].items()}
    blocks = Blocks(slices, int(facts["learnt"]), int(facts["dims"]))
    made = 0 if words is None else words.dims + words.margins
    if blocks.dims - blocks.learnt != made:
        raise ValueError(f"{blocks.dims - blocks.learnt} columns of words, but they make {made}")
    return blocks


def _head(route: str, facts: dict[str, Any], arrays: dict[str, np.ndarray], dims: int, n: int) -> SourceHead:
    own = {
        name.removeprefix(f"{route}."): array
        for name, array in arrays.items()
        if name.startswith(f"{route}.")
    }
    m = len(own["y"])
    classes = _expect(own["classes"], np.int64, (-1,))
    if facts["kind"] not in ("lda", "probe", "knn") or not 0 <= own["y"].min() <= own["y"].max() < n:
        raise ValueError("a head of an unknown kind, or calibrated on unknown sources")
    factors = facts["factors"]
    thresholds = {k: float("inf") if v is None else float(v) for k, v in facts["thresholds"].items()}
    return SourceHead(
        **{name: facts[name] for name in _HEAD_FACTS if name != "thresholds"},
        **{name: facts[name] for name in _LATER_FACTS if name in facts},
        thresholds=thresholds,
        linear=_linear(own, "", dims, n),
        distance=_linear(own, "distance.", dims, n),
        geometry=Geometry(
            classes,
            _expect(own["gram"], np.float32, (len(classes), len(classes))),
            _expect(own["offset"], np.float32, (len(classes),)),
        ),
        held_out=HeldOut(
            _expect(own["log_odds"], np.float32, (m, n)), own["y"], _expect(own["clusters"], np.int64, (m,))
        ),
        strange=_expect(own["strange"], np.float32, (m, len(classes))),
        factors=BagFactors(
            list(factors["sizes"]), [float(t) for t in factors["factors"]], float(factors["icc"])
        ),
    )


def _linear(own: dict[str, np.ndarray], prefix: str, dims: int, n: int) -> LinearHead:
    weights = _expect(own[f"{prefix}weights"], np.float32, (dims, n))
    return LinearHead(weights, _expect(own[f"{prefix}bias"], np.float32, (n,)))


def _checked(folder: Path, name: str, facts: dict[str, Any]) -> bytes:
    try:
        data = files.read_file(folder / name, _MAX_BYTES)
    except StoreCorrupt as error:
        raise ValueError(f"{name} is missing") from error
    if hashlib.sha256(data).hexdigest() != facts["sha256"][name]:
        raise ValueError(f"{name} is not the file that was written")
    return data


def _expect(array: np.ndarray, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array, if it has this dtype and shape; -1 stands for any length."""
    fits = array.dtype == dtype and array.ndim == len(shape)
    if not fits or any(want not in (-1, have) for have, want in zip(array.shape, shape, strict=True)):
        raise ValueError(f"an array is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
    return array
