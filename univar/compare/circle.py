"""Pictures of profiles: values on their circle, one circle a language; a small map for each value."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.compare.figure import figure_file, short

if TYPE_CHECKING:
    from univar.compare.profile import Profile, SourceProfile
    from univar.store import Store

INK, FAINT, LINE, GREY = "#222222", "#6b6b6b", "#c9c9c9", "#9a9a9a"
CELL = (5.0, 5.8)
"""Inches of one circle with its names and legend."""

NAMED = 8
"""Sources up to which each has a colour and a name in the legend of a circle."""


def draw_circles(profile: Profile, path: str | Path) -> None:
    """Draw each source's scores on the circle of values, a circle for each language, into PNG, SVG or PDF.

    The dashed ring is 0; values that are not measurable are grey and have no point. Raises UsageError where
    matplotlib is not installed, ProviderError where the file can't be written.
    """
    languages = sorted({source.language for source in profile.sources})
    columns = min(3, len(languages))
    rows = -(-len(languages) // columns)
    with figure_file(CELL[0] * columns, CELL[1] * rows + 0.6, path) as figure:
        low, high = _range(profile)
        top = 1 - 0.6 / (CELL[1] * rows + 0.6)
        for number, language in enumerate(languages):
            x, y = (number % columns) / columns, top * (1 - (number // columns + 1) / rows)
            box = (x + 0.22 / columns, y + 0.32 * top / rows, 0.56 / columns, 0.46 * top / rows)
            axes = figure.add_axes(box, projection="polar")
            own = [source for source in profile.sources if source.language == language]
            _circle(axes, profile, own, low, high)
            figure.text(x + 0.04 / columns, y + 0.95 * top / rows, language, fontsize=10, fontweight="bold")
        what = (
            "beyond other sources' answers" if profile.centre == "question" else "as they are, topic included"
        )
        text = f"Values in answers, {what}.\nStandard deviations of labelled answers; dashed ring: 0."
        figure.text(0.02, 0.995, text, fontsize=7, color=FAINT, va="top")


def _range(profile: Profile) -> tuple[float, float]:
    """Of the radius: the same for all circles."""
    found = [source.scores[v].estimate for source in profile.sources for v in _kept(profile)]
    reach = max(0.1, float(np.nanmax(np.abs(found)))) if found else 0.1
    return -1.6 * reach, 1.1 * reach


def _kept(profile: Profile) -> list[int]:
    return [v for v, found in enumerate(profile.probes.validity) if found.measurable]


def _circle(axes: Any, profile: Profile, sources: list[SourceProfile], low: float, high: float) -> None:
    from matplotlib import colormaps

    n = len(profile.probes.values)
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    kept = _kept(profile)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set(ylim=(low, high), yticks=[0.0], yticklabels=[""])
    axes.set_xticks(angles, [])
    axes.yaxis.grid(True, linestyle="--", color=FAINT, linewidth=0.8)
    axes.xaxis.grid(True, color=LINE, linewidth=0.4)
    axes.spines["polar"].set_color(LINE)
    named = len(sources) <= NAMED
    colours = list(map(colormaps["tab10"], range(len(sources)))) if named else [GREY] * len(sources)
    for source, colour in zip(sources, colours, strict=True):
        values = [source.scores[v].estimate for v in kept]
        closed = np.append(angles[kept], angles[kept][:1]), np.append(values, values[:1])
        style = {"lw": 1.3, "marker": "o", "ms": 3} if named else {"lw": 0.6, "alpha": 0.6}
        axes.plot(*closed, color=colour, label=short(source.name), **style)
    if not named and kept:
        middle = np.median([[source.scores[v].estimate for v in kept] for source in sources], axis=0)
        closed = np.append(angles[kept], angles[kept][:1]), np.append(middle, middle[:1])
        axes.plot(*closed, color=INK, lw=1.6, label=f"median of {len(sources)}")
    for v, (angle, name) in enumerate(zip(angles, profile.probes.values, strict=True)):
        turn = 90 - np.degrees(angle)
        flip = angle > np.pi
        axes.text(
            angle,
            high * 1.06,
            name,
            rotation=turn + 180 if flip else turn,
            rotation_mode="anchor",
            ha="right" if flip else "left",
            va="center",
            fontsize=6,
            color=INK if v in kept else GREY,
        )
    axes.legend(loc="upper left", bbox_to_anchor=(-0.36, -0.36), fontsize=6, frameon=False, ncols=2)


def draw_maps(profile: Profile, store: Store, path: str | Path) -> None:
    """Draw a small map for each value: every source at its place, coloured by its score on the value.

    The place is the same on all maps: the first two principal axes of the sources' mean vectors. Distances on
    it are no evidence; colours are. Raises as `draw_circles`; DataError needs no second source: one is a dot.
    """
    places = _places(profile, store)
    n = len(profile.probes.values)
    columns, kept = 5, _kept(profile)
    found = np.array([[source.scores[v].estimate for v in range(n)] for source in profile.sources])
    reach = max(1e-6, float(np.nanmax(np.abs(found[:, kept] - _middle(found[:, kept]))))) if kept else 1.0
    with figure_file(2.5 * columns, 2.5 * -(-n // columns) + 0.6, path) as figure:
        for v, name in enumerate(profile.probes.values):
            axes = figure.add_subplot(-(-n // columns), columns, v + 1)
            axes.set(xticks=[], yticks=[])
            axes.margins(0.15)
            for spine in axes.spines.values():
                spine.set(color=LINE, linewidth=0.8)
            axes.set_title(name, fontsize=7, color=INK if v in kept else GREY, loc="left")
            if v not in kept:
                axes.scatter(*places.T, s=10, c="white", ec=GREY, lw=0.6)
                axes.text(
                    0.5, 0.03, "not measurable", transform=axes.transAxes, fontsize=6, color=GREY, ha="center"
                )
                continue
            shade = found[:, v] - _middle(found[:, [v]])[0]
            axes.scatter(*places.T, s=22, c=shade, cmap="RdBu_r", vmin=-reach, vmax=reach, ec=INK, lw=0.3)
            for end in {int(np.argmax(shade)), int(np.argmin(shade))}:
                label = short(profile.sources[end].name, 22)
                side = -1 if places[end, 0] > places[:, 0].mean() else 1
                away = {"xytext": (3 * side, 3), "textcoords": "offset points"}
                ha = "right" if side < 0 else "left"
                axes.annotate(label, places[end], **away, ha=ha, fontsize=5, color=INK)
        figure.suptitle(
            f"{len(profile.sources)} sources red above, blue below the mean of the sources, up "
            f"to {reach:.2f} standard deviations; the two ends are named. Places: PCA of mean vectors.",
            fontsize=8,
            color=FAINT,
            y=0.995,
        )
        figure.tight_layout(rect=(0, 0, 1, 0.975))


def _middle(found: np.ndarray) -> np.ndarray:
    middle: np.ndarray = np.nanmean(found, axis=0)
    return middle


def _places(profile: Profile, store: Store) -> np.ndarray:
    """(S, 2) the sources' mean vectors on their first two principal axes."""
    codes, names = store.codes(profile.by)
    x = store.embeddings_of_part(profile.probes.part)
    number = {name: code for code, name in enumerate(names)}
    means = []
    for source in profile.sources:
        rows = np.asarray(x[np.flatnonzero(codes == number[source.name])], np.float64)
        means.append(rows[np.isfinite(rows).all(axis=1)].mean(axis=0))
    centred = np.array(means) - np.mean(means, axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    flat = (u * s)[:, :2]
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
