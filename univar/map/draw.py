"""A static picture of a map: faint points, one colour per language or family, named centroids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import ProviderError, UsageError
from univar.map.colours import model_family, palette
from univar.map.labels import place_labels
from univar.map.projection import project
from univar.map.residuals import project_residuals

if TYPE_CHECKING:
    from univar.store import Store

MAX_POINTS = 20_000
MAX_GROUPS = 28
MAX_NAMES = 36
ENLARGE_BELOW = 0.3
"""Centroids within less than this share of the answers' extent are also shown enlarged."""

DPI = 160
DOT_PIXELS, HUB_PIXELS = 6.0, 11.0
LEADER_FROM = 14
"""Pixels between a name and its place from which on a line joins them."""

INK, FAINT, LINE = "#222222", "#6b6b6b", "#c9c9c9"


@dataclass(frozen=True)
class MapPoints:
    """What is drawn.

    coordinates: (N, 2) float64; shares: (2,) share of the variance on each axis
    labels:      names of the centroids, and label_of (N,) int64
    groups:      names of the colours, and group_of (N,) int64
    colours_are: "language" or "model family", the legend's title
    is_centred:  (N,) bool, rows drawn filled, others hollow; None: all filled
    note:        how rows were centred; empty: not at all
    """

    coordinates: np.ndarray
    shares: np.ndarray
    labels: list[str]
    label_of: np.ndarray
    groups: list[str]
    group_of: np.ndarray
    colours_are: str = "language"
    is_centred: np.ndarray | None = None
    note: str = ""


def points_of(store: Store, by: str = "source") -> MapPoints:
    """Project a store: a centroid for each value of `by`, a colour for each language or model family."""
    coordinates, shares = project(store.embeddings)
    return _points(store, by, coordinates, shares)


def points_of_residuals(store: Store, by: str = "source", part: str | None = None) -> MapPoints:
    """The same of residuals by question and language; by question alone where `by` is "language"."""
    found = project_residuals(store, part, within_language=by != "language")
    points = _points(store, by, found.coordinates, found.shares)
    return replace(points, is_centred=found.is_centred, note=found.note)


def _points(store: Store, by: str, coordinates: np.ndarray, shares: np.ndarray) -> MapPoints:
    """Coordinates with the names and colours of their rows."""
    label_of, labels = store.codes(by)
    group_of, groups = store.codes("language")
    colours_are = "language"
    if len(groups) == 1 or by == "model":
        models, names = store.codes("model")
        families = [model_family(name) for name in names]
        groups = sorted(set(families))
        group_of = np.array([groups.index(family) for family in families] or [0])[models]
        colours_are = "model family"
    if by == "source":  # the colour, or there being just one, says the language
        labels = [label.rsplit("/", 1)[0] for label in labels]
    return MapPoints(coordinates, shares, labels, label_of, groups, group_of, colours_are)


