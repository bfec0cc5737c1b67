"""The preset paper-lambda-5 against the same training written down plainly with transformers and torch."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.conftest import metrics, run, styled_rows, write_rows
from univar.encoder.tokenizer import load_tokenizer
from univar.train import PRESETS
from univar.train.corpus import build_corpus
from univar.train.sampler import PairBatch, ViewSampler

STEPS = 50


def padded_embeddings(model: torch.nn.Module, tokenizer: object, texts: list[str]) -> torch.Tensor:
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(texts)
    ids = torch.tensor([one.ids for one in encoded])
    mask = torch.tensor([one.attention_mask for one in encoded])
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(mean, dim=1)


def plain_training(
    base: Path, batches: list[PairBatch], text_of: list[str]
) -> list[tuple[float, float, float]]:
    """(loss, gradient norm, learning rate) of each step, without anything of univar."""
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    model = transformers.AutoModel.from_pretrained(base, add_pooling_layer=False, dtype=torch.float32).eval()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    kept = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": kept, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=2e-4, betas=(0.9, 0.999), eps=1e-8)
    found = []
    for step, batch in enumerate(batches):
        joined = [
            ["\n".join(text_of[row] for row in view) for view in side]
            for side in (batch.anchors, batch.positives)
        ]
        anchor, positive = (padded_embeddings(model, tokenizer, texts) for texts in joined)
        loss = torch.nn.functional.cross_entropy(50 * anchor @ positive.T, torch.arange(len(anchor)))
        optimizer.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        rate = 2e-4 * (step / 700 if step < 700 else math.sqrt(700 / step))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        found.append((float(loss), norm, rate))
    return found


def test_paper_preset_equals_a_plain_implementation(tiny_bert: Path, tmp_path: Path) -> None:
    rows = styled_rows(questions=16, models=5)
    corpus_file = write_rows(tmp_path / "corpus.jsonl", rows)
    settings = replace(
        PRESETS["paper-lambda-5"], base=str(tiny_bert), batch=16, steps=STEPS, epochs=None, dtype="fp32"
    )
    run(corpus_file, tmp_path / "out", settings)
    tokenizer = load_tokenizer(tiny_bert, 128)
    corpus = build_corpus([corpus_file], tokenizer, cache=tmp_path / "cache", tokenizer_id="tiny")
    sampler = ViewSampler(corpus, np.arange(len(corpus)), settings.views, settings.batch, settings.seed)
    texts = [f"Q: {row['question']} A: {row['answer']}" for row in rows]
    expected = plain_training(tiny_bert, [sampler.batch(step) for step in range(STEPS)], texts)
    got = [(line["loss"], line["gradient_norm"], line["learning_rate"]) for line in metrics(tmp_path / "out")]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("most", [1, 5, 20, 80])
def test_paper_presets_state_what_was_published(most: int) -> None:
    settings = PRESETS[f"paper-lambda-{most}"]
    assert settings.views.qa_per_view == (1, most)
    assert settings.max_length == {1: 256, 5: 1024, 20: 2048, 80: 8192}[most]
    published = (settings.batch, settings.epochs, settings.temperature, settings.learning_rate, settings.clip)
    assert published == (64, 3, 0.02, 2e-4, 1.0)
    assert (settings.warmup_steps, settings.schedule) == (700, "inverse_sqrt")
    assert (settings.symmetric, settings.same_source, settings.prototypes) == (False, "negatives", 0)


def test_paper_views_are_uniform_in_size_and_proportional_in_source(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [
        row
        for row in styled_rows(questions=60, models=3)
        if row["model"] != "model-0" or int(row["question_id"][1:]) < 15
    ]
    corpus_file = write_rows(tmp_path / "corpus.jsonl", rows)
    corpus = build_corpus(
        [corpus_file], load_tokenizer(tiny_bert, 128), cache=tmp_path / "c", tokenizer_id="t"
    )
    sampler = ViewSampler(corpus, np.arange(len(corpus)), PRESETS["paper-lambda-5"].views, 16, 1)
    batches = [sampler.batch(step) for step in range(300)]
    sizes = [len(view) for batch in batches for view in itertools.chain(batch.anchors, batch.positives)]
    share = np.bincount(sizes, minlength=6)[1:] / len(sizes)
    np.testing.assert_allclose(share, 0.2, atol=0.02)
    sources = np.bincount(np.concatenate([batch.sources for batch in batches]))
    expected = np.bincount(corpus.sources) / len(corpus)
    np.testing.assert_allclose(sources / sources.sum(), expected, atol=0.02)
    same = [
        np.intersect1d(a, p).size
        for batch in batches
        for a, p in zip(batch.anchors, batch.positives, strict=True)
    ]
    assert max(same) > 0  # the paper lets the views of a pair share rows
