"""Check everything that a store claims about itself, and list what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from univar import files, schema
from univar._native import HashIndex
from univar.errors import StoreCorrupt
from univar.store.manifest import SHARDS_FOLDER, Manifest, read_manifests
from univar.store.shard import FLAGS, UNIT_TOLERANCE, ShardFile, not_unit
from univar.store.structure import structure_problems

_ROWS_AT_ONCE = 65_536
_SHARD_LIKE = re.compile(r"\.?([0-9]+-of-[0-9]+-)?[0-9]{8,12}\.h5(\.[0-9a-f]+\.tmp)?")


@dataclass
class VerifyReport:
    """What was checked, the problems found, one sentence each, and notes on what is odd but harmless."""

    path: str
    rows: int = 0
    shards: int = 0
    blocks: int = 0
    size_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def facts(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {**asdict(self), "ok": self.ok}


def verify(path: str | Path) -> VerifyReport:
    """Check manifests, sizes, block checksums, HDF5 structure, vectors, texts and the identity of every row.

    Raises DataError where there is no store; everything else that is wrong is in the report's problems.
    """
    path = Path(path)
    report = VerifyReport(str(path))
    try:
        manifests = read_manifests(path)
    except StoreCorrupt as error:
        report.problems.append(str(error))
        return report
    sound = []
    for manifest in manifests:
        for info in manifest.shards:
            shard = ShardFile(path / SHARDS_FOLDER / info.file, info)
            problems = list(_file_problems(shard))
            report.problems += problems
            report.shards += 1
            report.rows += info.rows
            report.blocks += len(info.blocks)
            report.size_bytes += info.size_bytes
            if not problems:
                sound.append((shard, manifest.dtype))
    report.problems += structure_problems([shard for shard, _ in sound])
    known, row = HashIndex(), 0
    for shard, dtype in sound:
        report.problems += _content_problems(shard, dtype)
        report.problems += _repeated_rows(shard, known, row)
        row += len(shard)
    report.notes += _notes(path, manifests)
    return report


def _file_problems(shard: ShardFile) -> Iterator[str]:
    try:
        shard.check_size()
        broken = list(shard.broken_blocks())
    except StoreCorrupt as error:
        yield str(error)
        return
    if broken:
        which = ", ".join(map(str, broken[:10])) + (", ..." if len(broken) > 10 else "")
        of = len(shard.info.blocks)
        yield str(
            shard.corrupt(f"{len(broken)} of {of} blocks of 4 MiB do not match their checksums ({which})")
        )


def _content_problems(shard: ShardFile, dtype: str) -> list[str]:
    """What is wrong inside a shard whose bytes are those that the manifest knows."""
    complaints = [*_vector_complaints(shard, dtype), *_number_complaints(shard)]
    problems = [str(shard.corrupt(complaint)) for complaint in complaints]
    try:
        identity = [shard.strings(name) for name in schema.IDENTITY_COLUMNS]
        for column in _other_columns(shard):
            shard.strings(column)
    except StoreCorrupt as error:
        return [*problems, str(error)]
    wrong = np.flatnonzero((schema.content_hashes(identity) != shard.array("row_hash")).any(axis=1))
    if len(wrong):
        what = f"row {wrong[0]} ({len(wrong)} in all) is not the row whose hash is stored"
        problems.append(str(shard.corrupt(what)))
    return problems


def _vector_complaints(shard: ShardFile, dtype: str) -> Iterator[str]:
    embeddings = shard.array("embeddings")
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        wrong = not_unit(embeddings[start : start + _ROWS_AT_ONCE], UNIT_TOLERANCE[dtype])
        if len(wrong):
            yield f"the embedding of row {start + wrong[0]} ({len(wrong)} in all) is not of length 1"
            return


def _number_complaints(shard: ShardFile) -> Iterator[str]:
    if int(shard.array("n_tokens").min()) < 0:
        yield "a row has a negative number of tokens"
    if np.any(shard.array("flags") & ~np.uint8(FLAGS)):
        yield "a flag is set that this version does not know"
    if shard.has("pieces"):
        read, total = (shard.array(name) for name in ("answer_tokens_read", "answer_tokens"))
        if min(int(shard.array("pieces").min()), int(read.min())) < 0 or np.any(read > total):
            yield "more of an answer was read than it has"
        if not np.all((unknown := shard.array("unknown")) >= 0) or np.any(unknown > 1):
            yield "a share of unknown tokens is not between 0 and 1"


def _other_columns(shard: ShardFile) -> list[str]:
    return [name for name in shard.columns() if name not in schema.IDENTITY_COLUMNS]


def _repeated_rows(shard: ShardFile, known: HashIndex, first_row: int) -> list[str]:
    numbers = np.arange(first_row, first_row + len(shard), dtype=np.int64)
    repeated = np.flatnonzero(known.insert(shard.array("row_hash"), numbers) >= 0)
    if not len(repeated):
        return []
    return [str(shard.corrupt(f"row {repeated[0]} ({len(repeated)} in all) is in the store twice"))]


def _notes(path: Path, manifests: list[Manifest]) -> list[str]:
    named = {shard.file for manifest in manifests for shard in manifest.shards}
    strays = [name for name in files.list_folder(path / SHARDS_FOLDER) if name not in named]
    unfinished = [name for name in strays if _SHARD_LIKE.fullmatch(name)]
    foreign = [name for name in strays if name not in unfinished]
    notes = []
    if unfinished:
        notes.append(f"unfinished shards, which the next writer removes: {_some(unfinished)}")
    if foreign:
        notes.append(f"files in {SHARDS_FOLDER} that are not part of the store: {_some(foreign)}")
    workers = manifests[0].worker[1]
    if len(manifests) < workers:
        notes.append(
            f"{len(manifests)} of {workers} workers have started: the rows of the others are missing"
        )
    return notes


def _some(names: list[str]) -> str:
    """`a`, or `a and 4 more`."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
