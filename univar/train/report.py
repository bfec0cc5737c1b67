"""What a training run reports, and the encoder folder it leaves: weights, adapter, model card, record."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from univar import __version__
from univar.encoder.adapter import save_adapter
from univar.encoder.export import export_encoder
from univar.files import reported
from univar.train.trainable import low_rank_adapter

if TYPE_CHECKING:
    from univar.train.run import TrainRun


@dataclass(frozen=True)
class TrainReport:
    """What a run did. `folder` is None where it was interrupted: the same call with resume continues."""

    folder: str | None
    facts: dict[str, Any]

    def summary(self) -> str:
        """For people."""
        facts = self.facts
        lines = [
            f"{facts['rows']:,} answers of {facts['sources']} sources; left out: {facts['duplicates']:,} "
            f"duplicates, {facts['shared_answers']:,} given by two sources, {facts['rejected']:,} rejected; "
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
            [*lines, f"encoder: {self.folder}" if self.folder else "not finished: continue with --resume"]
        )


def facts_of(run: TrainRun) -> dict[str, Any]:
    """The facts of a `TrainReport`: corpus, run and settings, ready for JSON."""
    corpus, progress, counts = run.corpus, run.progress, asdict(run.corpus.counts)
    return {
        "base": run.base.id,
        "base_revision": run.base.revision,
        "inputs": corpus.file_names,
        "rows": counts.pop("kept"),
        **counts,
        "unknown_share": counts["unknown_tokens"] / max(1, len(corpus.ids)),
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


def write_encoder(run: TrainRun, target: Path, facts: dict[str, Any], force: bool) -> None:
    """Write the encoder folder, with the adapter and the record of the run; then remove the run's folder."""
    config = run.config
    limit = max(config.max_length, run.max_length, min(run.settings.read_length, config.positions))
    extra = {
        "README.md": model_card(facts),
        "training/training.json": json.dumps(facts, indent=1) + "\n",
        "training/metrics.jsonl": run.folder.metrics.read_text(encoding="utf-8"),
    }
    export_encoder(
        run.base, target, max_length=limit, force=force, weights=run.encoder.weights(), extra=extra
    )
    if run.settings.lora_rank:
        with reported("write", target):
            kept = {name: facts[name] for name in ("base", "base_revision", "steps", "accuracy")}
            save_adapter(low_rank_adapter(run.encoder), target / "adapter", run.base.id, kept)
    shutil.rmtree(run.folder.path, ignore_errors=True)


def model_card(facts: dict[str, Any]) -> str:
    """The model card of a trained encoder, as Markdown. facts: see `facts_of`."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in _card_rows(facts).items())
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# A value encoder based on {facts["base"]}

Trained by univar {__version__}: two answers of one model in one language get similar embeddings, answers of
other sources different ones (after UniVaR, arXiv 2404.07900).

| | |
|---|---|
{rows}

```python
from univar import Encoder

embeddings = Encoder("path/to/this/folder").encode(["Q: question A: answer"])
```

Licences: those of the base and of the training answers. Limits: an embedding is no verdict on what a model
values. It also reflects style, length and declined answers; `univar evaluate` measures how much, but nothing
removes it.
"""


def _card_rows(facts: dict[str, Any]) -> dict[str, str]:
    settings = facts["settings"]
    views = settings["views"]
    low, high = views["qa_per_view"]
    how = f"LoRA, rank {settings['lora_rank']}" if settings["lora_rank"] else "all weights"
    files = ", ".join(Path(name).name for name in facts["inputs"])
    only = "".join(f"; only {name}: {', '.join(values)}" for name, values in settings["where"].items())
    return {
        "base": f"{facts['base']}, revision {facts['base_revision']}",
        "trained": f"{how} of the lowest {facts['layers']} layers; {settings['loss']}, temperature "
        f"{settings['temperature']}, other pairs of the same source: {settings['same_source']}; share of the "
        f"loss with a learned prototype of each source: {settings['prototypes']:g}; factor on the learning "
        f"rate of word vectors: {settings['word_rate']:g}; share of the base in the weights: "
        f"{settings['base_share']:g}",
        "views": f"{low} to {high} answers, questions shared by the two views of a pair: "
        f"{'allowed' if views['overlap'] else 'none'}; "
        f"question-matched: {'yes' if views['matched'] else 'no'}",
        "data": f"{files}: {facts['rows']:,} answers of {facts['sources']} sources (model, language){only}",
        "left out": f"{facts['duplicates']:,} duplicates, {facts['shared_answers']:,} answers that two "
        f"sources gave, {facts['rejected']:,} rejected rows",
        "among the data": f"{facts['declined']:,} declined answers, {facts['naming_models']:,} "
        f"answers that name a model{' (masked)' if settings['mask_names'] else ''}",
        "run": f"{facts['steps']:,} steps of {settings['batch']} pairs, {facts['tokens']:,} tokens, "
        f"{facts['seconds']:,.0f} s, {facts['dtype']}; stopped: {facts['stopped']}",
        "held-out questions": _accuracy(facts),
    }


def _accuracy(facts: dict[str, Any]) -> str:
    if facts["accuracy"] is None:
        return "not measured"
    return (
        f"{facts['first_accuracy']:.3f} of the answers attributed before, {facts['accuracy']:.3f} after "
        f"(chance {facts['chance']:.3f}); see training/metrics.jsonl"
    )
