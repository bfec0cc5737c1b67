"""Sections as one HTML page without scripts; every text is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from univar import files
from univar.report.sections import MAX_ROWS, Section
from univar.tables import Table


def write_report(parts: Sequence[Section], path: Path, title: str, *, force: bool = False) -> int:
    """Write the page; returns its bytes. Raises UsageError where the file exists and force is not given."""
    page = render(parts, title).encode("utf-8", errors="replace")
    files.refuse_existing(path, force)
    with files.new_file(path) as file:
        file.write(page)
    return len(page)


def render(parts: Sequence[Section], title: str) -> str:
    """The page as text. Its policy allows its own style and pictures inside it, and nothing else."""
    style = (resources.files("univar.report") / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    links = "".join(f'<li><a href="#s{n}">{_text(part.title)}</a></li>' for n, part in enumerate(parts))
    body = "\n".join(_section(part, number) for number, part in enumerate(parts))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{_text(title)}</h1>\n<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(part: Section, number: int) -> str:
    lines = [f'<section aria-labelledby="s{number}">', f'<h2 id="s{number}">{_text(part.title)}</h2>']
    lines += [_table(it) if isinstance(it, Table) else _paragraphs(it) for it in part.blocks]
    if part.picture:
        data = base64.b64encode(part.picture).decode()
        lines.append(f'<img src="data:image/png;base64,{data}" alt="{_text(part.picture_shows)}">')
    if part.command:
        lines.append(f"<p>Made by <code>{_text(part.command)}</code></p>")
    return "\n".join([*lines, "</section>"])


def _table(table: Table) -> str:
    """A table that scrolls by itself, also by the keyboard; the first `keys` cells head their row."""
    caption = f"<caption>{_text(table.title)}</caption>" if table.title else ""
    head = "".join(f'<th scope="col">{_text(it)}</th>' if it else "<td></td>" for it in table.headers)
    rows = "".join(f"<tr>{_cells(row, table.keys)}</tr>" for row in table.rows[:MAX_ROWS])
    left = len(table.rows) - MAX_ROWS
    notes = [*table.notes, *([f"{left:,} more rows are left out."] if left > 0 else [])]
    label = _text(table.title or "Table")
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        + "".join(f'<p class="note">{_text(note)}</p>' for note in notes)
    )


def _cells(row: Sequence[str], keys: int) -> str:
    return "".join(
        f'<th scope="row">{_text(cell)}</th>' if place < keys else f"<td>{_text(cell)}</td>"
        for place, cell in enumerate(row)
    )


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(line)}</p>" for line in text.split("\n") if line.strip())


_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}
_BIDI = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)


def _text(text: str) -> str:
    """Text for HTML: escaped, control characters as pictures, marks that turn the direction replaced."""
    return escape(text.translate(_CONTROLS | _BIDI), quote=True)
