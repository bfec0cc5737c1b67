"""Bulk embedding in texts per second: univar beside sentence-transformers, OpenVINO and onnxruntime.

All contenders run in one process on the same texts with the same limit, one after the other within each
round, tokenisation included; the order changes from round to round. Ratios are taken round by round. Peers
other than sentence-transformers get texts sorted by tokens, batches of 32, and Hugging Face's fast tokenizer.
The share of the GEMM rate is the arithmetic of univar's bf16 encoder over what oneDNN's bf16 product of the
same shapes does in the same round, per CPU-second.

    python benchmarks/bench_embed.py --data ../shared/data --out benchmarks/results/embed.json
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from contenders import (
    BASE,
    Contender,
    Setting,
    attention_flop,
    gemm_rate,
    linear_flop,
    onnxruntime_contenders,
    openvino_contenders,
    sentence_transformers_contenders,
    timed,
    univar_contenders,
)
from facts import data_folder, write_result

from univar.encoder.config import read_config
from univar.encoder.spec import resolve
from univar.encoder.tokenizer import load_tokenizer
from univar.schema import qa_texts

WARM_UP = 128  # texts
PACKAGES = ("univar-embed", "torch", "sentence-transformers", "transformers", "openvino", "onnxruntime")


def contenders(setting: Setting, only: list[str]) -> tuple[list[Contender], list[str]]:
    """Those that are installed, and the names of the packages that are not."""
    makers = {"openvino": openvino_contenders, "onnxruntime": onnxruntime_contenders}
    missing = [name for name in makers if importlib.util.find_spec(name) is None]
    made = [*sentence_transformers_contenders(setting), *univar_contenders(setting)]
    for name, maker in makers.items():
        if name not in missing and (not only or any(name in wanted for wanted in only)):
            made += maker(setting)
    kept = [one for one in made if not only or one.name == BASE or any(word in one.name for word in only)]
    return kept, missing


def summary(one: Contender, base: Contender, n: int, cosine: float) -> dict[str, object]:
    def ratios(own: list[float], others: list[float]) -> dict[str, float]:
        values = [other / mine for mine, other in zip(own, others, strict=True)]
        return {
            "median": round(statistics.median(values), 2),
            "min": round(min(values), 2),
            "max": round(max(values), 2),
        }

    return {
        "texts_per_s": round(n / statistics.median(one.wall_s), 1),
        "texts_per_cpu_s": round(n / statistics.median(one.cpu_s), 1),
        "times_base_wall": ratios(one.wall_s, base.wall_s),
        "times_base_cpu": ratios(one.cpu_s, base.cpu_s),
        "min_cosine_to_base": round(cosine, 6),
        "wall_s_of_rounds": [round(value, 3) for value in one.wall_s],
        "cpu_s_of_rounds": [round(value, 3) for value in one.cpu_s],
    }


def measure(runners: list[Contender], texts: list[str], rounds: int, rate: Callable[[], float]) -> dict:
    """Figures of every contender, and the GEMM rate of every round; cosines are of the last round."""
    for one in runners:
        one.encode(texts[:WARM_UP])
    outputs = {}
    base = next(one for one in runners if one.name == BASE)
    rates = []
    for number in range(rounds):
        rates.append(rate())
        for one in runners[number % len(runners) :] + runners[: number % len(runners)]:
            cpu, wall, outputs[one.name] = timed(lambda one=one: one.encode(texts))
            one.cpu_s.append(cpu)
            one.wall_s.append(wall)
    cosines = {name: float((got * outputs[BASE]).sum(axis=1).min()) for name, got in outputs.items()}
    found = {one.name: summary(one, base, len(texts), cosines[one.name]) for one in runners}
    return {"contenders": found, "gemm_gflop_per_cpu_s": [round(value / 1e9, 1) for value in rates]}


def add_comparisons(result: dict, runners: list[Contender], flop: float) -> None:
    """univar bf16 against the best other contender of bf16 round by round, and its share of the GEMM rate."""
    named = {one.name: one for one in runners}
    ours = named.get("univar bf16")
    peers = [one for one in runners if "bf16" in one.name and one is not ours]
    if ours is None:
        return
    rates = [flop / cpu / 1e9 for cpu in ours.cpu_s]
    result["univar_bf16_gflop_per_cpu_s"] = [round(rate, 1) for rate in rates]
    shares = [rate / gemm for rate, gemm in zip(rates, result["gemm_gflop_per_cpu_s"], strict=True)]
    result["univar_bf16_share_of_gemm"] = round(statistics.median(shares), 3)
    if peers:
        best = min(peers, key=lambda one: statistics.median(one.wall_s))
        for kind in ("wall_s", "cpu_s"):
            pairs = zip(getattr(best, kind), getattr(ours, kind), strict=True)
            values = [round(peer / own, 2) for peer, own in pairs]
            result[f"times_best_bf16_peer_{kind[:-2]}"] = {
                "peer": best.name,
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
            }


def print_result(max_length: int, result: dict) -> None:
    print(f"\nlimit {max_length} tokens, {result['tokens']} tokens in all")
    print(f"{'':38}{'texts/s':>9}{'per CPU-s':>11}{'x base wall':>22}{'x base CPU':>22}{'min cosine':>12}")
    for name, row in result["contenders"].items():
        wall, cpu = (
            "{median:.2f} ({min:.2f}-{max:.2f})".format(**row[f"times_base_{kind}"])
            for kind in ("wall", "cpu")
        )
        rates = f"{row['texts_per_s']:>9}{row['texts_per_cpu_s']:>11}"
        print(f"{name:38}{rates}{wall:>22}{cpu:>22}{row['min_cosine_to_base']:>12.5f}")
    for key, value in result.items():
        if key.startswith(("times_best", "univar_bf16_share")):
            print(f"{key}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    parser.add_argument("--encoder", default="minilm", help="a BERT encoder with mean pooling")
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, nargs="+", default=[256])
    parser.add_argument(
        "--only", nargs="*", default=[], help="words of contenders' names; the base always runs"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    table = pq.read_table(options.data / "answers_eval.parquet", columns=["question", "answer"])
    columns = [table[name].combine_chunks() for name in ("question", "answer")]
    texts = qa_texts(*columns).to_pylist()[: options.texts]
    folder = resolve(options.encoder).folder
    config = read_config(folder)
    results = {}
    for max_length in options.max_length:
        runners, missing = contenders(Setting(folder, max_length, options.threads), options.only)
        lengths = np.diff(load_tokenizer(folder, max_length).encode(texts).cu_seqlens)
        flop = linear_flop(config, lengths) + attention_flop(config, lengths)
        result = {"tokens": int(lengths.sum()), "gflop": round(flop / 1e9, 1)}
        result |= measure(runners, texts, options.rounds, lambda: gemm_rate(config.dim, config.intermediate))
        add_comparisons(result, runners, flop)
        print_result(max_length, result)
        results[f"max_length {max_length}"] = result
    for name in missing:
        print(f"{name}: not installed")
    settings = {"encoder": options.encoder, "texts": len(texts), "threads": options.threads}
    facts = {**settings, "rounds": options.rounds, "missing": missing, "results": results}
    write_result(options.out, "embed", PACKAGES, facts)


if __name__ == "__main__":
    main()
