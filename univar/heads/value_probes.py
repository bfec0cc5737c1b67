"""Probes of values: what turns an embedding into 20 log-odds, and how far each can be believed.

A probe is trained on answers in which people marked values (`LabelledAnswers`) and belongs to one encoder and
one part of its vector. Those of the shipped encoders lie in `probes/`; its README tells data and terms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from univar import files
from univar.errors import DataError
from univar.heads.lda import LinearHead
from univar.statistics.intervals import MIN_CLUSTERS, Interval

FOLDER = Path(__file__).with_name("probes")
ANCHORS = Path(__file__).with_name("anchors.toml")
FORMAT = "univar-value-probes/1"
POLES = ("for", "against")


@dataclass(frozen=True)
class ProfileValue:
    """One of the 20 values. name: as labels spell it; type: of the ten-value theory; group: of the circle.

    anchors: pole ("for", "against") to sentences
    """

    id: str
    name: str
    type: str
    group: str
    anchors: dict[str, tuple[str, ...]]


def profile_values() -> list[ProfileValue]:
    """The 20 values in the order of the circle."""
    return [
        ProfileValue(it["id"], it["name"], it["type"], it["group"], {pole: tuple(it[pole]) for pole in POLES})
        for it in files.read_toml(ANCHORS)["value"]
    ]


@dataclass(frozen=True)
class Validity:
    """How well a score ranks answers that people marked. None: not measured.

    within: share of pairs of answers to one question, held-out questions; plain: over all answers
    """

    within: Interval
    plain: Interval | None = None

    @property
    def measurable(self) -> bool:
        """Whether the score does better than the question alone: the interval lies above one half.

        A score that is right in every pair of five questions or more has no interval, and is measurable.
        """
        if self.within.low is None:
            return self.within.estimate >= 1.0 and self.within.clusters >= MIN_CLUSTERS
        return self.within.low > 0.5


@dataclass(frozen=True)
class ValueProbes:
    """Probes of V values for one part of one encoder's vectors.

    encoder:     what identifies the encoder: id, revision, dim, and others; part: of its vector
    values:      names of the V values
    head:        log-odds of each value
    anchors:     (D, V) float32, unit vectors from the sentences against a value to those for it
    mean, sd:    (V,) of log-odds among labelled answers; anchor_mean, anchor_sd: of nearness to anchors
    validity, anchor_validity: of each value
    data:        which labels: name, terms, rows, questions, C, date
    """

    encoder: dict[str, object]
    part: str
    values: list[str]
    head: LinearHead
    anchors: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    anchor_mean: np.ndarray
    anchor_sd: np.ndarray
    validity: list[Validity]
    anchor_validity: list[Validity]
    data: dict[str, object]

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, V) float32 log-odds in standard deviations of the labelled answers. x: (n, D) unit vectors."""
        return (self.head.log_odds(x) - self.mean) / self.sd

    def anchor_scores(self, x: np.ndarray) -> np.ndarray:
        """(n, V) float32, nearness to the anchor sentences in standard deviations of the labelled answers."""
        scores: np.ndarray = (np.asarray(x, np.float32) @ self.anchors - self.anchor_mean) / self.anchor_sd
        return scores

    @property
    def measurable(self) -> np.ndarray:
        """(V,) bool."""
        return np.array([it.measurable for it in self.validity])

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write one safetensors file of float16 weights and a JSON header."""
        from safetensors.numpy import save

        path = Path(path)
        files.refuse_existing(path, force)
        arrays = {"weights": self.head.weights, "anchors": self.anchors}
        small = {"bias": self.head.bias, **{name: getattr(self, name) for name in _VECTORS}}
        tensors = {name: np.ascontiguousarray(array, np.float16) for name, array in arrays.items()}
        tensors |= {name: np.ascontiguousarray(array, np.float32) for name, array in small.items()}
        facts = {
            "format": FORMAT,
            "encoder": self.encoder,
            "part": self.part,
            "values": self.values,
            "data": self.data,
            "validity": [_validity_facts(it) for it in self.validity],
            "anchor_validity": [_validity_facts(it) for it in self.anchor_validity],
        }
        with files.new_file(path) as file:
            file.write(save(tensors, {"univar": json.dumps(facts, ensure_ascii=False, sort_keys=True)}))

    @classmethod
    def load(cls, path: str | Path) -> ValueProbes:
        """Read what `save` wrote. Raises DataError for anything else."""
        from safetensors import SafetensorError, safe_open

        try:
            files.refuse_irregular(Path(path))
            with safe_open(str(path), "numpy") as file:
                facts = json.loads((file.metadata() or {})["univar"])
                tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            if facts["format"] != FORMAT:
                raise DataError(f"{path} has the format {facts['format']}, this version reads {FORMAT}")
            values, dim = (
                list(facts["values"]),
                len(tensors["weights"]),
            )  # a part may be narrower than the encoder
            shapes = {"weights": (dim, len(values)), "anchors": (dim, len(values))}
            for name in ("weights", "anchors", "bias", *_VECTORS):
                if tensors[name].shape != shapes.get(name, (len(values),)):
                    raise DataError(f"{path}: {name} has the shape {tensors[name].shape}")
                if not np.isfinite(tensors[name]).all():
                    raise DataError(f"{path}: {name} holds a number that is not finite")
            return cls(
                facts["encoder"],
                facts["part"],
                values,
                LinearHead(tensors["weights"], tensors["bias"]),
                tensors["anchors"],
                **{name: tensors[name] for name in _VECTORS},
                validity=[_validity(it) for it in facts["validity"]],
                anchor_validity=[_validity(it) for it in facts["anchor_validity"]],
                data=facts["data"],
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DataError(
                f"{path} is no file of value probes ({error}): give one of --save-probes"
            ) from None


_VECTORS = ("mean", "sd", "anchor_mean", "anchor_sd")


def shipped(encoder_id: str, revision: str, part: str) -> ValueProbes | None:
    """The probes that univar ships for an encoder and part, None where there are none."""
    for path in _candidates(encoder_id):
        probes = ValueProbes.load(path)
        if (probes.encoder["id"], probes.encoder["revision"], probes.part) == (encoder_id, revision, part):
            return probes
    return None


def _candidates(encoder_id: str) -> Iterable[Path]:
    """Files whose name begins with the encoder's."""
    name = encoder_id.replace("/", "--")
    return sorted(path for path in FOLDER.glob("*.safetensors") if path.name.startswith(name))


def _validity_facts(found: Validity) -> dict[str, object]:
    return {name: None if it is None else _facts(it) for name, it in vars(found).items()}


def _facts(found: Interval) -> dict[str, object]:
    return {
        name: round(it, 6) if isinstance(it, float) else it
        for name, it in vars(found).items()
        if name != "estimate" or np.isfinite(found.estimate)
    }


def _validity(facts: dict[str, dict[str, float] | None]) -> Validity:
    found = {name: None if it is None else _interval(it) for name, it in facts.items()}
    within = found["within"]
    assert within is not None
    return Validity(within, found.get("plain"))


def _interval(facts: dict[str, float]) -> Interval:
    se = facts.get("se")
    return Interval(
        facts.get("estimate", float("nan")), facts["low"], facts["high"], int(facts["clusters"]), se
    )
