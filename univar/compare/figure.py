"""A figure that is written to a file at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from univar.errors import ProviderError, UsageError

DPI = 160


@contextmanager
def figure_file(width: float, height: float, path: str | Path) -> Iterator[Any]:
    """A white figure of so many inches, saved as PNG, SVG or PDF by the ending of `path`.

    Raises UsageError where matplotlib is not installed, ProviderError where the file can't be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("drawing needs matplotlib: install the extra univar-embed[map]") from error
    with matplotlib.rc_context({"font.family": "sans-serif", "text.parse_math": False, "font.size": 8}):
        made = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(made)
        yield made
        try:
            made.savefig(path)
        except (OSError, ValueError) as error:
            raise ProviderError(f"cannot write the picture {path}: {error}") from error


def short(text: str, limit: int = 30) -> str:
    """A name that fits, without line breaks or control characters."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"
