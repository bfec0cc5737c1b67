"""A map as one HTML page that opens from disk: no network, no eval, texts read when they are asked for."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from univar import files
from univar.map.colours import palette

if TYPE_CHECKING:
    from univar.map.draw import MapPoints
    from univar.store import Store

BLOCK = 1000
"""Rows whose texts are inflated together."""

MAX_TEXT = 4000
"""Characters of an answer or question that go into the page; what is cut is counted."""

MAX_NAMES = 255
"""Categories of a column: a byte each, the last one for all that have no name of their own."""

SCRIPTS = ("data.js", "geometry.js", "points.js", "app.js")
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def write_page(
    store: Store,
    points: MapPoints,
    path: Path,
    by: str = "source",
    *,
    texts: bool = True,
    force: bool = False,
) -> dict[str, int]:
    """Write the page of a store's map; returns how many rows, how many texts were cut, how many bytes.

    points: coordinates of the store's rows; by: the column that colours first
    texts:  False leaves out questions and answers; ids and categories stay
    Rows are stored in an order that lets no category cover the others. Raises ProviderError where the file
    can't be written, UsageError where it exists and force is not given.
    """
    order = np.random.default_rng(0).permutation(len(store))
    unit = _unit(points.coordinates)[order]
    columns = list(dict.fromkeys([by, "source", "model", "language"]))
    tables = [_column(store, name, unit, order) for name in columns]
    centred = np.ones(len(order), bool) if points.is_centred is None else points.is_centred[order]
    head = {
        "n": len(order),
        "block": BLOCK,
        "columns": [table for table, _ in tables],
        "palette": palette(MAX_NAMES + 1),
    }
    blocks = {"places": np.round(unit * 65535).astype("<u2").tobytes(), "centred": centred.astype(np.uint8)}
    blocks |= {f"column{number}": codes for number, (_, codes) in enumerate(tables)}
    cut = 0
    for number, start in enumerate(range(0, len(order), BLOCK)):
        rows, shortened = _texts(store, order[start : start + BLOCK], texts)
        blocks[f"texts{number}"] = _json(rows)
        cut += shortened
    page = _page(head, blocks, _note(points, cut, texts), f"{len(order):,} answers")
    files.refuse_existing(path, force)
    with files.new_file(path) as file:
        file.write(page)
    return {"rows": len(order), "cut": cut, "bytes": len(page)}


def _unit(coordinates: np.ndarray) -> np.ndarray:
    """(N, 2) in [0, 1], one scale for both axes, the shorter one in the middle."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    side = max(float((high - low).max()), np.finfo(np.float64).tiny)
    unit: np.ndarray = np.clip((coordinates - (low + high) / 2) / side + 0.5, 0, 1)
    return unit


def _column(
    store: Store, name: str, unit: np.ndarray, order: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """A column's names, counts and centroids, most rows first, and (N,) uint8 codes."""
    codes, names = store.codes(name)
    counts = np.bincount(codes, minlength=len(names))
    ranked = np.argsort(-counts, kind="stable")
    place = np.empty(len(names), np.int64)
    place[ranked] = np.arange(len(names))
    small = np.minimum(place[codes], MAX_NAMES)[order]
    shown = [names[code] or "(none)" for code in ranked[:MAX_NAMES].tolist()]
    if len(names) > MAX_NAMES:
        shown.append(f"{len(names) - MAX_NAMES:,} others")
    totals = np.bincount(small, minlength=len(shown))
    means = [np.bincount(small, axis, len(shown)) / np.maximum(totals, 1) for axis in unit.T]
    centroids = [
        {"code": code, "x": round(float(means[0][code]), 5), "y": round(float(means[1][code]), 5)}
        for code in range(min(len(shown), MAX_NAMES))
        if totals[code]
    ]
    table = {"name": name, "names": shown, "counts": totals.tolist(), "centroids": centroids}
    return table, small.astype(np.uint8)


def _texts(store: Store, rows: np.ndarray, texts: bool) -> tuple[list[tuple[str, str, str]], int]:
    """(id, question, answer) of each row, cut to MAX_TEXT, and how many were cut."""
    ids = store.text("id", rows) if "id" in store.columns else [""] * len(rows)
    ids = [name or f"row {row}" for name, row in zip(ids, rows.tolist(), strict=True)]
    if not texts:
        return [(name, "", "") for name in ids], 0
    parts = [store.text(name, rows) if name in store.columns else [""] * len(rows) for name in _SHOWN]
    cut = sum(len(text) > MAX_TEXT for part in parts for text in part)
    shown = [[_visible(text[:MAX_TEXT]) for text in part] for part in parts]
    return list(zip(ids, *shown, strict=True)), cut


_SHOWN = ("question", "answer")
_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}


def _visible(text: str) -> str:
    """Control characters as their pictures, so that a page shows them."""
    return text.translate(_CONTROLS)


def _note(points: MapPoints, cut: int, texts: bool) -> str:
    first, second = points.shares
    note = f"PCA: the axes hold {first:.0%} and {second:.0%} of the variance. "
    note += "Distances on the picture mean little; distances are in the table of univar compare. "
    if points.note:
        note += f"{points.note[0].upper()}{points.note[1:]}. "
    inside = (
        "ids, models, languages, questions and answers" if texts else "ids, models and languages, no texts"
    )
    note += f"This page holds {inside}."
    return note + (f" {cut:,} texts were cut to {MAX_TEXT:,} characters." if cut else "")


def _page(head: dict[str, Any], blocks: dict[str, Any], note: str, title: str) -> bytes:
    """The page with its data, styles and scripts in it, and a policy that allows these alone."""
    folder = resources.files("univar.map") / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = "\n".join(_plain((folder / name).read_text("utf-8")) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    data = [
        f'<script type="application/octet-stream" id="{name}">{_packed(bytes(block))}</script>'
        for name, block in blocks.items()
    ]
    column = head["columns"][0]
    names = ", ".join(column["names"][:10])
    page = Template((folder / "page.html").read_text("utf-8")).substitute(
        policy=policy,
        title=html.escape(title),
        note=html.escape(note),
        summary=html.escape(f"Map of {title} by {column['name']}: {names}", quote=True),
        style=style,
        script=script,
        head=_packed(_json(head)),
        blocks="\n".join(data),
    )
    return page.encode("utf-8", errors="replace")


def _plain(script: str) -> str:
    """A module without its imports and exports: all modules of the page stand in one script."""
    return _EXPORT.sub("", _IMPORT.sub("", script))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _packed(block: bytes) -> str:
    return base64.b64encode(zlib.compress(block, 6)).decode()
