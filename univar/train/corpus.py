"""A corpus for training: token ids on disk, a few numbers per row in memory, and what was left out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from univar._native import HashIndex
from univar.answers.declined import declined
from univar.answers.inputs import Reading
from univar.answers.maker_names import mask_names
from univar.answers.read import read_rows
from univar.answers.rows import RejectedRow
from univar.errors import DataError
from univar.files import file_sha256, new_folder, os_call, read_json, reported, text_sha256
from univar.schema import content_hashes, qa_texts, source_label

if TYPE_CHECKING:
    from univar.encoder.tokenizer import Tokens

FORMAT = "univar-token-corpus/3"
_ARRAYS = ("starts", "sources", "questions", "wordings", "files", "rows")
_COLUMNS = ("model", "language", "question_id", "question", "answer")
_SAMPLES = ("care for it", "care for it\nfair work")


class TokenizesTexts(Protocol):
    """The part of a tokenizer that is used here."""

    max_length: int

    def encode(self, texts: Any) -> Tokens: ...


@dataclass
class CorpusCounts:
    """What became of every row that was read; the last four are of those `kept`.

    duplicates:     left out, since the same source gave the same answer to the same question before
    shared_answers: left out, since another source gave the same answer to the same question before
    rejected:       rows that cannot be used at all; `first_rejected` says why
    not_wanted:     rows that `where` leaves out
    """

    read: int = 0
    not_wanted: int = 0
    kept: int = 0
    duplicates: int = 0
    shared_answers: int = 0
    rejected: int = 0
    first_rejected: str = ""
    declined: int = 0
    naming_models: int = 0
    truncated: int = 0
    unknown_tokens: int = 0


@dataclass(frozen=True)
class TokenCorpus:
    """Rows of answers, tokenised. All arrays but `ids` and `rows` are int32 per row, N rows.

    ids:       (T,) int32 memory-mapped, without special tokens; row i is ids[starts[i]:starts[i + 1]]
    sources:   (N,) number of the (model, language) in `source_names`
    questions: (N,) number of the question; wordings: (N,) of its exact text
    opening, joiner, closing: special tokens before the text, between two rows of a view, and after it
    """

    folder: Path
    ids: np.ndarray
    starts: np.ndarray
    sources: np.ndarray
    questions: np.ndarray
    wordings: np.ndarray
    files: np.ndarray
    rows: np.ndarray
    source_names: list[str]
    file_names: list[str]
    opening: list[int]
    joiner: list[int]
    closing: list[int]
    counts: CorpusCounts = field(repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    def place(self, row: int) -> str:
        """File and number of a row, for messages."""
        return f"{self.file_names[self.files[row]]} row {self.rows[row]}"

    def views(self, rows: Sequence[np.ndarray], max_length: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of views: the rows joined by newlines, special tokens around, truncated to max_length.

        rows: for each of n views its rows; returns ids (t,) int32 and cu_seqlens (n + 1,) int64
        """
        room = max_length - len(self.opening) - len(self.closing)
        parts: list[Any] = []
        cu_seqlens = np.zeros(len(rows) + 1, np.int64)
        for number, view in enumerate(rows):
            body: list[Any] = []
            for row in view:
                body += [self.joiner, self.ids[self.starts[row] : self.starts[row + 1]]]
            text = np.concatenate(body[1:])[:room]
            parts += [self.opening, text, self.closing]
            cu_seqlens[number + 1] = cu_seqlens[number] + len(self.opening) + len(text) + len(self.closing)
        return np.concatenate(parts).astype(np.int32), cu_seqlens


def build_corpus(
    inputs: Sequence[str | os.PathLike[str]],
    tokenizer: TokenizesTexts,
    *,
    cache: Path,
    tokenizer_id: str,
    mask: bool = False,
    where: Mapping[str, Sequence[str]] | None = None,
    reading: Reading | None = None,
) -> TokenCorpus:
    """Read answer files or stores of answers and tokenise them, or open what an earlier call wrote.

    cache:        folder of the tokens; each corpus has one in it, named after inputs and settings
    tokenizer_id: identifies the tokenizer
    where:        column to the values that are wanted in it; other rows are left out and counted
    mask:         put MASK in place of the names of assistants and their makers in answers
    Raises what `read_rows` raises, DataError where no row is left, ProviderError where the disk fails.
    """
    wanted = {name: list(values) for name, values in (where or {}).items()}
    folder = cache / _digest(
        inputs, tokenizer.max_length, tokenizer_id, mask, wanted, reading and asdict(reading)
    )
    if not _is_whole(folder):
        with reported("write", cache):
            shutil.rmtree(folder, ignore_errors=True)
            _write(folder, _Reader(inputs, wanted, reading), tokenizer, mask)
    return _open(folder)


def _is_whole(folder: Path) -> bool:
    """Whether the cache is there as it was written; one that is damaged or older is written anew."""
    try:
        meta = read_json(folder / "meta.json")
        sums = meta.pop("sha256")
        own = sums.pop("meta.json")
        names = {"ids.bin", *(f"{name}.npy" for name in _ARRAYS)}
        is_own = own == text_sha256({**meta, "sha256": sums})
        return is_own and set(sums) == names and all(file_sha256(folder / n) == sums[n] for n in names)
    except (DataError, OSError, KeyError, TypeError, AttributeError):
        return False


