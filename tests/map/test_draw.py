"""Pictures: written, readable in their parts, and refused with a reason."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.errors import ProviderError, UsageError
from univar.map import MapPoints, draw, draw_map, points_of
from univar.map.colours import model_family, palette
from univar.map.labels import _overlap, place_labels


@pytest.fixture
def store(tmp_path):
    rows = qa_rows(range(6), ["gpt-4", "gpt-3.5", "llama-2"]) + qa_rows(
        range(6), ["gpt-4", "evil$\\$\x1b"], "c2", "spa"
    )
    return write_store(tmp_path / "store", rows, np.random.default_rng(0).standard_normal((len(rows), 8)))


@pytest.mark.parametrize("by", ["source", "model", "language", "source_corpus"])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_written(store, tmp_path, by, ending):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"map.{ending}"
    draw_map(store, path, by=by)
    head = path.read_bytes()[:200]
    assert head.startswith(b"\x89PNG") if ending == "png" else b"<?xml" in head


def test_the_picture_warns_and_names(store):
    figure_module = pytest.importorskip("matplotlib.figure")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, points = figure_module.Figure(), points_of(store)
    FigureCanvasAgg(figure)
    draw._draw(figure, points, draw.Centroids(points))
    texts = [text.get_text() for part in (figure, *figure.axes) for text in part.texts]
    assert any("distances on the picture are no evidence" in text for text in texts)
    assert "30 answers, 5 centroids" in texts
    assert {"gpt-4", "llama-2", "eng", "spa", "evil$\\$?"} <= set(texts)


def test_the_same_data_give_the_same_picture(store, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one.png", "two.png"):
        draw_map(store, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_close_centroids_are_enlarged_in_a_second_frame(tmp_path):
    pytest.importorskip("matplotlib")
    import matplotlib

    rng = np.random.default_rng(0)
    label_of = np.arange(300) % 3
    far = np.where(np.arange(300)[:, None] % 2, 5.0, -5.0) + rng.standard_normal((300, 2))
    points = MapPoints(far, np.array([0.4, 0.1]), ["a", "b", "c"], label_of, ["eng"], np.zeros(300, int))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_map(points, tmp_path / "map.svg")
    assert "centroids, enlarged" in (tmp_path / "map.svg").read_text()


def test_without_matplotlib_the_extra_is_named(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"univar-embed\[map\]"):
        draw_map(store, tmp_path / "map.png")


@pytest.mark.parametrize("name", ["no/folder/map.png", "map.docx"])
def test_a_picture_that_cannot_be_written_is_told(store, tmp_path, name):
    pytest.importorskip("matplotlib")
    with pytest.raises(ProviderError, match="cannot write the picture"):
        draw_map(store, tmp_path / name)


def test_one_language_is_coloured_by_model_family(tmp_path):
    rows = qa_rows(range(3), ["gpt-4", "gpt-3.5", "llama-2"])
    points = points_of(write_store(tmp_path / "store", rows, np.eye(9)))
    assert points.colours_are == "model family"
    assert points.groups == ["gpt", "llama"]
    assert points.labels == ["gpt-3.5", "gpt-4", "llama-2"]


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o", "gpt"),
        ("meta/Llama-3.1-8b", "llama"),
        ("qwen2.5:72b", "qwen"),
        ("7b", "7b"),
        ("悟道-2", "悟道"),
    ],
)
def test_families_are_first_words(model, family):
    assert model_family(model) == family


@pytest.mark.parametrize("n", [0, 1, 12, 60])
def test_colours_are_distinct(n):
    assert len(set(palette(n))) == n


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40))
def test_names_never_overlap_each_other_or_a_mark_or_the_frame(seed, n):
    rng = np.random.default_rng(seed)
    anchors, sizes = rng.uniform(50, 450, (n, 2)), rng.uniform((20, 8), (120, 14), (n, 2))
    marks = np.column_stack([anchors - 5, anchors + 5])
    places = place_labels(anchors, sizes, (0, 0, 500, 500), marks)
    kept = [label for label, place in enumerate(places) if place is not None]
    boxes = np.array([[*places[label], *(places[label] + sizes[label])] for label in kept]).reshape(-1, 4)
    assert not _overlap(boxes, marks).any()
    assert not (_overlap(boxes, boxes) & ~np.eye(len(boxes), dtype=bool)).any()
    assert ((boxes >= 0) & (boxes <= 500)).all()


def test_a_lone_name_stands_beside_its_place():
    (place,) = place_labels(
        np.array([[100.0, 100.0]]), np.array([[40.0, 10.0]]), (0, 0, 500, 500), np.empty((0, 4))
    )
    assert abs(place[0] - 100) < 60
    assert abs(place[1] - 100) < 30
