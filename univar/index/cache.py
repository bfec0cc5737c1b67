"""The index's file inside a store: plain arrays in safetensors, and a JSON that says what they are.

    STORE/index/index.json                                what is there, and the SHA-256 of the arrays
    STORE/index/<type>-<fingerprint>.safetensors          centroids and lists, or the graph

No FAISS file is ever read: FAISS's reader trusts its input, ours checks every array.
The JSON is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from univar.errors import DataError, ProviderError, StoreCorrupt

FORMAT = "univar-index/1"
FOLDER = "index"
REMEDY = "build it again with `univar index {path}`"
_MAX_JSON_BYTES = 1 << 20
_FIELDS: dict[str, tuple[type, ...]] = {
    "type": (str,),
    "rows": (int,),
    "dim": (int,),
    "fingerprint": (str,),
    "sha256": (str,),
    "size_bytes": (int,),
    "effort": (int,),
    "recall_at_10": (int, float),
}


def write(store_path: Path, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Write arrays, then facts, then remove older files; returns the facts with `sha256` and `size_bytes`."""
    from safetensors.numpy import save

    folder = Path(store_path) / FOLDER
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    facts = {"format": FORMAT, **facts, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    name = _array_file(facts)
    try:
        folder.mkdir(exist_ok=True)
        _replace(folder / name, data)
        _replace(folder / "index.json", json.dumps(facts, indent=1).encode())
        for old in folder.glob("*.safetensors"):
            if old.name != name:
                old.unlink()
    except OSError as error:
        raise ProviderError(f"cannot write the index into {folder}: {error.strerror}") from error
    return facts


def read_facts(store_path: Path) -> dict[str, Any] | None:
    """What index.json says, None where no index was saved. Raises StoreCorrupt if it is not one of ours."""
    path = Path(store_path) / FOLDER / "index.json"
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_JSON_BYTES)
        facts = json.loads(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreCorrupt(f"{path} is not readable JSON; {REMEDY.format(path=store_path)}") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise StoreCorrupt(f"{path} is not of format {FORMAT}; {REMEDY.format(path=store_path)}")
    for name, kinds in _FIELDS.items():
        if type(facts.get(name)) not in kinds:
            raise StoreCorrupt(f"{path} has no valid {name!r}; {REMEDY.format(path=store_path)}")
    return facts


def read_arrays(store_path: Path, facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays that the facts speak of, their checksum compared first."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(store_path) / FOLDER / _array_file(facts)
    try:
        with path.open("rb") as file:
            data = file.read(facts["size_bytes"] + 1)
    except OSError as error:
        raise StoreCorrupt(
            f"cannot read {path}: {error.strerror}; {REMEDY.format(path=store_path)}"
        ) from error
    if len(data) != facts["size_bytes"] or hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise StoreCorrupt(f"{path} is not the file that was written; {REMEDY.format(path=store_path)}")
    try:
        return load(data)
    except SafetensorError as error:
        raise StoreCorrupt(f"{path} holds no arrays; {REMEDY.format(path=store_path)}") from error


def missing(store_path: Path) -> DataError:
    return DataError(f"{store_path} has no index; build it with `univar index {store_path}`")


def _array_file(facts: dict[str, Any]) -> str:
    """A file name made of nothing but letters, digits and a dash: the facts may come from elsewhere."""
    return re.sub(r"[^0-9A-Za-z-]", "", f"{facts['type']}-{facts['fingerprint'][:32]}") + ".safetensors"


def _replace(path: Path, data: bytes) -> None:
    """The file is there whole, or as it was before."""
    tmp = path.with_name(f".{path.name}.tmp")
    with tmp.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(tmp, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
