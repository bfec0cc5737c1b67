"""A name that is nearly right gets the right one told."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("embd",), "embed"),
        (("attrib",), "attribute"),
        (("values", "--family", "hofsted"), "hofstede"),
        (("questions", "list", "cor"), "core"),
        (("questions", "list", "core", "--value", "schwartz-powr-dominance"), "schwartz-power-dominance"),
        (("translate", "x.jsonl", "--to", "eng", "--with", "nlb", "-o", "y.jsonl"), "nllb"),
        (("embed", "x.jsonl", "-e", "e5", "-o", "s"), "e5-multilingual"),
        (("embed", "x.jsonl", "-e", "minlm", "-o", "s"), "minilm"),
    ],
)
def test_the_nearest_name_is_told(univar: Run, arguments: tuple[str, ...], meant: str) -> None:
    done = univar(*arguments)
    assert done.exit_code in (2, 3)
    assert f"did you mean '{meant}'" in done.stderr


def test_a_search_without_result_names_the_nearest_word(univar: Run) -> None:
    done = univar("values", "--search", "honrst")
    assert done.exit_code == 0
    assert "did you mean 'honest'" in done.stderr


def test_a_name_that_is_far_from_all_gets_none_told(univar: Run) -> None:
    assert "did you mean" not in univar("locomotive").stderr
