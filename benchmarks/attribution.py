"""What source heads are worth on real answers, beside vote shares and a probe with one temperature.

    python benchmarks/attribution.py TRAIN EVAL [--cluster question_id:2] [--json out.json]

The questions of the two stores must differ. The heads' figures are those of `univar evaluate --heads`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np

from univar.evaluate.as_json import to_json
from univar.evaluate.studies.heads import Scored, head_scores, routes, unknown_scores
from univar.heads import calibration
from univar.search.fit_sources import fit_sources
from univar.search.panel import Groups
from univar.search.sources import SourceModel
from univar.statistics import intervals
from univar.store import Store


def peers(model: SourceModel, train: Store, rows: Scored) -> dict[str, object]:
    """Vote shares of 20 neighbours, and the probe with one temperature, on the same rows of EVAL."""
    from univar.heads.neighbours import vote_log_odds
    from univar.heads.probe import fit_probe, held_out_probe
    from univar.heads.source import folds_of

    known = np.flatnonzero(rows.y >= 0)
    base = np.asarray(train.embeddings, np.float32)
    corpus = model.blocks.unit(base)
    queries = rows.x[known][:, : model.blocks.learnt]
    near = np.argsort(-(queries @ corpus.T), axis=1)[:, :20]
    votes = np.log(np.maximum(np.exp(vote_log_odds(model.codes[near], len(model.labels))), 1e-6))
    clusters = Groups.of(train, "none", model.facts["cluster"]).clusters
    y = model.codes.astype(np.int64)
    odds = held_out_probe(corpus, y, folds_of(clusters), len(model.labels))
    t = calibration.fit_temperature(odds, y, calibration.question_weights(clusters))
    probed = calibration.log_softmax(fit_probe(corpus, y, len(model.labels)).log_odds(queries), t)
    of = rows.clusters[known]
    return {
        "vote_shares": intervals.mean(
            calibration.nll(calibration.log_softmax(votes), rows.y[known]), of
        ).text(),
        "probe_and_temperature": intervals.mean(calibration.nll(probed, rows.y[known]), of).text(),
    }


def families(model: SourceModel) -> dict[str, list[int]]:
    """Sources whose models' names begin alike, by the first letters; chatgpt is gpt's."""
    found: dict[str, list[int]] = {}
    for source, label in enumerate(model.labels):
        name = label["model"].rpartition("/")[2].lower().removeprefix("chat")
        found.setdefault(re.split("[^a-z]", name)[0] or name, []).append(source)
    return found


def left_out_by_family(
    model: SourceModel, train: Store, eval: Store, cluster: str | None
) -> dict[str, object]:
    """AUROC of bags of unknown sources where a whole family was left out at a time."""
    groups = families(model)
    out: dict[str, object] = {name: len(sources) for name, sources in groups.items()}
    for own, (route, rows, usable) in zip(
        routes(model, train, cluster), routes(model, eval, cluster), strict=True
    ):
        at = np.flatnonzero(usable & (rows.y >= 0))
        if route in model.heads and len(at):
            scored = Scored(rows.x[at], rows.y[at], rows.clusters[at])
            leave = [np.array(sources) for sources in groups.values()]
            found = unknown_scores(model, model.heads[route], own[1], scored, leave)
            out[f"auroc_{route}"] = to_json(found)
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("--cluster")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    train, eval = Store(given.train), Store(given.eval)

    def note(line: str) -> None:
        print(line, file=sys.stderr)

    model = fit_sources(train, cluster=given.cluster, on_note=note)
    if model is None:
        raise SystemExit("no heads")
    _, rows, _ = routes(model, eval, given.cluster)[0]
    report = {
        "train": given.train.name,
        "sources": len(model.labels),
        "fit": model.facts,
        "peers": peers(model, train, rows),
        "heads": to_json(head_scores(model, train, eval, np.ones(len(eval), bool), given.cluster)),
        "left_out_by_family": left_out_by_family(model, train, eval, given.cluster),
    }
    print(json.dumps(report, indent=1))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
