"""Training throughput beside sentence-transformers' trainer, in turns (see `paired`), and peak memory.

The same pairs of real answers, MiniLM, batch, tokens and precision for both; the peer is
MultipleNegativesRankingLoss in SentenceTransformerTrainer. Every measurement is a process of its own, since
peak memory cannot be taken back.

    python -m benchmarks.training --out benchmarks/results/train.json
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import paired
from benchmarks.data import answers_file, read_answers, texts_of
from benchmarks.facts import write_result

PACKAGES = ("univar-embed", "torch", "sentence-transformers", "transformers", "accelerate")
PEER, OURS = "sentence-transformers", "univar"
WARM_UP_STEPS = 2
SCALE = 20.0
SEED = 42

OnStep = Callable[[float], object]
"""Called after every step with its loss."""


@dataclass(frozen=True)
class Work:
    """What both sides train on: pairs a step, tokens of a text, precision and steps."""

    batch: int = 32
    max_length: int = 192
    dtype: str = "bf16"
    steps: int = 8

    def settings(self) -> dict[str, Any]:
        """Our settings: the peer's loss is InfoNCE in one direction at temperature 1 / 20."""
        return {
            "batch": self.batch,
            "max_length": self.max_length,
            "dtype": self.dtype,
            "steps": self.steps,
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
            "seed": SEED,
        }


def run_univar(work: Work, on_step: OnStep) -> None:
    """Train with `univar.train`."""
    from univar.train import TrainSettings, train

    with tempfile.TemporaryDirectory() as folder:
        train(
            [answers_file("train")],
            Path(folder) / "encoder",
            TrainSettings.from_dict(work.settings()),
            checkpoint_every=10**9,
            on_progress=lambda progress: on_step(progress.loss),
        )


def text_pairs(work: Work) -> tuple[list[str], list[str]]:
    """The texts of the pairs that `run_univar` trains on, in its order."""
    import numpy as np

    from univar.encoder.spec import resolve
    from univar.encoder.tokenizer import load_tokenizer
    from univar.train import TrainSettings
    from univar.train.corpus import build_corpus
    from univar.train.sampler import ViewSampler

    wanted = TrainSettings.from_dict(work.settings())
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(resolve("minilm").folder, wanted.max_length)
        corpus = build_corpus([answers_file("train")], tokenizer, cache=Path(folder), tokenizer_id="minilm")
        sampler = ViewSampler(corpus, np.arange(len(corpus)), wanted.views, wanted.batch, wanted.seed)
        batches = [sampler.batch(step) for step in range(work.steps)]
        rows = [
            [int(corpus.rows[view[0]]) - 1 for batch in batches for view in getattr(batch, side)]
            for side in ("anchors", "positives")
        ]
    texts = texts_of(read_answers(["question", "answer"], "train"))
    anchors, positives = ([texts[row] for row in side] for side in rows)
    return anchors, positives


def run_peer(work: Work, on_step: OnStep) -> None:
    """Train with SentenceTransformerTrainer."""
    import sentence_transformers as library
    from datasets import Dataset
    from sentence_transformers import losses
    from torch import Tensor
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    from univar.encoder.spec import resolve

    class Loss(losses.MultipleNegativesRankingLoss):
        def forward(self, *features: Any, **more: Any) -> Tensor:
            self.last = super().forward(*features, **more)
            return self.last

    class AfterStep(TrainerCallback):
        def on_step_end(self, *unused: Any, **more: Any) -> None:
            on_step(float(loss.last.detach()))

    class InOrder(library.SentenceTransformerTrainer):
        def get_batch_sampler(self, dataset: Any, batch_size: int, drop_last: bool, **more: Any) -> Any:
            from sentence_transformers.sampler import DefaultBatchSampler

            return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=True)

    model = library.SentenceTransformer(str(resolve("minilm").folder), device="cpu")
    model.max_seq_length = work.max_length
    loss = Loss(model, scale=SCALE)
    anchors, positives = text_pairs(work)
    with tempfile.TemporaryDirectory() as folder:
        options = library.SentenceTransformerTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=work.batch,
            max_steps=work.steps,
            learning_rate=5e-5,
            bf16=work.dtype == "bf16",
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        InOrder(
            model=model,
            args=options,
            train_dataset=Dataset.from_dict({"anchor": anchors, "positive": positives}),
            loss=loss,
            callbacks=[AfterStep()],
        ).train()


TRAINERS: dict[str, Callable[[Work, OnStep], None]] = {PEER: run_peer, OURS: run_univar}


def measure_here(name: str, work: Work) -> None:
    """Train in this process, and print what it took as JSON."""
    marks, cpu = [time.perf_counter()], [time.process_time()]

    def on_step(loss: float) -> None:
        marks.append(time.perf_counter())
        cpu.append(time.process_time())

    TRAINERS[name](work, on_step)
    first = min(WARM_UP_STEPS, work.steps - 1)  # the first mark is before set-up
    wall_s, cpu_s = (
        [b - a for a, b in zip(times[first:-1], times[first + 1 :], strict=True)] for times in (marks, cpu)
    )
    facts = {
        "wall_s": statistics.median(wall_s),
        "cpu_s": statistics.median(cpu_s),
        "peak_rss": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(facts))


def measured(name: str, work: Work) -> paired.Cost:
    """What a step takes, in a process of its own."""
    flags = [text for key, value in vars(work).items() for text in (f"--{key.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "benchmarks.training", "--impl", name, *flags]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    cost = paired.Cost(**json.loads(done.stdout.splitlines()[-1]))
    print(
        f"{name:24} batch {work.batch:5} {work.dtype}: {work.batch / cost.wall_s:6.1f} pairs/s, "
        f"peak {cost.peak_rss / 1e6:,.0f} MB",
        flush=True,
    )
    return cost


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=Work.batch, help="pairs of a step")
    parser.add_argument("--max-length", type=int, default=Work.max_length, help="tokens of a text")
    parser.add_argument("--dtype", default=Work.dtype, help="precision")
    parser.add_argument("--steps", type=int, default=Work.steps, help="steps of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="rounds")
    parser.add_argument("--large", action="store_true", help="also one step of 4,096 pairs")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    parser.add_argument("--impl", choices=list(TRAINERS), help=argparse.SUPPRESS)  # in this process
    options = parser.parse_args()
    work = Work(options.batch, options.max_length, options.dtype, options.steps)
    if options.impl:
        measure_here(options.impl, work)
        return
    contenders: dict[str, paired.Measure] = {
        name: lambda name=name: measured(name, work) for name in TRAINERS
    }
    rounds = list(paired.take_turns(contenders, options.rounds))
    speed_up = paired.spread(paired.ratios(rounds, PEER, OURS))
    print(f"univar / sentence-transformers: {paired.shown(speed_up)}")
    facts: dict[str, Any] = {
        **vars(work),
        "step": {name: [one[name].facts() for one in rounds] for name in contenders},
        "pairs_per_s": {name: round(work.batch / paired.median(rounds, name), 1) for name in contenders},
        "times_peer": speed_up,
    }
    if options.large:
        large = Work(batch=4096, max_length=64, dtype=options.dtype, steps=1)
        facts["large"] = {**vars(large), **measured(OURS, large).facts()}
    write_result(options.out, "training", PACKAGES, facts)


if __name__ == "__main__":
    main()
