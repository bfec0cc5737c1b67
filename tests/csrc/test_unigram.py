"""The native Unigram by itself: edges, ties, truncation, threads, remembered words, refused arguments."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import AddedToken

from tests.csrc.twins import assert_cut_as_the_library_does, assert_same_ids, fuzzed, native_ids
from tests.csrc.unigram_twins import (
    CLUSTERS,
    METASPACE,
    SPECIALS,
    charsmap,
    fuzzed_for_unigram,
    native_of,
    telling_pieces,
    unigram_library,
)
from univar._native import Unigram
from univar.encoder.tokenizer import text_buffers

CLS, SEP, UNK = 0, 2, 3
WORDS = ["▁", "▁a", "a", "b", "▁ab", "ba", "中", "文", "中文", ",", "Z"]
VOCAB = [(piece, 0.0) for piece in SPECIALS] + [(piece, -1.0 - i) for i, piece in enumerate(WORDS)]


@pytest.fixture(scope="module")
def native() -> Unigram:
    return native_of(unigram_library(VOCAB))


def ids_of(names: list[str]) -> list[int]:
    pieces = [piece for piece, _ in VOCAB]
    return [CLS, *map(pieces.index, names), SEP]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "  ", "\n\t ", "\x00", "a\x00 a a\x00", "\ufffd", "a", "a" * 16, "a" * 17, "a" * 48,
        "a" * 49, "中" * 16, "中" * 17, "x" * 5_000, "中" * 5_000, "a " * 5_000, "\u0301" * 3_000,
        "a" + "\u0301" * 3_000, "\u1100" * 2_000, "ﷺ", "①②③", "ﬁ", "½ ", "Ａ１！", "가각", "한국어", "क्षि",
        "👩\u200d👩\u200d👧", "İ", "ẞ", "a\u00a0b\u3000c\u2028d\u0085e\x0bf\x0cg\x1ch", "<s>", "<S>",
        "a<mask>b </s> ,", "<<s>>", "＜s＞", "＜unk＞x", "▁", "▁▁", "▁ ▁", "a▁b", "a ▁b", "▁ a",
    ],
    ids=lambda text: f"{text[:8]!a}x{len(text)}",
)  # fmt: skip
def test_edge_cases_equal_the_library(text, e5_library, e5_native):
    assert_same_ids(e5_library, e5_native, [text, f"{text} {text}", f"a{text}b"])


def test_words_at_the_ends_of_stretches_equal_the_library(isa, e5_library):
    # Words are looked for in stretches of up to 512 bytes, each of blocks of 64.
    parts = [
        "a bc d",
        "aB, c",
        "é" * 9 + " a",
        "z" * 17 + " a",
        "a" * 70,
        "a" * 520 + " b",
        "中 中",
        "a\u00a0 b",
    ]
    places = [end + shift for end in (3, 64, 448, 512, 576, 1024) for shift in range(-3, 3)]
    texts = ["a " * (place // 2) + "b" * (place % 2) + part for place in places for part in parts]
    texts += ["x" * place + part for place in places for part in parts]
    texts += fuzzed_for_unigram(3_000, seed=8)
    assert_same_ids(
        e5_library, native_of(e5_library, isa), [*texts, *texts]
    )  # seen for the first time, and again


@pytest.mark.parametrize("most", [12, 150, 700])
def test_long_texts_are_cut_where_the_library_cuts_them(e5_library, e5_native, most):
    texts = [f"{text} {text}" for text in fuzzed(300, 5, 900)]
    assert_cut_as_the_library_does(e5_library, e5_native, texts, most)


def test_graphemes_are_replaced_as_the_library_does(e5_library, e5_native):
    texts = [first + second for first in CLUSTERS for second in CLUSTERS]
    assert_same_ids(e5_library, e5_native, texts)


def test_a_word_is_cut_the_likeliest_way(native):
    ids, _ = native_ids(native, ["aba", "ab ba", "中文"])
    expected = [ids_of(["▁a", "ba"]), ids_of(["▁ab", "▁", "ba"]), ids_of(["▁", "中文"])]
    assert ids.tolist() == [token for row in expected for token in row]


def test_unknown_characters_in_a_row_are_one_token(native):
    assert native_ids(native, ["axyza"])[0].tolist() == [CLS, *ids_of(["▁a"])[1:-1], UNK, *ids_of(["a"])[1:]]


def test_unknown_characters_that_make_a_piece_together_are_that_piece():
    vocab = [(piece, 50.0) for piece in SPECIALS] + [("▁", 50.0), ("xy", 50.0)]
    library = unigram_library(vocab)  # two unknown ones have 80 together, more than the piece
    assert_same_ids(library, native_of(library), ["xy", "xyx", "yxy"])
    assert native_ids(native_of(library), ["xy"])[0].tolist() == [CLS, 4, 5, SEP]


def test_the_last_of_equal_pieces_has_the_word():
    library = unigram_library([*VOCAB, ("▁a", -0.5)])
    assert native_ids(native_of(library), ["a"])[0].tolist() == [CLS, len(VOCAB), SEP]


@pytest.mark.parametrize("length", [*range(1, 20), *range(44, 52)])
def test_words_around_the_sizes_that_are_remembered(length):
    texts = [letter * length for letter in ("a", "B", "é", "я", "ह", "가", "中", "a\x00")]
    texts = [f"{text} {text} {text}" for text in texts]
    library = unigram_library(telling_pieces(texts, seed=length))
    assert_same_ids(library, native_of(library), texts)


def test_remembered_words_give_the_same_ids_again():
    texts = fuzzed_for_unigram(2_000, seed=1)
    library = unigram_library(telling_pieces(texts, seed=1))
    native = native_of(library)
    first = native_ids(native, texts)[0].tolist()
    assert native_ids(native, texts)[0].tolist() == first
    native.forget_words()
    assert native_ids(native, texts)[0].tolist() == first


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_do_not_change_the_ids(e5_native, threads):
    texts = fuzzed_for_unigram(8_000, seed=2)
    one, many = native_ids(e5_native, texts), native_ids(e5_native, texts, threads)
    assert np.array_equal(one[0], many[0])
    assert np.array_equal(one[1], many[1])


@pytest.mark.parametrize("max_length", [3, 4, 7, 8, 9, 100])
@pytest.mark.parametrize("word", ["a ", "ab", "中", "x", "<s>"])
def test_truncation_equals_the_library(word, max_length):
    library = unigram_library(VOCAB)
    library.enable_truncation(max_length)
    texts = [word * n for n in range(12)]
    ids, cu_seqlens, truncated = native_of(library).encode(
        *text_buffers(texts), max_length=max_length, threads=1
    )
    expected = library.encode_batch(texts)
    assert ids.tolist() == [token for encoding in expected for token in encoding.ids]
    assert np.diff(cu_seqlens).tolist() == [len(encoding.ids) for encoding in expected]
    assert truncated.tolist() == [bool(encoding.overflowing) for encoding in expected]


def test_bytes_that_are_no_utf8_count_as_replacement_characters(e5_library, e5_native):
    broken = [b"a\xff", b"\xe4\xb8 a", b"\xc0\x80", b"\xed\xa0\x80x", b"\xf4\x90\x80\x80", b"\xe4\xb8"]
    offsets = np.cumsum([0, *map(len, broken)])
    data = np.frombuffer(b"".join(broken), np.uint8)
    ids, _, _ = e5_native.encode(offsets, data, max_length=100, threads=1)
    texts = [text.decode("utf-8", "replace") for text in broken]
    assert ids.tolist() == [token for text in texts for token in e5_library.encode(text).ids]


def test_added_tokens_with_flags_equal_the_library():
    added = [
        AddedToken("<mask>", lstrip=True, normalized=False),
        AddedToken("ab", single_word=True, normalized=False),
        AddedToken("<r>", rstrip=True, normalized=False),
    ]
    library = unigram_library(VOCAB, added=added)
    assert_same_ids(library, native_of(library), ["a <mask> b", "ab abc a ab", "<r>  a<r>", " <r> <mask>"])


def test_a_charsmap_takes_the_shortest_key_for_the_whole_grapheme():
    blob = charsmap({"e": "Z", "e\u0301": "b", "\u00a9": "", "a": f"{METASPACE}a"})
    library = unigram_library(VOCAB, blob=blob)
    assert_same_ids(library, native_of(library), ["e", "e\u0301", "ee\u0301", "a\u00a9a", "bab", "\u00a9"])
    assert native_ids(native_of(library), ["e\u0301"])[0].tolist() == ids_of(["▁", "Z"])


def broken_charsmaps() -> list[bytes]:
    whole = charsmap({"a": "b", "é": "e"})
    return [
        b"\x01",
        whole[:100],
        b"\xff\xff\xff\xff" + whole[4:],
        whole[:-1],
        whole[:-3] + b"\xff\xff\0",
        b"\x04\0\0\0" + b"\xff\xff\xff\x7f" + b"a\0",
        whole[:4] + whole[4:8].replace(b"\0", b"\xff") + whole[8:],
    ]


@pytest.mark.parametrize("blob", broken_charsmaps())
def test_a_broken_charsmap_is_refused(blob):
    with pytest.raises(ValueError, match="charsmap"):
        Unigram(["a"], [0.0], unk=0, cls=0, sep=0, charsmap=blob)


@pytest.mark.parametrize(
    ("vocab", "scores", "unk", "message"),
    [
        (["a"], [], 0, "scores"),
        (["a"], [0.0], 1, "not an id"),
        (["a"], [0.0], -1, "not an id"),
        ([], [], 0, "not an id"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(vocab, scores, unk, message):
    with pytest.raises(ValueError, match=message):
        Unigram(vocab, scores, unk=unk, cls=0, sep=0)
