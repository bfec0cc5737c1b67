"""The exported folder opens in univar and in sentence-transformers and gives the same embeddings."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import answer_rows
from univar import Encoder
from univar.errors import UsageError

TEXTS = [row["answer"] for row in answer_rows(12)]


def exported(tiny_bert: Path, folder: Path) -> np.ndarray:
    encoder = Encoder(str(tiny_bert), dtype="fp32", device="cpu", max_length=24)
    encoder.save(folder)
    return encoder.encode(TEXTS)


def test_univar_opens_its_own_export(tmp_path: Path, tiny_bert: Path) -> None:
    expected = exported(tiny_bert, tmp_path / "out")
    again = Encoder(str(tmp_path / "out"), dtype="fp32", device="cpu")
    assert again.max_length == 24
    np.testing.assert_array_equal(again.encode(TEXTS), expected)


def test_sentence_transformers_opens_the_export(tmp_path: Path, tiny_bert: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="needs the extra [minilm]")
    expected = exported(tiny_bert, tmp_path / "out")
    got = library.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_older_generation_opens_the_export(tmp_path: Path, tiny_bert: Path) -> None:
    python = os.environ.get("UNIVAR_TEST_OLD_ST_PYTHON")
    if not python:
        pytest.skip("UNIVAR_TEST_OLD_ST_PYTHON names no Python with sentence-transformers 5.1")
    expected = exported(tiny_bert, tmp_path / "out")
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    script = (
        "import json, numpy, sentence_transformers as st; assert st.__version__.startswith('5.');"
        "model = st.SentenceTransformer('out', device='cpu');"
        "numpy.save('got.npy', model.encode(json.load(open('texts.json'))))"
    )
    subprocess.run([python, "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "got.npy"), expected, atol=1e-6)


def test_existing_folder_is_replaced_only_with_force(tmp_path: Path, tiny_bert: Path) -> None:
    encoder = Encoder(str(tiny_bert), dtype="fp32", device="cpu")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="exists"):
        encoder.save(tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").exists()
    encoder.save(tmp_path / "out", force=True)
    assert (tmp_path / "out" / "modules.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
