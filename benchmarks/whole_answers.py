"""`univar embed` of whole answers by `univar-2`, beside the forwards alone over the same tokens.

    python -m benchmarks.whole_answers --out benchmarks/results/whole_answers.json

Five take turns (see `paired`): the pipeline from rows in memory to a store on the disk; the forwards
of its two parts; one forward of minilm; and the peers with one forward of minilm each, OpenVINO in bfloat16
and onnxruntime in float32, on the same pieces, sorted by length in batches of 32. Tokens are those that the
pipeline reads: pieces of whole answers, each distinct piece once.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import paired
from benchmarks.data import data_folder, read_answers
from benchmarks.encoder_peers import BATCH, Pooled, onnxruntime_session
from benchmarks.facts import write_result
from univar import Encoder
from univar.bulk import embed
from univar.encoder.reading import RowReader
from univar.encoder.spec import resolve
from univar.encoder.tokenizer import take_texts

PACKAGES = ("univar-embed", "torch", "openvino", "onnxruntime")
PIPELINE, BOTH, ONE = "pipeline, univar-2", "forwards, univar-2", "forward, minilm"
COLUMNS = ["model", "language", "question_id", "question", "answer"]


def answers(rows: int) -> pa.Table:
    """English answers of all corpora, drawn at random with a fixed seed."""
    table = read_answers([*COLUMNS], "train")
    english = np.flatnonzero(np.array(table["language"]) == "en")
    drawn = np.random.default_rng(0).choice(english, min(rows, len(english)), replace=False)
    return table.take(pa.array(np.sort(drawn))).combine_chunks()


def pieces_of(table: pa.Table, encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """Packed tokens of the distinct pieces: ids (T,), cu_seqlens (P + 1,)."""
    columns = (table[name].combine_chunks() for name in ("question", "answer"))
    pieces = RowReader(encoder.tokenizer).read(*columns)
    return take_texts(pieces.ids, pieces.cu_seqlens, pieces.distinct()[0])


def padded(ids: np.ndarray, cu_seqlens: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Inputs of the peers: batches of pieces of like length, longest first."""
    lengths = np.diff(cu_seqlens)
    order = np.argsort(-lengths, kind="stable")
    batches = []
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        filled = np.zeros((len(rows), lengths[rows[0]]), np.int64)
        for place, row in enumerate(rows):
            filled[place, : lengths[row]] = ids[cu_seqlens[row] : cu_seqlens[row + 1]]
        mask = (np.arange(filled.shape[1]) < lengths[rows, None]).astype(np.int64)
        batches.append({"input_ids": filled, "attention_mask": mask})
    return batches


def openvino_forward(folder: Path, threads: int) -> Callable[[list[dict[str, np.ndarray]]], object]:
    """One forward in bfloat16."""
    import openvino
    import torch

    ones = torch.ones(2, 8, dtype=torch.long)
    example = {"input_ids": ones, "attention_mask": ones}
    graph = openvino.convert_model(Pooled(folder), example_input=example)
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(graph, "CPU", hints)
    return lambda batches: [compiled(inputs) for inputs in batches]


def onnxruntime_forward(folder: Path, threads: int) -> Callable[[list[dict[str, np.ndarray]]], object]:
    """One forward in float32."""
    session = onnxruntime_session(folder, threads)
    return lambda batches: [session.run(None, inputs) for inputs in batches]


PEERS = {"openvino bf16, minilm": openvino_forward, "onnxruntime fp32, minilm": onnxruntime_forward}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds, and what they say."""
    table = answers(options.rows)
    both, one = (Encoder(spec, device="cpu", threads=options.threads) for spec in ("univar-2", "minilm"))
    ids, cu_seqlens = pieces_of(table, both)
    batches = padded(ids, cu_seqlens)
    folder = resolve("minilm").folder
    report: Any = None

    def pipeline() -> None:
        nonlocal report
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            report = embed(table, Path(scratch) / "store", encoder=both, on_note=lambda note: None)

    contenders: dict[str, paired.Measure] = {
        PIPELINE: lambda: paired.cost_of(pipeline),
        BOTH: lambda: paired.cost_of(lambda: both.forward_packed(ids, cu_seqlens)),
        ONE: lambda: paired.cost_of(lambda: one.forward_packed(ids, cu_seqlens)),
    }
    for name, make in PEERS.items():
        forward = make(folder, options.threads)
        forward(batches[:1])
        contenders[name] = lambda forward=forward: paired.cost_of(lambda: forward(batches))
    rounds = []
    for found in paired.take_turns(contenders, options.rounds):
        rounds.append(found)
        print(f"round {len(rounds)}: { ({name: cost.facts() for name, cost in found.items()}) }", flush=True)
    kinds: tuple[paired.Kind, ...] = ("cpu_s", "wall_s")
    peer = paired.best(rounds, list(PEERS), "cpu_s")
    return {
        "rows": len(table),
        "pieces": len(cu_seqlens) - 1,
        "tokens": len(ids),
        "tokens_of_pipeline": report.tokens,
        "encoder": both.info,
        "rounds": [{name: cost.facts() for name, cost in found.items()} for found in rounds],
        "best_peer": peer,
        "ratios": {
            kind: {
                "pipeline's rate over the forwards'": paired.spread(
                    paired.ratios(rounds, BOTH, PIPELINE, kind)
                ),
                "univar-2 over one forward": paired.spread(paired.ratios(rounds, BOTH, ONE, kind)),
                "best peer over one forward": paired.spread(paired.ratios(rounds, peer, ONE, kind)),
                "best peer over univar-2": paired.spread(paired.ratios(rounds, peer, BOTH, kind)),
            }
            for kind in kinds
        },
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=400, help=f"answers, of {data_folder().name}'s train side"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender")
    parser.add_argument("--scratch", type=Path, help="folder for the stores; default: the system's")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    found = measure(options)
    write_result(options.out, "whole_answers", PACKAGES, {"threads": options.threads, **found})
    for kind, facts in found["ratios"].items():
        for name, value in facts.items():
            print(f"{kind}, {name}: {paired.shown(value)}")


if __name__ == "__main__":
    main()
