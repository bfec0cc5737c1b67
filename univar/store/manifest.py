"""The manifest: a JSON file that names a worker's shards. What no manifest names does not exist.

A manifest may come from a stranger: every type, range and name is checked here before anything else uses it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from univar import files, schema
from univar.errors import DataError, StoreCorrupt

SHARD_FORMATS = {"univar-store/1": "univar-shard/1", "univar-store/2": "univar-shard/2"}
"""Format of a store -> that of its shards; the second also says what was read of each row."""
STORE_FORMAT = "univar-store/2"
"""What new stores are; an older one goes on as it began."""
SHARDS_FOLDER = "shards"
BLOCK_BYTES = 4 << 20
DIGEST_BYTES = 16
DTYPES = {"float16": "<f2", "float32": "<f4"}
ENCODER_KEYS = ("id", "revision", "dim", "max_length", "pooling")
"""What all embeddings of one store have in common."""

_EMPTY_NAME = "%"
_LIMIT_BYTES = 1 << 30
_LARGEST = 1 << 60
_MANIFEST_NAME = re.compile(r"manifest(-[0-9]{1,7}-of-[0-9]{1,7})?\.json")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SEAL = re.compile(rb'\{\n "checksum": "([0-9a-f]{32})",')
_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class DatasetInfo:
    """Where one dataset lies in its shard file."""

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        size = np.dtype(self.dtype).itemsize
        for length in self.shape:
            size *= length
        return size


@dataclass(frozen=True)
class ShardInfo:
    """What the manifest says about one shard file; `blocks` are BLAKE2b-128 of each 4 MiB, in hex."""

    file: str
    rows: int
    size_bytes: int
    blocks: tuple[str, ...]
    datasets: dict[str, DatasetInfo]

    @functools.cached_property
    def line(self) -> str:
        """The shard as one line of the manifest; made once, as every flush writes all shards again."""
        datasets = {name: vars(info) for name, info in self.datasets.items()}
        facts = {"file": self.file, "rows": self.rows, "size_bytes": self.size_bytes, "blocks": self.blocks}
        return _line({**facts, "block_bytes": BLOCK_BYTES, "datasets": datasets})


@dataclass
class Manifest:
    """What is known of one worker's rows, apart from the rows themselves."""

    encoder: dict[str, Any]
    dtype: str
    text_format: str
    worker: tuple[int, int] = (0, 1)
    columns: list[str] = field(default_factory=lambda: list(schema.IDENTITY_COLUMNS))
    shards: list[ShardInfo] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    format: str = STORE_FORMAT

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.encoder["dim"]

    def to_json(self) -> bytes:
        """The file's bytes: keys sorted, one line for each fact, shard and run."""
        facts: dict[str, Any] = {
            "format": self.format,
            "encoder": self.encoder,
            "dtype": self.dtype,
            "dim": self.dim,
            "text_format": self.text_format,
            "worker": list(self.worker),
            "columns": self.columns,
        }
        lines = {name: _line(value) for name, value in facts.items()}
        lines["runs"] = _lines([_line(run) for run in self.runs])
        lines["shards"] = _lines([shard.line for shard in self.shards])
        return seal(_object(lines))


def encode_name(column: str) -> str:
    """A column's name as one HDF5 link name: percent-encoded, so that no slash or dot misleads."""
    if not column:
        return _EMPTY_NAME
    return quote(column, safe=" ").replace(".", "%2E")


def decode_name(encoded: str) -> str:
    """The inverse of `encode_name`."""
    return "" if encoded == _EMPTY_NAME else unquote(encoded)


def manifest_name(worker: tuple[int, int]) -> str:
    """`manifest.json` of a single worker, `manifest-2-of-8.json` of the third of eight."""
    index, workers = worker
    return "manifest.json" if workers == 1 else f"manifest-{index}-of-{workers}.json"


def shard_prefix(worker: tuple[int, int]) -> str:
    """How a worker's shard files begin."""
    return "" if worker[1] == 1 else f"{worker[0]}-of-{worker[1]}-"


def manifest_names(store: Path) -> list[str]:
    """File names of the manifests in a folder; none where there is no store."""
    return [name for name in files.list_folder(store) if _MANIFEST_NAME.fullmatch(name)]


