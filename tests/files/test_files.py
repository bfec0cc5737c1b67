"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from univar import files
from univar.errors import DataError, ProviderError, UsageError


def test_text_is_there_whole_with_the_umask_s_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    before = os.umask(0o022)
    try:
        with files.new_text_file(path) as file:
            file.write("один\r\nдва\n")
            assert not path.exists()
    finally:
        os.umask(before)
    assert path.read_bytes().decode() == "один\r\nдва\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_error_inside_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with files.new_text_file(path) as file:
            file.write("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    with files.new_folder(path) as made:
        (made / "sub").mkdir()
        (made / "sub" / "a").write_text("x")
        assert not path.exists()
    assert (path / "sub" / "a").read_text() == "x"

    def fail() -> None:
        with files.new_folder(path, replace=True) as made:
            (made / "b").write_text("y")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in path.parent.iterdir()] == ["folder"]
    with files.new_folder(path, replace=True) as made:
        (made / "b").write_text("y")
    assert [p.name for p in path.iterdir()] == ["b"]


@pytest.mark.parametrize("call", range(6))
def test_a_folder_survives_a_failing_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("x")
    calls = iter(range(100))

    def failing(function, *args):
        if next(calls) == call:
            raise OSError(28, "No space left on device")
        return function(*args)

    monkeypatch.setattr(files, "os_call", failing)

    def replace() -> None:
        with files.new_folder(path, replace=True) as made:
            (made / "new").write_text("y")

    with pytest.raises(ProviderError, match="no space is left"):
        replace()
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert [p.name for p in path.iterdir()] == (["old"] if call < 5 else ["new"])


def test_what_exists_is_refused_unless_forced(tmp_path: Path) -> None:
    files.refuse_existing(tmp_path / "new")
    files.refuse_existing(tmp_path, force=True)
    with pytest.raises(UsageError, match=r"already exists: choose another name, or replace it with --force"):
        files.refuse_existing(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "does not hold a JSON object"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_json_that_is_no_object_is_told(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"has no b\.json"):
        files.read_json(tmp_path / "b.json")


def test_a_value_is_toml_or_a_plain_string() -> None:
    assert [files.toml_value(text) for text in ("3", "[1, 2]", "true", "plain text")] == [
        3,
        [1, 2],
        True,
        "plain text",
    ]
