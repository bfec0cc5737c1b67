"""Do the phrases that a verdict names carry it? They are deleted, or random ones, and the text is read anew.

python benchmarks/reasons.py STORE_WITH_HEADS EVAL_STORE [--rows 200]
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from univar.search import reasons
from univar.search.attribute import embedded, store_encoder
from univar.search.source_files import load
from univar.search.sources import CENTRED, UNCENTRED
from univar.store import Store


def without(text: str, phrases: list[str]) -> str:
    """The text without these phrases, wherever they occur."""
    for phrase in phrases:
        text = re.sub(r"\W+".join(map(re.escape, phrase.split())), " ", text, flags=re.IGNORECASE)
    return text if text.strip() else "."


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    given = parser.parse_args()
    store, other = Store(given.store), Store(given.eval)
    model = load(store)
    assert model is not None, "fit the heads first: univar index"
    encoder = store_encoder(store)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(other))[: given.rows])
    columns = [other.text(name, rows) for name in ("answer", "question", "question_id", "language")]
    answers, questions = columns[0], columns[1]

    def log_p(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        asked = (pa.array(side, pa.large_string()) for side in (questions, texts))
        queries = model.queries(embedded(store, encoder, *asked), texts, *columns[1:])
        return model.log_p(queries), queries.is_centred

    before, centred = log_p(answers)
    best = before.argmax(axis=1)
    named, random = [], []
    for n, text in enumerate(answers):
        route = CENTRED if centred[n] else UNCENTRED
        found = reasons.phrases(model, route, [text], before[n], int(best[n]))
        phrases = [one["phrase"] for one in found]
        words = re.findall(r"\w+", text)
        pieces = [len(phrase.split()) for phrase in phrases]
        starts = [int(rng.integers(0, max(1, len(words) - size + 1))) for size in pieces]
        picked = [" ".join(words[a : a + size]) for a, size in zip(starts, pieces, strict=True)]
        named.append(without(text, phrases))
        random.append(without(text, picked))
    at = np.arange(len(rows))
    p = np.exp(before[at, best])
    lost = {
        name: p - np.exp(log_p(texts)[0][at, best]) for name, texts in (("named", named), ("random", random))
    }
    more = lost["named"] - lost["random"]
    report = {f"median_loss_{name}": round(float(np.median(loss)), 4) for name, loss in lost.items()}
    report |= {f"mean_loss_{name}": round(float(loss.mean()), 4) for name, loss in lost.items()}
    report |= {
        "median_difference": round(float(np.median(more)), 4),
        "share_where_named_lose_more": round(float(np.mean(more > 0)), 3),
        "rows": len(rows),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
