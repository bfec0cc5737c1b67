"""What source heads are worth on real answers: probabilities, sets, bags, unknown sources.

    python benchmarks/attribution.py TRAIN EVAL [--cluster question_id:2] [--json out.json]

The questions of the two stores must differ. Heads are fitted on TRAIN. `outside` is what attribute does with
a question that the index lacks; `centred` takes the mean of the other sources' answers of EVAL to the same
question from each row, as for questions that the index holds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from univar.heads import calibration
from univar.heads.bags import HeldOut, over_propositions, summed
from univar.heads.geometry import Geometry
from univar.heads.lda import Moments, fit_lda
from univar.heads.source import LEVELS, SourceHead
from univar.search.fit_sources import fit_sources
from univar.search.panel import Groups
from univar.search.sources import CENTRED, UNCENTRED, SourceModel
from univar.statistics import intervals
from univar.statistics.centring import centre
from univar.store import Store

SPLITS, DRAWS, BAGS, UNKNOWN_SIZE = 50, 20, 500, 10


class Rows:
    """EVAL as the heads take it; only rows of sources that TRAIN knows have y >= 0."""

    def __init__(self, model: SourceModel, store: Store, cluster: str | None) -> None:
        names = {(label["model"], label["language"]): n for n, label in enumerate(model.labels)}
        pairs = zip(store.column("model"), store.column("language"), strict=True)
        self.y = np.array([names.get(pair, -1) for pair in pairs])
        columns = [store.column(c).tolist() for c in ("answer", "question", "question_id", "language")]
        queries = model.queries(np.asarray(store.embeddings), *columns)
        self.raw = queries.x.copy()
        inside = queries.group >= 0
        if CENTRED in model.heads:
            self.raw[inside] += model.means.means[queries.group[inside]]
        groups = Groups.of(store, model.facts["centre"], cluster)
        self.clusters = groups.clusters
        moved = centre(self.raw, store.codes("source")[0], groups.questions, groups.centred_clusters)
        self.own, self.is_centred = moved.embeddings, moved.is_centred


def scores(head: SourceHead, log_p: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> dict[str, object]:
    losses = calibration.nll(log_p, y)
    return {
        "rows": len(y),
        "nll": intervals.mean(losses, clusters).text(),
        "accuracy": intervals.mean((log_p.argmax(axis=1) == y).astype(float), clusters).text(),
        "brier": round(float(calibration.brier(log_p, y).mean()), 3),
        "classwise_ece": round(calibration.classwise_ece(log_p, y), 3),
        "held_out_nll_inside_train": {one["name"]: one["nll"] for one in head.tried},
    }


def peers(model: SourceModel, route: str, train: Store, rows: Rows) -> dict[str, object]:
    """Vote shares of 20 neighbours, and the probe with one temperature, on the same rows of EVAL."""
    from univar.heads.neighbours import vote_log_odds
    from univar.heads.probe import fit_probe, held_out_probe
    from univar.heads.source import folds_of

    known = np.flatnonzero(rows.y >= 0)
    base = np.asarray(train.embeddings, np.float32)
    corpus = model.blocks.unit(base)
    queries = rows.raw[known][:, : model.blocks.learnt]
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


def coverage(held_out: HeldOut, log_p: np.ndarray) -> dict[str, float] | str:
    """Coverage of prediction sets on one half of the propositions, calibrated on the other, over SPLITS."""
    codes, place = np.unique(held_out.clusters, return_inverse=True)
    if len(codes) < 2 * calibration.MIN_QUESTIONS:
        return f"refused: {len(codes)} propositions, halves of fewer than {calibration.MIN_QUESTIONS}"
    true = calibration.set_scores(log_p)[np.arange(len(held_out.y)), held_out.y]
    rng, out = np.random.default_rng(0), {level: [] for level in LEVELS}
    for _ in range(SPLITS):
        first = (rng.permutation(len(codes)) < len(codes) // 2)[place]
        weights = calibration.question_weights(held_out.clusters[~first])
        for level in LEVELS:
            bound = calibration.set_threshold(true[first], held_out.clusters[first], level)
            out[level].append(float((weights * (true[~first] <= bound)).sum()))
    return {f"{level:g}": round(float(np.mean(found)), 3) for level, found in out.items()}


def bags(
    head: SourceHead, x: np.ndarray, log_p: np.ndarray, y: np.ndarray, clusters: np.ndarray
) -> dict[str, object]:
    """Accuracy of bags by summed log posteriors and by the head at the bag's mean vector."""
    pool, out = HeldOut(log_p, y, clusters), {}
    for size in (1, 5, 20, 50):
        drawn, truth = pool.draw(size, BAGS, seed=size)
        if len(np.unique(truth)) < 2:
            break
        summed_p = np.stack([summed(log_p[rows], np.arange(len(rows))) for rows in drawn])
        means = np.stack([x[rows].mean(axis=0) for rows in drawn])
        scaled = calibration.log_softmax(summed_p * head.factors.factor(size))
        out[str(size)] = {
            "summed": round(float(np.mean(summed_p.argmax(axis=1) == truth)), 3),
            "mean_vector": round(float(np.mean(head.distance.log_odds(means).argmax(axis=1) == truth)), 3),
            "nll": round(float(calibration.nll(scaled, truth).mean()), 3),
        }
    return out


