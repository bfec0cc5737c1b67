"""Every fault a user can hand over: one clear sentence, the right exit code, nothing finished lost."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import h5py
import pytest

from tests.cli.conftest import Finished, Run
from tests.conftest import answer_rows, write_jsonl
from tests.store.store_rows import sign
from univar import Store


def embed(univar: Run, source: Path, store: Path, encoder: Path, *more: str) -> Finished:
    return univar("embed", source, "-o", store, "-e", encoder, *more)


def one_sentence(finished: Finished, *parts: str) -> None:
    """The error is a single line that names all of `parts`."""
    errors = [line for line in finished.stderr.splitlines() if line.startswith("univar:")]
    assert len(errors) == 1, finished.stderr
    assert "Traceback" not in finished.stderr
    for part in parts:
        assert part in errors[0], errors[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"model": "m", "language": "eng", "question": "why?"}', "answer"),
        (b'{"model": "m", "language": "eng", "question": "why?", "answer": 3}', "answer"),
        (b'{"model": "m", "language": "eng", "question": "why?", "answer": "  "}', "empty"),
        (b'{"model": "m", "language": "nowherish", "question": "why?", "answer": "a"}', "nowherish"),
        (b'{"model": "m", "language": "eng", "question": "why?", "answer": "\xff\xfe"}', "UTF-8"),
        (b'{"model": "m", "language": "eng", "question": "why?", "answ', "JSON"),
        (b'{"model": "m", "language": "eng", "question": "why?", "answer": "\\ud800"}', "surrogate"),
    ],
    ids=["missing-column", "wrong-type", "empty", "language", "utf8", "json", "surrogate"],
)
def test_a_bad_row_is_named_and_the_rest_is_embedded(
    tmp_path: Path, univar: Run, answers: Path, tiny_bert: Path, line: bytes, reason: str
) -> None:
    lines = answers.read_bytes().splitlines()
    answers.write_bytes(b"\n".join([*lines[:16], line, *lines[16:]]) + b"\n")
    finished = embed(univar, answers, tmp_path / "store", tiny_bert, "--json")
    assert finished.exit_code == 4
    told = next(text for text in finished.stderr.splitlines() if "rejected" in text)
    assert "answers.jsonl" in told
    assert "row 17" in told
    assert reason in told
    facts = json.loads(finished.stdout)
    assert (facts["rows_read"], facts["embedded"], facts["rejected"]) == (41, 40, 1)


def test_a_row_of_50_megabytes_is_refused(
    tmp_path: Path, univar: Run, answers: Path, tiny_bert: Path
) -> None:
    with answers.open("a", encoding="utf-8") as file:
        row = {"model": "m", "language": "eng", "question": "why?", "answer": "x" * 50_000_000}
        file.write(json.dumps(row) + "\n")
    finished = embed(univar, answers, tmp_path / "store", tiny_bert)
    assert finished.exit_code == 4
    assert "row 41" in finished.stderr
    assert len(Store(tmp_path / "store")) == 40


def test_missing_column_of_a_table(tmp_path: Path, univar: Run, tiny_bert: Path) -> None:
    (tmp_path / "a.csv").write_text("model,language,question,reply\nm,eng,why?,because\n")
    finished = embed(univar, tmp_path / "a.csv", tmp_path / "store", tiny_bert)
    assert finished.exit_code == 3
    one_sentence(finished, "a.csv", "answer", "--map")
    mapped = embed(univar, tmp_path / "a.csv", tmp_path / "store", tiny_bert, "--map", "answer=reply")
    assert mapped.exit_code == 0


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.csv", "empty.parquet", "empty.jsonl.gz"])
def test_empty_file(tmp_path: Path, univar: Run, tiny_bert: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    finished = embed(univar, tmp_path / name, tmp_path / "store", tiny_bert)
    assert finished.exit_code == 3
    one_sentence(finished, name, "empty")


def test_truncated_parquet_after_a_good_file(
    tmp_path: Path, univar: Run, answers: Path, tiny_bert: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    pq.write_table(pa.Table.from_pylist(answer_rows(50, seed=3)), whole)
    cut.write_bytes(whole.read_bytes()[:-200])
    finished = univar("embed", answers, cut, "-o", tmp_path / "store", "-e", tiny_bert)
    assert finished.exit_code == 3
    one_sentence(finished, "cut.parquet")
    assert len(Store(tmp_path / "store")) == 40


def test_missing_file_and_unknown_ending(tmp_path: Path, univar: Run, tiny_bert: Path) -> None:
    missing = embed(univar, tmp_path / "nothing.jsonl", tmp_path / "store", tiny_bert)
    assert missing.exit_code == 3
    one_sentence(missing, "nothing.jsonl")
    (tmp_path / "a.docx").write_text("x")
    unknown = embed(univar, tmp_path / "a.docx", tmp_path / "store", tiny_bert)
    assert unknown.exit_code == 2
    one_sentence(unknown, "a.docx", "--format")


def test_store_of_another_encoder(univar: Run, answers: Path, store: Path, other_tiny_bert: Path) -> None:
    finished = embed(univar, answers, store, other_tiny_bert)
    assert finished.exit_code == 3
    one_sentence(finished, "store")


def test_a_flipped_bit_is_found(univar: Run, answers: Path, store: Path, tiny_bert: Path) -> None:
    shard = next((store / "shards").glob("*.h5"))
    flip_a_bit(shard)
    verified = univar("verify", store)
    assert verified.exit_code == 3
    assert shard.name in verified.stdout + verified.stderr
    appended = embed(univar, answers, store, tiny_bert)
    assert appended.exit_code == 3
    one_sentence(appended, shard.name)


def flip_a_bit(shard: Path) -> None:
    """Damage a shard as a bad disk would."""
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 4
    shard.chmod(0o644)
    shard.write_bytes(bytes(data))


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_external_and_virtual_storage_are_refused(univar: Run, store: Path, kind: str) -> None:
    shard = next((store / "shards").glob("*.h5"))
    secret = store.parent / "secret"
    secret.write_bytes(os.urandom(1 << 20))
    with h5py.File(shard, "r+") as file:
        shape, dtype = file["embeddings"].shape, file["embeddings"].dtype
        del file["embeddings"]
        if kind == "external":
            file.create_dataset("embeddings", shape, dtype, external=[(str(secret), 0, 1 << 20)])
        else:
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource(str(secret), "embeddings", shape)
            file.create_virtual_dataset("embeddings", layout)
    sign(store)
    finished = univar("verify", store, "--json")
    assert finished.exit_code == 3
    assert any("data from another file" in problem for problem in json.loads(finished.stdout)["problems"])


@pytest.mark.parametrize(("code", "word"), [(errno.ENOSPC, "space"), (errno.EROFS, "read-only")])
def test_full_or_read_only_disk(
    monkeypatch: pytest.MonkeyPatch,
    univar: Run,
    store: Path,
    tmp_path: Path,
    tiny_bert: Path,
    code: int,
    word: str,
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code), str(store))

    more = write_jsonl(tmp_path / "more.jsonl", answer_rows(10, seed=9))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        finished = embed(univar, more, store, tiny_bert)
    assert finished.exit_code == 1
    one_sentence(finished, str(store), word)
    assert len(Store(store)) == 40
    again = embed(univar, more, store, tiny_bert)
    assert again.exit_code == 0
    assert len(Store(store)) == 50


def test_no_store_where_one_is_asked_for(univar: Run, tmp_path: Path) -> None:
    for command in ("info", "verify", "index"):
        finished = univar(command, tmp_path / "nowhere")
        assert finished.exit_code in (2, 3)
        assert "nowhere" in finished.stderr
        assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("command", ["index", "export", "merge", "evaluate", "attribute"])
def test_no_command_works_on_a_damaged_store(tmp_path: Path, univar: Run, store: Path, command: str) -> None:
    flip_a_bit(next((store / "shards").glob("*.h5")))
    more = {
        "index": [],
        "export": ["-o", tmp_path / "out.parquet"],
        "merge": ["-o", tmp_path / "merged"],
        "evaluate": [store],
        "attribute": [tmp_path / "answers.jsonl"],
    }
    finished = univar(command, store, *more[command])
    assert finished.exit_code == 3
    one_sentence(finished, "shards")
