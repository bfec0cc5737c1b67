"""The Markdown pages of the repository: their lines, tables, links and examples."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^( *)```(\w*)\s*$")
_MARK = re.compile(r"^ *<!-- example: (.+?) -->\s*$")


@dataclass(frozen=True)
class Example:
    """A fenced block of a page.

    line:  of the opening fence, from 1
    marks: what `<!-- example: ... -->` above the fence says, words with commas between. `skip REASON`: it is
           not run; `slow`: only `make test-all` runs it; `file NAME`: it is written to that file; `output`:
           the lines below a command are in what the command prints, but for their numbers
    """

    page: Path
    line: int
    language: str
    text: str
    marks: tuple[str, ...]

    def has(self, mark: str) -> bool:
        return any(entry.split()[0] == mark for entry in self.marks)

    def value(self, mark: str) -> str | None:
        """What follows a mark: the name of `file NAME`."""
        return next((entry.split(None, 1)[1] for entry in self.marks if entry.split()[0] == mark), None)

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows, and new ones that it does not ignore, which match a pattern."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        names = done.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # an export without git
        names = [str(path.relative_to(REPOSITORY)) for p in patterns for path in REPOSITORY.rglob(p)]
    return sorted({REPOSITORY / name for name in names if (REPOSITORY / name).is_file()})


def pages() -> list[Path]:
    """Every Markdown page."""
    return tracked("*.md")


def name_of(page: Path) -> str:
    """A page's path inside the repository, the name of its tests."""
    return str(page.relative_to(REPOSITORY))


def examples(page: Path) -> list[Example]:
    """The fenced blocks of a page, in order."""
    found: list[Example] = []
    marks: tuple[str, ...] = ()
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if fence := _FENCE.match(line):
            body = _body(lines, indent=len(fence[1]))
            found.append(Example(page, number, fence[2], body, marks))
            marks = ()
        elif mark := _MARK.match(line):
            marks = tuple(entry.strip() for entry in mark[1].split(","))
        elif line.strip():
            marks = ()
    return found


def _body(lines: Iterator[tuple[int, str]], indent: int) -> str:
    """The lines up to the closing fence."""
    body = []
    for _, line in lines:
        if line.strip() == "```":
            break
        body.append(line[indent:])
    return "".join(f"{line}\n" for line in body)


def prose(page: Path) -> list[tuple[int, str]]:
    """(number, line) of the lines outside fenced blocks."""
    kept, inside = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append((number, line))
    return kept


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for _, line in prose(page):
        if not (heading := re.match(r"#{1,6} +(.+?)\s*#*$", line)):
            continue
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names
