"""Adapters: a few matrices beside a base, the same encoder once merged, readable by peft."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.conftest import quick, run, weights_of
from univar import Encoder
from univar.errors import DataError, UsageError

TEXTS = ["Q: why law ? A: we care", "Q: who ? A: trust and duty , keep calm", "Q: a A: b"]


@pytest.fixture
def trained(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> Path:
    """An encoder folder with an adapter of rank 4 beside the merged weights."""
    run(corpus_file, tmp_path / "out", quick(tiny_bert, lora_rank=4, learning_rate=0.01, steps=6))
    return tmp_path / "out"


def test_base_with_adapter_is_the_trained_encoder(tiny_bert: Path, trained: Path) -> None:
    merged = Encoder(trained, dtype="fp32").encode(TEXTS)
    adapted = Encoder(f"{tiny_bert}+{trained / 'adapter'}", dtype="fp32").encode(TEXTS)
    base = Encoder(tiny_bert, dtype="fp32").encode(TEXTS)
    assert (merged * adapted).sum(1).min() > 0.99999  # the adapter is kept in float16
    assert (merged * base).sum(1).min() < 0.999


def test_mixing_in_the_base_shrinks_what_an_adapter_adds(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    settings = quick(tiny_bert, lora_rank=4, learning_rate=0.01, base_share=0.0)
    run(corpus_file, tmp_path / "pure", settings)
    run(corpus_file, tmp_path / "mixed", replace(settings, base_share=0.25))
    run(corpus_file, tmp_path / "base", replace(settings, steps=1, learning_rate=1e-12))
    base, pure, mixed = (weights_of(tmp_path / name) for name in ("base", "pure", "mixed"))
    assert max(np.abs(pure[name] - base[name]).max() for name in base) > 1e-3
    for name in base:
        np.testing.assert_allclose(mixed[name] - base[name], 0.75 * (pure[name] - base[name]), atol=1e-6)


def test_only_matrices_change(tiny_bert: Path, trained: Path) -> None:
    before, after = weights_of(tiny_bert), weights_of(trained)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name.rsplit(".", 2)[-2] for name in changed} <= {
        "query",
        "key",
        "value",
        "dense",
        "token_type_embeddings",
        "position_embeddings",
    }
    assert any("query" in name for name in changed)


def test_adapter_opens_in_peft(tiny_bert: Path, trained: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs the extra [train]")
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    base = transformers.AutoModel.from_pretrained(tiny_bert, add_pooling_layer=False)
    merged = peft.PeftModel.from_pretrained(base, trained / "adapter").merge_and_unload()
    weights = weights_of(trained)
    for name, parameter in merged.named_parameters():
        if name.endswith("query.weight"):
            torch.testing.assert_close(parameter.detach(), torch.from_numpy(weights[name]), atol=1e-3, rtol=0)


def test_adapted_encoder_has_its_own_revision_and_exports(
    tiny_bert: Path, trained: Path, tmp_path: Path
) -> None:
    adapted, base = Encoder(f"{tiny_bert}+{trained / 'adapter'}"), Encoder(tiny_bert)
    assert adapted.info["revision"] != base.info["revision"]
    adapted.save(tmp_path / "saved")
    same = Encoder(tmp_path / "saved", dtype="fp32").encode(TEXTS) * Encoder(trained, dtype="fp32").encode(
        TEXTS
    )
    assert same.sum(1).min() > 0.99999
    assert len({path.stat().st_mode for path in (tmp_path / "saved").glob("*.*")}) == 1


def test_adapter_of_another_base_is_refused(trained: Path, tmp_path: Path, tiny_bert: Path) -> None:
    other = Path(shutil.copytree(trained / "adapter", tmp_path / "adapter"))
    from safetensors.torch import load_file, save_file

    tensors = load_file(other / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_A" in name)
    save_file({**tensors, name: torch.zeros(4, 7)}, other / "adapter_model.safetensors")
    with pytest.raises(DataError, match="7, not"):
        Encoder(f"{tiny_bert}+{other}")
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(DataError, match="plain LoRA"):
        Encoder(f"{tiny_bert}+{other}")


def test_folder_without_adapter_is_named(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no adapter_config\.json"):
        Encoder(f"{tiny_bert}+{tmp_path}")
