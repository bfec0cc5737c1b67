"""The native encoder beside its peers and beside the speed of stock bf16 matrix products, cell by cell.

A cell is an encoder, a limit in tokens and a number of threads. In each round all contenders embed the same
texts in turns (see `paired`), tokenisation included; the speed of stock oneDNN products of the model's shapes
is measured right before and after the native encoder. Results are saved after every round, and a cell that
has its rounds is not measured again: the same command continues an interrupted run.

    python -m benchmarks.native --out benchmarks/results/native.json
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import encoder_peers as peers
from benchmarks import gemm, paired
from benchmarks.data import data_folder, read_answers, texts_of
from benchmarks.facts import write_result
from univar.encoder.config import EncoderConfig, read_config
from univar.encoder.export import export_encoder
from univar.encoder.spec import resolve
from univar.encoder.tokenizer import load_tokenizer

PACKAGES = ("univar-embed", "torch", "sentence-transformers", "transformers", "openvino")
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # torch's fp32 products are MKL's, which heeds neither of the others
    "UNIVAR_ISA": "avx2",
}
OURS, INT8 = "univar bf16", "univar int8"
GEMMS = {"torch linear": False, "torch linear, packed weights": True}
ATTENTION = "torch bmm, attention"
WARM_UP = 256


@dataclass(frozen=True)
class Cell:
    """What is measured together, in a process of its own."""

    encoder: str
    max_length: int
    threads: int
    isa: str = "amx"

    @property
    def name(self) -> str:
        """As in the result file."""
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


def contenders_of(cell: Cell, folder: Path) -> list[peers.Contender]:
    """The contenders of a cell, sentence-transformers at its defaults first."""
    setting = peers.Setting(folder, cell.max_length, cell.threads)
    library = peers.sentence_transformers_contenders(setting)
    if cell.isa != "amx":
        return [library[0], *peers.univar_contenders(setting, ("fp32",))]
    if cell.encoder != "minilm":
        return [*library, *peers.univar_contenders(setting, ("bf16",))]
    dtypes = ("bf16", "int8", "fp32") if cell.max_length == 256 else ("bf16", "int8")
    openvino = peers.openvino_contenders(setting)[-1:]  # one stream a thread
    packed = peers.packed_torch_contender(setting)
    return [*library, *openvino, packed, *peers.univar_contenders(setting, dtypes)]


def sample(cell: Cell, data: Path, n: int) -> list[str]:
    """The first n texts; for a multilingual encoder n texts, the languages by turns."""
    table = read_answers(["language", "question", "answer"], folder=data)
    if cell.encoder != "minilm":
        languages = np.array(table["language"].to_pylist())
        turns = np.zeros(len(languages), int)
        for language in np.unique(languages):
            turns[languages == language] = np.arange((languages == language).sum())
        table = table.take(np.argsort(turns, kind="stable"))
    return texts_of(table.slice(0, n))


@dataclass(frozen=True)
class Work:
    """What every contender of a cell embeds. lengths: tokens of each text."""

    config: EncoderConfig
    texts: list[str]
    lengths: np.ndarray

    def facts(self) -> dict[str, Any]:
        """Its size."""
        linears = gemm.linear_flop(self.config, self.lengths) / 1e9
        attention = gemm.attention_flop(self.config, self.lengths) / 1e9
        return {
            "texts": len(self.texts),
            "tokens": int(self.lengths.sum()),
            "gflop": round(linears + attention, 1),
            "attention_gflop": round(attention, 1),
        }

    def stock_gflops(self) -> dict[str, float]:
        """GFLOP per CPU-second of stock products.

        Those of attention have the length of the text in which the mean of their FLOP is spent.
        """
        config, lengths = self.config, self.lengths
        length = round(float((lengths**3.0).sum() / (lengths**2.0).sum()))
        rates = {
            name: gemm.gemm_rate(config.dim, config.intermediate, packed=packed)
            for name, packed in GEMMS.items()
        }
        rates[ATTENTION] = gemm.attention_rate(config.heads, config.head_dim, length)
        return {name: round(rate / 1e9, 1) for name, rate in rates.items()}


def run_round(ready: list[peers.Contender], work: Work, number: int) -> dict[str, Any]:
    """What every contender takes, and the speed of stock products around the native bf16 forward."""
    stock: list[dict[str, float]] = []

    def measure_of(one: peers.Contender) -> paired.Measure:
        def plain() -> paired.Cost:
            return paired.cost_of(lambda: one.encode(work.texts))

        def between_products() -> paired.Cost:
            stock.append(work.stock_gflops())
            cost = plain()
            stock.append(work.stock_gflops())
            return cost

        return between_products if one.name == OURS else plain

    costs = paired.one_round({one.name: measure_of(one) for one in ready}, number)
    rates = {name: [rates[name] for rates in stock] for name in (*GEMMS, ATTENTION)}
    return {
        "seconds": {name: cost.facts() for name, cost in costs.items()},
        "gemm_gflop_per_cpu_s": rates,
    }


def run_cell(cell: Cell, folder: Path, options: argparse.Namespace) -> None:
    """Add rounds to a cell, its encoder in `folder`, until it has `options.rounds` or the time is over."""
    torch.set_num_threads(cell.threads)
    texts = sample(cell, options.data, options.texts)
    lengths = np.diff(load_tokenizer(folder, cell.max_length).encode(texts).cu_seqlens)
    work = Work(read_config(folder), texts, lengths)
    ready = contenders_of(cell, folder)
    for one in ready:
        one.encode(texts[:WARM_UP])
    started = time.monotonic()
    while True:
        found = {**load_cells(options.out).get(cell.name, {"rounds": []}), **work.facts()}
        if len(found["rounds"]) >= options.rounds or time.monotonic() - started > 60 * options.minutes:
            break
        found["rounds"].append(run_round(ready, work, len(found["rounds"])))
        if "min_cosine" not in found:
            found["min_cosine"] = min_cosines(ready, texts)
        found["summary"] = summary(found)
        cells = load_cells(options.out) | {cell.name: found}  # others may have been measured meanwhile
        write_result(options.out, "native", PACKAGES, {"cells": cells})
    print_cell(cell, found)


def min_cosines(ready: list[peers.Contender], texts: list[str]) -> dict[str, float]:
    """Lowest cosine of each contender's embeddings to sentence-transformers'."""
    outputs = {one.name: one.encode(texts) for one in ready}
    exact = outputs[peers.BASE]
    return {name: round(float((got * exact).sum(axis=1).min()), 6) for name, got in outputs.items()}


def load_cells(path: Path) -> dict[str, Any]:
    """The cells that the result file has."""
    return json.loads(path.read_text())["cells"] if path.exists() else {}


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds: texts a second, ratios, shares of the stock products' speed."""
    rounds = [
        {name: paired.Cost(**seconds) for name, seconds in one["seconds"].items()} for one in found["rounds"]
    ]
    result: dict[str, Any] = {}
    for name in rounds[0]:
        result[name] = {
            "texts_per_s": round(found["texts"] / paired.median(rounds, name), 1),
            "texts_per_cpu_s": round(found["texts"] / paired.median(rounds, name, "cpu_s"), 1),
            "times_base_wall": paired.spread(paired.ratios(rounds, peers.BASE, name)),
            "times_base_cpu": paired.spread(paired.ratios(rounds, peers.BASE, name, "cpu_s")),
        }
    if OURS in result:
        result[OURS] |= beside_peers(rounds) | beside_products(found, rounds)
    if INT8 in result:
        result[INT8]["times_univar_bf16_cpu"] = paired.spread(paired.ratios(rounds, OURS, INT8, "cpu_s"))
    return result