def draw_map(data: Store | MapPoints, path: str | Path, by: str = "source") -> None:
    """Draw the map of a store, or of points, into a PNG, SVG or PDF file.

    by: what gets a centroid: "source", "model", "language" or another column of the store
    Where the centroids lie close together a second frame shows them enlarged. Raises UsageError where
    matplotlib is not installed, ProviderError where the file can't be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("drawing needs matplotlib: install the extra univar-embed[map]") from error
    points = data if isinstance(data, MapPoints) else points_of(data, by)
    with matplotlib.rc_context({"font.family": "sans-serif", "text.parse_math": False, "font.size": 8}):
        figure = Figure(figsize=(11, 6.6), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        _draw(figure, points, Centroids(points))
        try:
            figure.savefig(path)
        except (OSError, ValueError) as error:
            raise ProviderError(f"cannot write the picture {path}: {error}") from error


class Centroids:
    """Where the labels and the groups have their middle, which group each label is in, and its colour."""

    def __init__(self, points: MapPoints) -> None:
        counts = np.bincount(points.label_of, minlength=len(points.labels))
        present = np.flatnonzero(counts)
        cells = points.label_of.astype(np.int64) * len(points.groups) + points.group_of
        table = np.bincount(cells, minlength=len(points.labels) * len(points.groups))
        self.names = [points.labels[label] for label in present.tolist()]
        self.places = _means(points.coordinates, points.label_of, len(points.labels))[present]
        self.group = table.reshape(len(points.labels), -1).argmax(axis=1)[present]
        rows = np.bincount(points.group_of, minlength=len(points.groups))
        rank = np.argsort(np.argsort(-rows, kind="stable"))  # the largest groups get the best colours
        self.colours = np.array(palette(len(points.groups)))[rank]
        self.hubs = _means(points.coordinates, points.group_of, len(points.groups))
        self.has_hub = np.bincount(self.group, minlength=len(points.groups)) > 1

    def span(self) -> float:
        """The larger side of the box around them."""
        return float(np.ptp(self.places, axis=0).max(initial=0.0))

    def to_name(self) -> np.ndarray:
        """At most MAX_NAMES of them: in turn from each group, those farthest from its middle first."""
        away = np.hypot(*(self.places - self.hubs[self.group]).T)
        turn = np.empty(len(away), dtype=np.int64)
        for group in np.unique(self.group):
            members = np.flatnonzero(self.group == group)
            turn[members[np.argsort(-away[members], kind="stable")]] = np.arange(len(members))
        return np.lexsort((-away, turn))[:MAX_NAMES]


def _draw(figure: Any, points: MapPoints, centroids: Centroids) -> None:
    low, high = np.percentile(points.coordinates, [1, 99], axis=0)
    enlarged = len(centroids.names) > 1 and centroids.span() < ENLARGE_BELOW * float((high - low).max())
    left = figure.add_axes((0.03, 0.085, 0.39 if enlarged else 0.79, 0.8))
    shown = _draw_points(left, points, centroids)
    if enlarged:
        right = figure.add_axes((0.445, 0.085, 0.39, 0.8))
        _enlarge(left, right, centroids)
        left.scatter(*centroids.places.T, s=9, c=INK, linewidths=0, zorder=5)
        left.set_title("answers, and the frame that is enlarged", loc="left", fontsize=8, color=FAINT)
        right.set_title("centroids, enlarged", loc="left", fontsize=8, color=FAINT)
    named = _draw_centroids(figure, right if enlarged else left, points, centroids)
    first, second = points.shares
    left.set_xlabel(f"first component, {first:.0%} of variance", color=FAINT)
    left.set_ylabel(f"second component, {second:.0%} of variance", color=FAINT)
    heading = f"{len(points.coordinates):,} answers, {len(centroids.names):,} centroids"
    figure.text(0.03, 0.945, heading, fontsize=12, fontweight="bold", color=INK)
    notes = [f"PCA, {points.shares.sum():.0%} of variance; distances on the picture are no evidence."]
    if points.note:
        notes.append(f"{points.note[0].upper()}{points.note[1:]}.")
    if shown < len(points.coordinates):
        notes.append(f"{shown:,} of the answers are drawn.")
    if named < len(centroids.names):
        notes.append(f"{named} of {len(centroids.names)} centroids are named.")
    figure.text(0.03, 0.02, " ".join(notes), color=FAINT)
    _legend(figure, points, centroids)


def _draw_points(axes: Any, points: MapPoints, centroids: Centroids) -> int:
    """The answers, in an order that lets no group cover the others; returns how many are drawn."""
    shown = np.random.default_rng(0).permutation(len(points.coordinates))[:MAX_POINTS]
    filled = np.ones(len(points.coordinates), bool) if points.is_centred is None else points.is_centred
    size = float(np.clip(20_000 / max(1, len(shown)), 2, 14))
    alpha = float(np.clip(700 / max(1, len(shown)), 0.22, 0.35))
    for rows, is_filled in ((shown[filled[shown]], True), (shown[~filled[shown]], False)):
        colours = centroids.colours[points.group_of[rows]]
        axes.scatter(
            *points.coordinates[rows].T,
            s=size,
            facecolors=colours if is_filled else "none",
            edgecolors="none" if is_filled else colours,
            alpha=alpha,
            linewidths=0 if is_filled else 0.5,
            rasterized=True,
        )
    axes.margins(0.03)
    _plain(axes)
    return len(shown)


def _plain(axes: Any) -> None:
    """No ticks and a light frame: the numbers on the axes mean nothing."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=LINE, linewidth=0.8)


def _enlarge(left: Any, right: Any, centroids: Centroids) -> None:
    """Let `right` show the surroundings of the centroids, and mark them on `left`."""
    from matplotlib.patches import Rectangle

    middle = (centroids.places.min(axis=0) + centroids.places.max(axis=0)) / 2
    half = np.maximum(np.ptp(centroids.places, axis=0), 0.3 * centroids.span()) * 0.75
    (x0, y0), (x1, y1) = middle - half, middle + half
    right.set(xlim=(x0, x1), ylim=(y0, y1))
    _plain(right)
    frame = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=INK, linewidth=0.8, zorder=6)
    left.add_patch(frame)


