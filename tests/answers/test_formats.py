"""What is written in any format is read back, whatever the batches."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers.conftest import GOOD, WRITERS, jsonl, parquet, read, written, zstd

TEXT = st.text(
    st.one_of(
        st.sampled_from("\",;\t\n\r \\'{}[]\x00\ufeff\u2028\u200b😀é漢字ะا"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=30,
)
VISIBLE = TEXT.filter(lambda text: text.strip() != "")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXT,
            "model": st.sampled_from(["gpt-4", "org/llama", "モデル"]),
            "language": st.sampled_from(["eng", "zho", "fin"]),
            "question_id": st.sampled_from(["q1", "q2"]),
            "question": st.builds("{}?".format, TEXT),
            "answer": st.builds("{}.".format, TEXT),
            "topic": TEXT,
        }
    ),
    min_size=1,
    max_size=12,
)
relaxed = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@pytest.mark.parametrize("ending", WRITERS)
@given(rows=ROWS)
@relaxed
def test_written_rows_are_read_back(tmp_path: Path, ending: str, rows: list[dict[str, str]]) -> None:
    if sys.version_info < (3, 11) and ("csv" in ending or "tsv" in ending):  # its csv module knows no NUL
        rows = [{name: text.replace("\0", "") for name, text in row.items()} for row in rows]
    reading = read(written(tmp_path / f"rows.{ending}", rows))
    assert reading.rejected == []
    assert reading.rows == rows


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@given(
    rows=ROWS, bad=st.sets(st.integers(0, 11)), batch_rows=st.integers(1, 14), batch_bytes=st.integers(1, 400)
)
@relaxed
def test_batch_boundaries_do_not_matter(
    tmp_path: Path, ending: str, rows: list[dict[str, str]], bad: set[int], batch_rows: int, batch_bytes: int
) -> None:
    rows = [GOOD | rows[0], *({**row, "answer": " "} if n in bad else row for n, row in enumerate(rows))]
    path = written(tmp_path / f"rows.{ending}", rows)
    assert read(path, batch_rows=batch_rows, batch_bytes=batch_bytes) == read(path)


def test_no_batch_has_more_rows_than_asked_for(tmp_path: Path) -> None:
    from univar.answers import read_rows

    for ending in ("jsonl", "csv", "parquet"):
        path = written(tmp_path / f"rows.{ending}", [GOOD] * 25)
        batches = list(read_rows(path, on_rejected=print, batch_rows=10))
        assert [len(batch.rows) for batch in batches] == [10, 10, 5]
        assert [batch.file for batch in batches] == [str(path)] * 3
        assert [row for batch in batches for row in batch.rows.tolist()] == (
            list(range(2, 27)) if ending == "csv" else list(range(1, 26))
        )


def test_tables_hold_large_strings_without_nulls_in_a_fixed_order(tmp_path: Path) -> None:
    import pyarrow as pa

    from univar.answers import read_rows

    for ending in WRITERS:
        path = written(tmp_path / f"rows.{ending}", [{"topic": "t", **GOOD}])
        (batch,) = read_rows(path, on_rejected=print)
        assert batch.table.column_names == [
            "id", "model", "language", "question_id", "question", "answer", "topic"
        ]  # fmt: skip
        assert set(batch.table.schema.types) == {pa.large_string()}
        assert all(column.null_count == 0 for column in batch.table.columns)


def test_stdin_is_jsonl_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    give(jsonl([GOOD]))
    from_jsonl = read("-")
    give(WRITERS["csv"]([GOOD]))
    from_csv = read("-", format="csv")
    assert from_jsonl.rows == from_csv.rows
    assert from_jsonl.rows[0]["answer"] == "because"


def test_several_inputs_are_read_in_order(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"r.{ending}", [GOOD | {"answer": ending}]) for ending in WRITERS]
    assert [row["answer"] for row in read(paths).rows] == list(WRITERS)


@pytest.mark.parametrize("codec", [gzip.compress, zstd])
def test_concatenated_compressed_files_are_one(tmp_path: Path, codec: object) -> None:
    assert callable(codec)
    path = tmp_path / ("a.jsonl.gz" if codec is gzip.compress else "a.jsonl.zst")
    path.write_bytes(codec(jsonl([GOOD])) + codec(jsonl([GOOD | {"answer": "second"}])))
    assert [row["answer"] for row in read(path).rows] == ["because", "second"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_byte_order_mark_and_crlf_are_fine(tmp_path: Path, ending: str) -> None:
    data = WRITERS[ending]([GOOD])
    unix = data.replace(b"\r\n", b"\n")
    for number, variant in enumerate(
        [b"\xef\xbb\xbf" + unix, unix.replace(b"\n", b"\r\n"), unix.rstrip(b"\n")]
    ):
        (tmp_path / f"{number}.{ending}").write_bytes(variant)
        assert [row["answer"] for row in read(tmp_path / f"{number}.{ending}").rows] == ["because"]


def test_format_overrules_the_ending_but_not_the_compression(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(jsonl([GOOD])))
    assert len(read(tmp_path / "a.txt.gz", format="jsonl").rows) == 1
    (tmp_path / "b.dat").write_bytes(parquet([GOOD]))
    assert len(read(tmp_path / "b.dat", format="parquet").rows) == 1


def test_row_numbers_are_first_lines_despite_quoted_newlines(tmp_path: Path) -> None:
    text = 'model,language,question,answer\nm,eng,q,"one\ntwo\nthree"\n\nm,eng,q\nm,eng,"q\r\n?",last\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    reading = read(tmp_path / "a.csv")
    assert reading.numbers == [2, 7]
    assert reading.rows[1]["question"] == "q\r\n?"
    assert reading.reasons == {6: "3 fields, but the header has 4"}


def test_blank_lines_count_but_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n" + jsonl([GOOD]) + b"  \r\n" + jsonl([GOOD]))
    assert read(tmp_path / "a.jsonl").numbers == [2, 4]


def test_real_answers_are_read_whole(real_data: Path) -> None:
    reading = read(real_data / "answers_eval.parquet")
    assert len(reading.rows) == 16_484
    assert reading.rejected == []
    assert {row["language"] for row in reading.rows} == {"eng", "fin", "spa", "jpn", "zho"}
    assert {"source_corpus", "question_id"} <= set(reading.rows[0])