def beside_peers(rounds: list[paired.Round]) -> dict[str, Any]:
    """The native bf16 forward beside the best other one in bf16, by wall and by CPU time."""
    others = [name for name in rounds[0] if "bf16" in name and name != OURS]
    found: dict[str, Any] = {}
    kinds: tuple[paired.Kind, ...] = ("wall_s", "cpu_s")
    for kind in kinds:
        peer = paired.best(rounds, others, kind)
        ratios = paired.spread(paired.ratios(rounds, peer, OURS, kind))
        found[f"times_best_bf16_peer_{kind[:-2]}"] = {"peer": peer, **ratios}
    return found


def beside_products(found: dict[str, Any], rounds: list[paired.Round]) -> dict[str, Any]:
    """CPU time that stock products alone would take, over that of the native bf16 forward."""
    rates = [
        {name: statistics.mean(rate) for name, rate in one["gemm_gflop_per_cpu_s"].items()}
        for one in found["rounds"]
    ]

    def share(stock_s: Callable[[dict[str, float]], float]) -> dict[str, float]:
        return paired.spread(
            [stock_s(rate) / one[OURS].cpu_s for rate, one in zip(rates, rounds, strict=True)]
        )

    attention = found["attention_gflop"]
    shares = {
        f"share of {name}": share(lambda rate, name=name: found["gflop"] / rate[name]) for name in GEMMS
    }
    if all(ATTENTION in rate for rate in rates):
        packed = list(GEMMS)[-1]
        shares[f"share of {packed}, and bmm"] = share(
            lambda rate: (found["gflop"] - attention) / rate[packed] + attention / rate[ATTENTION]
        )
    return shares


def print_cell(cell: Cell, found: dict[str, Any]) -> None:
    """The table of a cell."""
    print(f"\n{cell.name}: {found['texts']} texts, {found['tokens']} tokens, {len(found['rounds'])} rounds")
    print(f"{'':38}{'texts/s':>9}{'per CPU-s':>11}{'x base wall':>22}{'x base CPU':>22}{'min cosine':>12}")
    for name, row in found.get("summary", {}).items():
        wall, cpu = (paired.shown(row[f"times_base_{kind}"]) for kind in ("wall", "cpu"))
        cosine = found["min_cosine"][name]
        rates = f"{row['texts_per_s']:>9}{row['texts_per_cpu_s']:>11}"
        print(f"{name:38}{rates}{wall:>22}{cpu:>22}{cosine:>12.5f}")
        for key, value in row.items():
            if key.startswith(("times_best", "share of", "times_univar")):
                print(f"    {key}: {value}")


def main() -> None:
    """Measure the cells, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    parser.add_argument("--texts", type=int, default=2_000, help="texts to embed")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each cell")
    parser.add_argument("--minutes", type=float, default=600, help="start no round after this time in a cell")
    parser.add_argument("--cell", type=int, choices=range(len(CELLS)), help="only this cell; default: all")
    parser.add_argument("--out", type=Path, required=True, help="JSON file, continued if it exists")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the environment is set
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
        command = [sys.executable, "-m", "benchmarks.native", *sys.argv[1:], "--cell", str(number), "--here"]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
