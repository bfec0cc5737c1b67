"""The native WordPiece by itself: edges, truncation, threads, bytes that aren't UTF-8, refused arguments."""

from __future__ import annotations

import numpy as np
import pytest

from tests.csrc.twins import (
    SPECIALS,
    assert_cut_as_the_library_does,
    assert_same_ids,
    fuzzed,
    native_ids,
    telling_vocab,
    twins,
)
from univar._native import WordPiece
from univar.encoder.tokenizer import text_buffers

CLS, SEP = 2, 3
WORDS = [*SPECIALS, "a", "b", "##a", "##b", "##ab", "c", ",", "中"]


@pytest.fixture(scope="module")
def native() -> WordPiece:
    return twins(WORDS)[1]


def buffers_of(texts: list[bytes], dtype: type = np.int64) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, texts)]).astype(dtype)
    return offsets, np.frombuffer(b"".join(texts), np.uint8)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n\t ", "\x00", "\ufffd", "\u200b", "a", "a" * 99, "a" * 100, "a" * 101, "é" * 100,
        "é" * 101, "中" * 101, "e\u0301" * 100, "e\u0301" * 101, "a\x00" * 100, "\ufb00" * 101, "가" * 33,
        "가" * 34, "a" * 1_000_000, "é" * 300_000, "中" * 60_000, "\u0301" * 100_000, "\u302e\u0323" * 50_000,
        "İ", "Σς ΣΑΣ", "ǅ ǈ ǲ", "ẞ", "a\u00a0b\u3000c\u2028d\u0085e\x0bf\x0cg\x1ch",
        "a\u00adb\u200cc\u200dd\ufeffe",
        "[SEP]", "[sep]", "a[SEP]b [MASK].", "[[SEP]]", "[SE", "x[", "👩\u200d👩\u200d👧",
        "a" * 15 + ",", "a" * 16 + ",", "a" * 17 + ",",
    ],
    ids=lambda text: f"{text[:8]!a}x{len(text)}",
)  # fmt: skip
def test_edge_cases_equal_the_library(text, minilm_library, minilm_native):
    assert_same_ids(minilm_library, minilm_native, [text, f"{text} {text}", f"a{text}b"])


@pytest.mark.parametrize("length", [*range(1, 20), *range(44, 52)])
def test_words_around_the_sizes_that_are_remembered(length):
    texts = [letter * length for letter in ("a", "B", "é", "я", "ह", "가", "\x01a", "中")]
    texts = [f"{text} {text},{text}" for text in texts]
    assert_same_ids(*twins(telling_vocab(texts)), texts)
    assert_same_ids(*twins(telling_vocab(texts), clean_text=False), texts)


def test_units_that_differ_only_by_a_nul_are_not_confused():
    texts = ["é é\x00 é\x00\x00 \x00 \x00\x00", "\x00 é"]
    assert_same_ids(*twins(telling_vocab(texts), clean_text=False), texts)


def test_pieces_are_the_longest_that_fit(native):
    ids, _ = native_ids(native, ["aab", "abab", "aac"])
    unk = WORDS.index("[UNK]")
    a, b, more_ab = (WORDS.index(piece) for piece in ("a", "##b", "##ab"))
    assert ids.tolist() == [CLS, a, more_ab, SEP, CLS, a, b, more_ab, SEP, CLS, unk, SEP]


def test_the_last_of_equal_pieces_has_the_word():
    native = WordPiece([*SPECIALS, "a", "a"])
    assert native_ids(native, ["a"])[0].tolist() == [CLS, 6, SEP]


@pytest.mark.parametrize("max_length", [3, 4, 7, 8, 9, 100])
@pytest.mark.parametrize("word", ["a ", "ab", "中", "a,", "中文 "])
def test_truncation_equals_the_library(word, max_length):
    library, native = twins(WORDS)
    library.enable_truncation(max_length)
    texts = [word * n for n in range(12)]
    ids, cu_seqlens, truncated = native.encode(*text_buffers(texts), max_length=max_length, threads=1)
    expected = library.encode_batch(texts)
    assert ids.tolist() == [token for encoding in expected for token in encoding.ids]
    assert np.diff(cu_seqlens).tolist() == [len(encoding.ids) for encoding in expected]
    assert truncated.tolist() == [bool(encoding.overflowing) for encoding in expected]


def test_a_text_that_just_fits_is_not_truncated(native):
    texts = ["a a a", "a a a a", "a a a a \x00 ", "a a a a a"]
    _, cu_seqlens, truncated = native.encode(*text_buffers(texts), max_length=6, threads=1)
    assert np.diff(cu_seqlens).tolist() == [5, 6, 6, 6]
    assert truncated.tolist() == [False, False, False, True]


@pytest.mark.parametrize(("n", "longest", "most"), [(3_000, 24, 12), (300, 900, 150), (300, 900, 700)])
def test_truncation_of_remembered_words_equals_the_library(minilm_library, minilm_native, n, longest, most):
    texts = [f"{text} {text}" for text in fuzzed(n, 5, longest)]
    assert_cut_as_the_library_does(minilm_library, minilm_native, texts, most)


@pytest.mark.parametrize("unit", ["a中中中中中", "é中中中中中", "é中中中中中中中中中中中中"])
def test_a_word_that_one_text_was_cut_in_is_whole_in_the_next(unit):
    library, native = twins(telling_vocab([unit]))
    ids, cu_seqlens, truncated = native.encode(*text_buffers([f"a a {unit}", unit]), max_length=20, threads=1)
    assert not truncated.any()
    cut, cut_seqlens, truncated = native.encode(
        *text_buffers(["a " * 17 + unit, unit]), max_length=20, threads=1
    )
    assert truncated.tolist() == [True, False]
    assert cut[cut_seqlens[1] :].tolist() == ids[cu_seqlens[1] :].tolist() == library.encode(unit).ids


