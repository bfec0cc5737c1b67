"""A stranger reads a store with the program in docs/formats.md: h5py and json alone, nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import answer_rows, write_jsonl
from tests.docs.pages import REPOSITORY, examples
from univar import Store, embed

WITHOUT_UNIVAR = "import sys; sys.modules['univar'] = None\n"
SAVE = (
    "np.save('embeddings.npy', embeddings); "
    "open('columns.json', 'w', encoding='utf-8').write(json.dumps(columns))\n"
)


def reader(store: str) -> str:
    """The page's program, which reads `store` and saves what it found."""
    blocks = [each.text for each in examples(REPOSITORY / "docs" / "formats.md") if each.language == "python"]
    program = next(text for text in blocks if "def read_store" in text)
    return WITHOUT_UNIVAR + program.replace("demo/reference", store) + SAVE


def assert_read(folder: Path, store: str) -> None:
    done = subprocess.run([sys.executable, "-c", reader(store)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = Store(folder / store)
    embeddings = np.load(folder / "embeddings.npy")
    columns = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
    assert np.array_equal(embeddings, np.asarray(ours.embeddings[:]))
    assert list(columns) == list(ours.columns)
    for name, texts in columns.items():
        assert texts == ours.text(name, np.arange(len(ours))), name


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_store_in_two_shards(tmp_path: Path, tiny_bert: Path, dtype: str) -> None:
    for number in range(2):
        rows = [{**row, "odd.näme %": f"é {row['id']}"} for row in answer_rows(20, seed=number)]
        file = write_jsonl(tmp_path / f"{number}.jsonl", rows if number else answer_rows(20))
        embed([str(file)], tmp_path / "store", encoder=str(tiny_bert), dtype=dtype)
    assert len(Store(tmp_path / "store").shards) == 2
    assert_read(tmp_path, "store")


def test_a_store_of_two_workers(tmp_path: Path, tiny_bert: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", answer_rows(40))
    for worker in range(2):
        embed([str(file)], tmp_path / "store", encoder=str(tiny_bert), worker=(worker, 2))
    assert_read(tmp_path, "store")
