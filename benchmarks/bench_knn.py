"""`univar.knn` on the CPU beside faiss.IndexFlatIP, on embeddings of real answers: same neighbours, time.

FAISS sums in float32 and leaves the order of ties open; its neighbours, a few more than k, are therefore
scored again in float64 and put in order before they are compared.

    python benchmarks/bench_knn.py --data ../shared/data --out benchmarks/results/knn.json
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
from facts import data_folder, write_result

from univar import Encoder, knn

PIECE_CHARS, PIECE_TOKENS, WIDER = 80, 24, 64


def real_embeddings(data: Path, rows: int) -> np.ndarray:
    """(rows, 384) float32: pieces of real answers embedded by minilm, those that occur twice included."""
    pieces: list[str] = []
    for name in ("answers_eval.parquet", "answers_train.parquet"):
        for answer in pq.read_table(data / name, columns=["answer"])["answer"].to_pylist():
            pieces += [
                answer[i : i + PIECE_CHARS] for i in range(0, min(len(answer), 3 * PIECE_CHARS), PIECE_CHARS)
            ]
            if len(pieces) >= rows:
                return Encoder("minilm", max_length=PIECE_TOKENS).encode(pieces[:rows])
    raise SystemExit(f"only {len(pieces)} pieces in {data}; give a smaller --rows")


def by_faiss(queries: np.ndarray, corpus: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """FAISS's neighbours in the order of (score in float64, row), and the seconds of its search for k."""
    index = faiss.IndexFlatIP(corpus.shape[1])
    index.add(corpus)
    started = time.perf_counter()
    index.search(queries, k)
    seconds = time.perf_counter() - started
    rows = index.search(queries, k + WIDER)[1]
    exact = np.stack([corpus[r].astype(np.float64) @ q for q, r in zip(queries, rows, strict=True)])
    order = np.lexsort((rows, -exact.astype(np.float32)), axis=-1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    corpus = real_embeddings(args.data, args.rows)
    queries = corpus[np.random.default_rng(0).choice(len(corpus), args.queries, replace=False)]
    expected, faiss_s = by_faiss(queries, corpus, args.k)
    started = time.perf_counter()
    _, rows = knn(queries, corpus, args.k, device="cpu")
    seconds = time.perf_counter() - started
    same = float((rows == expected).mean())
    facts = {"rows": len(corpus), "dim": corpus.shape[1], "queries": len(queries), "k": args.k}
    facts |= {"equal_to_faiss": same, "univar_s": round(seconds, 3), "faiss_as_shipped_s": round(faiss_s, 3)}
    print(facts)
    write_result(args.out, "knn", ["univar-embed", "faiss-cpu", "numpy"], facts)


if __name__ == "__main__":
    main()
