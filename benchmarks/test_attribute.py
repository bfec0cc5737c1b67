"""Attribution from file to answer: read, tokenise, embed, search, vote.

The peer does the same by hand with sentence-transformers, FAISS and NumPy, its model and index loaded before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.conftest import THREADS, Measure
from benchmarks.data import read_answers, texts_of
from univar import Encoder, Store, embed
from univar.search import attribute_answers
from univar.search.faiss_setup import load_faiss, tuned

REFERENCE, ASKED, K = 1_000, 100, 20
AGREE = 0.9
"""Share of answers that the peer attributes as univar does: votes for two sources are often equal."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A store of reference answers and a file of answers to attribute."""
    folder = tmp_path_factory.mktemp("attribute")
    answers = read_answers(["id", "model", "language", "question_id", "question", "answer"][1:], "train")
    chosen = np.random.default_rng(0).permutation(len(answers))[: REFERENCE + ASKED]
    for name, rows in (("reference", chosen[:REFERENCE]), ("asked", chosen[REFERENCE:])):
        pq.write_table(answers.take(rows), folder / f"{name}.parquet")
    embed([folder / "reference.parquet"], folder / "store", encoder=Encoder("minilm", threads=THREADS))
    return folder


def by_univar(folder: Path) -> Callable[[], list[str]]:
    """The source of each answer."""
    store, encoder = Store(folder / "store"), Encoder("minilm", threads=THREADS)

    def run() -> list[str]:
        found = attribute_answers(
            store, [str(folder / "asked.parquet")], k=K, on_rejected=lambda row: None, encoder=encoder
        )
        return [answer["sources"][0]["label"] for answer in found]

    return run


def by_hand(folder: Path) -> Callable[[], list[str]]:
    """The same with what a script would use."""
    from sentence_transformers import SentenceTransformer

    from univar.encoder.spec import resolve

    model = SentenceTransformer(str(resolve("minilm").folder), device="cpu")
    store = Store(folder / "store")
    codes, labels = store.codes("source")
    index = load_faiss().IndexFlatIP(store.dim)
    index.add(np.asarray(store.embeddings, np.float32))

    def run() -> list[str]:
        embeddings = model.encode(texts_of(pq.read_table(folder / "asked.parquet")))
        with tuned(len(embeddings), THREADS):
            scores, rows = index.search(embeddings, K)
        votes = np.zeros((len(rows), len(labels)))
        for row, near, own in zip(votes, rows, scores, strict=True):
            np.add.at(row, codes[near], 1 + own / (2 * K))  # ties go to the more similar neighbours
        return [labels[best] for best in votes.argmax(axis=1)]

    return run


@pytest.mark.parametrize("impl", ["univar", "sentence-transformers and FAISS"])
def test_attribute(impl: str, folder: Path, measure: Measure) -> None:
    torch.set_num_threads(THREADS)
    ours = by_univar(folder)
    run = ours
    if impl != "univar":
        pytest.importorskip("sentence_transformers", reason="sentence_transformers is in the extra [bench]")
        run = by_hand(folder)
    same = [a == b for a, b in zip(run(), ours(), strict=True)]
    assert np.mean(same) >= AGREE
    measure(f"attribute {ASKED} answers to {REFERENCE:,}", run, answers=ASKED)
