"""Answer files with bytes flipped, cut out and joined: one sentence and an exit code, no record lost."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from univar.answers.rows import MAX_ROW_BYTES

WORDS = [
    "thrift",
    "Is it?",
    'he said "no"',
    "a, b; c",
    "two\nlines",
    "节俭",
    "é",
    "العدل",
    "x" * 300,
    "1,5 | 2",
]


def rows(chance: random.Random) -> list[dict[str, str]]:
    def text() -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(1, 4)))

    return [
        {
            "model": chance.choice(["m1", "m2"]),
            "language": chance.choice(["eng", "fra"]),
            "question": text(),
            "answer": text(),
        }
        for _ in range(chance.randint(1, 12))
    ]


def jsonl(table: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in table)


def json_list(table: list[dict[str, str]]) -> bytes:
    return json.dumps(table, ensure_ascii=False, indent=1).encode()


def delimited(delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> Callable[[list[dict[str, str]]], bytes]:
    def write(table: list[dict[str, str]]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(table[0]), delimiter=delimiter, quoting=quoting)
        writer.writeheader()
        writer.writerows(table)
        return text.getvalue().encode()

    return write


def parquet(table: list[dict[str, str]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table), sink, row_group_size=5)
    return bytes(sink.getvalue())


KINDS: dict[str, Callable[[list[dict[str, str]]], bytes]] = {
    "a.jsonl": jsonl,
    "a.json": json_list,
    "a.csv": delimited(","),
    "semicolon.csv": delimited(";", csv.QUOTE_ALL),
    "a.tsv": delimited("\t", csv.QUOTE_ALL),
    "a.parquet": parquet,
}
SIGNS = [
    b'"',
    b"\n",
    b"\r",
    b",",
    b"\t",
    b";",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
]


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, replaced by signs that matter, cut out, cut off, doubled, or another file's joined."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not out:
            break
        place = chance.randrange(len(out))
        length = chance.randint(1, 40)
        match chance.randrange(6):
            case 0:
                out[place] ^= 1 << chance.randrange(8)
            case 1:
                out[place : place + 1] = chance.choice(SIGNS)
            case 2:
                del out[place : place + length]
            case 3:
                del out[place:]
            case 4:
                out[place:place] = out[place : place + length]
            case 5:
                out = bytearray(out[:place] + other[chance.randrange(len(other)) :])
    return bytes(out)


def records(data: bytes) -> int:
    """Records of JSON Lines as the plainest reader counts them: lines that are not blank."""
    text = data.decode("utf-8", "surrogateescape").lstrip("\ufeff")
    lines = [line.replace("\ufeff", "") for line in text.split("\n")]
    return sum(1 for line in lines if line.strip())


def plain_rows(data: bytes, delimiter: str) -> int | None:
    """Rows below the header as the csv module counts them; None where it cannot read all of the file."""
    try:
        text = data.decode().lstrip("\ufeff")
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    filled = [row for row in table if row]
    # A row of another width, or a line end within quotes, may be the work of a stray quote: we may see more.
    width = len(filled[0]) if filled else 0
    doubtful = any(len(row) != width or any("\n" in cell for cell in row) for row in filled)
    return None if doubtful or "\r" in text.replace("\r\n", "") else max(len(filled) - 1, 0)


def expected(name: str, data: bytes) -> int | None:
    """How many records a plain reader counts; None where the file does not tell."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data.count(b"\0") > 3:
        return None  # read as UTF-16
    if name.endswith("l"):
        plain = b"\r" not in data and not data.lstrip(b"\xef\xbb\xbf \n\t").startswith(b"[")
        return records(data) if plain else None
    if name == "a.json":
        try:
            found = json.loads(data.decode("utf-8-sig"))
        except ValueError:
            return None
        return len(found) if isinstance(found, list) else None
    if name == "a.parquet":
        try:
            return pq.ParquetFile(io.BytesIO(data)).read().num_rows
        except (pa.ArrowException, OSError):
            return None
    return plain_rows(data, {"a.csv": ",", "semicolon.csv": ";", "a.tsv": "\t"}[name])


@pytest.mark.parametrize(
    ("start", "count"),
    [(0, 300), *(pytest.param(start, 2500, marks=pytest.mark.slow) for start in range(300, 10_300, 2500))],
)
def test_a_damaged_file_is_one_sentence_or_all_its_records(
    tmp_path: Path, univar: Run, start: int, count: int
) -> None:
    for seed in range(start, start + count):
        chance = random.Random(seed)
        name = list(KINDS)[seed % len(KINDS)]
        data = mutated(KINDS[name](rows(chance)), KINDS[name](rows(chance)), chance)
        path = tmp_path / name
        path.write_bytes(data)
        done = univar("check", path, "--json")
        told = f"seed {seed}, {name}: {data!r}\n{done.stderr}"
        assert done.exit_code in (0, 2, 3, 4), told
        assert "Traceback" not in done.stderr, told
        assert "univar: unexpected" not in done.stderr, told
        if done.exit_code in (2, 3):
            sentences = [line for line in done.stderr.splitlines() if line.startswith("univar: ")]
            assert len(sentences) == 1, told
            continue
        found = json.loads(done.stdout)
        wanted = expected(name, data)
        if wanted is not None and len(data) < MAX_ROW_BYTES:
            assert found["rows"] + found["rejected"]["count"] == wanted, told