def test_threads_do_not_change_the_ids(minilm_native):
    texts = fuzzed(20_000, seed=6)
    alone, alone_cuts = native_ids(minilm_native, texts, threads=1)
    for threads in (2, 4):
        together, cuts = native_ids(minilm_native, texts, threads=threads)
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(cuts, alone_cuts)


def test_one_tokenizer_serves_many_calls_at_once(minilm_native):
    from concurrent.futures import ThreadPoolExecutor

    parts = [fuzzed(2_000, seed=seed) for seed in range(8)]
    expected = [native_ids(minilm_native, texts)[0] for texts in parts]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda texts: native_ids(minilm_native, texts, threads=2)[0], parts))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("clean_text", [True, False])
def test_broken_utf8_counts_as_python_replaces_it(clean_text):
    rng = np.random.default_rng(7)
    broken = [
        b"\x80",
        b"\xbf",
        b"\xc0",
        b"\xc2",
        b"\xe0",
        b"\xe0\x9f",
        b"\xe4\xb8",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98",
    ]
    parts = [*broken, b"\xf0\x8f", b"\xf4\x90", b"\xf5", b"\xff", b"a", b"b ", "é中😀".encode(), b"[SEP]"]
    raw = [b"".join(parts[i] for i in rng.integers(0, len(parts), 6)) for _ in range(5_000)]
    texts = [text.decode("utf-8", "replace") for text in raw]
    library, native = twins(telling_vocab(texts), clean_text=clean_text)
    assert_same_ids(library, native, texts)
    ids, cu_seqlens, _ = native.encode(*buffers_of(raw), max_length=1000, threads=1)
    expected, expected_cuts = native_ids(native, texts)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(cu_seqlens, expected_cuts)


def test_no_texts_and_empty_texts(native):
    ids, cu_seqlens, truncated = native.encode(*buffers_of([]), max_length=8, threads=2)
    assert (ids.dtype, cu_seqlens.dtype, truncated.dtype) == (np.int32, np.int64, bool)
    assert (ids.tolist(), cu_seqlens.tolist(), truncated.tolist()) == ([], [0], [])
    ids, cu_seqlens, truncated = native.encode(*buffers_of([b"", b""]), max_length=8, threads=2)
    assert (ids.tolist(), cu_seqlens.tolist(), truncated.tolist()) == ([CLS, SEP] * 2, [0, 2, 4], [False] * 2)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_offsets_may_start_and_end_inside_the_data(native, dtype):
    offsets, data = buffers_of([b"aa", b"b", b"", b"c"], dtype)
    ids, _, _ = native.encode(offsets[1:4], data, max_length=8, threads=1)
    assert ids.tolist() == [CLS, WORDS.index("b"), SEP, CLS, SEP]


@pytest.mark.parametrize("offsets", [[0, 5], [2, 1], [-1, 1], [0, 1, 0]])
def test_offsets_outside_the_data_are_refused(native, offsets):
    with pytest.raises(ValueError, match=r"text \d is bytes"):
        native.encode(np.array(offsets, np.int64), np.zeros(4, np.uint8), max_length=8, threads=1)


def test_wrong_arguments_are_refused(native):
    offsets, data = buffers_of([b"a"])
    with pytest.raises(ValueError, match="max_length"):
        native.encode(offsets, data, max_length=2, threads=1)
    with pytest.raises(ValueError, match="threads"):
        native.encode(offsets, data, max_length=3, threads=0)
    with pytest.raises(ValueError, match="offsets"):
        native.encode(offsets.astype(np.float64), data, max_length=3, threads=1)
    with pytest.raises(ValueError, match="offsets"):
        native.encode(offsets[:0], data, max_length=3, threads=1)
    with pytest.raises(ValueError, match=r'no "\[CLS\]"'):
        WordPiece(["[UNK]", "[SEP]"])


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_way_to_read_text_gives_the_same_ids(isa, lowercase):
    # Words, punctuation and control characters on both sides of where 64 bytes and 512 end.
    parts = [
        "Aa Bb",
        "aB,Cc,,d",
        "Ab\x01c d",
        "é" * 9 + ",A",
        "Z" * 17 + " a",
        "A" * 70,
        "a" * 520 + " B",
        "中A中",
    ]
    places = [end + shift for end in (3, 64, 448, 512, 576, 1024) for shift in range(-3, 3)]
    texts = [*fuzzed(3_000, seed=8), "".join(map(chr, range(256))), "," * 1_300, "a," * 400]
    texts += [" " * place + part for place in places for part in parts]
    library, native = twins(telling_vocab(texts), isa=isa, lowercase=lowercase)
    assert_same_ids(library, native, [*texts, *texts])  # seen for the first time, and again


def test_an_unknown_way_to_read_text_is_refused():
    with pytest.raises(ValueError, match='isa "sse9" is unknown'):
        WordPiece(WORDS, isa="sse9")


def test_a_vocabulary_of_more_than_65536_ids_equals_the_library():
    filler = [f"x{number}" for number in range(70_000)]
    texts = [f"x{number} x69999x1" for number in range(0, 70_000, 7)]
    assert_same_ids(*twins([*SPECIALS, *filler, "##x", "##1"]), texts)


def test_forgotten_words_give_the_same_ids_again(minilm_native):
    texts = fuzzed(1_000, seed=9)
    first = native_ids(minilm_native, texts)[0].tolist()
    minilm_native.forget_words()
    assert native_ids(minilm_native, texts)[0].tolist() == first
