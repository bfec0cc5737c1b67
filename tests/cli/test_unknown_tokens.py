"""Commands tell how much of the answers an encoder does not know, and which encoder their languages need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl


@pytest.mark.parametrize(("unknown", "told"), [(1, False), (3, True)])
def test_embed_and_info_tell_the_share_of_unknown_tokens(
    tmp_path: Path, univar: Run, tiny_bert: Path, unknown: int, told: bool
) -> None:
    """Warned of above 5 %: here 1 or 3 of every 41 tokens are unknown."""
    answer = "care " * (40 - unknown) + "好" * unknown
    rows = [{**row, "answer": f"{answer} {n}"} for n, row in enumerate(answer_rows(8))]
    done = univar(
        "embed", write_jsonl(tmp_path / "a.jsonl", rows), "-o", tmp_path / "s", "-e", tiny_bert, "--json"
    )
    share = json.loads(done.stdout)["unknown_share"]
    assert share == pytest.approx(unknown / 41, abs=1e-6)
    assert ("answers' tokens are unknown to" in done.stderr) == told
    assert f"{100 * share:.1f} % unknown tokens" in univar("info", tmp_path / "s").stdout


def test_check_names_the_encoder_that_reads_the_languages(tmp_path: Path, univar: Run) -> None:
    english = write_jsonl(tmp_path / "a.jsonl", [{**row, "language": "eng"} for row in answer_rows(4)])
    assert "takes univar-2: every row is in English" in univar("check", english).stdout
    other = {**answer_rows(1)[0], "language": "jpn", "answer": "人は互いに助け合うべきだと思います。"}
    mixed = write_jsonl(tmp_path / "b.jsonl", [*answer_rows(3), other])
    assert "univar-2-multilingual" in univar("check", mixed).stdout