def false_alarms(head: SourceHead, x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> float | str:
    """Share of bags of known sources, other questions, with p <= .05 of 'none of these'."""
    products = head.geometry.products(head.distance.log_odds(x)).astype(np.float32)
    drawn, _ = HeldOut(products, y, clusters).draw(UNKNOWN_SIZE, BAGS, seed=3)
    known, _ = head.held_out.draw(UNKNOWN_SIZE, 999, seed=2)
    if not drawn or not known:
        return "no source answered 10 propositions"
    strange = [head.geometry.strangeness(np.stack([table[rows].mean(axis=0) for rows in some]).astype(float))
               for table, some in ((products, drawn), (head.strange, known))]  # fmt: skip
    return round(float(np.mean(calibration.conformal_p(strange[0], strange[1]) <= 0.05)), 3)


def unknown(model: SourceModel, head: SourceHead, train_x: np.ndarray, x: np.ndarray, y: np.ndarray,
            clusters: np.ndarray) -> dict[str, object]:  # fmt: skip
    """AUROC of bags of sources that a discriminant never saw: a random third left out, DRAWS times."""
    from sklearn.metrics import roc_auc_score

    scale = np.ones(x.shape[1], np.float32)
    if "words" in model.blocks.slices:
        scale[model.blocks.slices["words"]] = head.words_weight
    if "terms" in model.blocks.slices:
        scale[model.blocks.slices["terms"]] = 0
    sources = np.unique(model.codes)
    drawn, truth = HeldOut(np.zeros((len(y), 1)), y, clusters).draw(UNKNOWN_SIZE, 20 * len(sources), seed=5)
    if not drawn:
        return {"auroc": "no source answered 10 propositions"}
    means = np.stack([over_propositions(x[rows], clusters[rows]).mean(axis=0) for rows in drawn])
    found, rng = [], np.random.default_rng(0)
    for _ in range(DRAWS):
        out = rng.permutation(sources)[: max(1, len(sources) // 3)]
        kept = ~np.isin(model.codes, out)
        moments = Moments.of(train_x[kept] * scale, model.codes[kept].astype(np.int64), len(model.labels))
        discriminant = fit_lda(moments)
        geometry = Geometry.of(moments, discriminant)
        strange = geometry.strangeness(geometry.products(discriminant.log_odds(means * scale)))
        found.append(float(roc_auc_score(np.isin(truth, out), strange)))
    return {"auroc": round(float(np.mean(found)), 3), "lowest": round(min(found), 3), "draws": DRAWS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("--cluster")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    train = Store(given.train)
    model = fit_sources(train, cluster=given.cluster, on_note=lambda note: print(note, file=sys.stderr))
    if model is None:
        raise SystemExit("no heads")
    rows = Rows(model, Store(given.eval), given.cluster)
    report: dict[str, object] = {"train": given.train.name, "sources": len(model.labels), "fit": model.facts}
    report["peers"] = peers(model, UNCENTRED, train, rows)
    parts = {"outside": (UNCENTRED, rows.raw, rows.y >= 0)}
    if CENTRED in model.heads:
        parts["centred"] = (CENTRED, rows.own, (rows.y >= 0) & rows.is_centred)
    train_rows = Rows(model, train, given.cluster)
    for name, (route, x, kept) in parts.items():
        head, at = model.heads[route], np.flatnonzero(kept)
        if not len(at) or head.kind == "knn":
            report[name] = f"{len(at)} rows, head {head.kind}"
            continue
        x, y, clusters = x[at], rows.y[at], rows.clusters[at]
        log_p = head.log_p(head.linear.log_odds(x))
        train_x = train_rows.raw if route == UNCENTRED else train_rows.own
        report[name] = {
            "head": head.kind,
            "words_weight": head.words_weight,
            **scores(head, log_p, y, clusters),
            "coverage": coverage(head.held_out, head.log_p(head.held_out.log_odds)),
            "bags": bags(head, x, log_p, y, clusters),
            "unknown": unknown(model, head, train_x, x, y, clusters),
            "false_alarms_at_5_percent": false_alarms(head, x, y, clusters),
        }
    print(json.dumps(report, indent=1))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
