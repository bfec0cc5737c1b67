"""An index's files inside a store: plain arrays in safetensors, and a JSON file that describes them.

    STORE/index/index.json                                type, sizes, fingerprint, SHA-256 of the arrays
    STORE/index/<type>-<fingerprint>.safetensors          centroids and lists, or the graph

FAISS files are never read: FAISS trusts its input, whereas every array is checked here.
The JSON is written last.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from univar import files
from univar.errors import DataError, StoreCorrupt

FORMAT = "univar-index/1"
FOLDER = "index"
FACTS_FILE = "index.json"
SOURCES_FOLDER = "sources"
"""Where `univar.search.source_files` keeps what was fitted to tell sources apart."""
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
    files.make_folder(folder)
    for path, content in ((folder / name, data), (folder / FACTS_FILE, json.dumps(facts, indent=1).encode())):
        with files.new_file(path) as file:
            file.write(content)
    for other in files.list_folder(folder):
        if other == SOURCES_FOLDER:  # heads of another state of the index
            shutil.rmtree(folder / other, ignore_errors=True)
        elif other not in (name, FACTS_FILE):
            files.remove(folder / other)
    return facts


def has_sources(store_path: Path) -> bool:
    """Whether source heads are kept beside the index, fresh or stale."""
    return "sources.json" in files.list_folder(Path(store_path) / FOLDER / SOURCES_FOLDER)


def read_facts(store_path: Path) -> dict[str, Any] | None:
    """What index.json says, None where no index was saved. Raises StoreCorrupt if the file is broken."""
    folder = Path(store_path) / FOLDER
    if FACTS_FILE not in files.list_folder(folder):
        return None
    try:
        facts = json.loads(files.read_file(folder / FACTS_FILE, _MAX_JSON_BYTES))
    except (StoreCorrupt, ValueError, RecursionError) as error:
        raise broken(store_path, f"{FACTS_FILE} is not readable JSON") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise broken(store_path, f"{FACTS_FILE} is not of format {FORMAT}")
    for name, kinds in _FIELDS.items():
        if type(facts.get(name)) not in kinds:
            raise broken(store_path, f"{FACTS_FILE} has no valid {name!r}")
    return facts


def read_arrays(store_path: Path, facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays that `facts` describes, once their checksum is right."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(store_path) / FOLDER / _array_file(facts)
    try:
        data = files.read_file(path, facts["size_bytes"])
    except StoreCorrupt as error:
        raise broken(store_path, f"{path.name} is missing or has another size") from error
    if len(data) != facts["size_bytes"] or hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise broken(store_path, f"{path.name} is not the file that was written")
    try:
        return load(data)
    except SafetensorError as error:
        raise broken(store_path, f"{path.name} is not a safetensors file") from error


def broken(store_path: Path, what: str) -> StoreCorrupt:
    """The error for index files that cannot be used."""
    return StoreCorrupt(f"the index in {store_path} is broken ({what}): {remedy(store_path)}")


def missing(store_path: Path) -> DataError:
    """The error for a store without an index."""
    return DataError(f"{store_path} has no index: build it with `univar index {store_path}`")


def remedy(store_path: Path) -> str:
    """What to do about an index that is out of date or broken."""
    return f"rebuild it with `univar index {store_path}`"


def _array_file(facts: dict[str, Any]) -> str:
    """A file name of nothing but letters, digits and a dash: the facts may come from elsewhere."""
    return re.sub(r"[^0-9A-Za-z-]", "", f"{facts['type']}-{facts['fingerprint'][:32]}") + ".safetensors"
