"""The native encoder beside its peers and beside the rate of stock bf16 matrix products, cell by cell.

A cell is an encoder, a limit in tokens and a number of threads. In each round all contenders embed the same
texts one after the other, tokenisation included, in turning order; what stock oneDNN products of the model's
shapes reach is measured right before and after the native encoder. Ratios are taken round by round. Results
are saved after every round, and a cell that has its rounds is left alone: the same command goes on.

    python benchmarks/bench_native.py --out benchmarks/results/native.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contenders as c
import numpy as np
import pyarrow.parquet as pq
import torch
from facts import data_folder, write_result

from univar.encoder.config import EncoderConfig, read_config
from univar.encoder.export import export_encoder
from univar.encoder.spec import resolve
from univar.encoder.tokenizer import load_tokenizer
from univar.schema import qa_texts

PACKAGES = ("univar-embed", "torch", "sentence-transformers", "transformers", "openvino")
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # torch's fp32 products are MKL's, which heeds neither of the others
    "UNIVAR_ISA": "avx2",
}
GEMMS = {"torch linear": False, "torch linear, packed weights": True}
ATTENTION = "torch bmm, attention"


@dataclass(frozen=True)
class Cell:
    """What is measured together, in a process of its own."""

    encoder: str
    max_length: int
    threads: int
    isa: str = "amx"

    @property
    def name(self) -> str:
        held = "" if self.isa == "amx" else f", both held to {self.isa}"
        return f"{self.encoder}, {self.max_length} tokens, threads {self.threads}{held}"


CELLS = [
    Cell("minilm", 256, 1),
    Cell("minilm", 256, 2),
    Cell("minilm", 512, 1),
    Cell("minilm", 512, 2),
    Cell("e5-multilingual", 512, 1),
    Cell("minilm", 256, 1, isa="avx2"),
]


def runners(cell: Cell, folder: Path) -> list[c.Contender]:
    """The contenders of a cell, sentence-transformers at its defaults first."""
    setting = c.Setting(folder, cell.max_length, cell.threads)
    peers = c.sentence_transformers_contenders(setting)
    if cell.isa != "amx":
        return [peers[0], *c.univar_contenders(setting, ("fp32",))]
    if cell.encoder != "minilm":
        return [*peers, *c.univar_contenders(setting, ("bf16",))]
    ours = c.univar_contenders(
        setting, ("bf16", "int8", "fp32") if cell.max_length == 256 else ("bf16", "int8")
    )
    openvino = c.openvino_contenders(setting)[-1:]  # one stream a thread
    return [*peers, *openvino, c.packed_torch_contender(setting), *ours]


def sample(cell: Cell, data: Path, n: int) -> list[str]:
    """The first n texts; for a multilingual encoder n texts, the languages by turns."""
    table = pq.read_table(data / "answers_eval.parquet", columns=["language", "question", "answer"])
    if cell.encoder != "minilm":
        languages = np.array(table["language"].to_pylist())
        turns = np.zeros(len(languages), int)
        for language in np.unique(languages):
            turns[languages == language] = np.arange((languages == language).sum())
        table = table.take(np.argsort(turns, kind="stable"))
    columns = [table[name].combine_chunks() for name in ("question", "answer")]
    return qa_texts(*columns).to_pylist()[:n]


def run_round(
    config: EncoderConfig, ready: list[c.Contender], texts: list[str], lengths: np.ndarray, number: int
) -> dict[str, Any]:
    """CPU and wall seconds of every contender, and the GEMM rates around the native bf16 one.

    Attention's products are timed in a text as long as that in which the mean of their FLOP is spent.
    """
    seconds: dict[str, Any] = {}
    gemm: dict[str, list[float]] = {name: [] for name in (*GEMMS, ATTENTION)}
    length = round(float((lengths**3.0).sum() / (lengths**2.0).sum()))

    def measure_gemm() -> None:
        for name, packed in GEMMS.items():
            gemm[name].append(round(c.gemm_rate(config.dim, config.intermediate, packed=packed) / 1e9, 1))
        gemm[ATTENTION].append(round(c.attention_rate(config.heads, config.head_dim, length) / 1e9, 1))

    turned = ready[number % len(ready) :] + ready[: number % len(ready)]
    for one in turned:
        around = one.name == "univar bf16"
        if around:
            measure_gemm()
        cpu, wall, _ = c.timed(lambda one=one: one.encode(texts))
        seconds[one.name] = {"cpu_s": round(cpu, 3), "wall_s": round(wall, 3)}
        if around:
            measure_gemm()
    return {"seconds": seconds, "gemm_gflop_per_cpu_s": gemm}


def run_cell(cell: Cell, folder: Path, options: argparse.Namespace) -> None:
    """Add rounds to a cell, its encoder in `folder`, until it has `options.rounds` or the time is over."""
    torch.set_num_threads(cell.threads)
    texts = sample(cell, options.data, options.texts)
    lengths = np.diff(load_tokenizer(folder, cell.max_length).encode(texts).cu_seqlens)
    config = read_config(folder)
    linears, attention = c.linear_flop(config, lengths) / 1e9, c.attention_flop(config, lengths) / 1e9
    ready = runners(cell, folder)
    outputs = {one.name: one.encode(texts[:256]) for one in ready}  # warm
    started = time.monotonic()
    while True:
        found = load_cells(options.out).get(cell.name, {"rounds": []})
        found |= {"texts": len(texts), "tokens": int(lengths.sum())}
        found |= {"gflop": round(linears + attention, 1), "attention_gflop": round(attention, 1)}
        if len(found["rounds"]) >= options.rounds or time.monotonic() - started > 60 * options.minutes:
            break
        found["rounds"].append(run_round(config, ready, texts, lengths, len(found["rounds"])))
        if "min_cosine" not in found:
            outputs = {one.name: one.encode(texts) for one in ready}
            exact = outputs[c.BASE]
            found["min_cosine"] = {
                name: round(float((got * exact).sum(axis=1).min()), 6) for name, got in outputs.items()
            }
        found["summary"] = summary(found)
        cells = load_cells(options.out) | {cell.name: found}  # others may have been measured meanwhile
        write_result(options.out, "native", PACKAGES, {"cells": cells})
    print_cell(cell, found)


def load_cells(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["cells"] if path.exists() else {}


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds: texts a second, ratios, shares of the GEMM rates."""
    rounds, result = found["rounds"], {}
    for name in rounds[0]["seconds"]:
        own = [one["seconds"][name] for one in rounds]
        base = [one["seconds"][c.BASE] for one in rounds]
        result[name] = {
            "texts_per_s": round(found["texts"] / statistics.median(s["wall_s"] for s in own), 1),
            "texts_per_cpu_s": round(found["texts"] / statistics.median(s["cpu_s"] for s in own), 1),
            "times_base_wall": spread([b["wall_s"] / s["wall_s"] for s, b in zip(own, base, strict=True)]),
            "times_base_cpu": spread([b["cpu_s"] / s["cpu_s"] for s, b in zip(own, base, strict=True)]),
        }
    ours = result.get("univar bf16")
    if ours is None:
        return result
    peers = [name for name in result if "bf16" in name and name != "univar bf16"]
    for kind in ("wall_s", "cpu_s"):
        best = min(peers, key=lambda name: statistics.median(r["seconds"][name][kind] for r in rounds))
        pairs = [(r["seconds"][best][kind], r["seconds"]["univar bf16"][kind]) for r in rounds]
        ours[f"times_best_bf16_peer_{kind[:-2]}"] = {
            "peer": best,
            **spread([peer / own for peer, own in pairs]),
        }
    for name in GEMMS:
        ours[f"share of {name}"] = spread(
            [
                found["gflop"]
                / r["seconds"]["univar bf16"]["cpu_s"]
                / statistics.mean(r["gemm_gflop_per_cpu_s"][name])
                for r in rounds
            ]
        )
    if all(ATTENTION in r["gemm_gflop_per_cpu_s"] for r in rounds):
        ours["share of torch linear, packed weights, and bmm"] = spread(
            [stock_seconds(found, r) / r["seconds"]["univar bf16"]["cpu_s"] for r in rounds]
        )
    if "univar int8" in result:
        ratios = [r["seconds"]["univar bf16"]["cpu_s"] / r["seconds"]["univar int8"]["cpu_s"] for r in rounds]
        result["univar int8"]["times_univar_bf16_cpu"] = spread(ratios)
    return result


