"""Where answers are cut, what each piece holds, and that nothing between the cuts is lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from univar.encoder.pieces import Frame, Ragged, cut, lay_out, sentence_bounds
from univar.errors import UsageError

FRAME = Frame(np.array([101]), np.array([1, 2]), np.array([3, 2]), np.array([102]))


def ragged(texts: list[list[int]]) -> Ragged:
    bounds = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return Ragged(np.array([token for text in texts for token in text], np.int32), bounds)


def split(text: str) -> list[str]:
    data = text.encode()
    bounds, _ = sentence_bounds(np.array([0, len(data)]), np.frombuffer(data, np.uint8))
    return [data[a:b].decode() for a, b in pairwise(bounds)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", " Two!", " Three?", " Four"]),
        ("At 3.5 percent.", ["At 3.5 percent."]),
        ("a\nb\n\nc", ["a\n", "b\n", "\n", "c"]),
        ("我同意。你呢？好！", ["我同意。", "你呢？", "好！"]),
        ("हाँ। नहीं।", ["हाँ।", " नहीं।"]),
        ("هل تعلم؟ نعم", ["هل تعلم؟", " نعم"]),
        ("", [""]),
        ("...", ["..."]),
        ("Tatsächlich. 。", ["Tatsächlich.", " 。"]),
    ],
)
def test_sentences_end_where_a_reader_sees_it(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@given(st.lists(st.text(alphabet="ab. !?\n。？।é", max_size=12), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_sentences_of_many_texts_are_those_of_each(texts: list[str]) -> None:
    data = [text.encode() for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in data])])
    bounds, first = sentence_bounds(offsets + 3, np.frombuffer(b"xyz" + b"".join(data), np.uint8))
    whole = b"xyz" + b"".join(data)
    for i, text in enumerate(texts):
        own = bounds[first[i] : first[i + 1] + 1]
        assert [whole[a:b].decode() for a, b in pairwise(own)] == split(text)
    assert bounds[0] == 3
    assert bounds[-1] == len(whole)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 25))
@settings(max_examples=300, deadline=None)
def test_cuts_keep_everything_and_prefer_sentence_ends(lengths: list[int], room: int) -> None:
    bounds = [7, *(7 + np.cumsum(lengths)).tolist()]
    cuts = cut(bounds, room)
    sizes = np.diff(cuts)
    assert (cuts[0], cuts[-1]) == (bounds[0], bounds[-1])
    assert (sizes > 0).all()
    assert (sizes <= room).all()
    for place in cuts[1:-1]:  # a cut inside a sentence only where the sentence fits no piece
        if place not in bounds:
            inside = next(b - a for a, b in pairwise(bounds) if a < place < b)
            assert inside > room


def test_a_short_answer_is_one_piece_of_the_whole_text() -> None:
    pieces = lay_out(FRAME, ragged([[11, 12]]), ragged([[21], [22, 23]]), np.array([0, 2]), max_length=90)
    assert pieces.ids.tolist() == [101, 1, 2, 11, 12, 3, 2, 21, 22, 23, 102]
    assert pieces.cu_seqlens.tolist() == [0, 11]
    assert (pieces.tokens.tolist(), pieces.read.tolist(), pieces.answer_tokens.tolist()) == ([3], [3], [3])


def test_a_long_question_loses_its_middle_and_says_so() -> None:
    pieces = lay_out(
        FRAME, ragged([list(range(200, 300)), [7]]), ragged([[21], [22]]), np.array([0, 1, 2]), max_length=90
    )
    first = pieces.ids[: pieces.cu_seqlens[1]].tolist()
    assert first == [101, 1, 2, *range(200, 232), *range(268, 300), 3, 2, 21, 102]
    assert pieces.question_cut.tolist() == [True, False]


def test_an_empty_question_leaves_the_answer_alone() -> None:
    pieces = lay_out(FRAME, ragged([[]]), ragged([[21, 22]]), np.array([0, 1]), max_length=90)
    assert pieces.ids.tolist() == [101, 21, 22, 102]


def test_a_long_answer_is_read_whole_with_its_question_before_every_piece() -> None:
    sentences = [[s * 10 + i for i in range(8)] for s in range(30, 42)]
    pieces = lay_out(
        FRAME, ragged([[5, 6]]), ragged(sentences), np.array([0, 12]), max_length=28, question_tokens=10
    )
    texts = np.split(pieces.ids, pieces.cu_seqlens[1:-1])
    assert all(text[:7].tolist() == [101, 1, 2, 5, 6, 3, 2] for text in texts)
    assert all(len(text) <= 28 for text in texts)
    read = np.concatenate([text[7:-1] for text in texts])
    assert read.tolist() == [token for sentence in sentences for token in sentence]
    assert pieces.read.tolist() == pieces.answer_tokens.tolist() == [96]


def test_pieces_beyond_the_limit_are_left_out_and_counted() -> None:
    answer = ragged([list(range(100))])
    pieces = lay_out(
        FRAME, ragged([[5]]), answer, np.array([0, 1]), max_length=27, question_tokens=10, max_pieces=2
    )
    assert pieces.per_answer.tolist() == [2]
    assert pieces.read.tolist() == [40]
    assert pieces.answer_tokens.tolist() == [100]


def test_an_answer_without_a_token_has_no_piece_and_a_zero_vector() -> None:
    pieces = lay_out(FRAME, ragged([[5], [5]]), ragged([[], [9]]), np.array([0, 1, 2]), max_length=90)
    assert pieces.per_answer.tolist() == [0, 1]
    assert pieces.pool(np.ones((1, 2), np.float32)).tolist() == [[0, 0], [1, 1]]


def test_the_mean_weighs_pieces_by_their_answer_tokens() -> None:
    rng = np.random.default_rng(0)
    counts = [1, 3, 0, 2, 5]
    sentences = ragged([rng.integers(5, 99, 20 * n - (n > 1) * 9).tolist() if n else [] for n in counts])
    pieces = lay_out(
        FRAME, ragged([[5]] * 5), sentences, np.arange(6), max_length=27, question_tokens=10, max_pieces=9
    )
    assert pieces.per_answer.tolist() == counts
    vectors = rng.standard_normal((len(pieces.rows), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pooled = pieces.pool(vectors)
    for row, n in enumerate(counts):
        own = pieces.rows == row
        mean = (vectors[own] * pieces.tokens[own, None]).sum(0, dtype=np.float64)
        expected = mean / np.linalg.norm(mean) if n else np.zeros(6)
        np.testing.assert_allclose(pooled[row], expected, atol=1e-6)
    np.testing.assert_array_equal(pooled[0], vectors[0])


def test_identical_pieces_are_found() -> None:
    pieces = lay_out(FRAME, ragged([[5], [5], [6]]), ragged([[9], [9], [9]]), np.arange(4), max_length=90)
    firsts, twin = pieces.distinct()
    assert firsts.tolist() == [0, 2]
    assert twin.tolist() == [0, 0, 1]


def test_no_answers() -> None:
    pieces = lay_out(FRAME, ragged([]), ragged([]), np.array([0]), max_length=90)
    assert pieces.pool(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_a_window_without_room_for_an_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="leave no room for an answer"):
        lay_out(FRAME, ragged([[5]]), ragged([[9]]), np.array([0, 1]), max_length=70)
