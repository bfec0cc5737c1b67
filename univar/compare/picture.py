"""Pictures: a heat map with its tree for a comparison, a time line for releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from univar.compare.compare import Comparison
from univar.compare.figure import figure_file, short
from univar.compare.track import Shift, Tracking
from univar.errors import DataError

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b3294", "#8c6d31")
FAINT = "#8a8a8a"
SHOWN = 10
"""Sources up to which the heat map's cells show their numbers."""


def tree(distances: np.ndarray) -> np.ndarray:
    """(S - 1, 4) average linkage of D2, negative distances taken as 0; unknown ones as the largest known."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    known = distances[np.isfinite(distances)]
    filled = np.where(np.isfinite(distances), np.maximum(distances, 0.0), known.max(initial=0.0))
    np.fill_diagonal(filled, 0.0)
    linked: np.ndarray = linkage(squareform((filled + filled.T) / 2, checks=False), "average")
    return linked


def draw_comparison(found: Comparison, path: str | Path) -> None:
    """A heat map of D2 in the order of its dendrogram; the floor is marked in the tree and on the scale."""
    from scipy.cluster.hierarchy import dendrogram

    n = len(found.sources)
    if n < 2:
        raise DataError("a heat map needs two sources")
    size = float(np.clip(2.5 + 0.24 * n, 4.0, 18.0))
    with figure_file(size + 3.2, size + 0.6, path) as page:
        grid = page.add_gridspec(1, 3, width_ratios=(1.1, 4, 0.12), wspace=0.02)
        branches, cells = page.add_subplot(grid[0]), page.add_subplot(grid[1])
        with np.errstate(invalid="ignore"):
            drawn = dendrogram(
                tree(found.matrix()), orientation="left", ax=branches, color_threshold=0,
                above_threshold_color="#444444", no_labels=True,
            )  # fmt: skip
        order = drawn["leaves"][::-1]
        if found.floor is not None:
            branches.axvline(found.floor.value, color=COLOURS[1], linewidth=0.8, linestyle="--")
        branches.set_axis_off()
        shown = found.matrix()[np.ix_(order, order)]
        _heat(page, cells, shown, [short(found.sources[i]) for i in order], page.add_subplot(grid[2]))
        page.suptitle(_title(found), fontsize=8, x=0.02, ha="left")
        page.subplots_adjust(left=0.02, right=0.9 - 1.2 / (size + 3.2), bottom=1.5 / (size + 0.6), top=0.93)


def _heat(page: Any, axes: Any, shown: np.ndarray, names: list[str], scale: Any) -> None:
    n = len(names)
    image = axes.imshow(np.ma.masked_invalid(shown), cmap="viridis_r", aspect="auto", vmin=0)
    axes.set_xticks(range(n), names, rotation=90)
    axes.set_yticks(range(n), names)
    axes.yaxis.tick_right()
    axes.tick_params(length=0, labelsize=max(3.5, min(8.0, 260 / n)))
    if n <= SHOWN:
        middle = float(np.nanmax(shown)) / 2
        for (row, column), value in np.ndenumerate(shown):
            if row != column and np.isfinite(value):
                colour = "white" if value > middle else "black"
                axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=6, color=colour)
    box = axes.get_position()
    scale.set_axis_off()
    inset = axes.inset_axes((0.0, 1.01, 0.4, 0.015)) if box.width else axes
    page.colorbar(image, cax=inset, orientation="horizontal").ax.xaxis.set_ticks_position("top")
    inset.tick_params(labelsize=5)


def _title(found: Comparison) -> str:
    floor = "floor unknown" if found.floor is None else f"floor {found.floor.value:.4f} (dashed)"
    return f"D2 between {len(found.sources)} sources, {floor}"


def draw_tracking(found: Tracking, path: str | Path) -> None:
    """D2 of each release from the baseline, with intervals, and the tolerance as a dashed line."""
    names = [look.release for look in found.looks]
    with figure_file(max(4.5, 1.6 + 0.9 * len(names)), 3.4, path) as page:
        axes = page.add_subplot()
        models = list(dict.fromkeys(shift.model for look in found.looks for shift in look.baseline))
        for number, model in enumerate(models):
            colour = COLOURS[number % len(COLOURS)]
            offset = 0.12 * (number - (len(models) - 1) / 2)
            places, shifts = _line(found, model)
            _points(axes, np.array(places) + offset, shifts, colour, short(model))
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.set_xticks(range(len(names)), [short(name, 22) for name in names], rotation=30, ha="right")
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylabel(f"D2 from {short(found.baseline, 22)}")
        axes.spines[["top", "right"]].set_visible(False)
        if len(models) > 1:
            axes.legend(frameon=False, fontsize=6)
        page.tight_layout()


def _line(found: Tracking, model: str) -> tuple[list[float], list[Shift]]:
    pairs = [
        (float(n), shift)
        for n, look in enumerate(found.looks)
        for shift in look.baseline
        if shift.model == model
    ]
    return [place for place, _ in pairs], [shift for _, shift in pairs]


def _points(axes: Any, places: np.ndarray, shifts: list[Shift], colour: str, name: str) -> None:
    axes.plot(
        places, [s.distance.estimate for s in shifts], "o-", color=colour, markersize=4, label=name, lw=1
    )
    for place, shift in zip(places.tolist(), shifts, strict=True):
        if shift.distance.low is not None:
            axes.plot([place, place], [shift.distance.low, shift.distance.high], color=colour, linewidth=1)
        if shift.tolerance is not None:
            axes.plot([place - 0.3, place + 0.3], [shift.tolerance] * 2, "--", color=colour, linewidth=0.8)