def stock_seconds(found: dict[str, Any], measured: dict[str, Any]) -> float:
    """CPU seconds that stock products alone would take: linears at their rate, attention's at theirs."""
    rates = {name: statistics.mean(rate) for name, rate in measured["gemm_gflop_per_cpu_s"].items()}
    attention = found["attention_gflop"]
    return (found["gflop"] - attention) / rates["torch linear, packed weights"] + attention / rates[ATTENTION]


def print_cell(cell: Cell, found: dict[str, Any]) -> None:
    print(f"\n{cell.name}: {found['texts']} texts, {found['tokens']} tokens, {len(found['rounds'])} rounds")
    print(f"{'':38}{'texts/s':>9}{'per CPU-s':>11}{'x base wall':>22}{'x base CPU':>22}{'min cosine':>12}")
    for name, row in found.get("summary", {}).items():
        wall, cpu = (
            "{median:.2f} ({min:.2f}-{max:.2f})".format(**row[f"times_base_{kind}"])
            for kind in ("wall", "cpu")
        )
        cosine = found["min_cosine"][name]
        rates = f"{row['texts_per_s']:>9}{row['texts_per_cpu_s']:>11}"
        print(f"{name:38}{rates}{wall:>22}{cpu:>22}{cosine:>12.5f}")
        for key, value in row.items():
            if key.startswith(("times_best", "share of", "times_univar")):
                print(f"    {key}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes", type=float, default=600, help="begin no round after so many minutes a cell"
    )
    parser.add_argument("--cell", type=int, choices=range(len(CELLS)), help="only this cell; default: all")
    parser.add_argument("--out", type=Path, required=True, help="JSON file, continued if it exists")
    parser.add_argument("--here", action="store_true", help="in this process, whose environment is set")
    options = parser.parse_args()
    if options.here:
        cell = CELLS[options.cell]
        with tempfile.TemporaryDirectory() as scratch:  # every library opens what we export
            exported = Path(scratch) / "encoder"
            run_cell(
                cell, export_encoder(resolve(cell.encoder), exported, max_length=cell.max_length), options
            )
        return
    for number in range(len(CELLS)) if options.cell is None else [options.cell]:
        environment = {**os.environ, **(AVX2 if CELLS[number].isa == "avx2" else {})}
        command = [sys.executable, __file__, *sys.argv[1:], "--cell", str(number), "--here"]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
