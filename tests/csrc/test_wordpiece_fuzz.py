"""Ids equal those of Hugging Face's library: every code point, fuzzed strings, real answers."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken

from tests.csrc.twins import assert_same_ids, fuzzed, telling_vocab, twins

OPTIONS = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
COMBINATIONS = list(itertools.product([True, False], [True, False], [None, True, False], [True, False]))
PER_LANGUAGE = 150


def code_points_in_use() -> list[str]:
    """Every code point of the planes that hold characters, and some of the empty and private ones."""
    ranges = [
        range(0xD800),
        range(0xE000, 0x33480),
        range(0x3FF80, 0x40080),
        range(0xE0000, 0xE1000),
        range(0x10FF80, 0x110000),
    ]
    return [chr(cp) for cp in itertools.chain(*ranges)]


def in_lines(words: list[str], per_line: int = 64) -> list[str]:
    return [" ".join(words[first : first + per_line]) for first in range(0, len(words), per_line)]


def test_every_code_point_alone_and_inside_a_word(minilm_library, minilm_native):
    characters = code_points_in_use()
    assert_same_ids(minilm_library, minilm_native, in_lines(characters))
    assert_same_ids(minilm_library, minilm_native, in_lines([f"a{char}b" for char in characters]))


def test_every_code_point_when_no_character_is_unknown():
    characters = in_lines(code_points_in_use())
    assert_same_ids(*twins(telling_vocab(characters)), characters)


def test_fuzzed_strings_with_the_vocabulary_of_minilm(minilm_library, minilm_native):
    assert_same_ids(minilm_library, minilm_native, fuzzed(30_000, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *range(101, 110)])
def test_a_million_fuzzed_strings_with_the_vocabulary_of_minilm(minilm_library, minilm_native, seed):
    assert_same_ids(minilm_library, minilm_native, fuzzed(100_000, seed))


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_fuzzed_strings_with_every_normalizer(combination):
    texts = fuzzed(1_500, seed=COMBINATIONS.index(combination) + 2)
    options = dict(zip(OPTIONS, combination, strict=True))
    assert_same_ids(*twins(telling_vocab(texts), **options), texts)


@pytest.mark.parametrize("strip_accents", [True, False])
def test_combining_marks_in_every_order(strip_accents):
    rng = random.Random(9)
    marks = "\u0300\u0323\u0334\u0345\u031b\u0903\u302e\u302f\u3099\u1d16d\u05b0\u0f71"
    marks += "\U0001d165\U0001d16d\U00016ff0"
    texts = [
        "".join(rng.choice("aÅ가க ") + "".join(rng.sample(marks, 4)) for _ in range(3)) for _ in range(5_000)
    ]
    assert_same_ids(*twins(telling_vocab(texts), strip_accents=strip_accents), texts)


@pytest.mark.parametrize("seed", range(12))
def test_added_tokens_with_every_flag(seed):
    rng = random.Random(seed)
    contents = ["<mask>", "<m", "ab", "abc", "bc", "Day", "[DAY]", "É", "é", "is a", "\u00a0x", "\U0001f600"]
    added = [
        AddedToken(
            content,
            single_word=rng.random() < 0.4,
            lstrip=rng.random() < 0.4,
            rstrip=rng.random() < 0.4,
            normalized=rng.random() < 0.5,
        )
        for content in rng.sample(contents, 5)
    ]
    pieces = [*contents, "[SEP]", "[MASK]", " ", "  ", "\t", "\u3000", "\u00a0", "a", "b", "c", "x", "_", "é",
              "e\u0301", "day", "\x00", "\u200d", "中", ".", "\u0301"]  # fmt: skip
    texts = ["".join(rng.choices(pieces, k=rng.randint(1, 9))) for _ in range(1_500)]
    assert_same_ids(*twins(telling_vocab(texts), added, lowercase=seed % 2 == 0), texts)


def questions_and_answers(path: Path) -> dict[str, list[str]]:
    """Unique questions and answers of one file by language."""
    table = pq.read_table(path, columns=["language", "question", "answer"]).to_pydict()
    texts: dict[str, dict[str, None]] = {}
    for language, question, answer in zip(*table.values(), strict=True):
        texts.setdefault(language, {}).update({question: None, answer: None})
    return {language: list(unique) for language, unique in texts.items()}


def test_ids_equal_on_a_sample_of_every_language(real_data, minilm_library, minilm_native):
    rng = random.Random(3)
    for texts in questions_and_answers(real_data / "answers_eval.parquet").values():
        assert_same_ids(minilm_library, minilm_native, rng.sample(texts, PER_LANGUAGE))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["answers_eval", "answers_train"])
def test_ids_equal_on_the_whole_corpus(name, real_data, minilm_library, minilm_native, record_property):
    by_language = questions_and_answers(real_data / f"{name}.parquet")
    texts = list(itertools.chain(*by_language.values()))
    assert_same_ids(minilm_library, minilm_native, texts)
    record_property("texts", len(texts))
    print(f"{name}: ids of {len(texts)} texts are equal")
