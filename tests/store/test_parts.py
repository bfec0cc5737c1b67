"""Parts of stored vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.store.store_rows import ENCODER, edit_manifest, rows, write
from univar.errors import StoreCorrupt, UsageError
from univar.store import Store

PARTED = {**ENCODER, "parts": {"values": [0, 3], "source": [3, 4]}}


def test_a_part_is_read_at_unit_length(tmp_path: Path) -> None:
    store = Store(write(tmp_path / "s", rows(5), rows(4, start=9), encoder=PARTED))
    part = store.embeddings_of_part("values")
    expected = np.asarray(store.embeddings, np.float32)[:, :3]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert part.shape == (9, 3)
    np.testing.assert_allclose(part[:], expected, atol=1e-6)
    np.testing.assert_allclose(part[7], expected[7], atol=1e-6)
    np.testing.assert_allclose(part[[8, 0]], expected[[8, 0]], atol=1e-6)
    np.testing.assert_allclose(np.asarray(part), expected, atol=1e-6)
    np.testing.assert_allclose(np.vstack([block for _, block in part.blocks(2)]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("id", "part"), [("minilm", "values"), ("univar-mini", "source"), ("minilm+mine", "source")]
)
def test_an_older_store_has_one_part(tmp_path: Path, id: str, part: str) -> None:
    store = Store(write(tmp_path / "s", rows(5), encoder={**ENCODER, "id": id}))
    assert store.parts == {part: slice(0, 4)}
    assert store.embeddings_of_part(part) is store.embeddings
    with pytest.raises(UsageError, match=f"has no part 'other': {id.replace('+', '.')} has {part}"):
        store.embeddings_of_part("other")


@pytest.mark.parametrize("parts", [{}, [], {"values": [0]}, {"values": [0, 9]}, {"values": [2, 2]}, {"a": 1}])
def test_parts_that_cannot_be_are_refused(tmp_path: Path, parts: object) -> None:
    write(tmp_path / "s", rows(5), encoder=PARTED)
    edit_manifest(tmp_path / "s", lambda facts: facts["encoder"].update(parts=parts))
    with pytest.raises(StoreCorrupt, match="part"):
        Store(tmp_path / "s")
