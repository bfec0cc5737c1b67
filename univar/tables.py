"""Tables of results as data: made once, printed by the command line or written as CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\n": " ",
    }
)
_MARKDOWN = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "\n": " "})


@dataclass(frozen=True)
class Column(Generic[Item]):
    """A column: its header, and what it says of an item; an empty text for nothing."""

    header: str
    cell: Callable[[Item], str]


@dataclass(frozen=True)
class Table:
    """Headers, rows of as many cells, a title.

    keys:  the first columns, which name a row; they are repeated where a table is too wide for one block
    notes: lines beneath that explain the figures
    """

    headers: list[str]
    rows: list[list[str]]
    title: str = ""
    keys: int = 1
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        items: Iterable[Item],
        columns: Sequence[Column[Item]],
        title: str = "",
        keys: int = 1,
        notes: tuple[str, ...] = (),
    ) -> Table:
        """A row for each item; columns that say nothing of any item are left out."""
        rows = [[column.cell(item) for column in columns] for item in items]
        kept = [n for n in range(len(columns)) if n < keys or any(row[n] for row in rows)]
        headers = [columns[n].header for n in kept]
        return cls(headers, [[row[n] for n in kept] for row in rows], title, keys, notes)

    def csv(self) -> str:
        """Comma-separated, a header line first; without title and notes."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.headers)
        writer.writerows(self.rows)
        return out.getvalue().rstrip("\n")

    def markdown(self) -> str:
        """A pipe table, its title in bold above it and its notes below."""
        lines = [f"**{self.title}**", ""] if self.title else []
        for cells in (self.headers, ["---"] * len(self.headers), *self.rows):
            lines.append("| " + " | ".join(cell.translate(_MARKDOWN) for cell in cells) + " |")
        return "\n".join([*lines, *(("", *self.notes) if self.notes else ())])

    def latex(self) -> str:
        """A `tabular` with the rules of booktabs, its title and notes as comments."""
        columns = "l" * self.keys + "r" * (len(self.headers) - self.keys)
        lines = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in self.rows]
        head = " & ".join(cell.translate(_LATEX) for cell in self.headers) + r" \\"
        body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *lines]
        notes = [line for note in self.notes for line in _comment(note)]
        return "\n".join([*_comment(self.title), *body, r"\bottomrule", r"\end{tabular}", *notes])


def facts_table(facts: Mapping[str, Any]) -> Table:
    """Numbers and texts among `facts`, one a row, for a command that otherwise prints sentences."""
    plain = {name: value for name, value in facts.items() if isinstance(value, str | int | float)}
    return Table(["name", "value"], [[name, str(value)] for name, value in plain.items()])


def _comment(text: str) -> list[str]:
    """Lines of LaTeX that say `text` to a reader of the file only."""
    return [f"% {line}" for line in text.split("\n") if line]
