"""The page of a map: what it holds, what it refuses to run, and what it does in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner

from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.cli.map import map as map_command
from univar.errors import UsageError
from univar.map.draw import points_of_residuals
from univar.map.page_file import MAX_NAMES, MAX_TEXT, write_page

MODULES = Path(__file__).parents[2] / "univar" / "map" / "page"
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\u202eabc **b**"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(store, points, path, what write_page said) of a page with hostile and long texts."""
    folder = tmp_path_factory.mktemp("page")
    rows = qa_rows(range(6), ["a", "b", "c", HOSTILE]) + qa_rows(range(6, 8), ["a"])
    rows[0]["answer"] = HOSTILE
    rows[1]["answer"] = "long " * (MAX_TEXT // 4)
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4))
    store = write_store(folder / "store", rows, vectors)
    points = points_of_residuals(store)
    return store, points, folder / "map.html", write_page(store, points, folder / "map.html")


def block(page: str, name: str) -> bytes:
    found = re.search(rf'id="{name}">([A-Za-z0-9+/=]*)</script>', page)
    assert found, name
    return zlib.decompress(base64.b64decode(found[1]))


def test_the_page_holds_every_row_once(made):
    store, points, path, said = made
    page = path.read_text("utf-8")
    head, rows = json.loads(block(page, "head")), json.loads(block(page, "texts0"))
    assert said == {"rows": 26, "cut": 1, "bytes": path.stat().st_size}
    ids = store.text("id", range(26))
    order = [ids.index(row[0]) for row in rows]
    assert sorted(order) == list(range(26))
    places = np.frombuffer(block(page, "places"), "<u2").reshape(-1, 2) / 65535
    spread = points.coordinates[order] - points.coordinates[order][0]
    side = np.ptp(points.coordinates, axis=0).max()
    np.testing.assert_allclose((places - places[0]) * side, spread, atol=2 * side / 65535)
    models = next(i for i, column in enumerate(head["columns"]) if column["name"] == "model")
    codes = np.frombuffer(block(page, f"column{models}"), np.uint8)
    shown = [head["columns"][models]["names"][code] for code in codes]
    assert shown == [store.column("model")[row] for row in order]
    centred = np.frombuffer(block(page, "centred"), np.uint8).astype(bool)
    np.testing.assert_array_equal(centred, points.is_centred[order])
    assert len(next(row[2] for row in rows if row[2].startswith("long"))) == MAX_TEXT


def test_only_the_page_s_own_script_and_style_may_run(made):
    page = made[2].read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    for text in (script, style):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "import " not in re.sub(r"//.*", "", script)
    assert not re.search(r"https?:|\beval\b|new Function|innerHTML", page)
    assert "onerror=alert" not in page.replace(html_escaped(HOSTILE), "")


def html_escaped(text: str) -> str:
    import html

    return html.escape(text, quote=True)


def test_no_text_leaves_texts_out(made, tmp_path):
    store, points, _, _ = made
    write_page(store, points, tmp_path / "map.html", texts=False)
    rows = json.loads(block((tmp_path / "map.html").read_text("utf-8"), "texts0"))
    assert {row[1] + row[2] for row in rows} == {""}
    with pytest.raises(UsageError, match="--force"):
        write_page(store, points, tmp_path / "map.html")


def test_more_categories_than_a_byte_holds_are_put_together(tmp_path):
    rows = [row for i in range(300) for row in qa_rows(range(1), [f"m{i:03}"], f"c{i}")]
    store = write_store(tmp_path / "store", rows, np.random.default_rng(0).standard_normal((300, 4)))
    write_page(store, points_of_residuals(store), tmp_path / "map.html")
    column = json.loads(block((tmp_path / "map.html").read_text("utf-8"), "head"))["columns"][0]
    assert len(column["names"]) == MAX_NAMES + 1
    assert column["names"][-1] == "45 others"
    assert sum(column["counts"]) == 300


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_rows_and_identical_vectors_give_a_page(tmp_path, n):
    store = write_store(tmp_path / "store", qa_rows(range(n), ["a"]), np.ones((n, 4)))
    found = CliRunner().invoke(map_command, [str(store.path), "-o", str(tmp_path / "map.html"), "--json"])
    assert found.exit_code == 0, found.output
    assert '"centroids": 1' in found.output


def test_geometry_of_the_page():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the page's modules cannot be run")
    script = f"""
import assert from "node:assert/strict";
const it = await import({json.dumps((MODULES / "geometry.js").as_uri())});
const box = {{ width: 800, height: 400 }}, view = {{ x: 0.3, y: 0.6, zoom: 2 }};
const [x, y] = it.toMap(box, view, 120, 50), back = it.toCanvas(box, view, x, y);
assert.ok(Math.hypot(back[0] - 120, back[1] - 50) < 1e-9);
const closer = it.zoomed(box, view, 3, 120, 50), kept = it.toMap(box, closer, 120, 50);
assert.ok(Math.hypot(kept[0] - x, kept[1] - y) < 1e-9 && closer.zoom === 6);
assert.ok(it.isInside([[0, 0], [1, 0], [1, 1], [0, 1]], 0.5, 0.5));
assert.ok(!it.isInside([[0, 0], [1, 0], [1, 1], [0.5, 0.4]], 0.4, 0.6));
const places = new Uint16Array([0, 0, 65535, 65535, 32768, 32768]);
assert.equal(it.nearest(places, () => false, 0.52, 0.5, 0.1), 2);
assert.equal(it.nearest(places, (i) => i === 2, 0.52, 0.5, 0.1), -1);
assert.deepEqual(it.viewOf(it.viewText(view)), view);
for (const bad of ["", "1,2", "NaN,0,1", "0,0,-3", null]) assert.deepEqual(it.viewOf(bad), it.WHOLE);
const taken = [];
const corners = [1, 2, 3, 4, 5].map(() => it.freeCorner(400, 200, 60, 16, taken, box));
assert.equal(corners[4], null);
assert.equal(taken.length, 4);
"""
    done = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def dom(path: Path, fragment: str, folder: Path) -> tuple[str, str]:
    """The page's DOM after it has settled in headless Chromium, and what was logged."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    done = subprocess.run(
        [
            chromium, "--headless=new", "--no-sandbox",
            f"--user-data-dir={folder}", "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader", "--virtual-time-budget=20000", "--enable-logging=stderr",
            "--dump-dom", f"{path.as_uri()}#{fragment}",
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.slow
def test_a_browser_shows_searches_and_opens(made, tmp_path):
    store, _, path, _ = made
    rows = json.loads(block(path.read_text("utf-8"), "texts0"))
    hostile = next(i for i, row in enumerate(rows) if row[2].startswith("</script>"))
    shown, log = dom(path, f"search={quote('worda says')}&colour=model&open={hostile}", tmp_path / "a")
    assert not log
    assert 'data-ready="yes"' in shown
    assert "<title>26 answers</title>" in shown
    assert "onerror=alert(1)&gt;" in shown.split("<dt>answer</dt>")[1]
    assert not re.search(r"<img|<b>", shown)
    legend = re.search(r'<ul id="legend">(.*?)</ul>', shown)[1]
    assert legend.count('aria-pressed="true"') == len({row["model"] for row in rows_of(store)})
    found, log = dom(path, f"search={quote('WORDA says')}", tmp_path / "b")
    expected = sum("worda says" in text for text in store.column("answer"))
    assert 0 < expected < 26
    assert f"{expected} of 26 points match" in found
    assert not log


def rows_of(store):
    return store.to_arrow(["model"], embeddings=False).to_pylist()
