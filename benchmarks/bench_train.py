"""Training throughput beside sentence-transformers' trainer, and the memory of a batch of 4,096 pairs.

The same pairs of real answers, MiniLM, batch, tokens and precision for both; the peer is
MultipleNegativesRankingLoss in SentenceTransformerTrainer. Every measurement is a process of its own, since
peak memory cannot be taken back. Needs: pip install 'sentence-transformers[train]'

    python benchmarks/bench_train.py --out benchmarks/results/train.json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from facts import data_folder, write_result

WARM_UP_STEPS = 2
SCALE = 20.0


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What both sides train with: the peer's loss is InfoNCE in one direction at temperature 1 / 20."""
    return {
        "batch": arguments.batch,
        "max_length": arguments.max_length,
        "dtype": arguments.dtype,
        "steps": arguments.steps,
        "temperature": 1 / SCALE,
        "same_source": "negatives",
        "symmetric": False,
        "prototypes": 0.0,
        "base_share": 0.0,
        "word_rate": 1.0,
        "depth": 1.0,  # the peer trains all layers too
        "learning_rate": 5e-5,
        "held_out": 0.0,
        "validate_every": 0,
    }


def run_univar(arguments: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    from univar.train import TrainSettings, train

    seconds: list[float] = []

    with tempfile.TemporaryDirectory() as folder:
        train(
            [data_folder() / "answers_train.parquet"],
            Path(folder) / "encoder",
            TrainSettings.from_dict(settings(arguments)),
            checkpoint_every=10**9,
            on_progress=lambda progress: seconds.append(progress.seconds),
        )
    return [b - a for a, b in zip([0.0, *seconds], seconds, strict=False)]


def text_pairs(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The texts of the pairs that `run_univar` trains on, in its order."""
    import numpy as np
    import pyarrow.parquet as pq

    from univar.encoder.spec import resolve
    from univar.encoder.tokenizer import load_tokenizer
    from univar.schema import qa_texts
    from univar.train import TrainSettings
    from univar.train.views import ViewSampler, build_corpus

    wanted = TrainSettings.from_dict(settings(arguments))
    path = data_folder() / "answers_train.parquet"
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(resolve("minilm").folder, wanted.max_length)
        corpus = build_corpus([path], tokenizer, cache=Path(folder), tokenizer_id="minilm")
        sampler = ViewSampler(corpus, np.arange(len(corpus)), wanted.views, wanted.batch, wanted.seed)
        table = pq.read_table(path, columns=["question", "answer"])
        texts = qa_texts(table["question"].combine_chunks(), table["answer"].combine_chunks())
        batches = [sampler.batch(step) for step in range(wanted.steps or 0)]
        rows = [
            [int(corpus.rows[view[0]]) - 1 for batch in batches for view in getattr(batch, side)]
            for side in ("anchors", "positives")
        ]
        anchors, positives = (texts.take(side).to_pylist() for side in rows)
    return anchors, positives


def run_peer(arguments: argparse.Namespace) -> list[float]:
    """Seconds of each step of SentenceTransformerTrainer."""
    import sentence_transformers as library
    from datasets import Dataset
    from sentence_transformers import losses
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    from univar.encoder.spec import resolve

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.marks: list[float] = []

        def on_step_begin(self, *unused: Any, **more: Any) -> None:
            if not self.marks:
                self.marks.append(time.perf_counter())

        def on_step_end(self, *unused: Any, **more: Any) -> None:
            self.marks.append(time.perf_counter())

    class InOrder(library.SentenceTransformerTrainer):
        def get_batch_sampler(self, dataset: Any, batch_size: int, drop_last: bool, **more: Any) -> Any:
            from sentence_transformers.sampler import DefaultBatchSampler

            return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=True)

    model = library.SentenceTransformer(str(resolve("minilm").folder), device="cpu")
    model.max_seq_length = arguments.max_length
    anchors, positives = text_pairs(arguments)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        options = library.SentenceTransformerTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=arguments.batch,
            max_steps=arguments.steps,
            learning_rate=5e-5,
            bf16=arguments.dtype == "bf16",
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = InOrder(
            model=model,
            args=options,
            train_dataset=Dataset.from_dict({"anchor": anchors, "positive": positives}),
            loss=losses.MultipleNegativesRankingLoss(model, scale=SCALE),
            callbacks=[clock],
        )
        trainer.train()
    return [b - a for a, b in zip(clock.marks, clock.marks[1:], strict=False)]


def one(arguments: argparse.Namespace) -> None:
    """Measure in this process and print JSON."""
    seconds = (run_peer if arguments.impl == "sentence-transformers" else run_univar)(arguments)
    timed = seconds[WARM_UP_STEPS:] or seconds
    facts = {
        "impl": arguments.impl,
        "batch": arguments.batch,
        "max_length": arguments.max_length,
        "dtype": arguments.dtype,
        "pairs_per_second": arguments.batch / statistics.median(timed),
        "step_seconds": timed,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(facts))


def measured(impl: str, **options: Any) -> dict[str, Any]:
    """The facts of one process."""
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, __file__, "--impl", impl, *flags]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{impl:24} batch {facts['batch']:5} {facts['dtype']}: {facts['pairs_per_second']:6.1f} pairs/s, "
        f"peak {facts['peak_rss_mb']:,.0f} MB",
        flush=True,
    )
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impl", choices=["univar", "sentence-transformers"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=192)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--large", action="store_true", help="Also one step of 4,096 pairs.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.impl:
        one(arguments)
        return
    same = {name: getattr(arguments, name) for name in ("batch", "max_length", "dtype", "steps")}
    names = ["sentence-transformers", "univar"]
    runs = [measured(impl, **same) for _ in range(arguments.rounds) for impl in names]
    rates = {impl: [run["pairs_per_second"] for run in runs if run["impl"] == impl] for impl in names}
    medians = {impl: statistics.median(found) for impl, found in rates.items()}
    ratio = medians["univar"] / medians["sentence-transformers"]
    print(f"univar / sentence-transformers: {ratio:.2f}")
    facts: dict[str, Any] = {"runs": runs, "medians": medians, "ratio": ratio}
    if arguments.large:
        facts["large"] = measured("univar", batch=4096, max_length=64, dtype=arguments.dtype, steps=1)
    packages = ("torch", "sentence-transformers", "transformers", "accelerate")
    write_result(arguments.out, "training", packages, facts)


if __name__ == "__main__":
    main()
