"""Pages a reader can read: a short README, narrow tables, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, anchors, name_of, pages, prose

README_LINES = 130
CELL_CHARACTERS = 90
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def test_readme_is_short() -> None:
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= README_LINES


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_table_cell_is_wide(page: Path) -> None:
    wide = [
        f"{name_of(page)}:{number}: {len(cell)} characters: {cell}"
        for number, line in prose(page)
        if line.lstrip().startswith("|")
        for cell in cells(line)
        if len(cell) > CELL_CHARACTERS
    ]
    assert not wide, "\n".join(wide)


def cells(row: str) -> list[str]:
    """The cells of a table row as a reader sees them: a link is its text."""
    shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", row.strip().strip("|"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", shown)]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for number, line in prose(page):
        for target in _LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            linked = (page.parent / file).resolve() if file else page
            if not linked.exists() or (anchor and anchor not in anchors(linked)):
                lost.append(f"{name_of(page)}:{number}: {target}")
    assert not lost, "\n".join(lost)


def test_every_page_of_the_docs_is_in_the_table_of_contents() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    linked = set(_LINK.findall(index))
    named = {page.name for page in (REPOSITORY / "docs").glob("*.md")} - {"index.md"}
    assert not named - linked