def _digest(inputs: Sequence[str | os.PathLike[str]], *settings: Any) -> str:
    facts: list[Any] = [FORMAT, *settings]
    for given in inputs:
        path = Path(given)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            stat = file.stat() if file.exists() else None
            facts.append([str(file.resolve()), stat and stat.st_size, stat and stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def _open(folder: Path) -> TokenCorpus:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    del meta["sha256"]
    arrays = {name: np.load(folder / f"{name}.npy") for name in _ARRAYS}
    ids = np.memmap(folder / "ids.bin", np.int32, "r")
    counts = CorpusCounts(**meta.pop("counts"))
    return TokenCorpus(folder=folder, ids=ids, counts=counts, **arrays, **meta)


def _write(folder: Path, reader: _Reader, tokenizer: TokenizesTexts, mask: bool) -> None:
    """Make the cache folder, whole or not at all."""
    with new_folder(folder) as temporary:
        with open(temporary / "ids.bin", "wb") as ids_file:
            intake = _Intake(tokenizer, mask, ids_file)
            for table, file, rows in reader.tables(intake.counts):
                intake.add(table, file, rows)
        for name, array in intake.arrays().items():
            os_call(np.save, temporary / f"{name}.npy", array)
        sums = {path.name: file_sha256(path) for path in sorted(temporary.iterdir())}
        meta = {**intake.meta(), "sha256": sums}
        sums["meta.json"] = text_sha256(meta)
        (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


@dataclass(frozen=True)
class _Reader:
    """Reads the wanted rows of answer files and stores."""

    inputs: Sequence[str | os.PathLike[str]]
    where: dict[str, list[str]]
    reading: Reading | None

    def tables(self, counts: CorpusCounts) -> Iterator[tuple[pa.Table, str, np.ndarray]]:
        """(rows, name of the file or store, number of each row in it) of every input, in order."""
        for given in self.inputs:
            for table, name, rows in (
                self._stored(given) if Path(given).is_dir() else self._read(given, counts)
            ):
                counts.read += len(rows)
                kept = np.flatnonzero(self._wanted(table, name))
                counts.not_wanted += len(rows) - len(kept)
                if len(kept):
                    yield table.take(kept), name, rows[kept]

    def _wanted(self, table: pa.Table, name: str) -> np.ndarray:
        wanted = np.ones(len(table), bool)
        for column, values in self.where.items():
            if column not in table.column_names:
                raise DataError(f"{name} has no column {column}, which `where` asks for")
            found = pc.is_in(table[column].combine_chunks(), pa.array(values, pa.large_string()))
            wanted &= found.to_numpy(zero_copy_only=False)
        return wanted

    def _read(self, path: Any, counts: CorpusCounts) -> Iterator[tuple[pa.Table, str, np.ndarray]]:
        def reject(row: RejectedRow) -> None:
            counts.read += 1
            counts.rejected += 1
            counts.first_rejected = counts.first_rejected or f"{row.file} row {row.row}: {row.reason}"

        for batch in read_rows([path], on_rejected=reject, reading=self.reading):
            yield batch.table, batch.file, batch.rows

    def _stored(self, path: Any) -> Iterator[tuple[pa.Table, str, np.ndarray]]:
        from univar.store import Store

        columns = list(dict.fromkeys([*_COLUMNS, *self.where]))
        first = 1
        for table in Store(path).iter_tables(columns, 4096):
            yield table, str(path), np.arange(first, first + len(table))
            first += len(table)


class _Intake:
    """Leaves out duplicates, numbers what repeats, and writes the tokens, batch by batch."""

    def __init__(self, tokenizer: TokenizesTexts, mask: bool, ids_file: Any) -> None:
        self.counts = CorpusCounts()
        self._tokenizer, self._mask, self._ids_file = tokenizer, mask, ids_file
        self._numbers: dict[str, dict[Any, int]] = {name: {} for name in ("source", "question", "file")}
        self._wordings, self._answers = HashIndex(), HashIndex()
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
        self._n_wordings = 0
        self._specials = _special_tokens(tokenizer)
        self._unknown = _unknown_token(tokenizer)

    def add(self, table: pa.Table, file: str, rows: np.ndarray) -> None:
        column = {name: table[name].combine_chunks() for name in ("question", "answer")}
        pairs = zip(table["model"].to_pylist(), table["language"].to_pylist(), strict=True)
        sources = self._numbered("source", [source_label(*pair) for pair in pairs])
        kept = self._new_rows(column, sources)
        answers = column["answer"].take(kept)
        self.counts.kept += len(kept)
        self.counts.declined += int(declined(answers, table["language"].take(kept)).sum())
        masked, named = mask_names(answers)
        self.counts.naming_models += int(named.sum())
        questions = column["question"].take(kept)
        texts = qa_texts(questions, masked if self._mask else answers)
        files = self._numbered("file", [file] * len(kept))
        self._columns["sources"].append(sources[kept])
        self._columns["questions"].append(
            self._numbered("question", table["question_id"].take(kept).to_pylist())
        )
        self._columns["wordings"].append(self._number_wordings(questions))
        self._columns["files"].append(files)
        self._columns["rows"].append(rows[kept].astype(np.int64))
        self._write_tokens(texts)

    def _new_rows(self, column: dict[str, pa.Array], sources: np.ndarray) -> np.ndarray:
        """Rows whose question and answer were not seen before; the others are counted."""
        keys = content_hashes([column["question"], column["answer"]])
        earlier = self._answers.insert(keys, sources.astype(np.int64))
        self.counts.duplicates += int((earlier == sources).sum())
        self.counts.shared_answers += int(((earlier >= 0) & (earlier != sources)).sum())
        return np.flatnonzero(earlier < 0)

    def _write_tokens(self, texts: pa.Array) -> None:
        tokens = self._tokenizer.encode(texts)
        opening, _, closing = self._specials
        lengths = np.diff(tokens.cu_seqlens)
        places = np.arange(len(tokens.ids)) - np.repeat(tokens.cu_seqlens[:-1], lengths)
        inner = (places >= len(opening)) & (places < np.repeat(lengths, lengths) - len(closing))
        ids = np.ascontiguousarray(tokens.ids[inner], np.int32)
        os_call(self._ids_file.write, ids.data)
        self.counts.unknown_tokens += int(np.count_nonzero(ids == self._unknown))
        self._columns["starts"].append(lengths - len(opening) - len(closing))
        self.counts.truncated += int(tokens.truncated.sum())

    def _numbered(self, kind: str, names: list[str]) -> np.ndarray:
        numbers = self._numbers[kind]
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int32)

    def _number_wordings(self, questions: pa.Array) -> np.ndarray:
        unique = questions.dictionary_encode()
        keys = content_hashes([unique.dictionary])
        new = np.arange(len(keys), dtype=np.int64) + self._n_wordings
        known = self._wordings.insert(keys, new)
        self._n_wordings += len(keys)
        return np.where(known < 0, new, known).astype(np.int32)[unique.indices.to_numpy()]

    def arrays(self) -> dict[str, np.ndarray]:
        if not self.counts.kept:
            raise DataError("no answers are left to train on: give a file with answers")
        joined = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        joined["questions"] = _merged_questions(joined["questions"], joined["wordings"])
        joined["starts"] = np.concatenate([[0], np.cumsum(joined["starts"])]).astype(np.int64)
        return joined

    def meta(self) -> dict[str, Any]:
        opening, joiner, closing = self._specials
        names = {"source_names": list(self._numbers["source"]), "file_names": list(self._numbers["file"])}
        return {
            **names,
            "opening": opening,
            "joiner": joiner,
            "closing": closing,
            "counts": asdict(self.counts),
        }


def _merged_questions(questions: np.ndarray, wordings: np.ndarray) -> np.ndarray:
    """Question of each row, (N,) int32: ids that share a wording, here or over others, are one question."""
    parent = list(range(int(questions.max()) + 1))

    def root(question: int) -> int:
        while parent[question] != question:
            parent[question] = parent[parent[question]]
            question = parent[question]
        return question

    pairs = np.unique(np.stack([wordings, questions]), axis=1)
    for number in np.flatnonzero(pairs[0, 1:] == pairs[0, :-1]).tolist():
        parent[root(int(pairs[1, number + 1]))] = root(int(pairs[1, number]))
    return np.array([root(question) for question in range(len(parent))], np.int32)[questions]


def _unknown_token(tokenizer: TokenizesTexts) -> int | None:
    """The token that stands for what the vocabulary lacks; None where two letters of dead scripts differ."""
    tokens = tokenizer.encode(["\U00013000", "\U00012000"])
    found = [tokens.ids[a:b].tolist() for a, b in pairwise(tokens.cu_seqlens.tolist())]
    return int(found[0][-2]) if found[0] == found[1] and len(found[0]) > 2 else None


def _special_tokens(tokenizer: TokenizesTexts) -> tuple[list[int], list[int], list[int]]:
    """Ids before a text, between two lines and after it; DataError if lines cannot be joined this way."""
    line, both = (list(map(int, tokenizer.encode([text]).ids)) for text in _SAMPLES)
    other = list(map(int, tokenizer.encode([_SAMPLES[1].partition("\n")[2]]).ids))
    first = next(i for i in range(len(line)) if line[i] != other[i])
    last = next(i for i in range(len(line)) if line[-1 - i] != other[-1 - i])
    opening, closing = line[:first], line[len(line) - last :]
    inner = both[len(opening) + len(line[first : len(line) - last]) : len(both) - len(closing)]
    joiner = inner[: len(inner) - len(other[first : len(other) - last])]
    if [*line[: len(line) - last], *joiner, *other[first:]] != both:
        raise DataError("this tokenizer splits a line differently after another line: train another base")
    return opening, joiner, closing