def read_manifests(store: Path) -> list[Manifest]:
    """The manifests of a store in the order of the workers, agreeing with each other.

    Raises DataError where there is no store, StoreCorrupt where a manifest is broken.
    """
    found = [read_manifest(store / name) for name in manifest_names(store)]
    if not found:
        raise DataError(
            f"{store} is not a univar store: it has no manifest.json; "
            f"make one with `univar embed ANSWERS -o {store}`"
        )
    found.sort(key=lambda manifest: manifest.worker)
    for other in found[1:]:
        difference = disagreement(found[0], other)
        if difference:
            names = f"{manifest_name(found[0].worker)} and {manifest_name(other.worker)}"
            raise StoreCorrupt(
                f"{store}: {names} disagree: {difference}. Keep the manifests of one set of workers"
            )
    return found


def encoder_differences(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(name, value in one, value in other) of each setting that makes two encoders incomparable."""
    pairs = [(key, one.get(key), other.get(key)) for key in ENCODER_KEYS]
    return [(key, mine, theirs) for key, mine, theirs in pairs if mine != theirs]


def disagreement(one: Manifest, other: Manifest) -> str | None:
    """How two manifests differ that should be of one store; None if they agree."""
    pairs = [
        ("dtype", one.dtype, other.dtype),
        ("text format", one.text_format, other.text_format),
        ("store format", one.format, other.format),
        ("number of workers", one.worker[1], other.worker[1]),
    ]
    unlike = [(f"encoder {key}", *values) for key, *values in encoder_differences(one.encoder, other.encoder)]
    unlike += [(name, mine, theirs) for name, mine, theirs in pairs if mine != theirs]
    different = [f"{name} {mine!r} and {theirs!r}" for name, mine, theirs in unlike]
    return ", ".join(different) or None


def read_manifest(path: Path) -> Manifest:
    """One manifest file, checked; StoreCorrupt says what is wrong with it."""
    data = files.read_file(path, _LIMIT_BYTES)
    try:
        _check_seal(data)
        facts = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
        if _SURROGATE.search(data):
            json.dumps(facts, ensure_ascii=False).encode()
        manifest = _parse(facts)
        if manifest_name(manifest.worker) != path.name:
            raise ValueError(f"it says it is {manifest_name(manifest.worker)}")
        return manifest
    except (ValueError, RecursionError) as error:
        raise StoreCorrupt(
            f"{path} is not a valid manifest: {str(error)[:300]}. Restore it from a copy, "
            "or embed the answers into a new store"
        ) from None


def seal(members: str) -> bytes:
    """A JSON object of the given members (what follows its opening brace), preceded by their checksum."""
    digest = hashlib.blake2b(members.encode(), digest_size=DIGEST_BYTES).hexdigest()
    return f'{{\n "checksum": "{digest}",{members}'.encode()


def _check_seal(data: bytes) -> None:
    sealed = _SEAL.match(data)
    if not sealed:
        raise ValueError("it does not begin with its checksum")
    digest = hashlib.blake2b(data[sealed.end() :], digest_size=DIGEST_BYTES).hexdigest()
    _expect(digest.encode() == sealed[1], "its checksum does not match, so it was damaged or edited")


def check_encoder(encoder: Any) -> None:
    """Raise ValueError unless `encoder` is a JSON object with id, revision, dim, max_length and pooling."""
    _expect(isinstance(encoder, dict), "encoder is not an object")
    for key, kinds in (("id", str), ("revision", (str, type(None))), ("pooling", str)):
        _expect(isinstance(encoder.get(key), kinds), f"encoder {key} is {encoder.get(key)!r}")
    _whole(encoder.get("dim"), "encoder dim", 1, 1 << 20)
    if encoder.get("max_length") is not None:
        _whole(encoder["max_length"], "encoder max_length", 1, 1 << 30)
    if "parts" in encoder:
        _check_parts(encoder["parts"], encoder["dim"])


def _check_parts(parts: Any, dim: int) -> None:
    _expect(isinstance(parts, dict) and parts, "encoder parts are not an object")
    for name, bounds in parts.items():
        _expect(len(_list(bounds, f"part {name!r}")) == 2, f"part {name!r} is not a pair")
        start = _whole(bounds[0], f"start of part {name!r}", 0, dim - 1)
        _whole(bounds[1], f"end of part {name!r}", start + 1, dim)


def _parse(facts: Any) -> Manifest:
    _expect(isinstance(facts, dict), "it is not a JSON object")
    _expect(
        facts.get("format") in list(SHARD_FORMATS),
        f"format is {facts.get('format')!r}, and this version knows {', '.join(SHARD_FORMATS)}",
    )
    check_encoder(facts.get("encoder"))
    _expect(facts.get("dim") == facts["encoder"]["dim"], "dim is not the encoder's")
    _expect(facts.get("dtype") in list(DTYPES), f"dtype is {facts.get('dtype')!r}, not float16 or float32")
    _expect(isinstance(facts.get("text_format"), str), "text_format is not a string")
    worker = _list(facts.get("worker"), "worker")
    _expect(len(worker) == 2, "worker is not a pair")
    _whole(worker[1], "number of workers", 1, 1 << 20)
    _whole(worker[0], "worker", 0, worker[1] - 1)
    names = _list(facts.get("columns"), "columns")
    _expect(all(isinstance(name, str) for name in names), "a column's name is not a string")
    _expect(len(set(names)) == len(names), "a column is named twice")
    _expect(set(schema.IDENTITY_COLUMNS) <= set(names), f"columns lack one of {schema.IDENTITY_COLUMNS}")
    runs = _list(facts.get("runs"), "runs")
    _expect(all(isinstance(run, dict) for run in runs), "a run is not an object")
    manifest = Manifest(
        encoder=facts["encoder"],
        dtype=facts["dtype"],
        text_format=facts["text_format"],
        worker=(worker[0], worker[1]),
        columns=names,
        runs=runs,
        format=facts["format"],
    )
    manifest.shards = [_parse_shard(shard, manifest) for shard in _list(facts.get("shards"), "shards")]
    _expect(len({shard.file for shard in manifest.shards}) == len(manifest.shards), "a shard is named twice")
    return manifest


def _parse_shard(facts: Any, manifest: Manifest) -> ShardInfo:
    _expect(isinstance(facts, dict), "a shard is not an object")
    file = facts.get("file")
    own = re.escape(shard_prefix(manifest.worker)) + r"\d{8,12}\.h5"
    _expect(
        isinstance(file, str) and re.fullmatch(own, file, re.ASCII), f"{file!r} is not the name of a shard"
    )
    rows = _whole(facts.get("rows"), f"rows of {file}", 1, _LARGEST)
    size = _whole(facts.get("size_bytes"), f"size_bytes of {file}", 1, _LARGEST)
    _expect(facts.get("block_bytes") == BLOCK_BYTES, f"block_bytes of {file} is not {BLOCK_BYTES}")
    blocks = _list(facts.get("blocks"), f"blocks of {file}")
    _expect(len(blocks) == -(-size // BLOCK_BYTES), f"{file} has the wrong number of blocks")
    _expect(
        all(isinstance(block, str) and _DIGEST.fullmatch(block) for block in blocks),
        f"a checksum of {file} is not {2 * DIGEST_BYTES} hexadecimal digits",
    )
    _expect(isinstance(facts.get("datasets"), dict), f"datasets of {file} is not an object")
    datasets = {name: _parse_dataset(name, what, size) for name, what in facts["datasets"].items()}
    _check_datasets(file, datasets, rows, manifest)
    return ShardInfo(file, rows, size, tuple(blocks), datasets)


def _parse_dataset(name: str, facts: Any, size_bytes: int) -> DatasetInfo:
    _expect(isinstance(facts, dict), f"dataset {name} is not an object")
    _expect(facts.get("dtype") in ("<f2", "<f4", "<i4", "<i8", "|u1"), f"dataset {name} has an unknown dtype")
    shape = _list(facts.get("shape"), f"shape of {name}")
    _expect(1 <= len(shape) <= 2, f"dataset {name} has {len(shape)} dimensions")
    for length in shape:
        _whole(length, f"shape of {name}", 0, _LARGEST)
    offset = _whole(facts.get("offset"), f"offset of {name}", 0, _LARGEST)
    info = DatasetInfo(offset, facts["dtype"], tuple(shape))
    _expect(offset % 8 == 0 and offset + info.nbytes <= size_bytes, f"dataset {name} lies outside its file")
    return info


def _check_datasets(file: str, datasets: dict[str, DatasetInfo], rows: int, manifest: Manifest) -> None:
    expected = fixed_datasets(rows, manifest.dim, manifest.dtype, manifest.format)
    for name in datasets:
        if name in expected:
            continue
        kind, _, rest = name.partition("/")
        encoded = rest.partition("/")[0]
        column = decode_name(encoded)
        _expect(kind in ("codes", "text") and encode_name(column) == encoded, f"unknown dataset {name!r}")
        _expect(column in manifest.columns, f"dataset {name!r} of {file} belongs to no column")
        other = "text" if kind == "codes" else "codes"
        _expect(f"{other}/{encoded}/offsets" not in datasets, f"column {column!r} is in {file} twice")
        folder = f"{kind}/{encoded}"
        offsets = _dataset(datasets, f"{folder}/offsets", file)
        data = _dataset(datasets, f"{folder}/bytes", file)
        strings = offsets.shape[0] - 1
        _expect(strings >= 0, f"{folder}/offsets of {file} is empty")
        _expect(kind == "codes" or strings == rows, f"{folder} of {file} does not have {rows} rows")
        if kind == "codes":
            expected[f"{folder}/codes"] = ("<i4", (rows,))
        expected[f"{folder}/offsets"] = ("<i8", (strings + 1,))
        expected[f"{folder}/bytes"] = ("|u1", data.shape[:1])
    for name, (dtype, shape) in expected.items():
        info = _dataset(datasets, name, file)
        what = f"dataset {name!r} of {file} is not {dtype} {shape}"
        _expect((info.dtype, info.shape) == (dtype, shape), what)
    unknown = set(datasets) - set(expected)
    _expect(not unknown, f"unknown dataset {min(unknown, default='')!r} in {file}")
    _check_overlap(file, datasets)


READ_DATASETS = {"pieces": "<i4", "answer_tokens": "<i4", "answer_tokens_read": "<i4", "unknown": "<f4"}
"""What of each row was read, one number a row; stores of the first format lack them."""


def fixed_datasets(
    rows: int, dim: int, dtype: str, format: str = STORE_FORMAT
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """name -> (dtype, shape) of the datasets that every shard of a store of this format has."""
    read = READ_DATASETS if format == STORE_FORMAT else {}
    return {
        "row_hash": ("|u1", (rows, 16)),
        "text_hash": ("|u1", (rows, 16)),
        "n_tokens": ("<i4", (rows,)),
        "flags": ("|u1", (rows,)),
        **{name: (kind, (rows,)) for name, kind in read.items()},
        "embeddings": (DTYPES[dtype], (rows, dim)),
    }


def _dataset(datasets: dict[str, DatasetInfo], name: str, file: str) -> DatasetInfo:
    if name not in datasets:
        raise ValueError(f"{file} lacks dataset {name!r}")
    return datasets[name]


def _check_overlap(file: str, datasets: dict[str, DatasetInfo]) -> None:
    end = 0
    for name, info in sorted(datasets.items(), key=lambda item: item[1].offset):
        if not info.nbytes:
            continue
        _expect(info.offset >= end, f"dataset {name!r} of {file} overlaps another")
        end = info.offset + info.nbytes


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _lines(items: list[str]) -> str:
    return "[" + ",".join(f"\n  {item}" for item in items) + ("\n ]" if items else "]")


def _object(lines: dict[str, str]) -> str:
    return ",".join(f'\n "{name}": {lines[name]}' for name in sorted(lines)) + "\n}\n"


def _expect(condition: Any, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)


def _list(value: Any, name: str) -> list[Any]:
    _expect(isinstance(value, list), f"{name} is not a list")
    return value


def _whole(value: Any, name: str, low: int, high: int) -> int:
    _expect(type(value) is int and low <= value <= high, f"{name} is {value!r}, not a whole number in range")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")
