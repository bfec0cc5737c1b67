"""Tables that libraries wrote, in every dialect and encoding: nothing is lost, texts are equal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from univar.answers import read_rows
from univar.answers.inputs import Reading
from univar.answers.rows import RejectedRow

pl = pytest.importorskip("polars", reason="polars is not installed: pip install 'univar-embed[test]'")

Rows = list[dict[str, str]]
COLUMNS = ("model", "language", "question", "answer", "note")
PIECES = [
    "a", "Is it?", " ", "  ", "b c", '"', '""', "'", ",", ";", "|", "\t", "\n", "\\", "\\n", "é", "ß", "–",
    "=1+1", "#", "-", "0", "null", "NA", "{}", "[1]", ":", "“x”",
]  # fmt: skip
WIDE = [*PIECES, "节俭", "かな", "😀", "العدل", "\u2028", "\ufeff", "\u00a0", "\u200d"]


def texts(pieces: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=7).map("".join)


def tables(pieces: list[str]) -> st.SearchStrategy[Rows]:
    """Tables of one to six rows; some answers are blank, which are rejected."""
    row = st.fixed_dictionaries(
        {
            "model": st.sampled_from(["alpha", "beta 2", "γ"]) if pieces is WIDE else st.just("alpha"),
            "language": st.sampled_from(["eng", "fra", "zho", "de"]),
            "question": texts(pieces),
            "answer": texts(pieces),
            "note": texts(pieces),
        }
    )
    return st.lists(row, min_size=1, max_size=6)


def one_line(rows: Rows, *signs: str) -> Rows:
    """The rows without what a file without quotes cannot hold."""
    out = []
    for row in rows:
        changed = dict(row)
        for sign in signs:
            changed = {name: text.replace(sign, " ") for name, text in changed.items()}
        out.append(changed)
    return out


def check(path: Path, rows: Rows, reading: Reading | None = None) -> None:
    """Rows read and rejected are the rows written; each that was read has its texts."""
    rejected: list[RejectedRow] = []
    found: Rows = []
    good = [row for row in rows if row["question"].strip() and row["answer"].strip()]
    if not good:
        return  # a file of which nothing can be used is an error, which other tests hold
    for batch in read_rows(path, on_rejected=rejected.append, reading=reading or Reading()):
        found += batch.table.select(list(COLUMNS)).to_pylist()
    assert len(found) + len(rejected) == len(rows), (path.read_bytes(), rejected)
    languages = {"de": "deu"}
    wanted = [{**row, "language": languages.get(row["language"], row["language"])} for row in good]
    assert found == wanted, path.read_bytes()


def csv_text(rows: Rows, **dialect: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def csv_dialects() -> Iterator[tuple[str, dict[str, Any]]]:
    for delimiter in ",;\t|":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC):
            for end in ("\n", "\r\n", "\r"):
                name = "answers.tsv" if delimiter == "\t" else "answers.csv"
                yield name, {"delimiter": delimiter, "quoting": quoting, "lineterminator": end}


relaxed = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@relaxed
@given(rows=tables(WIDE))
def test_csv_module_in_every_dialect(tmp_path: Path, rows: Rows) -> None:
    for name, dialect in csv_dialects():
        minimal = dialect["quoting"] == csv.QUOTE_MINIMAL
        written = rows
        if minimal and dialect["lineterminator"] == "\r":
            written = one_line(rows, "\n")  # which the csv module does not quote there
        (tmp_path / name).write_bytes(csv_text(written, **dialect).encode())
        check(tmp_path / name, written, Reading(quoting="double", delimiter=dialect["delimiter"]))
        if minimal and dialect["delimiter"] == "\t":
            written = one_line(written, '"')  # where few fields show quotes, --quoting double says so
            (tmp_path / name).write_bytes(csv_text(written, **dialect).encode())
        check(tmp_path / name, written)


@relaxed
@given(rows=tables(WIDE))
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "gb18030", "utf-16-le", "utf-16-be"])
def test_csv_in_unicode_encodings(tmp_path: Path, rows: Rows, encoding: str) -> None:
    told = "" if encoding in ("utf-8-sig", "utf-16", "utf-32") else encoding
    for end in ("\n", "\r\n"):
        for sep in ("", f"sep=;{end}"):
            (tmp_path / "a.csv").write_bytes(
                (sep + csv_text(rows, delimiter=";", lineterminator=end)).encode(encoding)
            )
            check(tmp_path / "a.csv", rows, Reading(encoding=told or None))


@relaxed
@given(rows=tables(PIECES))
def test_csv_in_cp1252(tmp_path: Path, rows: Rows) -> None:
    for delimiter in ",;":
        (tmp_path / "a.csv").write_bytes(csv_text(rows, delimiter=delimiter).encode("cp1252"))
        check(tmp_path / "a.csv", rows, Reading(encoding="cp1252"))


@relaxed
@given(rows=tables(WIDE))
def test_tables_without_quotes(tmp_path: Path, rows: Rows) -> None:
    for delimiter, name in (("\t", "a.tsv"), (";", "a.csv"), ("|", "a.csv"), (",", "a.csv")):
        kept = one_line(rows, delimiter, "\n", "\r")
        lines = [delimiter.join(COLUMNS), *(delimiter.join(row[c] for c in COLUMNS) for row in kept)]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        check(tmp_path / name, kept, Reading(quoting="none"))
        if delimiter == "\t":
            plain = one_line(kept, '"')
            lines = ["\t".join(COLUMNS), *("\t".join(row[c] for c in COLUMNS) for row in plain)]
            (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
            check(tmp_path / name, plain)


Write = Callable[[Rows, Path], object]
PANDAS: dict[str, Write] = {
    "a.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False),
    "semicolon.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False, sep=";"),
    "all.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False, quoting=csv.QUOTE_ALL),
    "all.tsv": lambda rows, path: pd.DataFrame(rows).to_csv(
        path, index=False, sep="\t", quoting=csv.QUOTE_ALL
    ),
    "utf16.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False, encoding="utf-16"),
    "a.csv.gz": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False),
    "index.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path),
    "a.jsonl": lambda rows, path: pd.DataFrame(rows).to_json(path, orient="records", lines=True),
    "a.json": lambda rows, path: pd.DataFrame(rows).to_json(path, orient="records", indent=2),
    "utf8.jsonl": lambda rows, path: pd.DataFrame(rows).to_json(
        path, orient="records", lines=True, force_ascii=False
    ),
    "a.parquet": lambda rows, path: pd.DataFrame(rows).to_parquet(path),
}
POLARS: dict[str, Write] = {
    "a.csv": lambda rows, path: pl.DataFrame(rows).write_csv(path),
    "semicolon.csv": lambda rows, path: pl.DataFrame(rows).write_csv(
        path, separator=";", line_terminator="\r\n"
    ),
    "always.csv": lambda rows, path: pl.DataFrame(rows).write_csv(path, quote_style="always"),
    "always.tsv": lambda rows, path: pl.DataFrame(rows).write_csv(path, separator="\t", quote_style="always"),
    "nonnumeric.csv": lambda rows, path: pl.DataFrame(rows).write_csv(path, quote_style="non_numeric"),
    "bom.csv": lambda rows, path: pl.DataFrame(rows).write_csv(path, include_bom=True),
    "a.jsonl": lambda rows, path: pl.DataFrame(rows).write_ndjson(path),
    "a.json": lambda rows, path: pl.DataFrame(rows).write_json(path),
    "a.parquet": lambda rows, path: pl.DataFrame(rows).write_parquet(path),
    "lz4.parquet": lambda rows, path: pl.DataFrame(rows).write_parquet(
        path, compression="lz4", row_group_size=2
    ),
}


def _arrow_csv(rows: Rows, path: Path, **options: Any) -> None:
    pacsv.write_csv(pa.Table.from_pylist(rows), path, pacsv.WriteOptions(**options))


ARROW: dict[str, Write] = {
    "needed.csv": lambda rows, path: _arrow_csv(rows, path),
    "valid.csv": lambda rows, path: _arrow_csv(rows, path, quoting_style="all_valid", delimiter=";"),
    "valid.tsv": lambda rows, path: _arrow_csv(rows, path, quoting_style="all_valid", delimiter="\t"),
    "a.parquet": lambda rows, path: pq.write_table(pa.Table.from_pylist(rows), path),
    "dictionary.parquet": lambda rows, path: pq.write_table(
        pa.Table.from_pylist(rows), path, version="1.0", data_page_version="2.0", compression="zstd"
    ),
    "plain.parquet": lambda rows, path: pq.write_table(
        pa.Table.from_pylist(rows), path, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"
    ),
}


@relaxed
@given(rows=tables(WIDE))
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_libraries(tmp_path: Path, rows: Rows, library: str) -> None:
    for name, write in {"pandas": PANDAS, "polars": POLARS, "pyarrow": ARROW}[library].items():
        write(rows, tmp_path / name)
        check(tmp_path / name, rows)


@relaxed
@given(rows=tables(WIDE))
def test_json_module(tmp_path: Path, rows: Rows) -> None:
    for ascii_only in (True, False):
        lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode(encoding))
            check(tmp_path / "a.jsonl", rows)
            (tmp_path / "a.json").write_bytes(
                json.dumps(rows, indent=1, ensure_ascii=ascii_only).encode(encoding)
            )
            check(tmp_path / "a.json", rows)
