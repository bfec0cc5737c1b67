"""Languages as a heat map of distances and as points, coloured by family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from univar.compare.circle import FAINT, INK, LINE
from univar.compare.culture import Culture
from univar.compare.figure import figure_file
from univar.questions.cultures import languages
from univar.statistics.mantel import principal_coordinates


def draw(found: Culture, path: str | Path) -> None:
    """Draw into PNG, SVG or PDF. Raises UsageError without matplotlib, ProviderError where it can't write."""
    side = max(3.6, 0.32 * len(found.languages) + 1.2)
    with figure_file(2 * side + 1.4, side + 0.5, path) as figure:
        _heat(figure.add_subplot(1, 2, 1), found)
        _points(figure.add_subplot(1, 2, 2), found)
        text = (
            f"D2 between languages, {found.questions:,} questions, {len(found.models):,} models, "
            f"{found.encoder}. Places: classical scaling; they are no evidence."
        )
        figure.suptitle(text, fontsize=7, color=FAINT)
        figure.tight_layout()


def _heat(axes: Any, found: Culture) -> None:
    families = [languages()[code].family for code in found.languages]
    order = sorted(range(len(families)), key=lambda n: (families[n], found.languages[n]))
    shown = found.distances.d2[np.ix_(order, order)].copy()
    np.fill_diagonal(shown, np.nan)
    image = axes.imshow(shown, cmap="viridis")
    names = [found.languages[n] for n in order]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.figure.colorbar(image, ax=axes, shrink=0.7)


def _points(axes: Any, found: Culture) -> None:
    from matplotlib import colormaps

    places = principal_coordinates(np.sqrt(np.maximum(found.distances.d2, 0.0)))
    families = [languages()[code].family[0] for code in found.languages]
    names = sorted(set(families))
    for number, family in enumerate(names):
        own = [n for n, it in enumerate(families) if it == family]
        axes.scatter(
            *places[own].T, s=26, color=colormaps["tab20"](number % 20), ec="white", lw=0.6, label=family
        )
    for code, place in zip(found.languages, places, strict=True):
        axes.annotate(code, place, xytext=(4, 3), textcoords="offset points", fontsize=7, color=INK)
    axes.set(xticks=[], yticks=[])
    axes.margins(0.12)
    for spine in axes.spines.values():
        spine.set(color=LINE, linewidth=0.8)
    axes.legend(fontsize=6, frameon=False, loc="best")
