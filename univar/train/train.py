"""Train an encoder and write it: the library's front to a `Run`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from univar.encoder.adapter import save_adapter
from univar.encoder.export import export_encoder
from univar.files import refuse_existing, reported
from univar.train.card import model_card
from univar.train.low_rank import detach
from univar.train.run import Progress, Run
from univar.train.settings import TrainSettings


@dataclass(frozen=True)
class TrainReport:
    """What a run did. `folder` is None where it was interrupted: the same call with resume goes on."""

    folder: str | None
    facts: dict[str, Any]

    def summary(self) -> str:
        """For people."""
        facts = self.facts
        lines = [
            f"{facts['rows']:,} answers of {facts['sources']} sources; {facts['duplicates']:,} duplicate, "
            f"{facts['shared_answers']:,} given by two sources, {facts['rejected']:,} rejected; "
            f"{facts['declined']:,} decline to answer, {facts['naming_models']:,} name a model",
            f"{facts['steps']:,} steps, {facts['tokens']:,} tokens in {facts['seconds']:,.0f} s "
            f"({facts['tokens_per_second']:,.0f} tokens/s); stopped: {facts['stopped']}",
        ]
        if facts["accuracy"] is not None:
            lines.append(
                f"held-out questions: {facts['first_accuracy']:.3f} -> {facts['accuracy']:.3f} "
                f"attributed (chance {facts['chance']:.3f}), weights of step {facts['kept_step']:,}"
            )
        return "\n".join(
            [*lines, f"encoder: {self.folder}" if self.folder else "not finished: give --resume"]
        )


def train(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: TrainSettings,
    *,
    non_value: Sequence[str | os.PathLike[str]] = (),
    resume: bool = False,
    force: bool = False,
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 50,
    log: str | None = None,
    format: str | None = None,
    rename: dict[str, str] | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainReport:
    """Train `settings.base` on answers and write the encoder folder `out`.

    inputs:  answer files or stores; non_value: such without values, for the loss "value_aware"
    resume:  go on where a killed run with the same arguments was
    force:   replace `out`; checkpoint_every: steps between checkpoints, kept in `<out>.run` until the end
    log:     "tensorboard", "trackio" or "wandb" beside `training/metrics.jsonl`
    Under torchrun every process calls this; process 0 writes.
    Raises UsageError, DataError (too few sources, a loss that is not finite) or ProviderError (the disk).
    """
    target = Path(out)
    refuse_existing(target, force)
    working = target.with_name(f"{target.name}.run")
    run = Run(
        [str(path) for path in inputs],
        working,
        settings,
        non_value=[str(path) for path in non_value],
        resume=resume,
        device=device,
        threads=threads,
        checkpoint_every=checkpoint_every,
        log=log,
        format=format,
        rename=rename,
    )
    progress = run.train(on_progress, should_stop)
    facts = _facts(run, progress)
    if progress.stopped == "interrupted":
        return TrainReport(None, facts)
    if run.processes.rank == 0:
        _write(run, target, facts, force)
    run.processes.wait()
    return TrainReport(str(target), facts)


def _facts(run: Run, progress: Progress) -> dict[str, Any]:
    corpus, counts = run.corpus, asdict(run.corpus.counts)
    return {
        "base": run.source.id,
        "base_revision": run.source.revision,
        "inputs": corpus.file_names,
        "rows": counts.pop("kept"),
        **counts,
        "sources": len(corpus.source_names),
        "left_out_sources": run.sampler.left_out_sources,
        "layers": run.config.layers,
        "max_length": run.max_length,
        "dtype": run.dtype,
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "tokens": progress.tokens,
        "tokens_per_second": progress.tokens / max(progress.seconds, 1e-9),
        "loss": progress.loss,
        "first_accuracy": progress.first_accuracy,
        "accuracy": progress.accuracy,
        "best_accuracy": progress.best if progress.kept_step >= 0 else None,
        "kept_step": progress.kept_step,
        "chance": progress.chance,
        "stopped": progress.stopped,
        "settings": run.settings.to_dict(),
    }


def _write(run: Run, target: Path, facts: dict[str, Any], force: bool) -> None:
    """The encoder folder with the adapter and the record of the training; then the run is tidied up."""
    config = run.config
    limit = max(config.max_length, run.max_length, min(run.settings.read_length, config.positions))
    metrics = (run.folder / "metrics.jsonl").read_text(encoding="utf-8")
    extra = {
        "README.md": model_card(facts),
        "training/training.json": json.dumps(facts, indent=1) + "\n",
        "training/metrics.jsonl": metrics,
    }
    export_encoder(
        run.source, target, max_length=limit, force=force, weights=run.model.weights(), extra=extra
    )
    with reported("write", target):
        if run.settings.lora_rank:
            kept = {name: facts[name] for name in ("base", "base_revision", "steps", "accuracy")}
            save_adapter(detach(run.model), target / "adapter", run.source.id, kept)
    shutil.rmtree(run.folder, ignore_errors=True)