def _draw_centroids(figure: Any, axes: Any, points: MapPoints, centroids: Centroids) -> int:
    """Mark the centroids, join them to the middle of their colour, name them; returns how many are named."""
    colours, group, hubs = centroids.colours, centroids.group, centroids.hubs
    for place, number in zip(centroids.places, group.tolist(), strict=True):
        if centroids.has_hub[number]:
            axes.plot(*np.stack([place, hubs[number]]).T, color=colours[number], lw=0.7, alpha=0.45, zorder=3)
    marked = centroids.has_hub
    axes.scatter(*hubs[marked].T, s=90, c=colours[marked], marker="D", ec="white", lw=1.2, zorder=4)
    axes.scatter(*centroids.places.T, s=28, c=colours[group], ec="white", lw=0.9, zorder=5)
    chosen = centroids.to_name()
    hub_names = [(points.groups[number], hubs[number], "bold") for number in np.flatnonzero(marked).tolist()]
    names = [(centroids.names[label], centroids.places[label], "normal") for label in chosen.tolist()]
    marks = [(place, HUB_PIXELS) for _, place, _ in hub_names] + [(p, DOT_PIXELS) for p in centroids.places]
    placed = _write_names(figure, axes, hub_names + names, marks)
    return sum(placed[len(hub_names) :])


def _write_names(
    figure: Any, axes: Any, names: list[tuple[str, np.ndarray, str]], marks: list[tuple[np.ndarray, float]]
) -> list[bool]:
    """Write each (name, place, font weight) beside its place where there is room; says which found some.

    marks: (place, half its width in pixels) of what no name may cover
    """
    import matplotlib.patheffects as effects

    texts = [
        axes.text(
            0, 0, _short(name), fontsize=9 if weight == "bold" else 7, weight=weight, color=INK, zorder=8
        )
        for name, _, weight in names
    ]
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes]).reshape(-1, 2)
    anchors = axes.transData.transform(np.array([place for _, place, _ in names]).reshape(-1, 2))
    frame = axes.get_window_extent(renderer)
    spots = axes.transData.transform(np.array([place for place, _ in marks]))
    halves = np.array([half for _, half in marks])[:, None]
    obstacles = np.column_stack([spots - halves, spots + halves])
    corners = place_labels(anchors, sizes, (frame.x0, frame.y0, frame.x1, frame.y1), obstacles)
    back = axes.transData.inverted()
    for text, anchor, size, corner in zip(texts, anchors, sizes, corners, strict=True):
        if corner is None:
            text.remove()
            continue
        text.set(position=back.transform(corner), va="bottom")
        text.set_path_effects([effects.withStroke(linewidth=2.2, foreground="white")])
        nearest = np.clip(anchor, corner, np.array(corner) + size)
        if np.hypot(*(nearest - anchor)) > LEADER_FROM:
            axes.plot(*back.transform(np.stack([anchor, nearest])).T, color=FAINT, lw=0.5, zorder=6)
    return [corner is not None for corner in corners]


def _means(coordinates: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    """Mean coordinates (n, 2) of each code."""
    counts = np.maximum(1, np.bincount(codes, minlength=n))
    return np.stack([np.bincount(codes, axis, n) / counts for axis in coordinates.T], axis=1)


def _short(text: str, limit: int = 34) -> str:
    """A name that fits on the picture, without line breaks or control characters."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _legend(figure: Any, points: MapPoints, centroids: Centroids) -> None:
    """One line per colour, most answers first, beside the map."""
    from matplotlib.lines import Line2D

    counts = np.bincount(points.group_of, minlength=len(points.groups))
    handles = [
        Line2D([], [], marker="o", ls="", ms=7, mec="white", color=centroids.colours[group])
        for group in range(len(points.groups))
    ]
    order = np.argsort(-counts, kind="stable")[:MAX_GROUPS].tolist()
    names = [f"{_short(points.groups[group], 18)}  {counts[group]:,}" for group in order]
    if len(points.groups) > MAX_GROUPS:
        handles.append(Line2D([], [], ls=""))
        order.append(len(handles) - 1)
        names.append(f"and {len(points.groups) - MAX_GROUPS} more")
    legend = figure.legend(
        [handles[number] for number in order],
        names,
        title=f"{points.colours_are}, answers",
        loc="upper left",
        bbox_to_anchor=(0.845, 0.9),
        frameon=False,
        alignment="left",
        labelcolor=INK,
        handletextpad=0.2,
        labelspacing=0.5,
    )
    legend.get_title().set(color=FAINT)
