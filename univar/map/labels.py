"""Places for names beside their points, without overlaps."""

from __future__ import annotations

import numpy as np

RADII = (10, 16, 24, 36, 52, 72, 96)
DIRECTIONS = 24
_GAP = 2.0


Bounds = tuple[float, float, float, float]


def place_labels(
    anchors: np.ndarray, sizes: np.ndarray, bounds: Bounds, obstacles: np.ndarray
) -> list[tuple[float, float] | None]:
    """A lower left corner for each label, None where nothing near its anchor is free; all in pixels.

    anchors:   (m, 2), what the labels are for
    sizes:     (m, 2), width and height of each label
    bounds:    left, bottom, right, top of the frame
    obstacles: (n, 4), boxes that must stay uncovered
    Outer labels are placed first and outwards, so that lines to their anchors seldom cross.
    """
    centre = np.median(anchors, axis=0) if len(anchors) else np.zeros(2)
    outward = anchors - centre
    order = np.argsort(-np.hypot(*outward.T), kind="stable") if len(anchors) else np.empty(0, dtype=int)
    taken = obstacles
    places: list[tuple[float, float] | None] = [None] * len(anchors)
    for label in order.tolist():
        box = _free_box(anchors[label], sizes[label], outward[label], taken, bounds)
        if box is not None:
            places[label] = (float(box[0]), float(box[1]))
            taken = np.vstack([taken, box])
    return places


def _free_box(
    anchor: np.ndarray,
    size: np.ndarray,
    outward: np.ndarray,
    taken: np.ndarray,
    bounds: Bounds,
) -> np.ndarray | None:
    """The nearest free (left, bottom, right, top) for a label, preferably outwards from the centre."""
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    turned = np.abs((angles - np.arctan2(outward[1], outward[0]) + np.pi) % (2 * np.pi) - np.pi)
    angles = angles[np.argsort(turned, kind="stable")]
    for radius in RADII:
        towards = np.column_stack([np.cos(angles), np.sin(angles)])
        corners = (
            anchor + radius * towards + (towards - 1) / 2 * size
        )  # the box touches the circle from outside
        boxes = np.column_stack([corners, corners + size])
        inside = (boxes[:, :2] >= bounds[:2]).all(axis=1) & (boxes[:, 2:] <= bounds[2:]).all(axis=1)
        free = inside & ~_overlap(boxes, taken).any(axis=1)
        if free.any():
            return boxes[np.flatnonzero(free)[0]]
    return None


def _overlap(boxes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """(a, b) bool, whether boxes (a, 4) and (b, 4) overlap or nearly touch."""
    low, high = boxes[:, None, :2] - _GAP, boxes[:, None, 2:] + _GAP
    return np.all((low < taken[None, :, 2:]) & (high > taken[None, :, :2]), axis=2)
