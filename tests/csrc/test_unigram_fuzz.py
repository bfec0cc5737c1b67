"""Unigram's ids equal those of Hugging Face's library: every code point, fuzzed strings, real answers."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.csrc.test_wordpiece_fuzz import PER_LANGUAGE, code_points_in_use, in_lines, questions_and_answers
from tests.csrc.twins import assert_same_ids
from tests.csrc.unigram_twins import (
    METASPACE,
    charsmap,
    charsmap_of,
    fuzzed_for_unigram,
    native_of,
    telling_pieces,
    unigram_library,
)

ODD_MAP = {
    "a": "b", "e\u0301": "é", "e": "", "\u00a9": "(c) ", "\r": "\t", "\u0600": "P ", "\u2764": "<3",
    "\uac00": "ga", "\u0915": f"k{METASPACE}", "\t": "\u0085", "x": f" {METASPACE} ",
    "\u0301": "\u0301\u0301", "\u0958": "K", "\u2122": "TM", "\u1161": "A", "Z": "   ",
}  # fmt: skip
EVERY_BYTE = {chr(cp): "Z" for cp in range(1, 128)}
STRIPS = [None, (False, True), (True, False), (True, True)]


def test_every_code_point_alone_inside_a_word_and_with_a_mark(e5_library, e5_native):
    characters = code_points_in_use()
    assert_same_ids(e5_library, e5_native, in_lines(characters))
    assert_same_ids(e5_library, e5_native, in_lines([f"a{char}b" for char in characters]))
    assert_same_ids(e5_library, e5_native, in_lines([f"{char}\u0301" for char in characters]))


def test_fuzzed_strings_with_the_vocabulary_of_e5(e5_library, e5_native):
    assert_same_ids(e5_library, e5_native, fuzzed_for_unigram(30_000, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_million_fuzzed_strings_with_the_vocabulary_of_e5(e5_library, e5_native, seed):
    assert_same_ids(e5_library, e5_native, fuzzed_for_unigram(100_000, seed))


@pytest.mark.parametrize("kind", ["none", "e5", "odd", "every byte"])
@pytest.mark.parametrize("splits", [False, True])
def test_fuzzed_strings_with_every_way_to_treat_blanks(kind, splits, e5_library):
    blobs = {
        "none": b"",
        "e5": charsmap_of(e5_library),
        "odd": charsmap(ODD_MAP),
        "every byte": charsmap(EVERY_BYTE),
    }
    texts = fuzzed_for_unigram(3_000, seed=len(kind))
    pieces = telling_pieces(texts[:800], seed=3)
    rng = random.Random(5)
    for strip, blanks in itertools.product(STRIPS, [" ", None] if splits else [" ", METASPACE, None]):
        library = unigram_library(
            pieces, blob=blobs[kind], strip=strip, blanks=blanks, split_at_whitespace=splits
        )
        assert_same_ids(library, native_of(library), rng.sample(texts, 250))


@pytest.mark.parametrize("scores", [(-1.0,), (-1.0, -2.0, -3.0), (0.0, -0.25), (40.0, 60.0)])
def test_ties_between_ways_to_cut_a_word_fall_as_in_the_library(scores):
    rng = random.Random(7)
    texts = ["".join(rng.choices("aab中 ", k=rng.randint(1, 30))) for _ in range(2_000)]
    library = unigram_library(telling_pieces(texts[:30], seed=4, scores=scores))
    assert_same_ids(library, native_of(library), texts)


def test_ids_equal_on_a_sample_of_every_language(real_data, e5_library, e5_native):
    rng = random.Random(3)
    for texts in questions_and_answers(real_data / "answers_eval.parquet").values():
        assert_same_ids(e5_library, e5_native, rng.sample(texts, PER_LANGUAGE))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["answers_eval", "answers_train"])
def test_ids_equal_on_the_whole_corpus(name, real_data, e5_library, e5_native):
    by_language = questions_and_answers(real_data / f"{name}.parquet")
    texts = list(itertools.chain(*by_language.values()))
    assert_same_ids(e5_library, e5_native, texts)
    print(f"{name}: ids of {len(texts)} texts are equal")
