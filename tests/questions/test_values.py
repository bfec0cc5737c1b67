"""The taxonomy: what ships, what is found in it, and what users add."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from univar.errors import DataError
from univar.questions.values import load_taxonomy

FAMILY_SIZES = {
    "schwartz": 19,
    "orientation": 7,
    "terminal": 18,
    "instrumental": 18,
    "hofstede": 6,
    "globe": 9,
    "wvs": 11,
}
OWN = """
[[family]]
id = "house"
name = "Our house"
source = "our handbook"

[[value]]
id = "house-candour"
name = "Candour"
family = "house"
definition = "Saying early what will be said late."
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_families_have_the_sizes_that_the_literature_gives_them() -> None:
    assert Counter(value.family for value in load_taxonomy().values.values()) == FAMILY_SIZES


def test_every_value_has_a_definition_of_one_sentence_and_a_dated_reference() -> None:
    for value in load_taxonomy().values.values():
        assert re.fullmatch(r"[A-Z][^.]*\.", value.definition), value.id
        assert re.search(r"\((19|20)\d\d\)", value.reference), value.id
        assert value.id.startswith(value.family + "-")


def test_values_of_theories_with_poles_name_the_other_pole() -> None:
    for value in load_taxonomy().select(["orientation", "hofstede", "globe", "wvs"]):
        assert value.opposite, value.id


def test_search_looks_at_name_definition_and_opposite() -> None:
    taxonomy = load_taxonomy()
    assert "schwartz-universalism-nature" in {value.id for value in taxonomy.select(search="NATURAL world")}
    assert "hofstede-individualism" in {value.id for value in taxonomy.select(search="lifelong groups")}


def test_selection_keeps_what_all_filters_allow() -> None:
    chosen = load_taxonomy().select(["globe"], ["globe-power-distance", "hofstede-power-distance"])
    assert [value.id for value in chosen] == ["globe-power-distance"]


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(DataError, match="no family 'maslow'"):
        load_taxonomy().select(["maslow"])


def test_own_values_join_the_shipped_ones_and_take_their_family_reference(tmp_path: Path) -> None:
    taxonomy = load_taxonomy([write(tmp_path, OWN)])
    assert len(taxonomy.values) == sum(FAMILY_SIZES.values()) + 1
    assert taxonomy.values["house-candour"].reference == "our handbook"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("house-candour", "terminal-wisdom"), "occurs twice"),
        (("house-candour", "House Candour"), "lower-case words"),
        (('family = "house"', 'family = "home"'), "unknown family 'home'"),
        (('definition = "Saying early what will be said late."', ""), "has no definition"),
        (('name = "Candour"', 'name = "Candour"\ncolour = "red"'), "unknown field 'colour'"),
        (('name = "Candour"', "name = 7"), "must be a text in quotes"),
        (("[[value]]", "[value]"), r"as a table \[\[value\]\]"),
        (("[[value]]", "[[values]]"), "unknown table 'values'"),
        (('source = "our handbook"', "source = "), "is not valid TOML"),
    ],
)
def test_a_mistake_in_an_own_file_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = write(tmp_path, OWN.replace(*change))
    with pytest.raises(DataError, match=message) as caught:
        load_taxonomy([path])
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.toml cannot be read"):
        load_taxonomy([tmp_path / "own.toml"])


@pytest.mark.parametrize(
    ("search", "id"),
    [
        ("honesty", "instrumental-honest"),
        ("Courage", "instrumental-courageous"),
        ("forgiveness", "instrumental-forgiving"),
        ("politeness", "instrumental-polite"),
        ("nature", "schwartz-universalism-nature"),
    ],
)
def test_values_are_found_by_a_word_in_another_form(search: str, id: str) -> None:
    assert id in {value.id for value in load_taxonomy().select(search=search)}


def test_a_word_of_no_value_finds_none() -> None:
    assert load_taxonomy().select(search="locomotive") == ()
    assert load_taxonomy().select(search="!!!") == ()
