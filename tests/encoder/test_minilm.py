"""The packaged encoders on real answers, against the libraries they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from univar import Encoder
from univar.encoder.spec import is_installed, resolve
from univar.schema import qa_texts

MIN_COSINE = {"fp32": 0.99999, "bf16": 0.999}


def real_texts(folder: Path, n: int, step: int) -> list[str]:
    table = pq.read_table(folder / "answers_eval.parquet", columns=["question", "answer"])
    columns = [table[name].combine_chunks() for name in ("question", "answer")]
    return qa_texts(*columns).to_pylist()[: n * step : step]


def assert_equal_to_sentence_transformers(texts: list[str], max_length: int) -> None:
    if not is_installed("minilm"):
        pytest.skip("the extra [minilm] is not installed")
    library = pytest.importorskip("sentence_transformers", reason="needs the extra [minilm]")
    model = library.SentenceTransformer(str(resolve("minilm").folder), device="cpu")
    model.max_seq_length = max_length
    expected = model.encode(texts)
    for dtype, least in MIN_COSINE.items():
        got = Encoder("minilm", dtype=dtype, device="cpu", max_length=max_length).encode(texts)
        assert (got * expected).sum(axis=1).min() >= least, dtype


def test_minilm_equals_sentence_transformers_on_real_answers(real_data: Path) -> None:
    assert_equal_to_sentence_transformers(real_texts(real_data, n=60, step=250), max_length=256)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_minilm_equals_sentence_transformers_on_two_thousand_answers(real_data: Path) -> None:
    assert_equal_to_sentence_transformers(real_texts(real_data, n=2_000, step=8), max_length=512)


@pytest.mark.slow
def test_e5_equals_transformers_on_real_answers(real_data: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    if not is_installed("e5-multilingual"):
        pytest.skip("the extra [multilingual] is not installed")
    import torch

    folder = resolve("e5-multilingual", cache_dir=tmp_path).folder
    encoder = Encoder(folder, dtype="fp32", device="cpu")
    ids, cu_seqlens = encoder.tokenize(real_texts(real_data, n=20, step=800))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    states = [
        model(torch.from_numpy(text.astype(np.int64))[None]).last_hidden_state[0].mean(0)
        for text in np.split(ids, cu_seqlens[1:-1])
    ]
    expected = torch.nn.functional.normalize(torch.stack(states)).detach().numpy()
    assert (encoder.forward_packed(ids, cu_seqlens) * expected).sum(axis=1).min() >= MIN_COSINE["fp32"]
