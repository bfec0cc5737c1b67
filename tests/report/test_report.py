"""The report: every section is there or says why not, every text is escaped, nothing runs."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.cli.report import report
from univar.errors import UsageError
from univar.report import Section
from univar.report.html import render
from univar.report.sections import MAX_ROWS
from univar.tables import Table

HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e&"
VOID = {"meta", "img"}


class Checker(HTMLParser):
    """Tags that are not closed in order, scripts, and attributes that run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.faults += self.open

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.faults += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.faults += ["script"] * (tag == "script")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"/{tag}")


def test_every_text_is_escaped():
    table = Table([HOSTILE, "b"], [[HOSTILE, HOSTILE]] * (MAX_ROWS + 3), HOSTILE, notes=(HOSTILE,))
    page = render([Section(HOSTILE, [table, HOSTILE], HOSTILE, b"png", HOSTILE)], HOSTILE)
    checked = Checker(page)
    assert not checked.faults
    assert len(checked.ids) == len(set(checked.ids))
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "3 more rows are left out" in page


def test_the_policy_allows_the_style_alone():
    page = render([Section("a", ["b"])], "t")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert "unsafe" not in policy


def test_the_command_writes_every_section_or_its_reason(tmp_path):
    pytest.importorskip("matplotlib", reason="the report's map needs the extra [map]")
    rows = qa_rows(range(8), ["a", "b", "c", "d"])
    for name, shift in (("old", 0.0), ("new", 0.0)):
        vectors = np.random.default_rng(0).standard_normal((len(rows), 8)) + shift
        write_store(tmp_path / name, rows, vectors)
    path = tmp_path / "report.html"
    arguments = [str(tmp_path / "new"), "--baseline", str(tmp_path / "old"), "-o", str(path)]
    found = CliRunner().invoke(report, arguments)
    assert found.exit_code == 0, (found.output, found.exception)
    page = path.read_text("utf-8")
    assert not Checker(page).faults
    for title in ("Data", "Encoder", "Distances between models", "Map", "Values", "Languages", "Drift"):
        assert f">{title}</h2>" in page
    assert "Not shown: no value probes ship" in page
    assert '<th scope="row">answers</th><td>32</td>' in page
    assert isinstance(CliRunner().invoke(report, arguments).exception, UsageError)
