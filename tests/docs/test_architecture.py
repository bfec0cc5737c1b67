"""The table of moved files leads to files that are there, from files that are not."""

from __future__ import annotations

import glob
import re

import pytest

from tests.docs.pages import REPOSITORY

NEW = {"univar/answers/arrow.py", "univar/cli/NAME.py"}
"""Files that the worked examples add."""

PAGE = REPOSITORY / "docs" / "architecture.md"


def moved() -> list[tuple[str, str]]:
    """(old path, new paths) of each row of the table."""
    table = PAGE.read_text(encoding="utf-8").split("| old path | new path |")[1]
    return re.findall(r"^\| (\S+) \| (.+?) \|$", table, re.MULTILINE)[1:]


@pytest.mark.parametrize(("old", "new"), moved())
def test_moved_files_are_where_the_table_says(old: str, new: str) -> None:
    assert not glob.glob(str(REPOSITORY / old))
    for path in new.removeprefix("removed, ").split(", "):
        assert path == "removed" or glob.glob(str(REPOSITORY / path)), path


def test_every_room_is_on_a_floor() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (REPOSITORY / "univar").glob("*/__init__.py")}
    assert not {room for room in rooms if f"`{room}`" not in page}


def test_files_that_the_page_names_are_there() -> None:
    page = PAGE.read_text(encoding="utf-8").split("## Where files moved")[0]
    named = set(re.findall(r"`((?:univar|tests|csrc|docs)/[\w/]+\.\w+)`", page)) - NEW
    assert not {name for name in named if not (REPOSITORY / name).exists()}
