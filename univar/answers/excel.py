"""Sheets of Excel and LibreOffice: the first sheet that has rows, its first row being the header."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from univar.answers.inputs import Input
from univar.answers.rows import ColumnNames, RawBatch
from univar.errors import DataError, UsageError


def read_excel(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, numbered as in the sheet, which is held in memory; empty rows are skipped."""
    assert source.path is not None
    header: list[str] | None = None
    rows: list[int] = []
    records: list[list[Any]] = []
    kept: list[tuple[int, str]] = []
    for number, cells in enumerate(_sheet(source.path), start=1):
        if not any(cell not in ("", None) for cell in cells):
            continue
        if header is None:
            header = [str(cell).strip() or f"unnamed_{place}" for place, cell in enumerate(cells, start=1)]
            ours = names.require(header, required)
            kept = [(place, ours[name]) for place, name in enumerate(header) if name in ours]
            continue
        rows.append(number)
        records.append(cells)
        if len(rows) == batch_rows:
            yield _batch(rows, records, kept)
            rows, records = [], []
    if rows:
        yield _batch(rows, records, kept)


def _batch(rows: list[int], records: list[list[Any]], kept: list[tuple[int, str]]) -> RawBatch:
    columns = {name: [_text(record[place]) for record in records] for place, name in kept}
    return RawBatch(rows, columns)


def _text(cell: Any) -> str:
    """A cell as its text; whole numbers without a fraction, since sheets have one kind of number."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _sheet(path: str) -> list[list[Any]]:
    try:
        import python_calamine
    except ImportError:
        raise UsageError(
            f"{path} is a sheet, which needs: pip install 'univar-embed[excel]'; or save it as CSV (UTF-8)"
        ) from None
    try:
        book = python_calamine.load_workbook(path)
        for name in book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            if rows:
                return rows
    except Exception as error:  # the library raises errors of its own for each kind of file
        raise DataError(f"not a sheet that can be read: {error}") from None
    return []
