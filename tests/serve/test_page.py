"""The page at `/`, driven in a headless Chromium as a reader would."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser import Page, browser_page
from tests.conftest import answer_rows
from tests.serve.conftest import KEY, Running, running
from tests.serve.conftest import head_store as head_store
from tests.serve.conftest import usual_encoder as usual_encoder
from univar.encoder.encoder import Encoder
from univar.serve.places import Places
from univar.store import Store

HOSTILE = (
    "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'> \u202eevil \x1b[31mred"
)


@pytest.fixture(scope="module")
def service(usual_encoder: Encoder, head_store: Store) -> Iterator[Running]:
    with running(usual_encoder, head_store) as server:
        yield server


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser_page() as page:
        yield page


@pytest.fixture
def page(tab: Page, service: Running) -> Iterator[Page]:
    """The page, freshly loaded; at the end it has complained of nothing and asked nobody else."""
    tab.messages.clear()
    tab.requests.clear()
    tab.open("about:blank")
    tab.open(service.url + "/")
    yield tab
    assert tab.messages == []
    assert all(url.startswith((service.url, "about:", "data:")) for url in tab.requests), tab.requests


def submit(page: Page, answer: str, question: str = "") -> None:
    page.run(f"document.getElementById('question').value = {json.dumps(question)}")
    page.run("document.getElementById('answer').focus(); document.getElementById('answer').value = ''")
    page.type(answer)
    page.run("document.getElementById('submit').click()")
    page.until("!document.getElementById('results').hidden && !document.getElementById('map').hidden")


def give_file(page: Page, path: Path) -> None:
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    field = page.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(path)], nodeId=field)


def texts(page: Page, selector: str) -> list[str]:
    return page.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")


def jsonl(path: Path, count: int) -> Path:
    rows = [{"question": row["question"], "answer": row["answer"]} for row in answer_rows(count, seed=8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n\n{}\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_an_answer_is_pasted_and_its_sources_are_read(page: Page, service: Running) -> None:
    row = answer_rows(1, seed=8)[0]
    submit(page, row["answer"], row["question"])
    body = {"answers": [{"question": row["question"], "answer": row["answer"]}]}
    [expected] = service.client.post("/v1/attribute", json=body).json()["results"]
    assert texts(page, ".sources .name") == [f"{s['model']} / {s['language']}" for s in expected["sources"]]
    shares = [float(text.rstrip(" %").lstrip("<")) for text in texts(page, ".sources .number")]
    np.testing.assert_allclose(shares, [100 * s["probability"] for s in expected["sources"]], atol=0.06)
    widths = page.run("[...document.querySelectorAll('.fill')].map((one) => parseFloat(one.style.width))")
    np.testing.assert_allclose(widths, [100 * s["probability"] for s in expected["sources"]], atol=1e-3)
    assert page.run("document.activeElement.id") == "results"
    page.run("document.querySelector('.evidence summary').click()")
    assert page.run("document.querySelector('.evidence').open") is True
    shown = texts(page, ".evidence .text")
    assert [near["answer"] in shown for near in expected["evidence"]] == [True] * len(expected["evidence"])
    assert page.run("document.querySelectorAll('#plot circle').length") == 160
    assert page.run("document.querySelectorAll('#plot polygon').length") == 1


@pytest.mark.slow
def test_it_works_with_the_keyboard_alone(page: Page) -> None:
    page.run("document.getElementById('answer').focus()")
    page.type("we care for the law")
    page.press("Tab", 9)
    assert page.run("document.activeElement.id") == "submit"
    page.press("Enter", 13)
    page.until("!document.getElementById('map').hidden")
    page.press("Tab", 9)
    page.press("Enter", 13)
    assert page.run("document.querySelector('.evidence').open") is True


@pytest.mark.slow
def test_a_file_is_judged_answer_by_answer_and_as_one(page: Page, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "answers.jsonl", 60)
    give_file(page, file)
    page.until("!document.getElementById('map').hidden")
    assert page.run("document.querySelectorAll('article').length") == 50
    page.run("document.getElementById('more').click()")
    assert page.run("document.querySelectorAll('article').length") == 60
    assert "2 lines without an answer" in texts(page, "#status")[0]
    page.run("document.getElementById('map').hidden = true; document.getElementById('bag').click()")
    page.until("!document.getElementById('map').hidden")
    assert len(texts(page, "article")) == 1, texts(page, "article")[-1]
    assert "none of these" in texts(page, ".sources .name")


@pytest.mark.slow
def test_a_dropped_file_is_judged(page: Page, tmp_path: Path) -> None:
    text = jsonl(tmp_path / "answers.jsonl", 3).read_text()
    page.run(
        f"(() => {{ const data = new DataTransfer(); data.items.add(new File([{json.dumps(text)}], 'a'));"
        "const how = {dataTransfer: data, bubbles: true, cancelable: true};"
        "document.dispatchEvent(new DragEvent('drop', how)); })()"
    )
    page.until("!document.getElementById('map').hidden")
    assert len(texts(page, "article")) == 3


@pytest.mark.slow
def test_hostile_texts_are_shown_as_text(page: Page) -> None:
    submit(page, HOSTILE)
    [shown] = texts(page, "article > div > .text")
    assert shown == HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\u001b")
    assert page.run("window.bad") is None
    assert page.run("document.querySelectorAll('article script, article img').length") == 0
    page.run("document.getElementById('answer').value = 'care '.repeat(200000)")
    page.run("document.getElementById('map').hidden = true; document.getElementById('submit').click()")
    page.until("!document.getElementById('map').hidden")
    assert "its end was not read" in texts(page, "article")[0]
    assert len(texts(page, "article > div > .text")[0]) == 2000
    page.run("document.querySelector('article button.plain').click()")
    assert len(texts(page, "article > div > .text")[0]) == 1_000_000


@pytest.mark.slow
def test_dark_and_light_both_have_contrast(page: Page) -> None:
    def contrast() -> float:
        colours = page.run(
            "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()"
        )
        light = []
        for colour in colours:
            rgb = np.array([int(part) for part in colour[4:-1].split(",")]) / 255
            linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
            light.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
        return max(light) / min(light)

    backgrounds = []
    for is_dark in (False, True):
        page.dark(is_dark)
        assert contrast() > 7
        backgrounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[0] != backgrounds[1]
    page.dark(False)


@pytest.mark.slow
def test_what_goes_wrong_is_said(page: Page) -> None:
    page.run("document.getElementById('submit').click()")
    assert texts(page, "#error") == ["There is no answer yet: paste one."]
    assert page.run("document.activeElement.id") == "answer"


@pytest.mark.slow
def test_the_key_is_asked_for_and_kept_in_memory(
    tab: Page, usual_encoder: Encoder, head_store: Store
) -> None:
    with running(usual_encoder, head_store, api_key=KEY) as server:
        tab.open(server.url + "/")
        tab.run(
            "document.getElementById('answer').value = 'we care'; document.getElementById('submit').click()"
        )
        tab.until("!document.getElementById('error').hidden")
        assert "needs a key" in texts(tab, "#error")[0]
        tab.type(KEY)
        tab.run("document.getElementById('submit').click()")
        tab.until("!document.getElementById('map').hidden")
        assert tab.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        assert not any(KEY in url for url in tab.requests)
        tab.open("about:blank")


@pytest.mark.slow
def test_pictures_for_the_documents(page: Page, tmp_path: Path) -> None:
    """Written where UNIVAR_PICTURES says, to be looked at; else only that there is something to see."""
    folder = Path(os.environ.get("UNIVAR_PICTURES", tmp_path))
    row = answer_rows(1, seed=8)[0]
    submit(page, row["answer"], row["question"])
    for name, is_dark in (("light", False), ("dark", True)):
        page.dark(is_dark)
        page.size(900, 1150)
        page.run("window.scrollTo(0, document.getElementById('submit').offsetTop - 260)")
        page.picture(folder / f"serve-{name}.png")
        assert (folder / f"serve-{name}.png").stat().st_size > 10_000
    page.dark(False)


def test_the_page_stands_alone_and_its_policy_is_strict(service: Running) -> None:
    reply = service.client.get("/")
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert "{{" not in reply.text
    for outside in ("http://", "https://", " src=", "@import", "url("):
        assert outside not in reply.text.replace("http://www.w3.org/2000/svg", "")


def test_places_are_principal_components(service: Running, head_store: Store) -> None:
    found = service.client.get("/v1/map").json()
    x = np.asarray(head_store.embeddings, np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    expected = np.abs(u[:, :2] * s[:2])
    points = np.array(found["points"])
    np.testing.assert_allclose(np.abs(points[:, :2]), expected, atol=2e-4)
    np.testing.assert_allclose(found["shares"], (s**2 / (s**2).sum())[:2], atol=1e-3)
    sources = [f"{one['model']}/{one['language']}" for one in found["sources"]]
    assert [sources[int(n)] for n in points[:, 2]] == head_store.column("source").tolist()
    places = Places(head_store)
    np.testing.assert_allclose(
        places.of(np.asarray(head_store.embeddings[:3], np.float32)), points[:3, :2], atol=1e-4
    )
