"""The model card of a trained encoder, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from univar import __version__


def model_card(facts: dict[str, Any]) -> str:
    """Markdown. facts: as `univar.train` reports them"""
    rows = "\n".join(f"| {name} | {value} |" for name, value in _table(facts).items())
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# A value encoder on {facts["base"]}

Trained by univar {__version__}: two answers of one model in one language come to lie near each other, answers
of others away from them (after UniVaR, arXiv 2404.07900).

| | |
|---|---|
{rows}

```python
from univar import Encoder

embeddings = Encoder("path/to/this/folder").encode(["Q: question A: answer"])
```

Licences: those of the base and of the answers it was trained on. What must not be concluded: an embedding is
no verdict on what a model values; what it picks up of style, length and declined answers is only
measured, not taken out (`univar evaluate`).
"""


def _table(facts: dict[str, Any]) -> dict[str, str]:
    settings = facts["settings"]
    views = settings["views"]
    low, high = views["qa_per_view"]
    how = f"LoRA, rank {settings['lora_rank']}" if settings["lora_rank"] else "all weights"
    depth = f" of the lowest {facts['layers']} layers"
    files = ", ".join(Path(name).name for name in facts["inputs"])
    only = "".join(f"; only {name}: {', '.join(values)}" for name, values in settings["where"].items())
    return {
        "base": f"{facts['base']}, revision {facts['base_revision']}",
        "trained": f"{how}{depth}; {settings['loss']}, temperature {settings['temperature']}, other pairs of "
        f"the same source: {settings['same_source']}; share of the loss by a learned prototype of each "
        f"source: {settings['prototypes']:g}; word vectors learn {settings['word_rate']:g} times as fast; "
        f"share of the base in the weights: {settings['base_share']:g}",
        "views": f"{low} to {high} answers, questions shared by the two views of a pair: "
        f"{'allowed' if views['overlap'] else 'none'}; "
        f"question-matched: {'yes' if views['matched'] else 'no'}",
        "data": f"{files}: {facts['rows']:,} answers of {facts['sources']} sources (model, language){only}",
        "left out": f"{facts['duplicates']:,} duplicates, {facts['shared_answers']:,} answers that two "
        f"sources gave, {facts['rejected']:,} unusable rows",
        "among the data": f"{facts['declined']:,} declined answers, {facts['naming_models']:,} "
        f"answers that name a model{' (masked)' if settings['mask_names'] else ''}",
        "run": f"{facts['steps']:,} steps of {settings['batch']} pairs, {facts['tokens']:,} tokens, "
        f"{facts['seconds']:,.0f} s, {facts['dtype']}; ended because: {facts['stopped']}",
        "held-out questions": _accuracy(facts),
    }


def _accuracy(facts: dict[str, Any]) -> str:
    if facts["accuracy"] is None:
        return "not measured"
    return (
        f"{facts['first_accuracy']:.3f} of the answers attributed before, {facts['accuracy']:.3f} after "
        f"(chance {facts['chance']:.3f}); see training/metrics.jsonl"
    )
