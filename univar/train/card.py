"""The model card of a trained encoder, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from univar import __version__


def model_card(facts: dict[str, Any]) -> str:
    """Markdown. facts: as `univar.train` reports them"""
    views, settings = facts["settings"]["views"], facts["settings"]
    low, high = views["qa_per_view"]
    how = f"LoRA, rank {settings['lora_rank']}" if settings["lora_rank"] else "all weights"
    names = ", ".join(Path(name).name for name in facts["inputs"])
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# A value encoder on {facts["base"]}

Trained by univar {__version__}: two answers of one model in one language come to lie near each other, answers of others
away from them (after UniVaR, arXiv 2404.07900).

| | |
|---|---|
| base | {facts["base"]}, revision {facts["base_revision"]} |
| trained | {how}; {settings["loss"]}, temperature {settings["temperature"]}, same source: {settings["same_source"]} |
| views | {low} to {high} answers, questions shared by the two views: {"allowed" if views["overlap"] else "none"}, \
question-matched batches: {"yes" if views["matched"] else "no"} |
| data | {names}: {facts["rows"]:,} answers of {facts["sources"]} sources (model and language) |
| left out | {facts["duplicates"]:,} duplicates, {facts["shared_answers"]:,} answers that two sources gave, \
{facts["refused"]:,} unusable rows |
| among the data | {facts["refusals"]:,} read like refusals, {facts["naming_models"]:,} name a model\
{" (masked)" if settings["mask_names"] else ""} |
| run | {facts["steps"]:,} steps of {settings["batch"]} pairs, {facts["tokens"]:,} tokens, {facts["seconds"]:,.0f} s, \
{facts["dtype"]}; ended because: {facts["stopped"]} |
{_accuracy(facts)}

```python
from univar import Encoder

embeddings = Encoder("path/to/this/folder").encode(["Q: question A: answer"])
```

Licences: those of the base and of the answers it was trained on. What must not be concluded: an embedding is no verdict on
what a model values; what it picks up of style, length and refusals is not taken out, only measured
(`univar evaluate`).
"""


def _accuracy(facts: dict[str, Any]) -> str:
    if facts["best_accuracy"] is None:
        return "| held-out questions | not measured |"
    return (
        f"| held-out questions | {facts['first_accuracy']:.3f} of the answers attributed before, "
        f"{facts['best_accuracy']:.3f} after (chance {facts['chance']:.3f}); see training/metrics.jsonl |"
    )
